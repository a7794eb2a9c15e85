//! A search as it was understood, and as a query of the store.

use salus_auth::Grant;
use salus_fhir::issue::{Issue, IssueType, Severity};
use salus_fhir::mask::Hidden;
use salus_fhir::search::{
    Asking, Control, Parameters, Problem, SCORE, Search, SortKey, Subset, Summary, Total,
};
use salus_store::{Filter, Param, Position, Query, Relevance, Sort};

use super::criteria::Criteria;
use super::{text, within};
use crate::context::Context;
use crate::cursor::{self, Beside};
use crate::error::{Error, Kind};
use crate::fhir::terms::Terms;
use crate::fhir::types::ResourceType;
use crate::fhir::{Handling, contained, rows};

/// Matches on a page, when the client does not say.
const COUNT_DEFAULT: u32 = 20;
/// Matches on a page at most.
const COUNT_MAX: u32 = 1000;
/// A search as it was understood.
pub(crate) struct Asked {
    /// Where it was asked, below the endpoint: `Patient`, or `Patient/1/Observation`.
    pub(crate) path: String,
    pub(crate) ty: ResourceType,
    pub(crate) filters: Vec<Filter>,
    pub(crate) control: Control,
    /// What the client should know: what it sent in vain.
    pub(crate) notices: Vec<Issue>,
    /// What was understood, as the client wrote it.
    pub(crate) pairs: Vec<(String, String)>,
}

