//! `$everything`: <https://hl7.org/fhir/R4/patient-operation-everything.html>,
//! <https://hl7.org/fhir/R4/encounter-operation-everything.html>.
//!
//! The resources of the compartment, type by type, and what they refer to
//! outside of it. Each type is within the grant for it, so what the caller may
//! not find is not there. All pages show one snapshot; each has what its own
//! resources refer to.

use std::collections::{BTreeMap, HashSet};

use salus_auth::{Action, Grant, Target};
use salus_fhir::definitions;
use salus_fhir::issue::{Issue, IssueType, operation_outcome};
use salus_fhir::reference::Local;
use salus_fhir::search::Span;
use salus_store::{
    At, Comparison, Content, Filter, Kind, Position, Query, Record, SealKey, Snapshot, Test,
};

use super::parameters::Arguments;
use super::{Asked, Code, Level, Operation, Parameter, reply};
use crate::Service;
use crate::audit::entry::What;
use crate::context::Context;
use crate::cursor::{self, Beside, Cursor};
use crate::error::{Error, Kind as ErrorKind};
use crate::fhir::reply::Reply;
use crate::fhir::rows;
use crate::fhir::search::{self, compartment};
use crate::fhir::types::ResourceType;
use crate::fhir::writer::BundleWriter;

pub(super) static PATIENT: Operation = Operation {
    name: "everything",
    definition: "http://hl7.org/fhir/OperationDefinition/Patient-everything",
    types: &["Patient"],
    level: &[Level::Instance],
    affects_state: false,
    parameters: &[
        Parameter::given("start", "date", "Of events, those on this day or later"),
        Parameter::given("end", "date", "Of events, those on this day or earlier"),
        SINCE,
        TYPE,
        COUNT,
        Parameter::returned("Bundle", "The resources, a page of them"),
    ],
    searches: false,
    action: Action::Read,
    code: Code::Everything,
};

pub(super) static ENCOUNTER: Operation = Operation {
    name: "everything",
    definition: "http://hl7.org/fhir/OperationDefinition/Encounter-everything",
    types: &["Encounter"],
    level: &[Level::Instance],
    affects_state: false,
    parameters: &[
        SINCE,
        TYPE,
        COUNT,
        Parameter::returned("Bundle", "The resources, a page of them"),
    ],
    searches: false,
    action: Action::Read,
    code: Code::Everything,
};

const SINCE: Parameter = Parameter::given("_since", "instant", "Only versions from then or later");
const TYPE: Parameter = Parameter::given("_type", "code", "Only these types").repeated();
const COUNT: Parameter = Parameter::given("_count", "integer", "So many of the compartment a page");

/// Resources of a compartment on a page, unless the client wants less.
const COUNT_MAX: usize = 1000;
/// Resources beside them on a page at most.
const REFERRED_MAX: usize = 1000;
/// How far references are followed out of the compartment.
const ROUNDS: usize = 3;
const PURPOSE: &str = "everything";

/// What is asked for.
struct Wanted {
    start: Option<(String, Span)>,
    end: Option<(String, Span)>,
    since: Option<(String, Span)>,
    types: Option<Vec<ResourceType>>,
    count: Option<usize>,
}

/// The resources of a compartment of one type.
struct Range {
    ty: ResourceType,
    filter: Filter,
}

/// Where a page begins: in which type, and where there.
#[derive(Clone, Copy)]
struct Place {
    range: usize,
    after: Option<Position>,
}

/// What a page shows.
struct Page {
    members: Vec<Record>,
    referred: Vec<Record>,
    /// There was more to refer to than a page may have.
    cut: bool,
    next: Option<Place>,
}

