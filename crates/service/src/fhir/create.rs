//! FHIR create: <https://hl7.org/fhir/R4/http.html#create>.
//!
//! `If-None-Exist` is decided inside the commit, so two clients sending the
//! same condition cannot both create.

use bytes::Bytes;
use salus_auth::{Action, Grant, Target};
use salus_store::{Precondition, Query};

use super::reply::{Reply, Status};
use super::stored::Stored;
use super::types::ResourceType;
use super::{ATTEMPTS_MAX, Handling, check_writable, incoming, resource_type};
use crate::Service;
use crate::audit::entry::{Entry, Outcome, What};
use crate::context::Context;
use crate::error::{Error, Kind};
use crate::pipeline::Write;

/// What a client may ask of a create.
#[derive(Clone, Debug, Default)]
pub struct CreateOptions {
    /// Create only if nothing matches this search (`If-None-Exist`).
    pub if_none_exist: Option<String>,
}

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
        let work = self.create_granted(cx, &grant, ty, body, options);
        self.attempt(cx, &grant, What::Create, ty.name, work).await
    }

    async fn create_granted(
        &self,
        cx: &Context,
        grant: &Grant,
        ty: ResourceType,
        body: Bytes,
        options: &CreateOptions,
    ) -> Result<Reply, Error> {
        check_writable(ty)?;
        let document = incoming::parse(body, &self.settings.json)?;
        let valid = incoming::check(document.root(), ty)?;
        let condition = match &options.if_none_exist {
            Some(text) => Some(self.condition(cx, grant, ty, text)?),
            None => None,
        };
        for _ in 0..ATTEMPTS_MAX {
            if let Some(query) = &condition
                && let Some(reply) = self.existing(cx, grant, ty, query).await?
            {
                return Ok(reply);
            }
            let stored = Stored::of(cx, ty, &self.new_id(cx), 1, &valid)?;
            let reply = Reply {
                written: true,
                version: Some(1),
                updated_ms: Some(cx.now_ms),
                location: Some(format!("{}/{}/_history/1", ty.name, stored.id)),
                body: Some(Bytes::from(stored.text.clone())),
                ..Reply::with(Status::Created)
            };
            let preconditions = condition.iter().cloned().map(Precondition::NoneMatch);
            let write = Write::store(grant, ty, stored);
            let entry = Entry::new(cx, What::Create, Outcome::Success, grant.rule());
            let done = self
                .commit(cx, entry, preconditions.collect(), vec![write])
                .await;
            match done {
                Ok(()) => return Ok(reply),
                Err(salus_store::Error::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(salus_store::Error::Conflict { precondition: None }.into())
    }

    /// The query of an `If-None-Exist`: a search without result parameters.
    pub(crate) fn condition(
        &self,
        cx: &Context,
        grant: &Grant,
        ty: ResourceType,
        text: &str,
    ) -> Result<Query, Error> {
        let pairs = super::search::pairs(text);
        let asked = self.understand(cx, ty, pairs, Handling::Strict)?;
        if !asked.has_criteria() {
            return Err(Error::new(
                Kind::Precondition,
                "a condition needs at least one search parameter",
            ));
        }
        Ok(asked.query(grant, 2))
    }

    /// The one resource that matches already; more than one is an error.
    async fn existing(
        &self,
        cx: &Context,
        grant: &Grant,
        ty: ResourceType,
        query: &Query,
    ) -> Result<Option<Reply>, Error> {
        let mut hits = self.snapshot(cx).await?.find(query).await?.hits;
        if hits.len() > 1 {
            return Err(Error::new(
                Kind::Precondition,
                "more than one resource matches the condition",
            ));
        }
        let Some(hit) = hits.pop() else {
            return Ok(None);
        };
        let record = hit.record;
        let mut entry = Entry::new(cx, What::Create, Outcome::Success, grant.rule());
        let about = entry.shows([&record]);
        self.record(cx, &entry, about).await?;
        let location = format!("{}/{}/_history/{}", ty.name, record.id, record.version);
        Ok(Some(Reply {
            location: Some(location),
            written: true,
            ..super::read::shown(record)
        }))
    }
}
