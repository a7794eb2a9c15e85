//! Clients that register themselves, over HTTP: RFC 7591 and RFC 7592, and what
//! administrators set about it.

use axum::response::Response;
use http::StatusCode;
use salus_service::oauth::{
    Code, InitialTokenToBe, InitialTokenView, Refused, RegisteredClient, RegistrationToBe, issuer,
};
use salus_service::sessions::Credential;
use salus_service::{AuthMethod, DynamicRegistration, GrantType, RegistrationMode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{discovery, unstored};
use crate::call::Call;
use crate::failure::Failure;
use crate::health::json as answer;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Setting {
    mode: RegistrationMode,
    scopes: Option<String>,
    grant_types: Option<Vec<GrantType>>,
    clients_max: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewToken {
    name: String,
    days: i64,
    uses: u32,
}

/// `POST /auth/register` (RFC 7591, 3.1).
pub(crate) async fn register(call: &mut Call) -> Result<Response, Failure> {
    let body = call.take_form().await?;
    let done = call
        .service()
        .register(&call.cx, token(call), &body)
        .await
        .map_err(refused)?;
    Ok(unstored(answer(StatusCode::CREATED, &view(&done))))
}

/// `GET /auth/register/{id}` (RFC 7592, 2.1).
pub(crate) async fn read(call: &mut Call) -> Result<Response, Failure> {
    let whose = (call.param("id"), token(call));
    let done = call.service().own_registration(&call.cx, whose).await;
    Ok(unstored(answer(
        StatusCode::OK,
        &view(&done.map_err(refused)?),
    )))
}

/// `PUT /auth/register/{id}` (RFC 7592, 2.2).
pub(crate) async fn change(call: &mut Call) -> Result<Response, Failure> {
    let body = call.take_form().await?;
    let whose = (call.param("id"), token(call));
    let done = call
        .service()
        .change_own_registration(&call.cx, whose, &body);
    let done = done.await.map_err(refused)?;
    Ok(unstored(answer(StatusCode::OK, &view(&done))))
}

/// `DELETE /auth/register/{id}` (RFC 7592, 2.3).
pub(crate) async fn delete(call: &mut Call) -> Result<Response, Failure> {
    let whose = (call.param("id"), token(call));
    let done = call.service().end_own_registration(&call.cx, whose).await;
    done.map_err(refused)?;
    Ok(unstored(crate::nothing()))
}

/// `GET /admin/registration`
pub(crate) async fn read_setting(call: &mut Call) -> Result<Response, Failure> {
    let setting = call.service().read_registration(&call.cx).await?;
    Ok(answer(StatusCode::OK, &view_setting(&setting)))
}

/// `PUT /admin/registration` with `{"mode", "scopes"?, "grant_types"?, "clients_max"?}`
pub(crate) async fn write_setting(call: &mut Call) -> Result<Response, Failure> {
    let new: Setting = crate::admin::body(call).await?;
    let setting = RegistrationToBe {
        mode: new.mode,
        scopes: new.scopes,
        grant_types: new.grant_types,
        clients_max: new.clients_max,
    };
    let written = call.service().write_registration(&call.cx, setting).await?;
    Ok(answer(StatusCode::OK, &view_setting(&written)))
}

/// `GET /admin/registration/tokens`
pub(crate) async fn list_tokens(call: &mut Call) -> Result<Response, Failure> {
    let tokens = call.service().list_initial_tokens(&call.cx).await?;
    let tokens: Vec<Value> = tokens.iter().map(view_token).collect();
    Ok(answer(StatusCode::OK, &json!({"tokens": tokens})))
}

/// `POST /admin/registration/tokens` with `{"name", "days", "uses"}`; answers with the
/// token, once.
pub(crate) async fn make_token(call: &mut Call) -> Result<Response, Failure> {
    let new: NewToken = crate::admin::body(call).await?;
    let wanted = InitialTokenToBe {
        name: new.name,
        days: new.days,
        uses: new.uses,
    };
    let made = call.service().make_initial_token(&call.cx, wanted).await?;
    let mut body = view_token(&made.0);
    body["token"] = json!(made.1.expose());
    Ok(unstored(answer(StatusCode::CREATED, &body)))
}

/// `DELETE /admin/registration/tokens/{key}`
pub(crate) async fn end_token(call: &mut Call) -> Result<Response, Failure> {
    call.service()
        .end_initial_token(&call.cx, call.param("key"))
        .await?;
    Ok(answer(StatusCode::OK, &json!({"deleted": true})))
}

/// What discovery says of it: nothing where it is off.
pub(super) async fn tell(call: &mut Call, document: &mut Value) -> Result<(), Failure> {
    if call.service().takes_registrations(&call.cx).await? {
        let place = discovery::endpoint(issuer(&call.cx), "register");
        document["registration_endpoint"] = json!(place);
    }
    Ok(())
}

/// What came as a bearer token. It is of no session, and opens none.
fn token(call: &Call) -> Option<&str> {
    match crate::bearer(&call.headers) {
        Credential::Token(text) => Some(text),
        Credential::None | Credential::Operator => None,
    }
}

/// That a client may not register at all has no word in RFC 7591.
fn refused(refused: Refused) -> Failure {
    match refused {
        Refused::Fault(fault) if fault.code == Code::AccessDenied => {
            Failure::OAuth(StatusCode::FORBIDDEN, fault.code.name(), fault.description)
        }
        Refused::Fault(_) | Refused::Service(_) => super::refused(refused),
    }
}

/// RFC 7591, 3.2.1; RFC 7592, 3.
fn view(registered: &RegisteredClient) -> Value {
    let client = &registered.client;
    let by_code = client.grants.contains(&GrantType::AuthorizationCode);
    let mut body = json!({
        "client_id": client.id,
        "client_id_issued_at": registered.issued_s,
        "client_name": client.name,
        "scope": client.scopes,
        "grant_types": client.grants,
        "response_types": if by_code { vec!["code"] } else { Vec::new() },
        "token_endpoint_auth_method": match client.auth {
            AuthMethod::ClientSecret => "client_secret_basic",
            AuthMethod::PrivateKeyJwt => "private_key_jwt",
            AuthMethod::None => "none",
        },
        "registration_access_token": registered.access.expose(),
        "registration_client_uri": registered.place,
    });
    if !client.redirects.is_empty() {
        body["redirect_uris"] = json!(client.redirects);
    }
    if !client.logout_redirects.is_empty() {
        body["post_logout_redirect_uris"] = json!(client.logout_redirects);
    }
    if let Some(jwks) = &client.jwks {
        body["jwks"] = json!(jwks);
    }
    if let Some(secret) = &registered.secret {
        body["client_secret"] = json!(secret.expose());
        // It does not end.
        body["client_secret_expires_at"] = json!(0);
    }
    body
}

fn view_setting(setting: &DynamicRegistration) -> Value {
    serde_json::to_value(setting).unwrap_or_default()
}

fn view_token(token: &InitialTokenView) -> Value {
    json!({
        "id": token.id,
        "name": token.name,
        "created": token.created,
        "expires": token.expires,
        "uses_max": token.uses_max,
        "uses": token.uses,
    })
}
