//! Purposes of use: what records are asked for (HL7 v3-ActReason, the value set
//! `v3-PurposeOfUse`: <https://terminology.hl7.org/ValueSet-v3-PurposeOfUse.html>).
//!
//! A code stands for itself and for what is below it: `TREAT` for `COC`, too.
//! Who may act for `TREAT` is not thereby in an emergency: `ETREAT` and what is
//! below it has to be named by itself, and `BTG` nobody states, since breaking the
//! glass is what says it.

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The code system.
pub const SYSTEM: &str = "http://terminology.hl7.org/CodeSystem/v3-ActReason";
/// The same as version 3 names it, and with it UDAP.
const OID: &str = "urn:oid:2.16.840.1.113883.5.8";

/// The codes of v3-ActReason 3.1.0 (HL7 Terminology 7.0.1) below `PurposeOfUse`, each with
/// the one that it stands right below; the terms of HL7's v3 code systems are free to use.
/// What is below stands behind what is above.
const CODES: [(&str, &str); 62] = [
    ("HMARKT", ""),
    ("HOPERAT", ""),
    ("CAREMGT", "HOPERAT"),
    ("DONAT", "HOPERAT"),
    ("FRAUD", "HOPERAT"),
    ("GOV", "HOPERAT"),
    ("HACCRED", "HOPERAT"),
    ("HCOMPL", "HOPERAT"),
    ("HDECD", "HOPERAT"),
    ("HDIRECT", "HOPERAT"),
    ("HDM", "HOPERAT"),
    ("HLEGAL", "HOPERAT"),
    ("HOUTCOMS", "HOPERAT"),
    ("HPRGRP", "HOPERAT"),
    ("HQUALIMP", "HOPERAT"),
    ("HSYSADMIN", "HOPERAT"),
    ("LABELING", "HSYSADMIN"),
    ("METAMGT", "HSYSADMIN"),
    ("MEMADMIN", "HOPERAT"),
    ("MILCDM", "HOPERAT"),
    ("PATADMIN", "HOPERAT"),
    ("PATSFTY", "HOPERAT"),
    ("PERFMSR", "HOPERAT"),
    ("RECORDMGT", "HOPERAT"),
    ("SYSDEV", "HOPERAT"),
    ("HTEST", "SYSDEV"),
    ("TRAIN", "HOPERAT"),
    ("MLTRAINING", "HOPERAT"),
    ("HPAYMT", ""),
    ("CLMATTCH", "HPAYMT"),
    ("COVAUTH", "HPAYMT"),
    ("COVERAGE", "HPAYMT"),
    ("ELIGDTRM", "COVERAGE"),
    ("ELIGVER", "COVERAGE"),
    ("ENROLLM", "COVERAGE"),
    ("MILDCRG", "COVERAGE"),
    ("REMITADV", "HPAYMT"),
    ("PMTDS", "HPAYMT"),
    ("HRESCH", ""),
    ("BIORCH", "HRESCH"),
    ("CLINTRCH", "HRESCH"),
    ("CLINTRCHNPC", "CLINTRCH"),
    ("CLINTRCHPC", "CLINTRCH"),
    ("PRECLINTRCH", "CLINTRCH"),
    ("DSRCH", "HRESCH"),
    ("POARCH", "HRESCH"),
    ("TRANSRCH", "HRESCH"),
    ("PATRQT", ""),
    ("FAMRQT", "PATRQT"),
    ("PWATRNY", "PATRQT"),
    ("SUPNWK", "PATRQT"),
    ("PUBHLTH", ""),
    ("DISASTER", "PUBHLTH"),
    ("THREAT", "PUBHLTH"),
    ("TREAT", ""),
    ("CLINTRL", "TREAT"),
    ("COC", "TREAT"),
    ("ETREAT", "TREAT"),
    ("BTG", "ETREAT"),
    ("ERTREAT", "ETREAT"),
    ("POPHLTH", "TREAT"),
    ("TREATDS", "TREAT"),
];

/// A purpose of use: the place of its code in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PurposeOfUse(u8);

impl PurposeOfUse {
    /// Treatment.
    pub const TREAT: Self = Self(54);
    /// Treatment in an emergency.
    pub const ETREAT: Self = Self(57);
    /// Breaking the glass.
    pub const BTG: Self = Self(58);
    /// Payment.
    pub const HPAYMT: Self = Self(28);

    /// What a text says: a code, or one behind its system, as
    /// `SYSTEM|TREAT`, `urn:oid:2.16.840.1.113883.5.8|TREAT` and UDAP's `urn:oid:…#TREAT`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let code = match text.rsplit_once(['|', '#']) {
            None => text,
            Some((SYSTEM | OID, code)) => code,
            Some(_) => return None,
        };
        Self::all().find(|known| known.code() == code)
    }

    /// Its code.
    #[must_use]
    pub fn code(self) -> &'static str {
        self.entry().0
    }

    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..CODES.len() as u8).map(Self)
    }

    /// Whether it is another one, or below it.
    #[must_use]
    pub fn is(self, other: Self) -> bool {
        self == other || self.above().is_some_and(|above| above.is(other))
    }

    fn above(self) -> Option<Self> {
        Self::parse(self.entry().1)
    }

    fn entry(self) -> (&'static str, &'static str) {
        CODES.get(usize::from(self.0)).copied().unwrap_or_default()
    }

    /// Whether who may act for another one may state this one.
    #[must_use]
    pub fn may_be_stated_by(self, other: Self) -> bool {
        let of_emergency = self.is(Self::ETREAT) && !other.is(Self::ETREAT);
        self != Self::BTG && !of_emergency && self.is(other)
    }
}

impl Serialize for PurposeOfUse {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.code())
    }
}

