//! Requests to the authorization endpoint and to sign out, as queries, before anybody has
//! signed in: a browser is sent nowhere but where the client is at home.
#![no_main]

use libfuzzer_sys::fuzz_target;

use std::cell::RefCell;
use std::sync::Arc;

use salus_crypto::SecretKey;
use salus_service::context::Context;
use salus_service::oauth::{Asked, Chosen, LogoutAsked, Step};
use salus_service::projects::ClientToBe;
use salus_service::{AuthMethod, GrantType, Service, Settings};
use salus_store::memory::Memory;

#[path = "../world.rs"]
mod world;
use world::Counted;

const BACK: &str = "https://app.example.org/back";
const HERE: &str = "http://127.0.0.1/back";
const OUT: &str = "https://app.example.org/out";

/// Each refusal is in the audit, which is in memory: now and then it begins anew.
const INPUTS: u32 = 2000;

struct Host {
    runtime: tokio::runtime::Runtime,
    service: Service,
    left: u32,
}

thread_local! {
    static HOST: RefCell<Option<Host>> = const { RefCell::new(None) };
}

fuzz_target!(|query: &str| {
    HOST.with_borrow_mut(|host| {
        if host.as_ref().is_none_or(|host| host.left == 0) {
            *host = Some(Host::start());
        }
        let host = host.as_mut().expect("it was just started");
        host.left -= 1;
        host.check(query);
    });
});

impl Host {
    fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let runtime = runtime.expect("a runtime");
        let store = Arc::new(Memory::new());
        let world = Arc::new(Counted::default());
        let key = SecretKey::from_bytes([7; 32]);
        let opened = Service::open(store.clone(), store, world, Settings::default(), key);
        let service = runtime.block_on(opened).expect("a service in memory");
        let client = ClientToBe {
            id: Some("app".to_owned()),
            name: "App".to_owned(),
            scopes: "openid user/*.rs patient/Observation.rs offline_access".to_owned(),
            auth: AuthMethod::None,
            grants: vec![GrantType::AuthorizationCode, GrantType::RefreshToken],
            redirects: vec![BACK.to_owned(), HERE.to_owned()],
            logout_redirects: vec![OUT.to_owned()],
            jwks: None,
            purposes: Vec::new(),
            default_purpose: None,
            recipient: None,
        };
        let cx = context(&service);
        let made = runtime.block_on(service.create_client(&cx, client));
        made.expect("a client");
        Self {
            runtime,
            service,
            left: INPUTS,
        }
    }

    fn check(&self, query: &str) {
        let cx = Context {
            subject: self.service.anonymous(),
            ..context(&self.service)
        };
        let pairs: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes())
            .into_owned()
            .collect();
        let pairs = || pairs.iter().map(|(name, value)| (&**name, &**value));
        let asked = Asked::of(pairs());
        let chosen = Chosen::default();
        let step = self.service.asked(&cx, &asked, None, &chosen);
        match self.runtime.block_on(step) {
            Ok(Step::Back(url)) => {
                assert!(is_home(&url), "the client is not at home there");
                assert!(url.contains("error=") && url.contains("iss="));
            }
            Ok(Step::Pick(_) | Step::Consent(_)) => panic!("nobody has signed in"),
            Ok(Step::Stop(_) | Step::Done(_) | Step::SignIn { .. }) | Err(_) => {}
        }
        let leaving = LogoutAsked::of(pairs());
        let leaving = self.service.leaving(&cx, &leaving, None);
        if let Ok(leaving) = self.runtime.block_on(leaving) {
            assert!(leaving.user.is_none(), "nobody has signed in");
            let home = |back: &String| back.strip_prefix(OUT).is_some_and(ends);
            assert!(
                leaving.back.as_ref().is_none_or(home),
                "it is not registered"
            );
        }
    }
}

fn context(service: &Service) -> Context {
    let scope = service.project_scope("default");
    service.operator_context(scope.expect("the default project"))
}

/// Whether an answer goes to a place of the client; on this machine any port will do.
fn is_home(url: &str) -> bool {
    if let Some(rest) = url.strip_prefix("http://127.0.0.1") {
        let path = rest.find('/').map_or("", |at| &rest[at..]);
        let port = rest.strip_suffix(path).unwrap_or(rest);
        let port = port.strip_prefix(':').unwrap_or("1");
        return port.parse::<u16>().is_ok() && path.strip_prefix("/back").is_some_and(ends);
    }
    url.strip_prefix(BACK).is_some_and(ends)
}

/// Nothing follows on the place but parameters.
fn ends(rest: &str) -> bool {
    rest.is_empty() || rest.starts_with('?')
}
