//! The authorization endpoint at a browser: <https://www.rfc-editor.org/rfc/rfc6749#section-3.1>.
//!
//! Two cookies. One is the session of the user, which no script sees and no
//! other site sends along a form. The other is random; each form holds a MAC
//! of it and of the request, so no other site can have a form filled in here
//! in a user's name.

use axum::response::Response;
use http::{HeaderValue, StatusCode, header};
use salus_service::Secret;
use salus_service::error::{Error, Kind};
use salus_service::oauth::{Asked, Chosen, Step, issuer};

use super::form::{Form, missing};
use super::pages::{self, Hidden, Page, SignIn};
use super::steps;
use crate::call::{Call, pairs};
use crate::failure::Failure;

/// The longest request that is carried through the pages.
const REQUEST_BYTES_MAX: usize = 8 << 10;

pub(super) const WRONG: &str = "E-mail address or password is not right.";

const FOREIGN: &str = "This form was not sent from a page of ours, or it is too old. Please go back to the app and begin again.";

const NOT_PUSHED: &str =
    "The app's request is not known here, or no longer. Please go back to the app and begin again.";

const HELD_UP: &str =
    "Too many passwords were wrong. Please wait some minutes, then go back and try again.";

/// `GET /auth/authorize`
pub(crate) async fn authorize(call: &mut Call) -> Result<Response, Failure> {
    let request = call.uri.query().unwrap_or_default().to_owned();
    let Some(request) = resolved(call, request).await? else {
        return stop(call, StatusCode::BAD_REQUEST, NOT_PUSHED).await;
    };
    let asked = read(&request)?;
    let step = call
        .service()
        .asked(
            &call.cx,
            &asked,
            session(call).as_deref(),
            &Chosen::default(),
        )
        .await?;
    show(call, &request, &asked, step).await
}

/// `POST /auth/authorize/sign-in`
pub(crate) async fn sign_in(call: &mut Call) -> Result<Response, Failure> {
    let form = Form::of(call).await?;
    let Some(request) = checked(call, &form)? else {
        return foreign(call).await;
    };
    let (email, password) = (form.get("email"), form.get("password"));
    let password = Secret::new(password.unwrap_or_default().to_owned());
    let (email, strict) = (email.unwrap_or_default(), read(&request)?.is_strict());
    let service = call.service();
    let done = service.sign_in_here(&call.cx, email, password, strict);
    match done.await {
        Ok(here) => steps::go_on(call, &request, here).await,
        Err(error) if matches!(error.kind(), Kind::Unauthenticated | Kind::Invalid) => {
            sign_in_again(call, &request, (WRONG, email)).await
        }
        Err(error) if error.kind() == Kind::Throttled => held_up(call, &error).await,
        Err(error) => Err(error.into()),
    }
}

/// The page for signing in once more: why, and the address that was typed.
pub(super) async fn sign_in_again(
    call: &mut Call,
    request: &str,
    again: (&str, &str),
) -> Result<Response, Failure> {
    let asked = read(request)?;
    let step = call
        .service()
        .asked(&call.cx, &asked, None, &Chosen::default())
        .await?;
    if let Step::SignIn { client, stranger } = &step {
        let to = (StatusCode::FORBIDDEN, &*asked.redirect_uri);
        let from = (&**client, *stranger);
        return show_sign_in(call, request, to, (from, Some(again))).await;
    }
    show(call, request, &asked, step).await
}

/// `POST /auth/authorize/decision`
pub(crate) async fn decide(call: &mut Call) -> Result<Response, Failure> {
    let form = Form::of(call).await?;
    let Some(request) = checked(call, &form)? else {
        return foreign(call).await;
    };
    let asked = read(&request)?;
    let mut chosen = chosen(&form);
    if form.get("chosen").is_some() {
        chosen.scopes = Some(form.beginning("scope-").map(str::to_owned).collect());
    }
    let decision = (form.get("decision") == Some("allow"), &chosen);
    let step = call
        .service()
        .decided(&call.cx, &asked, session(call).as_deref(), decision)
        .await?;
    show(call, &request, &asked, step).await
}

/// `POST /auth/authorize/patient`: a name to look for, or who was chosen.
pub(crate) async fn pick(call: &mut Call) -> Result<Response, Failure> {
    let form = Form::of(call).await?;
    let Some(request) = checked(call, &form)? else {
        return foreign(call).await;
    };
    let asked = read(&request)?;
    let step = call
        .service()
        .asked(&call.cx, &asked, session(call).as_deref(), &chosen(&form))
        .await?;
    show(call, &request, &asked, step).await
}

