//! A sign-in at a browser after the password: a second factor is brought, or set up.
//!
//! What is half done is known by a cookie of its own, which opens nothing.

use axum::response::Response;
use http::{StatusCode, header};
use salus_service::Secret;
use salus_service::error::{Error, Kind};
use salus_service::mfa::{Assertion, FactorStep, NewFactor, Proof};
use salus_service::oauth::{Here, issuer};
use serde::de::DeserializeOwned;

use super::browser;
use super::form::{Form, missing};
use super::pages::{self, Hidden, Page};
use crate::call::Call;
use crate::failure::Failure;

/// The cookie of a sign-in that is half done.
const STEP: &str = "salus-step";

const NO_PASSKEY: &str = "This passkey does not let you in here, or it took too long. Please try again, or sign in with your password.";

const NOT_MADE: &str = "This passkey was not taken, or it took too long. Please try again.";

const WRONG: &str = "That is not right, or was used already. Please try again with the next code.";

const OVER: &str =
    "This took too long, or too many codes were wrong. Please go back to the app and begin again.";

/// What follows on a right password.
pub(super) async fn go_on(call: &mut Call, request: &str, here: Here) -> Result<Response, Failure> {
    let (step, mut response) = match here {
        Here::In(cookie, seconds) => return signed_in(call, request, &cookie, seconds).await,
        Here::Factor(step) => {
            let page = |hidden: &Hidden<'_>| pages::factor(&step.offered, hidden, None);
            let response = browser::with_form(call, request, StatusCode::OK, page).await?;
            (step, response)
        }
        Here::Enrol(step, shown) => {
            let page = |hidden: &Hidden<'_>| pages::enrol(&shown, hidden, None);
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
        Some("enrol") => {
            let new = NewFactor::Totp(code);
            return enrol(call, &request, &ticket, &new).await;
        }
        Some("enrol-passkey") => {
            let new = NewFactor::Passkey(answered(&code)?);
            return enrol(call, &request, &ticket, &new).await;
        }
        Some("recovery") => Proof::Recovery(code),
        Some("passkey") => Proof::Passkey(answered(&code)?),
        _ => Proof::Totp(code),
    };
    match call.service().finish_here(&call.cx, &ticket, &proof).await {
        Ok((cookie, seconds)) => signed_in(call, &request, &cookie, seconds).await,
        Err(error) => match call.service().offered_again(&call.cx, &ticket).await? {
            Some(offered) => {
                let page = |hidden: &Hidden<'_>| pages::factor(&offered, hidden, Some(WRONG));
                wrong(call, &request, error, page).await
            }
            None => browser::stop(call, StatusCode::FORBIDDEN, OVER).await,
        },
    }
}

/// `POST /auth/authorize/passkey`: a passkey in the place of all else.
pub(crate) async fn passkey(call: &mut Call) -> Result<Response, Failure> {
    let form = Form::of(call).await?;
    let Some(request) = browser::checked(call, &form)? else {
        return browser::foreign(call).await;
    };
    let code = Secret::new(form.get("code").unwrap_or_default().to_owned());
    let signed: Assertion = answered(&code)?;
    match call.service().passkey_here(&call.cx, &signed).await {
        Ok((cookie, seconds)) => signed_in(call, &request, &cookie, seconds).await,
        Err(error) if matches!(error.kind(), Kind::Unauthenticated | Kind::Conflict) => {
            browser::sign_in_again(call, &request, (NO_PASSKEY, "")).await
        }
        Err(error) => Err(error.into()),
    }
}

/// What the script has put into a form.
fn answered<T: DeserializeOwned>(code: &Secret) -> Result<T, Failure> {
    let read = serde_json::from_str(code.expose());
    read.map_err(|_| missing("the passkey's answer cannot be read"))
}

/// A factor that has to be set up before anything else.
async fn enrol(
    call: &mut Call,
    request: &str,
    ticket: &str,
    new: &NewFactor,
) -> Result<Response, Failure> {
    match call.service().enrol_here(&call.cx, ticket, new).await {
        Ok(((cookie, seconds), codes)) => {
            let (_, place) = issuer(&call.cx).split_once("://").unwrap_or_default();
            let page = pages::codes(&browser::again(call, request)?, place, &codes);
            let look = call.service().look(&call.cx).await?;
            let mut response = pages::show(&look, StatusCode::OK, &page, "");
            set_session(call, &mut response, &cookie, seconds).await?;
            Ok(response)
        }
        Err(error) => match call.service().enrolment(&call.cx, ticket).await {
            Ok(shown) => {
                let why = match new {
                    NewFactor::Totp(_) => WRONG,
                    NewFactor::Passkey(_) => NOT_MADE,
                };
                let page = |hidden: &Hidden<'_>| pages::enrol(&shown, hidden, Some(why));
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
