//! FHIR batch: each entry by itself, several at a time, answered in order.
//! <https://hl7.org/fhir/R4/http.html#brules>

use std::borrow::Cow;

use bytes::Bytes;
use futures_util::future::{BoxFuture, FutureExt};
use futures_util::stream::{FuturesOrdered, StreamExt};
use salus_auth::Grant;
use salus_fhir::issue::operation_outcome;
use salus_fhir::json::Node;

use super::WriteOptions;
use super::binary::marked;
use super::bundle::{self, Asks, BundleOptions, Known, Request, Returns};
use super::create::CreateOptions;
use super::operations::Invocation;
use super::reply::{Reply, Status, done};
use super::search;
use super::writer::BundleWriter;
use crate::Service;
use crate::audit::entry::What;
use crate::context::Context;
use crate::error::Error;

/// How many entries are under way at once; they share group commits.
const ENTRIES_AT_ONCE: usize = 16;
/// About how long an entry of an answer is that shows no resource.
pub(super) const ANSWER_BYTES: usize = 256;

impl Service {
    /// Answers every entry of a batch. Only those under way are held beside the text of the answer.
    pub(super) async fn batch(
        &self,
        cx: &Context,
        grant: &Grant,
        requests: Vec<Result<Request<'_>, Error>>,
        options: &BundleOptions,
    ) -> Result<Reply, Error> {
        let mut bundle = BundleWriter::new("batch-response", requests.len() * ANSWER_BYTES);
        let mut under_way = FuturesOrdered::new();
        for (index, request) in requests.into_iter().enumerate() {
            if under_way.len() == ENTRIES_AT_ONCE
                && let Some((shown, reply)) = under_way.next().await
            {
                write_answer(&mut bundle, reply, shown);
            }
            // No client can send such a key: a header has no zero byte.
            let key = options.idempotency_key.as_ref();
            let key = key.map(|key| format!("{key}\0{index}"));
            let shown = match &request {
                Ok(request) => request.shown(options.returns),
                Err(_) => options.returns,
            };
            let reply = match request {
                Ok(request) => self.batch_entry(cx, request, options, key),
                Err(fault) => {
                    let fault = async { Err(fault) };
                    Box::pin(self.attempt(cx, grant, What::Batch, "Bundle", fault))
                }
            };
            under_way.push_back(reply.map(move |reply| (shown, reply)));
        }
        while let Some((shown, reply)) = under_way.next().await {
            write_answer(&mut bundle, reply, shown);
        }
        Ok(Reply {
            body: Some(bundle.finish()),
            ..Reply::with(Status::Ok)
        })
    }

