//! The workloads against a server that tells the truth, and against ones that lie in one way each.

use crate::client::{Credentials, Target};
use crate::fake::{Lie, serve};
use crate::meter::Meter;
use crate::phase::{Limits, Run};
use crate::report::Report;
use crate::workload::{crud, import, load, mixed, small};
use std::cell::RefCell;
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

/// Runs a workload of 200 operations against the fake server; the names of the phases with their units and errors.
fn figures<W: Future<Output = ()>>(
    lie: Lie,
    workload: impl FnOnce(Rc<Run>) -> W,
) -> Vec<(&'static str, u64, u64)> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let run = tokio::task::LocalSet::new().block_on(&runtime, async {
        let run = Rc::new(run(&serve(lie).await));
        workload(Rc::clone(&run)).await;
        run
    });
    assert!(!Report::new(&run).table().is_empty());
    let phases = run.phases.borrow();
    phases
        .iter()
        .map(|phase| (phase.name, phase.tally.units(), phase.tally.errors()))
        .collect()
}

fn run(base: &str) -> Run {
    let credentials = Credentials {
        id: "client".to_owned(),
        secret: "secret".to_owned(),
        path: "/token".to_owned(),
    };
    let target = Target::new(base, Duration::from_secs(5), false).unwrap();
    Run {
        target: Rc::new(target.with_credentials(credentials)),
        clients: 4,
        limits: Limits {
            operations: Some(200),
            ..Limits::NONE
        },
        seed: 1,
        shapes: String::new(),
        serial: 1,
        ignore: Vec::new(),
        gone: vec![410],
        if_match: true,
        meter: Meter::default(),
        settle: std::time::Duration::ZERO,
        phases: RefCell::default(),
    }
}

#[track_caller]
fn check_honest<W: Future<Output = ()>>(workload: impl FnOnce(Rc<Run>) -> W) {
    for (phase, units, errors) in figures(Lie::None, workload) {
        assert!(
            units >= 100 && errors == 0,
            "{phase}: {units} units, {errors} errors"
        );
    }
}

#[track_caller]
fn check_caught<W: Future<Output = ()>>(
    lie: Lie,
    phase: &str,
    workload: impl FnOnce(Rc<Run>) -> W,
) {
    let figures = figures(lie, workload);
    assert!(
        figures
            .iter()
            .any(|(name, _, errors)| *name == phase && *errors > 0),
        "{lie:?}: {figures:?}"
    );
}

async fn run_crud(run: Rc<Run>) {
    crud::run(&run).await;
}

async fn run_small(run: Rc<Run>) {
    small::run(&run).await;
}

async fn run_mixed(run: Rc<Run>) {
    let population = load::run(&run, 600).await.unwrap();
    mixed::run(&run, &population).await;
}

async fn run_import(run: Rc<Run>) {
    let folder = tempfile::tempdir().unwrap();
    let [one, two] = [1, 2].map(|n| format!("85c63cf3-278e-454c-b5ba-df588981000{n}"));
    let bundle = format!(
        r#"{{"resourceType":"Bundle","type":"transaction","entry":[
        {{"fullUrl":"urn:uuid:{one}","resource":{{"resourceType":"Patient"}},"request":{{"method":"POST","url":"Patient"}}}},
        {{"fullUrl":"urn:uuid:{two}","resource":{{"resourceType":"Observation","subject":{{"reference":"urn:uuid:{one}"}}}},
         "request":{{"method":"POST","url":"Observation"}}}}]}}"#
    );
    std::fs::write(folder.path().join("a.json"), bundle).unwrap();
    import::run(&run, folder.path()).await.unwrap();
}

#[test]
fn an_honest_server_has_no_errors() {
    check_honest(run_crud);
    check_honest(run_small);
    check_honest(run_mixed);
    check_honest(run_import);
}

#[test]
fn lies_are_caught() {
    check_caught(Lie::ChangesContent, "crud create", run_crud);
    check_caught(Lie::KeepsDeleted, "crud delete", run_crud);
    check_caught(Lie::ForgetsUpdates, "mixed", run_mixed);
    check_caught(Lie::LeavesReferences, "mixed", run_mixed);
    check_caught(Lie::LeavesReferences, "small read", run_small);
    check_caught(Lie::LeavesReferences, "import", run_import);
    check_caught(Lie::HalfTransactions, "small read", run_small);
    check_caught(Lie::HalfTransactions, "import", run_import);
}

#[test]
fn an_expired_token_is_replaced_once() {
    let figures = figures(Lie::ForgetsTokens, run_small);
    assert_eq!(figures[0].2, 0, "{figures:?}");
}
