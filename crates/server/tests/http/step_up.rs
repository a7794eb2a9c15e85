//! What cannot be undone takes a proof of who is there that is not old (RFC 9470): shredding a patient,
//! at a session whose second factor was shown a while ago. It runs in this process, where the test has the
//! clock.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use http_body_util::BodyExt;
use salus_api::Peer;
use salus_crypto::{Founding, Keyring, Shreds};
use salus_service::{Service, keyring};
use salus_store::Store;
use salus_store_embedded::{Embedded, Options};
use serde_json::{Value, json};
use tempfile::TempDir;
use tower::ServiceExt;

use crate::host::PASSWORD;
use crate::mfa::code_at;
use crate::staged::{Staged, router_settings};

const START_MS: i64 = 1_767_225_600_000;
const MINUTE_MS: i64 = 60 * 1000;

/// A server in this process that is not in development, and an administrator of its project.
struct Stage {
    world: Arc<Staged>,
    now_ms: i64,
    engine: Arc<Embedded>,
    router: Router,
    runtime: tokio::runtime::Runtime,
    /// The session of the administrator.
    token: String,
    /// That of the app which shows codes.
    secret: String,
    _folder: TempDir,
}

/// An answer: its status, what it asks for, its body.
struct Answer {
    status: u16,
    challenge: String,
    json: Value,
}

impl Answer {
    #[track_caller]
    fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.json);
        self
    }

    #[track_caller]
    fn text(&self, name: &str) -> String {
        let text = self.json[name].as_str();
        text.unwrap_or_else(|| panic!("{}", self.json)).to_owned()
    }
}

