//! HTTP/1.1 over one kept-alive connection for each simulated client.
//!
//! No pool and no redirects: a pool's locks and a second connection would blur
//! what one client waits for.

use crate::error::Error;
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, ETAG, HOST, IF_MATCH, LOCATION};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;
use tokio::net::TcpStream;

const FHIR_JSON: HeaderValue = HeaderValue::from_static("application/fhir+json");
const FORM: HeaderValue = HeaderValue::from_static("application/x-www-form-urlencoded");
const PREFER: HeaderName = HeaderName::from_static("prefer");

/// The server under test.
pub(crate) struct Target {
    /// `host:port`.
    authority: String,
    /// The base's path, without a slash at the end.
    path: String,
    timeout: Duration,
    credentials: Option<Credentials>,
    bearer: RefCell<Option<HeaderValue>>,
}

/// OAuth client credentials (RFC 6749, 4.4), used again when a token has expired.
pub(crate) struct Credentials {
    /// `client_id`.
    pub(crate) id: String,
    /// `client_secret`.
    pub(crate) secret: String,
    /// Path and query of the token endpoint, on the same server.
    pub(crate) path: String,
}

impl Target {
    /// Takes an `http://` base URL; addresses off this machine only with `remote`.
    pub(crate) fn new(base: &str, timeout: Duration, remote: bool) -> Result<Self, Error> {
        let uri: Uri = base.parse().map_err(|_| Error::Base("not a URL"))?;
        if uri.scheme_str() != Some("http") {
            return Err(Error::Base(
                "only http:// is measured; let TLS end in front of it",
            ));
        }
        let host = uri.host().ok_or(Error::Base("no host"))?;
        if !remote && !is_loopback(host) {
            return Err(Error::Base(
                "not a loopback address; --allow-remote if you own that server",
            ));
        }
        Ok(Self {
            authority: format!("{host}:{}", uri.port_u16().unwrap_or(80)),
            path: uri.path().trim_end_matches('/').to_owned(),
            timeout,
            credentials: None,
            bearer: RefCell::new(None),
        })
    }

    /// Sends this token with every request.
    pub(crate) fn with_token(self, token: &str) -> Result<Self, Error> {
        self.set_token(token).map_err(|_| Error::Token)?;
        Ok(self)
    }

    /// Fetches tokens with these credentials.
    pub(crate) fn with_credentials(mut self, credentials: Credentials) -> Self {
        self.credentials = Some(credentials);
        self
    }

    /// The base's path alone.
    pub(crate) fn into_path(self) -> String {
        self.path
    }

    /// What follows the base in a link. Hosts are not compared: we stay on our own connection.
    pub(crate) fn below_base(&self, link: &str) -> String {
        let from_path = link
            .split_once("://")
            .and_then(|(_, rest)| rest.find('/').map(|at| &rest[at..]));
        let path = from_path.unwrap_or(link);
        let below = path.strip_prefix(self.path.as_str()).unwrap_or(path);
        below.trim_start_matches('/').to_owned()
    }

    fn set_token(&self, token: &str) -> Result<(), http::Error> {
        let mut value = HeaderValue::from_str(&format!("Bearer {token}"))?;
        value.set_sensitive(true);
        self.bearer.replace(Some(value));
        Ok(())
    }
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || address
            .parse()
            .is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
}

/// What to ask, relative to the base.
#[derive(Clone)]
pub(crate) struct Ask {
    /// The HTTP method.
    pub(crate) method: Method,
    /// Below the base, without a slash in front; empty for the base itself.
    pub(crate) path: String,
    /// JSON, or nothing.
    pub(crate) body: Bytes,
    /// `If-Match` of this version.
    pub(crate) if_match: Option<String>,
    /// `Prefer: return=`.
    pub(crate) prefer: Option<&'static str>,
}

impl Ask {
    /// A request without a body.
    pub(crate) fn new(method: Method, path: impl Into<String>) -> Self {
        Self {
            method,
            path: path.into(),
            body: Bytes::new(),
            if_match: None,
            prefer: None,
        }
    }

    /// A request with a FHIR JSON body.
    pub(crate) fn send(method: Method, path: impl Into<String>, body: impl Into<Bytes>) -> Self {
        Self {
            body: body.into(),
            ..Self::new(method, path)
        }
    }
}

