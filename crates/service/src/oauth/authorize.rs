//! The authorization endpoint: <https://www.rfc-editor.org/rfc/rfc6749#section-4.1.1>.
//!
//! Nothing is kept between the pages. The request stands in each form, and is
//! checked anew with each.

use salus_auth::record::{Agreed, Client, Code as CodeRecord, GrantType, Launch, Saved};
use salus_auth::{Action, Scopes, Target, Word, mfa};

use super::browser::Browser;
use super::pick::{About, Choice, Chosen};
use super::request::{Asked, Wanted};
use super::{Code, Fault, issuer};
use crate::Service;
use crate::audit::entry::{Entry, Outcome, What};
use crate::context::Context;
use crate::error::Error;
use crate::pipeline::Write;
use crate::policy;

/// What happens next with a request.
pub enum Step {
    /// The user is told why it goes no further.
    Stop(&'static str),
    /// The user is sent back to the client.
    Back(String),
    /// The user goes back to the device, which was told.
    Done(&'static str),
    /// The user signs in.
    SignIn {
        /// The client's name.
        client: String,
        /// Whether no administrator has looked at it.
        stranger: bool,
    },
    /// The user chooses a patient.
    Pick(Pick),
    /// The user agrees, or does not.
    Consent(Consent),
}
salus_phi::guard!(Step);

/// Patients of whom the user chooses one.
pub struct Pick {
    /// The client's name.
    pub client: String,
    /// The address that the user signed in with.
    pub user: String,
    /// Those that were found.
    pub found: Vec<Choice>,
    /// The name that they were looked for by.
    pub name: String,
    /// Whether the user may look for others.
    pub searched: bool,
}
salus_phi::guard!(Pick);

/// What the user is asked.
pub struct Consent {
    /// The client's name.
    pub client: String,
    /// Whether no administrator has looked at it.
    pub stranger: bool,
    /// The address that the user signed in with.
    pub user: String,
    /// What the client would be given, and whether the user may leave it out.
    pub scopes: Vec<(String, bool)>,
    /// The patient that it is about.
    pub patient: Option<Box<str>>,
    /// Encounters of the patient, one of which may be chosen.
    pub encounters: Vec<Choice>,
}
salus_phi::guard!(Consent);

/// What the user agrees to, when nothing is left to choose.
struct Settled {
    client: Saved<Client>,
    wanted: Wanted,
    browser: Browser,
    launch: Option<Saved<Launch>>,
    consent: Consent,
}

impl Service {
    /// What a request leads to, for who is at the browser and has chosen this.
    pub async fn asked(
        &self,
        cx: &Context,
        asked: &Asked,
        cookie: Option<&str>,
        chosen: &Chosen,
    ) -> Result<Step, Error> {
        match self.settled(cx, asked, cookie, chosen).await? {
            Ok(settled) if settled.wanted.silent => {
                let fault = Fault::new(Code::ConsentRequired, "the user has to agree");
                Ok(self.back(cx, asked, fault))
            }
            Ok(settled) => Ok(Step::Consent(settled.consent)),
            Err(step) => Ok(step),
        }
    }

    /// What the user has decided.
    pub async fn decided(
        &self,
        cx: &Context,
        asked: &Asked,
        cookie: Option<&str>,
        (agreed, chosen): (bool, &Chosen),
    ) -> Result<Step, Error> {
        let settled = match self.settled(cx, asked, cookie, chosen).await? {
            Ok(settled) => settled,
            Err(step) => return Ok(step),
        };
        if !agreed {
            let cx = &settled.browser.context(cx);
            let entry = Entry::new(cx, What::SignIn, Outcome::Refused, "the user did not agree");
            self.record(cx, entry).await?;
            if let Some(device) = settled.wanted.device {
                self.answer_device(cx, device, None).await?;
                return Ok(Step::Done("The device was told that you do not agree."));
            }
            let fault = Fault::new(Code::AccessDenied, "the user did not agree");
            return Ok(self.back(cx, asked, fault));
        }
        let scopes = left(&settled.consent, &settled.wanted.scopes, chosen);
        if scopes.granted().next().is_none() && settled.wanted.scopes.granted().next().is_some() {
            let fault = Fault::new(Code::AccessDenied, "the user left no records");
            return Ok(self.back(cx, asked, fault));
        }
        self.give_code(cx, asked, settled, (scopes, chosen)).await
    }

    /// Who agrees to what, or what comes before that.
    async fn settled(
        &self,
        cx: &Context,
        asked: &Asked,
        cookie: Option<&str>,
        chosen: &Chosen,
    ) -> Result<Result<Settled, Step>, Error> {
        let (client, wanted) = match self.understood(cx, asked).await? {
            Ok(understood) => understood,
            Err(step) => return Ok(Err(step)),
        };
        let name = client.value.name.clone();
        let stranger = client.value.self_registered.is_some();
        let Some(browser) = self.signed_in(cx, &wanted, cookie).await? else {
            let fault = Fault::new(Code::LoginRequired, "the user is not signed in");
            return Ok(Err(match wanted.silent {
                true => self.back(cx, asked, fault),
                false => Step::SignIn {
                    client: name,
                    stranger,
                },
            }));
        };
        let purposes = self.purposes(&browser.subject, Some(&client.value));
        if wanted.purpose.is_some_and(|one| !purposes.allow(one)) {
            let why = "the user may not act for this purpose_of_use";
            return Ok(Err(self.back(
                cx,
                asked,
                Fault::new(Code::AccessDenied, why),
            )));
        }
        let (app, user) = ((&wanted, &*client.id), Some(&*browser.user.id));
        let launch = match self.launched(cx, app, user).await? {
            Ok(launch) => launch,
            Err(fault) => return Ok(Err(self.back(cx, asked, fault))),
        };
        let patient = match self
            .patient_of(cx, &wanted, (&browser, chosen), &launch)
            .await?
        {
            Ok(About::Nobody) => None,
            Ok(About::One(id)) => Some(id),
            Ok(About::Choose(_)) if wanted.silent => {
                let fault = Fault::new(Code::ConsentRequired, "the user has to choose a patient");
                return Ok(Err(self.back(cx, asked, fault)));
            }
            Ok(About::Choose(found)) => {
                return Ok(Err(Step::Pick(Pick {
                    client: name,
                    user: browser.user.value.email.expose().to_owned(),
                    searched: browser.has_no_patient(),
                    found,
                    name: chosen.name.clone().unwrap_or_default(),
                })));
            }
            Err(fault) => return Ok(Err(self.back(cx, asked, fault))),
        };
        let placed = launch
            .as_ref()
            .and_then(|launch| launch.value.context.encounter.as_ref());
        let encounters = match (&patient, placed) {
            (Some(patient), None) if wanted.scopes.has(Word::LaunchEncounter) => {
                self.encounters(&browser.context(cx), patient).await?
            }
            _ => Vec::new(),
        };
        let fixed = [
            Word::OpenId,
            Word::Launch,
            Word::LaunchPatient,
            Word::LaunchEncounter,
        ];
        let may_stay = wanted.scopes.without(&fixed);
        let scopes = wanted.scopes.text();
        let scopes = scopes.split(' ').map(|text| {
            let free = may_stay.only(|one| one == text);
            (text.to_owned(), !free.is_empty())
        });
        let consent = Consent {
            client: name,
            stranger,
            user: browser.user.value.email.expose().to_owned(),
            scopes: scopes.collect(),
            patient,
            encounters,
        };
        Ok(Ok(Settled {
            client,
            wanted,
            browser,
            launch,
            consent,
        }))
    }

    /// The patient of the launch, or the one that the user is or chooses.
    async fn patient_of(
        &self,
        cx: &Context,
        wanted: &Wanted,
        (browser, chosen): (&Browser, &Chosen),
        launch: &Option<Saved<Launch>>,
    ) -> Result<Result<About, Fault>, Error> {
        let patient = launch
            .as_ref()
            .and_then(|launch| launch.value.patient.as_deref());
        let Some(patient) = patient else {
            return self.about(cx, wanted, browser, chosen).await;
        };
        if browser.is_patient(patient) || self.may_see(&browser.context(cx), patient).await? {
            return Ok(Ok(About::One(patient.into())));
        }
        let why = "the user may not see the patient of the launch";
        Ok(Err(Fault::new(Code::AccessDenied, why)))
    }

    async fn give_code(
        &self,
        cx: &Context,
        asked: &Asked,
        settled: Settled,
        (scopes, chosen): (Scopes, &Chosen),
    ) -> Result<Step, Error> {
        let Settled {
            client,
            wanted,
            browser,
            launch,
            consent,
        } = settled;
        let cx = &browser.context(cx);
        let mut context = launch.as_ref().map(|launch| launch.value.context.clone());
        if let Some(id) = &chosen.encounter {
            let known = consent.encounters.iter().find(|one| *one.id == **id);
            let context = context.get_or_insert_default();
            context.encounter = known.map(|one| one.id.clone()).or(context.encounter.take());
        }
        let agreed = Agreed {
            client: client.id.clone(),
            home: browser.home.0,
            user: browser.user.id.clone(),
            scopes,
            patient: consent.patient,
            context: context.unwrap_or_default(),
            nonce: wanted.nonce.clone(),
            signed_in_ms: browser.session.value.created_ms,
            proved_ms: browser.session.value.proof_ms(),
            methods: browser.session.value.methods.clone(),
            purpose: wanted.purpose,
        };
        if let Some(device) = wanted.device {
            return Ok(match self.answer_device(cx, device, Some(agreed)).await? {
                true => Step::Done("The device goes on now. You can close this page."),
                false => Step::Stop(
                    "The device waits no longer, or asked just now. Please try once more.",
                ),
            });
        }
        let place = (&*asked.redirect_uri, &*wanted.challenge);
        let (code, saved) = CodeRecord::make(&self.random(), agreed, place, cx.now_ms);
        let grant = self
            .authorize(cx, What::SignIn, Action::SignIn, Target::System)
            .await?;
        let mut entry = Entry::new(cx, What::ConsentGiven, Outcome::Success, "the user agreed");
        entry.query = format!("client={}", saved.value.agreed.client).into();
        let mut writes = vec![Write::system(&grant, "Code", saved.put()?)];
        let mut unused = Vec::new();
        if let Some(launch) = &launch {
            // It holds once.
            unused.push(launch.unchanged());
            writes.push(Write::system(&grant, "Launch", launch.delete()));
        }
        match self.commit(cx, entry, unused, writes).await {
            Ok(()) => {}
            Err(salus_store::Error::Conflict { .. }) if launch.is_some() => {
                let fault = Fault::new(Code::InvalidRequest, "the launch was used");
                return Ok(self.back(cx, asked, fault));
            }
            Err(error) => return Err(error.into()),
        }
        let answer = [("code", code.expose())];
        Ok(Step::Back(asked.back(issuer(cx), &answer)))
    }

    /// The client and what it wants, or what to do instead.
    async fn understood(
        &self,
        cx: &Context,
        asked: &Asked,
    ) -> Result<Result<(Saved<Client>, Wanted), Step>, Error> {
        if let Some(user_code) = &asked.user_code {
            return self.understood_device(cx, user_code).await;
        }
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
        let checked = asked.check(&client, &cx.base).and_then(|mut wanted| {
            wanted.scopes = policy::scopes::understood(cx, &wanted.scopes);
            match wanted.scopes.is_empty() {
                true => Err(Fault::new(Code::InvalidScope, "no scope is understood")),
                false => Ok(wanted),
            }
        });
        match checked {
            Ok(wanted) => Ok(Ok((client, wanted))),
            Err(fault) => {
                let rule = fault.code.name();
                let entry = Entry::new(cx, What::SignIn, Outcome::Refused, rule);
                self.record(cx, entry).await?;
                Ok(Err(self.back(cx, asked, fault)))
            }
        }
    }

    /// The client of a device and what it wants.
    async fn understood_device(
        &self,
        cx: &Context,
        user_code: &str,
    ) -> Result<Result<(Saved<Client>, Wanted), Step>, Error> {
        let unknown = "No device waits that shows this code. Please look at it once more.";
        let Some(device) = self.device_showing(cx, user_code).await? else {
            return Ok(Err(Step::Stop(unknown)));
        };
        let client = self.client(cx, &device.value.client).await?;
        let may = |client: &Saved<Client>| {
            client.value.is_active() && client.value.may(GrantType::DeviceCode)
        };
        let Some(mut client) = client.filter(may) else {
            return Ok(Err(Step::Stop(unknown)));
        };
        // People compare it with what is in front of them (RFC 8628, 5.4).
        let shown = &device.value.user_code;
        client.value.name = format!("{} on a device that shows {shown}", client.value.name);
        Ok(Ok((client, Wanted::by_device(device))))
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
            if wanted.strict && !mfa::is_multi(&browser.session.value.methods) {
                return false;
            }
            // A provider may have known them for longer than we do.
            let age_ms = cx.now_ms.saturating_sub(browser.session.value.proof_ms());
            wanted
                .max_age_s
                .is_none_or(|most| age_ms <= i64::from(most) * 1000)
        }))
    }

    fn back(&self, cx: &Context, asked: &Asked, fault: Fault) -> Step {
        if asked.user_code.is_some() {
            return Step::Stop(fault.description);
        }
        let answer = [
            ("error", fault.code.name()),
            ("error_description", fault.description),
        ];
        Step::Back(asked.back(issuer(cx), &answer))
    }
}

/// What the user left of what was asked for.
fn left(consent: &Consent, scopes: &Scopes, chosen: &Chosen) -> Scopes {
    let Some(kept) = &chosen.scopes else {
        return scopes.clone();
    };
    scopes.only(|text| {
        let free = consent
            .scopes
            .iter()
            .any(|(known, free)| known == text && *free);
        !free || kept.iter().any(|one| one == text)
    })
}
