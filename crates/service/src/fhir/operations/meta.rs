//! `$meta` of a resource (`metas.rs` has it of many), `$meta-add` and `$meta-delete`:
//! <https://hl7.org/fhir/R4/resource-operation-meta.html>.
//!
//! Profiles, security labels and tags are added and taken away as sets. What
//! changes the set makes a new version, since stored versions never change;
//! what does not makes none. The operations on `_history/{vid}` are not there:
//! they would have to change a version that is past.

use salus_auth::{Action, Target};
use salus_fhir::json::Node;
use salus_fhir::splice::Splices;

use super::parameters::{Writer, items};
use super::{Asked, Code, Level, Operation, Parameter, reply};
use crate::Service;
use crate::audit::entry::What;
use crate::context::Context;
use crate::error::Error;
use crate::fhir::reply::Reply;
use crate::fhir::settle::Decision;
use crate::fhir::stored::Stored;
use crate::fhir::{check_writable, incoming};
use crate::pipeline::Write;

pub(super) static META: Operation = Operation {
    name: "meta",
    definition: "http://hl7.org/fhir/OperationDefinition/Resource-meta",
    types: &[],
    level: &[Level::System, Level::Type, Level::Instance],
    affects_state: false,
    parameters: &[RETURN],
    searches: false,
    action: Action::Read,
    code: Code::Meta,
};

pub(super) static ADD: Operation = Operation {
    name: "meta-add",
    definition: "http://hl7.org/fhir/OperationDefinition/Resource-meta-add",
    types: &[],
    level: &[Level::Instance],
    affects_state: true,
    parameters: &[GIVEN, RETURN],
    searches: false,
    action: Action::Update,
    code: Code::MetaAdd,
};

pub(super) static DELETE: Operation = Operation {
    name: "meta-delete",
    definition: "http://hl7.org/fhir/OperationDefinition/Resource-meta-delete",
    types: &[],
    level: &[Level::Instance],
    affects_state: true,
    parameters: &[GIVEN, RETURN],
    searches: false,
    action: Action::Update,
    code: Code::MetaDelete,
};

const GIVEN: Parameter =
    Parameter::given("meta", "Meta", "Profiles, security labels and tags").required();
const RETURN: Parameter = Parameter::returned("Meta", "The meta of the resource as it is now");

/// The lists of a meta that are sets.
const SETS: [&str; 3] = ["profile", "security", "tag"];

/// What is done with the sets.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    Add,
    Delete,
}

impl Service {
    pub(super) async fn meta(&self, cx: &Context, asked: &Asked<'_>) -> Result<Reply, Error> {
        let record = self.current(cx, &asked.grant, asked).await?;
        let mut entry = asked.entry(cx, "");
        entry.shows([&record]);
        self.record(cx, entry).await?;
        let document = self.document_of(&record)?;
        Ok(Reply {
            version: Some(record.version),
            updated_ms: Some(record.time_ms),
            ..shown(document.root())
        })
    }

    pub(super) async fn change_meta(
        &self,
        cx: &Context,
        asked: &Asked<'_>,
        change: Change,
    ) -> Result<Reply, Error> {
        let ty = asked.ty()?;
        check_writable(ty)?;
        // The answer shows what was there before.
        let (what, target) = (What::Operation, Target::Type(ty.name));
        let read = self.authorize_on(cx, what, Action::Read, target, asked.id);
        let read = read.await?;
        let given = asked.arguments.node("meta")?;
        let given = given.ok_or_else(|| Error::invalid("the parameter meta is required"))?;
        let decide = || async {
            let record = self.current(cx, &read, asked).await?;
            let document = self.document_of(&record)?;
            let entry = asked.entry(cx, "");
            let Some(text) = changed(document.root(), given, change) else {
                let mut entry = entry;
                entry.shows([&record]);
                self.record(cx, entry).await?;
                return Ok(Decision::Answer(Reply {
                    version: Some(record.version),
                    updated_ms: Some(record.time_ms),
                    ..shown(document.root())
                }));
            };
            let document = incoming::parse(text.into(), &self.settings.json)?;
            let valid = incoming::check(document.root(), ty)?;
            let stored = Stored::of(cx, ty, asked.id, record.version + 1, &valid)?;
            let now = incoming::parse(stored.text.clone(), &self.settings.json)?;
            let answer = Reply {
                version: Some(stored.version),
                updated_ms: Some(cx.now_ms),
                ..shown(now.root())
            };
            Ok(Decision::Commit {
                entry,
                preconditions: Vec::new(),
                writes: vec![Write::store(&asked.grant, stored)],
                answer,
            })
        };
        self.settle(cx, (what, &asked.grant), None, false, decide)
            .await
    }
}

