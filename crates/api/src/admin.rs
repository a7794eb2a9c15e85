//! Administration: projects and clients, in JSON.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use axum::response::Response;
use http::StatusCode;
use salus_service::parameters::{IndexView, ParameterView};
use salus_service::projects::{ClientToBe, ClientView};
use salus_service::{AuthMethod, Cors, GrantType, History, Purged, PurposeOfUse, Recipient};
use serde::Deserialize;
use serde_json::value::RawValue;
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
    #[serde(default)]
    token_endpoint_auth_method: AuthMethod,
    grant_types: Option<Vec<GrantType>>,
    #[serde(default)]
    redirect_uris: Vec<String>,
    #[serde(default)]
    post_logout_redirect_uris: Vec<String>,
    jwks: Option<Box<RawValue>>,
    #[serde(default)]
    purposes: Vec<PurposeOfUse>,
    default_purpose: Option<PurposeOfUse>,
    recipient: Option<Recipient>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Pause {
    paused: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewCors {
    origins: Vec<String>,
    #[serde(default = "ten_minutes")]
    max_age_seconds: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewHistory {
    types: BTreeMap<String, Keeping>,
}

/// What becomes of superseded versions.
#[derive(Clone, Copy, Deserialize)]
#[serde(untagged)]
enum Keeping {
    Word(Word),
    Some(Kept),
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Word {
    Keep,
    Purge,
}

/// So many of each resource, and those that were superseded so many days ago at most.
#[derive(Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    #[serde(default = "one")]
    keep: NonZeroU32,
    #[serde(default)]
    days: u32,
}

fn one() -> NonZeroU32 {
    NonZeroU32::MIN
}

fn ten_minutes() -> u32 {
    600
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

/// `POST /admin/clients` with `{"id"?, "name", "scopes", …}`; answers with the secret, once.
pub(crate) async fn create_client(call: &mut Call) -> Result<Response, Failure> {
    let new: NewClient = body(call).await?;
    let client = ClientToBe {
        id: new.id,
        name: new.name,
        scopes: new.scopes,
        auth: new.token_endpoint_auth_method,
        grants: new
            .grant_types
            .unwrap_or_else(|| vec![GrantType::ClientCredentials]),
        redirects: new.redirect_uris,
        logout_redirects: new.post_logout_redirect_uris,
        jwks: new.jwks.map(|jwks| jwks.get().to_owned()),
        purposes: new.purposes,
        default_purpose: new.default_purpose,
        recipient: new.recipient,
    };
    let made = call.service().create_client(&call.cx, client).await?;
    let mut view = view(&made.client);
    if let Some(secret) = &made.secret {
        view["client_secret"] = json!(secret.expose());
    }
    Ok(answer(StatusCode::CREATED, &view))
}

/// `DELETE /admin/clients/{id}`
pub(crate) async fn delete_client(call: &mut Call) -> Result<Response, Failure> {
    call.service()
        .delete_client(&call.cx, call.param("id"))
        .await?;
    Ok(answer(StatusCode::OK, &json!({"deleted": true})))
}

/// `GET /admin/reindex`: how far the search indexes of the project are.
pub(crate) async fn read_index(call: &mut Call) -> Result<Response, Failure> {
    let index = call.service().read_index(&call.cx).await?;
    Ok(answer(StatusCode::OK, &view_index(&index)))
}

/// `POST /admin/reindex` with `{"paused"}`
pub(crate) async fn pause_index(call: &mut Call) -> Result<Response, Failure> {
    let pause: Pause = body(call).await?;
    let index = call.service().pause_index(&call.cx, pause.paused).await?;
    Ok(answer(StatusCode::OK, &view_index(&index)))
}

/// `GET /admin/cors`: which web pages may call the project.
pub(crate) async fn read_cors(call: &mut Call) -> Result<Response, Failure> {
    let policy = call.service().read_cors(&call.cx).await?;
    Ok(answer(StatusCode::OK, &view_cors(&policy)))
}

/// `PUT /admin/cors` with `{"origins", "max_age_seconds"?}`
pub(crate) async fn write_cors(call: &mut Call) -> Result<Response, Failure> {
    let new: NewCors = body(call).await?;
    let written = call
        .service()
        .write_cors(&call.cx, new.origins, new.max_age_seconds);
    let policy = written.await?;
    Ok(answer(StatusCode::OK, &view_cors(&policy)))
}

/// `GET /admin/history`: of which types superseded versions are not kept.
pub(crate) async fn read_history(call: &mut Call) -> Result<Response, Failure> {
    let setting = call.service().read_history_setting(&call.cx).await?;
    Ok(answer(StatusCode::OK, &view_history(&setting)))
}

/// `PUT /admin/history` with `{"types": {"Observation": "purge", "Patient": {"keep": 3, "days": 30}}}`
pub(crate) async fn write_history(call: &mut Call) -> Result<Response, Failure> {
    let new: NewHistory = body(call).await?;
    let purged = new.types.into_iter();
    let purged = purged.filter_map(|(ty, keeping)| match keeping {
        Keeping::Word(Word::Keep) => None,
        Keeping::Word(Word::Purge) => Some(Purged::all_of(ty)),
        Keeping::Some(Kept { keep, days }) => Some(Purged {
            ty,
            keep: keep.get(),
            days,
        }),
    });
    let purged = purged.collect();
    let written = call.service().write_history_setting(&call.cx, purged);
    let setting = written.await?;
    Ok(answer(StatusCode::OK, &view_history(&setting)))
}

fn view_history(setting: &History) -> Value {
    let purged = setting.purged.iter().map(|rule| {
        let keeping = match (rule.keep, rule.days) {
            (1, 0) => json!("purge"),
            (keep, days) => json!({"keep": keep, "days": days}),
        };
        (rule.ty.clone(), keeping)
    });
    let types: serde_json::Map<_, _> = purged.collect();
    json!({"default": "keep", "types": types})
}

fn view_cors(policy: &Cors) -> Value {
    json!({"origins": policy.origins, "max_age_seconds": policy.max_age_seconds})
}

fn view_index(index: &IndexView) -> Value {
    let parameter = |one: &ParameterView| {
        json!({
            "source": one.source,
            "type": one.ty,
            "code": one.code,
            "ready": one.ready,
            "done": one.done,
            "total": one.total,
            "failed": one.failed,
        })
    };
    let parameters: Vec<Value> = index.parameters.iter().map(parameter).collect();
    json!({
        "complete": index.complete,
        "building": index.building,
        "paused": index.paused,
        "revision": index.revision,
        "newestRevision": index.newest_revision,
        "pending": index.pending,
        "failed": index.failed,
        "parameters": parameters,
    })
}

fn view(client: &ClientView) -> Value {
    let mut view = json!({
        "client_id": client.id,
        "name": client.name,
        "scopes": client.scopes,
        "token_endpoint_auth_method": client.auth,
        "grant_types": client.grants,
    });
    for (member, uris) in [
        ("redirect_uris", &client.redirects),
        ("post_logout_redirect_uris", &client.logout_redirects),
    ] {
        if !uris.is_empty() {
            view[member] = json!(uris);
        }
    }
    if let Some(jwks) = &client.jwks {
        view["jwks"] = json!(jwks);
    }
    if let Some(used) = &client.self_registered {
        view["registered_itself"] = json!({"created": client.created, "used": used});
    }
    if !client.purposes.is_empty() {
        view["purposes"] = json!(client.purposes);
    }
    if let Some(purpose) = client.default_purpose {
        view["default_purpose"] = json!(purpose);
    }
    if let Some(recipient) = &client.recipient {
        view["recipient"] = json!(recipient);
    }
    view
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
