//! An audit entry as a FHIR AuditEvent, after IHE BALP
//! (<https://profiles.ihe.net/ITI/BALP/>): type `rest` and the interaction as subtype, who
//! asked, the app and the server with their addresses, the request's id, and every record
//! concerned with its patient. `agents` has the agents.

use base64ct::{Base64, Encoding};
use salus_auth::{PURPOSE_SYSTEM, PurposeOfUse};
use salus_fhir::json::write::string;
use salus_store::{AuditRecord, Seq};

use super::agents::agents;
use super::entry::{EMERGENCY, Entity, Entry, Outcome, What};
use crate::fhir::types::ResourceType;

const TYPES: &str = "http://terminology.hl7.org/CodeSystem/audit-event-type";
const INTERACTIONS: &str = "http://hl7.org/fhir/restful-interaction";
pub(super) const DICOM: &str = "http://dicom.nema.org/resources/ontology/DCM";
/// Life cycle of records: <http://terminology.hl7.org/CodeSystem/iso-21089-lifecycle>
const LIFECYCLE: &str = "http://terminology.hl7.org/CodeSystem/iso-21089-lifecycle";
/// Application Activity, of DICOM's types of events.
const APPLICATION_ACTIVITY: &str = "110100";
const EXPORT: &str = "110106";
const PATIENT_RECORD: &str = "110110";
const SECURITY_ALERT: &str = "110113";
const USER_AUTHENTICATION: &str = "110114";
/// What no other code system has a subtype for.
const OWN_SUBTYPES: &str = "urn:salus:audit-event-subtype";
const OBJECT_TYPES: &str = "http://terminology.hl7.org/CodeSystem/audit-entity-type";
const OBJECT_ROLES: &str = "http://terminology.hl7.org/CodeSystem/object-role";
const BALP_ENTITIES: &str = "https://profiles.ihe.net/ITI/BALP/CodeSystem/BasicAuditEntityType";

/// The id of an entry as a resource.
pub(super) fn id(seq: Seq) -> String {
    seq.0.to_string()
}

/// The reverse of [`id`].
pub(super) fn seq(id: &str) -> Option<Seq> {
    let number: u64 = id.parse().ok()?;
    (number.to_string() == id).then_some(Seq(number))
}

