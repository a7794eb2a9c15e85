//! How the pages of a project look, over HTTP: set by administrators, and told
//! to apps that want to look alike
//! (<https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html#styling>).

use axum::response::Response;
use http::StatusCode;
use salus_service::Theme;
use serde_json::{Value, json};

use crate::call::Call;
use crate::failure::Failure;
use crate::health::json as answer;

/// `GET /admin/theme`
pub(crate) async fn read_theme(call: &mut Call) -> Result<Response, Failure> {
    let theme = call.service().read_theme(&call.cx).await?;
    Ok(answer(StatusCode::OK, &view(&theme)))
}

/// `PUT /admin/theme` with `{"name"?, "colours"?, "logo"?}`
pub(crate) async fn write_theme(call: &mut Call) -> Result<Response, Failure> {
    let theme: Theme = crate::admin::body(call).await?;
    let theme = call.service().write_theme(&call.cx, theme).await?;
    Ok(answer(StatusCode::OK, &view(&theme)))
}

/// `GET /auth/smart-style.json`
pub(crate) async fn smart_style(call: &mut Call) -> Result<Response, Failure> {
    let look = call.service().look(&call.cx).await?;
    let mut style = json!({
        "color_background": "#eef2f5",
        "color_text": "#1b2733",
        "color_highlight": "#0b5cad",
        "color_error": "#a30000",
        "color_success": "#1b6e2d",
        "color_modal_backdrop": "#000000",
        "dim_border_radius": "8px",
        "dim_font_size": "16px",
        "dim_spacing_size": "16px",
        "font_family_body": "system-ui, sans-serif",
        "font_family_heading": "system-ui, sans-serif",
    });
    if let Some(colours) = &look.theme.colours {
        style["color_background"] = json!(colours.background);
        style["color_text"] = json!(colours.text);
        style["color_highlight"] = json!(colours.accent);
    }
    Ok(super::discovery::public(&style))
}

fn view(theme: &Theme) -> Value {
    serde_json::to_value(theme).unwrap_or_default()
}
