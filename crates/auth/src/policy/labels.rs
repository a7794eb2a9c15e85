//! Security labels of records, as rules name them
//! (<https://hl7.org/fhir/R4/security-labels.html>, HL7 Data Segmentation for
//! Privacy).
//!
//! A label is a code in `meta.security`. A code of confidentiality stands for
//! itself and all that are more: `R` for `R` and `V`. A code of sensitivity
//! stands for itself and those below it in v3-ActCode: `SUD` for substance use
//! disorders and, below it, those of alcohol and of opioids. Of other systems
//! there is no order here: `SYSTEM|CODE` stands for that code.
//!
//! What of v3-ActCode is in an order is the table below; the terms are those
//! of HL7's v3 code systems, which are free to use.

use salus_store::{Filter, Param, Test, Tokens};
use serde::{Deserialize, Serialize};

const CONFIDENTIALITY: &str = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality";
const ACT: &str = "http://terminology.hl7.org/CodeSystem/v3-ActCode";

/// Of what patients paid themselves and want no payer to learn of (45 CFR
/// 164.522(a)(1)(vi)).
const SELF_PAY: &str = "HIPAASelfPay";
/// Of records of programs under 42 CFR Part 2.
const PART_2: &str = "42CFRPart2";

/// From the least to the most.
const LEVELS: [&str; 6] = ["U", "L", "M", "N", "R", "V"];

/// Codes of v3-ActCode (HL7 Terminology 7.0.1) with what stands right below each.
const BELOW: [(&str, &[&str]); 10] = [
    (
        "_InformationSensitivityPolicy",
        &[
            "ADOL",
            "CEL",
            "DIA",
            "DRGIS",
            "EMP",
            "PDS",
            "PHY",
            "PRS",
            "VIP",
            "_ActInformationSensitivityPolicy",
            "_EntitySensitivityPolicyType",
            "_RoleInformationSensitivityPolicy",
        ],
    ),
    (
        "_ActInformationSensitivityPolicy",
        &[
            "ETH", "GDIS", "HIV", "IDS", "MST", "PREGNANT", "SCA", "SDV", "SEX", "SICKLE", "SPI",
            "STD", "TBOO", "VIO",
        ],
    ),
    ("SPI", &["BH", "MH", "PSY", "PSYTHPN", "SUD"]),
    ("BH", &["COGN", "DVD", "EMOTDIS"]),
    ("SUD", &["ETHUD", "OPIOIDUD"]),
    (
        "_EntitySensitivityPolicyType",
        &[
            "DEMO", "DOB", "GENDER", "LIVARG", "MARST", "PATLOC", "RACE", "REL",
        ],
    ),
    (
        "_RoleInformationSensitivityPolicy",
        &["B", "EMPL", "LOCIS", "SSP"],
    ),
    (
        "_ActPrivacyLaw",
        &["_ActGDPRPrivacyLaw", "_ActUSPrivacyLaw"],
    ),
    ("_ActGDPRPrivacyLaw", &["GDPRCONSENT"]),
    (
        "_ActUSPrivacyLaw",
        &[
            "42CFRPart2",
            "CommonRule",
            "HIPAAAuth",
            "HIPAAConsent",
            "HIPAANOPP",
            "HIPAAPsyNotes",
            "HIPAAROA",
            "HIPAASelfPay",
            "Title38Section7332",
        ],
    ),
];

/// A label that a rule names.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Label(String);
salus_phi::guard!(Label);

impl Label {
    /// Reads one: a code of confidentiality or sensitivity, or `SYSTEM|CODE`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let known = text.len() <= 300 && !Self(text.to_owned()).codes().is_empty();
        known.then(|| Self(text.to_owned()))
    }

    /// The label of Part 2.
    #[must_use]
    pub fn part_2() -> Self {
        Self(PART_2.to_owned())
    }

    /// The label of what no payer may learn of.
    #[must_use]
    pub fn self_pay() -> Self {
        Self(SELF_PAY.to_owned())
    }

    /// System and code of all that it stands for.
    #[must_use]
    pub fn codes(&self) -> Vec<(&str, &str)> {
        let (system, code) = match self.0.split_once('|') {
            Some(("" | "|", _)) | Some((_, "")) => return Vec::new(),
            Some((system, code)) => (system, code),
            None if LEVELS.contains(&&*self.0) => (CONFIDENTIALITY, &*self.0),
            None if is_act(&self.0) => (ACT, &*self.0),
            None => return Vec::new(),
        };
        let level = LEVELS.iter().position(|level| *level == code);
        match (system, level) {
            (CONFIDENTIALITY, Some(level)) => {
                let levels = LEVELS.get(level..).unwrap_or_default();
                levels.iter().map(|level| (system, *level)).collect()
            }
            (ACT, _) => {
                let mut all = vec![(system, code)];
                let mut at = 0;
                while let Some((_, code)) = all.get(at).copied() {
                    at += 1;
                    let below = BELOW.iter().filter(|(known, _)| *known == code);
                    all.extend(
                        below
                            .flat_map(|(_, below)| *below)
                            .map(|one| (system, *one)),
                    );
                }
                all
            }
            _ => vec![(system, code)],
        }
    }

    /// What is more than a level of confidentiality; of others nothing.
    #[must_use]
    pub fn above(&self) -> Vec<Self> {
        let codes = self.codes();
        let is_level = codes.iter().all(|(system, _)| *system == CONFIDENTIALITY);
        let next = codes.get(1).filter(|_| is_level);
        next.map(|(_, code)| Self((*code).to_owned()))
            .into_iter()
            .collect()
    }

    /// The records of a type that have one of some labels.
    #[must_use]
    pub fn any_of(ty: &str, labels: &[Self]) -> Filter {
        let codes: Vec<(&str, &str)> = labels.iter().flat_map(Self::codes).collect();
        let test = Test::Tokens(Tokens::of(codes));
        Filter::Value(Param::named(ty, "_security"), test)
    }
}

fn is_act(code: &str) -> bool {
    BELOW
        .iter()
        .any(|(known, below)| *known == code || below.contains(&code))
}

impl From<Label> for String {
    fn from(label: Label) -> Self {
        label.0
    }
}

impl TryFrom<String> for Label {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text).ok_or("not a label")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn stands_for(label: &str, codes: &[&str]) {
        let label = Label::parse(label).unwrap();
        let have: Vec<&str> = label.codes().into_iter().map(|(_, code)| code).collect();
        assert_eq!(have, codes);
    }

    #[test]
    fn a_label_stands_for_what_it_includes() {
        stands_for("R", &["R", "V"]);
        stands_for("V", &["V"]);
        stands_for("SUD", &["SUD", "ETHUD", "OPIOIDUD"]);
        stands_for("ETH", &["ETH"]);
        stands_for("42CFRPart2", &["42CFRPart2"]);
        stands_for("urn:mine|x", &["x"]);
        stands_for(&format!("{CONFIDENTIALITY}|N"), &["N", "R", "V"]);
        stands_for(&format!("{ACT}|OPIOIDUD"), &["OPIOIDUD"]);
        for wrong in ["", "|", "x|", "|x", "NOTHING"] {
            assert_eq!(Label::parse(wrong), None, "{wrong}");
        }
    }
}