/// What is asked of a type, perhaps with others, and what of it is not understood.
pub(super) fn read(
    cx: &Context,
    (ty, among): (ResourceType, &[&'static str]),
    parameters: &[(String, String)],
    terms: &Terms,
) -> (Asked, Vec<Problem>) {
    // What a project's own parameters find, contained resources are not indexed by.
    let without_own = within::is_asked(parameters).then(|| cx.parameters.without_own());
    let known = without_own.as_ref().unwrap_or(&cx.parameters);
    let asking = Asking {
        own_bases: &[&cx.base],
        parameters: known,
        hidden: cx.subject.hidden(),
        now_ms: cx.now_ms,
    };
    // Containers may be of any type.
    let all: Vec<&'static str>;
    let among = match within::gives_containers(parameters) {
        true => {
            all = ResourceType::all().iter().map(|ty| ty.name).collect();
            &all
        }
        false => among,
    };
    let (search, mut problems) = Search::parse_among(ty.name, among, parameters, &asking);
    let mut criteria = Criteria::of(cx, terms);
    let mut filters = Vec::with_capacity(search.clauses.len());
    for (at, clause) in &search.clauses {
        match criteria.filter(ty, clause) {
            Ok(filter) => filters.push(filter),
            Err(issue) => problems.push(Problem { at: *at, issue }),
        }
    }
    let conflict = conflict(&search.control).or_else(|| unranked(&search.control, &filters));
    problems.extend(conflict.map(|issue| Problem {
        at: parameters.len(),
        issue,
    }));
    let asked = Asked {
        path: ty.name.to_owned(),
        ty,
        filters,
        control: search.control,
        pairs: Vec::new(),
        notices: criteria.notices().collect(),
    };
    (asked, problems)
}

/// The part that a read asks for: `_summary` and `_elements` mean what they
/// mean in a search, and other parameters mean nothing there.
pub(crate) fn part(
    ty: ResourceType,
    parameters: &[(String, String)],
) -> Result<Option<Subset>, Error> {
    part_among((ty, &[]), parameters)
}

/// The same for one of several types.
pub(crate) fn part_among(
    (ty, among): (ResourceType, &[&'static str]),
    parameters: &[(String, String)],
) -> Result<Option<Subset>, Error> {
    let is_about = |(name, _): &&(String, String)| {
        let plain = name.split_once(':').map_or(&**name, |(plain, _)| plain);
        matches!(plain, "_summary" | "_elements")
    };
    let wanted: Vec<_> = parameters.iter().filter(is_about).cloned().collect();
    let asking = Asking {
        own_bases: &[],
        parameters: Parameters::r4(),
        hidden: Hidden::NOTHING,
        now_ms: 0,
    };
    let (search, problems) = Search::parse_among(ty.name, among, &wanted, &asking);
    let issues = problems.into_iter().map(|problem| problem.issue);
    let mut issues: Vec<Issue> = issues.chain(conflict(&search.control)).collect();
    if search.control.summary == Some(Summary::Count) {
        let details = "one resource has no count; allowed: true, text, data, false";
        issues.push(Issue::error(IssueType::Value, "http._summary", details));
    }
    if issues.is_empty() {
        return Ok(subset(&search.control));
    }
    Err(Error::with_issues(Kind::Invalid, issues))
}

fn subset(control: &Control) -> Option<Subset> {
    match control.summary {
        Some(Summary::True) => Some(Subset::Summary),
        Some(Summary::Text) => Some(Subset::Text),
        Some(Summary::Data) => Some(Subset::Data),
        None | Some(Summary::Count | Summary::False) => {
            let elements = &control.elements;
            (!elements.is_empty()).then(|| Subset::Elements(elements.clone()))
        }
    }
}

/// The problems that a lenient client wants ignored; others are an error.
pub(super) fn lenient(problems: Vec<Problem>, handling: Handling) -> Result<Vec<Problem>, Error> {
    let ignored = handling == Handling::Lenient && problems.iter().all(Problem::is_ignorable);
    if problems.is_empty() || ignored {
        return Ok(problems);
    }
    let issues: Vec<Issue> = problems.into_iter().map(|problem| problem.issue).collect();
    Err(Error::with_issues(refusal(&issues), issues))
}

/// What is not ready yet will be; with another fault beside it, the request is
/// wrong whenever it comes.
fn refusal(issues: &[Issue]) -> Kind {
    // What is barred is so whatever else is wrong, and whatever there is.
    if issues
        .iter()
        .any(|issue| issue.code == IssueType::Forbidden)
    {
        return Kind::Forbidden;
    }
    let waits = |issue: &Issue| issue.code == IssueType::Transient;
    match issues.iter().all(waits) {
        true => Kind::Unavailable,
        false => Kind::Invalid,
    }
}

impl Asked {
    /// Adds what a lenient client sent in vain to what it is told.
    pub(super) fn ignore(&mut self, problems: Vec<Problem>) {
        let issues = problems
            .into_iter()
            .map(|problem| as_warning(problem.issue));
        self.notices.extend(issues);
    }

    /// The URL where it was asked, without parameters.
    pub(crate) fn url(&self, cx: &Context) -> String {
        let slash = if self.path.is_empty() { "" } else { "/" };
        format!("{}{slash}{}", cx.base, self.path)
    }

    /// Whether anything but the result's form was asked.
    pub(crate) fn has_criteria(&self) -> bool {
        !self.filters.is_empty()
    }

    /// The query, within what the grant lets see.
    pub(crate) fn query(&self, grant: &Grant, limit: usize) -> Query {
        self.query_within(grant.filter(), limit)
    }

    /// The query, within what may be seen.
    pub(crate) fn query_within(&self, visible: &Filter, limit: usize) -> Query {
        let mut filters = self.filters.clone();
        if *visible != Filter::Everything {
            filters.push(visible.clone());
        }
        Query {
            kind: self.ty.kind,
            filter: match filters.len() {
                0 => Filter::Everything,
                1 => filters.remove(0),
                _ => Filter::All(filters),
            },
            sort: self.sort(),
            limit,
            after: None,
            rows: Vec::new(),
        }
    }

    /// The order, as the store knows it. Where a text is asked for and no
    /// order, the best matches come first.
    pub(crate) fn sort(&self) -> Vec<Sort> {
        let keys = self.control.sort.iter();
        if keys.len() == 0 {
            // The audit is a log: it has no best entries.
            let ranked = self
                .relevance()
                .filter(|_| self.ty.name != ResourceType::AUDIT_EVENT);
            return ranked.map(Sort::Relevance).into_iter().collect();
        }
        let key = |key: &SortKey| match key.parameter.code {
            "_score" => self.relevance().map(Sort::Relevance),
            _ => Some(sort(self.ty, key)),
        };
        keys.filter_map(key).collect()
    }

    /// What matches are ranked by; `None` if no text is asked for.
    pub(crate) fn relevance(&self) -> Option<Relevance> {
        text::relevance(&self.filters)
    }

    /// The parameter of the words that a score is computed from, if there is one.
    pub(crate) fn words(&self) -> Option<Param> {
        let ranked = self.relevance().is_some();
        ranked.then(|| rows::words_param(self.ty.name))
    }

    /// Matches on a page.
    pub(crate) fn count(&self) -> usize {
        if self.control.summary == Some(Summary::Count) {
            return 0;
        }
        self.control.count.unwrap_or(COUNT_DEFAULT).min(COUNT_MAX) as usize
    }

    /// What is beside a page, with the last page, if it is known how many
    /// matches there are, and the page is another.
    pub(super) fn with_last(&self, beside: Beside) -> Beside {
        let counted = self.control.total == Some(Total::Accurate);
        Beside {
            last: (counted && beside.next.is_some()).then(|| cursor::put(Position::End)),
            ..beside
        }
    }

    /// Which part of each match is given; `None` is all.
    pub(crate) fn subset(&self) -> Option<Subset> {
        subset(&self.control)
    }

    /// What was understood, as the part of a URL behind the `?`.
    pub(crate) fn text(&self) -> String {
        let mut text = form_urlencoded::Serializer::new(String::new());
        let mut pairs: Vec<_> = self
            .pairs
            .iter()
            .map(|pair| (rank(&pair.0), pair))
            .collect();
        pairs.sort_by_key(|(rank, _)| *rank);
        for (_, (name, value)) in pairs {
            match name.as_str() {
                "_format" | "_pretty" => {}
                // No page has more than it may.
                "_count" if self.control.count.is_some_and(|count| count > COUNT_MAX) => {
                    text.append_pair(name, &COUNT_MAX.to_string());
                }
                _ => {
                    text.append_pair(name, value);
                }
            }
        }
        text.finish()
    }
}

fn sort(ty: ResourceType, key: &SortKey) -> Sort {
    let descending = key.descending;
    match key.parameter.code {
        // The id of the record is nothing that anybody knows.
        "_id" if contained::is_kept(ty) => Sort::Value {
            param: contained::id_param(ty),
            descending,
        },
        "_id" => Sort::Id { descending },
        "_lastUpdated" => Sort::Updated { descending },
        _ => Sort::Value {
            param: rows::param(ty.name, key.parameter),
            descending,
        },
    }
}

/// The place of a parameter in a URL: what is to be found comes first, as it
/// was sent, then how it is to be given.
fn rank(name: &str) -> usize {
    const LAST: [&str; 9] = [
        "_type",
        "_include",
        "_revinclude",
        "_sort",
        "_count",
        "_total",
        "_summary",
        "_elements",
        "_contained",
    ];
    let plain = name.split_once(':').map_or(name, |(plain, _)| plain);
    let place = LAST.iter().position(|last| *last == plain);
    place.map_or(0, |place| place + 1)
}

/// What does not go together: <https://hl7.org/fhir/R4/search.html#summary>.
fn conflict(control: &Control) -> Option<Issue> {
    let includes = !control.includes.is_empty() || !control.reverse_includes.is_empty();
    let details = match control.summary {
        Some(Summary::Text) if includes => "text cannot be combined with _include or _revinclude",
        Some(Summary::True | Summary::Text | Summary::Data | Summary::Count)
            if !control.elements.is_empty() =>
        {
            "cannot be combined with _elements"
        }
        _ => return None,
    };
    Some(Issue::error(IssueType::Value, "http._summary", details))
}

/// There is no score where no text is asked for.
fn unranked(control: &Control, filters: &[Filter]) -> Option<Issue> {
    let mut keys = control.sort.iter();
    let is_scored = keys.any(|key| key.parameter.code == SCORE.code);
    if !is_scored || text::relevance(filters).is_some() {
        return None;
    }
    let details = "_score needs _text or _content to rank by";
    Some(Issue::error(IssueType::Value, "http._sort", details))
}

fn as_warning(mut issue: Issue) -> Issue {
    issue.severity = Severity::Warning;
    issue
}
