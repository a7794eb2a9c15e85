//! A stand-in for S3 that fails as it is told. What it is asked it takes for granted:
//! `http/archive_s3.rs` checks signatures and conditions.

use std::collections::{BTreeMap, HashMap};
use std::io::{BufRead, BufReader, Result, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::draw::Draw;

/// A bucket; it is served until the process ends.
#[derive(Clone)]
pub(crate) struct Bucket {
    inner: Arc<Mutex<Inner>>,
    address: SocketAddr,
}

struct Inner {
    objects: BTreeMap<String, Vec<u8>>,
    kind: Option<&'static str>,
    draw: Draw,
    hits: u64,
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
            })),
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
        change(self.inner.lock().unwrap().objects.get_mut(name).unwrap());
    }

    fn serve(&self, stream: TcpStream) {
        let _ = stream.set_nodelay(true);
        let Ok(mut reader) = stream.try_clone().map(BufReader::new) else {
            return;
        };
        let mut writer = stream;
        while let Ok(Some(asked)) = read(&mut reader) {
            let does = self.choose();
            if does == Does::Slow {
                std::thread::sleep(Duration::from_millis(150));
            }
            let answer = match does {
                Does::Busy => Answer::new(503, Vec::new()),
                Does::Well | Does::Slow | Does::Cut | Does::WrongEtag | Does::LostAnswer => {
                    self.answer(&asked, does)
                }
            };
            let lost = does == Does::LostAnswer && self.inner.lock().unwrap().draw.below(2) == 0;
            if lost || answer.write(&mut writer, does == Does::Cut).is_err() || does == Does::Cut {
                let _ = writer.shutdown(std::net::Shutdown::Both);
                return;
            }
        }
    }

    fn choose(&self) -> Does {
        let mut inner = self.inner.lock().unwrap();
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
            ("PUT", _) if inner.objects.contains_key(key) => Answer::new(412, Vec::new()),
            ("PUT", _) => {
                inner.objects.insert(key.to_owned(), asked.body.clone());
                Answer::new(200, Vec::new())
            }
            ("DELETE", _) => {
                inner.objects.remove(key);
                Answer::new(204, Vec::new())
            }
            _ => Answer::new(405, Vec::new()),
        };
        if does == Does::LostAnswer {
            answer = Answer::new(500, Vec::new());
        }
        let etag = if does == Does::WrongEtag {
            "\"other\""
        } else {
            "\"1\""
        };
        answer.headers.push(("ETag", etag.to_owned()));
        answer
    }
}

impl Inner {
    fn get(&self, key: &str, range: Option<&String>) -> Answer {
        let Some(object) = self.objects.get(key) else {
            return Answer::new(404, Vec::new());
        };
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
            let size = self.objects[*key].len();
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
