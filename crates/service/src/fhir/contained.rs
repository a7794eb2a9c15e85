//! Contained resources as records beside their container, by which a search
//! finds them (<https://hl7.org/fhir/R4/search.html#contained>).
//!
//! A record of a kind of its own (`#Medication`) for each contained resource,
//! with the rows that the resource has by itself. Its id is made of the
//! container's version and the place in it, so each has one version, and a
//! deletion when the container gets another. Its body says where it is; what
//! it says itself is in the container only.

use bytes::Bytes;
use salus_fhir::json::{Document, Limits, Node};
use salus_fhir::search::Parameters;
use salus_store::{
    Content, Kind, Param, Precondition, Put, Reindexed, Row, SealKey, Snapshot, Value,
};

use super::rows::rows;
use super::types::ResourceType;
use crate::error::{self, Error};

/// Contained resources of a container that are searched; others are not found.
const CONTAINED_MAX: usize = 1_000;

/// The type under which contained resources of a type are kept: the same
/// parameters, another kind.
pub(crate) fn kept_as(ty: ResourceType) -> ResourceType {
    ResourceType {
        kind: Kind::named(&format!("#{}", ty.name)),
        ..ty
    }
}

/// Whether contained resources are kept under the type.
pub(crate) fn is_kept(ty: ResourceType) -> bool {
    ty.kind == kept_as(ty).kind
}

/// The parameter of the reference to the container.
pub(crate) fn container_param(ty: ResourceType) -> Param {
    Param::named(ty.name, "#container")
}

/// The parameter of the type of the container.
pub(crate) fn container_type_param(ty: ResourceType) -> Param {
    Param::named(ty.name, "#container-type")
}

/// The parameter of the id within the container.
pub(crate) fn id_param(ty: ResourceType) -> Param {
    Param::named(ty.name, "#id")
}

/// A resource that contains others.
pub(crate) struct Container<'c> {
    pub(crate) ty: ResourceType,
    pub(crate) id: &'c str,
    pub(crate) version: u64,
}

impl Container<'_> {
    /// The records for what it contains.
    pub(crate) fn puts<S: AsRef<str>>(
        &self,
        parameters: &Parameters,
        own_bases: &[S],
        node: Node<'_>,
        (main_date_ms, seal): (Option<i64>, &SealKey),
    ) -> Result<Vec<Put>, Error> {
        let mut puts = Vec::new();
        for (at, ty, inner) in contained(node) {
            let Some(extractor) = parameters.extractor(ty.name) else {
                continue;
            };
            let entries = extractor
                .extract(inner, own_bases)
                .map_err(|issue| Error::with_issues(error::Kind::Unprocessable, vec![issue]))?;
            let mut rows = rows(extractor, &entries, inner);
            rows.extend(self.own_rows(ty, inner));
            Row::sort(&mut rows);
            puts.push(Put {
                kind: kept_as(ty).kind,
                id: self.id_of(at),
                version: 1,
                content: Content::Body(self.place(at)),
                rows,
                main_date_ms,
                seal: seal.clone(),
            });
        }
        Ok(puts)
    }

    /// Deletes the records that there are for what it contained.
    pub(crate) async fn remove(
        &self,
        snapshot: &dyn Snapshot,
        body: &Bytes,
        (puts, preconditions): (&mut Vec<Put>, &mut Vec<Precondition>),
    ) -> Result<(), salus_store::Error> {
        if !may_contain(body) {
            return Ok(());
        }
        let Ok(document) = Document::parse(body.to_vec(), &Limits::default()) else {
            return Ok(());
        };
        let kinds: Vec<(usize, Kind)> = contained(document.root())
            .map(|(at, ty, _)| (at, kept_as(ty).kind))
            .collect();
        drop(document);
        for (at, kind) in kinds {
            let id = self.id_of(at);
            let Some(record) = snapshot.get(kind, &id).await? else {
                // A container from before they were kept has none, unless it
                // is indexed just now.
                let version = None;
                preconditions.push(Precondition::VersionIs { kind, id, version });
                continue;
            };
            if record.content != Content::Deleted {
                puts.push(Put {
                    kind,
                    id,
                    version: record.version + 1,
                    content: Content::Deleted,
                    rows: Vec::new(),
                    main_date_ms: None,
                    seal: record.seal,
                });
            }
        }
        Ok(())
    }

    fn own_rows(&self, ty: ResourceType, inner: Node<'_>) -> Vec<Row> {
        let token = |code: &str| Value::Token {
            system: "".into(),
            code: code.into(),
        };
        let container = Value::Reference {
            kind: self.ty.kind,
            id: self.id.into(),
        };
        let mut rows = vec![
            Row {
                param: container_param(ty),
                value: container,
            },
            Row {
                param: container_type_param(ty),
                value: token(self.ty.name),
            },
        ];
        let id = inner.get("id").and_then(Node::str);
        rows.extend(id.map(|id| Row {
            param: id_param(ty),
            value: token(&id),
        }));
        rows
    }

    fn id_of(&self, at: usize) -> Box<str> {
        let text = format!("{}/{}/{}#{at}", self.ty.name, self.id, self.version);
        let hash = salus_crypto::sha256(text.as_bytes());
        salus_crypto::hex(&hash).into()
    }

    /// What [`Place::read`] reads.
    fn place(&self, at: usize) -> Bytes {
        format!("{}/{}/{at}", self.ty.name, self.id).into()
    }
}

