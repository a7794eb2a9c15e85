//! `Observation/$lastn`: the newest observations of each code
//! (<https://hl7.org/fhir/R4/observation-operation-lastn.html>).
//!
//! Any search of observations may narrow it; a patient or another subject has
//! to be named. Observations are of one group if a coding of theirs is the
//! same, or, where they have none, the text.

use std::collections::HashMap;

use salus_auth::Action;
use salus_fhir::definitions;
use salus_fhir::json::Node;
use salus_store::{Record, Sort};

use super::parameters::items;
use super::{Asked, Code, Level, Operation, Parameter, reply, searchset};
use crate::Service;
use crate::context::Context;
use crate::error::{Error, Kind};
use crate::fhir::reply::Reply;
use crate::fhir::rows;
use crate::fhir::types::ResourceType;

pub(super) static LASTN: Operation = Operation {
    name: "lastn",
    definition: "http://hl7.org/fhir/OperationDefinition/Observation-lastn",
    types: &["Observation"],
    level: &[Level::Type],
    affects_state: false,
    parameters: &[
        Parameter::given("max", "positiveInt", "So many of each code; 1 without it"),
        Parameter::returned("Bundle", "The observations, those of a code together"),
    ],
    searches: true,
    action: Action::Search,
    code: Code::Lastn,
};

/// Most observations of one code.
const MAX: usize = 1000;
/// Observations read at once, and at most.
const AT_ONCE: usize = 1000;
const READ_MAX: usize = 20_000;

impl Service {
    pub(super) async fn lastn(&self, cx: &Context, asked: &Asked<'_>) -> Result<Reply, Error> {
        let ty = asked.ty()?;
        let max = asked.arguments.number("max", (1, MAX))?.unwrap_or(1);
        let search = &asked.arguments.search;
        let is_subject = |name: &str| ["patient", "subject"].contains(&plain(name));
        if !search.iter().any(|(name, _)| is_subject(name)) {
            return Err(Error::invalid(
                "$lastn needs a patient or a subject: Observation/$lastn?patient=…",
            ));
        }
        let text = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(search)
            .finish();
        let mut groups = Groups::new(max);
        self.each_observation(cx, asked, ty, &text, |record, node| {
            groups.add(record, node)
        })
        .await?;
        let records: Vec<Record> = groups.all.into_iter().flatten().collect();
        let mut entry = asked.entry(cx, &format!("max={max}&{text}"));
        entry.shows(&records);
        self.record(cx, entry).await?;
        let url = format!("{}/Observation/$lastn?max={max}&{text}", cx.base);
        Ok(reply(searchset(cx, &records, url)))
    }

    /// Visits the observations that a search finds, the newest first.
    pub(super) async fn each_observation(
        &self,
        cx: &Context,
        asked: &Asked<'_>,
        ty: ResourceType,
        search: &str,
        mut visit: impl FnMut(&Record, Node<'_>),
    ) -> Result<(), Error> {
        let understood = self.understand_condition(cx, ty, search).await?;
        let mut query = understood.query(&asked.grant, AT_ONCE);
        let date = definitions::r4().search_parameter(ty.name, "date");
        if let Some(date) = date {
            let hidden = cx.subject.hidden();
            let barred = hidden.check(ty.name, date, || "http._sort".to_owned());
            barred.map_err(|issue| Error::with_issues(Kind::Forbidden, vec![issue]))?;
        }
        let by_date = |parameter| Sort::Value {
            param: rows::param(ty.name, parameter),
            descending: true,
        };
        query.sort = date.map(by_date).into_iter().collect();
        let snapshot = self.snapshot(cx).await?;
        let mut read = 0;
        loop {
            let found = snapshot.find(&query).await?;
            for hit in &found.hits {
                let document = self.document_of(&hit.record)?;
                visit(&hit.record, document.root());
            }
            read += found.hits.len();
            query.after = found.next;
            if query.after.is_none() {
                return Ok(());
            }
            if read >= READ_MAX {
                return Err(Error::new(
                    Kind::Unprocessable,
                    format!(
                        "there are more than {READ_MAX} observations; narrow it by category, code or date"
                    ),
                ));
            }
        }
    }
}

/// The name of a search parameter without modifier and chain.
fn plain(name: &str) -> &str {
    name.split([':', '.']).next().unwrap_or(name)
}

/// The newest observations of each code.
struct Groups {
    max: usize,
    all: Vec<Vec<Record>>,
    /// The group of a subject and a coding.
    of: HashMap<(String, String), usize>,
}

impl Groups {
    fn new(max: usize) -> Self {
        Self {
            max,
            all: Vec::new(),
            of: HashMap::new(),
        }
    }

    fn add(&mut self, record: &Record, observation: Node<'_>) {
        let subject = observation
            .get("subject")
            .and_then(|it| it.get("reference"));
        let subject = subject.and_then(Node::str).unwrap_or_default().into_owned();
        let keys: Vec<_> = codes(observation)
            .into_iter()
            .map(|code| (subject.clone(), code))
            .collect();
        let known = keys.iter().find_map(|key| self.of.get(key)).copied();
        let group = known.unwrap_or_else(|| {
            self.all.push(Vec::new());
            self.all.len() - 1
        });
        for key in keys {
            self.of.entry(key).or_insert(group);
        }
        if let Some(group) = self.all.get_mut(group)
            && group.len() < self.max
        {
            group.push(record.clone());
        }
    }
}

/// What an observation is of: its codings, or else the text.
fn codes(observation: Node<'_>) -> Vec<String> {
    let Some(code) = observation.get("code") else {
        return Vec::new();
    };
    let part = |coding: Node<'_>, name| {
        let part = coding.get(name).and_then(|part| part.str());
        part.unwrap_or_default().into_owned()
    };
    let codings = items(code, "coding");
    let mut codes: Vec<String> = codings
        .filter(|coding| coding.get("code").is_some())
        .map(|coding| format!("{}|{}", part(coding, "system"), part(coding, "code")))
        .collect();
    if codes.is_empty() {
        codes.push(part(code, "text"));
    }
    codes
}