impl Service {
    pub(super) async fn everything(&self, cx: &Context, asked: &Asked<'_>) -> Result<Reply, Error> {
        let ty = asked.ty()?;
        let path = format!("{}/{}/$everything", ty.name, asked.id);
        let (wanted, at, place) = match asked.arguments.cursor {
            None => {
                let wanted = Wanted::of(&asked.arguments)?;
                (wanted, At::Now, Place::first())
            }
            Some(text) => {
                let cursor = Cursor::open(&self.cursor_key, cx, PURPOSE, text)?;
                let query = cursor.request.strip_prefix(&*path);
                let query = query.and_then(|query| query.strip_prefix('?'));
                let pairs = search::pairs(query.ok_or_else(cursor::unfit)?);
                let arguments = Arguments::read(asked.operation, &pairs, None)?;
                let wanted = Wanted::of(&arguments)?;
                (wanted, At::Seq(cursor.seq), Place::read(&cursor.position)?)
            }
        };
        let snapshot = self.store.snapshot(cx.scope, at).await?;
        self.check_there(&*snapshot, asked, ty).await?;
        let page = self.gather(cx, &*snapshot, asked, &wanted, place).await?;
        let query = wanted.text();
        let mut entry = asked.entry(cx, &query);
        entry.shows(page.members.iter().chain(&page.referred));
        self.record(cx, entry).await?;
        let url = format!("{}/{path}", cx.base);
        let question = if query.is_empty() { "" } else { "?" };
        let mut links = vec![("self", format!("{url}{question}{query}"))];
        let beside = Beside {
            next: page.next.map(Place::write),
            ..Beside::default()
        };
        let of = Cursor {
            seq: snapshot.seq(),
            request: format!("{path}?{query}"),
            position: Vec::new(),
        };
        let others = cursor::links(&self.cursor_key, cx, PURPOSE, &of, (&url, &beside))?;
        links.extend(others);
        let whole = place.is_first() && page.next.is_none();
        Ok(reply(page.bundle(cx, whole, &links)))
    }

    /// The one whose compartment it is must be there, for the one asking.
    async fn check_there(
        &self,
        snapshot: &dyn Snapshot,
        asked: &Asked<'_>,
        ty: ResourceType,
    ) -> Result<(), Error> {
        self.check_visible(snapshot, &asked.grant, ty, asked.id)
            .await?;
        let record = snapshot.get(ty.kind, asked.id).await?;
        match record.map(|record| record.content) {
            Some(Content::Body(_)) => Ok(()),
            Some(Content::Deleted) => Err(Error::new(
                ErrorKind::Gone,
                "this resource has been deleted",
            )),
            None => Err(crate::fhir::read::absent()),
        }
    }

    async fn gather(
        &self,
        cx: &Context,
        snapshot: &dyn Snapshot,
        asked: &Asked<'_>,
        wanted: &Wanted,
        place: Place,
    ) -> Result<Page, Error> {
        let ty = asked.ty()?;
        let ranges = self.ranges(cx, asked, ty, wanted).await?;
        let mut page = members(snapshot, &ranges, wanted, place).await?;
        let mut outside = Outside::of(cx, ty, asked.id, &page.members);
        let mut steps = outside.steps(&page.members);
        for _ in 0..ROUNDS {
            let before = page.referred.len();
            for (ty, ids) in steps {
                let Ok(grant) = granted(cx, ty) else { continue };
                let room = REFERRED_MAX - page.referred.len().min(REFERRED_MAX);
                page.cut |= ids.len() > room;
                let query = referred(ty, ids, &grant, wanted, room);
                let found = snapshot.find(&query).await?;
                let records = found.hits.into_iter().map(|hit| hit.record);
                page.referred
                    .extend(records.filter(|record| outside.admits(record)));
            }
            steps = outside.steps(page.referred.iter().skip(before));
        }
        if let Some(types) = &wanted.types {
            let is_wanted = |record: &Record| types.iter().any(|ty| ty.kind == record.kind);
            page.referred.retain(is_wanted);
        }
        Ok(page)
    }

    /// The types of the compartment, its own first. A type that was named and
    /// may not be searched is a refusal.
    async fn ranges(
        &self,
        cx: &Context,
        asked: &Asked<'_>,
        ty: ResourceType,
        wanted: &Wanted,
    ) -> Result<Vec<Range>, Error> {
        let mut ranges = Vec::new();
        for (member, within) in compartment(ty.name, asked.id)? {
            let types = wanted.types.as_ref();
            if types.is_some_and(|types| !types.contains(&member)) {
                continue;
            }
            let (within, grant) = match granted(cx, member) {
                Ok(grant) => (within, grant),
                // Who may read it sees at least the one whose compartment it is.
                Err(_) if member == ty => (Filter::Ids(vec![asked.id.into()]), asked.grant.clone()),
                Err(_) if types.is_none() => continue,
                Err(_) => {
                    let target = Target::Type(member.name);
                    let grant = self.authorize(cx, What::Operation, Action::Search, target);
                    (within, grant.await?)
                }
            };
            let filter = wanted.filter(member, within, &grant);
            ranges.push(Range { ty: member, filter });
        }
        ranges.sort_by_key(|range| (range.ty != ty, range.ty.name));
        Ok(ranges)
    }
}

fn granted(cx: &Context, ty: ResourceType) -> Result<Grant, salus_auth::Denied> {
    salus_auth::authorize(&cx.subject, cx.scope, Action::Search, Target::Type(ty.name))
}

