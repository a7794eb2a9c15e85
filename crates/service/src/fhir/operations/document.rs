//! `Composition/$document`: a document of a composition and what it
//! refers to (<https://hl7.org/fhir/R4/composition-operation-document.html>).
//!
//! What the composition refers to at any place is in the document, if the
//! caller may find it, and with a persistent document kept as a Bundle.

use std::borrow::Cow;
use std::collections::BTreeMap;

use salus_auth::{Action, Target};
use salus_fhir::json::write;
use salus_fhir::reference::is_id;
use salus_store::{Content, Filter, Query, Record};

use super::everything::each_local;
use super::parameters::invalid;
use super::{Asked, Code, Level, Operation, Parameter, reply};
use crate::Service;
use crate::context::Context;
use crate::error::Error;
use crate::fhir::CreateOptions;
use crate::fhir::reply::Reply;
use crate::fhir::types::ResourceType;

pub(super) static DOCUMENT: Operation = Operation {
    name: "document",
    definition: "http://hl7.org/fhir/OperationDefinition/Composition-document",
    types: &["Composition"],
    level: &[Level::Type, Level::Instance],
    affects_state: true,
    parameters: &[
        Parameter::given(
            "id",
            "uri",
            "Which composition, by its id or its URL here, where the URL names none",
        ),
        Parameter::given(
            "persist",
            "boolean",
            "Whether to keep the document; by POST only",
        ),
        Parameter::given(
            "graph",
            "uri",
            "Not served: everything that it refers to is in the document",
        ),
        Parameter::returned("Bundle", "The document"),
    ],
    searches: false,
    action: Action::Read,
    code: Code::Document,
};

/// Most resources that a composition refers to.
const REFERRED_MAX: usize = 5000;

impl Service {
    pub(super) async fn document(&self, cx: &Context, asked: &Asked<'_>) -> Result<Reply, Error> {
        let persist = match asked.arguments.text("persist")?.as_deref() {
            None | Some("false") => false,
            Some("true") if asked.posted => true,
            Some("true") => return Err(invalid("persist", "send it by POST")),
            Some(_) => return Err(invalid("persist", "it must be true or false")),
        };
        if asked.arguments.text("graph")?.is_some() {
            return Err(invalid(
                "graph",
                "documents by a GraphDefinition are not served; leave it out",
            ));
        }
        let id = composition(cx, asked)?;
        let ty = asked.ty()?;
        let composition = self.current_of(cx, &asked.grant, ty, &id).await?;
        let mut records = self.referred_to(cx, &composition).await?;
        records.insert(0, composition);
        let mut entry = asked.entry(cx, if persist { "persist=true" } else { "" });
        entry.shows(&records);
        self.record(cx, entry).await?;
        let text = document(cx, &self.new_id(cx), &records);
        if persist {
            let options = CreateOptions::default();
            return self.create(cx, "Bundle", text.into(), &options).await;
        }
        Ok(reply(text))
    }

    /// What a resource refers to, as far as the caller may find it.
    async fn referred_to(&self, cx: &Context, source: &Record) -> Result<Vec<Record>, Error> {
        let Content::Body(body) = &source.content else {
            return Ok(Vec::new());
        };
        let mut wanted: BTreeMap<&'static str, Vec<Box<str>>> = BTreeMap::new();
        each_local(body, &cx.base, |ty, id| {
            let ids = wanted.entry(ty.name).or_default();
            let is_source = ty.kind == source.kind && *id == *source.id;
            if !is_source && !ids.iter().any(|known| **known == *id) {
                ids.push(id.into());
            }
        });
        if wanted.values().map(Vec::len).sum::<usize>() > REFERRED_MAX {
            return Err(Error::new(
                crate::error::Kind::Unprocessable,
                format!("the composition refers to more than {REFERRED_MAX} resources"),
            ));
        }
        let snapshot = self.snapshot(cx).await?;
        let mut records = Vec::new();
        for (name, ids) in wanted {
            let Some(ty) = ResourceType::named(name) else {
                continue;
            };
            let target = Target::Type(ty.name);
            let grant = salus_auth::authorize(&cx.subject, cx.scope, Action::Read, target);
            let Ok(grant) = grant else { continue };
            let query = Query {
                kind: ty.kind,
                limit: ids.len(),
                filter: Filter::All(vec![Filter::Ids(ids), grant.filter().clone()]),
                sort: Vec::new(),
                after: None,
                rows: Vec::new(),
            };
            let found = snapshot.find(&query).await?;
            records.extend(found.hits.into_iter().map(|hit| hit.record));
        }
        Ok(records)
    }
}

/// The id of the composition, from the URL or else from the parameter.
fn composition<'a>(cx: &Context, asked: &Asked<'a>) -> Result<Cow<'a, str>, Error> {
    let given = asked.arguments.text("id")?;
    let id = match given {
        None if asked.id.is_empty() => {
            return Err(invalid("id", "it is required where the URL has no id"));
        }
        None => return Ok(asked.id.into()),
        Some(given) => given,
    };
    let local = id
        .strip_prefix(&*cx.base)
        .map_or(&*id, |rest| rest.trim_start_matches('/'));
    let local = local.strip_prefix("Composition/").unwrap_or(local);
    if !is_id(local) || !(asked.id.is_empty() || asked.id == local) {
        let details = "it must be the id of a composition on this server, and that of the URL if there is one";
        return Err(invalid("id", details));
    }
    Ok(local.to_owned().into())
}

/// The document of a composition, which is the first, and of what it refers to.
fn document(cx: &Context, uuid: &str, records: &[Record]) -> String {
    let mut out = String::from(
        r#"{"resourceType":"Bundle","identifier":{"system":"urn:ietf:rfc:3986","value":"urn:uuid:"#,
    );
    out.push_str(uuid);
    out.push_str(r#""},"type":"document","timestamp":""#);
    out.push_str(&crate::time::instant(cx.now_ms));
    out.push_str(r#"","entry":["#);
    let mut is_first = true;
    for record in records {
        let (Some(ty), Content::Body(body)) = (ResourceType::of(record.kind), &record.content)
        else {
            continue;
        };
        out.push_str(if is_first {
            r#"{"fullUrl":"#
        } else {
            r#",{"fullUrl":"#
        });
        is_first = false;
        write::string(&mut out, &format!("{}/{}/{}", cx.base, ty.name, record.id));
        out.push_str(r#","resource":"#);
        out.push_str(&String::from_utf8_lossy(body));
        out.push('}');
    }
    out.push_str("]}");
    out
}
