//! Every wire protocol: FHIR REST, signing in, administration, health.
//!
//! [`route::ROUTES`] lists all that is answered; [`router`] serves it. This
//! crate turns HTTP into calls of the use cases and their replies into HTTP,
//! and decides nothing else: no policy, no storage.

mod accounts;
mod admin;
mod alerts;
mod audit_log;
mod auth;
mod break_glass;
mod call;
mod caller;
mod coding;
mod cold;
mod cors;
mod disclosures;
mod entry;
mod factors;
mod failure;
mod fhir;
mod format;
mod health;
mod keyring;
mod mail;
mod media;
mod metrics;
mod oauth;
mod openapi;
mod policies;
mod providers;
mod retention;
pub mod route;

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{MatchedPath, RawPathParams, Request};
use axum::response::Response;
use axum::routing::{MethodFilter, MethodRouter};
use futures_util::FutureExt;
use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use salus_service::context::{Context, RequestId};
use salus_service::fhir::binary::BINARY;
use salus_service::jobs::Perform;
use salus_service::projects;
use salus_service::sessions::Credential;
use salus_service::{Service, Subject};

use call::Call;
pub use caller::{Proxies, ProxyHeader};
use coding::Coding;
use failure::Failure;
use format::Wanted;
use route::{Access, Mount, ROUTES, Route};

/// What the protocols need to know of this deployment.
// No PHI: settings of the operator.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The largest body taken, in bytes.
    pub body_bytes_max: usize,
    /// The longest content of a Binary taken, in bytes.
    pub binary_bytes_max: u64,
    /// The address clients use, as `https://fhir.example.org`, when it is not
    /// what they put into the Host header.
    pub base_url: Option<String>,
    /// Whether clients come over TLS, to here or to a proxy before it.
    pub https: bool,
    /// The proxies that say whom they were asked by.
    pub proxies: Proxies,
}

/// A peer's address, put into each request by the listener.
#[derive(Clone, Copy, Debug)]
pub enum Peer {
    /// Over a network.
    Network(std::net::SocketAddr),
    /// Through the data folder's own socket, which only the operator can open.
    Operator,
}

/// Put into a request that was deferred: whose it is, and what its client calls this server.
#[derive(Clone)]
pub(crate) struct Resumed {
    pub(crate) subject: Arc<Subject>,
    pub(crate) base: Arc<str>,
}

/// What carries out requests that were deferred.
#[must_use]
pub fn deferred(router: Router) -> Arc<dyn Perform> {
    Arc::new(fhir::Deferred(router))
}

pub(crate) struct App {
    pub(crate) service: Arc<Service>,
    pub(crate) settings: Settings,
    pub(crate) metrics: metrics::Metrics,
}

type Params = Result<RawPathParams, RawPathParamsRejection>;

/// The service behind every listener.
pub fn router(service: Arc<Service>, settings: Settings) -> Router {
    let app = Arc::new(App {
        service,
        settings,
        metrics: metrics::Metrics::new(),
    });
    let mut paths: BTreeMap<String, MethodRouter> = BTreeMap::new();
    for route in ROUTES {
        for path in spellings(route) {
            let app = Arc::clone(&app);
            let handler = move |params: Params, request: Request| {
                answer(Arc::clone(&app), route, params, request)
            };
            let methods = paths.remove(&path).unwrap_or_default();
            let filter = MethodFilter::try_from(route.method.clone()).unwrap_or(MethodFilter::GET);
            paths.insert(path, methods.on(filter, handler));
        }
    }
    let (elsewhere, otherwise) = (Arc::clone(&app), app);
    paths
        .into_iter()
        .fold(Router::new(), |router, (path, methods)| {
            router.route(&path, methods)
        })
        .fallback(async move |request: Request| {
            elsewhere.refuse("no-such-path", NO_SUCH_PATH, &request)
        })
        .method_not_allowed_fallback(async move |request: Request| otherwise.other_method(&request))
}

/// The paths of a route. The `$` of an operation may come percent-encoded.
fn spellings(route: &Route) -> impl Iterator<Item = String> {
    let paths = route.mount.paths(route.path).into_iter();
    paths.flat_map(|path| {
        let encoded = path.contains('$').then(|| path.replace('$', "%24"));
        [path].into_iter().chain(encoded)
    })
}

const NO_SUCH_PATH: Failure = Failure::Http(
    StatusCode::NOT_FOUND,
    "there is nothing at this path; the FHIR endpoint is /fhir",
);
const NO_SUCH_METHOD: Failure = Failure::Http(
    StatusCode::METHOD_NOT_ALLOWED,
    "this path does not take this method",
);
const NO_SUCH_TEXT: Failure =
    Failure::Http(StatusCode::BAD_REQUEST, "the path is not text in UTF-8");
const ACCEPT_PATCH: HeaderName = HeaderName::from_static("accept-patch");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// For which purpose of use a request is.
const PURPOSE: HeaderName = HeaderName::from_static("salus-purpose-of-use");

