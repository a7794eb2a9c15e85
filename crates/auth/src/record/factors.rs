//! The second factors of a user, in one record under the user's id, so that
//! what is used up and what it opens are committed together.
//!
//! The record is sealed as every record is; the secret of an app lies in
//! it and nowhere else.

use salus_store::Row;
use serde::{Deserialize, Serialize};

use super::{LockOut, Saved, SystemRecord};
use crate::mfa::passkey::{Assertion, Expected, Refused};
use crate::mfa::recovery::{self, RecoveryHash};
use crate::mfa::{Passkey, Totp, totp};
use crate::{Error, Secret};

/// How many factors a user has, at most.
pub const FACTORS_MAX: usize = 10;
/// How long an app may take to show its first code.
const ENROLMENT_MS: i64 = 15 * 60 * 1000;
const NAME_LEN_MAX: usize = 100;

/// What a user proves themselves with besides a password.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Factors {
    /// What there is, the oldest first.
    #[serde(default)]
    pub list: Vec<Factor>,
    /// What is set up and not proved yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    enrolling: Option<Enrolling>,
    /// What is left of the codes for who has lost everything else.
    #[serde(default)]
    recovery: Vec<RecoveryHash>,
    /// Wrong ones in a row.
    #[serde(default)]
    failures: u32,
    /// When the last of them was.
    #[serde(default)]
    failed_ms: i64,
}

/// One factor. Its id is random.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Factor {
    /// The id.
    pub id: Box<str>,
    /// What the user calls it.
    pub name: String,
    /// When it was made, in milliseconds since 1970 UTC.
    pub created_ms: i64,
    /// When it was used last; 0 is never.
    #[serde(default)]
    pub used_ms: i64,
    /// What it is.
    pub means: Means,
}
salus_phi::guard!(Factor);

/// What a factor is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Means {
    /// An app that shows codes.
    Totp(Totp),
    /// A passkey.
    Passkey(Passkey),
}

impl Means {
    /// Its name in answers.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Totp(_) => "totp",
            Self::Passkey(_) => "passkey",
        }
    }
}

