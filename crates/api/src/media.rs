//! Media types of what a client sends; [`crate::format`] has what it wants.
//! <https://hl7.org/fhir/R4/http.html#mime-type>

use http::{HeaderMap, HeaderValue, StatusCode, header};
use salus_service::fhir::PatchFormat;

use crate::failure::Failure;
use crate::format::Media;

const UNSUPPORTED: Failure = Failure::Http(
    StatusCode::UNSUPPORTED_MEDIA_TYPE,
    "send FHIR resources as application/fhir+json or application/fhir+xml",
);
const UNSUPPORTED_PATCH: Failure = Failure::Http(
    StatusCode::UNSUPPORTED_MEDIA_TYPE,
    "send a patch as application/json-patch+json, application/merge-patch+json or application/xml-patch+xml, or a Parameters \
     resource as application/fhir+json or application/fhir+xml",
);

/// What a patch is sent as, in the words of `Accept-Patch` (RFC 5789, 3.1).
pub(crate) fn patches() -> Option<HeaderValue> {
    HeaderValue::try_from(PatchFormat::MEDIA_TYPES.join(", ")).ok()
}

/// Refuses a body that does not say it is JSON or XML in UTF-8.
pub(crate) fn check_sent(headers: &HeaderMap) -> Result<(), Failure> {
    let value = sent_type(headers);
    value.and_then(Media::of).map(|_| ()).ok_or(UNSUPPORTED)
}

/// The format of a patch (RFC 5789, 2); a resource in XML becomes JSON as any other.
pub(crate) fn patch_format(headers: &HeaderMap) -> Result<PatchFormat, Failure> {
    let value = sent_type(headers).ok_or(UNSUPPORTED_PATCH)?;
    if Media::of(value).is_some() {
        return Ok(PatchFormat::FhirPath);
    }
    let ty = value.split(';').next().unwrap_or_default().trim();
    match PatchFormat::of_media_type(ty) {
        Some(format @ (PatchFormat::Json | PatchFormat::Merge | PatchFormat::Xml)) => Ok(format),
        Some(PatchFormat::FhirPath) | None => Err(UNSUPPORTED_PATCH),
    }
}

/// The media type of a body in UTF-8, with its parameters.
fn sent_type(headers: &HeaderMap) -> Option<&str> {
    let value = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let is_utf8 = |parameter: &str| {
        parameter.split_once('=').is_none_or(|(name, value)| {
            !name.trim().eq_ignore_ascii_case("charset")
                || value.trim().trim_matches('"').eq_ignore_ascii_case("utf-8")
        })
    };
    value.filter(|value| value.split(';').skip(1).all(is_utf8))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn headers(name: http::HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
    }

    #[test]
    fn bodies_must_be_json_or_xml() {
        for (value, good) in [
            ("application/fhir+json", true),
            ("application/json; charset=UTF-8", true),
            ("application/fhir+json; fhirVersion=4.0", true),
            ("application/json; charset=latin1", false),
            ("application/fhir+xml", true),
            ("text/xml;charset=utf-8", true),
            ("application/fhir+json; fhirVersion=3.0", false),
            ("application/xml-patch+xml", false),
            ("text/plain", false),
        ] {
            let result = check_sent(&headers(header::CONTENT_TYPE, value));
            assert_eq!(result.is_ok(), good, "{value}");
        }
        assert!(check_sent(&HeaderMap::new()).is_err());
    }
}