/// The resources of the compartment on a page, and where the next begins.
async fn members(
    snapshot: &dyn Snapshot,
    ranges: &[Range],
    wanted: &Wanted,
    place: Place,
) -> Result<Page, Error> {
    let limit = wanted.count.unwrap_or(COUNT_MAX);
    let mut page = Page {
        members: Vec::new(),
        referred: Vec::new(),
        cut: false,
        next: None,
    };
    for (at, range) in ranges.iter().enumerate().skip(place.range) {
        let room = limit - page.members.len();
        let query = Query {
            kind: range.ty.kind,
            filter: range.filter.clone(),
            sort: Vec::new(),
            // Where the page is full, one says that there is another.
            limit: room.max(1),
            after: place.after.filter(|_| at == place.range),
            rows: Vec::new(),
        };
        let found = snapshot.find(&query).await?;
        let next = match room {
            0 if found.hits.is_empty() => continue,
            0 => Some(None),
            _ => found.next.map(Some),
        };
        if room > 0 {
            page.members
                .extend(found.hits.into_iter().map(|hit| hit.record));
        }
        if let Some(after) = next {
            page.next = Some(Place { range: at, after });
            break;
        }
    }
    Ok(page)
}

fn referred(
    ty: ResourceType,
    mut ids: Vec<Box<str>>,
    grant: &Grant,
    wanted: &Wanted,
    room: usize,
) -> Query {
    ids.truncate(room);
    Query {
        kind: ty.kind,
        limit: ids.len(),
        filter: wanted.changed(vec![Filter::Ids(ids), grant.filter().clone()]),
        sort: Vec::new(),
        after: None,
        rows: Vec::new(),
    }
}