/// Of the records of contained resources those that there are none of, and
/// new rows for the others.
pub(crate) async fn missing(
    snapshot: &dyn Snapshot,
    puts: Vec<Put>,
) -> Result<(Vec<Put>, Vec<Reindexed>), salus_store::Error> {
    let (mut missing, mut known) = (Vec::new(), Vec::new());
    for put in puts {
        match snapshot.get(put.kind, &put.id).await? {
            None => missing.push(put),
            Some(record) => known.push(Reindexed {
                kind: put.kind,
                id: put.id,
                version: record.version,
                rows: put.rows,
                main_date_ms: put.main_date_ms,
            }),
        }
    }
    Ok((missing, known))
}

/// Where a contained resource is.
pub(crate) struct Place {
    pub(crate) container: ResourceType,
    pub(crate) id: Box<str>,
    pub(crate) at: usize,
}

impl Place {
    /// Reads the body of a record.
    pub(crate) fn read(content: &Content) -> Option<Self> {
        let Content::Body(body) = content else {
            return None;
        };
        let mut parts = str::from_utf8(body).ok()?.split('/');
        let (ty, id, at) = (parts.next()?, parts.next()?, parts.next()?);
        Some(Self {
            container: ResourceType::named(ty)?,
            id: id.into(),
            at: at.parse().ok()?,
        })
    }

    /// The id within the container, and the text of the resource.
    pub(crate) fn resource(&self, container: &Bytes) -> Option<(String, Bytes)> {
        let document = Document::parse(container.to_vec(), &Limits::default()).ok()?;
        let (_, _, inner) = contained(document.root()).find(|(at, ..)| *at == self.at)?;
        let id = inner.get("id").and_then(Node::str)?;
        Some((id.into_owned(), inner.raw().to_owned().into()))
    }
}

/// Contained resources of known types, with their places.
fn contained(node: Node<'_>) -> impl Iterator<Item = (usize, ResourceType, Node<'_>)> {
    let all = node.get("contained").into_iter().flat_map(Node::children);
    let all = all.enumerate().take(CONTAINED_MAX);
    all.filter_map(|(at, inner)| {
        let name = inner.get("resourceType").and_then(Node::str)?;
        Some((at, ResourceType::named(&name)?, inner))
    })
}

/// A quick look: names of members may be written with escapes.
fn may_contain(body: &[u8]) -> bool {
    str::from_utf8(body).is_ok_and(|text| text.contains("contained") || text.contains("\\u00"))
}
