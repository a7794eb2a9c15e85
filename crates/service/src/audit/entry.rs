//! An audit entry in its stored form, version 3.
//!
//! One byte of version, then fields in order, packed as in `packed.rs`. The time is the store's own; see
//! `event` for the entry as FHIR shows it. Entries are written on
//! every request, so they are small and cheap to make: what there is to say of who
//! asked is made once, with the subject, and shared.
//!
//! | version | behind the address |
//! |---|---|
//! | 1 | nothing |
//! | 2 | code of the purpose of use |
//! | 3 | that code or an empty text; name, roles, profile, app, its name, session, recipient, its address and basis |

use std::borrow::Cow;
use std::collections::HashSet;
use std::io::Write;
use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use salus_auth::{Agent, Exception, PurposeOfUse, Recipient, Subject};
use salus_store::{AuditEntry, Kind, Record, SealKey};

use crate::context::{Context, RequestId};
use crate::fhir::types::ResourceType;
use crate::packed::{Reader, put_number, put_text};

const VERSION: u8 = 3;
/// Versions that say of who asked the kind and the id only.
const WITH_PURPOSE: u8 = 2;
const WITHOUT_PURPOSE: u8 = 1;
const PATIENT: Kind = Kind::named("Patient");

/// What was asked, as a code of FHIR's restful interactions or of our own operations.
///
/// The number is the stored form: never reuse one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum What {
    /// `read`
    Read = 1,
    /// `vread`
    Vread = 2,
    /// `history-instance`
    HistoryInstance = 3,
    /// `history-type`
    HistoryType = 4,
    /// `history-system`
    HistorySystem = 5,
    /// `search-type`
    Search = 6,
    /// `create`
    Create = 7,
    /// `update`
    Update = 8,
    /// `delete`
    Delete = 9,
    /// `transaction`
    Transaction = 10,
    /// `batch`
    Batch = 11,
    /// A user or client proved who they are, or failed to.
    SignIn = 12,
    /// Something about projects, users or clients was read.
    AdminRead = 13,
    /// Something about projects, users or clients was changed.
    AdminWrite = 14,
    /// A request without a valid token.
    Unauthenticated = 15,
    /// `operation`; which one is in the query.
    Operation = 16,
    /// `patch`
    Patch = 17,
    /// The glass was broken for a patient, or mended.
    BreakGlass = 18,
    /// A key was made. Which one is an entity: `Key`, and what it is for.
    KeyMade = 19,
    /// A key got a successor, or was wrapped by another.
    KeyRotated = 20,
    /// A key was destroyed, and with it what it sealed.
    KeyDestroyed = 21,
    /// A key left the keyring.
    KeyExported = 22,
    /// The server began to serve.
    SystemStart = 23,
    /// The server stopped in order.
    SystemStop = 24,
    /// Data came back from an archive or a backup.
    SystemRestore = 25,
    /// A check of the data found something.
    SystemCheck = 26,
    /// Records were disclosed to somebody outside.
    Disclosure = 27,
    /// A policy was made, changed or removed.
    PolicyChange = 28,
    /// A setting of a project or of the server was changed.
    SettingChange = 29,
    /// Somebody consented: a patient, or a user to what an app asked for.
    ConsentGiven = 30,
    /// A consent ended.
    ConsentWithdrawn = 31,
    /// Records were put into files to be taken away.
    Export = 32,
    /// Records were put under legal hold.
    HoldPlaced = 33,
    /// A legal hold ended.
    HoldLifted = 34,
    /// Records were disposed of since their retention is over.
    Disposal = 35,
    /// All that is held of a patient was made unreadable.
    Shred = 36,
    /// Somebody's session ended.
    SignOut = 37,
    /// An agency is left out of accountings of disclosures for a time.
    DisclosuresSuspended = 38,
    /// The operator had an archive merged or pruned, or a base of it taken; which is in the query.
    ArchiveKept = 44,
    /// Records were moved to cold storage.
    ColdMoved = 45,
    /// A record was brought back from cold storage.
    ColdRetrieved = 46,
    /// An archive was restored for trial, or should have been.
    SystemDrill = 50,
}

/// In front of the rule that allowed what was done while the glass was broken.
pub(super) const EMERGENCY: &str = "break-glass: ";

