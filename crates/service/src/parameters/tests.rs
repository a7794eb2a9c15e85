//! Sets of parameters that change while others write, and folders of older versions.

use bytes::Bytes;
use salus_auth::record::{Project as ProjectRecord, SystemRecord};
use salus_crypto::SecretKey;
use salus_store::memory::Memory;
use salus_store::{At, Content, Param, Reindexed, Row, Value};

use super::*;
use crate::context::World;
use crate::fhir::{CreateOptions, Handling};
use crate::projects::DEFAULT;

/// Time stands still, and randomness is a counter.
struct Fixed(std::sync::atomic::AtomicU64);

impl World for Fixed {
    fn now_ms(&self) -> i64 {
        1_700_000_000_000
    }

    fn random(&self, buffer: &mut [u8]) {
        let next = self.0.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        buffer.fill(0);
        buffer[..8].copy_from_slice(&next);
    }
}

async fn open(store: &Memory) -> Service {
    let world = Arc::new(Fixed(1.into()));
    let key = SecretKey::from_bytes([7; 32]);
    let store = Arc::new(store.clone());
    let service = Service::open(store, world, crate::Settings::default(), key).await;
    service.unwrap()
}

fn context(service: &Service) -> Context {
    service.operator_context(service.project_scope(DEFAULT).unwrap())
}

