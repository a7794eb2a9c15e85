//! A list of files to be fetched, as it is sent:
//! <https://github.com/smart-on-fhir/bulk-import/blob/master/import-manifest.md>,
//! as an object of its own or as Parameters with the same names.

use std::borrow::Cow;

use salus_fhir::issue::{Issue, IssueType};
use salus_fhir::json::Node;
use serde::{Deserialize, Serialize};

use super::location::{Location, Origin};
use crate::error::{Error, Kind};
use crate::fhir::types::ResourceType;

/// Files of one import.
const FILES_MAX: usize = 1000;
const FORMATS: [&str; 3] = ["application/fhir+ndjson", "application/ndjson", "ndjson"];

/// A file to be fetched.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Listed {
    /// The type of its resources, if that was said.
    #[serde(rename = "type")]
    pub(super) ty: Option<String>,
    pub(super) url: String,
}

/// How the members of an object are written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// As JSON has them.
    Plain,
    /// As parameters and their parts.
    Parameters,
}

/// The files of a list, all at origins that are allowed.
pub(super) fn read(root: Node<'_>, allowed: &[Origin]) -> Result<Vec<Listed>, Error> {
    let form = match root.get("resourceType").and_then(Node::plain_str) {
        Some("Parameters") => Form::Parameters,
        Some(_) => {
            return Err(refused(
                "",
                "send Parameters or a list of files, no other resource",
            ));
        }
        None => Form::Plain,
    };
    let mut files = Vec::new();
    for (name, node) in members(root, form, "parameter")? {
        match &*name {
            "inputFormat" => one_of(&name, node, &FORMATS)?,
            // It says whose the resources are; they are kept as they come.
            "inputSource" => drop(text(&name, node)?),
            "storageDetail" => storage(node, form)?,
            "input" if files.len() < FILES_MAX => {
                files.push(file(node, form, files.len(), allowed)?);
            }
            "input" => return Err(refused("input", "at most 1,000 files in one import")),
            _ => {
                let allowed = "allowed: inputFormat, inputSource, storageDetail, input";
                return Err(refused("", allowed));
            }
        }
    }
    match files.is_empty() {
        true => Err(refused("input", "it must name one file at least")),
        false => Ok(files),
    }
}

fn storage(node: Node<'_>, form: Form) -> Result<(), Error> {
    for (name, node) in members(node, form, "part")? {
        let place = format!("storageDetail.{name}");
        match &*name {
            "type" => one_of(&place, node, &["https", "http"])?,
            "contentEncoding" => one_of(&place, node, &["gzip", "plain"])?,
            _ => return Err(refused("storageDetail", "allowed: type, contentEncoding")),
        }
    }
    Ok(())
}

fn file(node: Node<'_>, form: Form, at: usize, allowed: &[Origin]) -> Result<Listed, Error> {
    let (mut ty, mut url) = (None, None);
    for (name, node) in members(node, form, "part")? {
        let place = format!("input[{at}].{name}");
        let value = match &*name {
            "type" => &mut ty,
            "url" => &mut url,
            _ => return Err(refused(&format!("input[{at}]"), "allowed: type, url")),
        };
        if value.replace(text(&place, node)?).is_some() {
            return Err(refused(&place, "it must not be repeated"));
        }
    }
    let ty_place = format!("input[{at}].type");
    if ty
        .as_deref()
        .is_some_and(|ty| ResourceType::named(ty).is_none())
    {
        return Err(refused(&ty_place, "it must be a type of resource"));
    }
    let place = format!("input[{at}].url");
    let url = url.ok_or_else(|| refused(&place, "it is required"))?;
    let location = Location::parse(&url).map_err(|details| refused(&place, details))?;
    if !allowed.contains(&location.origin) {
        return Err(not_allowed(place));
    }
    Ok(Listed {
        ty: ty.map(Cow::into_owned),
        url: url.into_owned(),
    })
}

fn not_allowed(place: String) -> Error {
    let details = "this server does not fetch from there; whoever runs it says from where it does \
                   (--import-origins). The lines themselves may be sent instead";
    let issue = Issue::error(IssueType::BusinessRule, place, details);
    Error::with_issues(Kind::Unprocessable, vec![issue])
}

/// What an object has, by name; what is there several times comes as often.
fn members<'a>(
    node: Node<'a>,
    form: Form,
    list: &str,
) -> Result<Vec<(Cow<'a, str>, Node<'a>)>, Error> {
    if !node.is_object() {
        return Err(refused(
            "",
            "each part of a list of files must be an object",
        ));
    }
    if form == Form::Parameters {
        let items = node.get(list).map(Node::children).into_iter().flatten();
        return items.map(parameter).collect();
    }
    let mut members = Vec::new();
    for member in node.children() {
        let name = member.key().unwrap_or_default();
        match member.is_array() {
            true => members.extend(member.children().map(|item| (Cow::Borrowed(name), item))),
            false => members.push((Cow::Borrowed(name), member)),
        }
    }
    Ok(members)
}

/// The name of a parameter, and its value or, if it has parts, itself.
fn parameter(node: Node<'_>) -> Result<(Cow<'_, str>, Node<'_>), Error> {
    let fault = || {
        refused(
            "Parameters.parameter",
            "it must have a name, and a value or parts",
        )
    };
    let name = node.get("name").and_then(Node::str).ok_or_else(fault)?;
    let mut values = node
        .children()
        .filter(|member| member.key().is_some_and(|key| key.starts_with("value")));
    match (values.next(), values.next(), node.get("part")) {
        (Some(value), None, None) => Ok((name, value)),
        (None, None, Some(_)) => Ok((name, node)),
        _ => Err(fault()),
    }
}

