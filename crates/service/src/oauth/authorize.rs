//! The authorization endpoint: <https://www.rfc-editor.org/rfc/rfc6749#section-4.1.1>.
//!
//! Nothing is kept between the pages. The request stands in each form, and is
//! checked anew with each.

use salus_auth::record::{Agreed, Client, Code as CodeRecord, ProfileType, Saved};
use salus_auth::{Action, Level, Target, Word};

use super::browser::Browser;
use super::request::{Asked, Wanted};
use super::{Code, Fault, issuer};
use crate::Service;
use crate::audit::entry::{Entry, Outcome, What};
use crate::context::Context;
use crate::error::Error;
use crate::pipeline::Write;

/// What happens next with a request.
#[derive(Debug)]
pub enum Step {
    /// The user is told why it goes no further.
    Stop(&'static str),
    /// The user is sent back to the client.
    Back(String),
    /// The user signs in.
    SignIn {
        /// The client's name.
        client: String,
    },
    /// The user agrees, or does not.
    Consent(Consent),
}

/// What the user is asked.
#[derive(Debug)]
pub struct Consent {
    /// The client's name.
    pub client: String,
    /// The address that the user signed in with.
    pub user: String,
    /// What the client would be given.
    pub scopes: Vec<String>,
    /// The patients that it may be about; one is to be chosen.
    pub patients: Vec<Box<str>>,
}

impl Service {
    /// What a request leads to, for who is at the browser.
    pub async fn asked(
        &self,
        cx: &Context,
        asked: &Asked,
        cookie: Option<&str>,
    ) -> Result<Step, Error> {
        let (client, wanted) = match self.understood(cx, asked).await? {
            Ok(understood) => understood,
            Err(step) => return Ok(step),
        };
        let browser = self.signed_in(cx, &wanted, cookie).await?;
        let back = |code, why| Ok(self.back(cx, asked, Fault::new(code, why)));
        match browser {
            None if wanted.silent => back(Code::LoginRequired, "the user is not signed in"),
            None => Ok(Step::SignIn {
                client: client.value.name.clone(),
            }),
            Some(_) if wanted.silent => back(Code::ConsentRequired, "the user has to agree"),
            Some(browser) => match consent(&client, &wanted, &browser) {
                Ok(consent) => Ok(Step::Consent(consent)),
                Err(fault) => Ok(self.back(cx, asked, fault)),
            },
        }
    }

    /// What the user has decided.
    pub async fn decided(
        &self,
        cx: &Context,
        asked: &Asked,
        cookie: Option<&str>,
        (agreed, patient): (bool, Option<&str>),
    ) -> Result<Step, Error> {
        let (client, wanted) = match self.understood(cx, asked).await? {
            Ok(understood) => understood,
            Err(step) => return Ok(step),
        };
        let Some(browser) = self.signed_in(cx, &wanted, cookie).await? else {
            return Ok(Step::SignIn {
                client: client.value.name.clone(),
            });
        };
        let consent = match consent(&client, &wanted, &browser) {
            Ok(consent) => consent,
            Err(fault) => return Ok(self.back(cx, asked, fault)),
        };
        if !agreed {
            let cx = &browser.context(cx);
            let entry = Entry::new(cx, What::SignIn, Outcome::Refused, "the user did not agree");
            self.record(cx, entry).await?;
            let fault = Fault::new(Code::AccessDenied, "the user did not agree");
            return Ok(self.back(cx, asked, fault));
        }
        let patient = match (&*consent.patients, patient) {
            ([], _) => None,
            ([only], None) => Some(only.clone()),
            (patients, Some(chosen)) if patients.iter().any(|one| **one == *chosen) => {
                Some(chosen.into())
            }
            _ => return Ok(Step::Consent(consent)),
        };
        let agreed = Agreed {
            client: client.id.clone(),
            home: browser.home.0,
            user: browser.user.id.clone(),
            scopes: wanted.scopes.clone(),
            patient,
            nonce: wanted.nonce.clone(),
            signed_in_ms: browser.session.value.created_ms,
            methods: browser.session.value.methods.clone(),
        };
        self.give_code(&browser.context(cx), asked, agreed, &wanted.challenge)
            .await
    }

