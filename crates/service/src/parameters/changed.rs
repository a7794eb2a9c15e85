//! Definitions that change: committed together with what is to be indexed.

use std::sync::Arc;

use salus_auth::record::Index;
use salus_fhir::json::{Document, Limits};
use salus_fhir::search::{self, Own};
use salus_store::{Batch, Committed, Content, Error, Put, Store};
use tokio::runtime::Handle;

use super::load::known;
use super::walk::BASES_MAX;
use super::{DEFINITIONS, Defined, Project, add_goal, conflict};

/// Commits a batch that changes definitions of a project.
pub(crate) async fn commit(
    store: &Arc<dyn Store>,
    project: Arc<Project>,
    batch: Batch,
    base: String,
) -> Result<Committed, Error> {
    let work = define(Arc::clone(store), project, batch, base);
    match Handle::try_current() {
        Ok(runtime) => {
            let done = runtime.spawn(work).await;
            done.map_err(|error| Error::Unavailable(error.to_string()))?
        }
        // Without a runtime nobody can stop waiting.
        Err(_) => work.await,
    }
}

async fn define(
    store: Arc<dyn Store>,
    project: Arc<Project>,
    mut batch: Batch,
    base: String,
) -> Result<Committed, Error> {
    let mut state = Arc::clone(&project.state).lock_owned().await;
    let mut defined = state.defined.clone();
    for put in batch.puts.iter().filter(|put| put.kind == DEFINITIONS) {
        let own = read(put, &defined)?;
        match own.is_empty() {
            true => drop(defined.remove(&put.id)),
            false => drop(defined.insert(put.id.clone(), own)),
        }
    }
    if defined == state.defined {
        return store.commit(batch).await;
    }
    let mut index = state.index.clone();
    plan(&mut index.value, &state.defined, &defined);
    if !index.value.bases.contains(&base) && index.value.bases.len() < BASES_MAX {
        index.value.bases.push(base);
    }
    let put = index
        .put()
        .map_err(|_| Error::Misuse("an index that is none"))?;
    index.version = put.version;
    batch.puts.push(put);
    let committed = store.commit(batch).await?;
    state.defined = defined;
    state.index = index;
    project.publish(&mut state);
    Ok(committed)
}

/// What a version of a definition adds. It was checked before, but not among
/// those that were committed meanwhile or are in the same batch.
fn read(put: &Put, defined: &Defined) -> Result<Vec<Own>, Error> {
    let Content::Body(body) = &put.content else {
        return Ok(Vec::new());
    };
    let refused = Error::Misuse("search parameters that cannot be beside each other");
    let Ok(document) = Document::parse(body.to_vec(), &Limits::default()) else {
        return Err(refused);
    };
    let known = known(defined);
    match search::define(document.root(), &known) {
        Ok(own) if conflict(&known, &put.id, &own).is_none() => Ok(own),
        _ => Err(refused),
    }
}

/// What has to be indexed when the definitions become others: what is new or
/// is not as it was, and records that have rows which nobody wants any more.
fn plan(index: &mut Index, before: &Defined, after: &Defined) {
    let none = Vec::new();
    let ids = before.keys().chain(after.keys());
    for id in ids {
        let was = before.get(id).unwrap_or(&none);
        let is = after.get(id).unwrap_or(&none);
        let gone = was
            .iter()
            .filter(|own| !is.iter().any(|other| other.ty == own.ty));
        let new = is.iter().filter(|own| !was.contains(own));
        for own in gone.chain(new) {
            add_goal(index, id, own.ty);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use salus_auth::record::Step;

    fn defined(all: &[(&str, &str)]) -> Defined {
        let one = |(id, language): &(&str, &str)| {
            let text = format!(
                r#"{{"resourceType":"SearchParameter","status":"active","url":"http://x/{id}","code":"{id}","type":"token","base":["Patient"],"expression":"Patient.{language}"}}"#
            );
            let document = Document::parse(text.into_bytes(), &Limits::default()).unwrap();
            let own = search::define(document.root(), search::Parameters::r4()).unwrap();
            (Box::from(*id), own)
        };
        all.iter().map(one).collect()
    }

    #[track_caller]
    fn check(before: &[(&str, &str)], after: &[(&str, &str)], goals: &[&str]) {
        let mut index = Index::default();
        plan(&mut index, &defined(before), &defined(after));
        let mut found: Vec<&str> = index.goals.iter().map(|goal| &*goal.id).collect();
        found.sort_unstable();
        assert_eq!(found, goals);
        assert!(index.goals.iter().all(|goal| goal.step == Step::Waiting));
    }

    #[test]
    fn what_changed_is_indexed() {
        check(&[], &[("a", "language")], &["a"]);
        check(&[("a", "language")], &[("a", "language")], &[]);
        check(&[("a", "language")], &[("a", "gender")], &["a"]);
        check(
            &[("a", "language"), ("b", "gender")],
            &[("b", "gender")],
            &["a"],
        );
    }
}
