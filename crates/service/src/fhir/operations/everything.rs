//! `$everything`: <https://hl7.org/fhir/R4/patient-operation-everything.html>,
//! <https://hl7.org/fhir/R4/encounter-operation-everything.html>.
//!
//! The resources of the compartment, type by type, and what they refer to
//! outside of it. Each type is within the grant for it, so what the caller may
//! not find is not there. All pages show one snapshot; each has what its own
//! resources refer to.

mod outside;
mod page;
mod wanted;

use salus_auth::{Action, Grant, Target};
use salus_store::{At, Content, Filter, Query, Record, Snapshot};

use super::parameters::Arguments;
use super::{Asked, Code, Level, Operation, Parameter, reply};
use crate::Service;
use crate::audit::entry::What;
use crate::context::Context;
use crate::cursor::{self, Beside, Cursor};
use crate::error::{Error, Kind as ErrorKind};
use crate::fhir::reply::Reply;
use crate::fhir::search::{self, compartment};
use crate::fhir::types::ResourceType;

use outside::Outside;
pub(super) use outside::each_local;
use page::{Page, Place};
use wanted::Wanted;

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

/// The resources of a compartment of one type.
struct Range {
    ty: ResourceType,
    filter: Filter,
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