/// The AuditEvent of an entry, of a project with this endpoint.
pub(super) fn text(record: &AuditRecord, entry: &Entry, base: &str) -> String {
    let recorded = crate::time::instant(record.time_ms);
    let mut out = String::with_capacity(1600 + entry.entities.len() * 260);
    out.push_str(r#"{"resourceType":"AuditEvent","id":""#);
    out.push_str(&id(record.seq));
    out.push_str(r#"","meta":{"versionId":"1","lastUpdated":""#);
    out.push_str(&recorded);
    out.push_str(r#""},"type":"#);
    let [(system, code), (subsystem, subcode)] = codes(entry.what);
    coding(&mut out, system, code);
    out.push_str(r#","subtype":["#);
    coding(&mut out, subsystem, subcode);
    out.push_str(r#"],"action":""#);
    out.push_str(action(entry.what));
    out.push_str(r#"","recorded":""#);
    out.push_str(&recorded);
    out.push_str(r#"","outcome":""#);
    out.push_str(&(entry.outcome as u8).to_string());
    out.push('"');
    if entry.outcome != Outcome::Success && !entry.rule.is_empty() {
        out.push_str(r#","outcomeDesc":"#);
        string(&mut out, &entry.rule);
    }
    purposes(&mut out, entry);
    out.push_str(r#","agent":["#);
    agents(&mut out, entry, base);
    out.push_str(r#"],"source":{"site":"#);
    string(&mut out, site(base));
    out.push_str(r#","observer":{"display":"Salus"},"type":[{"system":"http://terminology.hl7.org/CodeSystem/security-source-type","code":"4"}]},"entity":["#);
    request_entity(&mut out, entry);
    for entity in &entry.entities {
        record_entities(&mut out, entity);
    }
    if !entry.query.is_empty() {
        match is_rest(entry.what) {
            true => query_entity(&mut out, entry),
            false => reason_entity(&mut out, entry),
        }
    }
    out.push_str("]}");
    out
}

/// The host of an endpoint.
fn site(base: &str) -> &str {
    let rest = base.split_once("://").map_or(base, |(_, rest)| rest);
    match rest.split('/').next() {
        Some(host) if !host.is_empty() => host,
        Some(_) | None => "localhost",
    }
}

/// Whether it is told as an interaction of the REST API.
pub(super) fn is_rest(what: What) -> bool {
    codes(what)[0].1 == "rest"
}

/// That the glass was broken, and what it was done for.
fn purposes(out: &mut String, entry: &Entry) {
    let emergency = entry.what == What::BreakGlass || entry.rule.starts_with(EMERGENCY);
    let broken = emergency.then_some(PurposeOfUse::BTG);
    for (at, purpose) in broken.into_iter().chain(entry.purpose).enumerate() {
        out.push_str(match at {
            0 => r#","purposeOfEvent":[{"coding":["#,
            _ => r#",{"coding":["#,
        });
        coding(out, PURPOSE_SYSTEM, purpose.code());
        out.push_str("]}");
    }
    if emergency || entry.purpose.is_some() {
        out.push(']');
    }
}

/// System and code of the type, system and code of the subtype.
fn codes(what: What) -> [(&'static str, &'static str); 2] {
    let rest = |code| [(TYPES, "rest"), (INTERACTIONS, code)];
    let dicom = |ty, subtype| [(DICOM, ty), (DICOM, subtype)];
    let lived = |ty, subtype| [(DICOM, ty), (LIFECYCLE, subtype)];
    let own = |ty, subtype| [(DICOM, ty), (OWN_SUBTYPES, subtype)];
    match what {
        What::Read => rest("read"),
        What::Vread => rest("vread"),
        What::HistoryInstance => rest("history-instance"),
        What::HistoryType => rest("history-type"),
        What::HistorySystem => rest("history-system"),
        What::Search => rest("search-type"),
        What::Create => rest("create"),
        What::Update => rest("update"),
        What::Patch => rest("patch"),
        What::Delete => rest("delete"),
        What::Transaction => rest("transaction"),
        What::Batch => rest("batch"),
        What::Operation => rest("operation"),
        What::SignIn | What::Unauthenticated => dicom(USER_AUTHENTICATION, "110122"),
        What::SignOut => dicom(USER_AUTHENTICATION, "110123"),
        What::AdminRead => own(APPLICATION_ACTIVITY, "admin-read"),
        What::AdminWrite => own(APPLICATION_ACTIVITY, "admin-write"),
        // Emergency Override Started.
        What::BreakGlass => dicom(SECURITY_ALERT, "110127"),
        What::KeyMade => own(SECURITY_ALERT, "key-made"),
        What::KeyRotated => own(SECURITY_ALERT, "key-rotated"),
        What::KeyDestroyed => own(SECURITY_ALERT, "key-destroyed"),
        What::KeyExported => own(SECURITY_ALERT, "key-exported"),
        What::SystemStart => dicom(APPLICATION_ACTIVITY, "110120"),
        What::SystemStop => dicom(APPLICATION_ACTIVITY, "110121"),
        What::SystemRestore => lived(APPLICATION_ACTIVITY, "restore"),
        What::SystemCheck => lived(SECURITY_ALERT, "verify"),
        What::SystemDrill => own(APPLICATION_ACTIVITY, "drill"),
        What::ArchiveKept => lived(APPLICATION_ACTIVITY, "archive"),
        What::Disclosure => lived(EXPORT, "disclose"),
        // Security Configuration, Software Configuration.
        What::PolicyChange => dicom(SECURITY_ALERT, "110129"),
        What::SettingChange => dicom(SECURITY_ALERT, "110131"),
        What::ConsentGiven => own(PATIENT_RECORD, "consent-given"),
        What::ConsentWithdrawn => own(PATIENT_RECORD, "consent-withdrawn"),
        What::DisclosuresSuspended => own(PATIENT_RECORD, "disclosures-suspended"),
        What::Export => lived(EXPORT, "extract"),
        What::HoldPlaced => lived(PATIENT_RECORD, "hold"),
        What::HoldLifted => lived(PATIENT_RECORD, "unhold"),
        What::Disposal => lived(PATIENT_RECORD, "destroy"),
        What::ColdMoved => lived(PATIENT_RECORD, "archive"),
        What::ColdRetrieved => lived(PATIENT_RECORD, "reactivate"),
        What::Shred => own(PATIENT_RECORD, "shred"),
    }
}

/// <https://hl7.org/fhir/R4/valueset-audit-event-action.html>
fn action(what: What) -> &'static str {
    match what {
        What::Create | What::KeyMade | What::HoldPlaced | What::ConsentGiven => "C",
        What::Read
        | What::Vread
        | What::HistoryInstance
        | What::HistoryType
        | What::HistorySystem
        | What::AdminRead
        | What::Export
        | What::KeyExported
        | What::Disclosure => "R",
        What::Update
        | What::Patch
        | What::AdminWrite
        | What::KeyRotated
        | What::PolicyChange
        | What::SettingChange
        | What::HoldLifted
        | What::ColdMoved
        | What::ColdRetrieved
        | What::DisclosuresSuspended
        | What::ConsentWithdrawn => "U",
        What::Delete | What::KeyDestroyed | What::Disposal | What::Shred => "D",
        What::Search
        | What::Transaction
        | What::Batch
        | What::SignIn
        | What::Unauthenticated
        | What::SignOut
        | What::BreakGlass
        | What::SystemStart
        | What::SystemStop
        | What::SystemRestore
        | What::SystemCheck
        | What::SystemDrill
        | What::ArchiveKept
        | What::Operation => "E",
    }
}

pub(super) fn coding(out: &mut String, system: &str, code: &str) {
    out.push_str(r#"{"system":""#);
    out.push_str(system);
    out.push_str(r#"","code":""#);
    out.push_str(code);
    out.push_str(r#""}"#);
}

fn request_entity(out: &mut String, entry: &Entry) {
    out.push_str(r#"{"what":{"identifier":{"value":""#);
    out.push_str(&entry.request_id.to_string());
    out.push_str(r#""}},"type":"#);
    coding(out, BALP_ENTITIES, "XrequestId");
    if !entry.ty.is_empty() {
        out.push_str(r#","name":"#);
        string(out, &entry.ty);
    }
    out.push('}');
}

/// A record, and, where that is a patient's own, the patient beside it: the profile wants both.
fn record_entities(out: &mut String, entity: &Entity) {
    let Entity { ty, id, version } = entity;
    if ResourceType::named(ty).is_none() {
        return own_entity(out, ty, id);
    }
    if *version > 0 {
        let what = format!("{ty}/{id}/_history/{version}");
        reference_entity(out, &what, ("2", "4"));
    }
    if ty == "Patient" {
        reference_entity(out, &format!("{ty}/{id}"), ("1", "1"));
    } else if *version == 0 {
        reference_entity(out, &format!("{ty}/{id}"), ("2", "4"));
    }
}

fn reference_entity(out: &mut String, reference: &str, codes: (&str, &str)) {
    out.push_str(r#",{"what":{"reference":"#);
    string(out, reference);
    out.push('}');
    type_and_role(out, codes);
    out.push('}');
}

/// A record of our own, which is no resource.
fn own_entity(out: &mut String, ty: &str, id: &str) {
    let name = ty.strip_prefix("salus:").unwrap_or(ty);
    let role = match name {
        // Security User Entity, Security User Group, Job, Security Resource.
        "User" | "Client" => "11",
        "Group" => "12",
        "Job" => "20",
        _ => "13",
    };
    out.push_str(r#",{"what":{"identifier":{"system":"urn:salus:record","value":"#);
    string(out, &format!("{name}/{id}"));
    out.push_str("}}");
    type_and_role(out, ("2", role));
    out.push('}');
}

fn type_and_role(out: &mut String, (ty, role): (&str, &str)) {
    out.push_str(r#","type":"#);
    coding(out, OBJECT_TYPES, ty);
    out.push_str(r#","role":"#);
    coding(out, OBJECT_ROLES, role);
}

/// The search as it was asked, base64 as the element wants it.
fn query_entity(out: &mut String, entry: &Entry) {
    out.push_str(r#",{"type":"#);
    coding(out, OBJECT_TYPES, "2");
    out.push_str(r#","role":"#);
    // 24: a query.
    coding(out, OBJECT_ROLES, "24");
    out.push_str(r#","query":""#);
    out.push_str(&Base64::encode_string(entry.query.as_bytes()));
    out.push_str(r#""}"#);
}

/// Why it was done.
fn reason_entity(out: &mut String, entry: &Entry) {
    out.push_str(r#",{"type":"#);
    coding(out, OBJECT_TYPES, "4");
    out.push_str(r#","description":"#);
    string(out, &super::disclosure::described(entry));
    out.push('}');
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::sync::Arc;

    use bytes::Bytes;
    use salus_fhir::json::{Document, Limits};
    use salus_fhir::validate;

    use super::*;
    use crate::context::RequestId;

    #[test]
    fn ids_are_one_to_one() {
        assert_eq!(seq("12"), Some(Seq(12)));
        assert_eq!(seq("012"), None);
        assert_eq!(seq("+12"), None);
    }

    #[test]
    fn events_are_valid_resources() {
        let record = AuditRecord {
            seq: Seq(5),
            time_ms: 0,
            body: Bytes::new(),
        };
        let entry = Entry {
            what: What::Search,
            outcome: Outcome::Refused,
            agent: "Client/a".into(),
            by: Arc::default(),
            rule: "break-glass: default deny".into(),
            request_id: RequestId(1),
            remote: Some(IpAddr::from([127, 0, 0, 1])),
            ty: "Patient".into(),
            query: "name=x".into(),
            purpose: Some(PurposeOfUse::TREAT),
            entities: vec![Entity {
                ty: "Patient".into(),
                id: "1".into(),
                version: 2,
            }],
            about: Vec::new(),
        };
        let text = text(&record, &entry, "http://h.example/fhir");
        let document = Document::parse(text.into_bytes(), &Limits::default()).unwrap();
        if let Err(issues) = validate::resource(document.root()) {
            panic!("{issues:?}");
        }
    }
}
