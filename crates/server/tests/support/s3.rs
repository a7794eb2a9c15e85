//! A stand-in for S3 that keeps to the conditions of puts (`If-None-Match: *`, `If-Match`) and fails as
//! it is told. Signatures it takes for granted: `http/archive_s3.rs` checks them.

use std::collections::{BTreeMap, HashMap};
use std::io::{BufRead, BufReader, Read, Result, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use super::draw::Draw;

/// A bucket; it is served until the process ends.
#[derive(Clone)]
pub(crate) struct Bucket {
    inner: Arc<Mutex<Inner>>,
    /// Something came that others wait for.
    came: Arc<Condvar>,
    address: SocketAddr,
}

struct Inner {
    objects: BTreeMap<String, Object>,
    kind: Option<&'static str>,
    draw: Draw,
    hits: u64,
    /// Puts so far: each makes an `ETag` that none had before.
    puts: u64,
    /// Puts that would have replaced whatever is there.
    unconditional: Vec<String>,
    /// What happens to the next requests whose names have this in them.
    told: Vec<(&'static str, Mishap)>,
    /// Puts of names that have this in them wait for each other: how many are awaited, and are there.
    gathering: Option<(&'static str, usize, usize)>,
    /// Requests that hang now.
    hung: usize,
    /// Nobody is answered.
    is_down: bool,
}

struct Object {
    bytes: Vec<u8>,
    etag: String,
}

/// What happens to one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mishap {
    /// Another is at it just now (409 of a conditional put): nothing is done.
    Conflict,
    /// It is done, and nobody hears of it.
    Lost,
    /// It is never answered.
    Hangs,
}

/// What it does with a request.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Does {
    Well,
    /// It asks for patience.
    Busy,
    Slow,
    /// The connection ends in the middle of the answer.
    Cut,
    /// The `ETag` is another's.
    WrongEtag,
    /// It does it, and says that it failed, or nothing.
    LostAnswer,
    /// It was told what to do with this one.
    Told(Mishap),
}

struct Asked {
    method: String,
    path: String,
    query: String,
    headers: HashMap<String, String>,
    body: Vec<u8>,
}

struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

impl Bucket {
    /// One in which nothing is, and that does well.
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let bucket = Self {
            address: listener.local_addr().unwrap(),
            inner: Arc::new(Mutex::new(Inner {
                objects: BTreeMap::new(),
                kind: None,
                draw: Draw::new(0),
                hits: 0,
                puts: 0,
                unconditional: Vec::new(),
                told: Vec::new(),
                gathering: None,
                hung: 0,
                is_down: false,
            })),
            came: Arc::new(Condvar::new()),
        };
        let own = bucket.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let own = own.clone();
                std::thread::spawn(move || own.serve(stream));
            }
        });
        bucket
    }

    /// What it is called as an archive.
    pub(crate) fn place(&self) -> String {
        format!("s3://bucket/own?endpoint=http://{}", self.address)
    }

    /// From now on every third request or so goes wrong; none with `None`.
    pub(crate) fn fail(&self, kind: Option<&'static str>, seed: u64) {
        let mut inner = self.inner.lock().unwrap();
        (inner.kind, inner.draw) = (kind, Draw::new(seed));
    }

    /// How many requests went wrong.
    pub(crate) fn hits(&self) -> u64 {
        self.inner.lock().unwrap().hits
    }

    /// The names of all objects.
    pub(crate) fn names(&self) -> Vec<String> {
        self.inner.lock().unwrap().objects.keys().cloned().collect()
    }

    /// Changes an object.
    pub(crate) fn change(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut inner = self.inner.lock().unwrap();
        change(&mut inner.objects.get_mut(name).unwrap().bytes);
    }

    /// The names that were put without a condition.
    pub(crate) fn unconditional(&self) -> Vec<String> {
        self.inner.lock().unwrap().unconditional.clone()
    }

    /// This happens to the next request about a name that has this in it.
    pub(crate) fn mishap(&self, part: &'static str, mishap: Mishap) {
        self.inner.lock().unwrap().told.push((part, mishap));
    }

    /// Whether all that it was told has happened.
    pub(crate) fn is_done(&self) -> bool {
        self.inner.lock().unwrap().told.is_empty()
    }

    /// How many requests hang now.
    pub(crate) fn hung(&self) -> usize {
        self.inner.lock().unwrap().hung
    }

    /// The next puts of such names wait until so many are there, and are taken at once.
    pub(crate) fn gather(&self, part: &'static str, count: usize) {
        self.inner.lock().unwrap().gathering = Some((part, count, 0));
    }

    /// Whether nobody is answered from now on.
    pub(crate) fn down(&self, is_down: bool) {
        self.inner.lock().unwrap().is_down = is_down;
    }

    fn wait_for_others(&self, asked: &Asked) {
        let mut inner = self.inner.lock().unwrap();
        let waits = |inner: &Inner| match inner.gathering {
            Some((part, count, there)) => asked.path.contains(part) && there < count,
            None => false,
        };
        if asked.method != "PUT" || !waits(&inner) {
            return;
        }
        if let Some((_, _, there)) = &mut inner.gathering {
            *there += 1;
        }
        self.came.notify_all();
        drop(self.came.wait_while(inner, |inner| waits(inner)).unwrap());
    }

    fn serve(&self, stream: TcpStream) {
        let _ = stream.set_nodelay(true);
        let Ok(mut reader) = stream.try_clone().map(BufReader::new) else {
            return;
        };
        let mut writer = stream;
        while let Ok(Some(asked)) = read(&mut reader) {
            let does = self.choose(&asked);
            self.wait_for_others(&asked);
            if does == Does::Told(Mishap::Hangs) {
                // Until whoever asked gives it up.
                let _ = reader.read(&mut [0]);
                self.inner.lock().unwrap().hung -= 1;
                return;
            }
            if does == Does::Slow {
                std::thread::sleep(Duration::from_millis(150));
            }
            let answer = match does {
                Does::Busy => Answer::new(503, Vec::new()),
                Does::Told(Mishap::Conflict) => Answer::new(409, Vec::new()),
                Does::Well
                | Does::Slow
                | Does::Cut
                | Does::WrongEtag
                | Does::LostAnswer
                | Does::Told(_) => self.answer(&asked, does),
            };
            let lost = does == Does::LostAnswer && self.inner.lock().unwrap().draw.below(2) == 0;
            let lost = lost || does == Does::Told(Mishap::Lost);
            if lost || answer.write(&mut writer, does == Does::Cut).is_err() || does == Does::Cut {
                let _ = writer.shutdown(std::net::Shutdown::Both);
                return;
            }
        }
    }

    fn choose(&self, asked: &Asked) -> Does {
        let mut inner = self.inner.lock().unwrap();
        if inner.is_down {
            return Does::Busy;
        }
        let mut told = inner.told.iter();
        if let Some(at) = told.position(|(part, mishap)| {
            let is_put = asked.method == "PUT";
            asked.path.contains(part) && (is_put || *mishap == Mishap::Hangs)
        }) {
            let mishap = inner.told.remove(at).1;
            inner.hung += usize::from(mishap == Mishap::Hangs);
            return Does::Told(mishap);
        }
        let Some(kind) = inner.kind else {
            return Does::Well;
        };
        if inner.draw.below(3) != 0 {
            return Does::Well;
        }
        inner.hits += 1;
        let all = [
            Does::Busy,
            Does::Slow,
            Does::Cut,
            Does::WrongEtag,
            Does::LostAnswer,
        ];
        match kind {
            "busy" => Does::Busy,
            "slow" => Does::Slow,
            "cut" => Does::Cut,
            "wrong-etag" => Does::WrongEtag,
            "lost-answer" => Does::LostAnswer,
            _ => all[inner.draw.below(all.len() as u64) as usize],
        }
    }

    fn answer(&self, asked: &Asked, does: Does) -> Answer {
        let key = asked
            .path
            .trim_start_matches("/bucket")
            .trim_start_matches('/');
        let mut inner = self.inner.lock().unwrap();
        let mut answer = match (asked.method.as_str(), key.is_empty()) {
            ("GET", true) => inner.list(&asked.query),
            ("GET", false) => inner.get(key, asked.headers.get("range")),
            ("PUT", _) => inner.put(key, asked),
            ("DELETE", _) => {
                inner.objects.remove(key);
                Answer::new(204, Vec::new())
            }
            _ => Answer::new(405, Vec::new()),
        };
        if does == Does::LostAnswer {
            answer = Answer::new(500, Vec::new());
        }
        let there = inner.objects.get(key).map(|object| object.etag.clone());
        let etag = there.filter(|_| does != Does::WrongEtag);
        let etag = etag.unwrap_or_else(|| "\"other\"".to_owned());
        answer.headers.push(("ETag", etag));
        answer
    }
}

