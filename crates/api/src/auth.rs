//! Signing in: tokens for clients and administrators, and the first set-up.

use axum::response::Response;
use base64ct::{Base64, Encoding};
use http::{HeaderValue, StatusCode, header};
use salus_service::Secret;
use salus_service::error::{Error, Kind};
use salus_service::sessions::SignedIn;
use serde::Deserialize;
use serde_json::json;

use crate::call::{Call, pairs};
use crate::failure::Failure;
use crate::health::json as answer;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SignIn {
    email: String,
    password: String,
}

/// `POST /auth/token`: a client's token for its id and secret
/// (RFC 6749, 4.4; the secret in the form or as Basic authentication).
pub(crate) async fn token(call: &mut Call) -> Result<Response, Failure> {
    let body = call.take_form().await?;
    let form = std::str::from_utf8(&body).map_err(|_| bad("the form is not UTF-8"))?;
    let form = pairs(form)?;
    let field = |name: &str| {
        form.iter()
            .find(|(key, _)| key == name)
            .map(|(_, v)| v.clone())
    };
    if field("grant_type").as_deref() != Some("client_credentials") {
        return Err(Failure::OAuth(
            StatusCode::BAD_REQUEST,
            "unsupported_grant_type",
            "grant_type must be client_credentials",
        ));
    }
    let (id, secret) = match basic(call) {
        Some(pair) => pair,
        None => match (field("client_id"), field("client_secret")) {
            (Some(id), Some(secret)) => (id, secret),
            _ => return Err(bad("send client_id and client_secret")),
        },
    };
    let scopes = field("scope").unwrap_or_default();
    let secret = Secret::new(secret);
    let done = call
        .service()
        .client_token(&call.cx, &id, &secret, &scopes)
        .await;
    done.map(|signed_in| bearer(&signed_in)).map_err(as_oauth)
}

/// `POST /auth/sign-in` with `{"email", "password"}`: an administrator's token.
pub(crate) async fn sign_in(call: &mut Call) -> Result<Response, Failure> {
    let asked: SignIn = crate::admin::body(call).await?;
    let password = Secret::new(asked.password);
    let done = call
        .service()
        .sign_in(&call.cx, &asked.email, password)
        .await?;
    Ok(bearer(&done))
}

/// `POST /auth/sign-out`: the token stops working.
pub(crate) async fn sign_out(call: &mut Call) -> Result<Response, Failure> {
    let credential = crate::bearer(&call.headers);
    call.service().sign_out(&call.cx, credential).await?;
    Ok(answer(StatusCode::OK, &json!({"signed_out": true})))
}

/// `GET /setup?link=…`: the page on which the first administrator is made.
pub(crate) async fn setup_page(call: &mut Call) -> Result<Response, Failure> {
    if call.service().is_set_up().await? {
        return Ok(page(DONE.to_owned()));
    }
    let pairs = call.query_pairs()?;
    let link = pairs.iter().find(|(key, _)| key == "link");
    let link = link.map_or("", |(_, value)| value);
    // Only what a link can be made of gets into the page.
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    let link = if link.bytes().all(plain) { link } else { "" };
    Ok(page(FORM.replace("{link}", link)))
}

/// `POST /setup`: makes the first administrator, and uses up the link.
pub(crate) async fn setup(call: &mut Call) -> Result<Response, Failure> {
    let body = call.take_form().await?;
    let form = std::str::from_utf8(&body)
        .map_err(|_| Failure::Http(StatusCode::BAD_REQUEST, "the form is not UTF-8"))?;
    let mut link = String::new();
    let mut email = String::new();
    let mut password = String::new();
    for (key, value) in pairs(form)? {
        match key.as_str() {
            "link" => link = value,
            "email" => email = value,
            "password" => password = value,
            _ => {}
        }
    }
    let password = Secret::new(password);
    call.service()
        .set_up(&call.cx, &link, &email, password)
        .await?;
    Ok(page(DONE.to_owned()))
}

fn bearer(signed_in: &SignedIn) -> Response {
    let mut body = json!({
        "access_token": signed_in.token.expose(),
        "token_type": "Bearer",
        "expires_in": signed_in.expires_in_s,
    });
    if let Some(scopes) = &signed_in.scopes {
        body["scope"] = json!(scopes);
    }
    let mut response = answer(StatusCode::OK, &body);
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Id and secret of Basic authentication (RFC 6749, 2.3.1: both form-encoded).
fn basic(call: &Call) -> Option<(String, String)> {
    let (scheme, coded) = call.header(header::AUTHORIZATION)?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let plain = Base64::decode_vec(coded.trim()).ok()?;
    let plain = String::from_utf8(plain).ok()?;
    let (id, secret) = plain.split_once(':')?;
    let decode = |text: &str| {
        form_urlencoded::parse(text.as_bytes())
            .next()
            .map(|(key, _)| key.into_owned())
    };
    Some((decode(id)?, decode(secret)?))
}

fn bad(description: &'static str) -> Failure {
    Failure::OAuth(StatusCode::BAD_REQUEST, "invalid_request", description)
}

/// RFC 6749, 5.2.
fn as_oauth(error: Error) -> Failure {
    match error.kind() {
        Kind::Unauthenticated => Failure::OAuth(
            StatusCode::UNAUTHORIZED,
            "invalid_client",
            "the client id or secret is not valid",
        ),
        Kind::Invalid => Failure::OAuth(
            StatusCode::BAD_REQUEST,
            "invalid_scope",
            "a scope is not one that this client may have",
        ),
        Kind::Forbidden
        | Kind::NotFound
        | Kind::Gone
        | Kind::Conflict
        | Kind::Precondition
        | Kind::Unprocessable
        | Kind::Throttled
        | Kind::Unavailable
        | Kind::Internal => Failure::Service(error),
    }
}

fn page(html: String) -> Response {
    let mut response = Response::new(html.into());
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'",
        ),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

const FORM: &str = include_str!("pages/setup.html");
const DONE: &str = include_str!("pages/setup-done.html");
