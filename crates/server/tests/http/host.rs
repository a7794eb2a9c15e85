//! Servers to test, and projects in them.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::wire::{Answer, Request, exchange};

/// No answer takes this long.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A server on a free loopback port. Dropping it kills it.
pub(crate) struct Server {
    child: Child,
    /// What it printed when it was ready.
    pub(crate) ready: Value,
    log: PathBuf,
    /// Its data folder, unless the test brought one.
    _folder: Option<TempDir>,
}

impl Server {
    /// Starts on an empty folder, with demo credentials.
    #[track_caller]
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut server = Self::start_on(&folder.path().join("data"), &["--demo=0"]);
        server._folder = Some(folder);
        server
    }

    /// Starts on a folder, with more arguments, and waits until it is ready.
    #[track_caller]
    pub(crate) fn start_on(data: &Path, arguments: &[&str]) -> Self {
        Self::start_with(data, arguments, &[])
    }

    /// The same with variables.
    #[track_caller]
    pub(crate) fn start_with(data: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let log = data.with_extension("log");
        let mut child = salus(&["serve", "--listen", "127.0.0.1:0", "--json", "--data"])
            .arg(data)
            .args(arguments)
            .envs(variables.iter().copied())
            .stdout(Stdio::piped())
            .stderr(
                File::options()
                    .create(true)
                    .append(true)
                    .open(&log)
                    .unwrap(),
            )
            .spawn()
            .unwrap();
        let mut line = String::new();
        let stdout = child.stdout.take().unwrap();
        BufReader::new(stdout).read_line(&mut line).unwrap();
        let Ok(ready) = serde_json::from_str(&line) else {
            end(&mut child);
            panic!("{line:?}: {}", std::fs::read_to_string(&log).unwrap());
        };
        Self {
            child,
            ready,
            log,
            _folder: None,
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        let (_, address) = self.ready["base"]
            .as_str()
            .unwrap()
            .split_once("://")
            .unwrap();
        address.parse().unwrap()
    }

    /// The demo administrator's token.
    pub(crate) fn token(&self) -> &str {
        self.ready["admin_token"].as_str().unwrap()
    }

    /// Sends a request, with the Host header that every client sends.
    #[track_caller]
    pub(crate) fn send(&self, request: Request) -> Answer {
        let request = request.header("Host", self.address().to_string());
        exchange(self.connect(), &request.bytes()).unwrap()
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address()).unwrap();
        stream.set_read_timeout(Some(TIMEOUT)).unwrap();
        stream
    }

    /// Sends JSON as the demo administrator.
    #[track_caller]
    pub(crate) fn admin(&self, method: &str, path: &str, body: &Value) -> Answer {
        let request = Request::new(method, path)
            .header("Authorization", format!("Bearer {}", self.token()))
            .header("Content-Type", "application/json");
        self.send(if body.is_null() {
            request
        } else {
            request.body(body.to_string())
        })
    }

    /// Makes the first administrator, with the link that it prints for that.
    #[track_caller]
    pub(crate) fn set_up(&self, email: &str, password: &str) {
        let link = loop {
            if let Some((_, rest)) = self.log().split_once("/setup?link=")
                && let Some((link, _)) = rest.split_once('\n')
            {
                break link.trim().to_owned();
            }
            std::thread::yield_now();
        };
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.extend_pairs([("link", &*link), ("email", email), ("password", password)]);
        let form = Request::new("POST", "/setup").body(form.finish());
        self.send(form).expect(200);
    }

    /// Everything it has logged.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// SIGTERM, without waiting.
    #[track_caller]
    pub(crate) fn terminate(&self) {
        let kill = Command::new("kill")
            .args(["-TERM", &self.pid().to_string()])
            .status();
        assert!(kill.unwrap().success());
    }

    /// SIGTERM; how it ended.
    #[track_caller]
    pub(crate) fn stop(self) -> ExitStatus {
        self.terminate();
        self.stop_after_signal()
    }

    /// How it ended, once it was told to.
    #[track_caller]
    pub(crate) fn stop_after_signal(mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }
}

