//! `$everything` under random policies, page by page and back.

use std::collections::HashSet;

use bytes::Bytes;

use super::super::host::{Host, Page, link, same_search};
use super::super::pairs;
use super::world::TYPES;
use super::{Tally, Worlds, said};
use crate::choice::Choice;
use crate::context::Context;
use crate::error::Error;
use crate::fhir::operations::Invocation;

/// Pages followed at most: more is a link that leads in a circle.
const PAGES_MAX: usize = 200;

impl Worlds<'_> {
    pub(super) async fn everything(&self, choice: &mut Choice, seed: u64, tally: &mut Tally) {
        let on = on(choice);
        let query = query(choice, on.0);
        let mut answers = Vec::new();
        for (host, cx) in self.both() {
            answers.push(said(pages(host, &cx, &on, &query).await));
        }
        let (have, want) = (&answers[0], &answers[1]);
        let policy = &self.policy;
        assert_eq!(have, want, "seed {seed}: {on:?} {query} under {policy}");
        let Ok(found) = want else { return };
        let included = found.iter().any(|page| !page.included.is_empty());
        tally.everything += usize::from(included && found.len() > 1);
        let all_seeing = self.all_seeing();
        let everybody = said(pages(self.whole, &all_seeing, &on, &query).await);
        tally.everything_narrowed += usize::from(everybody != *want);
    }
}

/// All of one or of all patients, or of an encounter.
fn on(choice: &mut Choice) -> (&'static str, String) {
    match choice.below(6) {
        0 | 1 => ("Patient", String::new()),
        2 => ("Encounter", choice.below(6).to_string()),
        _ => ("Patient", choice.below(6).to_string()),
    }
}

fn query(choice: &mut Choice, ty: &str) -> String {
    let mut pairs = Vec::new();
    let mut add = |name: &str, value: String| pairs.push(format!("{name}={value}"));
    if choice.below(4) > 0 {
        add("_count", (1 + choice.below(4)).to_string());
    }
    match choice.below(8) {
        0 => {
            let types: Vec<&str> = (0..=choice.below(3)).map(|_| choice.of(&TYPES)).collect();
            add("_type", types.join(","));
        }
        1 => add("_since", format!("2013-02-1{}", choice.below(10))),
        2 if ty == "Patient" => add("start", "2013-02-11".to_owned()),
        _ => {}
    }
    pairs.join("&")
}

/// All pages; those behind the first are the same when they are turned back,
/// and each resource is there once.
async fn pages(
    host: &Host,
    cx: &Context,
    (ty, id): &(&str, String),
    query: &str,
) -> Result<Vec<Page>, Error> {
    let path = match &**id {
        "" => format!("{ty}/$everything"),
        id => format!("{ty}/{id}/$everything"),
    };
    let ask = async |query: &str| -> Result<serde_json::Value, Error> {
        let call = Invocation {
            name: "everything",
            ty,
            id,
            posted: false,
            query: pairs(query),
            body: Bytes::new(),
        };
        let reply = host.service.operate(cx, call).await?;
        Ok(serde_json::from_slice(&reply.body.unwrap()).unwrap())
    };
    let mut bundle = ask(query).await?;
    let mut pages = vec![Page::of(&bundle)];
    while let Some(next) = link(&bundle, "next") {
        bundle = ask(&same_search(&path, &next)).await?;
        pages.push(Page::of(&bundle));
        assert!(pages.len() < PAGES_MAX, "there is no end to {path}?{query}");
    }
    for page in pages.iter().rev().skip(1) {
        let previous = link(&bundle, "previous").expect("there is a page before");
        bundle = ask(&same_search(&path, &previous)).await?;
        assert_eq!(Page::of(&bundle), *page, "{path}?{query} turned back");
    }
    assert_eq!(link(&bundle, "previous"), None, "before the first");
    let names = pages.iter();
    let names = names.flat_map(|page| page.matches.iter().chain(&page.included));
    let mut once = HashSet::new();
    for name in names {
        assert!(once.insert(name), "{name} twice in {path}?{query}");
    }
    Ok(pages)
}
