//! `aws-kms:ARN?credentials=FILE`: a key of AWS KMS wraps the root key.
//!
//! `Encrypt` and `Decrypt` of <https://docs.aws.amazon.com/kms/latest/APIReference/>, with the id
//! of the root key as encryption context. The file of credentials is that of AWS's own tools, of
//! which the profile `default` is read (or `profile=NAME`), each time anew, since they end.
//! `endpoint=URL` asks elsewhere, as in a network of one's own; `roots=FILE` trusts other
//! authorities.

use std::path::PathBuf;

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::Full;
use salus_crypto::{RootFault, WrapsRoot, base64, from_base64};
use salus_service::jobs::Origin;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::ask::{Answer, Service};
use super::sigv4::{Credentials, Scope, authorization};
use super::{Error, Parts};

const TYPE: &str = "application/x-amz-json-1.1";
const CONTEXT: &str = "salus-root-key";

/// A key of AWS KMS.
pub(super) struct Source {
    name: String,
    arn: String,
    region: String,
    credentials: PathBuf,
    profile: String,
    service: Service,
}

impl Source {
    pub(super) fn parse(text: &str) -> Result<Self, Error> {
        let (arn, mut parts) = Parts::of(text);
        let region = region(arn).ok_or(Error::Part(
            "aws-kms",
            "the ARN of a key or an alias has to follow: arn:aws:kms:REGION:ACCOUNT:key/ID",
        ))?;
        let credentials = parts.path("credentials");
        let credentials = credentials.ok_or(Error::Part(
            "aws-kms",
            "credentials=FILE has to name a file of credentials",
        ))?;
        let domain = match region.starts_with("cn-") {
            true => "amazonaws.com.cn",
            false => "amazonaws.com",
        };
        let usual = format!("https://{}", ["kms", region, domain].join("."));
        let endpoint = parts.take("endpoint").unwrap_or(&usual);
        let origin = Origin::parse(endpoint);
        let origin = origin.ok_or(Error::Part("endpoint", "it is no origin"))?;
        let profile = parts.take("profile").unwrap_or("default").to_owned();
        let service = Service::new(origin, parts.path("roots"))?;
        parts.end()?;
        Ok(Self {
            name: format!("aws-kms:{arn}"),
            arn: arn.to_owned(),
            region: region.to_owned(),
            credentials,
            profile,
            service,
        })
    }

    fn ask(&self, action: &str, question: &Value) -> Result<Value, RootFault> {
        let target = format!("TrentService.{action}");
        let body = Zeroizing::new(question.to_string());
        let not_ready = |error: Error| RootFault::NotReady(error.to_string());
        let credentials = self.read_credentials().map_err(not_ready)?;
        let answer = self
            .service
            .ask(|| self.request(&credentials, &target, &body))?;
        understood(&answer)
    }

    fn request(
        &self,
        credentials: &Credentials,
        target: &str,
        body: &str,
    ) -> Result<Request<Full<Bytes>>, RootFault> {
        let time = crate::open::Machine
            .now()
            .strftime("%Y%m%dT%H%M%SZ")
            .to_string();
        let host = self.service.authority();
        let token = credentials.token.as_ref().map(|token| token.as_str());
        let mut headers = vec![
            ("content-type", TYPE),
            ("host", &host),
            ("x-amz-date", &time),
        ];
        headers.extend(token.map(|token| ("x-amz-security-token", token)));
        headers.push(("x-amz-target", target));
        let scope = Scope {
            time: &time,
            region: &self.region,
            service: "kms",
        };
        let signed = authorization(credentials, &scope, "POST", &headers, body.as_bytes());
        let mut request = Request::builder().method(Method::POST).uri("/");
        for (name, value) in headers.into_iter().filter(|(name, _)| *name != "host") {
            request = request.header(name, value);
        }
        let request = request.header("authorization", signed);
        let request = request.body(Full::new(Bytes::copy_from_slice(body.as_bytes())));
        request.map_err(|_| RootFault::NotReady("its credentials have odd characters".to_owned()))
    }

    fn read_credentials(&self) -> Result<Credentials, Error> {
        let text = super::secret(&self.credentials)?;
        profile(&text, &self.profile).ok_or_else(|| {
            let what = "aws_access_key_id and aws_secret_access_key of the profile";
            Error::Content(self.credentials.clone(), what)
        })
    }
}

impl WrapsRoot for Source {
    fn name(&self) -> &str {
        &self.name
    }

    fn wrap(&self, id: &str, key: &[u8; 32]) -> Result<Vec<u8>, RootFault> {
        let answer = self.ask(
            "Encrypt",
            &json!({"KeyId": self.arn, "Plaintext": base64(key), "EncryptionContext": {CONTEXT: id}}),
        )?;
        let wrapped = answer["CiphertextBlob"].as_str().and_then(from_base64);
        wrapped.ok_or(RootFault::Garbled("no CiphertextBlob"))
    }

