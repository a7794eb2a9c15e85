//! What was current at a point, and how records of it are linked.

use std::convert::Infallible;

use super::{State, Version};
use crate::{Content, Filter, Kind, Others, Param, Scope, Seq, Test};

/// The current, undeleted records of a scope as they were at a point.
#[derive(Clone, Copy)]
pub(super) struct Past<'a> {
    pub(super) state: &'a State,
    pub(super) scope: Scope,
    pub(super) at: Seq,
}

impl<'a> Past<'a> {
    fn all(self, kind: Kind) -> impl Iterator<Item = &'a Version> {
        let records = self.state.records.range((self.scope, kind, "".into())..);
        records
            .take_while(move |((s, k, _), _)| (*s, *k) == (self.scope, kind))
            .filter_map(move |(_, versions)| self.shown(versions))
    }

    fn one(self, kind: Kind, id: &str) -> Option<&'a Version> {
        let versions = self.state.records.get(&(self.scope, kind, id.into()))?;
        self.shown(versions)
    }

    fn shown(self, versions: &'a [Version]) -> Option<&'a Version> {
        let mut newest = versions.iter().rev();
        let newest = newest.find(|version| version.record.seq <= self.at);
        newest.filter(|version| version.record.content != Content::Deleted)
    }

    /// Those of a kind that a filter describes.
    pub(super) fn matching(self, kind: Kind, filter: &Filter) -> Vec<&'a Version> {
        let all = self.all(kind);
        all.filter(|version| self.satisfies_one(version, filter))
            .collect()
    }

    fn satisfies_one(mut self, version: &Version, filter: &Filter) -> bool {
        let matches = filter.matches_among(version.record.kind, &version.candidate(), &mut self);
        matches.unwrap_or_else(|never| match never {})
    }
}

impl Others for Past<'_> {
    type Error = Infallible;

    fn satisfies(&mut self, kind: Kind, id: &str, filter: &Filter) -> Result<bool, Infallible> {
        let one = self.one(kind, id);
        Ok(one.is_some_and(|version| self.satisfies_one(version, filter)))
    }

    fn referrer_satisfies(
        &mut self,
        (to, id): (Kind, &str),
        kind: Kind,
        param: Param,
        filter: &Filter,
    ) -> Result<bool, Infallible> {
        let refers = Test::Reference {
            kind: Some(to),
            id: id.into(),
        };
        let refers = Filter::Value(param, refers);
        let mut all = self.all(kind);
        Ok(all.any(|version| {
            refers.matches(&version.candidate()) && self.satisfies_one(version, filter)
        }))
    }
}
