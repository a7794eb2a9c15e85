//! The security context of a Binary: whom it lets see it, and whose key seals it
//! (<https://hl7.org/fhir/R4/binary-definitions.html#Binary.securityContext>).

use salus_auth::policy::{BINARY, CONTEXT, CONTEXT_KIND, Deed, context_code, visible};
use salus_auth::{Action, Target, authorize};
use salus_fhir::json::Node;
use salus_fhir::reference::Reference;
use salus_store::{Filter, Kind as RecordKind, Row, SealKey, Snapshot, Value};

use super::is_binary;
use crate::Service;
use crate::context::Context;
use crate::error::{Error, Kind};
use crate::fhir::read::absent;
use crate::fhir::types::ResourceType;

/// What a Binary belongs to.
pub(super) enum Belongs<'a> {
    /// Nothing: it is a resource like any other.
    Alone,
    /// A record of this server.
    To(ResourceType, &'a str),
    /// Something that cannot be looked up.
    Elsewhere,
}

impl<'a> Belongs<'a> {
    /// What the text of a reference says.
    pub(super) fn of<S: AsRef<str>>(text: &'a str, own_bases: &[S]) -> Self {
        let local = Reference::parse(text, own_bases).and_then(Reference::local);
        let of_type = local.and_then(|local| Some((ResourceType::named(local.ty)?, local.id)));
        of_type.map_or(Self::Elsewhere, |(ty, id)| Self::To(ty, id))
    }
}

/// The reference in a Binary: no text if it refers in another way.
pub(super) fn reference(binary: Node<'_>) -> Option<String> {
    let context = binary.get("securityContext")?;
    let text = context.get("reference").and_then(Node::str);
    Some(text.unwrap_or_default().into_owned())
}

/// Adds the rows by which policy finds it, if the resource is a Binary with a context.
pub(crate) fn add_rows<S: AsRef<str>>(
    kind: RecordKind,
    node: Node<'_>,
    own_bases: &[S],
    rows: &mut Vec<Row>,
) {
    if !is_binary(kind) {
        return;
    }
    let Some(text) = reference(node) else {
        return;
    };
    let code = match Belongs::of(&text, own_bases) {
        Belongs::To(ty, id) => {
            let value = Value::Reference {
                kind: ty.kind,
                id: id.into(),
            };
            rows.push(Row {
                param: CONTEXT,
                value,
            });
            context_code(ty.kind)
        }
        // Not an empty one, which would be no value to some tests.
        Belongs::Alone | Belongs::Elsewhere => "elsewhere".into(),
    };
    let value = Value::Token {
        system: "".into(),
        code: code.into(),
    };
    rows.push(Row {
        param: CONTEXT_KIND,
        value,
    });
    Row::sort(rows);
}

impl Service {
    /// Refuses to put a Binary where the one asking may not see it, and tells
    /// whose key seals it.
    pub(super) async fn belongs(
        &self,
        cx: &Context,
        snapshot: &dyn Snapshot,
        to: Belongs<'_>,
    ) -> Result<SealKey, Error> {
        let (ty, id) = match to {
            Belongs::Alone => return Ok(SealKey::Scope),
            Belongs::To(ty, id) => (ty, id),
            Belongs::Elsewhere => {
                let narrowed = visible(&cx.subject, Deed::Read, BINARY);
                return match narrowed {
                    Some(_) => Err(forbidden()),
                    None => Ok(SealKey::Scope),
                };
            }
        };
        let target = Target::Type(ty.name);
        let allowed = authorize(&cx.subject, cx.scope, Action::Read, target);
        let grant = allowed.map_err(|_| forbidden())?;
        let seen = self.check_visible(snapshot, &grant, ty, id).await;
        seen.map_err(|error| match error.kind() == Kind::NotFound {
            true => forbidden(),
            false => error,
        })?;
        if ty.name == "Patient" {
            return Ok(SealKey::Patient(id.into()));
        }
        let context = snapshot.head(ty.kind, id).await?;
        Ok(context.map_or(SealKey::Scope, |record| record.seal))
    }

    /// Refuses to change a Binary that is not there for the one asking.
    pub(super) async fn check_changeable(
        &self,
        cx: &Context,
        snapshot: &dyn Snapshot,
        id: &str,
    ) -> Result<(), Error> {
        let ty = super::ty()?;
        let Some(filter) = visible(&cx.subject, Deed::Read, ty.kind) else {
            return Ok(());
        };
        let head = snapshot.head(ty.kind, id).await?;
        if head.is_none_or(|record| record.content == salus_store::Content::Deleted) {
            return Ok(());
        }
        match self.is_visible(snapshot, &filter, ty, id).await? {
            true => Ok(()),
            false => Err(absent()),
        }
    }
}

fn forbidden() -> Error {
    let message =
        "you may not give a Binary this securityContext: you may not read what it refers to";
    Error::new(Kind::Forbidden, message)
}

/// Whether some Binaries may not be there for the one asking.
pub(crate) fn narrows(cx: &Context) -> bool {
    visible(&cx.subject, Deed::Read, BINARY).is_some_and(|filter| *filter != Filter::Everything)
}
