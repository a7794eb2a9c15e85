//! The documents by which clients find what there is, made from the route
//! table: <https://www.rfc-editor.org/rfc/rfc8414> and
//! <https://hl7.org/fhir/smart-app-launch/STU2.2/conformance.html>.

use axum::response::Response;
use http::{HeaderValue, StatusCode, header};
use salus_service::Jwks;
use salus_service::oauth::issuer;
use serde_json::{Value, json};

use crate::call::Call;
use crate::failure::Failure;
use crate::health::json as answer;
use crate::route::{Mount, ROUTES};

/// What clients may sign their assertions with.
const ASSERTION_ALGORITHMS: [&str; 4] = ["ES384", "RS384", "ES256", "RS256"];

/// How clients may prove who they are.
const METHODS: [&str; 4] = [
    "client_secret_basic",
    "client_secret_post",
    "private_key_jwt",
    "none",
];

/// How tokens may be had.
const GRANTS: [&str; 5] = [
    "client_credentials",
    "authorization_code",
    "refresh_token",
    "urn:ietf:params:oauth:grant-type:device_code",
    "urn:ietf:params:oauth:grant-type:token-exchange",
];

/// Scopes that are about no record, and some that are.
const SCOPES: [&str; 11] = [
    "openid",
    "profile",
    "fhirUser",
    "launch",
    "launch/patient",
    "launch/encounter",
    "offline_access",
    "online_access",
    "patient/*.rs",
    "user/*.cruds",
    "system/*.cruds",
];

/// What SMART calls what is there.
const CAPABILITIES: [&str; 19] = [
    "launch-ehr",
    "authorize-post",
    "context-banner",
    "context-style",
    "context-ehr-patient",
    "context-ehr-encounter",
    "context-standalone-encounter",
    "launch-standalone",
    "client-public",
    "sso-openid-connect",
    "context-standalone-patient",
    "permission-offline",
    "permission-online",
    "permission-patient",
    "permission-user",
    "client-confidential-symmetric",
    "client-confidential-asymmetric",
    "permission-v1",
    "permission-v2",
];

/// `GET /.well-known/oauth-authorization-server`
pub(crate) async fn authorization_server(call: &mut Call) -> Result<Response, Failure> {
    Ok(public(&metadata(call).await?))
}

/// `GET /fhir/.well-known/smart-configuration`
pub(crate) async fn smart(call: &mut Call) -> Result<Response, Failure> {
    let mut document = metadata(call).await?;
    document["capabilities"] = json!(CAPABILITIES);
    super::brands::tell(call, &mut document).await?;
    Ok(public(&document))
}

/// `GET /auth/jwks`: what a project's signatures are checked with (RFC 7517).
pub(crate) async fn jwks(call: &mut Call) -> Result<Response, Failure> {
    let keys = call.service().public_keys(&call.cx).await?;
    Ok(public(&shown(&keys)))
}

/// `POST /admin/keys/rotate`: the project signs with new keys from now on.
pub(crate) async fn rotate_keys(call: &mut Call) -> Result<Response, Failure> {
    let keys = call.service().rotate_keys(&call.cx).await?;
    Ok(answer(StatusCode::OK, &shown(&keys)))
}

/// `GET /.well-known/openid-configuration`
/// (<https://openid.net/specs/openid-connect-discovery-1_0.html>, section 3).
pub(crate) async fn openid(call: &mut Call) -> Result<Response, Failure> {
    Ok(public(&metadata(call).await?))
}

fn shown(keys: &Jwks) -> Value {
    serde_json::to_value(keys).unwrap_or_default()
}

async fn metadata(call: &mut Call) -> Result<Value, Failure> {
    let mut document = known(issuer(&call.cx));
    super::registration::tell(call, &mut document).await?;
    Ok(document)
}

fn known(issuer: &str) -> Value {
    let mut document = json!({
        "issuer": issuer,
        "grant_types_supported": GRANTS,
        "token_endpoint_auth_methods_supported": METHODS,
        "token_endpoint_auth_signing_alg_values_supported": ASSERTION_ALGORITHMS,
        "introspection_endpoint_auth_methods_supported": METHODS[..3],
        "revocation_endpoint_auth_methods_supported": METHODS,
        "response_types_supported": ["code"],
        "scopes_supported": SCOPES,
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "claims_supported": [
            "iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "amr", "acr", "at_hash", "fhirUser", "name",
        ],
        "prompt_values_supported": ["none", "login", "consent"],
        "acr_values_supported": [salus_service::mfa::ACR_MULTI, salus_service::mfa::ACR_SINGLE],
        "authorization_response_iss_parameter_supported": true,
        "request_parameter_supported": false,
        "request_uri_parameter_supported": false,
        "require_pushed_authorization_requests": false,
        "response_modes_supported": ["query"],
        "code_challenge_methods_supported": ["S256"],
    });
    for (member, route) in [
        ("authorization_endpoint", "authorize"),
        ("token_endpoint", "token"),
        ("userinfo_endpoint", "userinfo"),
        ("pushed_authorization_request_endpoint", "par"),
        ("device_authorization_endpoint", "device-authorization"),
        ("introspection_endpoint", "introspect"),
        ("revocation_endpoint", "revoke"),
        ("jwks_uri", "jwks"),
        ("end_session_endpoint", "logout"),
    ] {
        if let Some(url) = endpoint(issuer, route) {
            document[member] = json!(url);
        }
    }
    document
}

/// The address of a route, if there is such a one.
pub(super) fn endpoint(issuer: &str, name: &str) -> Option<String> {
    let mut routes = ROUTES.iter();
    let route = routes.find(|route| route.name == name && route.mount == Mount::Project)?;
    Some([issuer, route.path].concat())
}

/// Clients may keep it for a while.
pub(super) fn public(document: &Value) -> Response {
    let mut response = answer(StatusCode::OK, document);
    let minutes = HeaderValue::from_static("public, max-age=300");
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, minutes);
    response
}
