//! `$everything`: <https://hl7.org/fhir/R4/patient-operation-everything.html>,
//! <https://hl7.org/fhir/R4/encounter-operation-everything.html>.
//!
//! The resources of the compartment, or of those of all patients, type by
//! type, and then what they refer to outside of it, each resource once. Each
//! type is within the grant for it, so what the caller may not find is not
//! there. All pages show one snapshot. What is referred to stands on the last
//! page of the compartment and behind it; where that is not the only page, the
//! compartment is walked through once more for it, since nothing is kept
//! between requests.

mod outside;
mod page;
mod walk;
mod wanted;

use salus_auth::{Action, Grant, Target};
use salus_store::{At, Content, Filter, Query, Record, SealKey, Snapshot};

use super::parameters::Arguments;
use super::{Asked, Code, Level, Operation, Parameter, reply};
use crate::Service;
use crate::audit::entry::What;
use crate::context::Context;
use crate::cursor::{self, Beside, Cursor};
use crate::error::{Error, Kind as ErrorKind};
use crate::fhir::reply::Reply;
use crate::fhir::search::{self, compartment, compartments_of, hides_compartment};
use crate::fhir::types::ResourceType;

use outside::Outside;
pub(super) use outside::each_local;
use page::{Page, Place};
use walk::Range;
use wanted::Wanted;