impl Inner {
    /// Makes an object, or replaces it, if that is what its condition says.
    fn put(&mut self, key: &str, asked: &Asked) -> Answer {
        let header = |name: &str| asked.headers.get(name).map(String::as_str);
        let there = self.objects.get(key).map(|object| object.etag.as_str());
        let holds = match (header("if-none-match"), header("if-match")) {
            (Some("*"), None) => there.is_none(),
            (None, Some(etag)) => there == Some(etag),
            (None, None) => {
                self.unconditional.push(key.to_owned());
                true
            }
            _ => return Answer::new(501, Vec::new()),
        };
        if !holds {
            return Answer::new(412, Vec::new());
        }
        self.puts += 1;
        let object = Object {
            bytes: asked.body.clone(),
            etag: format!("\"{}\"", self.puts),
        };
        self.objects.insert(key.to_owned(), object);
        Answer::new(200, Vec::new())
    }

    fn get(&self, key: &str, range: Option<&String>) -> Answer {
        let Some(object) = self.objects.get(key) else {
            return Answer::new(404, Vec::new());
        };
        let object = &object.bytes;
        let end = range.and_then(|range| range.strip_prefix("bytes=0-")?.parse::<usize>().ok());
        let mut answer = match end {
            None => Answer::new(200, object.clone()),
            Some(end) => {
                let end = (end + 1).min(object.len());
                let mut answer = Answer::new(206, object[..end].to_vec());
                let said = format!("bytes 0-{}/{}", end - 1, object.len());
                answer.headers.push(("Content-Range", said));
                answer
            }
        };
        let made = "Mon, 02 Nov 2026 10:00:00 GMT".to_owned();
        answer.headers.push(("Last-Modified", made));
        answer
    }

