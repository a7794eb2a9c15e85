//! Keys of clients, for servers to keep: made, listed and ended by administrators.

use axum::response::Response;
use http::StatusCode;
use salus_service::oauth::{KeyToBe, KeyView};
use serde::Deserialize;
use serde_json::{Value, json};

use super::unstored;
use crate::call::Call;
use crate::failure::Failure;
use crate::health::json as answer;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewKey {
    name: String,
    #[serde(default)]
    scopes: String,
    addresses: Vec<String>,
    days: i64,
}

/// `GET /admin/clients/{id}/keys`
pub(crate) async fn list(call: &mut Call) -> Result<Response, Failure> {
    let keys = call
        .service()
        .list_keys_of(&call.cx, call.param("id"))
        .await?;
    let keys: Vec<Value> = keys.iter().map(view).collect();
    Ok(answer(StatusCode::OK, &json!({"keys": keys})))
}

/// `POST /admin/clients/{id}/keys` with `{"name", "scopes"?, "addresses", "days"}`;
/// answers with the key, once.
pub(crate) async fn create(call: &mut Call) -> Result<Response, Failure> {
    let new: NewKey = crate::admin::body(call).await?;
    let key = KeyToBe {
        name: new.name,
        scopes: new.scopes,
        addresses: new.addresses,
        days: new.days,
    };
    let made = call.service().make_key_of(&call.cx, call.param("id"), key);
    let (key, secret) = made.await?;
    let mut body = view(&key);
    body["key"] = json!(secret.expose());
    Ok(unstored(answer(StatusCode::CREATED, &body)))
}

/// `DELETE /admin/clients/{id}/keys/{key}`
pub(crate) async fn delete(call: &mut Call) -> Result<Response, Failure> {
    let (client, key) = (call.param("id"), call.param("key"));
    call.service().end_key_of(&call.cx, client, key).await?;
    Ok(answer(StatusCode::OK, &json!({"deleted": true})))
}

fn view(key: &KeyView) -> Value {
    json!({
        "id": key.id,
        "name": key.name,
        "scopes": key.scopes,
        "addresses": key.addresses,
        "created": key.created,
        "expires": key.expires,
        "used": key.used,
    })
}
