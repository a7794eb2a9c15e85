//! HTTP/1.1 over one blocking connection.
//!
//! A client library would retry and pool; here a broken connection must be
//! seen, because it leaves a write unacknowledged.

use std::io::{BufRead, BufReader, Error, ErrorKind, Read, Result, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// No answer takes this long.
const TIMEOUT: Duration = Duration::from_secs(60);

/// One connection with one token.
pub(crate) struct Client {
    address: SocketAddr,
    token: String,
    stream: Option<BufReader<TcpStream>>,
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Client {
    /// A client that connects when it first sends something.
    pub(crate) fn new(address: SocketAddr, token: &str) -> Self {
        Self {
            address,
            token: token.to_owned(),
            stream: None,
        }
    }

    /// Reads a path, as [`Self::send`] takes it.
    pub(crate) fn get(&mut self, path: &str) -> Result<Answer> {
        self.send("GET", path, &[], "")
    }

    /// Sends a request to a path below `/fhir`, or to one that begins with `/` itself; an error
    /// leaves open whether the server carried it out.
    pub(crate) fn send(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Result<Answer> {
        let below = match path {
            "" => "/fhir",
            path if path.starts_with('/') => "",
            _ => "/fhir/",
        };
        let mut request = format!(
            "{method} {below}{path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\n\
             Content-Length: {}\r\n",
            self.address,
            self.token,
            body.len()
        );
        if headers.iter().all(|(name, _)| *name != "Content-Type") {
            request.push_str("Content-Type: application/fhir+json\r\n");
        }
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str("\r\n");
        request.push_str(body);
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => self.connect()?,
        };
        stream.get_mut().write_all(request.as_bytes())?;
        let answer = read_answer(&mut stream)?;
        if answer.header("connection") != Some("close") {
            self.stream = Some(stream);
        }
        Ok(answer)
    }

    fn connect(&self) -> Result<BufReader<TcpStream>> {
        let stream = TcpStream::connect(self.address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        Ok(BufReader::new(stream))
    }
}

impl Answer {
    /// A header by its lower-case name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(given, _)| given == name)
            .map(|(_, value)| value.as_str())
    }

    /// The number in `ETag: W/"n"`.
    pub(crate) fn version(&self) -> Option<u64> {
        self.header("etag")?
            .trim_start_matches("W/")
            .trim_matches('"')
            .parse()
            .ok()
    }

    /// The id in `Location: .../Type/id/_history/n`.
    pub(crate) fn id(&self) -> Option<&str> {
        self.header("location")?
            .split("/_history/")
            .next()?
            .rsplit('/')
            .next()
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

fn read_answer(stream: &mut impl BufRead) -> Result<Answer> {
    let status_line = read_line(stream)?;
    let status = status_line
        .split(' ')
        .nth(1)
        .and_then(|code| code.parse().ok());
    let mut answer = Answer {
        status: status.ok_or_else(|| Error::new(ErrorKind::InvalidData, status_line))?,
        headers: Vec::new(),
        body: String::new(),
    };
    loop {
        let line = read_line(stream)?;
        let Some((name, value)) = line.split_once(':') else {
            break;
        };
        answer
            .headers
            .push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let body = match (
        answer.header("content-length"),
        answer.header("transfer-encoding"),
    ) {
        (Some(length), _) => read_exactly(stream, length.parse().unwrap_or_default())?,
        (None, Some("chunked")) => read_chunks(stream)?,
        (None, _) => Vec::new(),
    };
    answer.body =
        String::from_utf8(body).map_err(|error| Error::new(ErrorKind::InvalidData, error))?;
    Ok(answer)
}

fn read_chunks(stream: &mut impl BufRead) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let size = usize::from_str_radix(&read_line(stream)?, 16);
        let size = size.map_err(|error| Error::new(ErrorKind::InvalidData, error))?;
        body.extend(read_exactly(stream, size)?);
        read_line(stream)?;
        if size == 0 {
            return Ok(body);
        }
    }
}

fn read_exactly(stream: &mut impl Read, length: usize) -> Result<Vec<u8>> {
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// A line without its end; an early end of the stream is an error, not an empty line.
fn read_line(stream: &mut impl BufRead) -> Result<String> {
    let mut line = String::new();
    if stream.read_line(&mut line)? == 0 {
        return Err(Error::from(ErrorKind::UnexpectedEof));
    }
    Ok(line.trim_end().to_owned())
}
