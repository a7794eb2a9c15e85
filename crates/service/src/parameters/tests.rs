//! Sets of parameters that change while others write, and folders of older versions.

use bytes::Bytes;
use salus_auth::record::{Project as ProjectRecord, SystemRecord};
use salus_crypto::SecretKey;
use salus_store::memory::Memory;
use salus_store::{At, Content, Param, Put, Reindexed, Row, SealKey, Value};

use super::*;
use crate::context::World;
use crate::fhir::{CreateOptions, Handling, Which, WriteCondition, WriteOptions};
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
    let settings = crate::Settings::default();
    let service = Service::open(store.clone(), store, world, settings, key).await;
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

/// Works until everything is indexed that can be.
async fn indexed(service: &Service) {
    let complete = async {
        // Whoever keeps a context holds up what comes next.
        while service
            .read_index(&context(service))
            .await
            .unwrap()
            .building
        {
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

/// Commits as a version of the server did that made rows of an older revision.
async fn put_older(store: &Memory, scope: Scope, puts: Vec<Put>, reindexed: Vec<Reindexed>) {
    let batch = Batch {
        reindexed,
        ..Batch::of(scope, 1_600_000_000_000, puts)
    };
    store.commit(batch).await.unwrap();
}

async fn set_revision(store: &Memory, revision: u32) {
    let system = store.snapshot(Scope::SYSTEM, At::Now).await.unwrap();
    let record = system
        .get(ProjectRecord::KIND, DEFAULT)
        .await
        .unwrap()
        .unwrap();
    let mut project = Saved::<ProjectRecord>::read(&record).unwrap().unwrap();
    project.value.revision = revision;
    let put = project.put().unwrap();
    put_older(store, Scope::SYSTEM, vec![put], Vec::new()).await;
}

/// A resource that no rows were made of.
fn bare(ty: &str, id: &str, version: u64, body: &str) -> Put {
    let text = format!(r#"{{"resourceType":"{ty}","id":"{id}",{body}}}"#);
    Put {
        kind: Kind::named(ty),
        id: id.into(),
        version,
        content: Content::Body(text.into()),
        rows: Vec::new(),
        main_date_ms: None,
        seal: SealKey::Scope,
    }
}

/// As a version of the server left it that knew no composites.
async fn make_older(store: &Memory, scope: Scope) {
    set_revision(store, 0).await;
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
        put_older(store, scope, Vec::new(), vec![old]).await;
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

#[test]
fn words_places_lists_and_contained_resources_of_an_older_version_are_indexed() {
    run(async {
        let store = Memory::new();
        let scope = context(&open(&store).await).scope;
        set_revision(&store, 1).await;
        let puts = vec![
            bare(
                "Patient",
                "p",
                1,
                r#""text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\">Infected</div>"}"#,
            ),
            bare(
                "Location",
                "l",
                1,
                r#""position":{"longitude":8,"latitude":50}"#,
            ),
            bare(
                "List",
                "m",
                1,
                r#""status":"current","mode":"working","entry":[{"item":{"reference":"Patient/p"}}]"#,
            ),
            bare(
                "MedicationRequest",
                "r",
                1,
                r##""status":"active","intent":"order","subject":{"reference":"Patient/p"},"contained":[{"resourceType":"Medication","id":"a","code":{"coding":[{"code":"x"}]}}],"medicationReference":{"reference":"#a"}"##,
            ),
        ];
        put_older(&store, scope, puts, Vec::new()).await;
        let searches = [
            "Patient?_text=infection",
            "Patient?_content=infect*",
            "Patient?_list=m",
            "Location?near=50|8|10|km",
            "Medication?_contained=true",
            "Medication?_contained=true&code=x",
            "Medication?_contained=both&_containedType=contained&_lastUpdated=2020-09-13",
            "Patient?_has:MedicationRequest:subject:_id=r&_text=infection",
            "MedicationRequest?subject:Patient._content=infection",
        ];
        let service = open(&store).await;
        for search in searches {
            let found = count(&service, search).await;
            assert_eq!(found, Err(Failure::Unavailable), "{search}");
        }
        assert_eq!(
            count(&service, "Condition?_list=$current-problems").await,
            Ok(0)
        );
        indexed(&service).await;
        for search in searches {
            assert_eq!(count(&service, search).await, Ok(1), "{search}");
        }
        // What was made is taken away with what it was made of.
        let cx = context(&service);
        let options = WriteOptions {
            condition: WriteCondition::None,
            idempotency_key: None,
        };
        service
            .delete(&cx, "MedicationRequest", Which::Id("r"), &options)
            .await
            .unwrap();
        assert_eq!(count(&service, "Medication?_contained=true").await, Ok(0));
    });
}

#[test]
fn ranges_of_an_older_version_are_indexed() {
    run(async {
        let store = Memory::new();
        let scope = context(&open(&store).await).scope;
        set_revision(&store, 2).await;
        let range = r#""prediction":[{"probabilityRange":{"low":{"value":1},"high":{"value":3}}}]"#;
        let body = format!(r#""status":"final","subject":{{"display":"x"}},{range}"#);
        let puts = vec![bare("RiskAssessment", "r", 1, &body)];
        put_older(&store, scope, puts, Vec::new()).await;
        let service = open(&store).await;
        let search = "RiskAssessment?probability=ap2";
        assert_eq!(count(&service, search).await, Err(Failure::Unavailable));
        indexed(&service).await;
        assert_eq!(count(&service, search).await, Ok(1));
        assert_eq!(
            count(&service, "RiskAssessment?probability=sa2").await,
            Ok(0)
        );
    });
}

#[test]
fn types_that_are_up_to_date_stay_so_after_a_restart() {
    run(async {
        let store = Memory::new();
        let scope = context(&open(&store).await).scope;
        set_revision(&store, 1).await;
        let div = r#""text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\">word</div>"}"#;
        let puts = vec![bare("Group", "g", 1, div), bare("Patient", "p", 1, div)];
        put_older(&store, scope, puts, Vec::new()).await;
        let service = open(&store).await;
        let project = service.parameters.project(scope).unwrap();
        while count(&service, "Group?_text=word").await != Ok(1) {
            service.step(&project).await.unwrap();
        }
        assert_eq!(
            count(&service, "Patient?_text=word").await,
            Err(Failure::Unavailable)
        );
        let service = open(&store).await;
        assert_eq!(count(&service, "Group?_text=word").await, Ok(1));
        assert_eq!(
            count(&service, "Patient?_text=word").await,
            Err(Failure::Unavailable)
        );
        indexed(&service).await;
        assert_eq!(count(&service, "Patient?_text=word").await, Ok(1));
    });
}

#[test]
fn a_parameter_is_not_ready_while_records_cannot_be_indexed() {
    run(async {
        let store = Memory::new();
        let service = open(&store).await;
        let cx = context(&service);
        create(&service, &cx, "Patient", BLUE).await;
        let one = r##"{"url":"urn:eye","valueCode":"#"}"##;
        let many: Vec<String> = (0..70_000)
            .map(|n| one.replace('#', &n.to_string()))
            .collect();
        let many = format!(r#""extension":[{}]"#, many.join(","));
        put_older(
            &store,
            cx.scope,
            vec![bare("Patient", "p", 1, &many)],
            Vec::new(),
        )
        .await;
        create(&service, &cx, "SearchParameter", EYE).await;
        drop(cx);
        indexed(&service).await;
        let check = async |service: &Service| {
            let view = service.read_index(&context(service)).await.unwrap();
            assert!(!view.complete && !view.building);
            assert_eq!(
                (view.parameters[0].ready, view.parameters[0].failed),
                (false, 1)
            );
            assert_eq!(
                count(service, "Patient?eye=blue").await,
                Err(Failure::Unavailable)
            );
        };
        check(&service).await;
        // What is known of it is known after a restart.
        let service = open(&store).await;
        check(&service).await;
        put_older(
            &store,
            context(&service).scope,
            vec![bare("Patient", "p", 2, BLUE)],
            Vec::new(),
        )
        .await;
        let cx = context(&service);
        assert!(service.pause_index(&cx, false).await.unwrap().building);
        drop(cx);
        indexed(&service).await;
        assert!(
            service
                .read_index(&context(&service))
                .await
                .unwrap()
                .complete
        );
        assert_eq!(count(&service, "Patient?eye=blue").await, Ok(2));
    });
}
