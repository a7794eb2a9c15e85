//! The one way in: authorize, decide, commit with the audit entry, answer.
//!
//! Only [`Service::authorize`] makes a [`Grant`], and a [`Write`] cannot be
//! made without one nor without a validated resource; only [`Service::commit`]
//! takes writes to the store. A read gives nothing back before
//! [`Service::record`] has made its audit entry durable. So no use case can
//! change or show anything past policy and audit.

use salus_auth::{Action, Grant, Target};
use salus_fhir::reference::is_id;
use salus_store::{Batch, Content, Kind, Precondition, Put, Scope, SealKey};

use crate::Service;
use crate::audit::entry::{self, Entity, Entry, Outcome, What};
use crate::context::Context;
use crate::error::{self, Error};
use crate::fhir::stored::Stored;
use crate::fhir::types::ResourceType;

/// What a refused caller is told, whatever the reason.
pub(crate) const FORBIDDEN: &str = "you may not do this here";

/// A decided change of one record, authorized and validated.
pub(crate) struct Write {
    put: Put,
    entity: Entity,
}

impl Write {
    /// A new version with content.
    pub(crate) fn store(_grant: &Grant, ty: ResourceType, stored: Stored) -> Self {
        let entity = Entity {
            ty: ty.name.into(),
            id: stored.id.clone(),
            version: stored.version,
        };
        let put = Put {
            kind: ty.kind,
            id: stored.id,
            version: stored.version,
            content: Content::Body(stored.text.into()),
            rows: stored.rows,
            main_date_ms: stored.main_date_ms,
            seal: stored.seal,
        };
        Self { put, entity }
    }

    /// A new version that says the record is deleted.
    pub(crate) fn delete(
        _grant: &Grant,
        ty: ResourceType,
        id: &str,
        version: u64,
        seal: SealKey,
    ) -> Self {
        Self {
            entity: Entity {
                ty: ty.name.into(),
                id: id.into(),
                version,
            },
            put: Put {
                kind: ty.kind,
                id: id.into(),
                version,
                content: Content::Deleted,
                rows: Vec::new(),
                main_date_ms: None,
                seal,
            },
        }
    }

    /// A record of our own, not a resource: a project, a user, a client.
    pub(crate) fn system(_grant: &Grant, ty: &str, put: Put) -> Self {
        Self {
            entity: Entity {
                ty: ty.into(),
                id: put.id.clone(),
                version: put.version,
            },
            put,
        }
    }
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
        match salus_auth::authorize(&cx.subject, cx.scope, action, target) {
            Ok(grant) => Ok(grant),
            Err(denied) => {
                let entry = Entry::new(cx, what, Outcome::Refused, denied.rule());
                let ty = target.type_name().unwrap_or_default();
                self.record_refusal(cx, entry, ty, id).await?;
                Err(Error::new(error::Kind::Forbidden, FORBIDDEN))
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
        match work.await {
            Ok(done) => Ok(done),
            Err(error) => {
                let outcome = match error.kind().status().0 {
                    500.. => Outcome::Failed,
                    _ => Outcome::Refused,
                };
                let entry = Entry::new(cx, what, outcome, grant.rule());
                self.record_refusal(cx, entry, ty, id).await?;
                Err(error)
            }
        }
    }

    /// Makes the audit entry of a request whose form was refused, its media
    /// type, its size or its text, before it could ask for a decision. What
    /// the path names may be no type and no id.
    pub async fn note_unreadable(
        &self,
        cx: &Context,
        what: What,
        ty: &str,
        id: &str,
    ) -> Result<(), Error> {
        let entry = Entry::new(cx, what, Outcome::Refused, "request not readable");
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
        let mut about = Vec::new();
        // What is no id could be anything.
        if is_id(id) {
            entry.concerns(ty, id, 0);
            about.push((Kind::named(ty), id.into()));
        }
        self.record(cx, &entry, about).await
    }

    /// Commits writes, their preconditions and their audit entry together.
    pub(crate) async fn commit(
        &self,
        cx: &Context,
        mut entry: Entry,
        preconditions: Vec<Precondition>,
        writes: Vec<Write>,
    ) -> Result<(), salus_store::Error> {
        let mut about = Vec::new();
        let mut puts = Vec::with_capacity(writes.len());
        for Write { put, entity } in writes {
            let one = entry::about(put.kind, &put.id, &put.seal);
            entry.entities.push(entity);
            if !about.contains(&one) {
                entry.concerns_patient(&put.seal);
                about.push(one);
            }
            puts.push(put);
        }
        let batch = Batch {
            scope: cx.scope,
            time_ms: cx.now_ms,
            preconditions,
            puts,
            audit: vec![entry.seal(about)],
        };
        self.store.commit(batch).await.map(|_| ())
    }

    /// Makes the audit entry of something that changed nothing durable.
    pub(crate) async fn record(
        &self,
        cx: &Context,
        entry: &Entry,
        about: Vec<(Kind, Box<str>)>,
    ) -> Result<(), Error> {
        let batch = Batch {
            scope: match cx.scope {
                // Nothing is kept for a project that does not exist.
                Self::NO_SCOPE => Scope::SYSTEM,
                scope => scope,
            },
            time_ms: cx.now_ms,
            preconditions: Vec::new(),
            puts: Vec::new(),
            audit: vec![entry.seal(about)],
        };
        self.store.commit(batch).await?;
        Ok(())
    }
}