/// `POST /auth/authorize` (OpenID Connect Core, 3.1.2.1; SMART `authorize-post`). The browser
/// comes back with GET, by which it brings the cookie that it keeps from forms of other sites.
pub(crate) async fn authorize_post(call: &mut Call) -> Result<Response, Failure> {
    let body = call.take_form().await?;
    let form = std::str::from_utf8(&body).map_err(|_| missing("the form is not UTF-8"))?;
    if form.len() > REQUEST_BYTES_MAX {
        return Err(missing("the request is too long"));
    }
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(pairs(form)?);
    let issuer = issuer(&call.cx);
    see_other(&format!("{issuer}/auth/authorize?{}", query.finish()))
}

/// The request that a client has sent ahead, in the place of its name (RFC 9126, 4).
async fn resolved(call: &mut Call, request: String) -> Result<Option<String>, Failure> {
    let pairs = pairs(&request)?;
    let of = |name: &str| {
        let found = pairs.iter().find(|(known, _)| known == name);
        found.map_or("", |(_, value)| value)
    };
    let (client, name) = (of("client_id"), of("request_uri"));
    match name {
        "" => Ok(Some(request)),
        name => Ok(call.service().pushed(&call.cx, client, name).await?),
    }
}

fn chosen(form: &Form) -> Chosen {
    let text = |name| form.get(name).map(str::to_owned);
    Chosen {
        patient: text("patient"),
        encounter: text("encounter"),
        name: text("name"),
        scopes: None,
    }
}

pub(super) fn read(request: &str) -> Result<Asked, Failure> {
    if request.len() > REQUEST_BYTES_MAX {
        return Err(missing("the request is too long"));
    }
    let pairs = pairs(request)?;
    Ok(Asked::of(
        pairs.iter().map(|(name, value)| (&**name, &**value)),
    ))
}

/// The request that a form carries, if the form is one of ours.
pub(super) fn checked(call: &Call, form: &Form) -> Result<Option<String>, Failure> {
    let own = call.header(header::ORIGIN).is_none_or(|origin| {
        let issuer = issuer(&call.cx);
        issuer == origin
            || issuer
                .strip_prefix(origin)
                .is_some_and(|rest| rest.starts_with('/'))
    });
    let (request, token) = (form.get("request"), form.get("form"));
    let (true, Some(request), Some(token)) = (own, request, token) else {
        return Ok(None);
    };
    let Some(cookie) = cookie(call, "salus-form") else {
        return Ok(None);
    };
    let known = call.service().is_form_token(&cookie, request, token)?;
    Ok(known.then(|| request.to_owned()))
}

/// The answer to a form that is not from a page of ours.
pub(super) async fn foreign(call: &mut Call) -> Result<Response, Failure> {
    stop(call, StatusCode::FORBIDDEN, FOREIGN).await
}