    /// One entry; boxed, because a bundle's future would hold many large ones.
    fn batch_entry<'a>(
        &'a self,
        cx: &'a Context,
        request: Request<'a>,
        options: &'a BundleOptions,
        idempotency_key: Option<String>,
    ) -> BoxFuture<'a, Result<Reply, Error>> {
        match request.asks {
            Asks::Get { known, .. } => {
                Box::pin(async move { self.entry_get(cx, request.url, &known, options).await })
            }
            Asks::Operate { resource } => {
                Box::pin(self.entry_operate(cx, request.url, (true, resource)))
            }
            Asks::Create {
                ty,
                resource,
                if_none_exist,
            } => {
                let create = CreateOptions {
                    if_none_exist: if_none_exist.map(Cow::into_owned),
                    idempotency_key,
                };
                let body = Bytes::copy_from_slice(resource.raw().as_bytes());
                Box::pin(async move { self.create(cx, ty.name, body, &create).await })
            }
            Asks::Update {
                ty,
                which,
                resource,
                condition,
            } => {
                let body = Bytes::copy_from_slice(resource.raw().as_bytes());
                let update = WriteOptions {
                    condition,
                    idempotency_key,
                };
                Box::pin(async move { self.update(cx, ty.name, which, body, &update).await })
            }
            Asks::Patch {
                ty,
                which,
                patch,
                condition,
            } => {
                let options = WriteOptions {
                    condition,
                    idempotency_key,
                };
                Box::pin(async move { self.patch(cx, ty.name, which, patch, &options).await })
            }
            Asks::Delete {
                ty,
                which,
                condition,
            } => {
                let delete = WriteOptions {
                    condition,
                    idempotency_key,
                };
                Box::pin(async move { self.delete(cx, ty.name, which, &delete).await })
            }
        }
    }

    /// A `GET` among the entries: a read, a vread, a history, a search
    /// or an operation that changes nothing.
    pub(super) fn entry_get<'a>(
        &'a self,
        cx: &'a Context,
        url: &'a str,
        known: &'a Known<'a>,
        options: &'a BundleOptions,
    ) -> BoxFuture<'a, Result<Reply, Error>> {
        Box::pin(async move {
            let (path, query) = url.split_once('?').unwrap_or((url, ""));
            let parameters = search::pairs(query);
            if bundle::operation(url).is_some() {
                return self.entry_operate(cx, url, (false, None)).await;
            }
            let segments: Vec<&str> = path.trim_matches('/').split('/').collect();
            match segments.as_slice() {
                ["_history"] => self.history_system(cx, parameters).await,
                [ty] if !ty.is_empty() => self.search(cx, ty, parameters, options.handling).await,
                [ty, "_history"] => self.history_type(cx, ty, parameters).await,
                [""] => self.search_system(cx, parameters, options.handling).await,
                [ty, id] => self.read(cx, ty, id, &known.with(parameters)).await,
                [ty, id, "_history"] => self.history_instance(cx, ty, id, parameters).await,
                [ty, id, "_history", version] => {
                    self.vread(cx, (ty, id, version), &parameters).await
                }
                [name, id, member] => {
                    let of = (*name, *id);
                    self.search_compartment(cx, of, member, parameters, options.handling)
                        .await
                }
                _ => Err(Error::invalid(NOT_SERVED)),
            }
        })
    }

    /// An operation among the entries, with what it is given; `posted` if it
    /// may change something.
    pub(super) async fn entry_operate(
        &self,
        cx: &Context,
        url: &str,
        (posted, resource): (bool, Option<Node<'_>>),
    ) -> Result<Reply, Error> {
        let (path, query) = url.split_once('?').unwrap_or((url, ""));
        let path = path.trim_start_matches('/');
        let (on, name) = path.rsplit_once('/').unwrap_or(("", path));
        let (ty, id) = on.split_once('/').unwrap_or((on, ""));
        let name = name.strip_prefix('$').filter(|_| !id.contains('/'));
        let body = resource.map(|resource| Bytes::copy_from_slice(resource.raw().as_bytes()));
        let call = Invocation {
            name: name.ok_or_else(|| Error::invalid(NOT_SERVED))?,
            ty,
            id,
            posted,
            query: search::pairs(query),
            body: body.unwrap_or_default(),
        };
        self.operate(cx, call).await
    }
}

const NOT_SERVED: &str = "the url of the entry is not one served here";

impl Request<'_> {
    /// What is shown of its answer: all that it asked for, or of a write what
    /// the client wants.
    pub(super) fn shown(&self, of_writes: Returns) -> Returns {
        match self.asks {
            Asks::Get { head: true, .. } => Returns::Minimal,
            Asks::Get { .. } | Asks::Operate { .. } => Returns::Representation,
            Asks::Create { .. }
            | Asks::Update { .. }
            | Asks::Patch { .. }
            | Asks::Delete { .. } => of_writes,
        }
    }
}

/// Writes one entry of the answer.
pub(super) fn write_answer(
    bundle: &mut BundleWriter,
    reply: Result<Reply, Error>,
    returns: Returns,
) {
    let mut entry = bundle.begin_entry();
    match reply {
        Ok(reply) => {
            if let (Returns::Representation, Some(body)) = (returns, &reply.body) {
                match reply.content {
                    // It is not read into a bundle.
                    Some(_) => entry.json("resource", &marked(body.clone())),
                    None => entry.json("resource", body),
                };
            }
            let status = match reply.status {
                Status::Ok => "200 OK",
                Status::Created => "201 Created",
                Status::NoContent => "204 No Content",
                Status::NotModified => "304 Not Modified",
            };
            let etag = reply.version.map(|version| format!("W/\"{version}\""));
            let modified = reply.updated_ms.map(crate::time::instant);
            let location = reply.location();
            let mut members = vec![("status", status)];
            members.extend(location.as_deref().map(|text| ("location", text)));
            members.extend(etag.as_deref().map(|text| ("etag", text)));
            members.extend(modified.as_deref().map(|text| ("lastModified", text)));
            let outcome = (returns == Returns::OperationOutcome).then(done);
            entry.response(&members, outcome.as_deref());
        }
        Err(error) => {
            let (code, reason) = error.kind().status();
            let outcome = operation_outcome(error.issues());
            let response = format!("{{\"status\":\"{code} {reason}\",\"outcome\":{outcome}}}");
            entry.json("response", response.as_bytes());
        }
    }
    entry.end();
}
