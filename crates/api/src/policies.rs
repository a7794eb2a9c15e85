//! Policies of a project, in JSON, for its administrators.

use axum::response::Response;
use http::StatusCode;
use salus_service::{Care, Policy, Saved};
use serde_json::{Value, json};

use crate::admin::body;
use crate::call::Call;
use crate::failure::Failure;
use crate::health::json as answer;

/// `GET /admin/policies`
pub(crate) async fn list(call: &mut Call) -> Result<Response, Failure> {
    let policies = call.service().list_policies(&call.cx).await?;
    let policies: Vec<Value> = policies.iter().map(view).collect();
    Ok(answer(StatusCode::OK, &json!({"policies": policies})))
}

/// `GET /admin/policies/{id}`
pub(crate) async fn read(call: &mut Call) -> Result<Response, Failure> {
    let name = call.param("id");
    let policy = call.service().read_policy(&call.cx, name).await?;
    Ok(answer(StatusCode::OK, &view(&policy)))
}

/// `PUT /admin/policies/{id}` with `{"description"?, "rules"}`
pub(crate) async fn write(call: &mut Call) -> Result<Response, Failure> {
    let body = call.take_form().await?;
    let name = call.param("id");
    let (policy, is_new) = call.service().write_policy(&call.cx, name, &body).await?;
    let status = match is_new {
        true => StatusCode::CREATED,
        false => StatusCode::OK,
    };
    Ok(answer(status, &view(&policy)))
}

/// `DELETE /admin/policies/{id}`
pub(crate) async fn delete(call: &mut Call) -> Result<Response, Failure> {
    let name = call.param("id");
    call.service().delete_policy(&call.cx, name).await?;
    Ok(answer(StatusCode::OK, &json!({"deleted": true})))
}

/// `GET /admin/care`: how long relationships to patients last.
pub(crate) async fn read_care(call: &mut Call) -> Result<Response, Failure> {
    let care = call.service().read_care(&call.cx).await?;
    Ok(answer(StatusCode::OK, &json!(care)))
}

/// `PUT /admin/care`; what is left out is as in a new project.
pub(crate) async fn write_care(call: &mut Call) -> Result<Response, Failure> {
    let care: Care = body(call).await?;
    let care = call.service().write_care(&call.cx, care).await?;
    Ok(answer(StatusCode::OK, &json!(care)))
}

/// `GET /admin/policy-sets`
pub(crate) async fn sets(call: &mut Call) -> Result<Response, Failure> {
    let sets = call.service().list_policy_sets(&call.cx).await?;
    Ok(answer(StatusCode::OK, &sets))
}

/// `POST /admin/policy-questions` with `{"policies"?, "questions"}`
pub(crate) async fn ask(call: &mut Call) -> Result<Response, Failure> {
    let body = call.take_form().await?;
    let answers = call.service().ask_policies(&call.cx, &body).await?;
    Ok(answer(StatusCode::OK, &answers))
}

fn view(policy: &Saved<Policy>) -> Value {
    json!({
        "name": policy.id,
        "version": policy.version,
        "description": policy.value.description,
        "rules": policy.value.rules,
    })
}
