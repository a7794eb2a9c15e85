//! FHIR batch and transaction: <https://hl7.org/fhir/R4/http.html#transaction>.
//!
//! This file takes a bundle apart; [`super::batch`] answers each entry by
//! itself, [`super::transaction`] all of them or none.

use std::borrow::Cow;

use base64ct::{Base64, Encoding};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use salus_auth::{Action, Grant, Target};
use salus_fhir::json::Node;

use super::patch::PatchFormat;
use super::read::{ReadConditions, Versions};
use super::receipt::Named;
use super::reply::Reply;
use super::search::instant_ms;
use super::types::ResourceType;
use super::which::Which;
use super::{Handling, WriteCondition, check_id, incoming};
use crate::Service;
use crate::audit::entry::What;
use crate::context::Context;
use crate::error::Error;

/// What is answered to a write among the entries (`Prefer: return`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Returns {
    /// How it went, and where it is.
    Minimal,
    /// The resource too.
    Representation,
    /// An OperationOutcome too.
    OperationOutcome,
}

/// What a client may ask of a bundle.
#[derive(Clone)]
pub struct BundleOptions {
    /// What the entries of the answer hold of what was written.
    pub returns: Returns,
    /// How searches among the entries treat what they do not understand.
    pub handling: Handling,
    /// Names this request, so that sending it again does nothing again
    /// (`Idempotency-Key`): a transaction as a whole, a batch entry by entry.
    pub idempotency_key: Option<String>,
}
salus_phi::guard!(BundleOptions);

/// One entry of a bundle, as a request.
pub(super) struct Request<'a> {
    /// Its place in the bundle.
    pub(super) index: usize,
    pub(super) full_url: Option<&'a str>,
    pub(super) url: &'a str,
    pub(super) asks: Asks<'a>,
}

/// What an entry asks for.
#[derive(Clone)]
pub(super) enum Asks<'a> {
    /// `GET` or `HEAD` of anything.
    Get {
        /// Without what would be shown.
        head: bool,
        /// What the client has of a resource already.
        known: Known<'a>,
    },
    /// `POST …/$name`
    Operate {
        /// Its Parameters, or the one resource that it takes.
        resource: Option<Node<'a>>,
    },
    /// `POST [type]`
    Create {
        ty: ResourceType,
        resource: Node<'a>,
        if_none_exist: Option<Cow<'a, str>>,
    },
    /// `PUT [type]/[id]` or `PUT [type]?[search]`
    Update {
        ty: ResourceType,
        which: Which<'a>,
        resource: Node<'a>,
        condition: WriteCondition,
    },
    /// `PATCH [type]/[id]` or `PATCH [type]?[search]`
    Patch {
        ty: ResourceType,
        which: Which<'a>,
        patch: (PatchFormat, Bytes),
        condition: WriteCondition,
    },
    /// `DELETE [type]/[id]` or `DELETE [type]?[search]`
    Delete {
        ty: ResourceType,
        which: Which<'a>,
        condition: WriteCondition,
    },
}

/// The conditions of a read (<https://hl7.org/fhir/R4/http.html#cread>).
#[derive(Clone)]
pub(super) struct Known<'a> {
    if_none_match: Option<Cow<'a, str>>,
    if_modified_since_ms: Option<i64>,
}

impl Known<'_> {
    /// The same, with the rest of what a read is given.
    pub(super) fn with(&self, parameters: Vec<(String, String)>) -> ReadConditions {
        ReadConditions {
            if_none_match: self.if_none_match.as_deref().map(Versions::parse),
            if_modified_since_ms: self.if_modified_since_ms,
            parameters,
        }
    }
}

