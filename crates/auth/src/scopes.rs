//! What a client may do, as SMART scopes: `system/Observation.rs`.
//!
//! <https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html>:
//! c create, r read and versions, u update, d delete, s search and history of
//! a type. The first version's `.read`, `.write` and `.*` mean `.rs`, `.cud`
//! and `.cruds`. `user/` and `patient/` scopes narrow what the user who signed in may do
//! ([`crate::Limit`]); they give nothing by themselves. A scope narrowed by a search is
//! refused until there is something that keeps it.
//!
//! Words such as `openid` say what a client wants to know, not what it may do with records.
//!
//! The audit is not part of `*`: it takes `system/AuditEvent.rs`. One scope is
//! our own: `salus/metrics.read`, for what collects metrics.

use std::sync::Arc;

use crate::Error;

/// The type whose records are the audit.
pub(crate) const AUDIT_EVENT: &str = "AuditEvent";

const METRICS: &str = "salus/metrics.read";

/// Scopes that are about no record.
const WORDS: [(Word, &str); 7] = [
    (Word::OpenId, "openid"),
    (Word::Profile, "profile"),
    (Word::FhirUser, "fhirUser"),
    (Word::OfflineAccess, "offline_access"),
    (Word::OnlineAccess, "online_access"),
    (Word::Launch, "launch"),
    (Word::LaunchPatient, "launch/patient"),
];
const SCOPES_MAX: usize = 64;

/// What a scope gives, as bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rights(u8);

impl Rights {
    pub(crate) const CREATE: Self = Self(1);
    pub(crate) const READ: Self = Self(2);
    pub(crate) const UPDATE: Self = Self(4);
    pub(crate) const DELETE: Self = Self(8);
    pub(crate) const SEARCH: Self = Self(16);

    const LETTERS: [(char, Self); 5] = [
        ('c', Self::CREATE),
        ('r', Self::READ),
        ('u', Self::UPDATE),
        ('d', Self::DELETE),
        ('s', Self::SEARCH),
    ];

    fn parse(text: &str) -> Option<Self> {
        let letters = match text {
            "read" => "rs",
            "write" => "cud",
            "*" => "cruds",
            letters => letters,
        };
        let mut rights = 0;
        for letter in letters.chars() {
            let (_, right) = Self::LETTERS.iter().find(|(l, _)| *l == letter)?;
            // Each at most once and in this order.
            if rights >= right.0 {
                return None;
            }
            rights |= right.0;
        }
        (rights != 0).then_some(Self(rights))
    }

    fn contain(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// A scope that is about no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// Who the user is, as an id token.
    OpenId,
    /// What people call the user.
    Profile,
    /// Which resource the user is.
    FhirUser,
    /// Going on when the user is away.
    OfflineAccess,
    /// Going on as long as the user is there.
    OnlineAccess,
    /// What was chosen where the client was launched.
    Launch,
    /// A patient, chosen when the client asks.
    LaunchPatient,
}

/// Whose rights a scope is a part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// The client's own.
    System,
    /// The user's.
    User,
    /// The user's, on one patient.
    Patient,
}

impl Level {
    const ALL: [(Self, &'static str); 3] = [
        (Self::System, "system"),
        (Self::User, "user"),
        (Self::Patient, "patient"),
    ];
}

/// What a scope is about.
#[derive(Clone, Debug, PartialEq, Eq)]
enum On {
    /// Every type but the audit.
    AnyType,
    Type(Box<str>),
    Metrics,
    Word(Word),
}

impl On {
    fn both(&self, other: &Self) -> Option<Self> {
        match (self, other) {
            (Self::AnyType, Self::AnyType) => Some(Self::AnyType),
            (Self::AnyType, Self::Type(ty)) | (Self::Type(ty), Self::AnyType) => {
                (**ty != *AUDIT_EVENT).then(|| Self::Type(ty.clone()))
            }
            (Self::Type(a), Self::Type(b)) => (a == b).then(|| self.clone()),
            (Self::Metrics, Self::Metrics) => Some(Self::Metrics),
            (Self::Word(a), Self::Word(b)) => (a == b).then_some(Self::Word(*a)),
            (Self::Metrics | Self::Word(_), _) | (_, Self::Metrics | Self::Word(_)) => None,
        }
    }
}

/// A set of scopes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scopes(Vec<Item>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Item {
    level: Level,
    on: On,
    rights: Rights,
    text: Arc<str>,
}

impl Item {
    fn new(level: Level, on: On, rights: Rights) -> Self {
        let text = match &on {
            On::AnyType => Self::text_of(level, "*", rights),
            On::Type(ty) => Self::text_of(level, ty, rights),
            On::Metrics => METRICS.into(),
            On::Word(word) => {
                let known = WORDS.iter().find(|(known, _)| known == word);
                known.map_or("", |(_, text)| text).into()
            }
        };
        Self {
            level,
            on,
            rights,
            text,
        }
    }

