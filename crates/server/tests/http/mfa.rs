//! Second factors, as people and their administrators meet them.

use salus_crypto::hmac_sha1;
use serde_json::{Value, json};
use tempfile::TempDir;

#[path = "../../../auth/src/mfa/passkey/virtual_key.rs"]
pub(crate) mod virtual_key;

use virtual_key::VirtualKey;

use crate::host::Server;
use crate::wire::{Answer, Request};

const PASSWORD: &str = "a-good-long-password";
const EMAIL: &str = "first@example.org";

/// A server that is not in development mode, whose first administrator has a password.
struct Place {
    server: Server,
    _folder: TempDir,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start_on(&folder.path().join("data"), &[]);
        server.set_up(EMAIL, PASSWORD);
        Self {
            server,
            _folder: folder,
        }
    }

    fn ask(&self, method: &str, path: &str, token: &str, body: &Value) -> Answer {
        let request = Request::new(method, path).header("Content-Type", "application/json");
        let request = match token {
            "" => request,
            token => request.header("Authorization", format!("Bearer {token}")),
        };
        self.server.send(if body.is_null() {
            request
        } else {
            request.body(body.to_string())
        })
    }

    fn sign_in(&self) -> Value {
        let body = json!({"email": EMAIL, "password": PASSWORD});
        self.ask("POST", "/auth/sign-in", "", &body)
            .expect(200)
            .json()
    }
}

/// The code of an app that was given this secret, some steps of 30 seconds from now.
pub(crate) fn code(secret: &str, steps: u64) -> String {
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    code_at(secret, now + steps * 30)
}

/// The code of such an app at a time, in seconds since 1970 UTC.
pub(crate) fn code_at(secret: &str, seconds: u64) -> String {
    let mut bits = String::new();
    for letter in secret.bytes().filter(|letter| *letter != b' ') {
        let value = match letter {
            b'A'..=b'Z' => letter - b'A',
            _ => letter - b'2' + 26,
        };
        bits.push_str(&format!("{value:05b}"));
    }
    let key: Vec<u8> = bits
        .as_bytes()
        .chunks_exact(8)
        .map(|byte| u8::from_str_radix(std::str::from_utf8(byte).unwrap(), 2).unwrap())
        .collect();
    let mac = hmac_sha1(&key, &(seconds / 30).to_be_bytes());
    let at = usize::from(mac[19] & 15);
    let number = u32::from_be_bytes(mac[at..at + 4].try_into().unwrap()) & 0x7fff_ffff;
    format!("{:06}", number % 1_000_000)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value}"))
}

#[test]
fn the_first_administrator_sets_up_a_second_factor_before_anything_else() {
    let place = Place::new();
    let begun = place.sign_in();
    assert_eq!(begun["step"], "enrol", "{begun}");
    let token = text(&begun["access_token"]);
    let refused = place
        .ask("GET", "/fhir/Patient", token, &Value::Null)
        .expect(403);
    assert!(
        refused.body.contains("/auth/me/factors"),
        "{}",
        refused.body
    );
    place
        .ask("GET", "/admin/users", token, &Value::Null)
        .expect(403);
    let view = place
        .ask("GET", "/auth/me/factors", token, &Value::Null)
        .expect(200);
    assert_eq!(
        view.json(),
        json!({"factors": [], "recovery_codes_left": 0, "required": true})
    );

    let bad = json!({"kind": "sms"});
    place
        .ask("POST", "/auth/me/factors", token, &bad)
        .expect(400);
    let new = json!({"kind": "totp", "name": "Phone"});
    let app = place
        .ask("POST", "/auth/me/factors", token, &new)
        .expect(201);
    assert_eq!(app.header("cache-control"), Some("no-store"));
    let app = app.json();
    let secret = text(&app["secret"]);
    assert!(text(&app["uri"]).starts_with("otpauth://totp/"), "{app}");
    let confirm = format!("/auth/me/factors/{}/confirm", text(&app["id"]));
    place
        .ask("POST", &confirm, token, &json!({"totp": "1"}))
        .expect(422);
    let right = json!({"totp": code(secret, 0)});
    place
        .ask("POST", "/auth/me/factors/other/confirm", token, &right)
        .expect(404);
    let done = place
        .ask("POST", &confirm, token, &right)
        .expect(200)
        .json();
    assert_eq!(done["factor"]["name"], "Phone");
    let codes = done["recovery_codes"].as_array().unwrap();
    assert_eq!(codes.len(), 10);
    // The session has it now.
    place
        .ask("GET", "/fhir/Patient", token, &Value::Null)
        .expect(200);
    let path = format!("/auth/me/factors/{}", text(&app["id"]));
    place.ask("DELETE", &path, token, &Value::Null).expect(409);

    let step = place.sign_in();
    assert_eq!(step["step"], "factor");
    assert_eq!(step["factors"], json!(["totp", "recovery"]));
    assert!(step["access_token"].is_null());
    let ticket = text(&step["sign_in"]);
    place
        .ask("GET", "/fhir/Patient", ticket, &Value::Null)
        .expect(401);
    let finish = |proof: Value| place.ask("POST", "/auth/sign-in/factor", "", &proof);
    finish(json!({"sign_in": ticket})).expect(400);
    finish(json!({"sign_in": ticket, "totp": "1", "recovery": "2"})).expect(400);
    finish(json!({"sign_in": "x", "totp": "123456"})).expect(401);
    // The same code again, whatever the clock says by now.
    finish(json!({"sign_in": ticket, "totp": right["totp"]})).expect(401);
    let in_ = finish(json!({"sign_in": ticket, "totp": code(secret, 1)}))
        .expect(200)
        .json();
    let token = text(&in_["access_token"]);
    place
        .ask("GET", "/fhir/Patient", token, &Value::Null)
        .expect(200);

    let step_up = |proof: Value| place.ask("POST", "/auth/step-up", token, &proof);
    step_up(json!({})).expect(400);
    step_up(json!({"password": PASSWORD})).expect(400);
    step_up(json!({"recovery": "none"})).expect(422);
    step_up(json!({"recovery": codes[0]})).expect(200);
    let renewed = place.ask("POST", "/auth/me/recovery-codes", token, &Value::Null);
    let renewed = renewed.expect(200).json();
    assert_ne!(renewed["recovery_codes"][1], codes[1]);
    step_up(json!({"recovery": codes[1]})).expect(422);

    let log = place.server.log();
    for secret in [secret, text(&codes[0]), PASSWORD, EMAIL] {
        assert!(!log.contains(secret), "{secret} is in the log");
    }
}

