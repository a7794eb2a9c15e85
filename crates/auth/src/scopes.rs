//! What a client may do, as SMART scopes: `system/Observation.rs`.
//!
//! <https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html>:
//! c create, r read and versions, u update, d delete, s search and history of
//! a type. The first version's `.read`, `.write` and `.*` mean `.rs`, `.cud`
//! and `.cruds`. `user/` and `patient/` scopes narrow what the user who signed in may do
//! ([`crate::Limit`]); they give nothing by themselves. Behind a `?` stands the search that the
//! records satisfy for which the scope holds: [`Scopes::granted`] gives it to who makes a
//! predicate of it, without which such a scope must not be used.
//!
//! Words such as `openid` say what a client wants to know, not what it may do with records.
//!
//! The audit is not part of `*`: it takes `system/AuditEvent.rs`. One scope is
//! our own: `salus/metrics.read`, for what collects metrics, and another,
//! `salus/launch.create`, for a system from which apps are launched.

use std::sync::Arc;

use crate::Error;
use crate::policy::Deed;

/// The type whose records are the audit.
pub(crate) const AUDIT_EVENT: &str = "AuditEvent";

const METRICS: &str = "salus/metrics.read";
const LAUNCHES: &str = "salus/launch.create";

/// Scopes that are about no record.
const WORDS: [(Word, &str); 8] = [
    (Word::OpenId, "openid"),
    (Word::Profile, "profile"),
    (Word::FhirUser, "fhirUser"),
    (Word::OfflineAccess, "offline_access"),
    (Word::OnlineAccess, "online_access"),
    (Word::Launch, "launch"),
    (Word::LaunchPatient, "launch/patient"),
    (Word::LaunchEncounter, "launch/encounter"),
];
const SCOPES_MAX: usize = 64;
const SEARCH_BYTES_MAX: usize = 500;

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
    /// An encounter, the same way.
    LaunchEncounter,
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
// No PHI: names of types.
#[derive(Clone, Debug, PartialEq, Eq)]
enum On {
    /// Every type but the audit.
    AnyType,
    Type(Box<str>),
    Metrics,
    Launches,
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
            (Self::Launches, Self::Launches) => Some(Self::Launches),
            (Self::Word(a), Self::Word(b)) => (a == b).then_some(Self::Word(*a)),
            (Self::Metrics | Self::Launches | Self::Word(_), _)
            | (_, Self::Metrics | Self::Launches | Self::Word(_)) => None,
        }
    }
}

/// A set of scopes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scopes(Vec<Item>);

#[derive(Clone, PartialEq, Eq)]
struct Item {
    level: Level,
    on: On,
    rights: Rights,
    /// What the records satisfy, as a query of pairs, each there once.
    search: Option<Arc<str>>,
    text: Arc<str>,
}
salus_phi::guard!(Item);

/// A scope about records, for who makes a predicate of it.
#[derive(Clone, Copy)]
pub struct Granted<'a> {
    /// Whose rights it is a part of.
    pub level: Level,
    /// The type; `None` is every one but the audit.
    pub ty: Option<&'a str>,
    /// What the records satisfy.
    pub search: Option<&'a str>,
    /// The scope as it is written.
    pub text: &'a Arc<str>,
    rights: Rights,
}
salus_phi::guard!(Granted<'_>);

impl Granted<'_> {
    /// Whether it gives both of two deeds that it takes to see a history, or one of them.
    #[must_use]
    pub fn reads_and_searches(&self) -> (bool, bool) {
        let has = |right| self.rights.contain(right);
        (has(Rights::READ), has(Rights::SEARCH))
    }

    /// What it gives, but for histories.
    pub fn deeds(&self) -> impl Iterator<Item = Deed> + use<> {
        let rights = self.rights;
        let given = [
            (Rights::READ, Deed::Read),
            (Rights::SEARCH, Deed::Search),
            (Rights::CREATE, Deed::Create),
            (Rights::UPDATE, Deed::Update),
            (Rights::UPDATE, Deed::Patch),
            (Rights::DELETE, Deed::Delete),
        ];
        let given = given
            .into_iter()
            .filter(move |(right, _)| rights.contain(*right));
        given.map(|(_, deed)| deed)
    }
}

impl Item {
    fn new(level: Level, on: On, rights: Rights, search: Option<Arc<str>>) -> Self {
        let text = match &on {
            On::AnyType => Self::text_of(level, "*", rights, search.as_deref()),
            On::Type(ty) => Self::text_of(level, ty, rights, search.as_deref()),
            On::Metrics => METRICS.into(),
            On::Launches => LAUNCHES.into(),
            On::Word(word) => {
                let known = WORDS.iter().find(|(known, _)| known == word);
                known.map_or("", |(_, text)| text).into()
            }
        };
        Self {
            level,
            on,
            rights,
            search,
            text,
        }
    }

    fn text_of(level: Level, subject: &str, rights: Rights, search: Option<&str>) -> Arc<str> {
        let known = Level::ALL.iter().find(|(known, _)| *known == level);
        let mut text = format!("{}/{subject}.", known.map_or("", |(_, name)| name));
        let letters = Rights::LETTERS.iter();
        text.extend(letters.filter(|(_, r)| rights.contain(*r)).map(|(l, _)| l));
        if let Some(search) = search {
            text.push('?');
            text.push_str(search);
        }
        text.into()
    }

