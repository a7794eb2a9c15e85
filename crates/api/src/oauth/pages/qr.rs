//! QR codes (ISO/IEC 18004) as drawings in a page, which nothing has to be loaded for.

use qrcode::{Color, EcLevel, QrCode};

/// Squares of white that have to be around it.
const MARGIN: usize = 4;

/// A text as a drawing of squares with this name, dark on light whatever the theme; nothing if it is too long for one.
pub(super) fn svg(text: &str, name: &str) -> String {
    let Ok(code) = QrCode::with_error_correction_level(text, EcLevel::M) else {
        return String::new();
    };
    let width = code.width();
    let mut path = String::new();
    for (y, row) in code.to_colors().chunks(width).enumerate() {
        let mut x = 0;
        for run in row.chunk_by(|a, b| a == b) {
            if run.first() == Some(&Color::Dark) {
                let (left, top, long) = (x + MARGIN, y + MARGIN, run.len());
                path.push_str(&format!("M{left} {top}h{long}v1h-{long}z"));
            }
            x += run.len();
        }
    }
    let (name, all) = (super::escape(name), width + 2 * MARGIN);
    format!(
        r##"<svg role="img" aria-label="{name}" viewBox="0 0 {all} {all}" shape-rendering="crispEdges"><path fill="#fff" d="M0 0h{all}v{all}H0z"/><path fill="#000" d="{path}"/></svg>"##
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_becomes_squares_within_a_margin() {
        let drawing = svg("otpauth://totp/a:b?secret=AAAA", "<key>");
        // Version 3 at level M: 29 squares. The first row begins with the edge of a finder.
        assert!(drawing.contains(r#"viewBox="0 0 37 37""#), "{drawing}");
        assert!(drawing.contains(r#"d="M4 4h7v1h-7z"#), "{drawing}");
        assert!(drawing.contains(r#"aria-label="&lt;key&gt;""#), "{drawing}");
        assert_eq!(svg(&"x".repeat(5000), ""), "");
    }
}