/// The full answer.
pub(crate) struct Answer {
    /// The status code.
    pub(crate) status: u16,
    /// The body, whole.
    pub(crate) body: Bytes,
    headers: HeaderMap,
}

impl Answer {
    /// An answer as a server might give it.
    #[cfg(test)]
    pub(crate) fn of(status: u16, body: String) -> Self {
        Self {
            status,
            body: Bytes::from(body),
            headers: HeaderMap::new(),
        }
    }

    /// `ETag` without `W/` and quotes.
    pub(crate) fn version(&self) -> Option<&str> {
        let tag = self.headers.get(ETAG)?.to_str().ok()?;
        Some(tag.trim_start_matches("W/").trim_matches('"'))
    }

    /// The id in `Location`.
    pub(crate) fn location_id(&self) -> Option<&str> {
        let location = self.headers.get(LOCATION)?.to_str().ok()?;
        reference_of(location).map(|(_, id)| id)
    }

    /// Fails unless the status is one of these.
    pub(crate) fn expect(&self, statuses: &[u16]) -> Result<(), String> {
        if statuses.contains(&self.status) {
            return Ok(());
        }
        let body = String::from_utf8_lossy(&self.body);
        let start: String = body.chars().take(300).collect();
        Err(format!(
            "status {}, expected {statuses:?}: {start}",
            self.status
        ))
    }
}

/// Type and id of a location such as `http://host/fhir/Patient/7/_history/1`.
pub(crate) fn reference_of(location: &str) -> Option<(&str, &str)> {
    let instance = location.split("/_history/").next()?;
    let mut segments = instance.rsplit('/');
    let id = segments.next().filter(|id| !id.is_empty())?;
    Some((segments.next()?, id))
}

/// One client's connection, opened when first needed and again after it broke.
pub(crate) struct Session {
    target: Rc<Target>,
    sender: Option<SendRequest<Full<Bytes>>>,
}

impl Session {
    /// A client of the target.
    pub(crate) fn new(target: Rc<Target>) -> Self {
        Self {
            target,
            sender: None,
        }
    }

    /// Sends one request and reads the whole answer. A 401 fetches a new token and tries once more.
    pub(crate) async fn ask(&mut self, ask: Ask) -> Result<Answer, String> {
        if self.target.credentials.is_none() {
            return self.exchange(self.request(ask)?).await;
        }
        if self.target.bearer.borrow().is_none() {
            self.sign_in().await?;
        }
        let answer = self.exchange(self.request(ask.clone())?).await?;
        if answer.status != 401 {
            return Ok(answer);
        }
        self.sign_in().await?;
        self.exchange(self.request(ask)?).await
    }

    async fn sign_in(&mut self) -> Result<(), String> {
        let target = Rc::clone(&self.target);
        let credentials = target.credentials.as_ref().ok_or("no credentials")?;
        let form = format!(
            "grant_type=client_credentials&client_id={}&client_secret={}",
            form_value(&credentials.id),
            form_value(&credentials.secret)
        );
        let request = Request::post(&credentials.path)
            .header(HOST, &target.authority)
            .header(CONTENT_TYPE, FORM)
            .body(Full::new(Bytes::from(form)))
            .map_err(|error| error.to_string())?;
        let answer = self.exchange(request).await?;
        answer
            .expect(&[200])
            .map_err(|reason| format!("sign-in: {reason}"))?;
        let token: Token =
            serde_json::from_slice(&answer.body).map_err(|_| "sign-in: no access_token")?;
        target
            .set_token(&token.access_token)
            .map_err(|error| error.to_string())
    }

    fn request(&self, ask: Ask) -> Result<Request<Full<Bytes>>, String> {
        let separator = if ask.path.is_empty() || ask.path.starts_with('?') {
            ""
        } else {
            "/"
        };
        let mut request = Request::builder()
            .method(ask.method)
            .uri(format!("{}{separator}{}", self.target.path, ask.path))
            .header(HOST, &self.target.authority)
            .header(ACCEPT, FHIR_JSON);
        if let Some(bearer) = self.target.bearer.borrow().as_ref() {
            request = request.header(AUTHORIZATION, bearer);
        }
        if let Some(version) = ask.if_match {
            request = request.header(IF_MATCH, format!("W/\"{version}\""));
        }
        if let Some(prefer) = ask.prefer {
            request = request.header(PREFER, prefer);
        }
        if !ask.body.is_empty() {
            request = request.header(CONTENT_TYPE, FHIR_JSON);
        }
        request
            .body(Full::new(ask.body))
            .map_err(|error| error.to_string())
    }

