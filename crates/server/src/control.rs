//! The data folder's own socket: whoever can open it is the operator.
//!
//! `salus import` uses a running server through it, or starts one that
//! listens on nothing else. The socket lies in the data folder, mode 0600.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::{UnixListener, UnixStream};

const NAME: &str = "control.sock";

/// Where a folder's socket is.
pub(crate) fn path(data: &Path) -> PathBuf {
    data.join(NAME)
}

/// Listens on a folder's socket. The caller holds the folder's lock, so a
/// socket that is there is left over.
pub(crate) fn bind(data: &Path) -> std::io::Result<UnixListener> {
    let path = path(data);
    if path.exists() {
        std::fs::remove_file(&path)?;
    }
    let listener = UnixListener::bind(&path)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// A connection to a folder's server.
pub(crate) struct Client {
    sender: SendRequest<Full<Bytes>>,
}

/// Why a request to a folder's server failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("no server answers on {0}: {1}")]
    NoServer(PathBuf, std::io::Error),
    #[error("the connection to the server broke: {0}")]
    Broken(#[from] hyper::Error),
    #[error("the request could not be made: {0}")]
    Request(#[from] http::Error),
}

impl Client {
    /// Connects; fails at once when no server runs on the folder.
    pub(crate) async fn connect(data: &Path) -> Result<Self, Error> {
        let path = path(data);
        let stream = UnixStream::connect(&path)
            .await
            .map_err(|error| Error::NoServer(path, error))?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Self { sender })
    }

    /// Sends JSON and reads the whole answer.
    pub(crate) async fn send(
        &mut self,
        method: Method,
        path: &str,
        idempotency_key: Option<&str>,
        body: Bytes,
    ) -> Result<(StatusCode, Bytes), Error> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "localhost")
            .header(header::CONTENT_TYPE, "application/fhir+json")
            .header("prefer", "return=minimal");
        if let Some(key) = idempotency_key {
            request = request.header("idempotency-key", key);
        }
        self.sender.ready().await?;
        let response = self
            .sender
            .send_request(request.body(Full::new(body))?)
            .await?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        Ok((status, body))
    }

    /// Asks for what is too long to be read whole.
    pub(crate) async fn stream(&mut self, path: &str) -> Result<(StatusCode, Incoming), Error> {
        let request = Request::get(path).header(header::HOST, "localhost");
        self.sender.ready().await?;
        let request = request.body(Full::new(Bytes::new()))?;
        let response = self.sender.send_request(request).await?;
        Ok((response.status(), response.into_body()))
    }
}

/// An answer in JSON.
pub(crate) fn answer(status: StatusCode, value: &Value) -> Response {
    let kind = [(header::CONTENT_TYPE, "application/json")];
    (status, kind, value.to_string()).into_response()
}

/// What was answered to the operator, or why nothing was; `who` it was that answered.
pub(crate) fn answered(who: &str, (status, body): (StatusCode, Bytes)) -> Result<Bytes, String> {
    if status == StatusCode::OK {
        return Ok(body);
    }
    let problem: Value = serde_json::from_slice(&body).unwrap_or_default();
    let reason = problem["error"].as_str().unwrap_or("no more is known");
    Err(format!("{who} answered {status}: {reason}"))
}

/// Questions to a folder's server, below a path and in JSON.
pub(crate) struct Asking {
    client: Client,
    root: String,
}

impl Asking {
    /// About a project.
    pub(crate) async fn of_project(data: &Path, project: &str) -> Result<Self, Error> {
        Self::below(data, format!("/p/{project}")).await
    }

    /// Below a path.
    pub(crate) async fn below(data: &Path, root: String) -> Result<Self, Error> {
        let client = Client::connect(data).await?;
        Ok(Self { client, root })
    }

    pub(crate) async fn get(&mut self, path: &str) -> Result<Value, Failure> {
        self.send(Method::GET, path, None).await
    }

    pub(crate) async fn post(&mut self, path: &str, body: &Value) -> Result<Value, Failure> {
        self.send(Method::POST, path, Some(body)).await
    }

    /// The answer, or why there is none.
    pub(crate) async fn send(
        &mut self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, Failure> {
        let body = body.map(Value::to_string).unwrap_or_default();
        let path = format!("{}{path}", self.root);
        let (status, body) = self.client.send(method, &path, None, body.into()).await?;
        match status.is_success() {
            true => Ok(serde_json::from_slice(&body)?),
            // The operator may do everything, in every project that there is.
            false if status == StatusCode::FORBIDDEN => Err("there is no such project".into()),
            false => Err(refusal(status, &body).into()),
        }
    }
}

type Failure = Box<dyn std::error::Error>;

/// What the server said against it.
fn refusal(status: StatusCode, body: &[u8]) -> String {
    let outcome: Value = serde_json::from_slice(body).unwrap_or_default();
    let issues = outcome["issue"].as_array().into_iter().flatten();
    let said = issues.filter_map(|issue| {
        let details = issue["details"]["text"].as_str();
        details.or(issue["diagnostics"].as_str())
    });
    let said: Vec<&str> = said.collect();
    match (status, said.is_empty()) {
        (StatusCode::NOT_FOUND, true) => "there is no such project".to_owned(),
        (status, true) => format!("the server answered {status}"),
        (_, false) => said.join("; "),
    }
}
