//! Providers of OpenID Connect in JSON: set up by administrators, named for everyone; and the
//! accounts there that are connected with users.

use axum::response::Response;
use http::StatusCode;
use salus_service::federation::{ConnectToBe, LinkView, ProviderToBe, ProviderView};
use salus_service::{AuthMethod, Create, GroupMapping, SecondFactor, Secret};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::admin::body;
use crate::call::Call;
use crate::failure::Failure;
use crate::health::json as answer;
use crate::oauth::unstored;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewProvider {
    name: Option<String>,
    label: String,
    issuer: String,
    client_id: String,
    #[serde(default)]
    token_endpoint_auth_method: AuthMethod,
    client_secret: Option<String>,
    #[serde(default = "usual_scopes")]
    scopes: Vec<String>,
    #[serde(default)]
    create: Create,
    #[serde(default)]
    domains: Vec<String>,
    groups: Option<GroupMapping>,
    #[serde(default)]
    second_factor: SecondFactor,
    #[serde(default = "yes")]
    active: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Which {
    provider: String,
}

fn usual_scopes() -> Vec<String> {
    vec!["email".to_owned(), "profile".to_owned()]
}

fn yes() -> bool {
    true
}

impl NewProvider {
    fn wanted(self) -> ProviderToBe {
        ProviderToBe {
            label: self.label,
            issuer: self.issuer,
            client_id: self.client_id,
            auth: self.token_endpoint_auth_method,
            secret: self.client_secret.map(Secret::new),
            scopes: self.scopes,
            create: self.create,
            domains: self.domains,
            groups: self.groups,
            second_factor: self.second_factor,
            active: self.active,
        }
    }
}

/// `GET /auth/providers`: those by which users sign in.
pub(crate) async fn names(call: &mut Call) -> Result<Response, Failure> {
    let names = call.service().provider_names(&call.cx).await?;
    let names = names.iter();
    let names = names.map(|one| json!({"name": one.name, "label": one.label}));
    let names: Vec<Value> = names.collect();
    Ok(answer(StatusCode::OK, &json!({"providers": names})))
}

/// `GET /admin/providers`
pub(crate) async fn list(call: &mut Call) -> Result<Response, Failure> {
    let providers = call.service().list_providers(&call.cx).await?;
    let providers: Vec<Value> = providers.iter().map(view).collect();
    Ok(answer(StatusCode::OK, &json!({"providers": providers})))
}

/// `POST /admin/providers` with `{"name", "label", "issuer", "client_id", …}`
pub(crate) async fn create(call: &mut Call) -> Result<Response, Failure> {
    let mut new: NewProvider = body(call).await?;
    call.hold_no_parameters();
    let name = new.name.take().unwrap_or_default();
    let service = call.service();
    let made = service.create_provider(&call.cx, &name, new.wanted());
    Ok(answer(StatusCode::CREATED, &view(&made.await?)))
}

/// `GET /admin/providers/{id}`
pub(crate) async fn read(call: &mut Call) -> Result<Response, Failure> {
    let found = call.service().read_provider(&call.cx, call.param("id"));
    Ok(answer(StatusCode::OK, &view(&found.await?)))
}

/// `PUT /admin/providers/{id}` with the same as for a new one but its name
pub(crate) async fn change(call: &mut Call) -> Result<Response, Failure> {
    let new: NewProvider = body(call).await?;
    call.hold_no_parameters();
    let name = call.param("id");
    if new.name.as_deref().is_some_and(|other| other != name) {
        return Err(RENAMED);
    }
    let service = call.service();
    let changed = service.change_provider(&call.cx, name, new.wanted());
    Ok(answer(StatusCode::OK, &view(&changed.await?)))
}

/// `DELETE /admin/providers/{id}`
pub(crate) async fn delete(call: &mut Call) -> Result<Response, Failure> {
    let name = call.param("id");
    call.service().delete_provider(&call.cx, name).await?;
    Ok(answer(StatusCode::OK, &json!({"deleted": true})))
}

/// `GET /auth/me/providers`: one's own accounts there.
pub(crate) async fn own(call: &mut Call) -> Result<Response, Failure> {
    let found = call.service().list_own_links(&call.cx).await?;
    Ok(answer(StatusCode::OK, &links(&found)))
}

/// `POST /auth/me/providers` with `{"provider"}`: begins to connect one.
pub(crate) async fn connect(call: &mut Call) -> Result<Response, Failure> {
    let Which { provider } = body(call).await?;
    let begun = call.service().begin_connect(&call.cx, &provider).await?;
    Ok(way(&begun))
}

/// `DELETE /auth/me/providers/{id}`
pub(crate) async fn remove_own(call: &mut Call) -> Result<Response, Failure> {
    let link = call.param("id");
    call.service().remove_own_link(&call.cx, link).await?;
    Ok(answer(StatusCode::OK, &json!({"deleted": true})))
}

/// `POST /auth/step-up/provider` with `{"provider"}`: begins to prove once more who is there.
pub(crate) async fn step_up(call: &mut Call) -> Result<Response, Failure> {
    let Which { provider } = body(call).await?;
    let own = crate::bearer(&call.headers);
    let service = call.service();
    let begun = service.begin_provider_step_up(&call.cx, own, &provider);
    Ok(way(&begun.await?))
}

/// `GET /admin/users/{id}/providers`
pub(crate) async fn of_user(call: &mut Call) -> Result<Response, Failure> {
    let found = call.service().list_links(&call.cx, call.param("id"));
    Ok(answer(StatusCode::OK, &links(&found.await?)))
}

/// `DELETE /admin/users/{id}/providers/{key}`
pub(crate) async fn revoke(call: &mut Call) -> Result<Response, Failure> {
    let (user, link) = (call.param("id"), call.param("key"));
    call.service().revoke_link(&call.cx, user, link).await?;
    Ok(answer(StatusCode::OK, &json!({"deleted": true})))
}

fn view(view: &ProviderView) -> Value {
    let provider = &view.provider;
    json!({
        "name": view.name,
        "label": provider.label,
        "issuer": provider.issuer,
        "client_id": provider.client_id,
        "token_endpoint_auth_method": provider.auth,
        "has_secret": provider.has_secret(),
        "scopes": provider.scopes,
        "create": provider.create,
        "domains": provider.domains,
        "groups": provider.groups,
        "second_factor": provider.second_factor,
        "active": provider.active,
        "redirect_uri": view.redirect,
        "created": view.created,
    })
}

fn links(links: &[LinkView]) -> Value {
    let link = |one: &LinkView| {
        json!({
            "id": one.id,
            "provider": one.provider,
            "issuer": one.issuer,
            "subject": one.subject,
            "created": one.created,
            "used": one.used,
        })
    };
    let links: Vec<Value> = links.iter().map(link).collect();
    json!({"providers": links})
}

fn way(begun: &ConnectToBe) -> Response {
    let view = json!({"url": begun.url.expose(), "expires_in": begun.expires_in_s});
    unstored(answer(StatusCode::OK, &view))
}

const RENAMED: Failure = Failure::Http(
    StatusCode::BAD_REQUEST,
    "name: a provider keeps the one it has in the path",
);
