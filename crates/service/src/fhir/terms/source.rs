//! Code systems and value sets of a project, and those of the release.

use std::sync::Arc;

use salus_auth::{Action, Target};
use salus_fhir::json::{Document, Limits};
use salus_store::{Content, Filter, Record, Seq, Snapshot, Tokens};
use salus_terminology::{CodeSystem, Error as Unknown, Library, Members, SETS_MAX, ValueSet};

use super::cache::{Cache, Origin, Question};
use super::{Codes, Known, Wanted, canonical};
use crate::context::Context;
use crate::error::Error;
use crate::fhir::types::ResourceType;

/// Where one request finds terminology.
pub(super) struct Source<'s> {
    cx: &'s Context,
    snapshot: &'s dyn Snapshot,
    cache: &'s Cache,
    sets: Visible,
    systems: Visible,
    changed: Option<Seq>,
}

/// What the one asking may read of a type.
struct Visible {
    ty: Option<ResourceType>,
    filter: Filter,
}

impl Visible {
    fn of(cx: &Context, name: &'static str) -> Self {
        let (subject, target) = (&cx.subject, Target::Type(name));
        let grant = salus_auth::authorize(subject, cx.scope, Action::Read, target);
        Self {
            ty: ResourceType::named(name),
            filter: grant.map_or(Filter::Nothing, |grant| grant.filter().clone()),
        }
    }

    /// Whether all or none of them may be read.
    fn is_plain(&self) -> bool {
        matches!(self.filter, Filter::Everything | Filter::Nothing)
    }

    fn is_open(&self) -> bool {
        self.filter == Filter::Everything
    }
}

impl<'s> Source<'s> {
    pub(super) async fn new(
        cx: &'s Context,
        snapshot: &'s dyn Snapshot,
        cache: &'s Cache,
    ) -> Result<Self, Error> {
        let (sets, systems) = (Visible::of(cx, "ValueSet"), Visible::of(cx, "CodeSystem"));
        let kinds = [sets.ty, systems.ty].into_iter().flatten();
        let kinds: Vec<_> = kinds.map(|ty| ty.kind).collect();
        Ok(Self {
            cx,
            snapshot,
            cache,
            sets,
            systems,
            changed: snapshot.changed(&kinds).await?,
        })
    }

    /// The codes of a value set, or those above or below one.
    pub(super) async fn codes(&self, wanted: &Wanted) -> Result<Known, Error> {
        let is_plain = self.sets.is_plain() && self.systems.is_plain();
        let question = is_plain.then(|| Question {
            scope: self.cx.scope,
            changed: self.changed,
            may_read: (self.sets.is_open(), self.systems.is_open()),
            wanted: wanted.clone(),
        });
        if let Some(codes) = question.as_ref().and_then(|it| self.cache.answer(it)) {
            return Ok(Known::Codes(codes));
        }
        let found = match wanted {
            Wanted::Set(canonical) => self.expanded(canonical).await?,
            Wanted::Codes(..) | Wanted::Records(..) => self.related(wanted).await?,
        };
        Ok(match found {
            Ok(codes) => {
                let codes = Arc::new(codes);
                if let Some(question) = question {
                    self.cache.keep_answer(question, &codes);
                }
                Known::Codes(codes)
            }
            Err(error) => Known::Unknown(error),
        })
    }

    async fn expanded(&self, canonical: &str) -> Result<Result<Codes, Unknown>, Error> {
        let set = match self.set(canonical, &self.sets.filter).await? {
            Ok(Some(set)) => set,
            Ok(None) => return Ok(Err(Unknown::UnknownValueSet)),
            Err(error) => return Ok(Err(error)),
        };
        let library = match self.library(&set).await? {
            Ok(library) => library,
            Err(error) => return Ok(Err(error)),
        };
        Ok(library.expand(&set).map(|members| Codes::of(&members)))
    }

