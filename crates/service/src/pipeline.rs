//! The one way in: authorize, decide, commit with the audit entry, answer.
//!
//! Only [`Service::authorize`] makes a [`Grant`], and a [`Write`] cannot be
//! made without one nor without a validated resource; only [`Service::commit`]
//! takes writes to the store. A read gives nothing back before
//! [`Service::record`] has made its audit entry durable. So no use case can
//! change or show anything past policy and audit.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use salus_auth::policy::Deed;
use salus_auth::{Action, Denied, Grant, Operation, Target};
use salus_fhir::reference::is_id;
use salus_store::{
    At, AuditEntry, Batch, Content, Held, Kind, Param, Precondition, Purge, Put, Record, Scope,
    SealKey, Shred, SupersededVersion, Value,
};

use crate::Service;
use crate::audit::entry::{Entity, Entry, Outcome, What};
use crate::cold;
use crate::context::Context;
use crate::error::{self, Error};
use crate::fhir::binary::Placed;
use crate::fhir::contained::Container;
use crate::fhir::stored::Stored;
use crate::fhir::types::ResourceType;
use crate::parameters::DEFINITIONS;
use crate::policy::relations::touch;

const CONSENT: Kind = Kind::named("Consent");

/// What a refused caller is told, whatever the reason.
pub(crate) const FORBIDDEN: &str = "you may not do this here";

/// What somebody is told who has to bring a second factor first.
const NO_FACTOR: &str = "this account has to have a second factor: set one up at /auth/me/factors, or \
                         sign in with it";

/// A decided change of one record, authorized and validated.
pub(crate) struct Write {
    put: Put,
    entity: Option<Entity>,
    /// What is kept of what it contains, and beside it.
    contained: Vec<Put>,
    /// The content of a Binary, if it is a blob already.
    placed: Option<Placed>,
    /// What is done, as rules name it.
    deed: Deed,
    /// Whether there is a record under this id that is hidden from who writes.
    over_hidden: bool,
}

impl Write {
    /// A new version with content.
    pub(crate) fn store(grant: &Grant, stored: Stored) -> Self {
        let put = Put {
            kind: stored.ty.kind,
            id: stored.id,
            version: stored.version,
            content: Content::Body(stored.text),
            rows: stored.rows,
            main_date_ms: stored.main_date_ms,
            seal: stored.seal,
        };
        Self {
            contained: stored.contained,
            deed: grant
                .action()
                .deed()
                .filter(|deed| deed.writes())
                .unwrap_or(Deed::Update),
            ..Self::of(stored.ty.name, put)
        }
    }

    /// A new version that says the record is deleted.
    pub(crate) fn delete(
        _grant: &Grant,
        ty: ResourceType,
        id: &str,
        version: u64,
        seal: SealKey,
    ) -> Self {
        let put = Put {
            kind: ty.kind,
            id: id.into(),
            version,
            content: Content::Deleted,
            rows: Vec::new(),
            main_date_ms: None,
            seal,
        };
        Self {
            deed: Deed::Delete,
            ..Self::of(ty.name, put)
        }
    }

    /// A record of our own, not a resource: a project, a user, a client.
    pub(crate) fn system(_grant: &Grant, ty: &'static str, put: Put) -> Self {
        let mut write = Self::of(ty, put);
        if let Some(entity) = &mut write.entity {
            entity.ty = own_name(ty);
        }
        write
    }

    /// A record beside others that nobody asks about, in the audit neither.
    pub(crate) fn aside(_grant: &Grant, put: Put) -> Self {
        Self {
            put,
            entity: None,
            contained: Vec::new(),
            placed: None,
            deed: Deed::Update,
            over_hidden: false,
        }
    }

    fn of(ty: &'static str, put: Put) -> Self {
        let entity = Entity {
            ty: ty.into(),
            id: put.id.clone(),
            version: put.version,
        };
        Self {
            put,
            entity: Some(entity),
            contained: Vec::new(),
            placed: None,
            deed: Deed::Update,
            over_hidden: false,
        }
    }

