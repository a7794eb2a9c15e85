//! FHIR update: <https://hl7.org/fhir/R4/http.html#update>, and conditional
//! update: <https://hl7.org/fhir/R4/http.html#cond-update>.
//!
//! Creates the resource when there is none, under the client's id. A client
//! that sets no condition never sees another's write as a conflict: the
//! decision is made again on what that one left.

use bytes::Bytes;
use futures_util::future::BoxFuture;
use salus_auth::{Action, Grant, Target};
use salus_store::{Content, Record};

use super::binary::Placed;
use super::receipt::Named;
use super::reply::{Reply, Status};
use super::settle::Decision;
use super::stored::Stored;
use super::types::ResourceType;
use super::which::{self, Which};
use super::{WriteCondition, WriteOptions, check_writable, incoming, resource_type};
use crate::Service;
use crate::audit::entry::{Entry, Outcome, What};
use crate::context::Context;
use crate::error::{Error, Kind};
use crate::pipeline::Write;

impl Service {
    /// Stores the next version of a resource, or its first.
    pub async fn update(
        &self,
        cx: &Context,
        ty: &str,
        which: Which<'_>,
        body: Bytes,
        options: &WriteOptions,
    ) -> Result<Reply, Error> {
        let ty = resource_type(ty)?;
        let target = Target::Type(ty.name);
        let grant = self
            .authorize_on(cx, What::Update, Action::Update, target, which.id())
            .await?;
        let work = self.update_granted(cx, &grant, (ty, which), (body, None), options);
        self.attempt_on(cx, &grant, What::Update, (ty.name, which.id()), work)
            .await
    }

    /// With the body, and the content of a Binary if it was sent before.
    pub(super) fn update_granted<'a>(
        &'a self,
        cx: &'a Context,
        grant: &'a Grant,
        (ty, which): (ResourceType, Which<'a>),
        (body, placed): (Bytes, Option<(Placed, [u8; 32])>),
        options: &'a WriteOptions,
    ) -> BoxFuture<'a, Result<Reply, Error>> {
        Box::pin(async move {
            check_writable(ty)?;
            let (placed, hash) = placed.unzip();
            let content = hash.as_ref().map_or(&[][..], |hash| hash);
            let mark = which.mark();
            let request = [b"update", ty.name.as_bytes(), &mark, &body, content];
            let named = Named::of(cx, options.idempotency_key.as_deref(), &request);
            let sought = self.seek(cx, ty, which).await?;
            let document = incoming::parse(body, &self.settings.json)?;
            let valid = incoming::check(document.root(), ty)?;
            let own_id = which::own_id(document.root());
            if let Which::Id(id) = which {
                incoming::check_same_id(document.root(), id)?;
            }
            let decide = || async {
                let snapshot = self.snapshot(cx).await?;
                let one = sought.to_update(&*snapshot, ty, own_id.as_deref()).await?;
                let replaced = self.replaced(cx, &*snapshot, ty, &one).await?;
                drop(snapshot);
                check_condition(options.condition, replaced.current)?;
                let (version, status) = next_version(replaced.current);
                let is_hidden = replaced.is_hidden;
                let id = one.id.unwrap_or_else(|| self.new_id(cx));
                let stored = Stored::of(cx, ty, &id, version, &valid)?;
                let answer = stored.reply(cx, status);
                Ok(Decision::Commit {
                    entry: Entry::new(cx, What::Update, Outcome::Success, grant.rule()),
                    preconditions: one.preconditions,
                    writes: vec![
                        Write::store(grant, stored)
                            .with(placed.clone())
                            .over_hidden(is_hidden),
                    ],
                    answer,
                })
            };
            self.settle(cx, (What::Update, grant), named.as_ref(), true, decide)
                .await
        })
    }
}

/// The version that follows the current one, and whether it makes the resource.
pub(super) fn next_version(current: Option<&Record>) -> (u64, Status) {
    match current {
        None => (1, Status::Created),
        Some(record) if record.content == Content::Deleted => (record.version + 1, Status::Created),
        Some(record) => (record.version + 1, Status::Ok),
    }
}

/// Decides `If-Match` and `If-None-Match: *` on the current version.
pub(super) fn check_condition(
    condition: WriteCondition,
    current: Option<&Record>,
) -> Result<(), Error> {
    let exists = current.is_some_and(|record| record.content != Content::Deleted);
    let holds = match condition {
        WriteCondition::None => true,
        WriteCondition::VersionIs(version) => {
            exists && current.is_some_and(|record| record.version == version)
        }
        WriteCondition::Absent => !exists,
    };
    if holds {
        return Ok(());
    }
    Err(Error::new(
        Kind::Precondition,
        match condition {
            WriteCondition::Absent => "the resource exists already (If-None-Match)",
            WriteCondition::VersionIs(_) | WriteCondition::None => {
                "the resource's current version is another one (If-Match); read it again"
            }
        },
    ))
}
