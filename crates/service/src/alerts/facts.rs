//! What rules have to know of users and patients, read from the project.
//!
//! It stays in this room: an alert says which rule was met, not by what.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use salus_auth::record::{Profile, ProfileType, User};
use salus_fhir::json::{Document, Limits, Node};
use salus_fhir::search::fold;
use salus_store::{AuditQuery, Content, Kind, Seq, Snapshot};

use super::rules::{Chart, Event, Facts, Person};
use crate::error::Error;
use crate::records::read;

const PATIENT: Kind = Kind::named("Patient");
/// Patients of an entry that are looked at; what shows more is found by their number.
const PATIENTS_MAX: usize = 50;
/// People that are remembered for a round.
const KNOWN_MAX: usize = 5_000;

/// What was read in a round.
#[derive(Default)]
pub(super) struct Known {
    users: HashMap<Box<str>, Arc<Somebody>>,
    charts: HashMap<Box<str>, Chart>,
}

/// A user.
#[derive(Default)]
struct Somebody {
    person: Person,
    own: HashSet<Box<str>>,
}

impl Known {
    /// What rules have to know of an entry, which is the one at `seq`.
    pub(super) async fn facts(
        &mut self,
        snapshot: &dyn Snapshot,
        (seq, event): (Seq, Event<'_>),
    ) -> Result<Facts, Error> {
        let Some(user) = event.user().filter(|_| event.needs_facts()) else {
            return Ok(Facts::default());
        };
        if self.users.len() + self.charts.len() > KNOWN_MAX {
            *self = Self::default();
        }
        let somebody = self.user(snapshot, user).await?;
        let mut charts = BTreeMap::new();
        for id in event.patients().take(PATIENTS_MAX) {
            let mut chart = self.chart(snapshot, id).await?;
            chart.before_ms = before(snapshot, id, seq).await?;
            charts.insert(id.into(), chart);
        }
        Ok(Facts {
            user: somebody.person.clone(),
            own: somebody.own.clone(),
            charts,
        })
    }

    async fn user(&mut self, snapshot: &dyn Snapshot, id: &str) -> Result<Arc<Somebody>, Error> {
        if let Some(known) = self.users.get(id) {
            return Ok(Arc::clone(known));
        }
        let mut somebody = Somebody::default();
        let record = snapshot.get(<User as salus_auth::record::SystemRecord>::KIND, id);
        if let Some(user) = read::<User>(record.await?.as_ref())? {
            for profile in &user.value.profiles {
                let kind = Kind::named(profile.ty.name());
                if let Some(document) = document(snapshot, kind, &profile.id).await? {
                    add(&mut somebody.person, document.root());
                }
                if profile.ty == ProfileType::Patient {
                    somebody.own.insert(profile.id.clone());
                }
            }
        }
        let somebody = Arc::new(somebody);
        self.users.insert(id.into(), Arc::clone(&somebody));
        Ok(somebody)
    }

    async fn chart(&mut self, snapshot: &dyn Snapshot, id: &str) -> Result<Chart, Error> {
        if let Some(known) = self.charts.get(id) {
            return Ok(known.clone());
        }
        let mut chart = Chart::default();
        if let Some(document) = document(snapshot, PATIENT, id).await? {
            add(&mut chart.person, document.root());
            chart.labels = labels(document.root());
        }
        let profile = Profile {
            ty: ProfileType::Patient,
            id: id.into(),
        };
        let users = snapshot.find(&User::with_profile(&profile)).await?;
        chart.is_user = !users.hits.is_empty();
        self.charts.insert(id.into(), chart.clone());
        Ok(chart)
    }
}

/// When the entry about a patient was made that came before one.
async fn before(snapshot: &dyn Snapshot, id: &str, seq: Seq) -> Result<Option<i64>, Error> {
    let query = AuditQuery {
        about: Some((PATIENT, id.into())),
        after: Some(seq),
        limit: 1,
        ..AuditQuery::default()
    };
    let found = snapshot.audit(&query).await?;
    Ok(found.first().map(|record| record.time_ms))
}

async fn document(
    snapshot: &dyn Snapshot,
    kind: Kind,
    id: &str,
) -> Result<Option<Document>, Error> {
    let Some(record) = snapshot.get(kind, id).await? else {
        return Ok(None);
    };
    let Content::Body(body) = record.content else {
        return Ok(None);
    };
    Ok(Document::parse(body.into(), &Limits::default()).ok())
}

fn add(person: &mut Person, resource: Node<'_>) {
    for name in items(resource, "name") {
        if let Some(family) = text(name, "family") {
            person.families.insert(family);
        }
    }
    for address in items(resource, "address") {
        // A street alone, or a city alone, is shared by many.
        let line = items(address, "line").next().and_then(Node::str);
        let line = line
            .map(|line| folded(&line))
            .filter(|line| !line.is_empty());
        let place = text(address, "postalCode").or_else(|| text(address, "city"));
        if let (Some(line), Some(place)) = (line, place) {
            person.addresses.insert(format!("{line} {place}"));
        }
    }
}

fn labels(resource: Node<'_>) -> Vec<String> {
    let meta = resource.get("meta");
    let labels = meta.into_iter().flat_map(|meta| items(meta, "security"));
    let label = |coding: Node<'_>| {
        let part = |name| coding.get(name).and_then(Node::str).unwrap_or_default();
        format!("{}|{}", part("system"), part("code"))
    };
    labels.map(label).collect()
}

fn items<'a>(node: Node<'a>, name: &str) -> impl Iterator<Item = Node<'a>> {
    node.get(name).into_iter().flat_map(Node::children)
}

fn text(node: Node<'_>, name: &str) -> Option<String> {
    let text = folded(&node.get(name)?.str()?);
    (!text.is_empty()).then_some(text)
}

fn folded(text: &str) -> String {
    fold(text).trim().to_owned()
}
