//! The keys that seal records, for who runs the server: in JSON.

use axum::response::Response;
use http::StatusCode;
use salus_service::error::Error;
use salus_service::instant;
use salus_service::keyring::{KeysView, Rotate};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::call::Call;
use crate::failure::Failure;
use crate::health::json as answer;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewRotation {
    what: Level,
    project: Option<String>,
    patient: Option<String>,
    to: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Level {
    Root,
    Project,
    Patient,
    All,
}

/// `GET /admin/keyring`: which keys there are and how old they are.
pub(crate) async fn read(call: &mut Call) -> Result<Response, Failure> {
    let keys = call.service().read_keyring(&call.cx).await?;
    Ok(answer(StatusCode::OK, &view(&keys)))
}

/// `POST /admin/keyring/rotate` with `{"what", "project"?, "patient"?, "to"?}`
pub(crate) async fn rotate(call: &mut Call) -> Result<Response, Failure> {
    let new: NewRotation = crate::admin::body(call).await?;
    let rotate = meant(new).ok_or_else(|| {
        Error::invalid(
            "project takes \"project\", patient also \"patient\", and root may have \"to\"",
        )
    })?;
    let keys = call.service().rotate_keyring(&call.cx, rotate).await?;
    Ok(answer(StatusCode::OK, &view(&keys)))
}

/// `POST /admin/keyring/check`: whether every key can be unwrapped.
pub(crate) async fn check(call: &mut Call) -> Result<Response, Failure> {
    let checked = call.service().check_keyring(&call.cx).await?;
    let body = json!({
        "good": checked.good,
        "destroyed": checked.destroyed,
        "bad": checked.bad,
        "faults": checked.faults,
    });
    Ok(answer(StatusCode::OK, &body))
}

fn meant(new: NewRotation) -> Option<Rotate> {
    match (new.what, new.project, new.patient, new.to) {
        (Level::Root, None, None, to) => Some(Rotate::Root(to)),
        (Level::Project, Some(project), None, None) => Some(Rotate::Project(project)),
        (Level::Patient, Some(project), Some(patient), None) => {
            Some(Rotate::Patient(project, patient))
        }
        (Level::All, None, None, None) => Some(Rotate::All),
        _ => None,
    }
}

fn view(keys: &KeysView) -> Value {
    let status = &keys.status;
    let projects = status.projects.iter().zip(&keys.slugs);
    let projects = projects.map(|(project, slug)| {
        let patients = &project.patients;
        json!({
            "project": slug,
            "created": instant(project.created_ms),
            "older": project.older,
            "patients": {
                "keys": patients.count,
                "oldest": patients.oldest_ms.map(instant),
                "older": patients.older,
                "behind": patients.behind,
                "destroyed": patients.destroyed,
            },
        })
    });
    let rotation = keys.rotation.map(|progress| {
        json!({"done": progress.done, "total": progress.total, "rotated": progress.rotated,
            "rewrapped": progress.rewrapped})
    });
    let answers = &keys.answers;
    json!({
        "root": {
            "source": status.root.source,
            "id": status.root.id,
            "since": instant(status.root.since_ms),
            "answers": answers.is_ok(),
            "why": answers.as_ref().err(),
        },
        "purposes": {"created": instant(status.purposes_ms)},
        "projects": projects.collect::<Vec<_>>(),
        "rotation": rotation,
        "rotateDays": keys.rotate_days,
    })
}
