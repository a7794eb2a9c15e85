//! Root keys that a key service or a token keeps: small ones of our own, which check what they are
//! sent and misbehave on demand, and SoftHSM where it is installed.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use salus_crypto::{base64, from_base64, hmac_sha256, sha256};
use serde_json::{Value, json};

use crate::host::{Server, salus};
use crate::keys::{everything, private};

const ARN: &str = "arn:aws:kms:eu-central-1:111122223333:key/12-ab";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

/// How a service behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mood {
    Well,
    Denied,
    Throttled,
    /// The first time only.
    ThrottledOnce,
    Slow,
    Foreign,
    AnotherKey,
    Lost,
    Garbage,
    Failing,
}

/// A request that came.
struct Asked {
    path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Asked {
    fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(one, _)| one == name);
        found.map_or("", |(_, value)| value)
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

type Answers = fn(&Asked, Mood) -> (u16, Value);

/// A service on a port of this machine.
struct Service {
    port: u16,
    mood: Arc<Mutex<Mood>>,
}

impl Service {
    fn start(answers: Answers) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let mood = Arc::new(Mutex::new(Mood::Well));
        let own = Arc::clone(&mood);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                let Some(asked) = read(&mut stream) else {
                    continue;
                };
                let now = *own.lock().unwrap();
                if now == Mood::Slow {
                    // It is let go when the one asking has had enough.
                    let _ = stream.read(&mut [0]);
                    continue;
                }
                let (status, said) = answers(&asked, now);
                if now == Mood::ThrottledOnce {
                    *own.lock().unwrap() = Mood::Well;
                }
                let body = match now == Mood::Garbage {
                    true => "<html>".to_owned(),
                    false => said.to_string(),
                };
                let head = format!(
                    "HTTP/1.1 {status} -\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                    body.len()
                );
                let _ = stream.write_all((head + &body).as_bytes());
            }
        });
        Self { port, mood }
    }

    fn be(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }
}

fn read(stream: &mut std::net::TcpStream) -> Option<Asked> {
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .ok()?;
    let mut bytes = Vec::new();
    let mut one = [0];
    while !bytes.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut one).ok()?;
        bytes.push(one[0]);
    }
    let head = String::from_utf8(bytes).ok()?;
    let mut lines = head.lines();
    let path = lines.next()?.split(' ').nth(1)?.to_owned();
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    let mut asked = Asked {
        path,
        headers,
        body: Vec::new(),
    };
    let length = asked.header("content-length").parse().unwrap_or(0);
    asked.body = vec![0; length];
    stream.read_exact(&mut asked.body).ok()?;
    Some(asked)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether a request is signed as AWS wants it, by who has the secret.
fn is_signed(asked: &Asked) -> bool {
    let authorization = asked.header("authorization");
    let part = |name: &str| {
        let (_, rest) = authorization.split_once(name).unwrap_or_default();
        rest.split(", ").next().unwrap_or_default().to_owned()
    };
    let (names, signature) = (part("SignedHeaders="), part("Signature="));
    let scope = part("Credential=AKID/");
    let mut lines = String::new();
    for name in names.split(';') {
        lines += &format!("{name}:{}\n", asked.header(name));
    }
    let request = format!(
        "POST\n{}\n\n{lines}\n{names}\n{}",
        asked.path,
        hex(&sha256(&asked.body))
    );
    let time = asked.header("x-amz-date");
    let text = format!(
        "AWS4-HMAC-SHA256\n{time}\n{scope}\n{}",
        hex(&sha256(request.as_bytes()))
    );
    let mut key = format!("AWS4{SECRET}").into_bytes();
    for part in scope.split('/') {
        key = hmac_sha256(&key, part.as_bytes()).to_vec();
    }
    let needed = ["host", "x-amz-date", "x-amz-target"];
    scope.ends_with("/eu-central-1/kms/aws4_request")
        && time.starts_with(scope.split('/').next().unwrap())
        && needed
            .iter()
            .all(|name| names.split(';').any(|one| one == *name))
        && hex(&hmac_sha256(&key, text.as_bytes())) == signature
}

fn kms(asked: &Asked, mood: Mood) -> (u16, Value) {
    let failed = |ty: &str| (400, json!({"__type": ty, "message": "-"}));
    if !is_signed(asked) {
        return failed("InvalidSignatureException");
    }
    match mood {
        Mood::Denied => return failed("com.amazonaws.kms#AccessDeniedException"),
        Mood::Throttled | Mood::ThrottledOnce => return failed("ThrottlingException"),
        Mood::Lost => return failed("DisabledException"),
        Mood::Foreign => return failed("InvalidCiphertextException"),
        Mood::Failing => return (500, json!({"__type": "KMSInternalException"})),
        Mood::AnotherKey => return (200, json!({"Plaintext": base64(&[7; 32])})),
        Mood::Well | Mood::Slow | Mood::Garbage => {}
    }
    let question = asked.json();
    let id = question["EncryptionContext"]["salus-root-key"]
        .as_str()
        .unwrap();
    assert_eq!(question["KeyId"], ARN);
    match asked.header("x-amz-target") {
        "TrentService.Encrypt" => {
            let plain = from_base64(question["Plaintext"].as_str().unwrap()).unwrap();
            let blob = [id.as_bytes(), &plain].concat();
            (200, json!({"CiphertextBlob": base64(&blob), "KeyId": ARN}))
        }
        "TrentService.Decrypt" => {
            let blob = from_base64(question["CiphertextBlob"].as_str().unwrap()).unwrap();
            match blob.strip_prefix(id.as_bytes()) {
                Some(plain) => (200, json!({"Plaintext": base64(plain), "KeyId": ARN})),
                None => failed("InvalidCiphertextException"),
            }
        }
        _ => failed("UnknownOperationException"),
    }
}

