//! What a user has let clients do, over HTTP.

use axum::response::Response;
use http::StatusCode;
use serde_json::{Value, json};

use crate::call::Call;
use crate::failure::Failure;
use crate::health::json as answer;

/// `GET /auth/me/apps`
pub(crate) async fn list(call: &mut Call) -> Result<Response, Failure> {
    let apps = call.service().list_own_apps(&call.cx).await?;
    let apps = apps.into_iter().map(|app| {
        json!({
            "id": app.id,
            "client_id": app.client,
            "name": app.name,
            "scope": app.scopes,
            "created": app.created,
            "expires": app.expires,
        })
    });
    let apps: Vec<Value> = apps.collect();
    Ok(answer(StatusCode::OK, &json!({"apps": apps})))
}

/// `DELETE /auth/me/apps/{app}`
pub(crate) async fn end(call: &mut Call) -> Result<Response, Failure> {
    call.service()
        .end_own_app(&call.cx, call.param("app"))
        .await?;
    Ok(answer(StatusCode::OK, &json!({"deleted": true})))
}