#[test]
fn development_mode_is_asked_for_at_the_start_and_nowhere_else() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let server = Server::start_on(&data, &["--dev"]);
    assert!(
        server.log().contains("development mode"),
        "{}",
        server.log()
    );
    server.stop();
    std::fs::write(folder.path().join("salus.toml"), "dev = true\n").unwrap();
    let config = folder.path().join("salus.toml");
    let refused = crate::host::salus(&["check", "--config"])
        .arg(config)
        .output()
        .unwrap();
    assert!(!refused.status.success());
}

#[test]
fn a_passkey_is_a_second_factor_and_can_be_all_of_it() {
    let place = Place::new();
    let begun = place.sign_in();
    let token = text(&begun["access_token"]);
    let origin = format!("http://{}", place.server.address());
    let ask = |path: &str, token: &str, body: Value| place.ask("POST", path, token, &body);
    let new = ask("/auth/me/factors", token, json!({"kind": "passkey"}))
        .expect(200)
        .json();
    let options = &new["publicKey"];
    assert_eq!(options["attestation"], "none");
    assert_eq!(options["rp"]["id"], "127.0.0.1");
    let handle = salus_crypto::from_base64url(text(&options["user"]["id"])).unwrap();
    let handle = String::from_utf8(handle).unwrap();
    let mut key = VirtualKey::new();
    let elsewhere = key.register(
        text(&options["challenge"]),
        "https://evil.example.org",
        "127.0.0.1",
    );
    ask("/auth/me/passkeys", token, json!({"passkey": elsewhere})).expect(422);
    let made = key.register(text(&options["challenge"]), &origin, "127.0.0.1");
    let body = json!({"name": "Key", "passkey": made});
    let done = ask("/auth/me/passkeys", token, body.clone())
        .expect(201)
        .json();
    assert_eq!(done["factor"]["kind"], "passkey");
    assert_eq!(done["recovery_codes"].as_array().unwrap().len(), 10);
    place
        .ask("GET", "/fhir/Patient", token, &Value::Null)
        .expect(200);
    // Neither the challenge nor the passkey a second time.
    let again = ask("/auth/me/passkeys", token, body).status;
    assert!((400..500).contains(&again), "{again}");

    // As the second factor.
    let step = place.sign_in();
    assert_eq!(step["factors"], json!(["passkey", "recovery"]));
    let options = &step["publicKey"];
    assert_eq!(options["allowCredentials"].as_array().unwrap().len(), 1);
    let challenge = text(&options["challenge"]);
    let signed = key.assert((challenge, &origin, "127.0.0.1"), &handle, false);
    let finish = json!({"sign_in": step["sign_in"], "passkey": signed});
    let in_ = ask("/auth/sign-in/factor", "", finish).expect(200).json();
    let token = text(&in_["access_token"]);
    place
        .ask("GET", "/fhir/Patient", token, &Value::Null)
        .expect(200);

    // Instead of all else, if it has made sure of its owner, once.
    let first = || {
        let options = ask("/auth/passkey", "", Value::Null).expect(200).json();
        text(&options["publicKey"]["challenge"]).to_owned()
    };
    let challenge = first();
    let signed = key.assert((&challenge, &origin, "127.0.0.1"), &handle, false);
    ask("/auth/sign-in/passkey", "", json!({"passkey": signed})).expect(401);
    let signed = key.assert((&challenge, &origin, "127.0.0.1"), &handle, true);
    let body = json!({"passkey": signed});
    let in_ = ask("/auth/sign-in/passkey", "", body.clone())
        .expect(200)
        .json();
    let token = text(&in_["access_token"]);
    place
        .ask("GET", "/fhir/Patient", token, &Value::Null)
        .expect(200);
    ask("/auth/sign-in/passkey", "", body).expect(401);
    // One challenge opens one session, whatever the counter says.
    let signed = key.assert((&challenge, &origin, "127.0.0.1"), &handle, true);
    ask("/auth/sign-in/passkey", "", json!({"passkey": signed})).expect(409);
    // A challenge for something else, or for somewhere else, is none.
    let options = ask("/auth/step-up/passkey", token, Value::Null)
        .expect(200)
        .json();
    let challenge = text(&options["publicKey"]["challenge"]);
    let signed = key.assert((challenge, &origin, "127.0.0.1"), &handle, true);
    ask("/auth/sign-in/passkey", "", json!({"passkey": signed})).expect(401);
    let signed = key.assert((challenge, &origin, "127.0.0.1"), &handle, true);
    ask("/auth/step-up", token, json!({"passkey": signed})).expect(200);
    let signed = key.assert(
        (&first(), "https://evil.example.org", "127.0.0.1"),
        &handle,
        true,
    );
    ask("/auth/sign-in/passkey", "", json!({"passkey": signed})).expect(401);
}
