//! Emergencies in which users go past what rules else allow them, in JSON: for
//! them, and for the administrators who look at it afterwards.

use axum::response::Response;
use http::{HeaderName, HeaderValue, StatusCode};
use salus_service::context::Context;
use salus_service::policy::NewBreakGlass;
use salus_service::{BreakGlass, Reason, ReviewOutcome, Saved};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::admin::body;
use crate::call::Call;
use crate::failure::Failure;
use crate::health::json as answer;

/// Tells that somebody goes past the usual rules, and until when.
const BANNER: HeaderName = HeaderName::from_static("salus-break-glass");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    patient: String,
    reason: Reason,
    #[serde(default)]
    part_2: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReviewBody {
    outcome: ReviewOutcome,
    #[serde(default)]
    text: String,
}

/// `POST /auth/break-glass` with `{"patient", "reason": {"code", "text"}, "part_2"?}`
pub(crate) async fn begin(call: &mut Call) -> Result<Response, Failure> {
    let Body {
        patient,
        reason,
        part_2,
    } = body(call).await?;
    let new = NewBreakGlass {
        patient,
        reason,
        part_2,
    };
    let begun = call.service().break_glass(&call.cx, new).await?;
    Ok(answer(StatusCode::CREATED, &view(&begun)))
}

/// `GET /auth/break-glass`: one's own that are open.
pub(crate) async fn list_own(call: &mut Call) -> Result<Response, Failure> {
    let open = call.service().list_own_broken_glass(&call.cx).await?;
    Ok(answer(StatusCode::OK, &views(&open)))
}

/// `DELETE /auth/break-glass/{id}`: ends it before its time.
pub(crate) async fn end(call: &mut Call) -> Result<Response, Failure> {
    let id = call.param("id");
    let ended = call.service().mend_glass(&call.cx, id).await?;
    Ok(answer(StatusCode::OK, &view(&ended)))
}

/// `GET /admin/break-glass`: those that wait for a review, or with `state=all` all.
pub(crate) async fn list(call: &mut Call) -> Result<Response, Failure> {
    let only_open = call.only_open()?;
    let found = call
        .service()
        .list_broken_glass(&call.cx, only_open)
        .await?;
    Ok(answer(StatusCode::OK, &views(&found)))
}

/// `POST /admin/break-glass/{id}/review` with `{"outcome", "text"?}`
pub(crate) async fn review(call: &mut Call) -> Result<Response, Failure> {
    let ReviewBody { outcome, text } = body(call).await?;
    let id = call.param("id");
    let service = call.service();
    let reviewed = service
        .review_broken_glass(&call.cx, id, (outcome, text))
        .await?;
    Ok(answer(StatusCode::OK, &view(&reviewed)))
}

/// An answer to somebody who has broken the glass says so, whatever it is.
pub(crate) fn with_banner(
    answer: Result<Response, Failure>,
    cx: &Context,
) -> Result<Response, Failure> {
    let until_ms = cx.subject.emergency(cx.now_ms);
    let value = until_ms.and_then(|until_ms| {
        let until = salus_service::instant(until_ms);
        HeaderValue::try_from(format!("active; until={until}")).ok()
    });
    let Some(value) = value else {
        return answer;
    };
    match answer {
        Ok(mut response) => {
            response.headers_mut().insert(BANNER, value);
            Ok(response)
        }
        Err(failure) => Err(Failure::With(Box::new(failure), (BANNER, value))),
    }
}

fn views(all: &[Saved<BreakGlass>]) -> Value {
    let all: Vec<Value> = all.iter().map(view).collect();
    json!({"emergencies": all})
}

fn view(saved: &Saved<BreakGlass>) -> Value {
    let glass = &saved.value;
    let mut view = json!({
        "id": saved.id,
        "user": glass.user,
        "patient": glass.patient,
        "from": salus_service::instant(glass.from_ms),
        "until": salus_service::instant(glass.ends_ms()),
        "reason": glass.reason,
        "part_2": glass.part_2,
    });
    if let Some(review) = &glass.review {
        view["review"] = json!({
            "by": review.by,
            "at": salus_service::instant(review.at_ms),
            "outcome": review.outcome,
            "text": review.text,
        });
    }
    view
}