    fn list(&self, query: &str) -> Answer {
        let query: HashMap<String, String> = form_urlencoded::parse(query.as_bytes())
            .into_owned()
            .collect();
        let text = |name: &str| query.get(name).cloned().unwrap_or_default();
        let (prefix, after) = (text("prefix"), text("continuation-token"));
        let wanted = |key: &&String| key.starts_with(&prefix) && **key > after;
        let keys: Vec<_> = self.objects.keys().filter(wanted).take(101).collect();
        let mut xml = String::from("<ListBucketResult>");
        for key in keys.iter().take(100) {
            let size = self.objects[*key].bytes.len();
            xml.push_str(&format!(
                "<Contents><Key>{key}</Key><Size>{size}</Size>\
                 <LastModified>2026-11-02T10:00:00.000Z</LastModified><ETag>1</ETag></Contents>"
            ));
        }
        let more = keys.get(100).map(|_| keys[99]);
        xml.push_str(&format!("<IsTruncated>{}</IsTruncated>", more.is_some()));
        if let Some(last) = more {
            xml.push_str(&format!(
                "<NextContinuationToken>{last}</NextContinuationToken>"
            ));
        }
        xml.push_str("</ListBucketResult>");
        Answer::new(200, xml.into_bytes())
    }
}

impl Answer {
    fn new(status: u16, body: Vec<u8>) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body,
        }
    }

    /// Writes it, or the first half of it.
    fn write(&self, to: &mut impl Write, half: bool) -> Result<()> {
        let mut text = format!(
            "HTTP/1.1 {} So\r\nContent-Length: {}\r\n",
            self.status,
            self.body.len()
        );
        for (name, value) in &self.headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str("\r\n");
        let mut bytes = text.into_bytes();
        bytes.extend_from_slice(&self.body);
        let end = if half { bytes.len() / 2 } else { bytes.len() };
        to.write_all(&bytes[..end])?;
        to.flush()
    }
}

/// A request; nothing at the end of the connection.
fn read(reader: &mut impl BufRead) -> Result<Option<Asked>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split(' ').map(str::to_owned);
    let (method, target) = (
        words.next().unwrap_or_default(),
        words.next().unwrap_or_default(),
    );
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length");
    let length = length.and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    Ok(Some(Asked {
        method,
        path: path.to_owned(),
        query: query.to_owned(),
        headers,
        body,
    }))
}