    fn unwrap(&self, id: &str, wrapped: &[u8]) -> Result<Zeroizing<[u8; 32]>, RootFault> {
        let answer = self.ask(
            "Decrypt",
            &json!({"KeyId": self.arn, "CiphertextBlob": base64(wrapped), "EncryptionContext": {CONTEXT: id}}),
        )?;
        let plain = answer["Plaintext"].as_str().and_then(from_base64);
        super::key_of(plain.map(Zeroizing::new))
    }
}

/// The region in the ARN of a key: `arn:aws:kms:eu-central-1:111122223333:key/…`.
fn region(arn: &str) -> Option<&str> {
    let parts: Vec<&str> = arn.split(':').collect();
    let ["arn", partition, "kms", region, account, key] = parts.as_slice() else {
        return None;
    };
    let plain = |text: &str| {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'/');
        !text.is_empty() && text.bytes().all(fits)
    };
    let all = [partition, region, account, key]
        .into_iter()
        .all(|part| plain(part));
    let named = key.starts_with("key/") || key.starts_with("alias/");
    (all && named).then_some(*region)
}

/// A profile in a file of credentials: lines of `name = value` below `[profile]`.
fn profile(text: &str, wanted: &str) -> Option<Credentials> {
    let (mut id, mut secret, mut token) = (None, None, None);
    let mut here = false;
    for line in text.lines().map(str::trim) {
        if let Some(name) = line
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
        {
            here = name.trim() == wanted;
        } else if let (true, Some((name, value))) = (here, line.split_once('=')) {
            let value = value.trim();
            match name.trim() {
                "aws_access_key_id" => id = Some(value.to_owned()),
                "aws_secret_access_key" => secret = Some(Zeroizing::new(value.to_owned())),
                "aws_session_token" => token = Some(Zeroizing::new(value.to_owned())),
                _ => {}
            }
        }
    }
    Some(Credentials {
        id: id?,
        secret: secret?,
        token,
    })
}

/// What KMS says, or what its error means:
/// <https://docs.aws.amazon.com/kms/latest/APIReference/API_Decrypt.html#API_Decrypt_Errors>.
fn understood(answer: &Answer) -> Result<Value, RootFault> {
    let said = answer.json();
    if answer.status == StatusCode::OK {
        return Ok(said);
    }
    let ty = said["__type"].as_str().unwrap_or_default();
    // Some have a namespace in front.
    let ty = ty.rsplit('#').next().unwrap_or_default();
    Err(match ty {
        "AccessDeniedException" => RootFault::NotAllowed("AccessDeniedException"),
        "UnrecognizedClientException"
        | "InvalidSignatureException"
        | "ExpiredTokenException"
        | "InvalidClientTokenId"
        | "MissingAuthenticationTokenException" => {
            RootFault::NotAllowed("it does not know the credentials")
        }
        "NotFoundException" => RootFault::Lost("NotFoundException"),
        "DisabledException" => RootFault::Lost("it is disabled"),
        "KMSInvalidStateException" => RootFault::Lost("it is being deleted, or not ready"),
        "InvalidCiphertextException" | "IncorrectKeyException" => {
            RootFault::WrongKey("it was not wrapped by this key")
        }
        "InvalidKeyUsageException" => RootFault::NotAllowed("the key is not one for encrypting"),
        "DependencyTimeoutException" | "KMSInternalException" | "KeyUnavailableException" => {
            RootFault::Unreachable("it says that it cannot just now")
        }
        _ if answer.status.is_server_error() => RootFault::Unreachable("its server failed"),
        _ => RootFault::Garbled("an error that is not known"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_come_from_keys_only() {
        let region_of = |rest| region(rest).map(str::to_owned);
        let arn = "arn:aws:kms:eu-central-1:111122223333:key/12-ab";
        assert_eq!(region_of(arn).as_deref(), Some("eu-central-1"));
        for wrong in [
            "",
            "arn:aws:s3:eu-central-1:111122223333:key/12",
            "arn:aws:kms:eu/../x.y:111122223333:key/12",
            "arn:aws:kms:eu:111122223333:grant/12",
            "arn:aws:kms::111122223333:key/12",
        ] {
            assert_eq!(region_of(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn credentials_are_those_of_the_profile() {
        let text = "# mine\n[default]\naws_access_key_id = AKID\naws_secret_access_key=s=1\n\
                    [other]\naws_access_key_id=B\naws_secret_access_key=C\naws_session_token=T\n";
        let default = profile(text, "default").unwrap();
        assert_eq!((&*default.id, default.secret.as_str()), ("AKID", "s=1"));
        assert!(default.token.is_none());
        assert_eq!(profile(text, "other").unwrap().token.unwrap().as_str(), "T");
        assert!(profile(text, "third").is_none());
    }
    #[test]
    fn whatever_it_answers_is_understood_as_something() {
        Answer::all_told("{\"__type\":[1]}", |answer| understood(answer).is_ok());
    }
}
