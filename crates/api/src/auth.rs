//! Signing in as an administrator, signing out, and the first set-up.

use axum::response::Response;
use http::StatusCode;
use salus_service::Secret;
use salus_service::error::{Error, Kind};
use salus_service::oauth::Look;
use serde::Deserialize;
use serde_json::json;

use crate::call::{Call, pairs};
use crate::failure::Failure;
use crate::health::json as answer;
use crate::oauth::{alert, escape, marks, page, show};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SignIn {
    email: String,
    password: String,
}

/// `POST /auth/sign-in` with `{"email", "password"}`: a token, or what has to come before it.
pub(crate) async fn sign_in(call: &mut Call) -> Result<Response, Failure> {
    let asked: SignIn = crate::admin::body(call).await?;
    let password = Secret::new(asked.password);
    let done = call
        .service()
        .sign_in(&call.cx, &asked.email, password)
        .await?;
    Ok(crate::factors::step(&done))
}

/// `POST /auth/sign-out`: the token stops working.
pub(crate) async fn sign_out(call: &mut Call) -> Result<Response, Failure> {
    let credential = crate::bearer(&call.headers);
    call.service().sign_out(&call.cx, credential).await?;
    Ok(answer(StatusCode::OK, &json!({"signed_out": true})))
}

/// `GET /setup?link=…`: the page on which the first administrator is made.
pub(crate) async fn setup_page(call: &mut Call) -> Result<Response, Failure> {
    if call.service().is_set_up().await? {
        return Ok(set_up());
    }
    let pairs = call.query_pairs()?;
    let link = pairs.iter().find(|(key, _)| key == "link");
    let link = link.map_or("", |(_, value)| value);
    Ok(form(StatusCode::OK, link, None))
}

/// `POST /setup`: makes the first administrator, and uses up the link.
pub(crate) async fn setup(call: &mut Call) -> Result<Response, Failure> {
    let body = call.take_form().await?;
    let form = std::str::from_utf8(&body)
        .map_err(|_| Failure::Http(StatusCode::BAD_REQUEST, "the form is not UTF-8"))?;
    let mut link = String::new();
    let mut email = String::new();
    let mut password = String::new();
    for (key, value) in pairs(form)? {
        match key.as_str() {
            "link" => link = value,
            "email" => email = value,
            "password" => password = value,
            _ => {}
        }
    }
    let password = Secret::new(password);
    let done = call
        .service()
        .set_up(&call.cx, &link, &email, password)
        .await;
    match done {
        Ok(()) => Ok(set_up()),
        Err(error) => again(&link, error),
    }
}

/// The form once more, with what was wrong.
fn again(link: &str, error: Error) -> Result<Response, Failure> {
    let status = [
        (Kind::Invalid, StatusCode::BAD_REQUEST),
        (Kind::Forbidden, StatusCode::FORBIDDEN),
    ];
    let mut status = status.into_iter();
    let Some((_, status)) = status.find(|(kind, _)| *kind == error.kind()) else {
        return Err(error.into());
    };
    let why = error.issues().first().map(|issue| &*issue.details);
    Ok(form(status, link, why))
}

fn form(status: StatusCode, link: &str, wrong: Option<&str>) -> Response {
    let wrong = wrong.map(|why| format!("This did not work: {why}."));
    let wrong = wrong.as_deref();
    let (link, alert, marks) = (escape(link), alert(wrong), marks(wrong));
    let page = page(
        "Set up Salus",
        &format!(
            r#"<h1>Set up Salus</h1><p>Make the first administrator. The link that brought you here works once.</p>{alert}
<form method="post" action="/setup" autocomplete="off"><input name="link" type="hidden" value="{link}">
<label for="email">E-mail address</label>
<input id="email" name="email" type="email" autocomplete="username" required autofocus{marks}>
<label for="password">Password, 12 characters or more</label>
<input id="password" name="password" type="password" autocomplete="new-password" minlength="12" required{marks}>
<button>Make administrator</button></form>"#
        ),
    );
    show(&Look::default(), status, &page.told(wrong), "")
}

fn set_up() -> Response {
    let page = page(
        "Salus is set up",
        "<h1>Salus is set up</h1><p>There is an administrator. Sign in with <code>POST /auth/sign-in</code>.</p>",
    );
    show(&Look::default(), StatusCode::OK, &page, "")
}
