//! HTTP/1.1 by hand, one connection a request: tests must be able to send what
//! no library would, and to see exactly what comes back.

use std::io::{Error, ErrorKind, Read, Result, Write};

use serde_json::Value;

/// A request; what it does not say is not sent.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

/// A whole answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Request {
    pub(crate) fn new(method: &str, path: &str) -> Self {
        Self {
            method: method.to_owned(),
            path: path.to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    /// Adds a header; one of the same name is replaced.
    pub(crate) fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.retain(|(old, _)| old != name);
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    pub(crate) fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(old, _)| old != name);
        self
    }

    pub(crate) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Path and query.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// The same to another path.
    pub(crate) fn at(mut self, path: &str) -> Self {
        self.path = path.to_owned();
        self
    }

    /// The body.
    pub(crate) fn content(&self) -> &[u8] {
        &self.body
    }

    /// The same for a router in this process.
    pub(crate) fn for_router(&self) -> http::Request<axum::body::Body> {
        let mut request = http::Request::builder();
        request = request.method(&*self.method).uri(&self.path);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let body = axum::body::Body::from(self.body.clone());
        request.body(body).unwrap()
    }

    /// The bytes to send: with a length, unless the request says how it is coded.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.path);
        let coded = self.headers.iter().any(|(name, _)| {
            name.eq_ignore_ascii_case("transfer-encoding")
                || name.eq_ignore_ascii_case("content-length")
        });
        if !coded {
            head.push_str(&format!("Content-Length: {}\r\n", self.body.len()));
        }
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("Connection: close\r\n\r\n");
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(&self.body);
        bytes
    }
}

/// Sends bytes and reads the answer until the server ends the connection.
pub(crate) fn exchange(mut stream: impl Read + Write, request: &[u8]) -> Result<Answer> {
    // A server that refuses a request early does not read the rest of it.
    let sent = stream.write_all(request).and_then(|()| stream.flush());
    let mut bytes = Vec::new();
    let read = stream.read_to_end(&mut bytes);
    match (parse(&bytes), read, sent) {
        (Some(answer), ..) => Ok(answer),
        (None, Err(error), _) | (None, Ok(_), Err(error)) => Err(error),
        (None, Ok(_), Ok(())) => Err(Error::from(ErrorKind::UnexpectedEof)),
    }
}

fn parse(bytes: &[u8]) -> Option<Answer> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&bytes[..end]).ok()?;
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let headers = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let mut answer = Answer {
        status,
        headers,
        body: String::new(),
    };
    let rest = &bytes[end + 4..];
    let body = match answer.header("transfer-encoding") {
        Some("chunked") => unchunk(rest)?,
        _ => match answer.header("content-length") {
            Some(length) => rest.get(..length.parse().ok()?).unwrap_or(rest).to_vec(),
            None => rest.to_vec(),
        },
    };
    answer.body = String::from_utf8(body).ok()?;
    Some(answer)
}

fn unchunk(mut bytes: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = bytes.windows(2).position(|two| two == b"\r\n")?;
        let size = usize::from_str_radix(std::str::from_utf8(&bytes[..end]).ok()?, 16).ok()?;
        if size == 0 {
            return Some(body);
        }
        body.extend_from_slice(bytes.get(end + 2..end + 2 + size)?);
        bytes = bytes.get(end + 4 + size..)?;
    }
}

impl Answer {
    /// The same, if it has this status.
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.body);
        self
    }

    /// A header by its lower-case name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        let found = headers.find(|(given, _)| given == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The body as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    /// The id in `Location: …/Type/id/_history/n`.
    #[track_caller]
    pub(crate) fn id(&self) -> String {
        let location = self.header("location").expect("a Location");
        let (instance, _) = location.split_once("/_history/").expect("a version");
        instance.rsplit('/').next().unwrap().to_owned()
    }

    /// The resources of a bundle's entries, as `Type/id`.
    #[track_caller]
    pub(crate) fn found(&self) -> Vec<String> {
        let bundle = self.json();
        let entries = bundle["entry"].as_array().into_iter().flatten();
        entries
            .map(|entry| {
                let resource = &entry["resource"];
                let ty = resource["resourceType"].as_str().unwrap_or("-");
                format!("{ty}/{}", resource["id"].as_str().unwrap_or("-"))
            })
            .collect()
    }

    /// The path and query of a bundle's link.
    #[track_caller]
    pub(crate) fn link(&self, relation: &str) -> Option<String> {
        let bundle = self.json();
        let mut links = bundle["link"].as_array().into_iter().flatten();
        let link = links.find(|link| link["relation"] == relation)?;
        let url = link["url"].as_str().unwrap();
        let at = url.find("://").unwrap() + 3;
        Some(url[at + url[at..].find('/').unwrap()..].to_owned())
    }
}