    fn parse(text: &str) -> Result<Self, &'static str> {
        if text == METRICS {
            return Ok(Self::new(Level::System, On::Metrics, Rights::READ, None));
        }
        if text == LAUNCHES {
            return Ok(Self::new(Level::System, On::Launches, Rights::READ, None));
        }
        if let Some((word, _)) = WORDS.iter().find(|(_, known)| *known == text) {
            return Ok(Self::new(Level::User, On::Word(*word), Rights::READ, None));
        }
        let level = text.split_once('/').and_then(|(level, rest)| {
            let known = Level::ALL.iter().find(|(_, name)| *name == level);
            known.map(|(level, _)| (*level, rest))
        });
        let (level, rest) =
            level.ok_or("it is none of system/, user/, patient/ and the words of docs/api.md")?;
        let (rest, search) = match rest.split_once('?') {
            Some((rest, search)) => (rest, Some(searched([search])?)),
            None => (rest, None),
        };
        let (ty, rights) = rest.split_once('.').ok_or("it has no rights")?;
        let on = match ty {
            "*" => On::AnyType,
            ty if salus_fhir::definitions::r4().resource_named(ty).is_some() => On::Type(ty.into()),
            _ => return Err("its type is not a FHIR R4 resource"),
        };
        let rights = Rights::parse(rights).ok_or("its rights are not letters of cruds in order")?;
        Ok(Self::new(level, on, rights, search))
    }
}

/// Several searches as one, which is satisfied by what satisfies each. A scope is one
/// word of plain characters (RFC 6749, 3.3): others come percent-encoded.
fn searched<'s>(all: impl IntoIterator<Item = &'s str>) -> Result<Arc<str>, &'static str> {
    let mut pairs: Vec<&str> = Vec::new();
    for pair in all.into_iter().flat_map(|search| search.split('&')) {
        let plain = pair
            .bytes()
            .all(|b| b.is_ascii_graphic() && !b"\"\\".contains(&b));
        if !plain || pair.starts_with('=') || !pair.contains('=') || pair.ends_with('=') {
            return Err("behind its ? stands no search of name=value, joined by &");
        }
        if !pairs.contains(&pair) {
            pairs.push(pair);
        }
    }
    let search = pairs.join("&");
    if search.len() > SEARCH_BYTES_MAX {
        return Err("its search is longer than 500 bytes");
    }
    Ok(search.into())
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
            On::AnyType | On::Type(_) | On::Metrics | On::Launches => true,
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
                let searches = [a, b].into_iter().flat_map(|item| item.search.as_deref());
                // What is too long to be said is not given.
                let search = match (&a.search, &b.search) {
                    (None, None) => Ok(None),
                    _ => searched(searches).map(Some),
                };
                let item = on.zip(search.ok());
                let item = item.map(|(on, search)| Item::new(a.level, on, rights, search));
                items.extend(item.filter(|item| !items.contains(item)));
            }
        }
        Self(items)
    }

    /// Those about records, one by one.
    pub fn granted(&self) -> impl Iterator<Item = Granted<'_>> {
        self.0.iter().filter_map(|item| {
            let ty = match &item.on {
                On::AnyType => None,
                On::Type(ty) => Some(&**ty),
                On::Metrics | On::Launches | On::Word(_) => return None,
            };
            Some(Granted {
                level: item.level,
                ty,
                search: item.search.as_deref(),
                text: &item.text,
                rights: item.rights,
            })
        })
    }

    /// Those of which this holds; `holds` is given each as it is written.
    #[must_use]
    pub fn only(&self, holds: impl Fn(&str) -> bool) -> Self {
        let items = self.0.iter().filter(|item| holds(&item.text));
        Self(items.cloned().collect())
    }

    /// Whether some hold for the records of a search only.
    #[must_use]
    pub fn are_narrowed(&self) -> bool {
        self.0.iter().any(|item| item.search.is_some())
    }

    /// The scope that gives a right on a type.
    pub(crate) fn on_type(&self, ty: &str, right: Rights) -> Option<&Arc<str>> {
        self.find(right, |on| match on {
            On::AnyType => ty != AUDIT_EVENT,
            On::Type(own) => **own == *ty,
            On::Metrics | On::Launches | On::Word(_) => false,
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
            On::AnyType | On::Metrics | On::Launches | On::Word(_) => None,
        })
    }

    /// The scope that gives access to metrics.
    pub(crate) fn on_metrics(&self) -> Option<&Arc<str>> {
        self.find(Rights::READ, |on| *on == On::Metrics)
    }

    /// The scope that lets a system launch apps.
    pub(crate) fn on_launches(&self) -> Option<&Arc<str>> {
        self.find(Rights::READ, |on| *on == On::Launches)
    }

    fn find(&self, right: Rights, fits: impl Fn(&On) -> bool) -> Option<&Arc<str>> {
        self.0
            .iter()
            .find(|item| item.rights.contain(right) && fits(&item.on))
            .map(|item| &item.text)
    }
}

#[cfg(test)]
mod tests;
