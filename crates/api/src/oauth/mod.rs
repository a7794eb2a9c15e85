//! OAuth 2.1 over HTTP: the endpoints that clients call, and the documents by
//! which they find them.

pub(crate) mod apps;
mod brands;
mod browser;
mod discovery;
mod files;
mod flows;
mod form;
pub(crate) mod keys;
mod launch;
mod logout;
mod pages;
pub(crate) mod providers;
pub(crate) mod registration;
mod steps;
mod theme;

use axum::response::Response;
use http::{HeaderValue, StatusCode, header};
use salus_service::oauth::{Code, Fault, Given, Refused};
use salus_service::sessions::SignedIn;
use serde_json::json;

pub(crate) use brands::{brands, write_brands};
pub(crate) use browser::{authorize, authorize_post, decide, pick, sign_in};
pub(crate) use discovery::{authorization_server, jwks, openid, rotate_keys, smart};
pub(crate) use files::{logo, script, style};
pub(crate) use flows::{begin_device, device_page, push};
pub(crate) use launch::launch;
pub(crate) use logout::{logout, logout_decision, logout_page};
pub(crate) use steps::{factor, passkey};
pub(crate) use theme::{read_theme, smart_style, write_theme};

use crate::call::Call;
use crate::failure::Failure;
use crate::health::json as answer;
use form::Credentials;
pub(crate) use form::Form;
pub(crate) use pages::{Page, alert, escape, marks, page, show};

/// `POST /auth/token` (RFC 6749, 3.2).
pub(crate) async fn token(call: &mut Call) -> Result<Response, Failure> {
    let form = Form::of(call).await?;
    match form.get("grant_type") {
        Some("client_credentials") => for_itself(call, &form).await,
        Some("authorization_code") => for_a_code(call, &form).await,
        Some("refresh_token") => again(call, &form).await,
        Some("urn:ietf:params:oauth:grant-type:device_code") => flows::poll(call, &form).await,
        Some("urn:ietf:params:oauth:grant-type:token-exchange") => {
            flows::exchange(call, &form).await
        }
        Some(_) => Err(failure(Fault::new(
            Code::UnsupportedGrantType,
            "grant_type must be one of grant_types_supported of the discovery document",
        ))),
        None => Err(form::missing("grant_type is missing")),
    }
}

async fn for_itself(call: &mut Call, form: &Form) -> Result<Response, Failure> {
    let credentials = Credentials::of(call, form)?;
    let scopes = form.get("scope").unwrap_or_default();
    let asked = (scopes, form.get("purpose_of_use"));
    let given = call
        .service()
        .client_credentials(&call.cx, credentials.presented(), asked);
    let given = given.await.map_err(refused)?;
    Ok(bearer(&given))
}

async fn for_a_code(call: &mut Call, form: &Form) -> Result<Response, Failure> {
    let credentials = Credentials::of(call, form)?;
    let code = form.get("code").ok_or(form::missing("code is missing"))?;
    let proof = (form.get("redirect_uri"), form.get("code_verifier"));
    let given = call
        .service()
        .trade_code(&call.cx, credentials.presented(), code, proof);
    let given = given.await.map_err(refused)?;
    Ok(for_a_user(&given))
}

async fn again(call: &mut Call, form: &Form) -> Result<Response, Failure> {
    let credentials = Credentials::of(call, form)?;
    let token = form.get("refresh_token");
    let token = token.ok_or(form::missing("refresh_token is missing"))?;
    let scopes = form.get("scope").unwrap_or_default();
    let given = call
        .service()
        .refresh(&call.cx, credentials.presented(), token, scopes);
    let given = given.await.map_err(refused)?;
    Ok(for_a_user(&given))
}

/// `GET` and `POST /auth/userinfo` (OpenID Connect Core, 5.3).
pub(crate) async fn user_info(call: &mut Call) -> Result<Response, Failure> {
    let told = call.service().user_info(&call.cx).await?;
    Ok(unstored(answer(StatusCode::OK, &told)))
}

fn for_a_user(given: &Given) -> Response {
    let mut body = json!({
        "access_token": given.token.expose(),
        "token_type": "Bearer",
        "expires_in": given.expires_in_s,
        "scope": given.scopes,
    });
    if let Some(refresh) = &given.refresh {
        body["refresh_token"] = json!(refresh.expose());
    }
    if let Some(id_token) = &given.id_token {
        body["id_token"] = json!(id_token);
    }
    for (name, value) in &given.context {
        body[name] = value.clone();
    }
    unstored(answer(StatusCode::OK, &body))
}

/// `POST /auth/introspect` (RFC 7662).
pub(crate) async fn introspect(call: &mut Call) -> Result<Response, Failure> {
    let form = Form::of(call).await?;
    let credentials = Credentials::of(call, &form)?;
    let token = form.get("token").ok_or(form::missing("token is missing"))?;
    let told = call
        .service()
        .introspect(&call.cx, credentials.presented(), token);
    let told = told.await.map_err(refused)?;
    Ok(unstored(answer(StatusCode::OK, &told)))
}

/// `POST /auth/revoke` (RFC 7009).
pub(crate) async fn revoke(call: &mut Call) -> Result<Response, Failure> {
    let form = Form::of(call).await?;
    let credentials = Credentials::of(call, &form)?;
    let token = form.get("token").ok_or(form::missing("token is missing"))?;
    let ended = call
        .service()
        .revoke(&call.cx, credentials.presented(), token);
    ended.await.map_err(refused)?;
    Ok(unstored(answer(StatusCode::OK, &json!({}))))
}

/// A token for its owner (RFC 6749, 5.1).
pub(crate) fn bearer(signed_in: &SignedIn) -> Response {
    let mut body = json!({
        "access_token": signed_in.token.expose(),
        "token_type": "Bearer",
        "expires_in": signed_in.expires_in_s,
    });
    if let Some(scopes) = &signed_in.scopes {
        body["scope"] = json!(scopes);
    }
    unstored(answer(StatusCode::OK, &body))
}

/// The same, for nobody to keep.
pub(crate) fn unstored(mut response: Response) -> Response {
    let never = HeaderValue::from_static("no-store");
    response.headers_mut().insert(header::CACHE_CONTROL, never);
    response
}

fn refused(refused: Refused) -> Failure {
    match refused {
        Refused::Fault(fault) => failure(fault),
        Refused::Service(error) => Failure::Service(error),
    }
}

/// An error of the protocol (RFC 6749, 5.2).
fn failure(fault: Fault) -> Failure {
    let status = match fault.code {
        Code::InvalidClient | Code::InvalidToken => StatusCode::UNAUTHORIZED,
        Code::ServerError => StatusCode::INTERNAL_SERVER_ERROR,
        Code::TemporarilyUnavailable => StatusCode::SERVICE_UNAVAILABLE,
        Code::InvalidRequest
        | Code::AccessDenied
        | Code::InvalidGrant
        | Code::UnauthorizedClient
        | Code::UnsupportedGrantType
        | Code::UnsupportedResponseType
        | Code::InvalidScope
        | Code::AuthorizationPending
        | Code::SlowDown
        | Code::ExpiredToken
        | Code::InvalidRedirectUri
        | Code::InvalidClientMetadata
        | Code::InvalidSoftwareStatement
        | Code::UnapprovedSoftwareStatement
        | Code::LoginRequired
        | Code::ConsentRequired => StatusCode::BAD_REQUEST,
    };
    Failure::OAuth(status, fault.code.name(), fault.description)
}
