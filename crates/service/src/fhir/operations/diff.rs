//! `$diff`: what changed between two versions of a resource.
//!
//! The answer is a Parameters resource in the form of a FHIRPath Patch
//! (<https://hl7.org/fhir/R4/fhirpatch.html>) that makes the later version of
//! the earlier one, carried out from the first operation to the last; those
//! that replace or delete have a part `previousValue` as well. What only the
//! server writes, `meta.versionId` and `meta.lastUpdated`, is left out.
//!
//! Lists are compared from both ends: what differs lies between the first and
//! the last item that are the same. The ids and extensions of primitive values
//! have the path that FHIRPath gives them, `Patient.birthDate.extension`.

use salus_auth::Action;
use salus_fhir::definitions::{self, Parent};
use salus_fhir::json::Node;
use salus_fhir::resource::Resource;
use salus_store::Record;

use super::parameters::{Parts, Writer, invalid};
use super::{Asked, Code, Level, Operation, Parameter, reply};
use crate::Service;
use crate::context::Context;
use crate::error::Error;
use crate::fhir::read::absent;
use crate::fhir::reply::Reply;

pub(super) static DIFF: Operation = Operation {
    name: "diff",
    definition: "urn:salus:operation:diff",
    types: &[],
    level: &[Level::Instance],
    affects_state: false,
    parameters: &[
        Parameter::given(
            "from",
            "id",
            "The earlier version; the one before the other without it",
        ),
        Parameter::given("to", "id", "The later version; the current one without it"),
        Parameter::returned("Parameters", "A FHIRPath Patch from one to the other"),
    ],
    searches: false,
    action: Action::VRead,
    code: Code::Diff,
};

impl Service {
    pub(super) async fn diff(&self, cx: &Context, asked: &Asked<'_>) -> Result<Reply, Error> {
        let ty = asked.ty()?;
        let (from, to) = (version(asked, "from")?, version(asked, "to")?);
        let snapshot = self.snapshot(cx).await?;
        self.check_visible(&*snapshot, &asked.grant, ty, asked.id)
            .await?;
        let newest = snapshot.get(ty.kind, asked.id).await?.ok_or_else(absent)?;
        let to = to.unwrap_or(newest.version);
        let from = from.unwrap_or_else(|| to.saturating_sub(1));
        if from == 0 {
            return Err(invalid("from", "there is no version before the first one"));
        }
        let version = async |number| -> Result<Record, Error> {
            let record = snapshot.version(ty.kind, asked.id, number).await?;
            record.ok_or_else(absent)
        };
        let (before, after) = (version(from).await?, version(to).await?);
        let (old, new) = (self.document_of(&before)?, self.document_of(&after)?);
        let mut entry = asked.entry(cx, &format!("from={from}&to={to}"));
        entry.shows([&before, &after]);
        self.record(cx, entry).await?;
        Ok(reply(patch(old.root(), new.root())))
    }
}

fn version(asked: &Asked<'_>, name: &'static str) -> Result<Option<u64>, Error> {
    let Some(text) = asked.arguments.text(name)? else {
        return Ok(None);
    };
    let number = text.parse().ok();
    let number = number.ok_or_else(|| invalid(name, "it must be the number of a version"))?;
    Ok(Some(number))
}

/// The patch that makes one resource of another of its type.
fn patch(old: Node<'_>, new: Node<'_>) -> String {
    let mut writer = Writer::new();
    if let Some(resource) = Resource::of(new) {
        let mut diff = Diff {
            writer: &mut writer,
        };
        let place = Place {
            path: resource.type_name().to_owned(),
            parent: Some(resource.parent()),
        };
        diff.objects(&place, old, new);
    }
    writer.finish()
}

/// Where something stands.
struct Place {
    path: String,
    /// What the definitions know of the members here.
    parent: Option<Parent>,
}

/// A member of an object, as FHIRPath names it.
struct Member {
    path: String,
    name: String,
    /// The name of its type, if the definitions know one that is not anonymous.
    ty: Option<&'static str>,
    parent: Option<Parent>,
}

struct Diff<'w> {
    writer: &'w mut Writer,
}

