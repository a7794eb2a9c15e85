//! Alerts of the audit in JSON: how a project wants them, which there are, and what came of each.

use axum::response::Response;
use http::StatusCode;
use salus_service::Saved;
use salus_service::alerts::{Alert, Alerting, DispositionOutcome};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::admin::body;
use crate::call::Call;
use crate::failure::Failure;
use crate::health::json as answer;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DispositionBody {
    outcome: DispositionOutcome,
    #[serde(default)]
    text: String,
}

/// `GET /admin/alerting`: the setting, without the webhook's secret.
pub(crate) async fn read_setting(call: &mut Call) -> Result<Response, Failure> {
    let setting = call.service().read_alerting(&call.cx).await?;
    Ok(answer(StatusCode::OK, &shown(&setting)))
}

/// `PUT /admin/alerting`; what is left out is as in a new project.
pub(crate) async fn write_setting(call: &mut Call) -> Result<Response, Failure> {
    let setting: Alerting = body(call).await?;
    let setting = call.service().write_alerting(&call.cx, setting).await?;
    Ok(answer(StatusCode::OK, &shown(&setting)))
}

/// `GET /admin/alerts`: those that nobody has said anything about, or with `state=all` all.
pub(crate) async fn list(call: &mut Call) -> Result<Response, Failure> {
    let only_open = call.only_open()?;
    let alerts = call.service().list_alerts(&call.cx, only_open).await?;
    let alerts: Vec<Value> = alerts.iter().map(view).collect();
    Ok(answer(StatusCode::OK, &json!({"alerts": alerts})))
}

/// `POST /admin/alerts/{id}/disposition` with `{"outcome", "text"?}`
pub(crate) async fn dispose(call: &mut Call) -> Result<Response, Failure> {
    let DispositionBody { outcome, text } = body(call).await?;
    let id = call.param("id");
    let service = call.service();
    let alert = service
        .dispose_of_alert(&call.cx, id, (outcome, text))
        .await?;
    Ok(answer(StatusCode::OK, &view(&alert)))
}

fn shown(setting: &Alerting) -> Value {
    let mut shown = json!(setting);
    if let Some(hook) = &setting.webhook {
        shown["webhook"] = json!({"url": hook.url});
    }
    shown
}

fn view(saved: &Saved<Alert>) -> Value {
    let alert = &saved.value;
    let mut view = json!({
        "id": saved.id,
        "rule": alert.rule,
        "agent": alert.agent,
        "from": salus_service::instant(alert.from_ms),
        "to": salus_service::instant(alert.to_ms),
        "count": alert.count,
        "audit_events": alert.events.iter().map(u64::to_string).collect::<Vec<_>>(),
        "webhook_waits": alert.unsent.is_some(),
    });
    if let Some(disposition) = &alert.disposition {
        view["disposition"] = json!({
            "by": disposition.by,
            "at": salus_service::instant(disposition.at_ms),
            "outcome": disposition.outcome,
            "text": disposition.text,
        });
    }
    view
}