/// Answers one request: context, credentials, handler; then metrics and the log's line.
async fn answer(
    app: Arc<App>,
    route: &'static Route,
    params: Params,
    request: Request,
) -> Response {
    let started = Instant::now();
    let request_id = app.service.new_request_id();
    let wanted = match route.mount {
        Mount::Fhir => wanted(&request),
        Mount::Root | Mount::Project | Mount::WellKnown => Wanted::default(),
    };
    let coding = Coding::wanted(request.headers());
    let cors = app.cors(request.uri(), request.headers());
    let call = handle(
        Arc::clone(&app),
        route,
        (request_id, wanted),
        params,
        request,
    );
    let result = AssertUnwindSafe(call).catch_unwind().await;
    let result = result.unwrap_or_else(|_| Err(PANICKED));
    let mut response = app.finish(route.name, (request_id, wanted), started, result);
    if let Some(verdict) = cors {
        verdict.tell(response.headers_mut());
    }
    coding::encode(coding, response).await
}

fn wanted(request: &Request) -> Wanted {
    Wanted::of(request.headers(), request.uri().query().unwrap_or_default())
}

impl App {
    /// Answers what is no route.
    fn refuse(&self, name: &'static str, failure: Failure, request: &Request) -> Response {
        self.answer_at_once(name, Err(failure), request)
    }

    /// Answers a method that no route of this path takes.
    fn other_method(&self, request: &Request) -> Response {
        if !cors::is_preflight(request.method(), request.headers()) {
            return match *request.method() {
                // The router tells the methods, here and where it refuses one.
                Method::OPTIONS => self.answer_at_once("options", Ok(options(request)), request),
                _ => self.refuse("no-such-method", NO_SUCH_METHOD, request),
            };
        }
        let answer = self.preflight(request.uri(), request.headers());
        self.answer_at_once("preflight", answer, request)
    }

    fn answer_at_once(
        &self,
        name: &'static str,
        result: Result<Response, Failure>,
        request: &Request,
    ) -> Response {
        let asked = (self.service.new_request_id(), wanted(request));
        self.finish(name, asked, Instant::now(), result)
    }

    /// Makes the answer, with its request's id, and counts and logs it.
    fn finish(
        &self,
        name: &'static str,
        (request_id, wanted): (RequestId, Wanted),
        started: Instant,
        result: Result<Response, Failure>,
    ) -> Response {
        let (mut response, cause) = match result {
            Ok(response) => (response, None),
            Err(failure) => {
                let cause = failure.cause();
                (
                    failure.into_response(wanted.media.unwrap_or_default()),
                    cause,
                )
            }
        };
        if let Ok(value) = HeaderValue::try_from(request_id.to_string()) {
            response.headers_mut().insert(REQUEST_ID, value);
        }
        let elapsed = started.elapsed();
        let status = response.status();
        if status == StatusCode::UNSUPPORTED_MEDIA_TYPE && name.ends_with("patch") {
            // RFC 5789, 2.2: what would have been taken.
            let headers = response.headers_mut();
            headers.extend(media::patches().map(|types| (ACCEPT_PATCH, types)));
        }
        self.metrics.observe(name, status, elapsed);
        log(name, status, request_id, elapsed, cause.as_deref());
        response
    }
}

/// What a path takes: the router tells the methods, this the patches.
fn options(request: &Request) -> Response {
    let mut response = nothing();
    let path = request.extensions().get::<MatchedPath>();
    if path.is_some_and(|path| route::takes_patches(path.as_str())) {
        // RFC 5789, 3.1
        let headers = response.headers_mut();
        headers.extend(media::patches().map(|types| (ACCEPT_PATCH, types)));
    }
    response
}

