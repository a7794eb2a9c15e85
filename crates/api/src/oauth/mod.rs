//! OAuth 2.1 over HTTP: the endpoints that clients call, and the documents by
//! which they find them.

mod discovery;
mod form;

use axum::response::Response;
use http::{HeaderValue, StatusCode, header};
use salus_service::oauth::{Code, Fault, Refused};
use salus_service::sessions::SignedIn;
use serde_json::json;

pub(crate) use discovery::{authorization_server, keys, rotate_keys, smart};

use crate::call::Call;
use crate::failure::Failure;
use crate::health::json as answer;
use form::{Credentials, Form};

/// `POST /auth/token` (RFC 6749, 3.2).
pub(crate) async fn token(call: &mut Call) -> Result<Response, Failure> {
    let form = Form::of(call).await?;
    match form.get("grant_type") {
        Some("client_credentials") => {}
        Some(_) => {
            return Err(failure(Fault::new(
                Code::UnsupportedGrantType,
                "grant_type must be client_credentials",
            )));
        }
        None => return Err(form::missing("grant_type is missing")),
    }
    let credentials = Credentials::of(call, &form)?;
    let scopes = form.get("scope").unwrap_or_default();
    let given = call
        .service()
        .client_credentials(&call.cx, credentials.presented(), scopes);
    let given = given.await.map_err(refused)?;
    Ok(bearer(&given))
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
fn unstored(mut response: Response) -> Response {
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
        Code::InvalidClient => StatusCode::UNAUTHORIZED,
        Code::AccessDenied => StatusCode::FORBIDDEN,
        Code::ServerError => StatusCode::INTERNAL_SERVER_ERROR,
        Code::TemporarilyUnavailable => StatusCode::SERVICE_UNAVAILABLE,
        Code::InvalidRequest
        | Code::InvalidGrant
        | Code::UnauthorizedClient
        | Code::UnsupportedGrantType
        | Code::UnsupportedResponseType
        | Code::InvalidScope
        | Code::LoginRequired
        | Code::ConsentRequired => StatusCode::BAD_REQUEST,
    };
    Failure::OAuth(status, fault.code.name(), fault.description)
}