pub(super) static PATIENT: Operation = Operation {
    name: "everything",
    definition: "http://hl7.org/fhir/OperationDefinition/Patient-everything",
    types: &["Patient"],
    level: &[Level::Type, Level::Instance],
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
const REFERRED_ON_PAGE: usize = 1000;
/// Resources beside them on all pages at most.
const REFERRED_MAX: usize = 10_000;
/// Resources of compartments that are looked through for what they refer to.
const LOOKED_THROUGH_MAX: usize = 100_000;
/// How far references are followed out of the compartment.
const ROUNDS: usize = 3;
const PURPOSE: &str = "everything";

/// The types of a compartment.
#[derive(Default)]
struct Ranges {
    shown: Vec<Range>,
    /// Those that are not wanted, where what they refer to is.
    others: Vec<Range>,
}

impl Service {
    pub(super) async fn everything(&self, cx: &Context, asked: &Asked<'_>) -> Result<Reply, Error> {
        let ty = asked.ty()?;
        let path = match asked.id {
            "" => format!("{}/$everything", ty.name),
            id => format!("{}/{id}/$everything", ty.name),
        };
        let (wanted, at, place) = match asked.arguments.cursor {
            None => {
                let wanted = Wanted::of(&asked.arguments)?;
                (wanted, At::Now, Place::read(&[])?)
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
        let snapshot = self.snapshot_at(cx, at).await?;
        let patient = match asked.id {
            "" => None,
            _ => self.whose(&*snapshot, asked, ty).await?,
        };
        let ranges = self.ranges(cx, asked, ty, &wanted).await?;
        // Whose it is may be hidden from the one asking.
        let patient = patient.filter(|_| !hides_compartment(cx.subject.hidden(), "Patient", ty));
        let outside = Outside::of(cx, patient);
        let page = gather(cx, &*snapshot, (&ranges, outside), &wanted, place).await?;
        let query = wanted.text();
        let mut entry = asked.entry(cx, &query);
        entry.shows(page.members.iter().chain(&page.referred));
        self.record(cx, entry).await?;
        let url = format!("{}/{path}", cx.base);
        let question = if query.is_empty() { "" } else { "?" };
        let mut links = vec![("self", format!("{url}{question}{query}"))];
        let beside = Beside {
            previous: page.previous.map(Place::write),
            next: page.next.map(Place::write),
            last: None,
        };
        let of = Cursor {
            seq: snapshot.seq(),
            request: format!("{path}?{query}"),
            position: Vec::new(),
        };
        let others = cursor::links(&self.cursor_key, cx, PURPOSE, &of, (&url, &beside))?;
        links.extend(others);
        Ok(reply(page.bundle(cx, beside.is_none(), &links)))
    }

    /// The one whose compartment it is must be there, for the one asking.
    /// Gives the key of the patient whose records are shown.
    async fn whose(
        &self,
        snapshot: &dyn Snapshot,
        asked: &Asked<'_>,
        ty: ResourceType,
    ) -> Result<Option<SealKey>, Error> {
        self.check_visible(snapshot, &asked.grant, ty, asked.id)
            .await?;
        let record = snapshot.get(ty.kind, asked.id).await?;
        let record = record.ok_or_else(crate::fhir::read::absent)?;
        let seal = match (&record.content, ty.name) {
            (Content::Deleted, _) => {
                let details = "this resource has been deleted";
                return Err(Error::new(ErrorKind::Gone, details));
            }
            (Content::Body(_), "Patient") => SealKey::Patient(asked.id.into()),
            (Content::Body(_), _) => record.seal,
        };
        Ok(Some(seal).filter(|seal| *seal != SealKey::Scope))
    }

    /// The types of the compartment, its own first. A type that was named and
    /// may not be searched is a refusal.
    async fn ranges(
        &self,
        cx: &Context,
        asked: &Asked<'_>,
        ty: ResourceType,
        wanted: &Wanted,
    ) -> Result<Ranges, Error> {
        for named in wanted.types.iter().flatten().filter(|named| **named != ty) {
            let target = Target::Type(named.name);
            self.authorize(cx, What::Operation, Action::Search, target)
                .await?;
        }
        let mut ranges = Ranges::default();
        let all = match asked.id {
            "" => compartments_of(ty, asked.grant.filter()),
            id => compartment(ty.name, id)?,
        };
        for (member, within) in all {
            let within = match hides_compartment(cx.subject.hidden(), ty.name, member) {
                false => within,
                // Whose it is may be hidden, but not that it is its own.
                true if member == ty && asked.id.is_empty() => asked.grant.filter().clone(),
                true if member == ty => Filter::Ids(vec![asked.id.into()]),
                true => continue,
            };
            let (within, grant) = match granted(cx, member) {
                Ok(grant) => (within, grant),
                // Who may read it sees at least the one whose compartment it is.
                Err(_) if member == ty => (Filter::Ids(vec![asked.id.into()]), asked.grant.clone()),
                Err(_) => continue,
            };
            let filter = wanted.filter(member, within, &grant);
            let range = Range { ty: member, filter };
            match wanted.names(member) {
                true => ranges.shown.push(range),
                false => ranges.others.push(range),
            }
        }
        ranges
            .shown
            .sort_by_key(|range| (range.ty != ty, range.ty.name));
        if wanted
            .types
            .iter()
            .flatten()
            .all(|named| ranges.has(*named))
        {
            ranges.others.clear();
        }
        Ok(ranges)
    }
}

impl Ranges {
    fn has(&self, ty: ResourceType) -> bool {
        self.shown.iter().any(|range| range.ty == ty)
    }
}

fn granted(cx: &Context, ty: ResourceType) -> Result<Grant, salus_auth::Denied> {
    salus_auth::authorize(&cx.subject, cx.scope, Action::Search, Target::Type(ty.name))
}

/// What a page shows.
async fn gather(
    cx: &Context,
    snapshot: &dyn Snapshot,
    (ranges, mut outside): (&Ranges, Outside<'_>),
    wanted: &Wanted,
    place: Place,
) -> Result<Page, Error> {
    let limit = wanted.count.unwrap_or(COUNT_MAX);
    let (start, part) = match place {
        Place::UpTo(end) => {
            let (members, start) = walk::backward(snapshot, &ranges.shown, end, limit).await?;
            return Ok(Page {
                members,
                previous: start.map(Place::UpTo),
                next: Some(Place::From(end, 0)),
                ..Page::default()
            });
        }
        Place::From(start, part) => (start, part),
    };
    let mut page = Page::default();
    if part == 0 {
        let (members, next) = walk::forward(snapshot, &ranges.shown, start, limit).await?;
        page.members = members;
        page.previous = (!start.is_first()).then_some(Place::UpTo(start));
        page.next = next.map(|next| Place::From(next, 0));
        if page.next.is_some() {
            return Ok(page);
        }
    }
    if part == 0 && start.is_first() {
        outside.take(&page.members);
    } else {
        page.cut = look_through(snapshot, &ranges.shown, &mut outside).await?;
    }
    page.cut |= look_through(snapshot, &ranges.others, &mut outside).await?;
    let (mut all, cut) = referred(cx, snapshot, wanted, &mut outside).await?;
    page.cut |= cut;
    let before = (part as usize).saturating_mul(REFERRED_ON_PAGE);
    all.drain(..before.min(all.len()));
    if all.len() > REFERRED_ON_PAGE {
        page.next = Some(Place::From(start, part + 1));
    }
    if let Some(part) = part.checked_sub(1) {
        page.previous = Some(Place::From(start, part));
    }
    all.truncate(REFERRED_ON_PAGE);
    page.referred = all;
    Ok(page)
}

/// Takes note of all in these ranges, and says whether it was too much.
async fn look_through(
    snapshot: &dyn Snapshot,
    ranges: &[Range],
    outside: &mut Outside<'_>,
) -> Result<bool, Error> {
    let (mut place, mut looked_through) = (Some(walk::Start::FIRST), 0);
    while let Some(start) = place {
        if looked_through >= LOOKED_THROUGH_MAX {
            return Ok(true);
        }
        let (members, next) = walk::forward(snapshot, ranges, start, COUNT_MAX).await?;
        outside.take(&members);
        looked_through += members.len();
        place = next;
    }
    Ok(false)
}

/// What was referred to, what that refers to and so on, in an order that is
/// the same each time; and whether there was more.
async fn referred(
    cx: &Context,
    snapshot: &dyn Snapshot,
    wanted: &Wanted,
    outside: &mut Outside<'_>,
) -> Result<(Vec<Record>, bool), Error> {
    let (mut all, mut cut) = (Vec::new(), false);
    for _ in 0..ROUNDS {
        let before = all.len();
        for (ty, mut ids) in outside.steps() {
            let Ok(grant) = granted(cx, ty) else { continue };
            let room = REFERRED_MAX - all.len();
            cut |= ids.len() > room;
            ids.truncate(room);
            let query = Query {
                kind: ty.kind,
                limit: ids.len(),
                filter: wanted.changed(vec![Filter::Ids(ids), grant.filter().clone()]),
                sort: Vec::new(),
                after: None,
                rows: Vec::new(),
            };
            let hits = snapshot.find(&query).await?.hits.into_iter();
            let records = hits.map(|hit| hit.record);
            all.extend(records.filter(|record| outside.admits(record)));
        }
        outside.take(&all[before..]);
    }
    if let Some(types) = &wanted.types {
        let is_wanted = |record: &Record| types.iter().any(|ty| ty.kind == record.kind);
        all.retain(is_wanted);
    }
    Ok((all, cut))
}
