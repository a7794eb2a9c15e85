//! `Patient/$match`: who a patient may be
//! (<https://hl7.org/fhir/R4/patient-operation-match.html>).
//!
//! Candidates are found by searches of the index: by identifier, by birth date
//! and a name, by both names, by phone or e-mail. Each is weighed against what
//! was sent (`weigh`), and graded by how probable it is that the two are one
//! person. Only those that the caller may find are candidates.

mod likeness;
mod weigh;

use std::collections::HashSet;

use salus_auth::Action;
use salus_store::Record;

use self::weigh::{Features, Grade};
use super::parameters::invalid;
use super::{Asked, Code, Level, Operation, Parameter, escaped, reply};
use crate::Service;
use crate::context::Context;
use crate::error::Error;
use crate::fhir::incoming;
use crate::fhir::reply::Reply;
use crate::fhir::types::ResourceType;
use crate::fhir::writer::BundleWriter;

pub(super) static MATCH: Operation = Operation {
    name: "match",
    definition: "http://hl7.org/fhir/OperationDefinition/Patient-match",
    types: &["Patient"],
    level: &[Level::Type],
    affects_state: false,
    parameters: &[
        Parameter::given(
            "resource",
            "Resource",
            "A Patient with what is known of the person",
        )
        .required(),
        Parameter::given(
            "onlyCertainMatches",
            "boolean",
            "Give one that is certain, or none",
        ),
        Parameter::given("count", "integer", "So many at most; 20 without it"),
        Parameter::returned("Bundle", "Who it may be, the most probable first"),
    ],
    searches: false,
    action: Action::Search,
    code: Code::Match,
};

const COUNT: usize = 20;
const COUNT_MAX: usize = 100;
/// Candidates of one search.
const OF_SEARCH_MAX: usize = 500;
/// Searches for candidates.
const SEARCHES_MAX: usize = 20;
const GRADE: &str = "http://hl7.org/fhir/StructureDefinition/match-grade";

/// Somebody whom it may be.
struct Candidate {
    record: Record,
    probability: f64,
    grade: Grade,
}

impl Service {
    pub(super) async fn match_patients(
        &self,
        cx: &Context,
        asked: &Asked<'_>,
    ) -> Result<Reply, Error> {
        let ty = asked.ty()?;
        let sent = asked.arguments.node("resource")?;
        let sent = sent.ok_or_else(|| invalid("resource", "it is required"))?;
        if !incoming::is(sent, ty) {
            return Err(invalid("resource", "it must be a Patient"));
        }
        let certain = match asked.arguments.text("onlyCertainMatches")?.as_deref() {
            None | Some("false") => false,
            Some("true") => true,
            Some(_) => return Err(invalid("onlyCertainMatches", "it must be true or false")),
        };
        let count = asked
            .arguments
            .number("count", (1, COUNT_MAX))?
            .unwrap_or(COUNT);
        let known = Features::of(sent);
        let mut candidates = self.candidates(cx, asked, ty, &known).await?;
        candidates.sort_by(|a, b| {
            let by_id = || a.record.id.cmp(&b.record.id);
            b.probability.total_cmp(&a.probability).then_with(by_id)
        });
        if certain {
            candidates.retain(|candidate| candidate.grade == Grade::Certain);
            // Two that are certain are both in doubt.
            if candidates.len() > 1 {
                candidates.clear();
            }
        }
        candidates.truncate(count);
        let mut entry = asked.entry(cx, "");
        entry.shows(candidates.iter().map(|candidate| &candidate.record));
        self.record(cx, entry).await?;
        Ok(reply(self.matches(cx, &candidates)))
    }

    /// Those who may be meant, each with what speaks for it.
    async fn candidates(
        &self,
        cx: &Context,
        asked: &Asked<'_>,
        ty: ResourceType,
        known: &Features,
    ) -> Result<Vec<Candidate>, Error> {
        let snapshot = self.snapshot(cx).await?;
        let mut seen = HashSet::new();
        let mut candidates = Vec::new();
        for search in searches(known).into_iter().take(SEARCHES_MAX) {
            let understood = self.understand_condition(cx, ty, &search).await?;
            let query = understood.query(&asked.grant, OF_SEARCH_MAX);
            for hit in snapshot.find(&query).await?.hits {
                if !seen.insert(hit.record.id.clone()) {
                    continue;
                }
                let document = self.document_of(&hit.record)?;
                let probability = weigh::probability(known, &Features::of(document.root()));
                if let Some(grade) = Grade::of(probability) {
                    candidates.push(Candidate {
                        record: hit.record,
                        probability,
                        grade,
                    });
                }
            }
        }
        Ok(candidates)
    }

    fn matches(&self, cx: &Context, candidates: &[Candidate]) -> bytes::Bytes {
        let mut bundle = BundleWriter::new("searchset", candidates.len() * 2048);
        bundle.total(candidates.len() as u64);
        for candidate in candidates {
            let salus_store::Content::Body(body) = &candidate.record.content else {
                continue;
            };
            let mut entry = bundle.begin_entry();
            entry.text(
                "fullUrl",
                &format!("{}/Patient/{}", cx.base, candidate.record.id),
            );
            entry.json("resource", body);
            let grade = candidate.grade.code();
            let search = format!(
                r#"{{"extension":[{{"url":"{GRADE}","valueCode":"{grade}"}}],"mode":"match","score":{:.4}}}"#,
                candidate.probability
            );
            entry.json("search", search.as_bytes());
            entry.end();
        }
        bundle.finish()
    }
}

/// The searches that find candidates, the surest first.
fn searches(known: &Features) -> Vec<String> {
    let mut all = Vec::new();
    let mut add = |pairs: &[(&str, String)]| {
        let mut text = form_urlencoded::Serializer::new(String::new());
        all.push(text.extend_pairs(pairs).finish());
    };
    for (system, value) in &known.identifiers {
        let token = match system.as_str() {
            "" => escaped(value),
            system => format!("{}|{}", escaped(system), escaped(value)),
        };
        add(&[("identifier", token)]);
    }
    if let Some(birth) = &known.birth {
        for family in &known.families {
            add(&[("birthdate", birth.clone()), ("family", escaped(family))]);
        }
        for given in &known.givens {
            add(&[("birthdate", birth.clone()), ("given", escaped(given))]);
        }
    }
    for family in &known.families {
        for given in &known.givens {
            add(&[("family", escaped(family)), ("given", escaped(given))]);
        }
    }
    for telecom in &known.sent_telecoms {
        add(&[("telecom", escaped(telecom))]);
    }
    // One whose name is written in another way.
    if let Some(birth) = &known.birth {
        add(&[("birthdate", birth.clone())]);
    }
    all
}
