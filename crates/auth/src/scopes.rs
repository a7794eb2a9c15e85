//! What a client may do, as SMART scopes: `system/Observation.rs`.
//!
//! <https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html>:
//! c create, r read and versions, u update, d delete, s search and history of
//! a type. The first version's `.read`, `.write` and `.*` mean `.rs`, `.cud`
//! and `.cruds`. Scopes of users and patients, and scopes narrowed by a
//! search, are refused until there is a policy that keeps them.
//!
//! The audit is not part of `*`: it takes `system/AuditEvent.rs`. One scope is
//! our own: `salus/metrics.read`, for what collects metrics.

use std::sync::Arc;

use crate::Error;

/// The type whose records are the audit.
pub(crate) const AUDIT_EVENT: &str = "AuditEvent";

const METRICS: &str = "salus/metrics.read";
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

/// What a scope is about.
#[derive(Clone, Debug, PartialEq, Eq)]
enum On {
    /// Every type but the audit.
    AnyType,
    Type(Box<str>),
    Metrics,
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
            (Self::Metrics, Self::AnyType | Self::Type(_))
            | (Self::AnyType | Self::Type(_), Self::Metrics) => None,
        }
    }
}

/// A set of scopes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scopes(Vec<Item>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Item {
    on: On,
    rights: Rights,
    text: Arc<str>,
}

impl Item {
    fn new(on: On, rights: Rights) -> Self {
        let subject = match &on {
            On::AnyType => "*",
            On::Type(ty) => ty,
            On::Metrics => {
                let text = METRICS.into();
                return Self { on, rights, text };
            }
        };
        let mut text = format!("system/{subject}.");
        let letters = Rights::LETTERS.iter();
        text.extend(letters.filter(|(_, r)| rights.contain(*r)).map(|(l, _)| l));
        let text = text.into();
        Self { on, rights, text }
    }

    fn parse(text: &str) -> Result<Self, &'static str> {
        if text == METRICS {
            return Ok(Self::new(On::Metrics, Rights::READ));
        }
        let rest = text
            .strip_prefix("system/")
            .ok_or("only system/ scopes are supported")?;
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
        Ok(Self::new(on, rights))
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
                let on = a.on.both(&b.on).filter(|_| rights.0 != 0);
                let item = on.map(|on| Item::new(on, rights));
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
            On::Metrics => false,
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
            On::AnyType | On::Metrics => None,
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
    }

    #[test]
    fn other_texts_are_refused_with_the_reason() {
        check("openid", "scope 1: only system/ scopes are supported");
        check(
            "system/Patient.r patient/Patient.r",
            "scope 2: only system/ scopes are supported",
        );
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