/// Too much was wrong of late.
pub(super) async fn held_up(call: &mut Call, error: &Error) -> Result<Response, Failure> {
    let mut response = stop(call, StatusCode::TOO_MANY_REQUESTS, HELD_UP).await?;
    if let Some(seconds) = error.retry_after_s() {
        let headers = response.headers_mut();
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    Ok(response)
}

pub(super) async fn stop(
    call: &mut Call,
    status: StatusCode,
    why: &str,
) -> Result<Response, Failure> {
    let look = call.service().look(&call.cx).await?;
    Ok(pages::show(&look, status, &pages::stop(why), ""))
}

async fn show(
    call: &mut Call,
    request: &str,
    asked: &Asked,
    step: Step,
) -> Result<Response, Failure> {
    let to = (StatusCode::OK, &*asked.redirect_uri);
    match step {
        Step::Back(url) => see_other(&url),
        Step::Stop(why) => stop(call, StatusCode::BAD_REQUEST, why).await,
        Step::SignIn { client, stranger } => {
            let from = (&*client, stranger);
            show_sign_in(call, request, to, (from, None)).await
        }
        Step::Done(what) => {
            let page = |hidden: &Hidden<'_>| pages::done(what, Some(hidden.root));
            with_form_to(call, request, to, page).await
        }
        Step::Pick(pick) => {
            let page = |hidden: &Hidden<'_>| pages::pick(&pick, hidden);
            with_form_to(call, request, to, page).await
        }
        Step::Consent(consent) => {
            let page = |hidden: &Hidden<'_>| pages::consent(&consent, to.1, hidden);
            with_form_to(call, request, to, page).await
        }
    }
}

async fn show_sign_in(
    call: &mut Call,
    request: &str,
    to: (StatusCode, &str),
    ((client, stranger), again): ((&str, bool), Option<(&str, &str)>),
) -> Result<Response, Failure> {
    let service = call.service();
    let about = SignIn {
        client,
        stranger: stranger.then_some(to.1),
        providers: &service.provider_names(&call.cx).await?,
        options: &service.passkey_options(&call.cx)?,
        by_mail: service.by_mail(&call.cx),
        again,
    };
    let page = |hidden: &Hidden<'_>| pages::sign_in(&about, hidden);
    with_form_to(call, request, to, page).await
}

/// A page with a form for the same request.
pub(super) async fn with_form(
    call: &mut Call,
    request: &str,
    status: StatusCode,
    page: impl FnOnce(&Hidden<'_>) -> Page,
) -> Result<Response, Failure> {
    let asked = read(request)?;
    with_form_to(call, request, (status, &asked.redirect_uri), page).await
}

pub(super) async fn with_form_to(
    call: &mut Call,
    request: &str,
    (status, place): (StatusCode, &str),
    page: impl FnOnce(&Hidden<'_>) -> Page,
) -> Result<Response, Failure> {
    let known = cookie(call, "salus-form").filter(|text| text.len() == 43);
    let fresh = known.is_none();
    let form = known.unwrap_or_else(|| call.service().form_cookie());
    let token = call.service().form_token(&form, request)?;
    let look = call.service().look(&call.cx).await?;
    let hidden = Hidden {
        root: &look.root,
        request,
        token: &token,
    };
    let mut response = pages::show(&look, status, &page(&hidden), place);
    if fresh {
        let cookie = set_cookie(call, "salus-form", &form, "Strict", None)?;
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    Ok(response)
}

/// The request once more, for who has just signed in: that is what
/// `prompt=login` and `max_age=0` asked for.
pub(super) fn again(call: &Call, request: &str) -> Result<String, Failure> {
    let mut query = form_urlencoded::Serializer::new(String::new());
    for (name, value) in pairs(request)? {
        match (&*name, &*value) {
            ("prompt", prompts) => {
                let others = prompts.split(' ').filter(|prompt| *prompt != "login");
                let others: Vec<&str> = others.collect();
                query.append_pair("prompt", &others.join(" "));
            }
            ("max_age", "0") => {}
            (name, value) => {
                query.append_pair(name, value);
            }
        }
    }
    let issuer = issuer(&call.cx);
    Ok(format!("{issuer}/auth/authorize?{}", query.finish()))
}

pub(super) fn see_other(url: &str) -> Result<Response, Failure> {
    let mut response = crate::nothing();
    *response.status_mut() = StatusCode::SEE_OTHER;
    let url = HeaderValue::try_from(url).map_err(|_| missing("no address to go to"))?;
    let headers = response.headers_mut();
    headers.insert(header::LOCATION, url);
    let never = HeaderValue::from_static("no-store");
    headers.insert(header::CACHE_CONTROL, never);
    let silent = HeaderValue::from_static("no-referrer");
    headers.insert(header::REFERRER_POLICY, silent);
    Ok(response)
}

/// The session of the user at the browser.
pub(super) fn session(call: &Call) -> Option<String> {
    cookie(call, "salus")
}

/// The name that browsers keep for this host alone, where there is TLS.
fn cookie_name(call: &Call, name: &str) -> String {
    match call.app.settings.https {
        true => format!("__Host-{name}"),
        false => name.to_owned(),
    }
}

pub(super) fn cookie(call: &Call, name: &str) -> Option<String> {
    let name = cookie_name(call, name);
    let mut cookies = call.header(header::COOKIE)?.split(';').map(str::trim);
    let found = cookies.find_map(|cookie| {
        let (known, value) = cookie.split_once('=')?;
        (known == name).then_some(value)
    });
    found.map(str::to_owned)
}

pub(super) fn set_cookie(
    call: &Call,
    name: &str,
    value: &str,
    same_site: &str,
    seconds: Option<i64>,
) -> Result<HeaderValue, Failure> {
    let name = cookie_name(call, name);
    let secure = if call.app.settings.https {
        "; Secure"
    } else {
        ""
    };
    let age = seconds.map_or(String::new(), |seconds| format!("; Max-Age={seconds}"));
    let text = format!("{name}={value}; Path=/; HttpOnly; SameSite={same_site}{secure}{age}");
    HeaderValue::try_from(text).map_err(|_| missing("no cookie can be set"))
}