async fn create(service: &Service, cx: &Context, ty: &str, body: &str) {
    let body = Bytes::from(format!(r#"{{"resourceType":"{ty}",{body}}}"#));
    let options = CreateOptions {
        if_none_exist: None,
        idempotency_key: None,
    };
    if let Err(error) = service.create(cx, ty, body, &options).await {
        panic!("{:?}", error.issues());
    }
}

/// How many match, or why nobody can say.
async fn count(service: &Service, search: &str) -> Result<usize, Failure> {
    let (ty, query) = search.split_once('?').unwrap();
    let parameters = crate::fhir::search::pairs(query);
    let cx = context(service);
    let found = service.search(&cx, ty, parameters, Handling::Strict).await;
    let body = found.map_err(|error| error.kind())?.body.unwrap();
    Ok(String::from_utf8_lossy(&body)
        .matches(r#""fullUrl""#)
        .count())
}

/// Works until everything is indexed.
async fn indexed(service: &Service) {
    let complete = async {
        let cx = context(service);
        while !service.read_index(&cx).await.unwrap().complete {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        () = service.keep_indexes() => {}
        () = complete => {}
    }
}

fn run(test: impl Future<Output = ()>) {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().build().unwrap().block_on(test);
}

const EYE: &str = r#""status":"active","url":"urn:eye","name":"eye","description":"eye","code":"eye","base":["Patient"],"type":"token","expression":"Patient.extension.where(url='urn:eye').value""#;
const BLUE: &str = r#""extension":[{"url":"urn:eye","valueCode":"blue"}]"#;

#[test]
fn who_began_with_the_old_set_is_waited_for() {
    run(async {
        let service = open(&Memory::new()).await;
        let old = context(&service);
        create(&service, &context(&service), "SearchParameter", EYE).await;
        let project = service.parameters.project(old.scope).unwrap();
        for _ in 0..3 {
            let stepped = service.step(&project).await.unwrap();
            assert!(matches!(stepped, walk::Stepped::Early));
        }
        // Prepared without the parameter, and committed behind it.
        create(&service, &old, "Patient", BLUE).await;
        assert_eq!(
            count(&service, "Patient?eye=blue").await,
            Err(Failure::Unavailable)
        );
        drop(old);
        indexed(&service).await;
        assert_eq!(count(&service, "Patient?eye=blue").await, Ok(1));
    });
}

#[test]
fn what_was_begun_goes_on_after_a_restart() {
    run(async {
        let store = Memory::new();
        let service = open(&store).await;
        for _ in 0..200 {
            create(&service, &context(&service), "Patient", BLUE).await;
        }
        create(&service, &context(&service), "SearchParameter", EYE).await;
        let project = service.parameters.project(context(&service).scope).unwrap();
        project.state.lock().await.steps = walk::STEPS_KEPT - 2;
        for _ in 0..3 {
            let stepped = service.step(&project).await.unwrap();
            assert!(matches!(stepped, walk::Stepped::Done));
        }
        let service = open(&store).await;
        let cx = context(&service);
        let view = service.read_index(&cx).await.unwrap();
        // The last step was not kept.
        assert_eq!((view.complete, view.parameters[0].done), (false, 128));
        drop(cx);
        assert_eq!(
            count(&service, "Patient?eye=blue&_count=500").await,
            Err(Failure::Unavailable)
        );
        indexed(&service).await;
        assert_eq!(
            count(&service, "Patient?eye=blue&_count=500").await,
            Ok(200)
        );
        let service = open(&store).await;
        assert_eq!(
            count(&service, "Patient?eye=blue&_count=500").await,
            Ok(200)
        );
    });
}

#[test]
fn own_urls_stay_own_whatever_base_they_were_written_under() {
    run(async {
        let service = open(&Memory::new()).await;
        let cx = context(&service);
        let subject = r#""status":"final","code":{"text":"x"},"subject":{"reference":"http://localhost/fhir/Patient/1"}"#;
        create(&service, &cx, "Observation", subject).await;
        let elsewhere = Context {
            base: "http://elsewhere/fhir".into(),
            ..cx
        };
        let who = r#""status":"active","url":"urn:who","name":"who","description":"who","code":"who","base":["Observation"],"type":"reference","target":["Patient"],"expression":"Observation.subject""#;
        create(&service, &elsewhere, "SearchParameter", who).await;
        drop(elsewhere);
        indexed(&service).await;
        for search in ["Observation?subject=Patient/1", "Observation?who=Patient/1"] {
            assert_eq!(count(&service, search).await, Ok(1), "{search}");
        }
    });
}

/// As a version of the server left it that knew no composites.
async fn make_older(store: &Memory, scope: Scope) {
    let system = store.snapshot(Scope::SYSTEM, At::Now).await.unwrap();
    let record = system
        .get(ProjectRecord::KIND, DEFAULT)
        .await
        .unwrap()
        .unwrap();
    let mut project = Saved::<ProjectRecord>::read(&record).unwrap().unwrap();
    project.value.revision = 0;
    let batch = |scope, puts, reindexed| Batch {
        scope,
        time_ms: 0,
        preconditions: Vec::new(),
        puts,
        reindexed,
        audit: Vec::new(),
        held: None,
    };
    let put = project.put().unwrap();
    store
        .commit(batch(Scope::SYSTEM, vec![put], Vec::new()))
        .await
        .unwrap();
    let kind = Kind::named("Observation");
    let all = store.snapshot(scope, At::Now).await.unwrap();
    let hits = all
        .walk(kind, salus_store::Seq(u64::MAX), 10, &[])
        .await
        .unwrap();
    for record in hits.into_iter().map(|hit| hit.record) {
        assert!(matches!(record.content, Content::Body(_)));
        let value = Value::Token {
            system: "".into(),
            code: "c".into(),
        };
        let old = Reindexed {
            kind,
            id: record.id,
            version: record.version,
            rows: vec![Row {
                param: Param::named("Observation", "code"),
                value,
            }],
            main_date_ms: None,
        };
        store
            .commit(batch(scope, Vec::new(), vec![old]))
            .await
            .unwrap();
    }
}

#[test]
fn a_folder_of_an_older_version_is_brought_up_to_date() {
    run(async {
        let store = Memory::new();
        let service = open(&store).await;
        let cx = context(&service);
        assert!(service.read_index(&cx).await.unwrap().complete);
        let body =
            r#""status":"final","code":{"coding":[{"code":"c"}]},"valueQuantity":{"value":5}"#;
        create(&service, &cx, "Observation", body).await;
        make_older(&store, cx.scope).await;
        let service = open(&store).await;
        assert_eq!(count(&service, "Observation?code=c").await, Ok(1));
        let pair = "Observation?code-value-quantity=c$5";
        assert_eq!(count(&service, pair).await, Err(Failure::Unavailable));
        indexed(&service).await;
        assert_eq!(count(&service, pair).await, Ok(1));
        // Known from now on.
        let service = open(&store).await;
        assert!(
            service
                .read_index(&context(&service))
                .await
                .unwrap()
                .complete
        );
        assert_eq!(count(&service, pair).await, Ok(1));
    });
}
