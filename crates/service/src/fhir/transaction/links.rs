//! Links between the entries of a transaction, and to what is stored already.

use std::collections::HashMap;

use salus_auth::{Action, Target};
use salus_fhir::json::{Document, Node};
use salus_fhir::splice::{self, Splices};
use salus_fhir::validate;
use salus_store::Snapshot;

use super::plan::{Decided, Planned};
use crate::Service;
use crate::audit::entry::What;
use crate::context::Context;
use crate::error::{Error, Kind};
use crate::fhir::resource_type;
use crate::fhir::stored::Stored;
use crate::fhir::types::ResourceType;
use crate::fhir::which::{matches, without};

impl Service {
    /// Finds the one resource that a conditional reference means; the commit
    /// is to see the same.
    pub(super) async fn resolve(
        &self,
        cx: &Context,
        snapshot: &dyn Snapshot,
        link: String,
        index: usize,
        decided: &mut Decided<'_>,
    ) -> Result<(), Error> {
        let (name, query) = link.split_once('?').unwrap_or((&link, ""));
        let ty = resource_type(name)?;
        let target = Target::Type(ty.name);
        let grant = self
            .authorize(cx, What::Search, Action::Search, target)
            .await?;
        let asked = self.understand_condition(cx, ty, query).await?;
        let refuse = |reason| {
            let message = format!("Bundle.entry[{index}]: a conditional reference {reason}");
            Error::new(Kind::Precondition, message)
        };
        if !asked.has_criteria() {
            return Err(refuse("needs at least one search parameter"));
        }
        let query = without(asked.query(&grant, 1), decided.gone(ty));
        let found = matches(snapshot, &query, 1).await;
        let (mut found, preconditions) = found.map_err(|error| {
            if error.kind() == Kind::Precondition {
                refuse("must match one resource, and matches several")
            } else {
                error
            }
        })?;
        let record = found.pop();
        let record = record.ok_or_else(|| refuse("must match one resource, and matches none"))?;
        let target = format!("{}/{}", ty.name, record.id);
        decided.links.insert(link, target);
        decided.preconditions.extend(preconditions);
        decided.found.push(record);
        Ok(())
    }

    /// A resource with its links rewritten, valid and ready for the store.
    pub(super) fn linked(
        &self,
        cx: &Context,
        planned: &Planned<'_>,
        links: &HashMap<String, String>,
    ) -> Result<Stored, Error> {
        let mut splices = Splices::new();
        if !links.is_empty() {
            let rewrite = |link: &str| links.get(link).cloned();
            splice::add_rewrites(planned.resource.node(), rewrite, &mut splices);
        }
        if splices.is_empty() {
            return planned.stored(cx, planned.resource.node());
        }
        let text = splices.apply(planned.resource.node());
        let document = Document::parse(text.into_bytes(), &self.settings.json);
        let document = document.map_err(|error| {
            Error::new(Kind::Internal, "the server failed on a link").caused_by(error)
        })?;
        planned.stored(cx, document.root())
    }
}

impl Planned<'_> {
    fn stored(&self, cx: &Context, resource: Node<'_>) -> Result<Stored, Error> {
        let valid = validate::resource(resource)
            .map_err(|issues| Error::with_issues(Kind::Unprocessable, issues))?;
        Stored::of(cx, self.ty, &self.id, self.version, &valid)
    }
}

/// The conditional references of a resource that are not resolved yet.
pub(super) fn conditional_links(
    resource: Node<'_>,
    known: &HashMap<String, String>,
) -> Vec<String> {
    let mut found = Vec::new();
    // Many resources hold no question mark, nor one that JSON escapes, and a
    // search of the text is quick.
    if !resource.raw().contains(['?', '\\']) {
        return found;
    }
    let look = |link: &str| {
        if let Some((name, _)) = link.split_once('?')
            && !known.contains_key(link)
            && ResourceType::named(name).is_some()
        {
            found.push(link.to_owned());
        }
        None
    };
    splice::add_rewrites(resource, look, &mut Splices::new());
    found.sort_unstable();
    found.dedup();
    found
}