impl Factor {
    /// The app that it is, if it is one.
    #[must_use]
    pub fn totp(&self) -> Option<&Totp> {
        match &self.means {
            Means::Totp(totp) => Some(totp),
            Means::Passkey(_) => None,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Enrolling {
    factor: Factor,
    until_ms: i64,
}

impl SystemRecord for Factors {
    const NAME: &'static str = "salus:Factors";

    fn rows(&self) -> Vec<Row> {
        Vec::new()
    }
}

impl Factors {
    /// Whether there is any factor that was proved once.
    #[must_use]
    pub fn any(&self) -> bool {
        !self.list.is_empty()
    }

    /// Whether one of them is an app that shows codes.
    #[must_use]
    pub fn has_totp(&self) -> bool {
        let mut means = self.list.iter().map(|factor| &factor.means);
        means.any(|means| matches!(means, Means::Totp(_)))
    }

    /// The ids of the credentials of all passkeys, in base64url.
    pub fn credentials(&self) -> impl Iterator<Item = &str> {
        let means = self.list.iter().map(|factor| &factor.means);
        means.filter_map(|means| match means {
            Means::Totp(_) => None,
            Means::Passkey(passkey) => Some(&*passkey.credential),
        })
    }

    /// Adds a passkey.
    ///
    /// # Errors
    /// When there are too many, it is there already, or the name is too long.
    pub fn add_passkey(
        &mut self,
        id: &str,
        name: &str,
        passkey: Passkey,
        now_ms: i64,
    ) -> Result<(), Error> {
        check_name(name)?;
        self.check_room()?;
        if self
            .credentials()
            .any(|known| *known == *passkey.credential)
        {
            return Err(Error::Name {
                what: "passkey",
                form: "one that the account does not have yet",
            });
        }
        self.list.push(Factor {
            id: id.into(),
            name: name.to_owned(),
            created_ms: now_ms,
            used_ms: 0,
            means: Means::Passkey(passkey),
        });
        Ok(())
    }

    /// Takes a signature of one of the passkeys: whether it has made sure of its
    /// owner. Nobody can guess one, so what is wrong is not counted.
    ///
    /// # Errors
    /// Why it is not taken.
    pub fn take_passkey(
        &mut self,
        assertion: &Assertion,
        expected: Expected<'_>,
        now_ms: i64,
    ) -> Result<bool, Refused> {
        for factor in &mut self.list {
            if let Means::Passkey(passkey) = &mut factor.means
                && *passkey.credential == *assertion.id
            {
                let verified = passkey.accept(assertion, expected)?;
                factor.used_ms = now_ms;
                return Ok(verified);
            }
        }
        Err(Refused::Mismatch)
    }

    /// How many recovery codes are left.
    #[must_use]
    pub fn codes_left(&self) -> usize {
        self.recovery.len()
    }

    /// For how many milliseconds wrong codes hold it shut, if they do.
    #[must_use]
    pub fn shut_ms(&self, rule: LockOut, now_ms: i64) -> Option<i64> {
        let until_ms = self
            .failed_ms
            .saturating_add(i64::from(rule.minutes) * 60_000);
        let shut = self.failures >= rule.failures && now_ms < until_ms;
        shut.then(|| until_ms.saturating_sub(now_ms))
    }

    /// Takes a code of an app. What was wrong is counted.
    pub fn take_totp(&mut self, code: &str, now_ms: i64) -> bool {
        let mut taken = false;
        for factor in &mut self.list {
            let right = match &mut factor.means {
                Means::Totp(totp) => !taken && totp.accept(code, now_ms),
                Means::Passkey(_) => false,
            };
            if right {
                factor.used_ms = now_ms;
                taken = true;
            }
        }
        self.counted(taken, now_ms)
    }

    /// Takes a recovery code, which is no longer one then.
    pub fn take_recovery(&mut self, code: &str, now_ms: i64) -> bool {
        let taken = recovery::take(&mut self.recovery, code);
        self.counted(taken, now_ms)
    }

    fn counted(&mut self, right: bool, now_ms: i64) -> bool {
        if right {
            self.failures = 0;
        } else {
            self.failures = self.failures.saturating_add(1);
            self.failed_ms = now_ms;
        }
        right
    }

    /// Begins to set up an app; what was begun before is forgotten.
    ///
    /// # Errors
    /// When there are too many, or the name is too long.
    pub fn begin_totp(
        &mut self,
        id: &str,
        name: &str,
        random: &[u8; 20],
        now_ms: i64,
    ) -> Result<Totp, Error> {
        check_name(name)?;
        self.check_room()?;
        let totp = totp::Totp::new(random);
        self.enrolling = Some(Enrolling {
            factor: Factor {
                id: id.into(),
                name: name.to_owned(),
                created_ms: now_ms,
                used_ms: 0,
                means: Means::Totp(totp.clone()),
            },
            until_ms: now_ms.saturating_add(ENROLMENT_MS),
        });
        Ok(totp)
    }

    /// The app that is being set up under an id; any, if none is named.
    #[must_use]
    pub fn begun(&self, id: Option<&str>, now_ms: i64) -> Option<&Factor> {
        let begun = self.enrolling.as_ref();
        let begun = begun.filter(|begun| now_ms < begun.until_ms);
        let factor = begun.map(|begun| &begun.factor);
        factor.filter(|factor| id.is_none_or(|id| *factor.id == *id))
    }

    /// Ends setting up an app by a code that it shows: it is a factor from now on.
    pub fn confirm(&mut self, id: Option<&str>, code: &str, now_ms: i64) -> bool {
        let Some(mut factor) = self.begun(id, now_ms).cloned() else {
            return false;
        };
        let right = match &mut factor.means {
            Means::Totp(totp) => totp.accept(code, now_ms),
            Means::Passkey(_) => false,
        };
        if right {
            factor.used_ms = now_ms;
            self.list.push(factor);
            self.enrolling = None;
        }
        self.counted(right, now_ms)
    }

    /// Whether there is room for one more.
    ///
    /// # Errors
    /// When there is not.
    pub fn check_room(&self) -> Result<(), Error> {
        match self.list.len() < FACTORS_MAX {
            true => Ok(()),
            false => Err(Error::Name {
                what: "list of factors",
                form: "one of 10 at most: remove one first",
            }),
        }
    }

    /// Takes a factor away. Without any factor there are no recovery codes either.
    pub fn remove(&mut self, id: &str) -> bool {
        let count = self.list.len();
        self.list.retain(|factor| *factor.id != *id);
        if self.list.is_empty() {
            self.recovery.clear();
        }
        self.list.len() < count
    }

    /// New recovery codes in the place of all others.
    pub fn renew_codes(
        &mut self,
        mut random: impl FnMut(&mut [u8; recovery::BYTES]),
    ) -> Vec<Secret> {
        let mut shown = Vec::with_capacity(recovery::COUNT);
        self.recovery.clear();
        for _ in 0..recovery::COUNT {
            let mut bytes = [0; recovery::BYTES];
            random(&mut bytes);
            let (code, hash) = recovery::make(&bytes);
            shown.push(code);
            self.recovery.push(hash);
        }
        shown
    }

    /// The record of a user who has none yet.
    #[must_use]
    pub fn none(user: &str) -> Saved<Self> {
        Saved::new(user, Self::default())
    }
}

/// What people call a factor: up to 100 bytes on a line.
///
/// # Errors
/// When it is longer.
pub fn check_name(name: &str) -> Result<(), Error> {
    match name.len() <= NAME_LEN_MAX && !name.contains(char::is_control) {
        true => Ok(()),
        false => Err(Error::Name {
            what: "name",
            form: "100 bytes at most, on one line",
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Codes of the secret of RFC 6238, of the steps from 0 on.
    const CODES: [&str; 3] = ["755224", "287082", "359152"];
    const KEY: &[u8; 20] = b"12345678901234567890";
    const RULE: LockOut = LockOut {
        failures: 3,
        minutes: 1,
    };

    fn enrolled() -> Factors {
        let mut factors = Factors::default();
        factors.begin_totp("a", "App", KEY, 30_000).unwrap();
        assert!(!factors.any());
        assert!(factors.confirm(Some("a"), CODES[1], 30_000));
        factors
    }

    #[test]
    fn an_app_is_a_factor_once_it_has_shown_a_code() {
        let mut factors = Factors::default();
        factors.begin_totp("a", "App", KEY, 30_000).unwrap();
        assert!(!factors.confirm(Some("a"), "000000", 30_000));
        assert!(!factors.confirm(Some("b"), CODES[1], 30_000));
        assert!(!factors.take_totp(CODES[1], 30_000));
        assert!(factors.begun(None, 30_000 + ENROLMENT_MS).is_none());
        assert!(factors.confirm(None, CODES[1], 30_000));
        assert!(factors.any() && factors.begun(None, 30_000).is_none());
        // The code that confirmed it was used by that.
        assert!(!factors.take_totp(CODES[1], 30_000));
        assert!(factors.take_totp(CODES[2], 60_000));
        assert!(!factors.take_totp(CODES[2], 60_000));
    }

    #[test]
    fn wrong_codes_in_a_row_hold_it_shut() {
        let mut factors = enrolled();
        for _ in 0..3 {
            assert_eq!(factors.shut_ms(RULE, 70_000), None);
            assert!(!factors.take_totp("000000", 70_000));
        }
        assert_eq!(factors.shut_ms(RULE, 70_000 + 59_999), Some(1));
        assert_eq!(factors.shut_ms(RULE, 70_000 + 60_000), None);
        assert!(!factors.take_recovery("x", 200_000));
        assert_eq!(factors.shut_ms(RULE, 200_000), Some(60_000));
    }

    #[test]
    fn who_has_no_factor_has_no_recovery_codes() {
        let mut factors = enrolled();
        let mut next = 0;
        let codes = factors.renew_codes(|random| {
            next += 1;
            random.fill(next);
        });
        assert_eq!(factors.codes_left(), 10);
        assert!(factors.take_recovery(codes[3].expose(), 0));
        assert!(!factors.take_recovery(codes[3].expose(), 0));
        assert_eq!(factors.codes_left(), 9);
        assert!(!factors.remove("b") && factors.remove("a"));
        assert_eq!(factors.codes_left(), 0);
    }

    #[test]
    fn there_are_ten_at_most() {
        let mut factors = enrolled();
        let one = factors.list[0].clone();
        factors.list = vec![one; FACTORS_MAX];
        assert!(factors.begin_totp("b", "", KEY, 0).is_err());
        assert!(check_name(&"n".repeat(101)).is_err() && check_name("a\nb").is_err());
    }
}