    /// The same, where its id may be taken by what is hidden from who writes:
    /// it is decided like any other, and not made.
    pub(crate) fn over_hidden(self, over_hidden: bool) -> Self {
        Self {
            over_hidden,
            ..self
        }
    }

    /// Whether its id is taken by what is hidden from who writes.
    pub(crate) fn is_over_hidden(&self) -> bool {
        self.over_hidden
    }

    /// What is done, as rules name it.
    pub(crate) fn deed(&self) -> Deed {
        self.deed
    }

    /// What is written.
    pub(crate) fn put(&self) -> &Put {
        &self.put
    }

    /// The same Binary, whose content is a blob.
    pub(crate) fn with(self, placed: Option<Placed>) -> Self {
        Self { placed, ..self }
    }

    /// The same write of another text, with all that follows from it.
    pub(crate) fn become_stored(&mut self, stored: Stored) {
        self.put.content = Content::Body(stored.text);
        self.put.rows = stored.rows;
        self.put.main_date_ms = stored.main_date_ms;
        self.put.seal = stored.seal;
        self.contained = stored.contained;
    }

    /// The blob that is the content, if it is one.
    pub(crate) fn take_placed(&mut self) -> Option<Placed> {
        self.placed.take()
    }

    /// The same resource without what is kept elsewhere.
    pub(crate) fn set_text(&mut self, text: Bytes) {
        self.put.content = Content::Body(text);
    }

    /// Chooses another key.
    pub(crate) fn set_seal(&mut self, seal: SealKey) {
        self.put.seal = seal;
    }

    /// A record that belongs to this one.
    pub(crate) fn beside(&mut self, put: Put) {
        self.contained.push(put);
    }
}

/// What ends for good in one commit, and our own records beside it.
#[derive(Default)]
pub(crate) struct Ended {
    /// Deletions.
    pub(crate) deleted: Vec<Put>,
    /// Superseded versions whose content goes.
    pub(crate) purged: Vec<Purge>,
    /// Single versions whose content goes.
    pub(crate) shredded: Vec<Shred>,
    /// What says so.
    pub(crate) beside: Vec<Put>,
}