fn vault(asked: &Asked, mood: Mood) -> (u16, Value) {
    let failed = |status, text: &str| (status, json!({"errors": [text]}));
    let question = asked.json();
    if asked.path == "/v1/auth/approle/login" {
        return match question["role_id"] == "the-role" && question["secret_id"] == "the-secret" {
            true => (200, json!({"auth": {"client_token": "the-token"}})),
            false => failed(400, "invalid role or secret ID"),
        };
    }
    if asked.header("x-vault-token") != "the-token" {
        return failed(403, "permission denied");
    }
    match mood {
        Mood::Denied => return failed(403, "permission denied"),
        Mood::Throttled | Mood::ThrottledOnce => return failed(429, "rate limited"),
        Mood::Lost => return failed(400, "encryption key not found"),
        Mood::Foreign => return failed(400, "cipher: message authentication failed"),
        Mood::Failing => return failed(503, "Vault is sealed"),
        Mood::AnotherKey => return (200, json!({"data": {"plaintext": base64(&[7; 32])}})),
        Mood::Well | Mood::Slow | Mood::Garbage => {}
    }
    let about = question["associated_data"].as_str().unwrap();
    match &*asked.path {
        "/v1/transit/encrypt/salus" => {
            let plain = question["plaintext"].as_str().unwrap();
            (
                200,
                json!({"data": {"ciphertext": format!("vault:v1:{about}:{plain}")}}),
            )
        }
        "/v1/transit/decrypt/salus" => {
            let wrapped = question["ciphertext"].as_str().unwrap();
            match wrapped.strip_prefix(&format!("vault:v1:{about}:")) {
                Some(plain) => (200, json!({"data": {"plaintext": plain}})),
                None => failed(400, "cipher: message authentication failed"),
            }
        }
        _ => failed(404, "no handler for route"),
    }
}

/// A folder with a server that was founded with a root key from here.
struct Founded {
    folder: tempfile::TempDir,
    source: String,
}

impl Founded {
    fn new(source: impl FnOnce(&Path) -> String) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let source = source(folder.path());
        let founded = Self { folder, source };
        let arguments = ["--demo=0", "--root-key", &founded.source];
        let server = Server::start_on(&founded.data(), &arguments);
        assert!(server.stop().success());
        founded
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// What is said when the keys are checked.
    fn check(&self, source: &str) -> (bool, String) {
        let data = self.data();
        let data = data.to_str().unwrap();
        let check = ["keys", "check", "--data", data, "--root-key", source];
        let output = salus(&check).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.success(), said)
    }

    #[track_caller]
    fn opens(&self) {
        let (opened, said) = self.check(&self.source);
        assert!(opened, "{said}");
    }

    /// Refused for this reason, and no byte of the folder is another.
    #[track_caller]
    fn refused(&self, source: &str, expect: &str) {
        let before = everything(&self.data());
        let (opened, said) = self.check(source);
        assert!(!opened && said.contains(expect), "{expect}: {said}");
        for secret in [SECRET, "the-token", "the-secret", "1234-pin"] {
            assert!(!said.contains(secret), "{said}");
        }
        assert!(everything(&self.data()) == before, "{expect}");
    }
}

/// What each mood is told as.
const MOODS: [(Mood, &str); 8] = [
    (Mood::Denied, "does not allow it"),
    (Mood::Throttled, "it is busy"),
    (Mood::Slow, "does not answer"),
    (Mood::Foreign, "wrapped by another key"),
    (Mood::AnotherKey, "it unwrapped to another key"),
    (Mood::Lost, "the key is not there"),
    (Mood::Garbage, "its answer cannot be understood"),
    (Mood::Failing, "cannot be reached"),
];

#[track_caller]
fn misbehaves(founded: &Founded, service: &Service) {
    for (mood, expect) in MOODS {
        service.be(mood);
        founded.refused(&founded.source, expect);
    }
    service.be(Mood::ThrottledOnce);
    founded.opens();
    founded.opens();
}

