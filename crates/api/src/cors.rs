//! Requests from web pages of other origins: <https://fetch.spec.whatwg.org/#http-cors-protocol>.
//!
//! Each project says which origins may call it. Cookies are nothing to us: a
//! page has to send its token itself. So `Access-Control-Allow-Credentials` is
//! never sent, and a project may name `*`.

use axum::response::Response;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use salus_service::projects;

use crate::App;
use crate::failure::Failure;
use crate::route::{Mount, ROUTES};

const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE");
/// What a page may send beside the headers that it always may.
const HEADERS: HeaderValue = HeaderValue::from_static(
    "Authorization, Content-Type, Content-Encoding, Prefer, If-Match, If-None-Match, \
     If-Modified-Since, If-None-Exist, Idempotency-Key, Range, If-Range, X-Security-Context, X-Requested-With, \
     Salus-Purpose-Of-Use",
);
/// What a page may see beside the headers that it always may.
const EXPOSED: HeaderValue = HeaderValue::from_static(
    "ETag, Location, Content-Location, Last-Modified, Content-Range, Accept-Ranges, \
     Content-Disposition, X-Security-Context, Preference-Applied, Retry-After, WWW-Authenticate, X-Progress, X-Request-Id, \
     Salus-Break-Glass",
);
const ORIGIN: HeaderValue = HeaderValue::from_static("Origin");
const PREFLIGHT: HeaderValue = HeaderValue::from_static(
    "Origin, Access-Control-Request-Method, Access-Control-Request-Headers",
);
const REFUSED: Failure = Failure::Http(
    StatusCode::FORBIDDEN,
    "pages of this origin may not call this project; its administrator can allow it with PUT /admin/cors",
);

/// What is said to the page that a request comes from.
pub(crate) struct Verdict {
    /// What its origin is answered with, if it is allowed.
    allowed: Option<HeaderValue>,
    max_age_seconds: u32,
}

impl App {
    /// What to say, if the project has a policy and the request comes from a page.
    pub(crate) fn cors(&self, uri: &Uri, headers: &HeaderMap) -> Option<Verdict> {
        let origin = headers.get(header::ORIGIN)?;
        let scope = self.service.project_scope(project(uri.path())?)?;
        let policy = self.service.cors(scope)?;
        let listed = |known: &&String| *known == "*" || known.as_bytes() == origin.as_bytes();
        let known = policy.origins.iter().find(listed);
        Some(Verdict {
            allowed: known.and_then(|known| HeaderValue::try_from(known).ok()),
            max_age_seconds: policy.max_age_seconds,
        })
    }

    /// The answer to a browser that asks before it sends a page's request.
    pub(crate) fn preflight(&self, uri: &Uri, headers: &HeaderMap) -> Result<Response, Failure> {
        let verdict = self.cors(uri, headers).ok_or(REFUSED)?;
        let allowed = verdict.allowed.ok_or(REFUSED)?;
        let mut response = crate::nothing();
        let headers = response.headers_mut();
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS);
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HEADERS);
        let seconds = HeaderValue::from(verdict.max_age_seconds);
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, seconds);
        headers.insert(header::VARY, PREFLIGHT);
        Ok(response)
    }
}

impl Verdict {
    /// Tells the browser.
    pub(crate) fn tell(self, headers: &mut HeaderMap) {
        headers.append(header::VARY, ORIGIN);
        if let Some(allowed) = self.allowed {
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
            headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
        }
    }
}

/// Whether this is a browser that asks before it sends a page's request.
pub(crate) fn is_preflight(method: &Method, headers: &HeaderMap) -> bool {
    method == Method::OPTIONS
        && headers.contains_key(header::ORIGIN)
        && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

/// The project that a path is of. What is at the root of the server is of none.
fn project(path: &str) -> Option<&str> {
    if let Some(below) = path.strip_prefix("/p/") {
        return below.split('/').next();
    }
    let of_server = |route: &crate::route::Route| route.mount == Mount::Root && route.path == path;
    (!ROUTES.iter().any(of_server)).then_some(projects::DEFAULT)
}
