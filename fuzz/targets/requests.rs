//! Requests against a whole service in memory. Lines that begin with `?` are
//! searches, `Type?name=value`; the rest is one Bundle or resource. Whatever
//! is sent, an answer comes, and what is stored is valid.
#![no_main]

use libfuzzer_sys::fuzz_target;

use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use salus_crypto::SecretKey;
use salus_fhir::json::{Document, Limits};
use salus_fhir::validate;
use salus_service::fhir::{BundleOptions, Handling, Returns};
use salus_service::jobs::Origin;
use salus_service::{Service, Settings};
use salus_store::memory::Memory;

#[path = "../world.rs"]
mod world;
use world::Counted;

fuzz_target!(|input: &str| {
    let (searches, body): (Vec<&str>, Vec<&str>) =
        input.lines().partition(|line| line.starts_with('?'));
    block(answered(&searches, body.join("\n")));
});

async fn answered(searches: &[&str], body: String) {
    let store = Arc::new(Memory::new());
    let service = Service::open(
        store.clone(),
        store,
        Arc::new(Counted::default()),
        settings(),
        SecretKey::from_bytes([7; 32]),
    );
    let service = service.await.expect("a service in memory");
    let scope = service
        .project_scope("default")
        .expect("the default project");
    let cx = service.operator_context(scope);
    let options = BundleOptions {
        returns: Returns::Representation,
        handling: Handling::Lenient,
        idempotency_key: None,
    };
    let text = Bytes::from(body);
    // Nobody does the job that this may begin.
    let _ = service.import_files(&cx, text.clone(), String::new()).await;
    if let Ok(reply) = service.bundle(&cx, text, options).await {
        check_valid(reply.body.map(|body| body.to_vec()));
    }
    if let Ok(reply) = service.history_system(&cx, Vec::new()).await {
        check_valid(reply.body.map(|body| body.to_vec()));
    }
    for search in searches.iter().take(8) {
        let (ty, query) = search[1..].split_once('?').unwrap_or((&search[1..], ""));
        let parameters = query
            .split('&')
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let found = service
            .search(&cx, ty, parameters.collect(), Handling::Lenient)
            .await;
        if let Ok(reply) = found {
            check_valid(reply.body.map(|body| body.to_vec()));
        }
    }
}

/// Files may be listed from one origin.
fn settings() -> Settings {
    let mut settings = Settings::default();
    settings.jobs.import_origins = Origin::parse("https://a.example").into_iter().collect();
    settings
}

/// An answer is a resource as good as those we ask for.
fn check_valid(body: Option<Vec<u8>>) {
    let Some(body) = body else {
        return;
    };
    let document = Document::parse(body, &Limits::default()).expect("an answer is JSON");
    if let Err(issues) = validate::resource(document.root()) {
        panic!("an answer is not valid: {:?}", issues.first());
    }
}

fn block<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.expect("a runtime").block_on(work)
}