/// An answer of nothing but headers.
fn nothing() -> Response {
    let mut response = Response::default();
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

const PANICKED: Failure = Failure::Http(
    StatusCode::INTERNAL_SERVER_ERROR,
    "the server failed on this request; its operator can find it by X-Request-Id",
);

/// One line for each request: never its path, parameters or content.
fn log(
    name: &str,
    status: StatusCode,
    request_id: RequestId,
    elapsed: std::time::Duration,
    cause: Option<&str>,
) {
    let (status, micros) = (status.as_u16(), elapsed.as_micros() as u64);
    match (status, cause) {
        (500.., cause) => {
            tracing::error!(%request_id, name, status, micros, cause = cause.unwrap_or("unknown"), "request failed");
        }
        (_, Some(cause)) => tracing::debug!(%request_id, name, status, micros, cause, "request"),
        (_, None) => tracing::debug!(%request_id, name, status, micros, "request"),
    }
}

async fn handle(
    app: Arc<App>,
    route: &'static Route,
    (request_id, wanted): (RequestId, Wanted),
    params: Params,
    request: Request,
) -> Result<Response, Failure> {
    let (parts, body) = request.into_parts();
    let params = params.map_err(|_| NO_SUCH_TEXT)?;
    let slug = params
        .iter()
        .find(|(key, _)| *key == "project")
        .map(|(_, value)| value);
    let scope = match (route.mount, slug) {
        (Mount::Root, _) => Some(Service::SYSTEM),
        (Mount::Project | Mount::Fhir | Mount::WellKnown, slug) => {
            app.service.project_scope(slug.unwrap_or(projects::DEFAULT))
        }
    };
    let peer = parts.extensions.get::<Peer>().copied();
    let scope_or_none = scope.unwrap_or(Service::NO_SCOPE);
    let (now_ms, era) = app.service.enter();
    let mut cx = Context {
        subject: app.service.anonymous(),
        scope: scope_or_none,
        base: base(&app.settings, host(&parts), slug),
        request_id,
        now_ms,
        era,
        parameters: app.service.parameters(scope_or_none),
        format: wanted.format,
        remote: match peer {
            Some(Peer::Network(address)) => {
                Some(app.settings.proxies.caller(address.ip(), &parts.headers))
            }
            Some(Peer::Operator) | None => None,
        },
    };
    let resumed = parts.extensions.get::<Resumed>().cloned();
    // What is deferred is held whole, which the content of a Binary never is.
    let streams = params.iter().any(|of| of == ("type", BINARY));
    let asynchronous = resumed.is_none() && !streams && is_deferred(route, &parts.headers);
    if let Some(resumed) = resumed {
        cx.subject = resumed.subject;
        cx.base = resumed.base;
    } else if let Access::Token(what) = route.access {
        let credential = match peer {
            Some(Peer::Operator) => Credential::Operator,
            Some(Peer::Network(_)) | None => bearer(&parts.headers),
        };
        cx.subject = app.service.authenticate(&cx, credential).await?;
        // A project that does not exist answers as one that the caller has no part in.
        if scope.is_none() {
            return Err(app.service.refuse_project(&cx).await.into());
        }
        if let Some(stated) = stated_purpose(&parts.headers) {
            let stating = app.service.stating(&cx, what, credential, stated);
            cx.subject = stating.await?;
        }
    } else if scope.is_none() {
        return Err(NO_SUCH_PATH);
    }
    let mut call = Call {
        app,
        cx,
        params,
        uri: parts.uri,
        wanted,
        method: parts.method,
        headers: parts.headers,
        body,
        unreadable: None,
    };
    let answer = match asynchronous {
        true => fhir::defer(&mut call, &route.method).await,
        false => (route.handler)(&mut call).await,
    };
    let answer = match (call.unreadable.take(), answer) {
        (Some(unreadable), Err(Failure::Service(error))) if error.kind().status().0 == 400 => {
            Err(Failure::Told(Box::new(unreadable)))
        }
        (_, answer) => answer,
    };
    let unread = matches!(answer, Err(Failure::Http(..) | Failure::Unreadable(_)));
    if let (true, Access::Token(what)) = (unread, route.access) {
        // No use case has seen it, so none has told the audit.
        let place = (call.param("type"), call.param("id"));
        call.service()
            .note_unreadable(&call.cx, what, place, route.operation())
            .await?;
    }
    break_glass::with_banner(answer, &call.cx)
}

/// Whether the client does not want to wait for this. What is about jobs is never deferred.
fn is_deferred(route: &Route, headers: &http::HeaderMap) -> bool {
    may_be_deferred(route) && fhir::is_asynchronous(headers)
}

fn may_be_deferred(route: &Route) -> bool {
    let is_of_jobs = route.name.starts_with("job")
        || route.name.starts_with("$export")
        || route.name == "$import";
    route.mount == Mount::Fhir && route.access != Access::Public && !is_of_jobs
}

/// What a request states that it is for; one that states several things states none.
fn stated_purpose(headers: &http::HeaderMap) -> Option<&[u8]> {
    let mut all = headers.get_all(PURPOSE).into_iter();
    let first = all.next()?;
    Some(all.next().map_or(first.as_bytes(), |_| &[]))
}

/// The token of an Authorization header (RFC 6750, 2.1).
pub(crate) fn bearer(headers: &http::HeaderMap) -> Credential<'_> {
    headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map_or(Credential::None, |(_, token)| {
            Credential::Token(token.trim())
        })
}

/// The base URL of a project's FHIR endpoint, as the client knows it.
fn base(settings: &Settings, host: &str, project: Option<&str>) -> Arc<str> {
    let (scheme, root) = match &settings.base_url {
        Some(url) => ("", url.trim_end_matches('/')),
        None if settings.https => ("https://", host),
        None => ("http://", host),
    };
    match project {
        Some(slug) => [scheme, root, "/p/", slug, "/fhir"].concat().into(),
        None => [scheme, root, "/fhir"].concat().into(),
    }
}

/// The host that the client asked. HTTP/2 has it in the target, without a header (RFC 9113, 8.3.1).
fn host(parts: &http::request::Parts) -> &str {
    let header = || parts.headers.get(header::HOST)?.to_str().ok();
    parts
        .uri
        .authority()
        .map(http::uri::Authority::as_str)
        .or_else(header)
        .filter(|host| {
            host.bytes()
                .all(|b| b.is_ascii_alphanumeric() || b".-:[]".contains(&b))
        })
        .unwrap_or("localhost")
}