impl<'de> Deserialize<'de> for PurposeOfUse {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        Self::parse(&text).ok_or_else(|| D::Error::custom("not a purpose of use"))
    }
}

/// What somebody may act for, and does without stating it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Purposes {
    usual: Option<PurposeOfUse>,
    allowed: Vec<PurposeOfUse>,
}

impl Purposes {
    /// A default and what may be stated. A default that may not be is nobody's: then
    /// what is done is for a purpose that nobody knows.
    #[must_use]
    pub fn of(usual: Option<PurposeOfUse>, allowed: Vec<PurposeOfUse>) -> Self {
        let mut purposes = Self {
            usual: None,
            allowed,
        };
        purposes.usual = usual.filter(|one| purposes.allow(*one));
        purposes
    }

    /// What is acted for where nothing is stated.
    #[must_use]
    pub fn usual(&self) -> Option<PurposeOfUse> {
        self.usual
    }

    /// Whether it may be stated.
    #[must_use]
    pub fn allow(&self, purpose: PurposeOfUse) -> bool {
        let mut allowed = self.allowed.iter();
        allowed.any(|one| purpose.may_be_stated_by(*one))
    }

    /// What is left of it for who is given a token, or a client, for some purposes.
    #[must_use]
    pub fn within(&self, usual: Option<PurposeOfUse>, others: &[PurposeOfUse]) -> Self {
        let here = self.allowed.iter().copied();
        let here = here.filter(|one| others.iter().any(|other| one.may_be_stated_by(*other)));
        let there = others.iter().copied().filter(|one| self.allow(*one));
        let mut both: Vec<PurposeOfUse> = here.chain(there).collect();
        both.sort_unstable();
        both.dedup();
        Self::of(usual.or(self.usual), both)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(code: &str) -> PurposeOfUse {
        PurposeOfUse::parse(code).unwrap()
    }

    #[test]
    fn a_code_stands_for_itself_and_what_is_below() {
        for purpose in PurposeOfUse::all() {
            assert!(purpose.is(purpose), "{purpose:?}");
            let mut tops =
                PurposeOfUse::all().filter(|one| one.above().is_none() && purpose.is(*one));
            assert!(
                tops.next().is_some() && tops.next().is_none(),
                "{purpose:?}"
            );
        }
        assert!(of("BTG").is(PurposeOfUse::TREAT) && !PurposeOfUse::TREAT.is(of("BTG")));
        assert!(of("CLINTRCHPC").is(of("HRESCH")) && !of("CLINTRL").is(of("HRESCH")));
        assert_eq!(
            PurposeOfUse::all()
                .filter(|one| one.is(of("HPAYMT")))
                .count(),
            10
        );
    }

    #[test]
    fn purposes_with_names_are_what_they_are_called() {
        let named = [
            PurposeOfUse::TREAT,
            PurposeOfUse::ETREAT,
            PurposeOfUse::BTG,
            PurposeOfUse::HPAYMT,
        ];
        let codes = named.map(PurposeOfUse::code);
        assert_eq!(codes, ["TREAT", "ETREAT", "BTG", "HPAYMT"]);
    }

    #[test]
    fn codes_come_alone_or_behind_their_system() {
        for text in [
            "HRESCH",
            "http://terminology.hl7.org/CodeSystem/v3-ActReason|HRESCH",
            "urn:oid:2.16.840.1.113883.5.8|HRESCH",
            "urn:oid:2.16.840.1.113883.5.8#HRESCH",
        ] {
            assert_eq!(of(text).code(), "HRESCH", "{text}");
        }
        for wrong in ["", "hresch", "PurposeOfUse", "x|TREAT", "|TREAT", "TREAT "] {
            assert_eq!(PurposeOfUse::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn an_emergency_has_to_be_named_by_itself() {
        let may = |own: &str, stated: &str| of(stated).may_be_stated_by(of(own));
        assert!(may("TREAT", "TREAT") && may("TREAT", "COC"));
        assert!(!may("TREAT", "ETREAT") && !may("TREAT", "ERTREAT") && !may("COC", "TREAT"));
        assert!(may("ETREAT", "ETREAT") && may("ETREAT", "ERTREAT") && may("ERTREAT", "ERTREAT"));
        assert!(!may("ETREAT", "BTG") && !may("BTG", "BTG"));
    }

    #[test]
    fn what_two_allow_is_what_each_allows() {
        let some = |codes: &[&str]| codes.iter().map(|code| of(code)).collect::<Vec<_>>();
        let users = Purposes::of(Some(PurposeOfUse::TREAT), some(&["TREAT", "HRESCH"]));
        let both = users.within(Some(of("DSRCH")), &some(&["DSRCH", "HPAYMT"]));
        assert_eq!(both.usual(), Some(of("DSRCH")));
        assert!(both.allow(of("DSRCH")) && !both.allow(of("HRESCH")));
        assert!(!both.allow(PurposeOfUse::HPAYMT) && !both.allow(PurposeOfUse::TREAT));
        // Who has no default that may be stated acts for nobody knows what.
        let none = users.within(None, &some(&["DSRCH"]));
        assert_eq!(none.usual(), None);
        let wrong = users.within(Some(PurposeOfUse::HPAYMT), &some(&["HPAYMT"]));
        assert_eq!(
            (wrong.usual(), wrong.allow(PurposeOfUse::HPAYMT)),
            (None, false)
        );
        for purpose in PurposeOfUse::all() {
            let narrowed = users.within(None, &some(&["TREAT", "HOPERAT"]));
            let each = users.allow(purpose)
                && (purpose.may_be_stated_by(PurposeOfUse::TREAT)
                    || purpose.may_be_stated_by(of("HOPERAT")));
            assert_eq!(narrowed.allow(purpose), each, "{purpose:?}");
        }
    }
}
