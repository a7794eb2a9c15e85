//! What pages load: the sheet of style, the script, the logo. Browsers keep them for some minutes and
//! ask by their tag whether they are still the same (RFC 9110, 8.8.3).

use axum::response::Response;
use http::{HeaderValue, StatusCode, header};
use salus_service::oauth::content_tag;

use crate::call::Call;
use crate::failure::Failure;

const STYLE: &str = include_str!("../pages/style.css");
const SCRIPT: &str = include_str!("../pages/passkey.js");

/// `GET /auth/style.css`, with the colours of the project.
pub(crate) async fn style(call: &mut Call) -> Result<Response, Failure> {
    let look = call.service().look(&call.cx).await?;
    let sheet = [STYLE, &look.theme.sheet()].concat();
    Ok(file(call, "text/css; charset=utf-8", sheet.into()))
}

/// `GET /auth/passkey.js`: the only script that there is.
pub(crate) async fn script(call: &mut Call) -> Result<Response, Failure> {
    let script = SCRIPT.to_owned().into_bytes();
    Ok(file(call, "text/javascript; charset=utf-8", script))
}

/// `GET /auth/logo`: nothing, if there is none.
pub(crate) async fn logo(call: &mut Call) -> Result<Response, Failure> {
    let look = call.service().look(&call.cx).await?;
    Ok(match look.theme.logo_bytes() {
        Some((ty, bytes)) => file(call, ty, bytes),
        None => crate::nothing(),
    })
}

fn file(call: &Call, ty: &'static str, bytes: Vec<u8>) -> Response {
    let tag = format!("\"{}\"", content_tag(&bytes));
    let known = call.header(header::IF_NONE_MATCH);
    let same = known.is_some_and(|known| is_among(&tag, known));
    let mut response = match same {
        true => crate::nothing(),
        false => Response::new(bytes.into()),
    };
    if same {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    }
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, ty),
        (header::CACHE_CONTROL, "public, max-age=300"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if let Ok(tag) = HeaderValue::try_from(tag) {
        headers.insert(header::ETAG, tag);
    }
    response
}

/// Whether a list of tags has this one; for reading, weak ones count as well (RFC 9110, 13.1.2).
fn is_among(tag: &str, known: &str) -> bool {
    let mut tags = known.split(',').map(str::trim);
    tags.any(|known| known == "*" || known.strip_prefix("W/").unwrap_or(known) == tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_found_in_lists() {
        assert!(is_among("\"a\"", "\"b\", W/\"a\"") && is_among("\"a\"", "*"));
        assert!(!is_among("\"a\"", "\"ab\"") && !is_among("\"a\"", "a"));
    }
}