impl Diff<'_> {
    fn objects(&mut self, place: &Place, old: Node<'_>, new: Node<'_>) {
        for before in old.children() {
            let Some(key) = before.key().filter(|key| !is_ours(place, key)) else {
                continue;
            };
            let member = place.member(key);
            match new.get(key) {
                Some(after) => self.values(&member, before, after),
                None => self.remove_all(&member, before),
            }
        }
        for after in new.children() {
            if let Some(key) = after.key().filter(|key| !is_ours(place, key))
                && old.get(key).is_none()
            {
                self.add_all(place, &place.member(key), after);
            }
        }
    }

    fn values(&mut self, member: &Member, old: Node<'_>, new: Node<'_>) {
        if same(old, new) {
            return;
        }
        match (
            old.is_array() && new.is_array(),
            old.is_object() && new.is_object(),
        ) {
            (true, _) => self.lists(member, old, new),
            (_, true) => self.objects(&member.place(&member.path), old, new),
            (false, false) => self.replace(member, &member.path, old, new),
        }
    }

    fn lists(&mut self, member: &Member, old: Node<'_>, new: Node<'_>) {
        let old: Vec<_> = old.children().collect();
        let new: Vec<_> = new.children().collect();
        let pairs = old.iter().zip(&new);
        let first = pairs.take_while(|(a, b)| same(**a, **b)).count();
        let shorter = old.len().min(new.len());
        let pairs = old.iter().rev().zip(new.iter().rev());
        let last = pairs.take_while(|(a, b)| same(**a, **b)).count();
        let last = last.min(shorter - first);
        let (old, new) = (&old[first..old.len() - last], &new[first..new.len() - last]);
        let both = old.len().min(new.len());
        for (at, (before, after)) in old.iter().zip(new).enumerate() {
            let path = format!("{}[{}]", member.path, first + at);
            match (
                before.is_object() && after.is_object(),
                same(*before, *after),
            ) {
                (_, true) => {}
                (true, _) => self.objects(&member.place(&path), *before, *after),
                (false, _) => self.replace(member, &path, *before, *after),
            }
        }
        // From the end, so that the places before stay as they are.
        for (at, before) in old.iter().enumerate().skip(both).rev() {
            self.delete(member, &format!("{}[{}]", member.path, first + at), *before);
        }
        for (at, after) in new.iter().enumerate().skip(both) {
            let mut parts = Parts::default();
            parts.text("type", "Code", "insert");
            parts.text("path", "String", &member.path);
            parts.value("index", "Integer", &(first + at).to_string());
            member.value(&mut parts, "value", *after);
            self.writer.parts("operation", &parts);
        }
    }

    fn replace(&mut self, member: &Member, path: &str, old: Node<'_>, new: Node<'_>) {
        let mut parts = Parts::default();
        parts.text("type", "Code", "replace");
        parts.text("path", "String", path);
        member.value(&mut parts, "previousValue", old);
        member.value(&mut parts, "value", new);
        self.writer.parts("operation", &parts);
    }

    fn delete(&mut self, member: &Member, path: &str, old: Node<'_>) {
        let mut parts = Parts::default();
        parts.text("type", "Code", "delete");
        parts.text("path", "String", path);
        member.value(&mut parts, "previousValue", old);
        self.writer.parts("operation", &parts);
    }

    fn remove_all(&mut self, member: &Member, old: Node<'_>) {
        if !old.is_array() {
            return self.delete(member, &member.path, old);
        }
        let items: Vec<_> = old.children().collect();
        for (at, item) in items.into_iter().enumerate().rev() {
            self.delete(member, &format!("{}[{at}]", member.path), item);
        }
    }

    fn add_all(&mut self, place: &Place, member: &Member, new: Node<'_>) {
        let mut add = |value| {
            let mut parts = Parts::default();
            parts.text("type", "Code", "add");
            parts.text("path", "String", &place.path);
            parts.text("name", "String", &member.name);
            member.value(&mut parts, "value", value);
            self.writer.parts("operation", &parts);
        };
        match new.is_array() {
            true => new.children().for_each(add),
            false => add(new),
        }
    }
}

impl Place {
    fn member(&self, key: &str) -> Member {
        let definitions = definitions::r4();
        let plain = key.strip_prefix('_').unwrap_or(key);
        let child = self
            .parent
            .and_then(|parent| definitions.child(parent, plain));
        let Some(child) = child else {
            return Member {
                path: format!("{}.{plain}", self.path),
                name: plain.to_owned(),
                ty: None,
                parent: None,
            };
        };
        let name = definitions.element(child.element).name;
        let name = name.strip_suffix("[x]").unwrap_or(name);
        let ty = definitions.ty(child.ty).name;
        let anonymous = matches!(ty, "BackboneElement" | "Element");
        Member {
            path: format!("{}.{name}", self.path),
            name: name.to_owned(),
            ty: Some(ty).filter(|_| !anonymous && plain == key),
            parent: Some(child.parent),
        }
    }
}

impl Member {
    fn place(&self, path: &str) -> Place {
        Place {
            path: path.to_owned(),
            parent: self.parent,
        }
    }

    /// Adds a value: by its type, or in parts if its type has no name.
    fn value(&self, parts: &mut Parts, name: &str, node: Node<'_>) {
        match self.ty {
            _ if node.get("resourceType").is_some() => {
                parts.resource(name, node.raw());
            }
            Some(ty) => {
                parts.value(name, &capitalised(ty), node.raw());
            }
            None if node.is_object() => {
                let mut inner = Parts::default();
                let place = self.place("");
                for child in node.children() {
                    let member = place.member(child.key().unwrap_or_default());
                    match child.is_array() {
                        true => child.children().for_each(|item| {
                            member.value(&mut inner, &member.name, item);
                        }),
                        false => member.value(&mut inner, &member.name, child),
                    }
                }
                parts.parts(name, &inner);
            }
            None => {
                parts.text(name, "String", node.raw());
            }
        }
    }
}

fn capitalised(name: &str) -> String {
    let mut letters = name.chars();
    let first = letters.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(letters).collect()
}