impl What {
    const ALL: [Self; 42] = [
        Self::Read,
        Self::Vread,
        Self::HistoryInstance,
        Self::HistoryType,
        Self::HistorySystem,
        Self::Search,
        Self::Create,
        Self::Update,
        Self::Delete,
        Self::Transaction,
        Self::Batch,
        Self::SignIn,
        Self::AdminRead,
        Self::AdminWrite,
        Self::Unauthenticated,
        Self::Operation,
        Self::Patch,
        Self::BreakGlass,
        Self::KeyMade,
        Self::KeyRotated,
        Self::KeyDestroyed,
        Self::KeyExported,
        Self::SystemStart,
        Self::SystemStop,
        Self::SystemRestore,
        Self::SystemCheck,
        Self::Disclosure,
        Self::PolicyChange,
        Self::SettingChange,
        Self::ConsentGiven,
        Self::ConsentWithdrawn,
        Self::Export,
        Self::HoldPlaced,
        Self::HoldLifted,
        Self::Disposal,
        Self::Shred,
        Self::SignOut,
        Self::DisclosuresSuspended,
        Self::ArchiveKept,
        Self::ColdMoved,
        Self::ColdRetrieved,
        Self::SystemDrill,
    ];

    fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|what| *what as u8 == number)
    }
}

/// How it went, after <https://hl7.org/fhir/R4/valueset-audit-event-outcome.html>.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Outcome {
    /// Allowed and done.
    Success = 0,
    /// Refused, or not possible as asked.
    Refused = 4,
    /// Failed on our side.
    Failed = 8,
}

/// A record that an entry is about.
#[derive(Clone, PartialEq, Eq)]
pub struct Entity {
    /// The resource type, or another name for what it is.
    pub ty: Cow<'static, str>,
    /// Its id.
    pub id: Box<str>,
    /// Its version, or 0.
    pub version: u64,
}
salus_phi::guard!(Entity);

/// One decision and what came of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Entry {
    /// What was asked.
    pub what: What,
    /// How it went.
    pub outcome: Outcome,
    /// Who asked: `Administrator/1f3c`, `Client/demo`, `Anonymous`.
    pub agent: Box<str>,
    /// More of them, if they are still this agent.
    pub(crate) by: Arc<Agent>,
    /// The rule that allowed or refused it.
    pub rule: Box<str>,
    /// The request.
    pub request_id: RequestId,
    /// Where it came from.
    pub remote: Option<IpAddr>,
    /// The type asked for, where there is one.
    pub ty: Box<str>,
    /// The search as it was asked, the name of an operation, or the reason of
    /// what is neither: sealed with the entry, never logged.
    pub query: Box<str>,
    /// What it was done for, if that is known.
    pub purpose: Option<PurposeOfUse>,
    /// The records concerned: read, found or written.
    pub entities: Vec<Entity>,
    /// The records by which it is found: kept by the store, not in the entry.
    pub(crate) about: Vec<(Kind, Box<str>)>,
}
salus_phi::guard!(Entry);

impl Entry {
    /// An entry for what `cx` asked, about nothing yet.
    #[must_use]
    pub fn new(cx: &Context, what: What, outcome: Outcome, rule: &str) -> Self {
        let rule = match cx.subject.emergency(cx.now_ms) {
            Some(_) => format!("{EMERGENCY}{rule}").into(),
            None => rule.into(),
        };
        Self {
            what,
            outcome,
            agent: cx.subject.label().into(),
            by: Arc::clone(cx.subject.agent()),
            rule,
            request_id: cx.request_id,
            remote: cx.remote,
            ty: "".into(),
            query: "".into(),
            purpose: cx.subject.purpose(),
            entities: Vec::new(),
            about: Vec::new(),
        }
    }

    /// An entry for what the operator did outside requests, about nothing.
    #[must_use]
    pub(crate) fn by_operator(what: What) -> Self {
        let operator = Subject::operator();
        Self {
            what,
            outcome: Outcome::Success,
            agent: operator.label().into(),
            by: Arc::clone(operator.agent()),
            rule: "operator".into(),
            request_id: RequestId(0),
            remote: None,
            ty: "".into(),
            query: "".into(),
            purpose: None,
            entities: Vec::new(),
            about: Vec::new(),
        }
    }