/// Entries of each project that are checked when a server ends.
const CHECKED: usize = 200;

impl Server {
    /// Every event that tests have caused keeps to the rules.
    fn check_audit(&self) {
        let projects = self.admin("GET", "/admin/projects", &Value::Null);
        if projects.status != 200 {
            return;
        }
        let projects = projects.json();
        let slugs = projects["projects"].as_array().into_iter().flatten();
        let slugs = slugs.filter_map(|project| project["slug"].as_str());
        for slug in slugs.chain(["system"]) {
            let path = format!("/p/{slug}/fhir/AuditEvent?_count={CHECKED}");
            let page = self.admin("GET", &path, &Value::Null);
            if page.status != 200 {
                continue;
            }
            for entry in page.json()["entry"].as_array().into_iter().flatten() {
                crate::balp::check(&entry["resource"]);
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let is_up = self.child.try_wait().is_ok_and(|ended| ended.is_none());
        // Of the server that most tests share, which has no folder of a test's.
        if is_up && self._folder.is_some() && !std::thread::panicking() {
            let checked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                self.check_audit();
            }));
            end(&mut self.child);
            if let Err(panic) = checked {
                std::panic::resume_unwind(panic);
            }
            return;
        }
        end(&mut self.child);
    }
}

fn end(child: &mut Child) {
    // An error says that it has ended already.
    let _ = child.kill();
    let _ = child.wait();
}

/// The binary, without variables or files of whoever runs the tests.
pub(crate) fn salus(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_salus"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("SALUS_") {
            command.env_remove(name);
        }
    }
    command
        .current_dir(env!("CARGO_TARGET_TMPDIR"))
        .stdin(Stdio::null())
        .args(arguments);
    command
}

/// Copies a folder with all that is in it.
pub(crate) fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &to),
            false => drop(std::fs::copy(entry.path(), to).unwrap()),
        }
    }
}

/// The server that most tests share. It lives as long as one of them runs.
pub(crate) fn shared() -> Arc<Server> {
    static SHARED: Mutex<Weak<Server>> = Mutex::new(Weak::new());
    let mut shared = SHARED
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner());
    shared.upgrade().unwrap_or_else(|| {
        let server = Arc::new(Server::start());
        *shared = Arc::downgrade(&server);
        server
    })
}

/// The password of users that tests make.
pub(crate) const PASSWORD: &str = "a quiet green bicycle";

/// Everything a client may do with resources, and the audit.
pub(crate) const ALL: &str = "system/*.cruds system/AuditEvent.rs";

/// A project and a token for it.
#[derive(Clone)]
pub(crate) struct Project {
    pub(crate) server: Arc<Server>,
    pub(crate) slug: String,
    pub(crate) token: String,
}

/// A new project on the shared server, and a client that may do everything there.
#[track_caller]
pub(crate) fn project(slug: &str) -> Project {
    Project::create(&shared(), slug)
}

impl Project {
    #[track_caller]
    pub(crate) fn create(server: &Arc<Server>, slug: &str) -> Self {
        let new = json!({"slug": slug, "name": slug});
        server.admin("POST", "/admin/projects", &new).expect(201);
        let mut project = Self {
            server: Arc::clone(server),
            slug: slug.to_owned(),
            token: String::new(),
        };
        project.token = project.client("all", ALL);
        project
    }

    /// The same project, asked with another token.
    pub(crate) fn with(&self, token: &str) -> Self {
        let token = token.to_owned();
        Self {
            token,
            ..self.clone()
        }
    }

    /// Registers a client and signs it in: its token.
    #[track_caller]
    pub(crate) fn client(&self, id: &str, scopes: &str) -> String {
        let new = json!({"id": id, "name": id, "scopes": scopes});
        let path = format!("/p/{}/admin/clients", self.slug);
        let made = self.server.admin("POST", &path, &new).expect(201).json();
        self.sign_in(id, made["client_secret"].as_str().unwrap())
    }