    async fn related(&self, wanted: &Wanted) -> Result<Result<Codes, Unknown>, Error> {
        let Wanted::Codes(direction, system, code) = wanted else {
            return Ok(Err(Unknown::UnknownCodeSystem));
        };
        let found = match self.system(system, &self.systems.filter).await? {
            Ok(Some(found)) => found,
            Ok(None) => return Ok(Err(Unknown::UnknownCodeSystem)),
            Err(error) => return Ok(Err(error)),
        };
        // A search names the system as resources do, without its version.
        let name = found.url();
        Ok(found.related(code, *direction).map(|codes| Codes {
            tokens: Tokens::of(codes.map(|code| (name, code))),
            systems: Vec::new(),
        }))
    }

    /// All that a value set builds on, as far as it is there.
    async fn library(&self, set: &ValueSet) -> Result<Result<Library, Unknown>, Error> {
        let mut library = Library::default();
        let mut sets: Vec<String> = set.builds_on().map(str::to_owned).collect();
        let mut systems: Vec<String> = set.needs().collect();
        while let Some(canonical) = sets.pop() {
            if library.has_set(&canonical) {
                continue;
            }
            let set = match self.set(&canonical, &Filter::Everything).await? {
                Ok(Some(set)) => Arc::new(set),
                Ok(None) => continue,
                Err(error) => return Ok(Err(error)),
            };
            sets.extend(set.builds_on().map(str::to_owned));
            systems.extend(set.needs());
            if let Err(error) = library.add_set(&canonical, set) {
                return Ok(Err(error));
            }
        }
        systems.sort_unstable();
        systems.dedup();
        if systems.len() > SETS_MAX {
            return Ok(Err(Unknown::TooManySets));
        }
        for canonical in systems {
            match self.system(&canonical, &Filter::Everything).await? {
                Ok(Some(system)) => library.add_system(&canonical, system),
                Ok(None) => {}
                Err(error) => return Ok(Err(error)),
            }
        }
        Ok(Ok(library))
    }

    async fn set(
        &self,
        canonical: &str,
        visible: &Filter,
    ) -> Result<Result<Option<ValueSet>, Unknown>, Error> {
        let record = self.record(self.sets.ty, canonical, visible).await?;
        let Some(document) = record.as_ref().and_then(document) else {
            return Ok(Ok(ValueSet::defined(canonical)));
        };
        Ok(ValueSet::read(document.root()).map(Some))
    }

    async fn system(
        &self,
        canonical: &str,
        visible: &Filter,
    ) -> Result<Result<Option<Arc<CodeSystem>>, Unknown>, Error> {
        let record = self.record(self.systems.ty, canonical, visible).await?;
        let origin = match &record {
            Some(record) => Origin::Version(record.seq),
            None => Origin::Definitions(canonical.into()),
        };
        if let Some(system) = self.cache.system(&origin) {
            return Ok(Ok(Some(system)));
        }
        let read = match record.as_ref().and_then(document) {
            Some(document) => CodeSystem::read(document.root()).map(Some),
            None => Ok(CodeSystem::defined(canonical)),
        };
        let system = match read {
            Ok(Some(system)) => Arc::new(system),
            Ok(None) => return Ok(Ok(None)),
            Err(error) => return Ok(Err(error)),
        };
        self.cache.keep_system(origin, &system);
        Ok(Ok(Some(system)))
    }

    async fn record(
        &self,
        ty: Option<ResourceType>,
        canonical: &str,
        visible: &Filter,
    ) -> Result<Option<Record>, Error> {
        let (Some(ty), true) = (ty, *visible != Filter::Nothing && self.changed.is_some()) else {
            return Ok(None);
        };
        let own_bases = [&*self.cx.base];
        canonical::resource(self.snapshot, ty, canonical, visible, &own_bases).await
    }
}

impl Codes {
    fn of(members: &Members) -> Self {
        Self {
            tokens: Tokens::of(members.codes()),
            systems: members.systems().map(Into::into).collect(),
        }
    }
}

/// The content of a version that is not deleted.
fn document(record: &Record) -> Option<Document> {
    match &record.content {
        Content::Body(body) => Document::parse(body.to_vec(), &Limits::default()).ok(),
        Content::Deleted => None,
    }
}