    async fn give_code(
        &self,
        cx: &Context,
        asked: &Asked,
        agreed: Agreed,
        challenge: &str,
    ) -> Result<Step, Error> {
        let place = (&*asked.redirect_uri, challenge);
        let (code, saved) = CodeRecord::make(&self.random(), agreed, place, cx.now_ms);
        let grant = self
            .authorize(cx, What::SignIn, Action::SignIn, Target::System)
            .await?;
        let mut entry = Entry::new(cx, What::SignIn, Outcome::Success, "the user agreed");
        entry.query = format!("client={}", saved.value.agreed.client).into();
        let write = Write::system(&grant, "Code", saved.put()?);
        self.commit(cx, entry, Vec::new(), vec![write]).await?;
        let answer = [("code", code.expose())];
        Ok(Step::Back(asked.back(issuer(cx), &answer)))
    }

    /// The client and what it wants, or what to do instead.
    async fn understood(
        &self,
        cx: &Context,
        asked: &Asked,
    ) -> Result<Result<(Saved<Client>, Wanted), Step>, Error> {
        let client = self.client(cx, &asked.client_id).await?;
        if let Err(why) = asked.check_place(client.as_ref()) {
            let entry = Entry::new(
                cx,
                What::SignIn,
                Outcome::Refused,
                "no such client or place",
            );
            self.record(cx, entry).await?;
            return Ok(Err(Step::Stop(why)));
        }
        let Some(client) = client else {
            return Ok(Err(Step::Stop("No app of this name is registered here.")));
        };
        match asked.check(&client, &cx.base) {
            Ok(wanted) => Ok(Ok((client, wanted))),
            Err(fault) => {
                let rule = fault.code.name();
                let entry = Entry::new(cx, What::SignIn, Outcome::Refused, rule);
                self.record(cx, entry).await?;
                Ok(Err(self.back(cx, asked, fault)))
            }
        }
    }

    /// Who is at the browser, unless they have to sign in again.
    async fn signed_in(
        &self,
        cx: &Context,
        wanted: &Wanted,
        cookie: Option<&str>,
    ) -> Result<Option<Browser>, Error> {
        let Some(cookie) = cookie.filter(|_| !wanted.anew) else {
            return Ok(None);
        };
        let browser = self.browser(cx, cookie).await?;
        Ok(browser.filter(|browser| {
            let age_ms = cx.now_ms - browser.session.value.created_ms;
            wanted
                .max_age_s
                .is_none_or(|most| age_ms <= i64::from(most) * 1000)
        }))
    }

    fn back(&self, cx: &Context, asked: &Asked, fault: Fault) -> Step {
        let answer = [
            ("error", fault.code.name()),
            ("error_description", fault.description),
        ];
        Step::Back(asked.back(issuer(cx), &answer))
    }
}

/// What the user is asked, or why there is nothing to ask.
fn consent(client: &Saved<Client>, wanted: &Wanted, browser: &Browser) -> Result<Consent, Fault> {
    let scopes = &wanted.scopes;
    let about_one = !scopes.of(Level::Patient).is_empty() || scopes.has(Word::LaunchPatient);
    let profiles = browser.user.value.profiles.iter();
    let patients = profiles.filter(|profile| profile.ty == ProfileType::Patient);
    let patients: Vec<Box<str>> = patients.map(|profile| profile.id.clone()).collect();
    if about_one && patients.is_empty() {
        return Err(Fault::new(
            Code::AccessDenied,
            "the user is no patient here, and has none to choose",
        ));
    }
    Ok(Consent {
        client: client.value.name.clone(),
        user: browser.user.value.email.expose().to_owned(),
        scopes: scopes.text().split(' ').map(str::to_owned).collect(),
        patients: if about_one { patients } else { Vec::new() },
    })
}
