//! How long relationships to patients last in a project, as far as no record says it.

use salus_store::Row;
use serde::{Deserialize, Serialize};

use super::{Email, SystemRecord};
use crate::{Error, PurposeOfUse, Purposes};

/// The setting of a project. There is one such record at most.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Care {
    /// For how many hours behind the end of an encounter its participants
    /// still stand to the patient as in it.
    #[serde(default = "a_day")]
    pub encounter_grace_hours: u32,
    /// The age of a patient, in years, at which parents stop acting for them.
    #[serde(default = "of_age")]
    pub proxy_until_age: u32,
    /// After how many minutes the glass that somebody broke is whole again.
    #[serde(default = "an_hour")]
    pub break_glass_minutes: u32,
    /// Addresses that are told at once when somebody breaks the glass.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub break_glass_mail: Vec<String>,
    /// Whether, and how, the consents of patients count.
    #[serde(default)]
    pub consent: Consenting,
    /// The ids of clients that act for payers, beside users with the role `payer`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub payer_clients: Vec<String>,
    /// What users act for.
    #[serde(default, skip_serializing_if = "UserPurposes::is_usual")]
    pub purposes: UserPurposes,
}
salus_phi::guard!(Care);

/// What users of a project act for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserPurposes {
    /// Where they state nothing.
    #[serde(default = "treatment")]
    pub default: PurposeOfUse,
    /// What they may state.
    #[serde(default = "only_treatment")]
    pub allowed: Vec<PurposeOfUse>,
}

impl UserPurposes {
    /// What they may state, and act for without.
    #[must_use]
    pub fn known(&self) -> Purposes {
        Purposes::of(Some(self.default), self.allowed.clone())
    }

    fn is_usual(&self) -> bool {
        *self == Self::default()
    }
}

impl Default for UserPurposes {
    fn default() -> Self {
        Self {
            default: treatment(),
            allowed: only_treatment(),
        }
    }
}

/// How the consents of patients count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Consenting {
    /// Not at all.
    #[default]
    None,
    /// What one denies may not be done.
    OptOut,
    /// What none permits may not be done, either.
    OptIn,
}

fn treatment() -> PurposeOfUse {
    PurposeOfUse::TREAT
}

fn only_treatment() -> Vec<PurposeOfUse> {
    vec![PurposeOfUse::TREAT]
}

fn a_day() -> u32 {
    24
}

fn of_age() -> u32 {
    18
}

fn an_hour() -> u32 {
    60
}

impl Default for Care {
    fn default() -> Self {
        Self {
            encounter_grace_hours: a_day(),
            proxy_until_age: of_age(),
            break_glass_minutes: an_hour(),
            break_glass_mail: Vec::new(),
            consent: Consenting::None,
            payer_clients: Vec::new(),
            purposes: UserPurposes::default(),
        }
    }
}

impl SystemRecord for Care {
    const NAME: &'static str = "salus:Care";

    fn rows(&self) -> Vec<Row> {
        Vec::new()
    }
}

impl Care {
    /// The id of a project's only record.
    pub const ID: &'static str = "care";

    /// Checks that the numbers make sense.
    ///
    /// # Errors
    /// Which one does not, and what is accepted.
    pub fn check(&self) -> Result<(), Error> {
        let within = |what, number: u32, (least, most), form| match (least..=most).contains(&number)
        {
            true => Ok(()),
            false => Err(Error::Name { what, form }),
        };
        let grace = self.encounter_grace_hours;
        within("encounter_grace_hours", grace, (0, 8784), "0 to 8784")?;
        within("proxy_until_age", self.proxy_until_age, (0, 30), "0 to 30")?;
        let minutes = self.break_glass_minutes;
        within("break_glass_minutes", minutes, (1, 1440), "1 to 1440")?;
        let is_address = |text: &String| Email::parse(text).is_ok();
        if self.break_glass_mail.len() > 10 || !self.break_glass_mail.iter().all(is_address) {
            return Err(Error::Name {
                what: "break_glass_mail",
                form: "up to 10 e-mail addresses",
            });
        }
        let known = self.purposes.known();
        let (allowed, default) = (&self.purposes.allowed, self.purposes.default);
        if allowed.len() > 20 || !allowed.iter().all(|one| known.allow(*one)) {
            return Err(Error::Name {
                what: "purposes.allowed",
                form: "up to 20 codes of v3-PurposeOfUse, not BTG",
            });
        }
        if known.usual() != Some(default) {
            return Err(Error::Name {
                what: "purposes.default",
                form: "one of purposes.allowed, or below one",
            });
        }
        let is_one = |id: &String| (1..=64).contains(&id.len());
        match self.payer_clients.len() <= 100 && self.payer_clients.iter().all(is_one) {
            true => Ok(()),
            false => Err(Error::Name {
                what: "payer_clients",
                form: "up to 100 ids of clients",
            }),
        }
    }

    /// How much longer than an encounter its relationships last, in milliseconds.
    #[must_use]
    pub fn grace_ms(&self) -> i64 {
        i64::from(self.encounter_grace_hours) * 3_600_000
    }

    /// How long a broken glass stays broken, in milliseconds.
    #[must_use]
    pub fn break_glass_ms(&self) -> i64 {
        i64::from(self.break_glass_minutes) * 60_000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_setting_is_the_default_and_numbers_are_bounded() {
        let read: Care = serde_json::from_str("{}").unwrap();
        assert_eq!(read, Care::default());
        read.check().unwrap();
        for wrong in [
            r#"{"encounter_grace_hours":8785}"#,
            r#"{"proxy_until_age":31}"#,
            r#"{"break_glass_minutes":0}"#,
            r#"{"break_glass_mail":["nobody"]}"#,
            r#"{"purposes":{"allowed":["TREAT","BTG"]}}"#,
            r#"{"purposes":{"default":"HRESCH"}}"#,
            r#"{"purposes":{"default":"ETREAT"}}"#,
        ] {
            let read: Care = serde_json::from_str(wrong).unwrap();
            assert!(read.check().is_err(), "{wrong}");
        }
    }
}
