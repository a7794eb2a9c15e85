//! `includeAssociatedData`: Provenance of what is exported
//! (<https://hl7.org/fhir/uv/bulkdata/STU2/export.html#query-parameters>).
//!
//! Where Provenance is not exported by itself, each is looked at on its own:
//! whether it is about something that is. So nothing has to be remembered.

use salus_fhir::definitions;
use salus_fhir::json::{Document, Limits, Node};
use salus_fhir::reference::Reference;
use salus_store::{Content, Filter, Query, Record, Snapshot, Test};

use super::choice::Choice;
use super::{Export, Provenance};
use crate::Service;
use crate::context::Context;
use crate::error::Error;
use crate::fhir::rows;
use crate::fhir::types::ResourceType;

pub(super) const PROVENANCE: &str = "Provenance";

/// What Provenance has to be about.
pub(super) struct About {
    which: Provenance,
    choices: Vec<Choice>,
}

impl Export {
    /// Which Provenance is exported only for what it is about.
    pub(super) fn associated(&self) -> Option<Provenance> {
        let named = self.types.as_ref()?;
        self.provenance
            .filter(|_| !named.iter().any(|ty| ty == PROVENANCE))
    }
}

impl About {
    /// What is exported beside it; `None` where Provenance is exported by itself.
    pub(super) async fn of(
        service: &Service,
        cx: &Context,
        asked: &Export,
        members: Option<&std::sync::Arc<super::choice::Members>>,
    ) -> Result<Option<Self>, Error> {
        let Some(which) = asked.associated() else {
            return Ok(None);
        };
        let mut choices = Vec::new();
        for name in asked.types.iter().flatten() {
            let ty = ResourceType::named(name).ok_or_else(super::fault)?;
            choices.push(Choice::alone(service, cx, asked, (ty, members.cloned())).await?);
        }
        Ok(Some(Self { which, choices }))
    }

    /// Whether one is about something that is exported.
    pub(super) async fn admits(
        &self,
        snapshot: &dyn Snapshot,
        provenance: &Record,
        base: &str,
    ) -> Result<bool, Error> {
        let Content::Body(body) = &provenance.content else {
            return Ok(false);
        };
        let Ok(document) = Document::parse(body.to_vec(), &Limits::default()) else {
            return Ok(false);
        };
        let targets = document.root().get("target").map(Node::children);
        let texts: Vec<String> = targets
            .into_iter()
            .flatten()
            .filter_map(|target| Some(target.get("reference")?.str()?.into_owned()))
            .collect();
        drop(document);
        for text in &texts {
            let Some(Reference::Local(local)) = Reference::parse(text, &[base]) else {
                continue;
            };
            let choice = self.choices.iter().find(|one| one.ty.name == local.ty);
            let Some(choice) = choice else { continue };
            if is_exported(snapshot, choice, local.id).await?
                && self.fits(snapshot, choice, local.id, provenance).await?
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether it is the newest one about this resource, if only that is wanted.
    async fn fits(
        &self,
        snapshot: &dyn Snapshot,
        choice: &Choice,
        id: &str,
        provenance: &Record,
    ) -> Result<bool, Error> {
        let target = definitions::r4().search_parameter(PROVENANCE, "target");
        let (Provenance::Latest, Some(target)) = (self.which, target) else {
            return Ok(true);
        };
        let test = Test::Reference {
            kind: Some(choice.ty.kind),
            id: id.into(),
        };
        let query = Query {
            kind: provenance.kind,
            filter: Filter::Value(rows::param(PROVENANCE, target), test),
            sort: Vec::new(),
            limit: 1,
            after: None,
            rows: Vec::new(),
        };
        let newest = snapshot.find(&query).await?;
        let mut newest = newest.hits.iter();
        Ok(newest
            .next()
            .is_none_or(|hit| hit.record.id == provenance.id))
    }
}

async fn is_exported(snapshot: &dyn Snapshot, choice: &Choice, id: &str) -> Result<bool, Error> {
    let Some(record) = snapshot.get(choice.ty.kind, id).await? else {
        return Ok(false);
    };
    if record.content == Content::Deleted || !choice.admits(&record) {
        return Ok(false);
    }
    let found = choice.found(snapshot, [&record].into_iter()).await?;
    Ok(found.is_none_or(|found| found.contains(&record.seq)))
}