    /// Adds records that are about to be shown.
    pub fn shows<'r>(&mut self, records: impl IntoIterator<Item = &'r Record>) {
        for record in records {
            let entity = Entity {
                ty: ResourceType::of(record.kind)
                    .map_or("", |ty| ty.name)
                    .into(),
                id: record.id.clone(),
                version: record.version,
            };
            self.concerns(entity, record.kind, &record.seal);
        }
    }

    /// Adds a record: the entry is found by its patient, or by itself.
    pub(crate) fn concerns(&mut self, entity: Entity, kind: Kind, seal: &SealKey) {
        self.about.push(match seal {
            SealKey::Patient(patient) => (PATIENT, patient.clone()),
            SealKey::Scope => (kind, entity.id.clone()),
        });
        self.entities.push(entity);
    }

    /// The entry for the store.
    #[must_use]
    pub fn seal(mut self) -> AuditEntry {
        self.about.sort_unstable();
        self.about.dedup();
        self.name_patients();
        AuditEntry {
            body: self.encode(),
            about: self.about,
        }
    }

    /// Adds the patients whose records these are, as IHE BALP wants it.
    fn name_patients(&mut self) {
        let named = self.entities.iter().filter(|entity| entity.ty == "Patient");
        let named: HashSet<&str> = named.map(|entity| &*entity.id).collect();
        let about = self.about.iter();
        let missing = about.filter(|(kind, id)| *kind == PATIENT && !named.contains(&**id));
        let missing: Vec<Entity> = missing
            .map(|(_, id)| Entity {
                ty: "Patient".into(),
                id: id.clone(),
                version: 0,
            })
            .collect();
        self.entities.extend(missing);
    }

    /// What is known of who asked; nothing if the entry is of another than the request.
    pub(super) fn by(&self) -> Option<&Agent> {
        (self.by.label == self.agent).then_some(&*self.by)
    }

    /// Somebody outside who learned what the entry says, if it is one who did.
    pub(super) fn recipient(&self) -> Option<&Recipient> {
        self.by().and_then(|by| by.recipient.as_ref())
    }

    fn encode(&self) -> Bytes {
        let mut out = Vec::with_capacity(192 + self.query.len() + self.entities.len() * 64);
        out.extend_from_slice(&[VERSION, self.what as u8, self.outcome as u8]);
        out.extend_from_slice(&self.request_id.0.to_be_bytes());
        for text in [&self.agent, &self.rule, &self.ty, &self.query] {
            put_text(&mut out, text);
        }
        put_address(&mut out, self.remote);
        put_text(&mut out, self.purpose.map_or("", |purpose| purpose.code()));
        put_agent(&mut out, self.by());
        put_number(&mut out, self.entities.len() as u64);
        for entity in &self.entities {
            put_text(&mut out, &entity.ty);
            put_text(&mut out, &entity.id);
            put_number(&mut out, entity.version);
        }
        out.into()
    }

    /// Reads the stored form; `None` if it is not one.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (&[version, what, outcome], rest) = bytes.split_first_chunk::<3>()?;
        let (request_id, rest) = rest.split_first_chunk::<8>()?;
        let mut from = Reader(rest);
        let (agent, rule) = (from.text()?, from.text()?);
        let (ty, query, remote) = (from.text()?, from.text()?, from.text()?);
        let purpose = match version {
            WITHOUT_PURPOSE => None,
            WITH_PURPOSE | VERSION => match from.text()? {
                "" if version == VERSION => None,
                code => Some(PurposeOfUse::parse(code)?),
            },
            _ => return None,
        };
        let by = match version {
            VERSION => take_agent(agent, &mut from)?,
            _ => Agent::named(agent),
        };
        let count = from.number()?;
        let mut entities = Vec::new();
        for _ in 0..count {
            entities.push(Entity {
                ty: from.text()?.to_owned().into(),
                id: from.text()?.into(),
                version: from.number()?,
            });
        }
        from.is_done().then_some(())?;
        Some(Self {
            what: What::from_number(what)?,
            outcome: match outcome {
                0 => Outcome::Success,
                4 => Outcome::Refused,
                8 => Outcome::Failed,
                _ => return None,
            },
            agent: agent.into(),
            by: Arc::new(by),
            rule: rule.into(),
            request_id: RequestId(u64::from_be_bytes(*request_id)),
            remote: remote.parse().ok(),
            ty: ty.into(),
            query: query.into(),
            purpose,
            entities,
            about: Vec::new(),
        })
    }
}