/// What differs between all versions.
fn is_ours(place: &Place, key: &str) -> bool {
    let of_meta =
        place.path.ends_with(".meta") && !place.path.trim_end_matches(".meta").contains('.');
    of_meta && matches!(key, "versionId" | "lastUpdated")
}

/// Whether two values say the same; numbers as they are written.
fn same(one: Node<'_>, other: Node<'_>) -> bool {
    if one.kind() != other.kind() {
        return false;
    }
    if one.is_object() {
        let mut members = one.children();
        let is_in_other = |member: Node<'_>| {
            let key = member.key().unwrap_or_default();
            other.get(key).is_some_and(|there| same(member, there))
        };
        return one.len() == other.len() && members.all(is_in_other);
    }
    if one.is_array() {
        let mut pairs = one.children().zip(other.children());
        return one.len() == other.len() && pairs.all(|(a, b)| same(a, b));
    }
    one.raw() == other.raw() || one.str().is_some() && one.str() == other.str()
}

#[cfg(test)]
mod tests {
    use salus_fhir::json::{Document, Limits};

    use super::*;

    fn document(members: &str) -> Document {
        let text = format!(r#"{{"resourceType":"Patient","meta":{{"versionId":"x"}},{members}}}"#);
        Document::parse(text.into(), &Limits::default()).unwrap()
    }

    /// The operations, as `type path name/index previous value`.
    #[track_caller]
    fn check(old: &str, new: &str, expect: &[&str]) {
        let patch = patch(document(old).root(), document(new).root());
        let patch: serde_json::Value = serde_json::from_str(&patch).unwrap();
        let operations = patch["parameter"].as_array().into_iter().flatten();
        let texts: Vec<String> = operations.map(text).collect();
        assert_eq!(texts, expect);
    }

    fn text(operation: &serde_json::Value) -> String {
        let parts = operation["part"].as_array().unwrap().iter();
        let texts = parts.map(|part| {
            let members = part.as_object().unwrap().iter();
            let mut values = members.filter(|(key, _)| *key != "name");
            let (key, value) = values.next().unwrap();
            match (key.as_str(), value) {
                ("valueCode" | "valueString" | "valueInteger", serde_json::Value::String(text)) => {
                    text.clone()
                }
                (key, value) => format!("{}:{value}", key.trim_start_matches("value")),
            }
        });
        texts.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn what_is_the_same_is_not_there() {
        check(r#""active":true"#, r#""active":true"#, &[]);
        check(
            r#""active":true,"gender":"male""#,
            r#""gender":"male","active":true"#,
            &[],
        );
    }

    #[test]
    fn primitive_values_are_replaced_added_and_deleted() {
        check(
            r#""active":true,"birthDate":"2000""#,
            r#""active":false,"gender":"male""#,
            &[
                "replace Patient.active Boolean:true Boolean:false",
                "delete Patient.birthDate Date:\"2000\"",
                "add Patient gender male",
            ],
        );
        check(
            r#""active":true,"deceasedBoolean":true"#,
            r#""active":true,"deceasedDateTime":"2020""#,
            &[
                "delete Patient.deceased Boolean:true",
                "add Patient deceased DateTime:\"2020\"",
            ],
        );
    }

    #[test]
    fn lists_are_compared_from_both_ends() {
        check(
            r#""name":[{"family":"A"},{"family":"B","given":["x","y"]},{"family":"C"}]"#,
            r#""name":[{"family":"A"},{"family":"D","given":["x"]},{"family":"C"}]"#,
            &[
                "replace Patient.name[1].family B D",
                "delete Patient.name[1].given[1] y",
            ],
        );
        check(
            r#""name":[{"family":"A"},{"family":"C"}]"#,
            r#""name":[{"family":"A"},{"family":"B"},{"family":"C"}]"#,
            &["insert Patient.name Integer:1 HumanName:{\"family\":\"B\"}"],
        );
        check(
            r#""name":[{"family":"A"},{"family":"B"}]"#,
            r#""active":true"#,
            &[
                "delete Patient.name[1] HumanName:{\"family\":\"B\"}",
                "delete Patient.name[0] HumanName:{\"family\":\"A\"}",
                "add Patient active Boolean:true",
            ],
        );
    }

    #[test]
    fn what_has_no_type_of_its_own_comes_in_parts() {
        let added = r#""contact":[{"gender":"male","name":{"family":"A"}}]"#;
        let patch = patch(document(r#""active":true"#).root(), document(added).root());
        let patch: serde_json::Value = serde_json::from_str(&patch).unwrap();
        assert_eq!(
            patch["parameter"][1]["part"][3],
            serde_json::json!({"name": "value", "part": [
                {"name": "gender", "valueCode": "male"},
                {"name": "name", "valueHumanName": {"family": "A"}},
            ]})
        );
    }

    #[test]
    fn extensions_of_primitives_have_their_path() {
        check(
            r#""birthDate":"2000","_birthDate":{"extension":[{"url":"u","valueString":"a"}]}"#,
            r#""birthDate":"2000","_birthDate":{"extension":[{"url":"u","valueString":"b"}]}"#,
            &["replace Patient.birthDate.extension[0].value a b"],
        );
    }
}
