//! `$meta` of a type or of all: the profiles, security labels and tags that are
//! in use, each once (<https://hl7.org/fhir/R4/resource-operation-meta.html>).
//!
//! They are taken from the index rows of what the caller may find, so displays
//! and versions of codings are left out.

use std::collections::BTreeSet;

use salus_auth::{Action, Grant, Target};
use salus_fhir::definitions;
use salus_fhir::issue::{Issue, IssueType};
use salus_fhir::json::write;
use salus_store::{Filter, Param, Query, Row, Snapshot, Test, Value};

use super::parameters::Writer;
use super::{Asked, reply};
use crate::Service;
use crate::context::Context;
use crate::error::{Error, Kind};
use crate::fhir::reply::Reply;
use crate::fhir::rows;
use crate::fhir::types::ResourceType;

/// Resources looked at; more are refused.
const RESOURCES_MAX: usize = 50_000;
const PAGE: usize = 500;

/// A coding: its system and its code.
type Coding = (Box<str>, Box<str>);

/// What is in use.
#[derive(Default)]
struct Union {
    profiles: BTreeSet<Box<str>>,
    security: BTreeSet<Coding>,
    tags: BTreeSet<Coding>,
    looked: usize,
}

impl Service {
    /// Of the type asked for, or of every type that the caller may search.
    pub(super) async fn metas(&self, cx: &Context, asked: &Asked<'_>) -> Result<Reply, Error> {
        let snapshot = self.snapshot(cx).await?;
        let mut union = Union::default();
        match asked.ty {
            Some(ty) => union.add(&*snapshot, ty, &asked.grant).await?,
            None => {
                for ty in ResourceType::all() {
                    let (action, target) = (Action::Search, Target::Type(ty.name));
                    let grant = salus_auth::authorize(&cx.subject, cx.scope, action, target);
                    if let Ok(grant) = grant {
                        union.add(&*snapshot, ty, &grant).await?;
                    }
                }
            }
        }
        self.record(cx, asked.entry(cx, "")).await?;
        let mut answer = Writer::new();
        answer.value("return", "Meta", &union.json());
        Ok(reply(answer.finish()))
    }
}

impl Union {
    async fn add(
        &mut self,
        snapshot: &dyn Snapshot,
        ty: ResourceType,
        grant: &Grant,
    ) -> Result<(), Error> {
        let Some([profile, security, tag]) = params(ty) else {
            return Ok(());
        };
        let present = |param| Filter::Value(param, Test::Present);
        let any = Filter::Any([profile, security, tag].map(present).into());
        let mut query = Query {
            kind: ty.kind,
            filter: Filter::All(vec![any, grant.filter().clone()]),
            sort: Vec::new(),
            limit: PAGE,
            after: None,
            rows: vec![profile, security, tag],
        };
        loop {
            let found = snapshot.find(&query).await?;
            self.looked += found.hits.len();
            if self.looked > RESOURCES_MAX {
                return Err(too_many());
            }
            for Row { param, value } in found.hits.into_iter().flat_map(|hit| hit.rows) {
                if let Value::Uri(profile) = value {
                    self.profiles.insert(profile);
                } else if let Value::Token { system, code } = value {
                    let set = match param == security {
                        true => &mut self.security,
                        false => &mut self.tags,
                    };
                    set.insert((system, code));
                }
            }
            if found.next.is_none() {
                return Ok(());
            }
            query.after = found.next;
            tokio::task::yield_now().await;
        }
    }

    /// As a Meta.
    fn json(&self) -> String {
        let profiles = self.profiles.iter().map(|profile| quoted(profile));
        let profiles: Vec<String> = profiles.collect();
        let sets = [
            ("profile", profiles),
            ("security", codings(&self.security)),
            ("tag", codings(&self.tags)),
        ];
        let sets = sets.iter().filter(|(_, set)| !set.is_empty());
        let members = sets.map(|(name, set)| format!(r#""{name}":[{}]"#, set.join(",")));
        format!("{{{}}}", members.collect::<Vec<_>>().join(","))
    }
}

/// The parameters of the profiles, the security labels and the tags of a type.
fn params(ty: ResourceType) -> Option<[Param; 3]> {
    let param = |code| {
        let parameter = definitions::r4().search_parameter(ty.name, code)?;
        Some(rows::param(ty.name, parameter))
    };
    Some([param("_profile")?, param("_security")?, param("_tag")?])
}

fn codings(set: &BTreeSet<Coding>) -> Vec<String> {
    let coding = |(system, code): &Coding| {
        let parts = [("system", system), ("code", code)];
        let parts = parts.iter().filter(|(_, text)| !text.is_empty());
        let parts = parts.map(|(name, text)| format!(r#""{name}":{}"#, quoted(text)));
        format!("{{{}}}", parts.collect::<Vec<_>>().join(","))
    };
    set.iter().map(coding).collect()
}

fn quoted(text: &str) -> String {
    let mut json = String::with_capacity(text.len() + 2);
    write::string(&mut json, text);
    json
}

fn too_many() -> Error {
    let details = format!(
        "more than {RESOURCES_MAX} resources have profiles, security labels or tags; ask type by type, or search"
    );
    let issue = Issue::error(IssueType::TooCostly, String::new(), details);
    Error::with_issues(Kind::Unprocessable, vec![issue])
}
