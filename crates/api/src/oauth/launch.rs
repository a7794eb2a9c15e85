//! Apps that are opened from another system
//! (<https://hl7.org/fhir/smart-app-launch/STU2.2/app-launch.html#launch-app-ehr-launch>).

use axum::response::Response;
use http::StatusCode;
use salus_service::oauth::{LaunchToBe, issuer};
use salus_service::{LaunchContext, LaunchedWith};
use serde::Deserialize;
use serde_json::json;

use super::unstored;
use crate::call::Call;
use crate::failure::Failure;
use crate::health::json as answer;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewLaunch {
    client_id: Box<str>,
    user: Option<Box<str>>,
    patient: Option<Box<str>>,
    encounter: Option<Box<str>>,
    #[serde(default, rename = "fhirContext")]
    fhir_context: Vec<LaunchedWith>,
    intent: Option<String>,
    need_patient_banner: Option<bool>,
    smart_style_url: Option<String>,
    tenant: Option<String>,
}

/// `POST /auth/launch`: what an app is opened with, once.
pub(crate) async fn launch(call: &mut Call) -> Result<Response, Failure> {
    let new: NewLaunch = crate::admin::body(call).await?;
    let launch = LaunchToBe {
        client: new.client_id,
        user: new.user,
        patient: new.patient,
        context: LaunchContext {
            encounter: new.encounter,
            others: new.fhir_context,
            intent: new.intent,
            need_patient_banner: new.need_patient_banner,
            smart_style_url: new.smart_style_url,
            tenant: new.tenant,
        },
    };
    let made = call.service().make_launch(&call.cx, launch).await?;
    let body = json!({
        "launch": made.expose(),
        "iss": format!("{}/fhir", issuer(&call.cx)),
        "expires_in": salus_service::oauth::LAUNCH_LIFETIME_MS / 1000,
    });
    Ok(unstored(answer(StatusCode::CREATED, &body)))
}