    fn text_of(level: Level, subject: &str, rights: Rights) -> Arc<str> {
        let known = Level::ALL.iter().find(|(known, _)| *known == level);
        let mut text = format!("{}/{subject}.", known.map_or("", |(_, name)| name));
        let letters = Rights::LETTERS.iter();
        text.extend(letters.filter(|(_, r)| rights.contain(*r)).map(|(l, _)| l));
        text.into()
    }

    fn parse(text: &str) -> Result<Self, &'static str> {
        if text == METRICS {
            return Ok(Self::new(Level::System, On::Metrics, Rights::READ));
        }
        if let Some((word, _)) = WORDS.iter().find(|(_, known)| *known == text) {
            return Ok(Self::new(Level::User, On::Word(*word), Rights::READ));
        }
        let level = text.split_once('/').and_then(|(level, rest)| {
            let known = Level::ALL.iter().find(|(_, name)| *name == level);
            known.map(|(level, _)| (*level, rest))
        });
        let (level, rest) =
            level.ok_or("it is none of system/, user/, patient/ and the words of docs/api.md")?;
        let (ty, rights) = rest.split_once('.').ok_or("it has no rights")?;
        if rights.contains('?') {
            return Err("a scope narrowed by a search is not supported");
        }
        let on = match ty {
            "*" => On::AnyType,
            ty if salus_fhir::definitions::r4().resource_named(ty).is_some() => On::Type(ty.into()),
            _ => return Err("its type is not a FHIR R4 resource"),
        };
        let rights = Rights::parse(rights).ok_or("its rights are not letters of cruds in order")?;
        Ok(Self::new(level, on, rights))
    }
}

