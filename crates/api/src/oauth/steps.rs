//! A sign-in at a browser after the password: a second factor is brought, or set up.
//!
//! What is half done is known by a cookie of its own, which opens nothing.

use axum::response::Response;
use http::{StatusCode, header};
use salus_service::Secret;
use salus_service::error::{Error, Kind};
use salus_service::mfa::{FactorStep, Proof};
use salus_service::oauth::Here;

use super::browser;
use super::form::{Form, missing};
use super::pages::{self, Hidden, Page};
use crate::call::Call;
use crate::failure::Failure;

/// The cookie of a sign-in that is half done.
const STEP: &str = "salus-step";

const NO_PASSKEY: &str =
    "This passkey does not let you in here. Please go back and sign in with your password.";

const OVER: &str =
    "This took too long, or too many codes were wrong. Please go back to the app and begin again.";

/// What follows on a right password.
pub(super) async fn go_on(call: &mut Call, request: &str, here: Here) -> Result<Response, Failure> {
    let (step, mut response) = match here {
        Here::In(cookie, seconds) => return signed_in(call, request, &cookie, seconds).await,
        Here::Factor(step) => {
            let options = step.passkey.as_ref();
            let page = |hidden: &Hidden<'_>| pages::factor(options, hidden, false);
            let response = browser::with_form(call, request, StatusCode::OK, page).await?;
            (step, response)
        }
        Here::Enrol(step, secret) => {
            let page = |hidden: &Hidden<'_>| pages::enrol(hidden, secret.expose(), false);
            let response = browser::with_form(call, request, StatusCode::OK, page).await?;
            (step, response)
        }
    };
    set_step(call, &mut response, &step)?;
    Ok(response)
}

/// `POST /auth/authorize/factor`
pub(crate) async fn factor(call: &mut Call) -> Result<Response, Failure> {
    let form = Form::of(call).await?;
    let (request, ticket) = (browser::checked(call, &form)?, browser::cookie(call, STEP));
    let (Some(request), Some(ticket)) = (request, ticket) else {
        return browser::foreign(call).await;
    };
    let code = Secret::new(form.get("code").unwrap_or_default().to_owned());
    let proof = match form.get("kind") {
        Some("enrol") => return enrol(call, &request, &ticket, &code).await,
        Some("recovery") => Proof::Recovery(code),
        Some("passkey") => match serde_json::from_str(code.expose()) {
            Ok(signed) => Proof::Passkey(signed),
            Err(_) => return Err(missing("the passkey's answer cannot be read")),
        },
        _ => Proof::Totp(code),
    };
    match call.service().finish_here(&call.cx, &ticket, &proof).await {
        Ok((cookie, seconds)) => signed_in(call, &request, &cookie, seconds).await,
        Err(error) => {
            // What was to be signed was used; codes can be tried again.
            let page = |hidden: &Hidden<'_>| pages::factor(None, hidden, true);
            wrong(call, &request, error, page).await
        }
    }
}

/// `POST /auth/authorize/passkey`: a passkey in the place of all else.
pub(crate) async fn passkey(call: &mut Call) -> Result<Response, Failure> {
    let form = Form::of(call).await?;
    let Some(request) = browser::checked(call, &form)? else {
        return browser::foreign(call).await;
    };
    let signed = form
        .get("code")
        .and_then(|code| serde_json::from_str(code).ok());
    let signed = signed.ok_or(missing("the passkey's answer cannot be read"))?;
    match call.service().passkey_here(&call.cx, &signed).await {
        Ok((cookie, seconds)) => signed_in(call, &request, &cookie, seconds).await,
        Err(error) if error.kind() == Kind::Unauthenticated => {
            browser::stop(call, StatusCode::FORBIDDEN, NO_PASSKEY).await
        }
        Err(error) => Err(error.into()),
    }
}

/// `GET /auth/passkey.js`
pub(crate) async fn script(_call: &mut Call) -> Result<Response, Failure> {
    Ok(pages::script())
}

/// The first code of an app that has to be set up before anything else.
async fn enrol(
    call: &mut Call,
    request: &str,
    ticket: &str,
    code: &Secret,
) -> Result<Response, Failure> {
    let done = call.service().enrol_here(&call.cx, ticket, code.expose());
    match done.await {
        Ok(((cookie, seconds), codes)) => {
            let page = pages::codes(&browser::again(call, request)?, &codes);
            let look = call.service().look(&call.cx).await?;
            let mut response = pages::show(&look, StatusCode::OK, &page, "");
            set_session(call, &mut response, &cookie, seconds).await?;
            Ok(response)
        }
        Err(error) => match call.service().enrolment_secret(&call.cx, ticket).await {
            Ok(secret) => {
                let page = |hidden: &Hidden<'_>| pages::enrol(hidden, secret.expose(), true);
                wrong(call, request, error, page).await
            }
            Err(_) => browser::stop(call, StatusCode::FORBIDDEN, OVER).await,
        },
    }
}

async fn signed_in(
    call: &mut Call,
    request: &str,
    cookie: &Secret,
    seconds: i64,
) -> Result<Response, Failure> {
    let mut response = browser::see_other(&browser::again(call, request)?)?;
    set_session(call, &mut response, cookie, seconds).await?;
    Ok(response)
}

/// A page that says that the code was wrong, if that is what it was.
async fn wrong(
    call: &mut Call,
    request: &str,
    error: Error,
    page: impl FnOnce(&Hidden<'_>) -> Page,
) -> Result<Response, Failure> {
    if matches!(error.kind(), Kind::Unauthenticated | Kind::Conflict) {
        return browser::with_form(call, request, StatusCode::FORBIDDEN, page).await;
    }
    if error.kind() == Kind::Throttled {
        return browser::held_up(call, &error).await;
    }
    Err(error.into())
}

/// The cookie of a new session, in the place of the one that the browser had.
async fn set_session(
    call: &mut Call,
    response: &mut Response,
    cookie: &Secret,
    seconds: i64,
) -> Result<(), Failure> {
    if let Some(replaced) = browser::session(call) {
        call.service().end_replaced(&call.cx, &replaced).await?;
    }
    let cookie = browser::set_cookie(call, "salus", cookie.expose(), "Lax", Some(seconds))?;
    let over = browser::set_cookie(call, STEP, "", "Strict", Some(0))?;
    let headers = response.headers_mut();
    headers.append(header::SET_COOKIE, cookie);
    headers.append(header::SET_COOKIE, over);
    Ok(())
}

fn set_step(call: &Call, response: &mut Response, step: &FactorStep) -> Result<(), Failure> {
    let (ticket, seconds) = (step.ticket.expose(), step.expires_in_s);
    let cookie = browser::set_cookie(call, STEP, ticket, "Strict", Some(seconds))?;
    response.headers_mut().append(header::SET_COOKIE, cookie);
    Ok(())
}
