//! FHIR create: <https://hl7.org/fhir/R4/http.html#create>.
//!
//! `If-None-Exist` is decided inside the commit, so two clients sending the
//! same condition cannot both create.

use bytes::Bytes;
use futures_util::future::BoxFuture;
use salus_auth::{Action, Grant, Target};
use salus_store::{Precondition, Query};

use super::binary::Placed;
use super::receipt::Named;
use super::reply::{Place, Reply, Status};
use super::settle::Decision;
use super::stored::Stored;
use super::types::ResourceType;
use super::which::matches;
use super::{check_writable, incoming, resource_type};
use crate::Service;
use crate::audit::entry::{Entry, Outcome, What};
use crate::context::Context;
use crate::error::{Error, Kind};
use crate::pipeline::Write;

/// What a client may ask of a create.
#[derive(Clone, Default)]
pub struct CreateOptions {
    /// Create only if nothing matches this search (`If-None-Exist`).
    pub if_none_exist: Option<String>,
    /// Names this request, so that sending it again does nothing again
    /// (`Idempotency-Key`).
    pub idempotency_key: Option<String>,
}
salus_phi::guard!(CreateOptions);

impl Service {
    /// Stores a new resource under an id of ours.
    pub async fn create(
        &self,
        cx: &Context,
        ty: &str,
        body: Bytes,
        options: &CreateOptions,
    ) -> Result<Reply, Error> {
        let ty = resource_type(ty)?;
        let target = Target::Type(ty.name);
        let grant = self
            .authorize(cx, What::Create, Action::Create, target)
            .await?;
        let work = self.create_granted(cx, &grant, ty, (body, None), options);
        self.attempt(cx, &grant, What::Create, ty.name, work).await
    }

    /// With the body, and the content of a Binary if it was sent before.
    pub(super) fn create_granted<'a>(
        &'a self,
        cx: &'a Context,
        grant: &'a Grant,
        ty: ResourceType,
        (body, placed): (Bytes, Option<(Placed, [u8; 32])>),
        options: &'a CreateOptions,
    ) -> BoxFuture<'a, Result<Reply, Error>> {
        Box::pin(async move {
            check_writable(ty)?;
            let exists = options.if_none_exist.as_deref().unwrap_or_default();
            let (placed, hash) = placed.unzip();
            let content = hash.as_ref().map_or(&[][..], |hash| hash);
            let request = [
                b"create",
                ty.name.as_bytes(),
                exists.as_bytes(),
                &body,
                content,
            ];
            let named = Named::of(cx, options.idempotency_key.as_deref(), &request);
            let document = incoming::parse(body, &self.settings.json)?;
            let valid = incoming::check(document.root(), ty)?;
            let condition = match &options.if_none_exist {
                Some(text) => Some(self.sought(cx, ty, text).await?),
                None => None,
            };
            let decide = || async {
                if let Some(query) = &condition
                    && let Some(reply) = self.existing(cx, grant, ty, query).await?
                {
                    return Ok(Decision::Answer(reply));
                }
                let stored = Stored::of(cx, ty, &self.new_id(cx), 1, &valid)?;
                let answer = stored.reply(cx, Status::Created);
                let preconditions = condition.iter().cloned().map(Precondition::NoneMatch);
                Ok(Decision::Commit {
                    entry: Entry::new(cx, What::Create, Outcome::Success, grant.rule()),
                    preconditions: preconditions.collect(),
                    writes: vec![Write::store(grant, stored).with(placed.clone())],
                    answer,
                })
            };
            self.settle(cx, (What::Create, grant), named.as_ref(), true, decide)
                .await
        })
    }

    /// The query of a condition, which tells what is there: so it takes the right to search.
    pub(super) async fn sought(
        &self,
        cx: &Context,
        ty: ResourceType,
        text: &str,
    ) -> Result<Query, Error> {
        let target = Target::Type(ty.name);
        let grant = self.authorize(cx, What::Search, Action::Search, target);
        self.condition(cx, &grant.await?, ty, text).await
    }

    /// The query of a condition: a search without result parameters.
    pub(crate) async fn condition(
        &self,
        cx: &Context,
        grant: &Grant,
        ty: ResourceType,
        text: &str,
    ) -> Result<Query, Error> {
        let asked = self.understand_condition(cx, ty, text).await?;
        if !asked.has_criteria() {
            return Err(Error::new(
                Kind::Precondition,
                "a condition needs at least one search parameter",
            ));
        }
        // Of the matches nobody needs more than to know that there is one.
        Ok(asked.query(grant, 1))
    }

    /// The one resource that matches already; more than one is an error.
    async fn existing(
        &self,
        cx: &Context,
        grant: &Grant,
        ty: ResourceType,
        query: &Query,
    ) -> Result<Option<Reply>, Error> {
        let snapshot = self.snapshot(cx).await?;
        let (mut found, _) = matches(&*snapshot, query, 1).await?;
        let Some(record) = found.pop() else {
            return Ok(None);
        };
        let mut entry = Entry::new(cx, What::Create, Outcome::Success, grant.rule());
        entry.shows([&record]);
        self.record(cx, entry).await?;
        Ok(Some(Reply {
            place: Some(Place {
                ty,
                id: record.id.clone(),
            }),
            written: true,
            ..super::read::shown(record)
        }))
    }
}
