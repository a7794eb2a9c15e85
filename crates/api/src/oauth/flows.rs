//! Ways to tokens beside the code: requests sent ahead (RFC 9126), devices
//! (RFC 8628) and tokens handed on (RFC 8693).

use axum::response::Response;
use http::StatusCode;
use salus_service::oauth::{Asked, DEVICE_INTERVAL_MS, DEVICE_LIFETIME_MS, PUSHED_LIFETIME_MS};
use serde_json::json;

use super::form::{Credentials, Form, missing};
use super::{for_a_user, pages, refused, unstored};
use crate::call::Call;
use crate::failure::Failure;
use crate::health::json as answer;

/// The only tokens that can be handed on, and that come of it (RFC 8693, 3).
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

/// `POST /auth/par` (RFC 9126, 2).
pub(crate) async fn push(call: &mut Call) -> Result<Response, Failure> {
    let form = Form::of(call).await?;
    let credentials = Credentials::of(call, &form)?;
    if form.get("request_uri").is_some() {
        return Err(missing("request_uri is what comes of this"));
    }
    let (asked, request) = kept(&form);
    let request = (&asked, request);
    let pushed = call
        .service()
        .push(&call.cx, credentials.presented(), request);
    let name = pushed.await.map_err(refused)?;
    let body = json!({"request_uri": name, "expires_in": PUSHED_LIFETIME_MS / 1000});
    Ok(unstored(answer(StatusCode::CREATED, &body)))
}

/// What is kept of a request: all but the proof of the client.
fn kept(form: &Form) -> (Asked, String) {
    let kept = || {
        let pairs = form.pairs();
        pairs.filter(|(name, _)| !name.starts_with("client_") || *name == "client_id")
    };
    let mut request = form_urlencoded::Serializer::new(String::new());
    request.extend_pairs(kept());
    (Asked::of(kept()), request.finish())
}

/// `POST /auth/device_authorization` (RFC 8628, 3.1).
pub(crate) async fn begin_device(call: &mut Call) -> Result<Response, Failure> {
    let form = Form::of(call).await?;
    let credentials = Credentials::of(call, &form)?;
    let scopes = form.get("scope").unwrap_or_default();
    let asked = (scopes, form.get("purpose_of_use"));
    let begun = call
        .service()
        .begin_device(&call.cx, credentials.presented(), asked);
    let waiting = begun.await.map_err(refused)?;
    let complete = format!("{}?user_code={}", waiting.place, waiting.user_code);
    let body = json!({
        "device_code": waiting.device_code.expose(),
        "user_code": waiting.user_code,
        "verification_uri": waiting.place,
        "verification_uri_complete": complete,
        "expires_in": DEVICE_LIFETIME_MS / 1000,
        "interval": DEVICE_INTERVAL_MS / 1000,
    });
    Ok(unstored(answer(StatusCode::OK, &body)))
}

/// `GET /auth/device`: where a user types what a device shows.
pub(crate) async fn device_page(call: &mut Call) -> Result<Response, Failure> {
    let pairs = call.query_pairs()?;
    let code = pairs.iter().find(|(name, _)| name == "user_code");
    let code = code.map_or("", |(_, code)| code);
    let look = call.service().look(&call.cx).await?;
    let page = pages::device(&look.root, code);
    Ok(pages::show(&look, StatusCode::OK, &page, ""))
}

/// The answer to a device that asks.
pub(super) async fn poll(call: &mut Call, form: &Form) -> Result<Response, Failure> {
    let credentials = Credentials::of(call, form)?;
    let code = form.get("device_code");
    let code = code.ok_or(missing("device_code is missing"))?;
    let given = call
        .service()
        .poll_device(&call.cx, credentials.presented(), code);
    Ok(for_a_user(&given.await.map_err(refused)?))
}

/// A token for another one.
pub(super) async fn exchange(call: &mut Call, form: &Form) -> Result<Response, Failure> {
    let credentials = Credentials::of(call, form)?;
    let token = form.get("subject_token");
    let token = token.ok_or(missing("subject_token is missing"))?;
    let wanted = form.get("requested_token_type").unwrap_or(ACCESS_TOKEN);
    if form.get("subject_token_type") != Some(ACCESS_TOKEN) || wanted != ACCESS_TOKEN {
        return Err(missing("tokens are of the type access_token only"));
    }
    if form.get("actor_token").is_some() {
        return Err(missing("the client that asks is the actor"));
    }
    let scopes = form.get("scope").unwrap_or_default();
    let given = call
        .service()
        .exchange(&call.cx, credentials.presented(), (token, scopes));
    let given = given.await.map_err(refused)?;
    let body = json!({
        "access_token": given.token.expose(),
        "issued_token_type": ACCESS_TOKEN,
        "token_type": "Bearer",
        "expires_in": given.expires_in_s,
        "scope": given.scopes,
    });
    Ok(unstored(answer(StatusCode::OK, &body)))
}
