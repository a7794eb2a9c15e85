//! What `$everything` is asked for, as a URL has it and as filters of the store.

use salus_auth::Grant;
use salus_fhir::definitions;
use salus_fhir::mask::Hidden;
use salus_fhir::search::Span;
use salus_store::{Comparison, Filter, Test};

use super::super::parameters::Arguments;
use super::COUNT_MAX;
use crate::error::Error;
use crate::fhir::rows;
use crate::fhir::types::ResourceType;

/// What is asked for.
pub(super) struct Wanted {
    pub(super) start: Option<(String, Span)>,
    pub(super) end: Option<(String, Span)>,
    pub(super) since: Option<(String, Span)>,
    pub(super) types: Option<Vec<ResourceType>>,
    pub(super) count: Option<usize>,
}

impl Wanted {
    pub(super) fn of(arguments: &Arguments<'_>) -> Result<Self, Error> {
        let span = |name| -> Result<_, Error> {
            let span = arguments.span(name)?;
            Ok(span.map(|(text, span)| (text.into_owned(), span)))
        };
        Ok(Self {
            start: span("start")?,
            end: span("end")?,
            since: span("_since")?,
            types: arguments.types("_type")?,
            count: arguments.number("_count", (1, COUNT_MAX))?,
        })
    }

    /// As the part of a URL behind the `?`.
    pub(super) fn text(&self) -> String {
        let mut text = form_urlencoded::Serializer::new(String::new());
        let times = [
            ("start", &self.start),
            ("end", &self.end),
            ("_since", &self.since),
        ];
        for (name, time) in times {
            if let Some((time, _)) = time {
                text.append_pair(name, time);
            }
        }
        if let Some(types) = &self.types {
            let names: Vec<&str> = types.iter().map(|ty| ty.name).collect();
            text.append_pair("_type", &names.join(","));
        }
        if let Some(count) = self.count {
            text.append_pair("_count", &count.to_string());
        }
        text.finish()
    }

    /// Whether a type is wanted.
    pub(super) fn names(&self, ty: ResourceType) -> bool {
        self.types.as_ref().is_none_or(|types| types.contains(&ty))
    }

    /// What is wanted of a type within a compartment.
    pub(super) fn filter(&self, ty: ResourceType, within: Filter, grant: &Grant) -> Filter {
        let mut filters = vec![within];
        if *grant.filter() != Filter::Everything {
            filters.push(grant.filter().clone());
        }
        filters.extend(self.happened(ty, grant.subject().hidden()));
        self.changed(filters)
    }

    /// All of these, of versions that are new enough.
    pub(super) fn changed(&self, mut filters: Vec<Filter>) -> Filter {
        if let Some((_, since)) = &self.since {
            let from_ms = since.from_ms;
            filters.push(Filter::Updated(
                Comparison::GreaterOrEqual,
                from_ms,
                from_ms,
            ));
        }
        filters.retain(|filter| *filter != Filter::Everything);
        match filters.len() {
            0 => Filter::Everything,
            1 => filters.remove(0),
            _ => Filter::All(filters),
        }
    }

    /// What happened in the days asked for, or tells no day to the one asking:
    /// a hidden one leaves nothing out.
    fn happened(&self, ty: ResourceType, hidden: &Hidden) -> Option<Filter> {
        if self.start.is_none() && self.end.is_none() {
            return None;
        }
        let from_ms = self
            .start
            .as_ref()
            .map_or(i64::MIN, |(_, span)| span.from_ms);
        let to_ms = self.end.as_ref().map_or(i64::MAX, |(_, span)| span.to_ms);
        let codes = salus_fhir::search::main_dates(ty.name).iter();
        let known = codes.filter_map(|code| definitions::r4().search_parameter(ty.name, code));
        let dates: Vec<_> = known
            .filter(|parameter| !hidden.is_read_by(ty.name, parameter))
            .map(|parameter| rows::param(ty.name, parameter))
            .collect();
        if dates.is_empty() {
            return None;
        }
        let overlaps = Test::Date(Comparison::Overlaps, from_ms, to_ms);
        let within = dates
            .iter()
            .map(|param| Filter::Value(*param, overlaps.clone()));
        let undated = dates
            .iter()
            .map(|param| Filter::Not(Filter::Value(*param, Test::Present).into()));
        let undated = Filter::All(undated.collect());
        Some(Filter::Any(within.chain([undated]).collect()))
    }
}
