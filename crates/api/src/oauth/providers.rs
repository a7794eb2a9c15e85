//! The way of a browser to a provider of OpenID Connect and back
//! (<https://openid.net/specs/openid-connect-core-1_0.html>, section 3.1.2).
//!
//! A cookie of its own says that who comes back is who was sent. It is sent along when another
//! site leads here, which those of forms and half-done sign-ins are not.

use axum::response::Response;
use http::{StatusCode, header};
use salus_service::Secret;
use salus_service::error::{Error, Kind};
use salus_service::federation::{Away, Came, Own, ProviderAnswer};

use super::browser::{self, WRONG};
use super::form::{Form, missing};
use super::pages::{self, Hidden};
use super::steps;
use crate::call::Call;
use crate::failure::Failure;

/// The cookie of a browser that was sent to a provider, and how long it is kept, in seconds.
const SENT: &str = "salus-provider";
const SENT_S: i64 = 20 * 60;

const UNUSABLE: &str =
    "This provider cannot be used just now. Please try again later, or sign in another way.";
const OVER: &str =
    "This took too long, or was done already. Please go back to the app and begin again.";
const TAKEN: &str = "This account cannot be connected with yours here: it, or yours, is in use for \
                     somebody else, or too many are.";
const NOT_IN: &str = "You cannot be signed in by this provider here. Please ask whoever runs this.";
const OFTEN: &str = "Too many sign-ins were begun from here. Please wait a moment.";

/// `POST /auth/authorize/provider`: from a sign-in page to a provider.
pub(crate) async fn go(call: &mut Call) -> Result<Response, Failure> {
    let form = Form::of(call).await?;
    let Some(request) = browser::checked(call, &form)? else {
        return browser::foreign(call).await;
    };
    call.hold_no_parameters();
    let asked = browser::read(&request)?;
    let (name, sent) = (form.get("provider").unwrap_or_default(), sent(call));
    let service = call.service();
    let away = service.go_to_provider(&call.cx, name, (&asked, request), &sent);
    let away = away.await.map(Some);
    leave(call, away, &sent).await
}

/// `GET /auth/providers/begin?ticket=…`: what somebody is about to do from a session.
pub(crate) async fn errand(call: &mut Call) -> Result<Response, Failure> {
    let pairs = call.query_pairs()?;
    let ticket = pairs.iter().find(|(name, _)| name == "ticket");
    let ticket = ticket.map_or("", |(_, ticket)| ticket);
    let session = browser::session(call);
    let service = call.service();
    let errand = service.errand(&call.cx, ticket, session.as_deref()).await?;
    let Some(errand) = errand else {
        return browser::stop(call, StatusCode::FORBIDDEN, OVER).await;
    };
    let page = |hidden: &Hidden<'_>| pages::errand(&errand, hidden);
    browser::with_form(call, ticket, StatusCode::OK, page).await
}

/// `POST /auth/providers/begin`: they go.
pub(crate) async fn go_on_errand(call: &mut Call) -> Result<Response, Failure> {
    let form = Form::of(call).await?;
    let Some(ticket) = browser::checked(call, &form)? else {
        return browser::foreign(call).await;
    };
    call.hold_no_parameters();
    let (sent, session) = (sent(call), browser::session(call));
    let here = (&*sent, session.as_deref());
    let away = call.service().go_on_errand(&call.cx, &ticket, here).await;
    leave(call, away, &sent).await
}

/// `GET /auth/providers/{id}/callback`: back from there.
pub(crate) async fn came_back(call: &mut Call) -> Result<Response, Failure> {
    let answer = read_answer(call)?;
    let (name, sent) = (call.param("id").to_owned(), browser::cookie(call, SENT));
    call.hold_no_parameters();
    let service = call.service();
    let came = service.came_back(&call.cx, &name, sent.as_deref(), &answer);
    match came.await {
        Ok(Came::Here { request, here }) => steps::go_on(call, &request, here).await,
        Ok(Came::Unknown {
            request,
            label,
            ticket,
        }) => {
            let page = (&*label, ticket.expose());
            connect_page(call, &request, page, StatusCode::OK).await
        }
        Ok(Came::Done(what)) => {
            let look = call.service().look(&call.cx).await?;
            Ok(pages::show(
                &look,
                StatusCode::OK,
                &pages::done(what, None),
                "",
            ))
        }
        Ok(Came::Refused { why, request }) => {
            let back = request.map(|request| browser::again(call, &request));
            let page = pages::not_let(why, back.transpose()?.as_deref());
            let look = call.service().look(&call.cx).await?;
            Ok(pages::show(&look, StatusCode::FORBIDDEN, &page, ""))
        }
        Err(error) => told(call, error).await,
    }
}

