//! Mail to people: the texts of a project, and letters that wait to be sent.
//!
//! A letter says what is to be told to whom, and not in which words. The words, and the
//! link in them, are made when it is sent, so that no secret waits in a queue and so
//! that asking for mail takes as long whether or not an address is known here.

use salus_store::{Comparison, Filter, Param, Query, Row, Sort, Test, Value};
use serde::{Deserialize, Serialize};

use super::{Email, SystemRecord, all, matching};
use crate::Error;
use crate::template::{Place, Template};

const DUE: Param = Param::named("salus:Letter", "due");

/// How long a subject may be, in bytes.
const SUBJECT_BYTES_MAX: usize = 200;
/// How long a text may be, in bytes.
const TEXT_BYTES_MAX: usize = 32 << 10;

/// What a mail is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mail {
    /// Somebody wants an account: a link to make it.
    SignUp,
    /// The same, but there is one already.
    AccountExists,
    /// Proves that mail reaches a user: a link that says so.
    Verify,
    /// A link to a new password.
    Recover,
    /// A link to an account that somebody else has prepared.
    Invitation,
    /// The password is another now.
    PasswordChanged,
    /// The address is another now; to the old one.
    AddressChanged,
    /// An account elsewhere lets the user in from now on.
    ProviderConnected,
    /// An account elsewhere does so no longer.
    ProviderRemoved,
    /// Somebody broke the glass; to who looks after that.
    GlassBroken,
    /// A rule that watches the audit found something; to who looks after that.
    Alert,
    /// Somebody signed in from another place than of late.
    NewSignIn,
    /// There is one more second factor.
    FactorAdded,
    /// There is one second factor less, or none.
    FactorRemoved,
    /// There are other recovery codes.
    CodesRenewed,
}

impl Mail {
    /// Every mail there is.
    pub const ALL: [Self; 15] = [
        Self::SignUp,
        Self::AccountExists,
        Self::Verify,
        Self::Recover,
        Self::Invitation,
        Self::PasswordChanged,
        Self::AddressChanged,
        Self::ProviderConnected,
        Self::ProviderRemoved,
        Self::GlassBroken,
        Self::Alert,
        Self::NewSignIn,
        Self::FactorAdded,
        Self::FactorRemoved,
        Self::CodesRenewed,
    ];

    /// Its name in URLs; the id of a project's text for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::SignUp => "sign-up",
            Self::AccountExists => "account-exists",
            Self::Verify => "verify",
            Self::Recover => "recover",
            Self::Invitation => "invitation",
            Self::PasswordChanged => "password-changed",
            Self::AddressChanged => "address-changed",
            Self::ProviderConnected => "provider-connected",
            Self::ProviderRemoved => "provider-removed",
            Self::GlassBroken => "glass-broken",
            Self::Alert => "alert",
            Self::NewSignIn => "new-sign-in",
            Self::FactorAdded => "factor-added",
            Self::FactorRemoved => "factor-removed",
            Self::CodesRenewed => "codes-renewed",
        }
    }

    /// The mail of a name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mail| mail.name() == name)
    }

    /// What may stand in its text.
    #[must_use]
    pub fn places(self) -> &'static [Place] {
        match self {
            Self::SignUp | Self::Verify | Self::Recover | Self::Invitation => &[
                Place::Project,
                Place::Name,
                Place::Address,
                Place::Link,
                Place::Hours,
            ],
            Self::AccountExists
            | Self::PasswordChanged
            | Self::AddressChanged
            | Self::ProviderConnected
            | Self::ProviderRemoved
            | Self::NewSignIn
            | Self::FactorAdded
            | Self::FactorRemoved
            | Self::CodesRenewed => &[Place::Project, Place::Name, Place::Address],
            Self::GlassBroken | Self::Alert => &[Place::Project, Place::Address],
        }
    }
}

/// The words of a mail, as a project has chosen them.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailText {
    /// The line in a list of mails.
    pub subject: String,
    /// For programs that show plain text.
    pub text: String,
    /// For programs that show HTML; what is filled in is escaped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub html: Option<String>,
}
salus_phi::guard!(MailText);

impl SystemRecord for MailText {
    const NAME: &'static str = "salus:MailText";

    fn rows(&self) -> Vec<Row> {
        Vec::new()
    }
}

