//! Second factors in JSON: signing in with one, setting them up, proving once more.

use axum::response::Response;
use http::{HeaderValue, StatusCode, header};
use salus_service::Secret;
use salus_service::mfa::{
    Assertion, Confirmed, FactorStep, FactorView, Proof, Registration, SignInStep,
};
use salus_service::sessions::SignedIn;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::admin::body;
use crate::call::Call;
use crate::failure::Failure;
use crate::health::json as answer;
use crate::oauth::{bearer, unstored};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Finish {
    sign_in: String,
    #[serde(flatten)]
    proof: ProofBody,
}

/// One of them.
#[derive(Deserialize)]
struct ProofBody {
    totp: Option<String>,
    recovery: Option<String>,
    passkey: Option<Box<Assertion>>,
}

impl ProofBody {
    fn proof(self) -> Option<Proof> {
        match (self.totp, self.recovery, self.passkey) {
            (Some(code), None, None) => Some(Proof::Totp(Secret::new(code))),
            (None, Some(code), None) => Some(Proof::Recovery(Secret::new(code))),
            (None, None, Some(signed)) => Some(Proof::Passkey(signed)),
            _ => None,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Signed {
    passkey: Assertion,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Made {
    #[serde(default)]
    name: String,
    passkey: Registration,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StepUp {
    password: Option<String>,
    totp: Option<String>,
    recovery: Option<String>,
    passkey: Option<Box<Assertion>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewFactor {
    kind: Kind,
    #[serde(default)]
    name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Totp,
    Passkey,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Code {
    totp: String,
}

const ONE: Failure = Failure::Http(
    StatusCode::BAD_REQUEST,
    "send one second factor: totp, recovery or passkey",
);

/// What follows on a password.
pub(crate) fn step(step: &SignInStep) -> Response {
    match step {
        SignInStep::Done(done) => bearer(done),
        SignInStep::Enrol(done) => enrolling(done),
        SignInStep::Factor(step) => unstored(answer(StatusCode::OK, &factor_step(step))),
    }
}

fn enrolling(done: &SignedIn) -> Response {
    let body = json!({
        "step": "enrol",
        "access_token": done.token.expose(),
        "token_type": "Bearer",
        "expires_in": done.expires_in_s,
    });
    unstored(answer(StatusCode::OK, &body))
}

fn factor_step(step: &FactorStep) -> Value {
    let offered = &step.offered;
    let kinds = [
        ("totp", offered.totp),
        ("passkey", offered.passkey.is_some()),
        ("recovery", offered.recovery),
    ];
    let kinds = kinds.iter().filter(|(_, there)| *there);
    let kinds: Vec<&str> = kinds.map(|(name, _)| *name).collect();
    let mut body = json!({
        "step": "factor",
        "sign_in": step.ticket.expose(),
        "expires_in": step.expires_in_s,
        "factors": kinds,
    });
    if let Some(options) = &offered.passkey {
        body["publicKey"] = options.clone();
    }
    body
}

/// `POST /auth/sign-in/factor` with `{"sign_in", "totp" | "recovery" | "passkey"}`
pub(crate) async fn finish(call: &mut Call) -> Result<Response, Failure> {
    let Finish { sign_in, proof } = body(call).await?;
    let proof = proof.proof().ok_or(ONE)?;
    let service = call.service();
    let done = service.finish_sign_in(&call.cx, &sign_in, &proof).await?;
    Ok(bearer(&done))
}

/// `POST /auth/step-up` with `{"totp" | "recovery" | "passkey" | "password"}`
pub(crate) async fn step_up(call: &mut Call) -> Result<Response, Failure> {
    let StepUp {
        password,
        totp,
        recovery,
        passkey,
    } = body(call).await?;
    let password = password.map(Secret::new);
    let proof = ProofBody {
        totp,
        recovery,
        passkey,
    };
    let proof = proof.proof();
    if password.is_some() == proof.is_some() {
        return Err(Failure::Http(
            StatusCode::BAD_REQUEST,
            "send one of totp, recovery, passkey and password",
        ));
    }
    let own = crate::bearer(&call.headers);
    let service = call.service();
    service.step_up(&call.cx, own, password, proof).await?;
    Ok(answer(StatusCode::OK, &json!({"proved": true})))
}

/// `GET /auth/me/factors`
pub(crate) async fn list(call: &mut Call) -> Result<Response, Failure> {
    let found = call.service().list_factors(&call.cx).await?;
    let factors: Vec<Value> = found.factors.iter().map(factor).collect();
    let view = json!({
        "factors": factors,
        "recovery_codes_left": found.codes_left,
        "required": found.required,
    });
    Ok(answer(StatusCode::OK, &view))
}

/// `POST /auth/passkey`: what a browser needs to find a passkey.
pub(crate) async fn passkey_options(call: &mut Call) -> Result<Response, Failure> {
    let options = call.service().passkey_options(&call.cx)?;
    Ok(unstored(answer(
        StatusCode::OK,
        &json!({"publicKey": options}),
    )))
}

/// `POST /auth/sign-in/passkey` with `{"passkey"}`
pub(crate) async fn sign_in_by_passkey(call: &mut Call) -> Result<Response, Failure> {
    let Signed { passkey } = body(call).await?;
    let done = call.service().sign_in_by_passkey(&call.cx, &passkey);
    Ok(bearer(&done.await?))
}

/// `POST /auth/step-up/passkey`: what a browser needs to find one of one's own.
pub(crate) async fn step_up_options(call: &mut Call) -> Result<Response, Failure> {
    let options = call.service().step_up_options(&call.cx).await?;
    Ok(unstored(answer(
        StatusCode::OK,
        &json!({"publicKey": options}),
    )))
}

/// `POST /auth/me/passkeys` with `{"name"?, "passkey"}`
pub(crate) async fn add_passkey(call: &mut Call) -> Result<Response, Failure> {
    let Made { name, passkey } = body(call).await?;
    let own = crate::bearer(&call.headers);
    let service = call.service();
    let done = service
        .add_passkey(&call.cx, own, (&name, &passkey))
        .await?;
    Ok(confirmed(StatusCode::CREATED, &done))
}

/// `POST /auth/me/factors` with `{"kind": "totp" | "passkey", "name"?}`
pub(crate) async fn enrol(call: &mut Call) -> Result<Response, Failure> {
    let NewFactor { kind, name } = body(call).await?;
    if let Kind::Passkey = kind {
        let options = call.service().begin_passkey(&call.cx).await?;
        let view = json!({"publicKey": options});
        return Ok(unstored(answer(StatusCode::OK, &view)));
    }
    let begun = call.service().enrol_totp(&call.cx, &name).await?;
    let view = json!({
        "id": begun.id,
        "secret": begun.secret.expose(),
        "uri": begun.uri.expose(),
    });
    Ok(unstored(answer(StatusCode::CREATED, &view)))
}

/// `POST /auth/me/factors/{id}/confirm` with `{"totp"}`
pub(crate) async fn confirm(call: &mut Call) -> Result<Response, Failure> {
    let Code { totp } = body(call).await?;
    let (own, id) = (crate::bearer(&call.headers), call.param("id"));
    let code = Secret::new(totp);
    let service = call.service();
    let done = service.confirm_totp(&call.cx, own, id, &code).await?;
    Ok(confirmed(StatusCode::OK, &done))
}

fn confirmed(status: StatusCode, done: &Confirmed) -> Response {
    let mut view = json!({"factor": factor(&done.factor)});
    if !done.codes.is_empty() {
        view["recovery_codes"] = shown(&done.codes);
    }
    unstored(answer(status, &view))
}

/// `DELETE /auth/me/factors/{id}`
pub(crate) async fn remove(call: &mut Call) -> Result<Response, Failure> {
    let id = call.param("id");
    call.service().remove_factor(&call.cx, id).await?;
    Ok(answer(StatusCode::OK, &json!({"deleted": true})))
}

/// `POST /auth/me/recovery-codes`
pub(crate) async fn renew_codes(call: &mut Call) -> Result<Response, Failure> {
    let codes = call.service().renew_recovery_codes(&call.cx).await?;
    let view = json!({"recovery_codes": shown(&codes)});
    Ok(unstored(answer(StatusCode::OK, &view)))
}

/// `DELETE /admin/users/{id}/factors`
pub(crate) async fn reset(call: &mut Call) -> Result<Response, Failure> {
    let id = call.param("id");
    call.service().reset_factors(&call.cx, id).await?;
    Ok(answer(StatusCode::OK, &json!({"deleted": true})))
}

fn factor(view: &FactorView) -> Value {
    json!({
        "id": view.id,
        "kind": view.kind,
        "name": view.name,
        "created": view.created,
        "used": view.used,
    })
}

fn shown(codes: &[Secret]) -> Value {
    codes.iter().map(Secret::expose).collect()
}

/// What is asked of whoever has to prove once more who they are (RFC 9470, 3).
pub(crate) fn challenge(age_max_s: i64) -> Option<(header::HeaderName, HeaderValue)> {
    let text = format!(
        "Bearer realm=\"salus\", error=\"insufficient_user_authentication\", \
         error_description=\"prove once more who you are\", max_age=\"{age_max_s}\""
    );
    let value = HeaderValue::try_from(text).ok()?;
    Some((header::WWW_AUTHENTICATE, value))
}