    #[track_caller]
    pub(crate) fn sign_in(&self, id: &str, secret: &str) -> String {
        let form = format!("grant_type=client_credentials&client_id={id}&client_secret={secret}");
        let request = Request::new("POST", &format!("/p/{}/auth/token", self.slug))
            .header("Content-Type", "application/x-www-form-urlencoded")
            .body(form);
        let answer = self.server.send(request).expect(200).json();
        answer["access_token"].as_str().unwrap().to_owned()
    }

    /// Asks below the project's path, as the demo administrator.
    #[track_caller]
    pub(crate) fn admin(&self, method: &str, path: &str, body: &Value) -> Answer {
        let path = format!("/p/{}{path}", self.slug);
        self.server.admin(method, &path, body)
    }

    /// Asks below the project's path, with somebody's token.
    #[track_caller]
    pub(crate) fn ask(&self, token: &str, method: &str, path: &str, body: &Value) -> Answer {
        let request = Request::new(method, &format!("/p/{}{path}", self.slug))
            .header("Authorization", format!("Bearer {token}"))
            .header("Content-Type", "application/json");
        self.send(match body.is_null() {
            true => request,
            false => request.body(body.to_string()),
        })
    }

    /// Makes a user `NAME@example.org`, with more than a name and a password: their id.
    #[track_caller]
    pub(crate) fn user(&self, name: &str, more: &Value) -> String {
        let mut new = json!({"email": format!("{name}@example.org"), "name": name,
            "password": PASSWORD});
        for (member, value) in more.as_object().into_iter().flatten() {
            new[member] = value.clone();
        }
        let made = self.admin("POST", "/admin/users", &new).expect(201).json();
        made["id"].as_str().unwrap().to_owned()
    }

    /// What such a user gets who signs in.
    #[track_caller]
    pub(crate) fn try_user(&self, name: &str, password: &str) -> Answer {
        let body = json!({"email": format!("{name}@example.org"), "password": password});
        let path = format!("/p/{}/auth/sign-in", self.slug);
        self.send(Request::new("POST", &path).body(body.to_string()))
    }

    /// Signs such a user in: their token.
    #[track_caller]
    pub(crate) fn sign_in_user(&self, name: &str) -> String {
        let answer = self.try_user(name, PASSWORD).expect(200).json();
        answer["access_token"].as_str().unwrap().to_owned()
    }

    /// The path of the project's endpoint.
    pub(crate) fn base(&self) -> String {
        format!("/p/{}/fhir", self.slug)
    }

    /// A request to a path below the project's endpoint, or to a link's path.
    pub(crate) fn request(&self, method: &str, path: &str) -> Request {
        let path = match path {
            "" => self.base(),
            path if path.starts_with('/') => path.to_owned(),
            query if query.starts_with('?') => format!("{}{query}", self.base()),
            path => format!("{}/{path}", self.base()),
        };
        Request::new(method, &path)
            .header("Authorization", format!("Bearer {}", self.token))
            .header("Content-Type", "application/fhir+json")
    }

    #[track_caller]
    pub(crate) fn send(&self, request: Request) -> Answer {
        self.server.send(request)
    }

    #[track_caller]
    pub(crate) fn get(&self, path: &str) -> Answer {
        self.send(self.request("GET", path))
    }

    #[track_caller]
    pub(crate) fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(self.request("POST", path).body(body.to_string()))
    }

    /// Stores a resource under its own id.
    #[track_caller]
    pub(crate) fn put(&self, resource: &Value) -> Answer {
        let ty = resource["resourceType"].as_str().unwrap();
        let path = format!("{ty}/{}", resource["id"].as_str().unwrap());
        self.send(self.request("PUT", &path).body(resource.to_string()))
    }

    #[track_caller]
    pub(crate) fn delete(&self, path: &str) -> Answer {
        self.send(self.request("DELETE", path))
    }

    /// How many resources of a type there are.
    #[track_caller]
    pub(crate) fn count(&self, ty: &str) -> u64 {
        let answer = self.get(&format!("{ty}?_summary=count")).expect(200);
        answer.json()["total"].as_u64().unwrap()
    }
}