#[test]
fn aws_kms_keeps_the_root_key() {
    let service = Service::start(kms);
    let credentials = |id: &str, secret: &str| {
        format!("[default]\naws_access_key_id = {id}\naws_secret_access_key = {secret}\n")
    };
    let founded = Founded::new(|folder| {
        let path = folder.join("credentials");
        private(&path, &credentials("AKID", SECRET));
        let endpoint = format!("http://127.0.0.1:{}", service.port);
        format!(
            "aws-kms:{ARN}?credentials={}&endpoint={endpoint}",
            path.display()
        )
    });
    founded.opens();
    misbehaves(&founded, &service);
    let path = founded.folder.path().join("credentials");
    private(&path, &credentials("AKID", "another"));
    founded.refused(&founded.source, "it does not know the credentials");
    private(&path, "[default]\n");
    founded.refused(&founded.source, "does not hold aws_access_key_id");
    private(&path, &credentials("AKID", SECRET));
    let nobody = founded.source.replace(&format!(":{}", service.port), ":1");
    founded.refused(&nobody, "its server cannot be reached");
    founded.opens();
}

#[test]
fn vault_keeps_the_root_key() {
    let service = Service::start(vault);
    let url = format!("vault:http://127.0.0.1:{}/transit/salus", service.port);
    let founded = Founded::new(|folder| {
        let path = folder.join("token");
        private(&path, "the-token\n");
        format!("{url}?token={}", path.display())
    });
    founded.opens();
    misbehaves(&founded, &service);
    let folder = founded.folder.path();
    let (role, secret) = (folder.join("role"), folder.join("secret"));
    private(&role, "the-role\n");
    private(&secret, "the-secret\n");
    let by_role = format!("{url}?role={}&secret={}", role.display(), secret.display());
    assert!(founded.check(&by_role).0);
    private(&secret, "another\n");
    founded.refused(&by_role, "it does not know the AppRole");
    private(&folder.join("token"), "another\n");
    founded.refused(&founded.source, "its policy refuses the token");
    std::fs::remove_file(folder.join("token")).unwrap();
    founded.refused(&founded.source, "cannot read");
}

const MODULES: [&str; 3] = [
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
];

/// A token of SoftHSM with an AES key, and the settings that lead to it.
fn token(folder: &Path) {
    let tokens = folder.join("tokens");
    std::fs::create_dir(&tokens).unwrap();
    let conf = folder.join("softhsm2.conf");
    std::fs::write(
        &conf,
        format!("directories.tokendir = {}\n", tokens.display()),
    )
    .unwrap();
    let key = folder.join("aes.bin");
    std::fs::write(&key, [5; 32]).unwrap();
    let run = |arguments: &[&str]| {
        let mut command = Command::new("softhsm2-util");
        let output = command.args(arguments).env("SOFTHSM2_CONF", &conf).output();
        let output = output.unwrap();
        assert!(output.status.success(), "{output:?}");
    };
    let pins = ["--so-pin", "5678-pin", "--pin", "1234-pin"];
    run(&[&["--init-token", "--free", "--label", "ward"][..], &pins].concat());
    let path = key.to_str().unwrap();
    let import = [
        "--import", path, "--aes", "--token", "ward", "--label", "salus",
    ];
    run(&[&import[..], &["--id", "01", "--pin", "1234-pin"]].concat());
}

#[test]
fn a_token_keeps_the_root_key() {
    let Some(module) = MODULES.iter().find(|path| Path::new(path).exists()) else {
        eprintln!("skipped: SoftHSM is not installed");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    token(folder.path());
    let pin = folder.path().join("pin");
    private(&pin, "1234-pin\n");
    let data = folder.path().join("data");
    let conf = folder.path().join("softhsm2.conf");
    let source = |token: &str, object: &str, module: &str| {
        let pin = pin.display();
        format!("pkcs11:token={token};object={object}?module-path={module}&pin-source=file:{pin}")
    };
    let right = source("ward", "salus", module);
    let run = |arguments: &[&str]| {
        let mut command = salus(arguments);
        command.args(["--data", data.to_str().unwrap()]);
        command.env("SOFTHSM2_CONF", &conf).output().unwrap()
    };
    assert!(Server::start_on(&data, &["--demo=0"]).stop().success());
    let moved = run(&["keys", "rotate", "root", "--to", &right]);
    assert!(moved.status.success(), "{moved:?}");
    let opened = run(&["keys", "check", "--root-key", &right]);
    assert!(opened.status.success(), "{opened:?}");
    let refused = |source: &str, expect: &str| {
        let before = everything(&data);
        let output = run(&["keys", "check", "--root-key", source]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            !output.status.success() && said.contains(expect),
            "{expect}: {said}"
        );
        assert!(everything(&data) == before, "{expect}");
    };
    refused(&source("other", "salus", module), "no token of this label");
    refused(
        &source("ward", "other", module),
        "kept by pkcs11:token=ward;object=salus",
    );
    refused(&source("ward", "salus", "/nowhere.so"), "its module");
    private(&pin, "another\n");
    refused(&right, "the PIN is another one");
}
