//! Coming in by mail: signing up, a forgotten password, an address confirmed. Each is a plain page
//! with a form, and the same in JSON.
//!
//! Opening a link shows a page and does nothing: programs that look into mail open links, too.
//! What a link is for is done when its form is sent.

mod pages;

use axum::response::Response;
use http::{StatusCode, header};
use salus_service::Secret;
use salus_service::error::{Error, Kind};
use serde::Deserialize;
use serde_json::json;

use crate::call::Call;
use crate::failure::Failure;
use crate::health::json as answer;
use crate::oauth::{Form, show};
use pages::Entry;

const FORM: &str = "application/x-www-form-urlencoded";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    email: String,
}

/// What a link is used with; which parts of it are needed, its route says.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Used {
    link: String,
    name: Option<String>,
    password: String,
}

/// `GET /auth/sign-up`
pub(crate) async fn sign_up_page(call: &mut Call) -> Result<Response, Failure> {
    page(call, Entry::SignUp).await
}

/// `GET /auth/recover`
pub(crate) async fn recover_page(call: &mut Call) -> Result<Response, Failure> {
    page(call, Entry::Recover).await
}

/// `GET /auth/join?link=…`
pub(crate) async fn join_page(call: &mut Call) -> Result<Response, Failure> {
    page(call, Entry::Join).await
}

/// `GET /auth/password?link=…`
pub(crate) async fn password_page(call: &mut Call) -> Result<Response, Failure> {
    page(call, Entry::Password).await
}

/// `GET /auth/verify?link=…`
pub(crate) async fn verify_page(call: &mut Call) -> Result<Response, Failure> {
    page(call, Entry::Verify).await
}

/// `POST /auth/sign-up` with `{"email"}`
pub(crate) async fn sign_up(call: &mut Call) -> Result<Response, Failure> {
    let asked = asked(call).await?;
    let done = call.service().ask_for_account(&call.cx, &asked.email).await;
    told(call, Entry::SignUp, "", done).await
}

/// `POST /auth/recover` with `{"email"}`
pub(crate) async fn recover(call: &mut Call) -> Result<Response, Failure> {
    let asked = asked(call).await?;
    let service = call.service();
    let done = service.ask_for_password(&call.cx, &asked.email).await;
    told(call, Entry::Recover, "", done).await
}

/// `POST /auth/join` with `{"link", "password", "name"?}`
pub(crate) async fn join(call: &mut Call) -> Result<Response, Failure> {
    let used = used(call).await?;
    let password = Secret::new(used.password);
    let name = used.name.as_deref().filter(|name| !name.is_empty());
    let done = call.service().join(&call.cx, &used.link, name, password);
    let done = done.await;
    told(call, Entry::Join, &used.link, done).await
}

/// `POST /auth/password` with `{"link", "password"}`
pub(crate) async fn choose_password(call: &mut Call) -> Result<Response, Failure> {
    let used = used(call).await?;
    let password = Secret::new(used.password);
    let done = call
        .service()
        .choose_password(&call.cx, &used.link, password);
    let done = done.await;
    told(call, Entry::Password, &used.link, done).await
}

/// `POST /auth/verify` with `{"link"}`
pub(crate) async fn verify(call: &mut Call) -> Result<Response, Failure> {
    let used = used(call).await?;
    let done = call.service().verify_address(&call.cx, &used.link).await;
    told(call, Entry::Verify, &used.link, done).await
}

/// Whether a browser has sent its form, and wants a page.
fn is_form(call: &Call) -> bool {
    let ty = call.header(header::CONTENT_TYPE).unwrap_or_default();
    ty.split(';')
        .next()
        .is_some_and(|ty| ty.trim().eq_ignore_ascii_case(FORM))
}

async fn asked(call: &mut Call) -> Result<Asked, Failure> {
    if !is_form(call) {
        return crate::admin::body(call).await;
    }
    let form = Form::of(call).await?;
    let email = form.get("email").unwrap_or_default().to_owned();
    Ok(Asked { email })
}

async fn used(call: &mut Call) -> Result<Used, Failure> {
    if !is_form(call) {
        return crate::admin::body(call).await;
    }
    let form = Form::of(call).await?;
    let text = |name| form.get(name).unwrap_or_default().to_owned();
    Ok(Used {
        link: text("link"),
        name: form.get("name").map(str::to_owned),
        password: text("password"),
    })
}

async fn page(call: &mut Call, entry: Entry) -> Result<Response, Failure> {
    let pairs = call.query_pairs()?;
    let link = pairs.iter().find(|(key, _)| key == "link");
    let link = link.map_or("", |(_, value)| value);
    let look = call.service().look(&call.cx).await?;
    let page = pages::form(entry, &look.root, link, None);
    Ok(show(&look, StatusCode::OK, &page, ""))
}

/// How it went: what was done, or the form once more.
async fn told(
    call: &mut Call,
    entry: Entry,
    link: &str,
    done: Result<(), Error>,
) -> Result<Response, Failure> {
    if !is_form(call) {
        done?;
        return Ok(answer(StatusCode::OK, &json!({entry.done(): true})));
    }
    let look = call.service().look(&call.cx).await?;
    let (status, page) = match done {
        Ok(()) => (StatusCode::OK, pages::done(entry)),
        Err(error) if matches!(error.kind(), Kind::Internal) => return Err(error.into()),
        Err(error) => {
            let status = StatusCode::from_u16(error.kind().status().0);
            let status = status.unwrap_or(StatusCode::BAD_REQUEST);
            let why = error.issues().first().map(|issue| &*issue.details);
            (status, pages::form(entry, &look.root, link, why))
        }
    };
    Ok(show(&look, status, &page, ""))
}
