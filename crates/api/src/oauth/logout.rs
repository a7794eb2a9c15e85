//! Signing out at a browser: <https://openid.net/specs/openid-connect-rpinitiated-1_0.html>.

use axum::response::Response;
use http::{StatusCode, header};
use salus_service::oauth::{Leaving, LogoutAsked, issuer};

use super::browser::{self, see_other};
use super::form::{Form, missing};
use super::pages::{self, Hidden};
use crate::call::{Call, pairs};
use crate::failure::Failure;

/// In front of what a form of this page carries, so that it is a form of no other.
const ABOUT: &str = "logout?";

/// The longest request that is carried through the page; an id token is in it.
const REQUEST_BYTES_MAX: usize = 8 << 10;

/// `GET /auth/logout`: the page that asks.
pub(crate) async fn logout_page(call: &mut Call) -> Result<Response, Failure> {
    let query = call.uri.query().unwrap_or_default().to_owned();
    let asked = read(&query)?;
    let leaving = leaving(call, &asked).await?;
    let Some(user) = leaving.user.clone() else {
        return gone(call, &leaving).await;
    };
    let request = [ABOUT, &query].concat();
    let place = leaving.back.clone().unwrap_or_default();
    let page = |hidden: &Hidden<'_>| pages::logout(&leaving, &user, hidden);
    browser::with_form_to(call, &request, (StatusCode::OK, &place), page).await
}

/// `POST /auth/logout` (section 2). The browser comes back with GET, by which it brings the
/// cookie that it keeps from forms of other sites.
pub(crate) async fn logout(call: &mut Call) -> Result<Response, Failure> {
    let body = call.take_form().await?;
    let form = std::str::from_utf8(&body).map_err(|_| missing("the form is not UTF-8"))?;
    read(form)?;
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(pairs(form)?);
    let issuer = issuer(&call.cx);
    see_other(&format!("{issuer}/auth/logout?{}", query.finish()))
}

/// `POST /auth/logout/decision`: what the user says.
pub(crate) async fn logout_decision(call: &mut Call) -> Result<Response, Failure> {
    let form = Form::of(call).await?;
    let request = browser::checked(call, &form)?;
    let Some(query) = request.as_deref().and_then(|text| text.strip_prefix(ABOUT)) else {
        return browser::foreign(call).await;
    };
    let asked = read(query)?;
    if form.get("decision") != Some("leave") {
        let look = call.service().look(&call.cx).await?;
        let page = pages::done("You stay signed in.", Some(&look.root));
        return Ok(pages::show(&look, StatusCode::OK, &page, ""));
    }
    let leaving = leaving(call, &asked).await?;
    let cookie = browser::session(call);
    call.service().leave(&call.cx, cookie.as_deref()).await?;
    let mut response = match &leaving.back {
        Some(back) => see_other(back)?,
        None => gone(call, &leaving).await?,
    };
    let over = browser::set_cookie(call, "salus", "", "Lax", Some(0))?;
    response.headers_mut().append(header::SET_COOKIE, over);
    Ok(response)
}

async fn leaving(call: &mut Call, asked: &LogoutAsked) -> Result<Leaving, Failure> {
    let cookie = browser::session(call);
    let leaving = call.service().leaving(&call.cx, asked, cookie.as_deref());
    Ok(leaving.await?)
}

async fn gone(call: &mut Call, leaving: &Leaving) -> Result<Response, Failure> {
    let look = call.service().look(&call.cx).await?;
    Ok(pages::show(
        &look,
        StatusCode::OK,
        &pages::gone(leaving),
        "",
    ))
}

fn read(query: &str) -> Result<LogoutAsked, Failure> {
    if query.len() > REQUEST_BYTES_MAX {
        return Err(missing("the request is too long"));
    }
    let pairs = pairs(query)?;
    Ok(LogoutAsked::of(
        pairs.iter().map(|(name, value)| (&**name, &**value)),
    ))
}
