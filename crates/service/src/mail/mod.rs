//! Mail: asked for by use cases, kept as letters, sent one after the other.
//!
//! Whoever asks for a mail only has it put into the queue, in the commit of what it is about.
//! Whether an address is known here is looked up when the letter is sent (`send.rs`),
//! so neither the answer nor its time tells ([0033](../../../../docs/adr/0033-accounts-by-mail.md)).

mod compose;
mod send;
#[cfg(test)]
mod tests;
mod texts;

use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::BoxFuture;
use salus_auth::Grant;
use salus_auth::record::{Email, Letter, Mail, Saved, User};
use tokio::sync::Notify;

use crate::Service;
use crate::context::Context;
use crate::error::{Error, Kind};
use crate::pipeline::Write;
pub use texts::TextView;

/// Letters that may wait, of all projects.
const WAITING_MAX: usize = 10_000;

/// What this deployment says about mail.
// No PHI: settings of the operator.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where links lead: the address that people use for this server, without a slash at its
    /// end. It is never taken from a request, whose sender could name another host.
    pub base: String,
}

/// A mail in its words.
#[derive(Clone)]
pub struct Outgoing {
    /// Names it among all that this server sends: the same when it is sent again.
    pub id: Box<str>,
    /// Whom the project wants it to come from.
    pub from: Option<Email>,
    /// Where it goes.
    pub to: Email,
    /// The line in a list of mails.
    pub subject: String,
    /// For programs that show plain text.
    pub text: String,
    /// For programs that show HTML.
    pub html: Option<String>,
    /// When it was asked for, in milliseconds since 1970 UTC.
    pub made_ms: i64,
}
salus_phi::guard!(Outgoing);

/// Why a mail was not sent; no reason names an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsent {
    /// Nothing can be sent just now.
    Unreachable(&'static str),
    /// This one cannot be sent just now.
    ForNow(&'static str),
    /// This one never will be.
    ForGood(&'static str),
}

impl Unsent {
    fn reason(self) -> &'static str {
        match self {
            Self::Unreachable(reason) | Self::ForNow(reason) | Self::ForGood(reason) => reason,
        }
    }
}

/// Takes mails to whoever delivers them.
pub trait Post: Send + Sync {
    /// Hands one over.
    fn send<'a>(&'a self, mail: &'a Outgoing) -> BoxFuture<'a, Result<(), Unsent>>;
}

/// The letters that wait.
#[derive(Default)]
pub(crate) struct Mailroom {
    waiting: AtomicUsize,
    /// Says that there is one more.
    work: Notify,
}

impl Service {
    /// Refuses what needs mail where none can be sent.
    pub(crate) fn check_mail(&self) -> Result<(), Error> {
        if self.settings.mail.is_none() {
            return Err(Error::new(
                Kind::Unprocessable,
                "this server sends no mail; its operator can change that with --mail",
            ));
        }
        if self.mailroom.waiting.load(Ordering::Relaxed) >= WAITING_MAX {
            let details = "too many mails wait to be sent; try again later";
            return Err(Error::new(Kind::Unavailable, details));
        }
        Ok(())
    }

    /// A letter, for the commit of what it is about.
    pub(crate) fn letter(
        &self,
        cx: &Context,
        grant: &Grant,
        letter: Letter,
    ) -> Result<Write, Error> {
        let letter = Saved::new(self.new_id(cx), letter);
        Ok(Write::aside(grant, letter.put()?))
    }

    /// Says that a letter was committed.
    pub(crate) fn posted(&self) {
        self.mailroom.waiting.fetch_add(1, Ordering::Relaxed);
        self.mailroom.work.notify_one();
    }

    /// Tells a user about a change of their account, if mail can be sent: what was changed
    /// stays changed without.
    pub(crate) fn notice(
        &self,
        cx: &Context,
        grant: &Grant,
        mail: Mail,
        (user, to): (&Saved<User>, Email),
    ) -> Result<Option<Write>, Error> {
        if self.check_mail().is_err() {
            return Ok(None);
        }
        let letter = Letter {
            user: Some(user.id.clone()),
            ..Letter::new(mail, to, cx.now_ms)
        };
        self.letter(cx, grant, letter).map(Some)
    }
}
