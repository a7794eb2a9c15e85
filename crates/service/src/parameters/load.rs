//! Reading the definitions of a project when the server starts.

use salus_auth::record::{Index, Saved, SystemRecord};
use salus_fhir::json::{Document, Limits};
use salus_fhir::search::{self, Own, Parameters, REVISION};
use salus_store::{
    At, Content, Filter, Kind, Param, Query, Record, Scope, Seq, Snapshot, Store, Test,
};

use super::{DEFINITIONS, Defined, INDEX, Project, State, add_goal};
use crate::error::Error;
use crate::fhir::types::ResourceType;
use parking_lot::RwLock;
use std::sync::Arc;

/// Definitions read at once.
const PAGE: usize = 200;

pub(super) async fn open(store: &dyn Store, scope: Scope, revision: u32) -> Result<Project, Error> {
    let snapshot = store.snapshot(scope, At::Now).await?;
    let record = snapshot.get(Index::KIND, INDEX).await?;
    let saved = record.as_ref().map(Saved::<Index>::read).transpose()?;
    let mut index = saved.flatten().unwrap_or_else(|| {
        let index = Index {
            revision,
            ..Index::default()
        };
        Saved::new(INDEX, index)
    });
    bring_up(&*snapshot, &mut index.value).await?;
    let mut state = State::new(definitions(&*snapshot).await?, index);
    let now = RwLock::new(Arc::new(state.parameters()));
    Ok(Project {
        scope,
        now,
        state: Arc::new(tokio::sync::Mutex::new(state)),
    })
}

/// Rows that an older version of the server made are made anew. Types without
/// records have none to make. What was begun goes on, if it leads here.
async fn bring_up(snapshot: &dyn Snapshot, index: &mut Index) -> Result<(), Error> {
    if index.revision >= REVISION {
        return Ok(());
    }
    if index.towards < REVISION {
        index.towards = REVISION;
        for ty in ResourceType::all() {
            let any = snapshot.walk(ty.kind, Seq(u64::MAX), 1, &[]).await?;
            if !any.is_empty() {
                add_goal(index, "", ty.name);
            }
        }
    }
    if !index.goals.iter().any(|goal| goal.id.is_empty()) {
        index.revision = REVISION;
    }
    Ok(())
}

/// All active definitions. Composites are read last: their parts may be
/// parameters of the project.
async fn definitions(snapshot: &dyn Snapshot) -> Result<Defined, Error> {
    let mut query = Query {
        kind: DEFINITIONS,
        filter: active(),
        sort: Vec::new(),
        limit: PAGE,
        after: None,
        rows: Vec::new(),
    };
    let mut records = Vec::new();
    loop {
        let page = snapshot.find(&query).await?;
        records.extend(page.hits.into_iter().map(|hit| hit.record));
        query.after = page.next;
        if query.after.is_none() {
            break;
        }
    }
    Ok(defined(records))
}

/// All active definitions of a store whose records have no rows yet.
pub(super) async fn without_rows(store: &dyn Store, scope: Scope) -> Result<Parameters, Error> {
    let snapshot = store.snapshot(scope, At::Now).await?;
    let (mut records, mut before) = (Vec::new(), Seq(u64::MAX));
    loop {
        let hits = snapshot.walk(DEFINITIONS, before, PAGE, &[]).await?;
        let Some(last) = hits.last() else { break };
        before = last.record.seq;
        let all = hits.into_iter().map(|hit| hit.record);
        records.extend(all.filter(is_active));
    }
    Ok(known(&defined(records)))
}

fn is_active(record: &Record) -> bool {
    let Content::Body(body) = &record.content else {
        return false;
    };
    let document = Document::parse(body.to_vec(), &Limits::default());
    document.is_ok_and(|document| {
        let status = document.root().get("status");
        status.and_then(|status| status.plain_str()) == Some("active")
    })
}

/// URLs under which the server answered, as far as the project knows them.
pub(super) async fn bases(store: &dyn Store, scope: Scope) -> Result<Vec<String>, Error> {
    let snapshot = store.snapshot(scope, At::Now).await?;
    let record = snapshot.get(Index::KIND, INDEX).await?;
    let saved = record.as_ref().map(Saved::<Index>::read).transpose()?;
    let index = saved.flatten();
    Ok(index.map_or_else(Vec::new, |index| index.value.bases))
}

fn defined(mut records: Vec<Record>) -> Defined {
    records.sort_by(|a, b| a.id.cmp(&b.id));
    let mut defined = Defined::new();
    for composites in [false, true] {
        let known = known(&defined);
        for record in &records {
            let own = read(record, &known, composites);
            defined.extend(own.map(|own| (record.id.clone(), own)));
        }
    }
    defined
}

fn active() -> Filter {
    let code = Some("active".into());
    let status = Param::named("SearchParameter", "status");
    Filter::Value(status, Test::Token { system: None, code })
}

/// A set to look up the parts of composites in.
pub(super) fn known(defined: &Defined) -> Parameters {
    let all = defined.iter();
    let all = all.flat_map(|(id, own)| own.iter().map(move |own| (*own, Arc::from(&**id), None)));
    Parameters::with(all, None)
}

/// What a record defines; `None` for nothing, or if it is not of the kind asked for.
fn read(record: &Record, known: &Parameters, composites: bool) -> Option<Vec<Own>> {
    let Content::Body(body) = &record.content else {
        return None;
    };
    let document = Document::parse(body.to_vec(), &Limits::default()).ok()?;
    let ty = document.root().get("type").and_then(|ty| ty.plain_str());
    if (ty == Some("composite")) != composites {
        return None;
    }
    match search::define(document.root(), known) {
        Ok(own) => (!own.is_empty()).then_some(own),
        Err(issue) => {
            // It was accepted once, by another version of the server.
            tracing::warn!(id = %record.id, reason = ?issue.code, "a search parameter cannot be served any more");
            None
        }
    }
}

/// The kind of a type, if it is one of resources.
pub(super) fn kind_of(ty: &str) -> Option<Kind> {
    ResourceType::named(ty).map(|ty| ty.kind)
}
