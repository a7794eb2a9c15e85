//! Signing in as an administrator, signing out, and the first set-up.

use axum::response::Response;
use http::{HeaderValue, StatusCode, header};
use salus_service::Secret;
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

/// `POST /auth/sign-in` with `{"email", "password"}`: a token, or what has to come before it.
pub(crate) async fn sign_in(call: &mut Call) -> Result<Response, Failure> {
    let asked: SignIn = crate::admin::body(call).await?;
    let password = Secret::new(asked.password);
    let done = call
        .service()
        .sign_in(&call.cx, &asked.email, password)
        .await?;
    Ok(crate::factors::step(&done))
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