impl Stage {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let world = Arc::new(Staged::at(START_MS));
        let keys = folder.path().join("keys");
        let keyring = Keyring::open(&keys, Founding::New, START_MS).unwrap();
        let options = Options::new(folder.path().join("store"), Arc::clone(&keyring));
        let engine = Embedded::open(options).unwrap();
        let settings = salus_service::Settings {
            shreds: Some(Shreds::open(&keys, &keyring).unwrap()),
            keys: keyring::Settings {
                keyring: Some(Arc::clone(&keyring)),
                ..keyring::Settings::default()
            },
            ..salus_service::Settings::default()
        };
        let key = keyring.derive("salus paging cursor 1").unwrap();
        let (store, blobs) = (Arc::clone(&engine), Arc::clone(&engine));
        let opened = Service::open(store, blobs, Arc::clone(&world) as _, settings, key);
        let service = Arc::new(runtime.block_on(opened).unwrap());
        let router = salus_api::router(service, router_settings());
        let mut stage = Self {
            world,
            now_ms: START_MS,
            engine,
            router,
            runtime,
            token: String::new(),
            secret: String::new(),
            _folder: folder,
        };
        stage.furnish();
        stage
    }

    /// A patient, and an administrator who has set up a second factor.
    fn furnish(&mut self) {
        let patient = json!({"resourceType": "Patient", "id": "p"});
        self.operate("PUT", "/p/default/fhir/Patient/p", &patient)
            .expect(201);
        let setting = json!({"sign_up": "closed", "step_up_minutes": 5});
        self.operate("PUT", "/p/default/admin/identity", &setting)
            .expect(200);
        let administrator = json!({"email": "admin@example.org", "password": PASSWORD,
            "administers": ["default"]});
        self.operate("POST", "/p/default/admin/users", &administrator)
            .expect(201);
        let body = json!({"email": "admin@example.org", "password": PASSWORD});
        let session = self.own("POST", "/auth/sign-in", &body).expect(200);
        self.token = session.text("access_token");
        let app = json!({"kind": "totp", "name": "Phone"});
        let app = self.own("POST", "/auth/me/factors", &app).expect(201);
        self.secret = app.text("secret");
        let confirm = format!("/auth/me/factors/{}/confirm", app.text("id"));
        let shown = json!({"totp": self.code()});
        self.own("POST", &confirm, &shown).expect(200);
    }

    fn minutes_go_by(&mut self, minutes: i64) {
        self.world.advance_ms(minutes * MINUTE_MS);
        self.now_ms += minutes * MINUTE_MS;
    }

    /// What the app shows now.
    fn code(&self) -> String {
        code_at(&self.secret, self.now_ms as u64 / 1000)
    }

    fn ask(&self, peer: Option<Peer>, method: &str, path: &str, body: &Value) -> Answer {
        let mut request = http::Request::builder()
            .method(method)
            .uri(path)
            .header("host", "inside")
            .header("content-type", "application/json");
        if peer.is_none() && !self.token.is_empty() {
            request = request.header("authorization", format!("Bearer {}", self.token));
        }
        let body = match body.is_null() {
            true => Body::empty(),
            false => Body::from(body.to_string()),
        };
        let mut request = request.body(body).unwrap();
        if let Some(peer) = peer {
            request.extensions_mut().insert(peer);
        }
        let router = self.router.clone();
        self.runtime.block_on(async move {
            let answer = router.oneshot(request).await.unwrap();
            let challenge = answer.headers().get("www-authenticate");
            let challenge = challenge.map_or("", |value| value.to_str().unwrap());
            let (status, challenge) = (answer.status().as_u16(), challenge.to_owned());
            let body = answer.into_body().collect().await.unwrap().to_bytes();
            Answer {
                status,
                challenge,
                json: serde_json::from_slice(&body).unwrap_or_default(),
            }
        })
    }

    fn operate(&self, method: &str, path: &str, body: &Value) -> Answer {
        self.ask(Some(Peer::Operator), method, path, body)
    }

    /// As the administrator at the session.
    fn own(&self, method: &str, path: &str, body: &Value) -> Answer {
        self.ask(None, method, &format!("/p/default{path}"), body)
    }

    fn shred(&self, dry_run: bool) -> Answer {
        let body = json!({"patient": "p", "reason": "the patient asked for it",
            "dryRun": dry_run});
        self.own("POST", "/admin/shreds", &body)
    }

    /// Whether the patient is there, and nothing says that it was shredded.
    #[track_caller]
    fn is_whole(&self) {
        self.operate("GET", "/p/default/fhir/Patient/p", &Value::Null)
            .expect(200);
        let shreds = self.own("GET", "/admin/shreds", &Value::Null).expect(200);
        assert!(
            !shreds.json.to_string().contains("\"p\""),
            "{}",
            shreds.json
        );
        self.own("GET", "/admin/shreds/p", &Value::Null).expect(404);
    }

    #[track_caller]
    fn is_refused(&self) {
        let refused = self.shred(false).expect(401);
        for part in ["insufficient_user_authentication", "max_age=\"300\""] {
            assert!(refused.challenge.contains(part), "{}", refused.challenge);
        }
        assert_eq!(refused.json["resourceType"], "OperationOutcome");
        self.is_whole();
    }
}

#[test]
fn a_patient_is_shredded_by_whom_a_second_factor_proved_lately_and_nobody_else() {
    let mut stage = Stage::new();
    stage.minutes_go_by(6);
    // Looking at what would go takes none.
    stage.shred(true).expect(200);
    stage.is_refused();
    // Neither does a wrong factor help, nor the password, where there is a factor.
    let step_up = |stage: &Stage, proof: Value| stage.own("POST", "/auth/step-up", &proof);
    step_up(&stage, json!({"totp": "000000"})).expect(422);
    step_up(&stage, json!({"password": PASSWORD})).expect(400);
    stage.is_refused();
    let code = stage.code();
    step_up(&stage, json!({"totp": &code})).expect(200);
    // It is good for as long as the project says, and its code for once.
    stage.minutes_go_by(6);
    step_up(&stage, json!({"totp": code})).expect(422);
    stage.is_refused();
    let code = stage.code();
    step_up(&stage, json!({"totp": code})).expect(200);
    stage.minutes_go_by(4);
    let done = stage.shred(false).expect(200);
    assert!(done.json.to_string().contains("800-88"), "{}", done.json);
    stage
        .operate("GET", "/p/default/fhir/Patient/p", &Value::Null)
        .expect(410);
    stage
        .own("GET", "/admin/shreds/p", &Value::Null)
        .expect(200);
    let Stage {
        runtime,
        engine,
        router,
        ..
    } = stage;
    drop(router);
    runtime.block_on(engine.close()).unwrap();
}