impl Service {
    /// Carries out a batch or a transaction.
    pub fn bundle<'a>(
        &'a self,
        cx: &'a Context,
        body: Bytes,
        options: BundleOptions,
    ) -> BoxFuture<'a, Result<Reply, Error>> {
        Box::pin(async move {
            let grant = self
                .authorize(cx, What::Batch, Action::Batch, Target::System)
                .await?;
            let _room = self.bundles.enter(body.len()).await;
            let key = options.idempotency_key.as_deref();
            let named = Named::of(cx, key, &[b"bundle", &body]);
            let opened = async { incoming::parse(body, &self.settings.json) };
            let document = self
                .attempt(cx, &grant, What::Batch, "Bundle", opened)
                .await?;
            let what = match kind(document.root()) {
                Some("transaction") => What::Transaction,
                _ => What::Batch,
            };
            let work = self.bundle_granted(cx, &grant, document.root(), named.as_ref(), &options);
            self.attempt(cx, &grant, what, "Bundle", work).await
        })
    }

    async fn bundle_granted(
        &self,
        cx: &Context,
        grant: &Grant,
        root: Node<'_>,
        named: Option<&Named>,
        options: &BundleOptions,
    ) -> Result<Reply, Error> {
        let ty = ResourceType::named("Bundle")
            .ok_or_else(|| Error::not_found("there are no bundles"))?;
        let entries = root.get("entry").map(Node::children).into_iter().flatten();
        let requests = entries
            .enumerate()
            .map(|(index, entry)| request(index, entry, &cx.base));
        match kind(root) {
            Some("batch") if incoming::is(root, ty) => {
                incoming::check_around_entries(root)?;
                self.batch(cx, grant, requests.collect(), options).await
            }
            Some("transaction") if incoming::is(root, ty) => {
                incoming::check_around_entries(root)?;
                let requests = requests.collect::<Result<Vec<_>, _>>()?;
                self.transaction(cx, grant, &requests, named, options).await
            }
            _ => {
                incoming::check(root, ty)?;
                Err(Error::invalid(
                    "a bundle sent here must be a batch or a transaction",
                ))
            }
        }
    }
}

fn kind(bundle: Node<'_>) -> Option<&str> {
    bundle.get("type").and_then(Node::plain_str)
}

/// Reads an entry's request.
fn request<'a>(index: usize, entry: Node<'a>, base: &str) -> Result<Request<'a>, Error> {
    let fault = |message: &str| Error::invalid(format!("Bundle.entry[{index}]: {message}"));
    let request = entry
        .get("request")
        .ok_or_else(|| fault("has no request"))?;
    let text = |name| request.get(name).and_then(Node::plain_str);
    // ETags have quotation marks, which JSON escapes.
    let escaped = |name| request.get(name).and_then(Node::str);
    let method = text("method").ok_or_else(|| fault("its request has no method"))?;
    let url = text("url").ok_or_else(|| fault("its request has no plain url"))?;
    let url = url
        .strip_prefix(base)
        .map_or(url, |rest| rest.trim_start_matches('/'));
    let resource = || {
        entry
            .get("resource")
            .ok_or_else(|| fault("has no resource"))
    };
    let asks = match method {
        "GET" | "HEAD" => Asks::Get {
            head: method == "HEAD",
            known: Known {
                if_none_match: escaped("ifNoneMatch"),
                if_modified_since_ms: match text("ifModifiedSince") {
                    None => None,
                    Some(text) => Some(
                        instant_ms(text)
                            .ok_or_else(|| fault("its ifModifiedSince is no instant"))?,
                    ),
                },
            },
        },
        "POST" if operation(url).is_some() => Asks::Operate {
            resource: entry.get("resource"),
        },
        "POST" => Asks::Create {
            ty: ty(url).ok_or_else(|| fault("its url is not a resource type"))?,
            resource: resource()?,
            if_none_exist: escaped("ifNoneExist"),
        },
        "PUT" => {
            let (ty, which) = which(url).ok_or_else(|| fault(NEITHER))?;
            let resource = resource()?;
            if let Which::Id(id) = which {
                incoming::check_same_id(resource, id)
                    .map_err(|_| fault("its resource's id is not the one in its url"))?;
            }
            Asks::Update {
                ty,
                which,
                resource,
                condition: condition(escaped("ifMatch"), escaped("ifNoneMatch"))
                    .ok_or_else(|| fault("its ifMatch or ifNoneMatch is not an ETag"))?,
            }
        }
        "PATCH" => {
            let (ty, which) = which(url).ok_or_else(|| fault(NEITHER))?;
            Asks::Patch {
                ty,
                which,
                patch: patch(resource()?).ok_or_else(|| fault(NO_PATCH))?,
                condition: condition(escaped("ifMatch"), None)
                    .ok_or_else(|| fault("its ifMatch is not an ETag"))?,
            }
        }
        "DELETE" => {
            let (ty, which) = which(url).ok_or_else(|| fault(NEITHER))?;
            Asks::Delete {
                ty,
                which,
                condition: condition(escaped("ifMatch"), None)
                    .ok_or_else(|| fault("its ifMatch is not an ETag"))?,
            }
        }
        _ => return Err(fault("its method is not served in bundles")),
    };
    check_resource_type(&asks).map_err(fault)?;
    Ok(Request {
        index,
        full_url: entry.get("fullUrl").and_then(Node::plain_str),
        url,
        asks,
    })
}