impl MailText {
    /// Checks that it can be filled in for this mail.
    ///
    /// # Errors
    /// Which part cannot, and what is accepted.
    pub fn check(&self, mail: Mail) -> Result<(), Error> {
        let refused = |what, form| Err(Error::Name { what, form });
        let subject = &self.subject;
        if subject.is_empty() || subject.len() > SUBJECT_BYTES_MAX || one_line(subject).is_none() {
            return refused("subject", "a line of 1 to 200 bytes");
        }
        let bodies = [("text", Some(&self.text)), ("html", self.html.as_ref())];
        for (what, body) in [("subject", Some(subject))].into_iter().chain(bodies) {
            let Some(body) = body else { continue };
            if body.is_empty() || body.len() > TEXT_BYTES_MAX || body.contains('\0') {
                return refused(what, "1 byte to 32 KiB of text");
            }
            let read = Template::parse(body, mail.places());
            let template = read.map_err(|form| Error::Name { what, form })?;
            let links = mail.places().contains(&Place::Link);
            if links && what != "subject" && !template.has(Place::Link) {
                return refused(what, "a text with {{link}} in it");
            }
            if what == "subject" && template.has(Place::Link) {
                return refused(what, "a line without {{link}}");
            }
        }
        Ok(())
    }
}

/// A text that is one line.
fn one_line(text: &str) -> Option<&str> {
    (!text.contains(char::is_control)).then_some(text)
}

/// A mail that waits to be sent, in the scope of its project.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Letter {
    /// What it is for.
    pub mail: Mail,
    /// Where it goes.
    pub to: Email,
    /// The user that it is about, if that was known when it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<Box<str>>,
    /// The link in it, once there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<Box<str>>,
    /// When it was asked for, in milliseconds since 1970 UTC.
    pub made_ms: i64,
    /// When it is to be tried next.
    pub due_ms: i64,
    /// How often it was tried.
    #[serde(default)]
    pub tries: u32,
}
salus_phi::guard!(Letter);

impl SystemRecord for Letter {
    const NAME: &'static str = "salus:Letter";

    fn rows(&self) -> Vec<Row> {
        vec![Row {
            param: DUE,
            value: Value::Date {
                from_ms: self.due_ms,
                to_ms: self.due_ms.saturating_add(1),
            },
        }]
    }
}

impl Letter {
    /// A letter that is due at once.
    #[must_use]
    pub fn new(mail: Mail, to: Email, now_ms: i64) -> Self {
        Self {
            mail,
            to,
            user: None,
            link: None,
            made_ms: now_ms,
            due_ms: now_ms,
            tries: 0,
        }
    }

    /// Some of those that are to be tried now, in the order of their ids.
    #[must_use]
    pub fn due(now_ms: i64, limit: usize) -> Query {
        let next_ms = now_ms.saturating_add(1);
        let due = Test::Date(Comparison::Before, next_ms, next_ms.saturating_add(1));
        Query {
            sort: vec![Sort::Id { descending: false }],
            limit,
            ..matching::<Self>(Filter::Value(DUE, due))
        }
    }

    /// A page of all that wait.
    #[must_use]
    pub fn waiting(limit: usize) -> Query {
        all::<Self>(limit, None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(mail: Mail, (subject, text, html): (&str, &str, Option<&str>), good: bool) {
        let words = MailText {
            subject: subject.to_owned(),
            text: text.to_owned(),
            html: html.map(str::to_owned),
        };
        assert_eq!(words.check(mail).is_ok(), good, "{words:?}");
    }

    #[test]
    fn a_text_has_what_its_mail_needs() {
        let link = Some("<a href='{{link}}'>x</a>");
        check(Mail::Recover, ("{{project}}", "{{link}}", link), true);
        check(Mail::Recover, ("s", "{{link}}", None), true);
        check(Mail::Recover, ("s", "no link", None), false);
        check(Mail::Recover, ("s", "{{link}}", Some("no link")), false);
        check(Mail::Recover, ("{{link}}", "{{link}}", None), false);
        check(Mail::Recover, ("a\r\nBcc: b", "{{link}}", None), false);
        check(Mail::Recover, ("", "{{link}}", None), false);
        check(Mail::Recover, ("s", "{{link}} {{password}}", None), false);
        check(Mail::PasswordChanged, ("s", "t", None), true);
        check(Mail::PasswordChanged, ("s", "{{link}}", None), false);
    }

    #[test]
    fn every_mail_has_a_name() {
        for mail in Mail::ALL {
            assert_eq!(Mail::named(mail.name()), Some(mail));
            let json = serde_json::to_value(mail).unwrap();
            assert_eq!(json, mail.name());
        }
    }
}
