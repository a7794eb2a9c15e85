//! The invariants of a Bundle's entries
//! (<https://hl7.org/fhir/R4/bundle.html#invs>), by hand: a transaction may
//! have very many entries, and each fault has its place.

use std::borrow::Cow;
use std::collections::HashSet;

use super::Check;
use super::place::Place;
use crate::issue::IssueType;
use crate::json::Node;

impl<'a> Check<'a, '_> {
    /// bdl-2, bdl-3, bdl-4, bdl-7 and bdl-8.
    pub(super) fn bundle(&mut self, node: Node<'a>, place: &Place<'_>) {
        let ty = node.get("type").and_then(Node::str).unwrap_or_default();
        let mut urls = HashSet::new();
        let place = place.child("entry");
        let entries = node.get("entry").map(Node::children);
        for (index, entry) in entries.into_iter().flatten().enumerate() {
            let place = place.item(index);
            self.entry(entry, &ty, &place);
            let Some(url) = entry.get("fullUrl").and_then(Node::str) else {
                continue;
            };
            let place = place.child("fullUrl");
            if url.contains("/_history/") {
                self.broken("must not be of one version (bdl-8)", &place);
            }
            if ty != "history" && !urls.insert((url, version(entry))) {
                let details = "must not be the one of an earlier entry, unless their resources \
                               have different versions (bdl-7)";
                self.broken(details, &place);
            }
        }
    }

    /// What an entry may have and must have in a Bundle of this type.
    fn entry(&mut self, entry: Node<'a>, ty: &str, place: &Place<'_>) {
        let asked = matches!(ty, "batch" | "transaction" | "history");
        let answered = matches!(ty, "batch-response" | "transaction-response" | "history");
        match (entry.get("request").is_some(), asked) {
            (false, true) => {
                self.broken("must have a request in this type of Bundle (bdl-3)", place)
            }
            (true, false) => {
                self.broken("must have no request in this type of Bundle (bdl-3)", place);
            }
            (true, true) | (false, false) => {}
        }
        match (entry.get("response").is_some(), answered) {
            (false, true) => {
                self.broken("must have a response in this type of Bundle (bdl-4)", place);
            }
            (true, false) => {
                self.broken(
                    "must have no response in this type of Bundle (bdl-4)",
                    place,
                );
            }
            (true, true) | (false, false) => {}
        }
        if ty != "searchset" && entry.get("search").is_some() {
            self.broken("must have no search but in a searchset (bdl-2)", place);
        }
    }

    fn broken(&mut self, details: &'static str, place: &Place<'_>) {
        self.fault(IssueType::Invariant, place, details);
    }
}

fn version(entry: Node<'_>) -> Option<Cow<'_, str>> {
    entry.get("resource")?.get("meta")?.get("versionId")?.str()
}
