//! Retention, legal holds, disposal and shredding, in JSON, for administrators.

use axum::response::Response;
use http::StatusCode;
use salus_service::audit::day::Day;
use salus_service::retention::{ClassReport, NewDisposal, NewHold, RetentionReport, TypeReport};
use salus_service::shredding::{NewShred, Shredding};
use salus_service::{AuditHold, Disposal, Hold, Retention, Saved, Shred, instant};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::admin::body;
use crate::call::Call;
use crate::failure::Failure;
use crate::health::json as answer;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HoldBody {
    name: String,
    reason: String,
    #[serde(default)]
    patients: Vec<String>,
    #[serde(default)]
    searches: Vec<String>,
    audit: Option<AuditBody>,
}

/// Of the audit: all, or what happened since a day.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AuditBody {
    since: Option<Day>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LiftBody {
    reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct DisposeBody {
    reason: String,
    #[serde(default)]
    dry_run: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct ShredBody {
    patient: String,
    reason: String,
    #[serde(default)]
    dry_run: bool,
}

/// `GET /admin/retention`: how long records are kept.
pub(crate) async fn read(call: &mut Call) -> Result<Response, Failure> {
    let setting = call.service().read_retention(&call.cx).await?;
    Ok(answer(StatusCode::OK, &json!(setting)))
}

/// `PUT /admin/retention` with `{"classes": [{"name", "types", "years", …}]}`
pub(crate) async fn write(call: &mut Call) -> Result<Response, Failure> {
    let Retention { classes } = body(call).await?;
    let setting = call.service().write_retention(&call.cx, classes).await?;
    Ok(answer(StatusCode::OK, &json!(setting)))
}

/// `GET /admin/retention/report`: what is kept, what is due, what was disposed of.
pub(crate) async fn report(call: &mut Call) -> Result<Response, Failure> {
    let report = call.service().report_retention(&call.cx).await?;
    Ok(answer(StatusCode::OK, &view_report(&report)))
}

/// `GET /admin/retention/disposals`: what was disposed of, signed.
pub(crate) async fn disposals(call: &mut Call) -> Result<Response, Failure> {
    let signed = call.service().sign_disposals(&call.cx).await?;
    Ok(answer(StatusCode::OK, &signed))
}

/// `POST /admin/retention/dispose` with `{"reason", "dryRun"?}`
pub(crate) async fn dispose(call: &mut Call) -> Result<Response, Failure> {
    let DisposeBody { reason, dry_run } = body(call).await?;
    let new = NewDisposal { reason, dry_run };
    let disposed = call.service().dispose(&call.cx, new).await?;
    let mut view = view_disposal(&disposed.disposal);
    view["complete"] = json!(disposed.complete);
    view["dryRun"] = json!(dry_run);
    Ok(answer(StatusCode::OK, &view))
}

/// `GET /admin/holds`: those in force, or with `state=all` all.
pub(crate) async fn holds(call: &mut Call) -> Result<Response, Failure> {
    let lifted = match call.query_pairs()?.as_slice() {
        [] => false,
        [(name, state)] if name == "state" && state == "open" => false,
        [(name, state)] if name == "state" && state == "all" => true,
        _ => {
            let form = "the only parameter is state, which is open or all";
            return Err(Failure::Http(StatusCode::BAD_REQUEST, form));
        }
    };
    let holds = call.service().list_holds(&call.cx, lifted).await?;
    let holds: Vec<Value> = holds.iter().map(view_hold).collect();
    Ok(answer(StatusCode::OK, &json!({"holds": holds})))
}

/// `POST /admin/holds` with `{"name", "reason", "patients"?, "searches"?, "audit"?: {"since"?}}`
pub(crate) async fn place(call: &mut Call) -> Result<Response, Failure> {
    let HoldBody {
        name,
        reason,
        patients,
        searches,
        audit,
    } = body(call).await?;
    let new = NewHold {
        name,
        reason,
        patients,
        searches,
        audit: audit.map(|audit| AuditHold {
            since_ms: audit.since.map(Day::begins_ms),
        }),
    };
    let hold = call.service().place_hold(&call.cx, new).await?;
    Ok(answer(StatusCode::CREATED, &view_hold(&hold)))
}

/// `GET /admin/holds/{id}`
pub(crate) async fn hold(call: &mut Call) -> Result<Response, Failure> {
    let id = call.param("id");
    let hold = call.service().read_hold(&call.cx, id).await?;
    Ok(answer(StatusCode::OK, &view_hold(&hold)))
}

/// `POST /admin/holds/{id}/lift` with `{"reason"}`
pub(crate) async fn lift(call: &mut Call) -> Result<Response, Failure> {
    let LiftBody { reason } = body(call).await?;
    let id = call.param("id");
    let hold = call.service().lift_hold(&call.cx, id, &reason).await?;
    Ok(answer(StatusCode::OK, &view_hold(&hold)))
}

/// `GET /admin/shreds`
pub(crate) async fn shreds(call: &mut Call) -> Result<Response, Failure> {
    let shreds = call.service().list_shreds(&call.cx).await?;
    let shreds: Vec<Value> = shreds.iter().map(view_shred).collect();
    Ok(answer(StatusCode::OK, &json!({"shreds": shreds})))
}

/// `POST /admin/shreds` with `{"patient", "reason", "dryRun"?}`: what would go, or the certificate.
pub(crate) async fn shred(call: &mut Call) -> Result<Response, Failure> {
    let ShredBody {
        patient,
        reason,
        dry_run,
    } = body(call).await?;
    let new = NewShred {
        patient,
        reason,
        dry_run,
    };
    // A client that goes away ends no shredding.
    let (service, cx) = (call.service_for_long(), call.cx.clone());
    let work = tokio::spawn(async move { service.shred(&cx, new).await });
    let done = work.await.map_err(|_| {
        let broken = "the shredding ended early; it goes on when the server starts again";
        Failure::Http(StatusCode::INTERNAL_SERVER_ERROR, broken)
    })?;
    Ok(match done? {
        Shredding::Planned(plan) => answer(StatusCode::OK, &json!({"plan": plan.view()})),
        Shredding::Done(certificate) => answer(StatusCode::OK, &certificate),
    })
}

/// `GET /admin/shreds/{id}`: the shredding of a patient, with its certificate.
pub(crate) async fn read_shred(call: &mut Call) -> Result<Response, Failure> {
    let id = call.param("id");
    let shred = call.service().read_shred(&call.cx, id).await?;
    let mut view = view_shred(&shred);
    view["certificate"] = json!(shred.value.certificate);
    Ok(answer(StatusCode::OK, &view))
}

/// `GET /admin/shred-key`: by which certificates are checked.
pub(crate) async fn shred_key(call: &mut Call) -> Result<Response, Failure> {
    let key = call.service().read_shred_key(&call.cx).await?;
    Ok(answer(StatusCode::OK, &key))
}

fn view_report(report: &RetentionReport) -> Value {
    let ty = |ty: &TypeReport| {
        json!({
            "type": ty.ty, "kept": ty.kept, "unknown": ty.unknown, "due": ty.due, "held": ty.held,
            "cold": ty.cold, "coldDue": ty.cold_due,
        })
    };
    let class = |class: &ClassReport| {
        let types: Vec<Value> = class.types.iter().map(ty).collect();
        json!({"name": class.name, "then": class.then, "types": types})
    };
    let classes: Vec<Value> = report.classes.iter().map(class).collect();
    let disposals: Vec<Value> = report.disposals.iter().map(view_disposal).collect();
    json!({"complete": report.complete, "classes": classes, "disposals": disposals})
}

fn view_disposal(saved: &Saved<Disposal>) -> Value {
    let disposal = &saved.value;
    json!({
        "id": saved.id,
        "at": instant(disposal.at_ms),
        "by": disposal.by,
        "reason": disposal.reason,
        "disposed": disposal.counts,
        "classes": disposal.classes,
        "cold": disposal.cold,
        "objectsLeft": disposal.objects,
        "held": disposal.held,
    })
}

fn view_hold(saved: &Saved<Hold>) -> Value {
    let hold = &saved.value;
    let mut view = json!({
        "id": saved.id,
        "name": hold.name,
        "reason": hold.reason,
        "patients": hold.patients,
        "searches": hold.searches,
        "by": hold.by,
        "from": instant(hold.from_ms),
    });
    if let Some(audit) = &hold.audit {
        let since = audit.since_ms.map(|since| Day::of(since).to_string());
        view["audit"] = since.map_or_else(|| json!({}), |since| json!({"since": since}));
    }
    if let Some(lifted) = &hold.lifted {
        view["lifted"] = json!({
            "by": lifted.by,
            "at": instant(lifted.at_ms),
            "reason": lifted.reason,
        });
    }
    view
}

fn view_shred(saved: &Saved<Shred>) -> Value {
    let shred = &saved.value;
    json!({
        "patient": saved.id,
        "by": shred.by,
        "reason": shred.reason,
        "begun": instant(shred.begun_ms),
        "done": shred.done_ms.map(instant),
    })
}
