//! The words of mails, and invitations, for administrators, in JSON.

use axum::response::Response;
use http::StatusCode;
use salus_service::MailText;
use salus_service::accounts::{Invitation, InvitationView};
use salus_service::mail::TextView;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::admin::body;
use crate::call::Call;
use crate::failure::Failure;
use crate::health::json as answer;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TextBody {
    subject: String,
    text: String,
    html: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct InvitationBody {
    email: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    groups: Vec<Box<str>>,
    #[serde(default)]
    roles: Vec<String>,
    #[serde(default)]
    profiles: Vec<String>,
}

/// `GET /admin/mails`
pub(crate) async fn list(call: &mut Call) -> Result<Response, Failure> {
    let texts = call.service().list_mail_texts(&call.cx).await?;
    let texts: Vec<Value> = texts.iter().map(text).collect();
    Ok(answer(StatusCode::OK, &json!({"mails": texts})))
}

/// `GET /admin/mails/{id}`
pub(crate) async fn read(call: &mut Call) -> Result<Response, Failure> {
    let found = call.service().read_mail_text(&call.cx, call.param("id"));
    Ok(answer(StatusCode::OK, &text(&found.await?)))
}

/// `PUT /admin/mails/{id}` with `{"subject", "text", "html"?}`
pub(crate) async fn write(call: &mut Call) -> Result<Response, Failure> {
    let TextBody {
        subject,
        text: plain,
        html,
    } = body(call).await?;
    let words = MailText {
        subject,
        text: plain,
        html,
    };
    let id = call.param("id");
    let written = call.service().write_mail_text(&call.cx, id, Some(words));
    Ok(answer(StatusCode::OK, &text(&written.await?)))
}

/// `DELETE /admin/mails/{id}`: our own words again.
pub(crate) async fn delete(call: &mut Call) -> Result<Response, Failure> {
    let id = call.param("id");
    let written = call.service().write_mail_text(&call.cx, id, None);
    Ok(answer(StatusCode::OK, &text(&written.await?)))
}

/// `GET /admin/invitations`
pub(crate) async fn list_invitations(call: &mut Call) -> Result<Response, Failure> {
    let found = call.service().list_invitations(&call.cx).await?;
    let found: Vec<Value> = found.iter().map(invitation).collect();
    Ok(answer(StatusCode::OK, &json!({"invitations": found})))
}

/// `POST /admin/invitations` with `{"email", "name"?, "groups"?, "roles"?, "profiles"?}`
pub(crate) async fn invite(call: &mut Call) -> Result<Response, Failure> {
    let new: InvitationBody = body(call).await?;
    let new = Invitation {
        email: new.email,
        name: new.name,
        groups: new.groups,
        roles: new.roles,
        profiles: new.profiles,
    };
    let made = call.service().invite(&call.cx, new).await?;
    Ok(answer(StatusCode::CREATED, &invitation(&made)))
}

/// `DELETE /admin/invitations/{id}`
pub(crate) async fn revoke_invitation(call: &mut Call) -> Result<Response, Failure> {
    let id = call.param("id");
    call.service().revoke_invitation(&call.cx, id).await?;
    Ok(answer(StatusCode::OK, &json!({"deleted": true})))
}

fn text(text: &TextView) -> Value {
    json!({
        "mail": text.mail,
        "places": text.places,
        "own": text.own,
        "subject": text.words.subject,
        "text": text.words.text,
        "html": text.words.html,
    })
}

fn invitation(one: &InvitationView) -> Value {
    json!({
        "id": one.id,
        "email": one.email,
        "name": one.name,
        "groups": one.groups,
        "roles": one.roles,
        "profiles": one.profiles,
        "by": one.by,
        "created": one.created,
        "expires": one.expires,
    })
}
