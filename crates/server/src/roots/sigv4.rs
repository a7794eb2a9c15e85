//! Signature Version 4 of AWS, for requests that we make ourselves: POST to `/`, no query.
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/create-signed-request.html>. A crate for it
//! would bring some thirty others for this page.

use std::fmt::Write;

use salus_crypto::{hex, hmac_sha256, sha256};
use zeroize::Zeroizing;

/// Who asks.
pub(super) struct Credentials {
    pub(super) id: String,
    pub(super) secret: Zeroizing<String>,
    /// Of credentials that end by themselves.
    pub(super) token: Option<Zeroizing<String>>,
}

/// For what a signature is good: a day, a region, a service.
pub(super) struct Scope<'a> {
    /// As `20150830T123600Z`.
    pub(super) time: &'a str,
    pub(super) region: &'a str,
    pub(super) service: &'a str,
}

impl Scope<'_> {
    fn day(&self) -> &str {
        self.time.get(..8).unwrap_or_default()
    }

    fn text(&self) -> String {
        format!(
            "{}/{}/{}/aws4_request",
            self.day(),
            self.region,
            self.service
        )
    }
}

/// The `Authorization` header of a request. Headers are in lower case and in order of their names.
pub(super) fn authorization(
    credentials: &Credentials,
    scope: &Scope<'_>,
    method: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> String {
    let mut lines = String::new();
    for (name, value) in headers {
        let _ = writeln!(lines, "{name}:{}", value.trim());
    }
    let names: Vec<&str> = headers.iter().map(|(name, _)| *name).collect();
    let names = names.join(";");
    let hash = hex(&sha256(body));
    let request = format!("{method}\n/\n\n{lines}\n{names}\n{hash}");
    let (time, scope_text) = (scope.time, scope.text());
    let hash = hex(&sha256(request.as_bytes()));
    let to_sign = format!("AWS4-HMAC-SHA256\n{time}\n{scope_text}\n{hash}");
    let key = key(&credentials.secret, scope);
    let signature = hex(&hmac_sha256(key.as_slice(), to_sign.as_bytes()));
    let id = &credentials.id;
    format!(
        "AWS4-HMAC-SHA256 Credential={id}/{scope_text}, SignedHeaders={names}, Signature={signature}"
    )
}

fn key(secret: &str, scope: &Scope<'_>) -> Zeroizing<[u8; 32]> {
    let first = Zeroizing::new(format!("AWS4{secret}"));
    let mut key = Zeroizing::new(hmac_sha256(first.as_bytes(), scope.day().as_bytes()));
    for part in [scope.region, scope.service, "aws4_request"] {
        *key = hmac_sha256(key.as_slice(), part.as_bytes());
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

    #[track_caller]
    fn signs(method: &str, expect: &str) {
        let credentials = Credentials {
            id: "AKIDEXAMPLE".to_owned(),
            secret: Zeroizing::new(SECRET.to_owned()),
            token: None,
        };
        let scope = Scope {
            time: "20150830T123600Z",
            region: "us-east-1",
            service: "service",
        };
        let headers = [
            ("host", "example.amazonaws.com"),
            ("x-amz-date", "20150830T123600Z"),
        ];
        let signed = authorization(&credentials, &scope, method, &headers, b"");
        let expect = format!(
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
             SignedHeaders=host;x-amz-date, Signature={expect}"
        );
        assert_eq!(signed, expect);
    }

    /// `get-vanilla` and `post-vanilla` of the test suite that AWS publishes.
    #[test]
    fn signs_as_the_published_examples() {
        signs(
            "GET",
            "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
        );
        signs(
            "POST",
            "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
        );
    }

    /// The example of a signing key in the documentation.
    #[test]
    fn derives_the_published_key() {
        let scope = Scope {
            time: "20150830T000000Z",
            region: "us-east-1",
            service: "iam",
        };
        assert_eq!(
            hex(key(SECRET, &scope).as_slice()),
            "c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9"
        );
    }
}
