//! How the users of a project come in: who may make an account, how long a
//! session waits, who needs a second factor, when an account is held shut.

use salus_store::Row;
use serde::{Deserialize, Serialize};

use super::{Email, SystemRecord};
use crate::Error;

/// The setting of a project, or of the server for its administrators. There is
/// one such record at most.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Who may make an account.
    #[serde(default)]
    pub sign_up: SignUp,
    /// The ids of the groups that whoever signs up without an invitation is put into.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sign_up_groups: Vec<Box<str>>,
    /// After how many minutes without a request a user's session ends (45 CFR
    /// 164.312(a)(2)(iii)); `None` is no sooner than the session does anyway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_minutes: Option<u32>,
    /// After how many minutes a user's session ends in any case.
    #[serde(default = "an_hour")]
    pub session_minutes: u32,
    /// Whether everyone signs in with a second factor, whatever their groups say.
    #[serde(default)]
    pub mfa_required: bool,
    /// How many characters a password has at least.
    #[serde(default = "twelve")]
    pub password_length: u32,
    /// For how many minutes a proof of who is there holds before what cannot be undone.
    #[serde(default = "ten")]
    pub step_up_minutes: u32,
    /// When an account is held shut.
    #[serde(default)]
    pub lock_out: LockOut,
    /// Whom mail comes from; `None` is the server's own setting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mail_from: Option<Email>,
    /// Whether people are told by mail of sign-ins from other places than of late, and of changes to
    /// their second factors.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub notices: bool,
}
salus_phi::guard!(Identity);

/// Who may make an account in a project.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SignUp {
    /// Anyone who has an e-mail address.
    Open,
    /// Whoever was invited.
    Invite,
    /// Nobody: administrators make accounts.
    #[default]
    Closed,
}

/// After how many failures in a row an account or an address is held shut, and how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockOut {
    /// Failures in a row.
    pub failures: u32,
    /// Minutes, from the last of them.
    pub minutes: u32,
}

impl Default for LockOut {
    fn default() -> Self {
        Self {
            failures: 10,
            minutes: 15,
        }
    }
}

fn yes() -> bool {
    true
}

fn is_yes(is: &bool) -> bool {
    *is
}

fn twelve() -> u32 {
    12
}

fn an_hour() -> u32 {
    60
}

fn ten() -> u32 {
    10
}

impl Default for Identity {
    fn default() -> Self {
        Self {
            sign_up: SignUp::default(),
            sign_up_groups: Vec::new(),
            idle_minutes: None,
            session_minutes: an_hour(),
            mfa_required: false,
            password_length: twelve(),
            step_up_minutes: ten(),
            lock_out: LockOut::default(),
            mail_from: None,
            notices: yes(),
        }
    }
}

impl SystemRecord for Identity {
    const NAME: &'static str = "salus:Identity";

    fn rows(&self) -> Vec<Row> {
        Vec::new()
    }
}

impl Identity {
    /// The id of a project's only record.
    pub const ID: &'static str = "identity";

    /// Checks that the numbers make sense.
    ///
    /// # Errors
    /// Which one does not, and what is accepted.
    pub fn check(&self) -> Result<(), Error> {
        let within = |what, number: u32, most: u32, form| match (1..=most).contains(&number) {
            true => Ok(()),
            false => Err(Error::Name { what, form }),
        };
        let day = 24 * 60;
        if let Some(minutes) = self.idle_minutes {
            within("idle_minutes", minutes, day, "1 to 1440, or absent")?;
        }
        within("session_minutes", self.session_minutes, day, "1 to 1440")?;
        // ASVS 5.0, 6.2.1: 8 at least. NIST SP 800-63B-4: 15 where there is no second factor.
        let length = self.password_length;
        if !(8..=64).contains(&length) {
            return Err(Error::Name {
                what: "password_length",
                form: "8 to 64",
            });
        }
        within("step_up_minutes", self.step_up_minutes, 60, "1 to 60")?;
        // ASVS 5.0, 6.3.1: no more than a hundred tries an hour on one account.
        within("failures", self.lock_out.failures, 25, "1 to 25")?;
        within("minutes", self.lock_out.minutes, day, "1 to 1440")?;
        if self.lock_out.failures * 60 > self.lock_out.minutes * 100 {
            return Err(Error::Name {
                what: "lock_out",
                form: "such that an account takes 100 wrong passwords an hour at most",
            });
        }
        Ok(())
    }

    /// After how many milliseconds without a request a user's session ends.
    #[must_use]
    pub fn idle_ms(&self) -> Option<i64> {
        self.idle_minutes.map(|minutes| i64::from(minutes) * 60_000)
    }

    /// For how many milliseconds a proof of who is there holds.
    #[must_use]
    pub fn step_up_ms(&self) -> i64 {
        i64::from(self.step_up_minutes) * 60_000
    }

    /// After how many milliseconds a user's session ends.
    #[must_use]
    pub fn session_ms(&self) -> i64 {
        i64::from(self.session_minutes) * 60_000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_setting_is_the_default() {
        let read: Identity = serde_json::from_str("{}").unwrap();
        assert_eq!(read, Identity::default());
        assert_eq!(read.sign_up, SignUp::Closed);
        read.check().unwrap();
    }

    #[track_caller]
    fn check(change: impl Fn(&mut Identity), good: bool) {
        let mut identity = Identity::default();
        change(&mut identity);
        assert_eq!(identity.check().is_ok(), good, "{identity:?}");
    }

    #[test]
    fn numbers_are_bounded() {
        check(|to| to.idle_minutes = Some(1), true);
        check(|to| to.idle_minutes = Some(0), false);
        check(|to| to.idle_minutes = Some(1441), false);
        check(|to| to.session_minutes = 0, false);
        check(|to| to.session_minutes = 1440, true);
        check(|to| to.password_length = 7, false);
        check(|to| to.password_length = 64, true);
        check(|to| to.password_length = 65, false);
        let lock_out = |failures, minutes| LockOut { failures, minutes };
        check(|to| to.lock_out = lock_out(0, 5), false);
        check(|to| to.lock_out = lock_out(5, 3), true);
        check(|to| to.lock_out = lock_out(5, 2), false);
        check(|to| to.lock_out = lock_out(26, 1440), false);
    }
}