impl Scopes {
    /// Reads scopes separated by spaces.
    ///
    /// # Errors
    /// Which one is not a scope, and why; also when there are too many.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let mut items: Vec<Item> = Vec::new();
        for (i, part) in text.split_ascii_whitespace().enumerate() {
            let refuse = |reason| Error::Scope {
                position: i + 1,
                reason,
            };
            if i >= SCOPES_MAX {
                return Err(refuse("there are too many"));
            }
            let item = Item::parse(part).map_err(refuse)?;
            if !items.contains(&item) {
                items.push(item);
            }
        }
        Ok(Self(items))
    }

    /// Reads the scopes among these that are known; others are as if they had
    /// not been asked for, and the answer says which were given (RFC 6749, 3.3).
    #[must_use]
    pub fn known_of(text: &str) -> Self {
        let mut items: Vec<Item> = Vec::new();
        for item in text.split_ascii_whitespace().flat_map(Item::parse) {
            if items.len() < SCOPES_MAX && !items.contains(&item) {
                items.push(item);
            }
        }
        Self(items)
    }

    /// Those of one level.
    #[must_use]
    pub fn of(&self, level: Level) -> Self {
        let items = self.0.iter().filter(|item| item.level == level);
        Self(items.cloned().collect())
    }

    /// Whether this word is among them.
    #[must_use]
    pub fn has(&self, word: Word) -> bool {
        self.0.iter().any(|item| item.on == On::Word(word))
    }

    /// The same without these words.
    #[must_use]
    pub fn without(&self, words: &[Word]) -> Self {
        let left_out = |item: &&Item| match &item.on {
            On::Word(word) => !words.contains(word),
            On::AnyType | On::Type(_) | On::Metrics => true,
        };
        Self(self.0.iter().filter(left_out).cloned().collect())
    }

    /// The same without those of a level that are about records.
    #[must_use]
    pub fn without_level(&self, level: Level) -> Self {
        let stays = |item: &&Item| item.level != level || matches!(item.on, On::Word(_));
        Self(self.0.iter().filter(stays).cloned().collect())
    }

    /// The scopes, separated by spaces.
    #[must_use]
    pub fn text(&self) -> String {
        let texts: Vec<&str> = self.0.iter().map(|item| &*item.text).collect();
        texts.join(" ")
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What both sets give.
    #[must_use]
    pub fn intersect(&self, other: &Self) -> Self {
        let mut items: Vec<Item> = Vec::new();
        for a in &self.0 {
            for b in &other.0 {
                let rights = Rights(a.rights.0 & b.rights.0);
                let some = rights.0 != 0 && a.level == b.level;
                let on = a.on.both(&b.on).filter(|_| some);
                let item = on.map(|on| Item::new(a.level, on, rights));
                items.extend(item.filter(|item| !items.contains(item)));
            }
        }
        Self(items)
    }

    /// The scope that gives a right on a type.
    pub(crate) fn on_type(&self, ty: &str, right: Rights) -> Option<&Arc<str>> {
        self.find(right, |on| match on {
            On::AnyType => ty != AUDIT_EVENT,
            On::Type(own) => **own == *ty,
            On::Metrics | On::Word(_) => false,
        })
    }

    /// The scope that gives a right on every type.
    pub(crate) fn on_all_types(&self, right: Rights) -> Option<&Arc<str>> {
        self.find(right, |on| *on == On::AnyType)
    }

    /// The types that a right is given on by name.
    pub(crate) fn types(&self, right: Rights) -> impl Iterator<Item = &str> {
        let items = self.0.iter().filter(move |item| item.rights.contain(right));
        items.filter_map(|item| match &item.on {
            On::Type(ty) => Some(&**ty),
            On::AnyType | On::Metrics | On::Word(_) => None,
        })
    }

    /// The scope that gives access to metrics.
    pub(crate) fn on_metrics(&self) -> Option<&Arc<str>> {
        self.find(Rights::READ, |on| *on == On::Metrics)
    }

    fn find(&self, right: Rights, fits: impl Fn(&On) -> bool) -> Option<&Arc<str>> {
        self.0
            .iter()
            .find(|item| item.rights.contain(right) && fits(&item.on))
            .map(|item| &item.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expect: &str) {
        let got = match Scopes::parse(text) {
            Ok(scopes) => scopes.text(),
            Err(error) => error.to_string(),
        };
        assert_eq!(got, expect, "{text}");
    }

    #[test]
    fn scopes_of_both_versions_read() {
        check("", "");
        check("system/Patient.cruds", "system/Patient.cruds");
        check("  system/*.rs  system/*.rs ", "system/*.rs");
        check("system/Patient.read", "system/Patient.rs");
        check("system/Patient.write", "system/Patient.cud");
        check("system/*.*", "system/*.cruds");
        check("salus/metrics.read", "salus/metrics.read");
        check(
            "openid fhirUser launch/patient patient/*.read user/Observation.write",
            "openid fhirUser launch/patient patient/*.rs user/Observation.cud",
        );
    }

    #[test]
    fn levels_do_not_mix() {
        let own = Scopes::parse("system/*.rs user/*.r openid offline_access").unwrap();
        let asked = Scopes::parse("patient/*.rs user/Patient.rs openid").unwrap();
        assert_eq!(own.intersect(&asked).text(), "user/Patient.r openid");
        assert_eq!(own.of(Level::System).text(), "system/*.rs");
        assert_eq!(
            asked.without_level(Level::Patient).text(),
            "user/Patient.rs openid"
        );
        assert!(own.has(Word::OfflineAccess) && !asked.has(Word::OfflineAccess));
        let some = Scopes::known_of("email patient/*.rs?x=1 openid address");
        assert_eq!(some.text(), "openid");
    }

    #[test]
    fn other_texts_are_refused_with_the_reason() {
        let none = "it is none of system/, user/, patient/ and the words of docs/api.md";
        check("email", &format!("scope 1: {none}"));
        check(
            "system/Patient.r other/Patient.r",
            &format!("scope 2: {none}"),
        );
        check("openid/Patient.r", &format!("scope 1: {none}"));
        check("system/Patient", "scope 1: it has no rights");
        let rights = "scope 1: its rights are not letters of cruds in order";
        check("system/Patient.", rights);
        check("system/Patient.rc", rights);
        check("system/Patient.rr", rights);
        check("system/Patient.x", rights);
        let ty = "scope 1: its type is not a FHIR R4 resource";
        check("system/Pateint.r", ty);
        check("system/DomainResource.r", ty);
        check("system/salus:User.r", ty);
        check(
            "system/Observation.rs?category=laboratory",
            "scope 1: a scope narrowed by a search is not supported",
        );
        check(
            &"system/*.r ".repeat(SCOPES_MAX + 1),
            "scope 65: there are too many",
        );
    }

    #[test]
    fn what_two_sets_give_is_in_both() {
        let own = Scopes::parse("system/*.rs system/Patient.cruds").unwrap();
        let asked = Scopes::parse("system/Patient.u system/Observation.cr").unwrap();
        let both = own.intersect(&asked);
        assert_eq!(both.text(), "system/Observation.r system/Patient.u");
        let none = Scopes::parse("system/Patient.d").unwrap();
        assert!(asked.intersect(&none).is_empty());
    }

    #[test]
    fn everything_is_not_the_audit() {
        let any = Scopes::parse("system/*.cruds").unwrap();
        let audit = Scopes::parse("system/AuditEvent.rs").unwrap();
        assert!(any.on_type("Patient", Rights::READ).is_some());
        assert!(any.on_type(AUDIT_EVENT, Rights::READ).is_none());
        assert!(audit.on_type(AUDIT_EVENT, Rights::READ).is_some());
        assert!(any.intersect(&audit).is_empty());
        assert!(audit.intersect(&any).is_empty());
    }
}