fn check_resource_type(asks: &Asks<'_>) -> Result<(), &'static str> {
    let (ty, resource) = match asks {
        Asks::Create { ty, resource, .. } | Asks::Update { ty, resource, .. } => (ty, resource),
        Asks::Get { .. } | Asks::Operate { .. } | Asks::Patch { .. } | Asks::Delete { .. } => {
            return Ok(());
        }
    };
    let named = resource.get("resourceType").and_then(Node::plain_str);
    if named == Some(ty.name) {
        Ok(())
    } else {
        Err("its resource is not of the type in its url")
    }
}

/// The name of the operation that a url calls, without the `$`.
pub(super) fn operation(url: &str) -> Option<&str> {
    let path = url.split('?').next().unwrap_or_default();
    path.rsplit('/').next()?.strip_prefix('$')
}

fn ty(url: &str) -> Option<ResourceType> {
    ResourceType::named(url.trim_end_matches('/'))
}

/// The resource that a url names, by its id or by a search.
fn which(url: &str) -> Option<(ResourceType, Which<'_>)> {
    if let Some((name, search)) = url.split_once('?') {
        return Some((ty(name)?, Which::Matching(search)));
    }
    let (name, id) = url.split_once('/')?;
    check_id(id).ok()?;
    Some((ResourceType::named(name)?, Which::Id(id)))
}

/// The patch of an entry: a Parameters resource, or a Binary that holds another
/// kind (<https://hl7.org/fhir/R5/http.html#patch>).
fn patch(resource: Node<'_>) -> Option<(PatchFormat, Bytes)> {
    let text = |name| resource.get(name).and_then(Node::str);
    match &*text("resourceType")? {
        "Parameters" => {
            let body = Bytes::copy_from_slice(resource.raw().as_bytes());
            Some((PatchFormat::FhirPath, body))
        }
        "Binary" => {
            let ty = text("contentType")?;
            let ty = ty.split(';').next().unwrap_or_default().trim();
            let data = Base64::decode_vec(&text("data")?).ok()?;
            Some((PatchFormat::of_media_type(ty)?, data.into()))
        }
        _ => None,
    }
}

const NO_PATCH: &str = "its resource is no patch: neither Parameters nor a Binary whose \
     contentType is a patch's and whose data is base64";
const NEITHER: &str = "its url is neither [type]/[id] nor [type]?[search]";

fn condition(
    if_match: Option<Cow<'_, str>>,
    if_none_match: Option<Cow<'_, str>>,
) -> Option<WriteCondition> {
    match (if_match.as_deref(), if_none_match.as_deref()) {
        (None, None) => Some(WriteCondition::None),
        (Some(tag), _) => super::etag_version(tag).map(WriteCondition::VersionIs),
        (None, Some("*")) => Some(WriteCondition::Absent),
        (None, Some(_)) => None,
    }
}
