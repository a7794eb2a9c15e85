//! Administration: projects and clients, in JSON.

use axum::response::Response;
use http::StatusCode;
use salus_service::projects::ClientView;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::call::Call;
use crate::failure::Failure;
use crate::health::json as answer;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewProject {
    slug: String,
    name: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewClient {
    id: Option<String>,
    name: String,
    scopes: String,
}

/// `GET /admin/projects`
pub(crate) async fn list_projects(call: &mut Call) -> Result<Response, Failure> {
    let projects = call.service().list_projects(&call.cx).await?;
    let projects: Vec<Value> = projects
        .iter()
        .map(|project| json!({"slug": project.slug, "name": project.name}))
        .collect();
    Ok(answer(StatusCode::OK, &json!({"projects": projects})))
}

/// `POST /admin/projects` with `{"slug", "name"}`
pub(crate) async fn create_project(call: &mut Call) -> Result<Response, Failure> {
    let new: NewProject = body(call).await?;
    let made = call
        .service()
        .create_project(&call.cx, &new.slug, &new.name)
        .await?;
    let made = json!({"slug": made.slug, "name": made.name});
    Ok(answer(StatusCode::CREATED, &made))
}

/// `GET /admin/clients`
pub(crate) async fn list_clients(call: &mut Call) -> Result<Response, Failure> {
    let clients = call.service().list_clients(&call.cx).await?;
    let clients: Vec<Value> = clients.iter().map(view).collect();
    Ok(answer(StatusCode::OK, &json!({"clients": clients})))
}

/// `POST /admin/clients` with `{"id"?, "name", "scopes"}`; answers with the secret, once.
pub(crate) async fn create_client(call: &mut Call) -> Result<Response, Failure> {
    let new: NewClient = body(call).await?;
    let made = call
        .service()
        .create_client(&call.cx, new.id.as_deref(), &new.name, &new.scopes)
        .await?;
    let mut view = view(&made.client);
    view["client_secret"] = json!(made.secret.expose());
    Ok(answer(StatusCode::CREATED, &view))
}

/// `DELETE /admin/clients/{id}`
pub(crate) async fn delete_client(call: &mut Call) -> Result<Response, Failure> {
    call.service()
        .delete_client(&call.cx, call.param("id"))
        .await?;
    Ok(answer(StatusCode::OK, &json!({"deleted": true})))
}

fn view(client: &ClientView) -> Value {
    json!({"client_id": client.id, "name": client.name, "scopes": client.scopes})
}

/// A body in JSON; what is wrong with it is told by place, not by content.
pub(crate) async fn body<T: serde::de::DeserializeOwned>(call: &mut Call) -> Result<T, Failure> {
    let body = call.take_form().await?;
    serde_json::from_slice(&body).map_err(|_| {
        Failure::Http(
            StatusCode::BAD_REQUEST,
            "the body is not the JSON object expected here; see docs/api.md",
        )
    })
}
