//! Media types: what a client sends and what it accepts.
//! <https://hl7.org/fhir/R4/http.html#mime-type>

use http::{HeaderMap, HeaderValue, StatusCode, header};

use crate::failure::Failure;

/// What FHIR answers are.
pub(crate) const FHIR_JSON: HeaderValue =
    HeaderValue::from_static("application/fhir+json; charset=utf-8");

const UNSUPPORTED: Failure = Failure::Http(
    StatusCode::UNSUPPORTED_MEDIA_TYPE,
    "send FHIR resources as application/fhir+json",
);
const NOT_ACCEPTABLE: Failure = Failure::Http(
    StatusCode::NOT_ACCEPTABLE,
    "this server answers in application/fhir+json",
);

const ENCODED: Failure = Failure::Http(
    StatusCode::UNSUPPORTED_MEDIA_TYPE,
    "send bodies without Content-Encoding",
);

/// Refuses a body that does not say it is JSON in UTF-8, as it is.
pub(crate) fn check_sent(headers: &HeaderMap) -> Result<(), Failure> {
    if let Some(coding) = headers.get(header::CONTENT_ENCODING)
        && !coding.as_bytes().eq_ignore_ascii_case(b"identity")
    {
        return Err(ENCODED);
    }
    let value = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .ok_or(UNSUPPORTED)?;
    let (ty, parameters) = value.split_once(';').unwrap_or((value, ""));
    let utf8 = parameters.split(';').all(|parameter| {
        parameter.split_once('=').is_none_or(|(name, value)| {
            !name.trim().eq_ignore_ascii_case("charset")
                || value.trim().trim_matches('"').eq_ignore_ascii_case("utf-8")
        })
    });
    if is_json(ty.trim()) && utf8 {
        Ok(())
    } else {
        Err(UNSUPPORTED)
    }
}

/// Refuses a request whose answer may not be JSON. `_format` comes before `Accept`
/// (<https://hl7.org/fhir/R4/http.html#parameters>).
pub(crate) fn check_wanted(headers: &HeaderMap, format: Option<&str>) -> Result<(), Failure> {
    if let Some(format) = format {
        let ty = format.split(';').next().unwrap_or_default().trim();
        return if ty == "json" || is_json(ty) {
            Ok(())
        } else {
            Err(NOT_ACCEPTABLE)
        };
    }
    let mut ranges = headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|range| range.split(';').next().unwrap_or_default().trim())
        .filter(|range| !range.is_empty())
        .peekable();
    if ranges.peek().is_none() {
        return Ok(());
    }
    if ranges.any(|range| matches!(range, "*/*" | "application/*" | "text/*") || is_json(range)) {
        Ok(())
    } else {
        Err(NOT_ACCEPTABLE)
    }
}

fn is_json(ty: &str) -> bool {
    [
        "application/fhir+json",
        "application/json",
        "application/json+fhir",
        "text/json",
    ]
    .iter()
    .any(|json| ty.eq_ignore_ascii_case(json))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: http::HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
    }

    #[test]
    fn bodies_must_be_json() {
        for (value, good) in [
            ("application/fhir+json", true),
            ("application/json; charset=UTF-8", true),
            ("application/fhir+json; fhirVersion=4.0", true),
            ("application/json; charset=latin1", false),
            ("application/fhir+xml", false),
            ("text/plain", false),
        ] {
            let result = check_sent(&headers(header::CONTENT_TYPE, value));
            assert_eq!(result.is_ok(), good, "{value}");
        }
        assert!(check_sent(&HeaderMap::new()).is_err());
    }

    #[test]
    fn format_comes_before_accept() {
        let xml = headers(header::ACCEPT, "application/fhir+xml");
        assert!(check_wanted(&xml, None).is_err());
        assert!(check_wanted(&xml, Some("json")).is_ok());
        assert!(check_wanted(&HeaderMap::new(), Some("xml")).is_err());
        assert!(check_wanted(&headers(header::ACCEPT, "text/html, */*;q=0.1"), None).is_ok());
    }
}