/// `POST /auth/authorize/connect`: who came as nobody signs in here, too.
pub(crate) async fn connect(call: &mut Call) -> Result<Response, Failure> {
    let form = Form::of(call).await?;
    let Some(request) = browser::checked(call, &form)? else {
        return browser::foreign(call).await;
    };
    let text = |name| form.get(name).unwrap_or_default();
    let sent = browser::cookie(call, SENT).unwrap_or_default();
    let ticket = (text("ticket"), &*sent);
    let signed;
    let own = match form.get("kind") {
        Some("passkey") => {
            signed = serde_json::from_str(text("code"));
            let unreadable = |_: &serde_json::Error| missing("the passkey's answer cannot be read");
            Own::Passkey(signed.as_ref().map_err(unreadable)?)
        }
        _ => Own::Password(text("email"), Secret::new(text("password").to_owned())),
    };
    let here = call.service().connect_here(&call.cx, ticket, own).await;
    match here {
        Ok(here) => steps::go_on(call, &request, here).await,
        Err(error) if matches!(error.kind(), Kind::Unauthenticated | Kind::Invalid) => {
            match call.service().waiting_at(&call.cx, ticket).await? {
                Some(label) => {
                    let page = (&*label, ticket.0);
                    connect_page(call, &request, page, StatusCode::FORBIDDEN).await
                }
                None => browser::stop(call, StatusCode::FORBIDDEN, OVER).await,
            }
        }
        Err(error) if error.kind() == Kind::Throttled => browser::held_up(call, &error).await,
        Err(error) => told(call, error).await,
    }
}

/// Where somebody signs in to whom no account at the provider belongs yet.
async fn connect_page(
    call: &mut Call,
    request: &str,
    (label, ticket): (&str, &str),
    status: StatusCode,
) -> Result<Response, Failure> {
    let options = call.service().passkey_options(&call.cx)?;
    let wrong = (status != StatusCode::OK).then_some(WRONG);
    let page = |hidden: &Hidden<'_>| pages::connect((label, ticket), &options, hidden, wrong);
    browser::with_form(call, request, status, page).await
}

/// Leads a browser away, known by its cookie when it comes back.
async fn leave(
    call: &mut Call,
    away: Result<Option<Away>, Error>,
    sent: &str,
) -> Result<Response, Failure> {
    let away = match away {
        Ok(Some(away)) => away,
        Ok(None) => return browser::stop(call, StatusCode::FORBIDDEN, OVER).await,
        Err(error) => return told(call, error).await,
    };
    let look = call.service().look(&call.cx).await?;
    let page = pages::away(&away.label, away.url.expose());
    let mut response = pages::show(&look, StatusCode::OK, &page, "");
    let cookie = browser::set_cookie(call, SENT, sent, "Lax", Some(SENT_S))?;
    response.headers_mut().append(header::SET_COOKIE, cookie);
    Ok(response)
}

/// The cookie of this browser, or a new one; several sign-ins at once share it.
fn sent(call: &Call) -> String {
    let known = browser::cookie(call, SENT).filter(|text| text.len() == 43);
    known.unwrap_or_else(|| call.service().form_cookie())
}

/// A page for what a user can do something about.
async fn told(call: &mut Call, error: Error) -> Result<Response, Failure> {
    let (status, why) = match error.kind() {
        Kind::Unavailable if error.cause().is_some() => (StatusCode::SERVICE_UNAVAILABLE, UNUSABLE),
        Kind::Throttled => (StatusCode::TOO_MANY_REQUESTS, OFTEN),
        Kind::NotFound => (StatusCode::FORBIDDEN, UNUSABLE),
        Kind::Unauthenticated => (StatusCode::FORBIDDEN, NOT_IN),
        Kind::Forbidden => (StatusCode::FORBIDDEN, OVER),
        Kind::Conflict => (StatusCode::FORBIDDEN, TAKEN),
        Kind::Unavailable
        | Kind::Invalid
        | Kind::StepUp
        | Kind::Gone
        | Kind::Precondition
        | Kind::Unprocessable
        | Kind::Internal => return Err(error.into()),
    };
    if let Some(cause) = error.cause() {
        tracing::warn!(cause, "a provider cannot be used");
    }
    browser::stop(call, status, why).await
}

/// What the provider says; what comes twice says nothing (RFC 6749, 3.1).
fn read_answer(call: &Call) -> Result<ProviderAnswer, Failure> {
    let form = Form::parse(call.uri.query().unwrap_or_default())?;
    let text = |name| form.get(name).map(str::to_owned);
    Ok(ProviderAnswer {
        state: text("state"),
        code: text("code"),
        iss: text("iss"),
        error: text("error"),
    })
}
