//! The people of a project: users, groups, sessions, one's own account, in JSON.

use axum::response::Response;
use http::StatusCode;
use salus_service::accounts::{
    AccountChange, GroupView, NewGroup, SessionView, UserChange, UserFilter, UserView,
};
use salus_service::{Email, Identity, LockOut, Secret, SignUp, Status};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::admin::body;
use crate::call::Call;
use crate::failure::Failure;
use crate::health::json as answer;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UserBody {
    email: Option<String>,
    name: Option<String>,
    status: Option<Status>,
    groups: Option<Vec<Box<str>>>,
    roles: Option<Vec<String>>,
    profiles: Option<Vec<String>>,
    administers: Option<Vec<String>>,
    /// For a new user only: nobody chooses somebody else's password later.
    password: Option<String>,
}

impl UserBody {
    fn change(self) -> UserChange {
        UserChange {
            email: self.email,
            name: self.name,
            status: self.status,
            groups: self.groups,
            roles: self.roles,
            profiles: self.profiles,
            administers: self.administers,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GroupBody {
    name: String,
    #[serde(default)]
    parents: Vec<Box<str>>,
    #[serde(default)]
    roles: Vec<String>,
    #[serde(default)]
    mfa_required: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Passwords {
    /// Needed if there is one.
    old: Option<String>,
    new: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OwnBody {
    name: Option<String>,
    email: Option<String>,
    password: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Proof {
    /// Needed if there is one.
    password: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct IdentityBody {
    sign_up: SignUp,
    #[serde(default)]
    sign_up_groups: Vec<Box<str>>,
    idle_minutes: Option<u32>,
    session_minutes: Option<u32>,
    #[serde(default)]
    mfa_required: bool,
    password_length: Option<u32>,
    step_up_minutes: Option<u32>,
    lock_out: Option<LockOut>,
    mail_from: Option<String>,
    notices: Option<bool>,
}

/// `GET /admin/users`, by `email`, `group` or `profile`, and from `after` on.
pub(crate) async fn list_users(call: &mut Call) -> Result<Response, Failure> {
    let mut filter = UserFilter::default();
    for (key, value) in call.query_pairs()? {
        let part = match key.as_str() {
            "email" => &mut filter.email,
            "group" => &mut filter.group,
            "profile" => &mut filter.profile,
            "after" => &mut filter.after,
            _ => return Err(UNKNOWN_PARAMETER),
        };
        *part = Some(value);
    }
    let page = call.service().list_users(&call.cx, &filter).await?;
    let users: Vec<Value> = page.users.iter().map(user).collect();
    let mut view = json!({"users": users});
    if let Some(next) = page.next {
        view["next"] = json!(next);
    }
    Ok(answer(StatusCode::OK, &view))
}

/// `POST /admin/users` with `{"email", "name"?, "password"?, …}`
pub(crate) async fn create_user(call: &mut Call) -> Result<Response, Failure> {
    let mut new: UserBody = body(call).await?;
    let password = new.password.take().map(Secret::new);
    let made = call.service().create_user(&call.cx, new.change(), password);
    Ok(answer(StatusCode::CREATED, &user(&made.await?)))
}

/// `GET /admin/users/{id}`
pub(crate) async fn read_user(call: &mut Call) -> Result<Response, Failure> {
    let found = call.service().read_user(&call.cx, call.param("id")).await?;
    Ok(answer(StatusCode::OK, &user(&found)))
}

/// `PATCH /admin/users/{id}` with what changes
pub(crate) async fn change_user(call: &mut Call) -> Result<Response, Failure> {
    let change: UserBody = body(call).await?;
    if change.password.is_some() {
        return Err(NO_PASSWORD);
    }
    let id = call.param("id");
    let changed = call.service().change_user(&call.cx, id, change.change());
    Ok(answer(StatusCode::OK, &user(&changed.await?)))
}

/// `DELETE /admin/users/{id}`
pub(crate) async fn delete_user(call: &mut Call) -> Result<Response, Failure> {
    let id = call.param("id");
    call.service().delete_user(&call.cx, id).await?;
    Ok(answer(StatusCode::OK, &json!({"deleted": true})))
}

/// `GET /admin/users/{id}/sessions`
pub(crate) async fn list_sessions(call: &mut Call) -> Result<Response, Failure> {
    let (id, own) = (call.param("id"), crate::bearer(&call.headers));
    let found = call.service().list_sessions(&call.cx, id, own).await?;
    Ok(answer(StatusCode::OK, &sessions(&found)))
}

/// `DELETE /admin/users/{id}/sessions`
pub(crate) async fn revoke_sessions(call: &mut Call) -> Result<Response, Failure> {
    let ended = call.service().revoke_sessions(&call.cx, call.param("id"));
    Ok(answer(StatusCode::OK, &json!({"ended": ended.await?})))
}

/// `DELETE /admin/sessions`: those of all users but the one that asks.
pub(crate) async fn end_all_sessions(call: &mut Call) -> Result<Response, Failure> {
    let own = crate::bearer(&call.headers);
    let ended = call.service().end_all_sessions(&call.cx, own).await?;
    Ok(answer(StatusCode::OK, &json!({"ended": ended})))
}

/// `DELETE /admin/users/{id}/sessions/{session}`
pub(crate) async fn revoke_session(call: &mut Call) -> Result<Response, Failure> {
    let (id, session) = (call.param("id"), call.param("session"));
    call.service().revoke_session(&call.cx, id, session).await?;
    Ok(answer(StatusCode::OK, &json!({"ended": 1})))
}

/// `GET /admin/groups`
pub(crate) async fn list_groups(call: &mut Call) -> Result<Response, Failure> {
    let groups = call.service().list_groups(&call.cx).await?;
    let groups: Vec<Value> = groups.iter().map(group).collect();
    Ok(answer(StatusCode::OK, &json!({"groups": groups})))
}

/// `POST /admin/groups` with `{"name", "parents"?, "roles"?, "mfa_required"?}`
pub(crate) async fn create_group(call: &mut Call) -> Result<Response, Failure> {
    let new = new_group(call).await?;
    let made = call.service().create_group(&call.cx, new).await?;
    Ok(answer(StatusCode::CREATED, &group(&made)))
}

/// `GET /admin/groups/{id}`
pub(crate) async fn read_group(call: &mut Call) -> Result<Response, Failure> {
    let found = call.service().read_group(&call.cx, call.param("id"));
    Ok(answer(StatusCode::OK, &group(&found.await?)))
}

/// `PUT /admin/groups/{id}` with the same as for a new one
pub(crate) async fn change_group(call: &mut Call) -> Result<Response, Failure> {
    let new = new_group(call).await?;
    let id = call.param("id");
    let changed = call.service().change_group(&call.cx, id, new).await?;
    Ok(answer(StatusCode::OK, &group(&changed)))
}

/// `DELETE /admin/groups/{id}`
pub(crate) async fn delete_group(call: &mut Call) -> Result<Response, Failure> {
    let id = call.param("id");
    call.service().delete_group(&call.cx, id).await?;
    Ok(answer(StatusCode::OK, &json!({"deleted": true})))
}

/// `GET /admin/identity`: how users come in.
pub(crate) async fn read_identity(call: &mut Call) -> Result<Response, Failure> {
    let setting = call.service().read_identity(&call.cx).await?;
    Ok(answer(StatusCode::OK, &identity(&setting)))
}

/// `PUT /admin/identity` with `{"sign_up", …}`; what is left out is as in a new project.
pub(crate) async fn write_identity(call: &mut Call) -> Result<Response, Failure> {
    let new: IdentityBody = body(call).await?;
    let default = Identity::default();
    let mail_from = new.mail_from.as_deref().map(Email::parse).transpose();
    let setting = Identity {
        sign_up: new.sign_up,
        sign_up_groups: new.sign_up_groups,
        idle_minutes: new.idle_minutes,
        session_minutes: new.session_minutes.unwrap_or(default.session_minutes),
        mfa_required: new.mfa_required,
        password_length: new.password_length.unwrap_or(default.password_length),
        step_up_minutes: new.step_up_minutes.unwrap_or(default.step_up_minutes),
        lock_out: new.lock_out.unwrap_or(default.lock_out),
        mail_from: mail_from.map_err(|_| NO_ADDRESS)?,
        notices: new.notices.unwrap_or(default.notices),
    };
    let written = call.service().write_identity(&call.cx, setting).await?;
    Ok(answer(StatusCode::OK, &identity(&written)))
}

/// `GET /auth/me`: one's own account.
pub(crate) async fn read_account(call: &mut Call) -> Result<Response, Failure> {
    let found = call.service().read_account(&call.cx).await?;
    Ok(answer(StatusCode::OK, &user(&found)))
}

/// `POST /auth/me/password` with `{"old"?, "new"}`
pub(crate) async fn change_password(call: &mut Call) -> Result<Response, Failure> {
    let Passwords { old, new } = body(call).await?;
    let (old, new) = (old.map(Secret::new), Secret::new(new));
    let own = crate::bearer(&call.headers);
    let service = call.service();
    service.change_password(&call.cx, own, old, new).await?;
    Ok(answer(StatusCode::OK, &json!({"changed": true})))
}

/// `PATCH /auth/me` with `{"name"?, "email"?, "password"?}`
pub(crate) async fn change_account(call: &mut Call) -> Result<Response, Failure> {
    let change: OwnBody = body(call).await?;
    let change = AccountChange {
        name: change.name,
        email: change.email,
        password: change.password.map(Secret::new),
    };
    let changed = call.service().change_account(&call.cx, change).await?;
    Ok(answer(StatusCode::OK, &user(&changed)))
}

/// `POST /auth/me/delete` with `{"password"?}`
pub(crate) async fn delete_account(call: &mut Call) -> Result<Response, Failure> {
    let Proof { password } = body(call).await?;
    let password = password.map(Secret::new);
    call.service().delete_account(&call.cx, password).await?;
    Ok(answer(StatusCode::OK, &json!({"deleted": true})))
}

/// `POST /auth/me/verify`: a link that confirms one's address.
pub(crate) async fn ask_to_verify(call: &mut Call) -> Result<Response, Failure> {
    call.service().ask_to_verify(&call.cx).await?;
    Ok(answer(StatusCode::OK, &json!({"asked": true})))
}

/// `GET /auth/me/sessions`
pub(crate) async fn list_own_sessions(call: &mut Call) -> Result<Response, Failure> {
    let own = crate::bearer(&call.headers);
    let found = call.service().list_own_sessions(&call.cx, own).await?;
    Ok(answer(StatusCode::OK, &sessions(&found)))
}

/// `DELETE /auth/me/sessions`
pub(crate) async fn end_other_sessions(call: &mut Call) -> Result<Response, Failure> {
    let credential = crate::bearer(&call.headers);
    let ended = call.service().end_other_sessions(&call.cx, credential);
    Ok(answer(StatusCode::OK, &json!({"ended": ended.await?})))
}

/// `DELETE /auth/me/sessions/{session}`
pub(crate) async fn end_own_session(call: &mut Call) -> Result<Response, Failure> {
    let session = call.param("session");
    call.service().end_own_session(&call.cx, session).await?;
    Ok(answer(StatusCode::OK, &json!({"ended": 1})))
}

async fn new_group(call: &mut Call) -> Result<NewGroup, Failure> {
    let new: GroupBody = body(call).await?;
    Ok(NewGroup {
        name: new.name,
        parents: new.parents,
        roles: new.roles,
        mfa_required: new.mfa_required,
    })
}

fn user(user: &UserView) -> Value {
    json!({
        "id": user.id,
        "email": user.email,
        "name": user.name,
        "status": user.status,
        "verified": user.verified,
        "has_password": user.has_password,
        "groups": user.groups,
        "roles": user.roles,
        "profiles": user.profiles,
        "administers": user.administers,
        "created": user.created,
    })
}

fn group(group: &GroupView) -> Value {
    let mut view = json!({
        "id": group.id,
        "name": group.name,
        "parents": group.parents,
        "roles": group.roles,
        "mfa_required": group.mfa_required,
    });
    if let Some(members) = group.members {
        view["members"] = json!(members);
    }
    view
}

fn sessions(sessions: &[SessionView]) -> Value {
    let session = |one: &SessionView| {
        json!({
            "id": one.id,
            "created": one.created,
            "used": one.used,
            "expires": one.expires,
            "current": one.current,
        })
    };
    let sessions: Vec<Value> = sessions.iter().map(session).collect();
    json!({"sessions": sessions})
}

fn identity(setting: &Identity) -> Value {
    json!({
        "sign_up": setting.sign_up,
        "sign_up_groups": setting.sign_up_groups,
        "idle_minutes": setting.idle_minutes,
        "session_minutes": setting.session_minutes,
        "mfa_required": setting.mfa_required,
        "password_length": setting.password_length,
        "step_up_minutes": setting.step_up_minutes,
        "lock_out": setting.lock_out,
        "mail_from": setting.mail_from.as_ref().map(Email::expose),
        "notices": setting.notices,
    })
}

const UNKNOWN_PARAMETER: Failure = Failure::Http(
    StatusCode::BAD_REQUEST,
    "users are listed by one of email, group and profile, and from after on",
);
const NO_PASSWORD: Failure = Failure::Http(
    StatusCode::BAD_REQUEST,
    "password: nobody chooses a password for somebody else; they change it at /auth/me/password",
);
const NO_ADDRESS: Failure = Failure::Http(
    StatusCode::BAD_REQUEST,
    "mail_from: this is not an e-mail address",
);
