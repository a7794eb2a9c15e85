//! Who is behind a request, as the audit names them: with what people call them and
//! what they were just then, since accounts change and go.
//!
//! Patients and those who act for them are named by their record only: what an
//! entry of the audit says outlives the records of a patient, which can be destroyed.

use serde::{Deserialize, Serialize};

/// Who is behind a subject. A text that does not apply is empty.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Agent {
    /// Kind and id, as `Client/demo`.
    pub label: Box<str>,
    /// What people call them.
    pub name: Box<str>,
    /// The roles that they hold, with spaces between them.
    pub roles: Box<str>,
    /// Who they are among the resources of the project: `Practitioner/d`.
    pub profile: Box<str>,
    /// The id of the client that acts for them.
    pub app: Box<str>,
    /// What people call that client.
    pub app_name: Box<str>,
    /// Names the session among others; of no use to who knows it.
    pub session: Box<str>,
    /// Somebody outside to whom records are disclosed by showing them to this one.
    pub recipient: Option<Recipient>,
}
salus_phi::guard!(Agent);

/// Somebody outside, as the accounting of disclosures names them
/// (45 CFR 164.528(b)(2)(ii)).
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipient {
    /// The name of the entity or person.
    pub name: Box<str>,
    /// Its postal address, as far as it is known.
    #[serde(default)]
    pub address: Box<str>,
    /// Why what is disclosed to them stands in no accounting, if it never does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basis: Option<Exception>,
}
salus_phi::guard!(Recipient);

/// Why a disclosure stands in no accounting: 45 CFR 164.528(a)(1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Exception {
    /// (i) To carry out treatment.
    Treatment,
    /// (i) Payment.
    Payment,
    /// (i) Health care operations.
    Operations,
    /// (ii) To individuals about themselves.
    Individual,
    /// (iii) Incident to a use or disclosure that is permitted.
    Incidental,
    /// (iv) Pursuant to an authorization.
    Authorization,
    /// (v) For the facility's directory, to persons involved in the care, or for notification.
    Directory,
    /// (vi) For national security or intelligence purposes.
    NationalSecurity,
    /// (vii) To correctional institutions or law enforcement officials having custody.
    Correctional,
    /// (viii) As part of a limited data set.
    LimitedDataSet,
}

impl Exception {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Treatment,
        Self::Payment,
        Self::Operations,
        Self::Individual,
        Self::Incidental,
        Self::Authorization,
        Self::Directory,
        Self::NationalSecurity,
        Self::Correctional,
        Self::LimitedDataSet,
    ];

    /// Its name in stored forms and the API.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Treatment => "treatment",
            Self::Payment => "payment",
            Self::Operations => "operations",
            Self::Individual => "individual",
            Self::Incidental => "incidental",
            Self::Authorization => "authorization",
            Self::Directory => "directory",
            Self::NationalSecurity => "national-security",
            Self::Correctional => "correctional",
            Self::LimitedDataSet => "limited-data-set",
        }
    }

    /// The one of a name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.name() == name)
    }
}

/// The most bytes of a name or an address.
const TEXT_MAX: usize = 300;

impl Recipient {
    /// Whether it can be put on a list: it has a name, and both are single lines of some length at most.
    #[must_use]
    pub fn is_told(&self) -> bool {
        let is_line = |text: &str| text.len() <= TEXT_MAX && !text.chars().any(char::is_control);
        !self.name.trim().is_empty() && is_line(&self.name) && is_line(&self.address)
    }
}

impl Agent {
    /// One of whom nothing but kind and id is known.
    #[must_use]
    pub fn named(label: &str) -> Self {
        Self {
            label: label.into(),
            ..Self::default()
        }
    }

    /// Kind and id apart: `Client`, `demo`.
    #[must_use]
    pub fn kind_and_id(&self) -> (&str, &str) {
        self.label.split_once('/').unwrap_or((&self.label, ""))
    }
}