impl Wanted {
    fn of(arguments: &Arguments<'_>) -> Result<Self, Error> {
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
    fn text(&self) -> String {
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

    /// What is wanted of a type within a compartment.
    fn filter(&self, ty: ResourceType, within: Filter, grant: &Grant) -> Filter {
        let mut filters = vec![within];
        if *grant.filter() != Filter::Everything {
            filters.push(grant.filter().clone());
        }
        filters.extend(self.happened(ty));
        self.changed(filters)
    }

    /// All of these, of versions that are new enough.
    fn changed(&self, mut filters: Vec<Filter>) -> Filter {
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
            1 => filters.remove(0),
            _ => Filter::All(filters),
        }
    }

    /// What happened in the days asked for, or tells no day.
    fn happened(&self, ty: ResourceType) -> Option<Filter> {
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

impl Place {
    fn first() -> Self {
        Self {
            range: 0,
            after: None,
        }
    }

    fn is_first(self) -> bool {
        self.range == 0 && self.after.is_none()
    }

    /// As a cursor holds it: the range in two bytes, the position behind it.
    fn write(self) -> Vec<u8> {
        let mut bytes = (self.range as u16).to_be_bytes().to_vec();
        bytes.extend(self.after.map(cursor::put).unwrap_or_default());
        bytes
    }

    /// Reads what [`Self::write`] wrote; nothing is the first page.
    fn read(bytes: &[u8]) -> Result<Self, Error> {
        if bytes.is_empty() {
            return Ok(Self::first());
        }
        let (range, rest) = bytes.split_first_chunk().ok_or_else(cursor::unfit)?;
        Ok(Self {
            range: usize::from(u16::from_be_bytes(*range)),
            after: cursor::take(rest)?,
        })
    }
}

/// What the resources of a compartment refer to outside of it.
struct Outside<'c> {
    base: &'c str,
    /// The types of which a patient's records are.
    of_patients: HashSet<Kind>,
    /// The key of the patient whose records are shown.
    patient: Option<SealKey>,
    seen: HashSet<(Kind, Box<str>)>,
}

impl<'c> Outside<'c> {
    fn of(cx: &'c Context, ty: ResourceType, id: &str, members: &[Record]) -> Self {
        let of_patients = ResourceType::all().into_iter().filter(|ty| {
            let codes = definitions::r4().compartment("Patient", ty.name);
            ty.name == "Patient" || !codes.is_empty()
        });
        let patient = match ty.name {
            "Patient" => Some(SealKey::Patient(id.into())),
            _ => {
                let mut own = members.iter().filter(|record| record.kind == ty.kind);
                own.next().map(|record| record.seal.clone())
            }
        };
        Self {
            base: &cx.base,
            of_patients: of_patients.map(|ty| ty.kind).collect(),
            patient: patient.filter(|seal| *seal != SealKey::Scope),
            seen: members
                .iter()
                .map(|record| (record.kind, record.id.clone()))
                .collect(),
        }
    }

    /// What these refer to and was not seen before, by type.
    fn steps<'r>(
        &mut self,
        sources: impl IntoIterator<Item = &'r Record>,
    ) -> Vec<(ResourceType, Vec<Box<str>>)> {
        let mut steps: BTreeMap<&'static str, Vec<Box<str>>> = BTreeMap::new();
        for source in sources {
            let Content::Body(body) = &source.content else {
                continue;
            };
            each_local(body, self.base, |ty, id| {
                if self.seen.insert((ty.kind, id.into())) {
                    steps.entry(ty.name).or_default().push(id.into());
                }
            });
        }
        let typed = |(name, ids)| Some((ResourceType::named(name)?, ids));
        steps.into_iter().filter_map(typed).collect()
    }

    /// Records of other patients are not shown, whoever refers to them.
    fn admits(&self, record: &Record) -> bool {
        !self.of_patients.contains(&record.kind) || Some(&record.seal) == self.patient.as_ref()
    }
}

/// Visits what a resource refers to on this server, by type and id.
pub(super) fn each_local(body: &[u8], base: &str, mut visit: impl FnMut(ResourceType, &str)) {
    each_reference(body, |text| {
        let own = text.strip_prefix(base);
        let text = own.map_or(text, |rest| rest.trim_start_matches('/'));
        if let Some(local) = Local::parse(text)
            && let Some(ty) = ResourceType::named(local.ty)
        {
            visit(ty, local.id);
        }
    });
}

/// Visits the texts of all references in a resource. What is stored is valid
/// JSON, so a member is found without reading the rest; one whose name or
/// value has escapes is passed over.
fn each_reference(body: &[u8], mut visit: impl FnMut(&str)) {
    const NAME: &[u8] = b"\"reference\"";
    let mut rest = body;
    while let Some(at) = memchr::memmem::find(rest, NAME) {
        rest = &rest[at + NAME.len()..];
        let value = rest.trim_ascii_start();
        let Some(value) = value.strip_prefix(b":") else {
            continue;
        };
        let Some(value) = value.trim_ascii_start().strip_prefix(b"\"") else {
            continue;
        };
        let end = memchr::memchr(b'"', value).unwrap_or(value.len());
        if let Ok(text) = std::str::from_utf8(&value[..end]) {
            visit(text);
        }
    }
}

impl Page {
    /// The page as a Bundle; `whole` if there is no other.
    fn bundle(&self, cx: &Context, whole: bool, links: &[(&str, String)]) -> bytes::Bytes {
        let records = || {
            let members = self.members.iter().map(|record| (record, "match"));
            members.chain(self.referred.iter().map(|record| (record, "include")))
        };
        let bytes = records().map(|(record, _)| match &record.content {
            Content::Body(body) => body.len() + 160,
            Content::Deleted => 0,
        });
        let mut bundle = BundleWriter::new("searchset", bytes.sum());
        if whole {
            bundle.total(self.members.len() as u64);
        }
        bundle.links(links);
        for (record, mode) in records() {
            let (Some(ty), Content::Body(body)) = (ResourceType::of(record.kind), &record.content)
            else {
                continue;
            };
            let mut entry = bundle.begin_entry();
            entry.text("fullUrl", &format!("{}/{}/{}", cx.base, ty.name, record.id));
            entry.json("resource", body);
            entry.object("search", &[("mode", mode)]);
            entry.end();
        }
        if self.cut {
            let details =
                "there is more to refer to than one page may have; ask for less with _count";
            let issue = Issue::warning(IssueType::Incomplete, "", details);
            let mut entry = bundle.begin_entry();
            entry.json("resource", operation_outcome(&[issue]).as_bytes());
            entry.object("search", &[("mode", "outcome")]);
            entry.end();
        }
        bundle.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::each_reference;

    #[track_caller]
    fn check(body: &str, expect: &[&str]) {
        let mut found = Vec::new();
        each_reference(body.as_bytes(), |text| found.push(text.to_owned()));
        assert_eq!(found, expect, "{body}");
    }

    #[test]
    fn references_are_found_wherever_they_stand() {
        check(r#"{"subject":{"reference":"Patient/1"}}"#, &["Patient/1"]);
        check(
            "{\"a\":[{\"reference\" :\n \"A/1\"},{\"b\":{\"reference\":\"B/2\"}}]}",
            &["A/1", "B/2"],
        );
    }

    #[test]
    fn texts_and_other_values_are_no_references() {
        check(r#"{"code":"reference"}"#, &[]);
        check(r#"{"text":"\"reference\":\"Patient/1\""}"#, &[]);
        check(r#"{"reference":{"reference":"A/1"}}"#, &["A/1"]);
        check(r#"{"reference"#, &[]);
        check(r#"{"reference":"A/1"#, &["A/1"]);
    }
}