fn text<'a>(place: &str, node: Node<'a>) -> Result<Cow<'a, str>, Error> {
    node.str()
        .ok_or_else(|| refused(place, "it must be a text"))
}

fn one_of(place: &str, node: Node<'_>, allowed: &[&str]) -> Result<(), Error> {
    match allowed.contains(&&*text(place, node)?) {
        true => Ok(()),
        false => Err(refused(place, format!("allowed: {}", allowed.join(", ")))),
    }
}

fn refused(place: &str, details: impl Into<Cow<'static, str>>) -> Error {
    let issue = Issue::error(IssueType::Value, place, details);
    Error::with_issues(Kind::Invalid, vec![issue])
}

#[cfg(test)]
mod tests {
    use salus_fhir::json::{Document, Limits};

    use super::*;

    /// What is read from a text: types and URLs, or the first issue.
    fn outcome(text: &str) -> Result<Vec<(Option<String>, String)>, String> {
        let document = Document::parse(text.as_bytes().to_vec(), &Limits::default()).unwrap();
        let allowed = [Origin::parse("https://a.example").unwrap()];
        match read(document.root(), &allowed) {
            Ok(files) => Ok(files.into_iter().map(|file| (file.ty, file.url)).collect()),
            Err(error) => Err(error.issues()[0].to_string()),
        }
    }

    #[track_caller]
    fn reads(text: &str, files: &[(&str, &str)]) {
        let found = outcome(text).unwrap();
        let found: Vec<(&str, &str)> = found
            .iter()
            .map(|(ty, url)| (ty.as_deref().unwrap_or_default(), url.as_str()))
            .collect();
        assert_eq!(found, files);
    }

    #[track_caller]
    fn refuses(text: &str, place: &str) {
        let told = outcome(text).unwrap_err();
        assert!(told.contains(place), "{told}");
        assert!(!told.contains("SECRET"), "{told}");
    }

    #[test]
    fn both_forms_say_the_same() {
        let files = [
            ("Patient", "https://a.example/p?sig=1"),
            ("", "https://a.example/x"),
        ];
        reads(
            r#"{"inputFormat":"application/fhir+ndjson","inputSource":"https://b.example",
                "storageDetail":{"type":"https","contentEncoding":"gzip"},
                "input":[{"type":"Patient","url":"https://a.example/p?sig=1"},
                         {"url":"https://a.example/x"}]}"#,
            &files,
        );
        reads(
            r#"{"resourceType":"Parameters","parameter":[
                {"name":"inputFormat","valueCode":"application/fhir+ndjson"},
                {"name":"inputSource","valueUri":"https://b.example"},
                {"name":"storageDetail","part":[{"name":"type","valueCode":"https"}]},
                {"name":"input","part":[{"name":"type","valueCode":"Patient"},
                    {"name":"url","valueUrl":"https://a.example/p?sig=1"}]},
                {"name":"input","part":[{"name":"url","valueUri":"https://a.example/x"}]}]}"#,
            &files,
        );
        // One alone needs no list.
        reads(
            r#"{"input":{"url":"https://a.example/"}}"#,
            &[("", "https://a.example/")],
        );
    }

    #[test]
    fn what_is_wrong_is_named_and_not_shown() {
        refuses(r#"{}"#, "input");
        refuses(r#"[]"#, "object");
        refuses(r#"{"input":[7]}"#, "object");
        refuses(
            r#"{"inputs":[{"url":"https://a.example/"}]}"#,
            "allowed: inputFormat",
        );
        refuses(r#"{"resourceType":"Patient"}"#, "send Parameters");
        refuses(r#"{"inputFormat":"SECRET"}"#, "inputFormat");
        refuses(
            r#"{"storageDetail":{"type":"aws-s3"}}"#,
            "storageDetail.type",
        );
        refuses(
            r#"{"storageDetail":{"credentialHttpBasic":"SECRET"}}"#,
            "storageDetail",
        );
        refuses(r#"{"input":[{"type":"Patient"}]}"#, "input[0].url");
        refuses(
            r#"{"input":[{"url":"https://a.example","etag":"SECRET"}]}"#,
            "input[0]",
        );
        refuses(
            r#"{"input":[{"url":["https://a.example","x"]}]}"#,
            "input[0].url",
        );
        refuses(
            r#"{"input":[{"url":"https://SECRET@a.example"}]}"#,
            "input[0].url",
        );
        refuses(
            r#"{"input":[{"url":"https://a.example"},{"url":"https://SECRET.example"}]}"#,
            "input[1].url",
        );
        refuses(
            r#"{"input":[{"type":"Nothing","url":"https://a.example"}]}"#,
            "input[0].type",
        );
        refuses(
            r#"{"resourceType":"Parameters","parameter":[{"name":"input"}]}"#,
            "parameter",
        );
        let many = vec![r#"{"url":"https://a.example/"}"#; FILES_MAX + 1].join(",");
        refuses(&format!(r#"{{"input":[{many}]}}"#), "1,000");
    }
}
