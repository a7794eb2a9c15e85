//! The brands of a project over HTTP.

use axum::response::Response;
use http::{HeaderValue, StatusCode, header};
use serde_json::{Value, json};

use crate::call::Call;
use crate::failure::Failure;
use crate::health::json as answer;

/// `GET /auth/brands`: the Bundle, or an empty one.
pub(crate) async fn brands(call: &mut Call) -> Result<Response, Failure> {
    let bundle = call.service().brands(&call.cx).await?;
    let none = r#"{"resourceType":"Bundle","type":"collection"}"#;
    let mut response = Response::new(bundle.unwrap_or_else(|| none.to_owned()).into());
    for (name, value) in [
        (header::CONTENT_TYPE, "application/fhir+json"),
        (header::CACHE_CONTROL, "public, max-age=300"),
        // Any page may show what is for everyone, as SMART asks.
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
    ] {
        let value = HeaderValue::from_static(value);
        response.headers_mut().insert(name, value);
    }
    Ok(response)
}

/// `PUT /admin/brands` with a Bundle, or with nothing.
pub(crate) async fn write_brands(call: &mut Call) -> Result<Response, Failure> {
    let body = call.take_form().await?;
    call.service().write_brands(&call.cx, &body).await?;
    Ok(answer(StatusCode::OK, &json!({"written": true})))
}

/// What the configuration of SMART says of it.
pub(super) async fn tell(call: &mut Call, document: &mut Value) -> Result<(), Failure> {
    if call.service().brands(&call.cx).await?.is_some() {
        let issuer = salus_service::oauth::issuer(&call.cx);
        document["user_access_brand_bundle"] = json!(format!("{issuer}/auth/brands"));
    }
    Ok(())
}
