//! What a request is for: what its subject acts for without saying so, and what it
//! may state instead ([0040](../../../../docs/adr/0040-purposes-and-operations-in-rules.md)).
//!
//! A session is compiled for the purpose that it has by itself. For another one that a
//! request states it is compiled once more, and both are kept together.

use std::sync::Arc;

use salus_auth::record::{Care, Client, Owner, Session};
use salus_auth::{PurposeOfUse, Purposes, Subject, Token, Who};
use salus_store::Scope;

use super::relations::is_payer;
use crate::Service;
use crate::audit::entry::{Entry, Outcome, What};
use crate::context::Context;
use crate::error::{Error, Kind};
use crate::records::one;
use crate::sessions::Credential;

const UNKNOWN: &str =
    "the purpose of use must be one code of the value set v3-PurposeOfUse, as TREAT";
const NOT_ALLOWED: &str = "this purpose of use is not one that may be stated here; purposes in \
                           /admin/care says which users may state, the registration of a client \
                           which it may";

impl Service {
    /// Whoever has authenticated with this, acting for the purpose that their request states. A
    /// refusal is in the audit before it is returned.
    pub async fn stating(
        &self,
        cx: &Context,
        what: What,
        credential: Credential<'_>,
        stated: &[u8],
    ) -> Result<Arc<Subject>, Error> {
        let text = std::str::from_utf8(stated).ok();
        let Some(purpose) = text.and_then(PurposeOfUse::parse) else {
            return Err(self.not_stated(cx, what, "purpose unknown").await?);
        };
        if cx.subject.purpose() == Some(purpose) {
            return Ok(Arc::clone(&cx.subject));
        }
        if !cx.subject.purposes().allow(purpose) {
            return Err(self.not_stated(cx, what, "purpose not allowed").await?);
        }
        let compiled = match credential {
            Credential::Token(text) => match Token::parse(text) {
                Some(token) => self.session_for(&token, purpose, cx.now_ms).await?,
                None => None,
            },
            Credential::Operator | Credential::None => {
                let subject = (*cx.subject).clone();
                Some(Arc::new(subject.acting_for(Some(purpose))))
            }
        };
        match compiled.filter(|subject| subject.purpose() == Some(purpose)) {
            Some(subject) => Ok(subject),
            // What may be stated was changed just now.
            None => Err(self.not_stated(cx, what, "purpose not allowed").await?),
        }
    }

    async fn not_stated(
        &self,
        cx: &Context,
        what: What,
        rule: &'static str,
    ) -> Result<Error, Error> {
        let entry = Entry::new(cx, what, Outcome::Refused, rule);
        self.record(cx, entry).await?;
        Ok(match rule {
            "purpose unknown" => Error::invalid(UNKNOWN),
            _ => Error::new(Kind::Forbidden, NOT_ALLOWED),
        })
    }

    /// A subject that may state what its project, its client and its token say, and
    /// acts for what it states, or else for what they say without.
    pub(crate) async fn with_purposes(
        &self,
        subject: Subject,
        session: &Session,
        stated: Option<PurposeOfUse>,
    ) -> Result<Subject, Error> {
        let (home, store) = (subject.home(), &*self.store);
        let client = match (&session.owner, &session.through) {
            (Owner::Client(id), _) => one::<Client>(store, home, id).await?,
            (Owner::User(_), Some(through)) => {
                one::<Client>(store, Scope(through.project), &through.client).await?
            }
            (Owner::User(_), None) => None,
        };
        let client = client.map(|client| client.value);
        let purposes = self.purposes(&subject, client.as_ref());
        let purposes = match session.purpose {
            Some(bound) => purposes.within(Some(bound), &[bound]),
            None => purposes,
        };
        Ok(stating(subject, purposes, stated))
    }

    /// What somebody may state, by themselves or through a client.
    pub(crate) fn purposes(&self, subject: &Subject, client: Option<&Client>) -> Purposes {
        let care = self.care(subject.home());
        let purposes = own(subject, client, &care);
        match (subject.who(), client) {
            // An app that is registered for nothing states nothing of its own.
            (Who::User | Who::Administrator, Some(app)) if app.purposes.is_empty() => {
                let default: Vec<PurposeOfUse> = purposes.usual().into_iter().collect();
                purposes.within(None, &default)
            }
            (Who::User | Who::Administrator, Some(app)) => {
                purposes.within(app.default_purpose, &app.purposes)
            }
            (Who::User | Who::Administrator | Who::Client | Who::Operator | Who::Anonymous, _) => {
                purposes
            }
        }
    }
}

/// The same one, for what it states if it may.
pub(super) fn stating(
    subject: Subject,
    purposes: Purposes,
    stated: Option<PurposeOfUse>,
) -> Subject {
    let purpose = match stated {
        Some(stated) => Some(stated).filter(|one| purposes.allow(*one)),
        None => purposes.usual(),
    };
    subject.with_purposes(purposes).acting_for(purpose)
}

/// Who administers is under no rules: what they state is for the audit.
fn own(subject: &Subject, client: Option<&Client>, care: &Care) -> Purposes {
    let payment = PurposeOfUse::HPAYMT;
    let registered = client.filter(|_| subject.who() == Who::Client);
    match subject.who() {
        Who::Administrator | Who::Operator => Purposes::of(None, PurposeOfUse::all().collect()),
        Who::User | Who::Client if is_payer(subject, care) => {
            let payer = Purposes::of(Some(payment), vec![payment]);
            match registered.filter(|client| !client.purposes.is_empty()) {
                Some(client) => payer.within(client.default_purpose, &client.purposes),
                None => payer,
            }
        }
        Who::User => care.purposes.known(),
        Who::Client => registered.map(Client::purposes).unwrap_or_default(),
        Who::Anonymous => Purposes::default(),
    }
}
