//! Disclosures of patients' records and the accounting of them (45 CFR 164.528), in JSON.

use axum::response::Response;
use http::StatusCode;
use salus_service::audit::day::Day;
use salus_service::audit::disclosure::{Disclosure, Protocol, Suspension};
use serde::Deserialize;
use serde_json::json;

use crate::admin::body;
use crate::call::Call;
use crate::failure::Failure;
use crate::health::json as answer;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Recorded {
    patient: Option<String>,
    disclosure: Option<Disclosure>,
    protocol: Option<Protocol>,
}

/// `POST /admin/disclosures` with `{"patient", "disclosure"}` or `{"protocol"}`
pub(crate) async fn record(call: &mut Call) -> Result<Response, Failure> {
    let recorded: Recorded = body(call).await?;
    let service = call.service();
    match recorded {
        Recorded {
            patient: Some(patient),
            disclosure: Some(disclosure),
            protocol: None,
        } => {
            let done = service.record_disclosure(&call.cx, &patient, disclosure);
            done.await?;
        }
        Recorded {
            patient: None,
            disclosure: None,
            protocol: Some(protocol),
        } => service.record_protocol(&call.cx, protocol).await?,
        _ => {
            let form = "send either patient and disclosure, or protocol; see docs/api.md";
            return Err(Failure::Http(StatusCode::BAD_REQUEST, form));
        }
    }
    Ok(answer(StatusCode::CREATED, &json!({"recorded": true})))
}

/// `GET /admin/disclosures/{id}`: the accounting of a patient, with `from` and `to` of some days.
pub(crate) async fn account(call: &mut Call) -> Result<Response, Failure> {
    let (mut from, mut to) = (None, None);
    for (name, value) in call.query_pairs()? {
        let day = Day::parse(&value);
        let place = match name.as_str() {
            "from" => &mut from,
            "to" => &mut to,
            _ => return Err(no_day()),
        };
        if day.is_none() || place.is_some() {
            return Err(no_day());
        }
        *place = day;
    }
    let patient = call.param("id");
    let service = call.service();
    let days = (from, to);
    let accounting = service.account_for_disclosures(&call.cx, patient, days);
    Ok(answer(StatusCode::OK, &json!(accounting.await?)))
}

/// `POST /admin/disclosures/{id}/suspensions` with `{"agency", "until", "written", "statement"}`
pub(crate) async fn suspend(call: &mut Call) -> Result<Response, Failure> {
    let suspension: Suspension = body(call).await?;
    let patient = call.param("id");
    let service = call.service();
    let done = service.suspend_disclosures(&call.cx, patient, suspension);
    done.await?;
    Ok(answer(StatusCode::CREATED, &json!({"suspended": true})))
}

fn no_day() -> Failure {
    let form = "the parameters are from and to, each a day once: 2026-11-23";
    Failure::Http(StatusCode::BAD_REQUEST, form)
}