    async fn exchange(&mut self, request: Request<Full<Bytes>>) -> Result<Answer, String> {
        let timeout = self.target.timeout;
        let answer = tokio::time::timeout(timeout, self.send(request)).await;
        let answer =
            answer.unwrap_or_else(|_| Err(format!("no answer in {} s", timeout.as_secs())));
        if answer.is_err() {
            self.sender = None;
        }
        answer
    }

    async fn send(&mut self, request: Request<Full<Bytes>>) -> Result<Answer, String> {
        let mut sender = match self.sender.take() {
            Some(sender) if !sender.is_closed() => sender,
            Some(_) | None => connect(&self.target.authority).await?,
        };
        sender.ready().await.map_err(|error| error.to_string())?;
        let response = sender
            .send_request(request)
            .await
            .map_err(|error| error.to_string())?;
        let (head, body) = response.into_parts();
        let body = body
            .collect()
            .await
            .map_err(|error| error.to_string())?
            .to_bytes();
        self.sender = Some(sender);
        Ok(Answer {
            status: head.status.as_u16(),
            headers: head.headers,
            body,
        })
    }
}

#[derive(serde::Deserialize)]
struct Token {
    access_token: String,
}

async fn connect(authority: &str) -> Result<SendRequest<Full<Bytes>>, String> {
    let stream = TcpStream::connect(authority)
        .await
        .map_err(|error| error.to_string())?;
    stream
        .set_nodelay(true)
        .map_err(|error| error.to_string())?;
    let (sender, connection) = handshake(TokioIo::new(stream))
        .await
        .map_err(|error| error.to_string())?;
    tokio::task::spawn_local(async move {
        // A broken connection shows as an error of the request that was on it.
        let _ = connection.await;
    });
    Ok(sender)
}

fn form_value(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' => {
            char::from(byte).to_string()
        }
        other => format!("%{other:02X}"),
    };
    text.bytes().map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_loaded_unless_asked() {
        let new = |base, remote| {
            Target::new(base, Duration::from_secs(1), remote).map(|target| target.authority)
        };
        assert_eq!(
            new("http://127.0.0.1:8080/fhir", false).unwrap(),
            "127.0.0.1:8080"
        );
        assert_eq!(new("http://[::1]/fhir/", false).unwrap(), "[::1]:80");
        assert!(new("http://10.0.0.1:8080/fhir", false).is_err());
        assert!(new("http://localhost.example/fhir", false).is_err());
        assert!(new("http://10.0.0.1:8080/fhir", true).is_ok());
        assert!(new("https://127.0.0.1/fhir", false).is_err());
        assert!(new("nonsense", false).is_err());
    }

    #[test]
    fn locations_of_every_form_name_their_resource() {
        for location in [
            "http://h/fhir/Patient/7/_history/1",
            "Patient/7",
            "/fhir/Patient/7",
        ] {
            assert_eq!(reference_of(location), Some(("Patient", "7")), "{location}");
        }
        assert_eq!(reference_of("7"), None);
        assert_eq!(reference_of("Patient/"), None);
    }

    #[test]
    fn links_are_cut_to_what_follows_the_base() {
        let target = Target::new("http://127.0.0.1:1/fhir", Duration::from_secs(1), false).unwrap();
        assert_eq!(
            target.below_base("http://h:1/fhir/Patient?a=b/c"),
            "Patient?a=b/c"
        );
        assert_eq!(target.below_base("/fhir/Patient?a=b"), "Patient?a=b");
        assert_eq!(target.below_base("Patient?a=b"), "Patient?a=b");
        assert_eq!(
            target.below_base("http://h/fhir?_getpages=1"),
            "?_getpages=1"
        );
    }

    #[test]
    fn form_values_are_escaped() {
        assert_eq!(form_value("a+b/c=&d e"), "a%2Bb%2Fc%3D%26d%20e");
    }
}