/// The answer that shows the meta of a resource.
fn shown(resource: Node<'_>) -> Reply {
    let mut answer = Writer::new();
    if let Some(meta) = resource.get("meta") {
        answer.value("return", "Meta", meta.raw());
    }
    reply(answer.finish())
}

/// The text of a resource with other sets in its meta; `None` if they stay the same.
fn changed(resource: Node<'_>, given: Node<'_>, change: Change) -> Option<String> {
    let meta = resource.get("meta")?;
    let mut sets = Vec::with_capacity(SETS.len());
    let mut differs = false;
    for name in SETS {
        let before: Vec<Node<'_>> = items(meta, name).collect();
        let after = set(&before, items(given, name), change);
        differs |= after.len() != before.len();
        sets.push((name, after));
    }
    if !differs {
        return None;
    }
    let text = meta.document().text();
    let is_set = |key: &str| SETS.contains(&key.trim_start_matches('_'));
    let others = meta
        .children()
        .filter(|member| !member.key().is_some_and(is_set));
    let mut members: Vec<String> = others
        .map(|member| text[member.member_span()].to_owned())
        .collect();
    for (name, set) in sets.into_iter().filter(|(_, set)| !set.is_empty()) {
        let values: Vec<&str> = set.into_iter().map(Node::raw).collect();
        members.push(format!(r#""{name}":[{}]"#, values.join(",")));
    }
    let mut splices = Splices::new();
    splices.replace(meta.span(), format!("{{{}}}", members.join(",")));
    Some(splices.apply(resource))
}

fn set<'a>(
    before: &[Node<'a>],
    given: impl Iterator<Item = Node<'a>>,
    change: Change,
) -> Vec<Node<'a>> {
    let mut after = before.to_vec();
    for one in given {
        let is_same = |other: &Node<'_>| same(one, *other);
        match change {
            Change::Add if after.iter().any(is_same) => {}
            Change::Add => after.push(one),
            Change::Delete => after.retain(|other| !is_same(other)),
        }
    }
    after
}

/// Whether two are one member of a set: profiles by their URL, labels and
/// tags by system and code.
fn same(one: Node<'_>, other: Node<'_>) -> bool {
    match (one.str(), other.str()) {
        (Some(one), Some(other)) => one == other,
        (None, None) => ["system", "code"].iter().all(|name| {
            let part = |coding: Node<'_>| {
                coding
                    .get(name)
                    .and_then(|part| part.str().map(String::from))
            };
            part(one) == part(other)
        }),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use salus_fhir::json::Document;

    use super::*;

    fn document(text: &str) -> Document {
        Document::parse(text.to_owned().into(), &salus_fhir::json::Limits::default()).unwrap()
    }

    #[track_caller]
    fn check(meta: &str, change: Change, given: &str, expect: Option<&str>) {
        let resource = document(&format!(
            r#"{{"resourceType":"Basic","meta":{meta},"id":"a"}}"#
        ));
        let given = document(given);
        let text = changed(resource.root(), given.root(), change);
        let meta = |expect: &str| format!(r#"{{"resourceType":"Basic","meta":{expect},"id":"a"}}"#);
        assert_eq!(text, expect.map(meta));
    }

    const TAGGED: &str = r#"{"versionId":"1","tag":[{"code":"a"},{"system":"s","code":"a"}]}"#;

    #[test]
    fn what_is_there_is_not_added_again() {
        check(
            TAGGED,
            Change::Add,
            r#"{"tag":[{"code":"a","display":"A"}]}"#,
            None,
        );
        check(
            TAGGED,
            Change::Add,
            r#"{"tag":[{"code":"b"},{"code":"b"}],"profile":["urn:p"],"source":"x"}"#,
            Some(
                r#"{"versionId":"1","profile":["urn:p"],"tag":[{"code":"a"},{"system":"s","code":"a"},{"code":"b"}]}"#,
            ),
        );
    }

    #[test]
    fn what_is_not_there_is_not_taken_away() {
        check(
            TAGGED,
            Change::Delete,
            r#"{"tag":[{"system":"t","code":"a"}]}"#,
            None,
        );
        check(
            TAGGED,
            Change::Delete,
            r#"{"tag":[{"code":"a"},{"system":"s","code":"a"}]}"#,
            Some(r#"{"versionId":"1"}"#),
        );
    }
}