/// Appends what is known of who asked; kind and id stand before.
fn put_agent(out: &mut Vec<u8>, by: Option<&Agent>) {
    let Some(by) = by else {
        out.extend_from_slice(&[0; 9]);
        return;
    };
    for text in [
        &by.name,
        &by.roles,
        &by.profile,
        &by.app,
        &by.app_name,
        &by.session,
    ] {
        put_text(out, text);
    }
    let recipient = by.recipient.as_ref();
    put_text(out, recipient.map_or("", |one| &one.name));
    put_text(out, recipient.map_or("", |one| &one.address));
    let basis = recipient.and_then(|one| one.basis);
    put_text(out, basis.map_or("", Exception::name));
}

fn take_agent(label: &str, from: &mut Reader<'_>) -> Option<Agent> {
    let mut text = || from.text().map(Box::from);
    let agent = Agent {
        label: label.into(),
        name: text()?,
        roles: text()?,
        profile: text()?,
        app: text()?,
        app_name: text()?,
        session: text()?,
        recipient: None,
    };
    let (name, address, basis) = (text()?, text()?, text()?);
    let basis = match &*basis {
        "" => None,
        name => Some(Exception::named(name)?),
    };
    let recipient = (!name.is_empty()).then_some(Recipient {
        name,
        address,
        basis,
    });
    Some(Agent { recipient, ..agent })
}

/// Appends an address as a text, or an empty one.
fn put_address(out: &mut Vec<u8>, address: Option<IpAddr>) {
    let at = out.len();
    // Its length, below 128, is one byte.
    out.push(0);
    if let Some(address) = address {
        // Writing to a Vec cannot fail.
        let _ = write!(out, "{address}");
    }
    out[at] = (out.len() - at - 1) as u8;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> Entry {
        Entry {
            what: What::Search,
            outcome: Outcome::Success,
            agent: "Client/demo".into(),
            by: Arc::new(Agent {
                name: "Demo".into(),
                roles: "a b".into(),
                recipient: Some(Recipient {
                    name: "Elsewhere".into(),
                    address: "".into(),
                    basis: Some(Exception::LimitedDataSet),
                }),
                ..Agent::named("Client/demo")
            }),
            rule: "scope system/*.rs".into(),
            request_id: RequestId(7),
            remote: Some([127, 0, 0, 1].into()),
            ty: "Patient".into(),
            query: "name=x".into(),
            purpose: Some(PurposeOfUse::TREAT),
            entities: vec![Entity {
                ty: "Patient".into(),
                id: "1".into(),
                version: 300,
            }],
            about: Vec::new(),
        }
    }

    #[test]
    fn reads_what_it_wrote() {
        assert_eq!(Entry::decode(&entry().encode()), Some(entry()));
        let without = Entry {
            purpose: None,
            ..entry()
        };
        assert_eq!(Entry::decode(&without.encode()), Some(without));
        let of_another = Entry {
            agent: "User/u".into(),
            by: Agent::named("User/u").into(),
            ..entry()
        };
        let mixed = Entry {
            by: entry().by,
            ..of_another.clone()
        };
        assert_eq!(Entry::decode(&mixed.encode()), Some(of_another));
    }

    #[test]
    fn reads_what_older_versions_wrote() {
        let bare = |version: u8, purpose: &[u8]| {
            let mut bytes = vec![version, 1, 0, 0, 0, 0, 0, 0, 0, 0, 7];
            bytes.extend_from_slice(b"\x08Client/a\x01r\0\0\0");
            bytes.extend_from_slice(purpose);
            bytes.extend_from_slice(b"\x01\x07Patient\x01p\x02");
            bytes
        };
        let old = Entry::decode(&bare(1, b"")).unwrap();
        assert_eq!((&*old.agent, old.purpose), ("Client/a", None));
        assert_eq!((&*old.entities[0].id, old.entities[0].version), ("p", 2));
        let second = Entry::decode(&bare(2, b"\x05TREAT")).unwrap();
        assert_eq!(second.purpose, Some(PurposeOfUse::TREAT));
        assert_eq!(Entry::decode(&bare(2, b"\0")), None);
    }

    #[test]
    fn refuses_every_truncation() {
        let bytes = entry().encode();
        for end in 0..bytes.len() {
            assert_eq!(Entry::decode(&bytes[..end]), None, "cut at {end}");
        }
    }
}
