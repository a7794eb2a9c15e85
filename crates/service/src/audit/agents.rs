//! The agents of an AuditEvent: who asked, the app that asked for them, the server, and
//! somebody outside who learned of it.
//!
//! IHE BALP tells client and server by the roles of who gives and who takes
//! (DICOM 110153, 110152); the client is an application (110150) as well.

use salus_auth::{Agent, PURPOSE_SYSTEM};
use salus_fhir::json::write::string;

use super::disclosure;
use super::entry::{Entry, What};
use super::event::{DICOM, coding};

const PARTICIPATION: &str = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType";
const OAUTH_AGENTS: &str = "https://profiles.ihe.net/ITI/BALP/CodeSystem/UserAgentTypes";
const SOURCE: &str = "110153";
const DESTINATION: &str = "110152";
const APPLICATION: &str = "110150";

/// The agents of an entry; who asked is the first.
pub(super) fn agents(out: &mut String, entry: &Entry, base: &str) {
    let nobody = Agent::named(&entry.agent);
    let by = entry.by().unwrap_or(&nobody);
    let (client, server) = match gives(entry.what) {
        true => (DESTINATION, SOURCE),
        false => (SOURCE, DESTINATION),
    };
    let is_person = matches!(by.kind_and_id().0, "User" | "Administrator");
    match is_person {
        true => {
            person(out, entry, by);
            out.push(',');
            app(out, entry, by, client);
        }
        false => program(out, entry, by, client),
    }
    out.push_str(r#",{"type":{"coding":["#);
    coding(out, DICOM, server);
    out.push_str(r#"]},"who":{"display":"Salus"},"requestor":false,"network":{"address":"#);
    string(out, base);
    // 5: a URI.
    out.push_str(r#","type":"5"}}"#);
    recipient(out, entry);
}

/// Whether records leave by it.
fn gives(what: What) -> bool {
    matches!(
        what,
        What::Read
            | What::Vread
            | What::HistoryInstance
            | What::HistoryType
            | What::HistorySystem
            | What::Export
            | What::Disclosure
    )
}

fn person(out: &mut String, entry: &Entry, by: &Agent) {
    out.push_str(r#"{"type":{"coding":["#);
    coding(out, PARTICIPATION, "IRCP");
    out.push(',');
    coding(out, OAUTH_AGENTS, "UserOauthAgent");
    out.push_str("]}");
    roles(out, by);
    who(out, by);
    out.push_str(r#","requestor":true"#);
    policies(out, entry, by);
    purpose(out, entry);
    out.push('}');
}

/// What asked for a person: an app, or their own program without one.
fn app(out: &mut String, entry: &Entry, by: &Agent, role: &str) {
    kind(out, role);
    let app = match &*by.app {
        "" => Agent {
            name: "signed in directly".into(),
            ..Agent::default()
        },
        id => Agent {
            name: by.app_name.clone(),
            ..Agent::named(&format!("Client/{id}"))
        },
    };
    who(out, &app);
    out.push_str(r#","requestor":false"#);
    network(out, entry);
    out.push('}');
}

/// A program that asked for itself.
fn program(out: &mut String, entry: &Entry, by: &Agent, role: &str) {
    kind(out, role);
    roles(out, by);
    who(out, by);
    out.push_str(r#","requestor":true"#);
    policies(out, entry, by);
    network(out, entry);
    purpose(out, entry);
    out.push('}');
}

fn kind(out: &mut String, role: &str) {
    out.push_str(r#"{"type":{"coding":["#);
    coding(out, DICOM, role);
    out.push(',');
    coding(out, DICOM, APPLICATION);
    out.push_str("]}");
}

fn roles(out: &mut String, by: &Agent) {
    let administers = matches!(by.kind_and_id().0, "Administrator" | "Operator");
    let own = administers.then(|| by.kind_and_id().0.to_lowercase());
    let all = own.iter().map(String::as_str);
    let all = all.chain(by.roles.split(' ').filter(|role| !role.is_empty()));
    let mut first = true;
    for role in all {
        out.push_str(if first { r#","role":["# } else { "," });
        first = false;
        out.push_str(r#"{"coding":[{"system":"urn:salus:role","code":"#);
        string(out, role);
        out.push_str("}]}");
    }
    if !first {
        out.push(']');
    }
}

/// The reference is to no patient: an event is found by a patient whom it is about.
fn who(out: &mut String, by: &Agent) {
    let (kind, id) = by.kind_and_id();
    let is_known = !id.is_empty() || kind == "Anonymous";
    out.push_str(r#","who":{"#);
    if !by.profile.is_empty() && !by.profile.starts_with("Patient/") {
        out.push_str(r#""reference":"#);
        string(out, &by.profile);
        out.push(',');
    }
    if is_known {
        out.push_str(r#""identifier":{"system":"urn:salus:subject","value":"#);
        string(out, &by.label);
        out.push_str("},");
    }
    out.push_str(r#""display":"#);
    string(out, if by.name.is_empty() { kind } else { &by.name });
    out.push('}');
    if is_known {
        out.push_str(r#","altId":"#);
        string(out, &by.label);
    }
    if !by.name.is_empty() {
        out.push_str(r#","name":"#);
        string(out, &by.name);
    }
}

/// What decided, and the session: as the profile has the id of a token.
fn policies(out: &mut String, entry: &Entry, by: &Agent) {
    // A URI has no white space.
    let rule = (!entry.rule.is_empty()).then(|| format!("rule:{}", entry.rule.replace(' ', "-")));
    let session = (!by.session.is_empty()).then(|| format!("session:{}", by.session));
    for (at, one) in rule.into_iter().chain(session).enumerate() {
        out.push_str(if at == 0 { r#","policy":["# } else { "," });
        string(out, &format!("urn:salus:{one}"));
    }
    if !(entry.rule.is_empty() && by.session.is_empty()) {
        out.push(']');
    }
}

fn network(out: &mut String, entry: &Entry) {
    if let Some(remote) = entry.remote {
        // 2: an IP address.
        out.push_str(r#","network":{"address":"#);
        string(out, &remote.to_string());
        out.push_str(r#","type":"2"}"#);
    }
}

fn purpose(out: &mut String, entry: &Entry) {
    if let Some(purpose) = entry.purpose {
        out.push_str(r#","purposeOfUse":[{"coding":["#);
        coding(out, PURPOSE_SYSTEM, purpose.code());
        out.push_str("]}]");
    }
}

/// Somebody outside: the recipient of the profile PrivacyDisclosure.
fn recipient(out: &mut String, entry: &Entry) {
    let Some(recipient) = disclosure::recipient(entry) else {
        return;
    };
    out.push_str(r#",{"type":{"coding":["#);
    coding(out, PARTICIPATION, "IRCP");
    out.push(',');
    coding(out, DICOM, DESTINATION);
    out.push_str(r#"]},"who":{"display":"#);
    let text = match &*recipient.address {
        "" => recipient.name.to_string(),
        address => format!("{}, {address}", recipient.name),
    };
    string(out, &text);
    out.push_str(r#"},"name":"#);
    string(out, &recipient.name);
    out.push_str(r#","requestor":false}"#);
}