/// The name of a record of our own in the audit, which tells it from a resource.
fn own_name(ty: &'static str) -> Cow<'static, str> {
    match ResourceType::named(ty) {
        Some(_) => format!("salus:{ty}").into(),
        None => ty.into(),
    }
}

/// Beside the entry of a write one for each consent that begins or ends by it.
fn consents(cx: &Context, written: &Entry, writes: &[Write]) -> Vec<AuditEntry> {
    const STATUS: Param = Param::named("Consent", "status");
    let all = writes.iter().filter(|write| write.put.kind == CONSENT);
    let one = |write: &Write| {
        let mut rows = write.put.rows.iter();
        let active = rows.any(|row| {
            row.param == STATUS
                && matches!(&row.value, Value::Token { code, .. } if **code == *"active")
        });
        let what = match active {
            true => What::ConsentGiven,
            false => What::ConsentWithdrawn,
        };
        let mut entry = Entry::new(cx, what, Outcome::Success, &written.rule);
        entry.rule.clone_from(&written.rule);
        if let Some(entity) = write.entity.clone() {
            entry.concerns(entity, write.put.kind, &write.put.seal);
        }
        entry.seal()
    };
    all.map(one).collect()
}

impl Service {
    /// Decides whether the one asking may do this. A refusal is in the audit
    /// before the error is returned.
    pub(crate) async fn authorize(
        &self,
        cx: &Context,
        what: What,
        action: Action,
        target: Target<'_>,
    ) -> Result<Grant, Error> {
        self.authorize_on(cx, what, action, target, "").await
    }

    /// The same for one record: the audit of a refusal names it.
    pub(crate) async fn authorize_on(
        &self,
        cx: &Context,
        what: What,
        action: Action,
        target: Target<'_>,
        id: &str,
    ) -> Result<Grant, Error> {
        self.authorize_asking(cx, what, action, target, (id, ""))
            .await
    }

    async fn authorize_asking(
        &self,
        cx: &Context,
        what: What,
        action: Action,
        target: Target<'_>,
        (id, query): (&str, &str),
    ) -> Result<Grant, Error> {
        let decided = salus_auth::authorize(&cx.subject, cx.scope, action, target);
        self.granted_or_told(cx, what, decided, (target, id, query))
            .await
    }

    /// Decides whether the one asking may call an operation, which does this.
    pub(crate) async fn authorize_operation(
        &self,
        cx: &Context,
        (operation, action): (Operation, Action),
        target: Target<'_>,
        id: &str,
    ) -> Result<Grant, Error> {
        let called = (operation, action);
        let decided = salus_auth::authorize_operation(&cx.subject, cx.scope, called, target);
        let asks = format!("${}", operation.name());
        self.granted_or_told(cx, What::Operation, decided, (target, id, &asks))
            .await
    }

    async fn granted_or_told(
        &self,
        cx: &Context,
        what: What,
        decided: Result<Grant, Denied>,
        (target, id, query): (Target<'_>, &str, &str),
    ) -> Result<Grant, Error> {
        match decided {
            Ok(grant) => Ok(grant),
            Err(denied) => {
                let mut entry = Entry::new(cx, what, Outcome::Refused, denied.rule());
                entry.query = query.into();
                let ty = target.type_name().unwrap_or_default();
                self.record_refusal(cx, entry, ty, id).await?;
                let told = match denied.is_for_want_of_a_factor() {
                    true => NO_FACTOR,
                    false => FORBIDDEN,
                };
                Err(Error::new(error::Kind::Forbidden, told))
            }
        }
    }

    /// Runs what was allowed; if it fails, the failure is in the audit before
    /// it is returned.
    pub(crate) async fn attempt<T>(
        &self,
        cx: &Context,
        grant: &Grant,
        what: What,
        ty: &str,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        self.attempt_on(cx, grant, what, (ty, ""), work).await
    }

    /// The same for one record, by type and id: the audit of a failure names it.
    pub(crate) async fn attempt_on<T>(
        &self,
        cx: &Context,
        grant: &Grant,
        what: What,
        (ty, id): (&str, &str),
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        self.attempt_asking(cx, grant, what, (ty, id, ""), work)
            .await
    }

    /// The same with what was asked, as the audit shows it: an operation's name.
    pub(crate) async fn attempt_asking<T>(
        &self,
        cx: &Context,
        grant: &Grant,
        what: What,
        (ty, id, query): (&str, &str, &str),
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        match work.await {
            Ok(done) => Ok(done),
            Err(error) => {
                let outcome = match error.kind().status().0 {
                    500.. => Outcome::Failed,
                    _ => Outcome::Refused,
                };
                let mut entry = Entry::new(cx, what, outcome, grant.rule());
                entry.query = query.into();
                self.record_refusal(cx, entry, ty, id).await?;
                Err(error)
            }
        }
    }

    /// Makes the audit entry of a request whose form was refused, its media
    /// type, its size or its text, before it could ask for a decision. What
    /// the path names may be no type and no id; `operation` is one's name or nothing.
    pub async fn note_unreadable(
        &self,
        cx: &Context,
        what: What,
        (ty, id): (&str, &str),
        operation: &str,
    ) -> Result<(), Error> {
        let mut entry = Entry::new(cx, what, Outcome::Refused, "request not readable");
        entry.query = operation.into();
        match ResourceType::named(ty) {
            Some(ty) => self.record_refusal(cx, entry, ty.name, id).await,
            None => self.record_refusal(cx, entry, "", "").await,
        }
    }

    /// Makes the audit entry of what did not happen. Whoever asked for a
    /// record in vain, or without a right to it, is found by that record.
    async fn record_refusal(
        &self,
        cx: &Context,
        mut entry: Entry,
        ty: &str,
        id: &str,
    ) -> Result<(), Error> {
        entry.ty = ty.into();
        // What is no id could be anything.
        if is_id(id) {
            let entity = Entity {
                ty: ty.to_owned().into(),
                id: id.into(),
                version: 0,
            };
            entry.concerns(entity, Kind::named(ty), &SealKey::Scope);
        }
        self.record(cx, entry).await
    }

    /// Commits writes, their preconditions and their audit entry together.
    pub(crate) fn commit<'a>(
        &'a self,
        cx: &'a Context,
        mut entry: Entry,
        mut preconditions: Vec<Precondition>,
        writes: Vec<Write>,
    ) -> BoxFuture<'a, Result<(), salus_store::Error>> {
        Box::pin(async move {
            let mut audit = consents(cx, &entry, &writes);
            let mut puts = self.removals(cx, &writes, &mut preconditions).await?;
            puts.reserve(writes.len());
            for write in writes {
                if let Some(entity) = write.entity {
                    entry.concerns(entity, write.put.kind, &write.put.seal);
                }
                puts.push(write.put);
                puts.extend(write.contained);
            }
            // Held until it is decided: who shuts a patient waits for those who write.
            let _under_way = self.shut.enter();
            if self.shut.holds(cx.scope, &puts) {
                return Err(salus_store::Error::KeyDestroyed);
            }
            // Who has read what this changes of the relationships to patients reads
            // it anew when this is done.
            let touched = touch(&self.relations, cx.scope, &puts);
            let held = Arc::new((Arc::clone(&cx.parameters), touched));
            audit.insert(0, entry.seal());
            let batch = Batch {
                preconditions,
                audit,
                // Whoever changes the set waits until this is done, and nobody
                // says before that all was written until then.
                held: Some(Held::new(held).and(Arc::clone(&cx.era))),
                ..Batch::of(cx.scope, cx.now_ms, puts)
            };
            let defines = batch.puts.iter().any(|put| put.kind == DEFINITIONS);
            if defines && let Some(project) = self.parameters.project(cx.scope) {
                return self.define(cx, project, batch).await;
            }
            self.store.commit(batch).await.map(|_| ())
        })
    }

    /// Ends records for good; the audit entry is with it.
    pub(crate) async fn end_records(
        &self,
        cx: &Context,
        _grant: &Grant,
        entry: Entry,
        ended: Ended,
    ) -> Result<(), salus_store::Error> {
        let Ended {
            deleted: mut puts,
            purged,
            shredded,
            beside,
        } = ended;
        let touched = touch(&self.relations, cx.scope, &puts);
        puts.extend(beside);
        let held = Arc::new((Arc::clone(&cx.parameters), touched));
        let batch = Batch {
            purged,
            shredded,
            audit: vec![entry.seal()],
            held: Some(Held::new(held).and(Arc::clone(&cx.era))),
            ..Batch::of(cx.scope, cx.now_ms, puts)
        };
        self.store.commit(batch).await.map(|_| ())
    }

    /// Purges superseded versions of a type, but for those under legal hold; the audit entry
    /// names them. Says how many went.
    pub(crate) async fn purge(
        &self,
        cx: &Context,
        _grant: &Grant,
        mut entry: Entry,
        ty: ResourceType,
        mut versions: Vec<SupersededVersion>,
    ) -> Result<usize, Error> {
        // No hold comes between the look at them and the commit.
        let _turn = self.ending.read().await;
        self.retain_free(cx, ty, &mut versions).await?;
        let count = versions.len();
        if count == 0 {
            return Ok(0);
        }
        let mut below: BTreeMap<Box<str>, u64> = BTreeMap::new();
        for one in versions {
            let entity = Entity {
                ty: ty.name.into(),
                id: one.id.clone(),
                version: one.version,
            };
            entry.concerns(entity, ty.kind, &one.seal);
            let below = below.entry(one.id).or_default();
            *below = (*below).max(one.version + 1);
        }
        let purged = below.into_iter().map(|(id, below)| Purge {
            kind: ty.kind,
            id,
            below,
        });
        let batch = Batch {
            purged: purged.collect(),
            audit: vec![entry.seal()],
            ..Batch::of(cx.scope, cx.now_ms, Vec::new())
        };
        self.store.commit(batch).await?;
        Ok(count)
    }

    /// Leaves out the versions of records under legal hold.
    pub(crate) async fn retain_free(
        &self,
        cx: &Context,
        ty: ResourceType,
        versions: &mut Vec<SupersededVersion>,
    ) -> Result<(), Error> {
        let held = self.held(cx).await?;
        if held.is_empty() || versions.is_empty() {
            return Ok(());
        }
        let snapshot = self.store.snapshot(cx.scope, At::Now).await?;
        let named: Vec<_> = versions.iter().map(|one| (&*one.id, &one.seal)).collect();
        let held = held.among(cx, &*snapshot, ty.kind, &named).await?;
        versions.retain(|one| !held.contains(&one.id));
        Ok(())
    }

    /// What was kept of what replaced and deleted resources contained.
    async fn removals(
        &self,
        cx: &Context,
        writes: &[Write],
        preconditions: &mut Vec<Precondition>,
    ) -> Result<Vec<Put>, salus_store::Error> {
        let mut puts = Vec::new();
        let mut snapshot = None;
        for Write { put, .. } in writes.iter().filter(|write| write.put.version > 1) {
            let Some(ty) = ResourceType::of(put.kind) else {
                continue;
            };
            let snapshot = match &mut snapshot {
                Some(snapshot) => snapshot,
                none => none.insert(self.store.snapshot(cx.scope, At::Now).await?),
            };
            let (id, version) = (&*put.id, put.version - 1);
            let replaced = match snapshot.version(put.kind, id, version).await {
                // Another came after it, or it would be there.
                Err(salus_store::Error::Purged) => {
                    return Err(salus_store::Error::Conflict { precondition: None });
                }
                replaced => replaced?,
            };
            match replaced.map(|record| record.content) {
                Some(Content::Body(body)) => {
                    let container = Container { ty, id, version };
                    let to = (&mut puts, &mut *preconditions);
                    container.remove(&**snapshot, &body, to).await?;
                }
                // Nothing comes over what is in cold storage: who writes is told why.
                Some(Content::Deleted) if cold::is_cold(&**snapshot, ty.name, id).await? => {
                    return Err(salus_store::Error::Conflict { precondition: None });
                }
                Some(Content::Deleted) | None => {}
            }
        }
        Ok(puts)
    }

    /// The deletions of what is kept of what a record contains.
    pub(crate) async fn contained_deletions(
        &self,
        cx: &Context,
        record: &Record,
    ) -> Result<Vec<Put>, salus_store::Error> {
        let (mut puts, mut preconditions) = (Vec::new(), Vec::new());
        if let (Content::Body(body), Some(ty)) = (&record.content, ResourceType::of(record.kind)) {
            let snapshot = self.store.snapshot(cx.scope, At::Now).await?;
            let (id, version) = (&*record.id, record.version);
            let container = Container { ty, id, version };
            let to = (&mut puts, &mut preconditions);
            container.remove(&*snapshot, body, to).await?;
        }
        Ok(puts)
    }

    /// Makes the audit entry of something that changed nothing durable.
    pub(crate) async fn record(&self, cx: &Context, entry: Entry) -> Result<(), Error> {
        let scope = match cx.scope {
            // Nothing is kept for a project that does not exist.
            Self::NO_SCOPE => Scope::SYSTEM,
            scope => scope,
        };
        let batch = Batch {
            audit: vec![entry.seal()],
            ..Batch::of(scope, cx.now_ms, Vec::new())
        };
        self.store.commit(batch).await?;
        Ok(())
    }
}
