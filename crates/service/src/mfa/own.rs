//! One's own second factors; administrators can take away those of others.

use salus_auth::record::{Assertion, Factor, Factors, Mail, Owner, Saved, Session};
use salus_auth::{Action, Grant, Secret, Token, mfa};

use super::passkeys::once;
use super::{raced, shut};
use crate::Service;
use crate::accounts::check_another;
use crate::audit::entry::{Entry, Outcome, What};
use crate::context::Context;
use crate::error::{Error, Kind};
use crate::pipeline::Write;
use crate::sessions::Credential;
use crate::time::instant;

/// The second factors of somebody, as they see them.
#[derive(Clone, Debug)]
pub struct FactorsView {
    /// Those that were proved once.
    pub factors: Vec<FactorView>,
    /// Recovery codes that are left.
    pub codes_left: usize,
    /// Whether one has to be there.
    pub required: bool,
}

/// A second factor.
#[derive(Clone)]
pub struct FactorView {
    /// The id.
    pub id: Box<str>,
    /// What it is: `totp` or `passkey`.
    pub kind: &'static str,
    /// What its owner calls it.
    pub name: String,
    /// When it was made, as an instant.
    pub created: String,
    /// When it was used last.
    pub used: Option<String>,
}
salus_phi::guard!(FactorView);

/// An app that is to be set up: shown once.
pub struct EnrolmentView {
    /// Under which it is confirmed.
    pub id: Box<str>,
    /// To be typed into the app.
    pub secret: Secret,
    /// To be shown to the app.
    pub uri: Secret,
}
salus_phi::guard!(EnrolmentView);

/// A factor that was proved.
#[derive(Debug)]
pub struct Confirmed {
    /// It.
    pub factor: FactorView,
    /// Recovery codes, if it is the first: shown once.
    pub codes: Vec<Secret>,
}

impl Service {
    /// One's own second factors.
    pub async fn list_factors(&self, cx: &Context) -> Result<FactorsView, Error> {
        let (cx, grant, id) = self.own(cx, What::AdminRead, Action::ReadAccount).await?;
        let work = async {
            let user = self.saved_user(cx.scope, &id).await?;
            let factors = self.factors(cx.scope, &id).await?.value;
            let required = self.lacks_factor(&cx, &user).await?;
            self.noted(&cx, &grant, What::AdminRead).await?;
            Ok(FactorsView {
                factors: factors.list.iter().map(view).collect(),
                codes_left: factors.codes_left(),
                required,
            })
        };
        self.attempt_on(&cx, &grant, What::AdminRead, ("User", &id), work)
            .await
    }

    /// Begins to set up an app that shows codes.
    pub async fn enrol_totp(&self, cx: &Context, name: &str) -> Result<EnrolmentView, Error> {
        let (home, grant, id) = self.own(cx, What::AdminWrite, Action::WriteAccount).await?;
        let work = async {
            self.needs_step_up(cx)?;
            let user = self.saved_user(home.scope, &id).await?;
            let mut factors = self.factors(home.scope, &id).await?;
            let mut random = [0; 20];
            self.world.random(&mut random);
            let new = self.new_id(&home);
            let totp = factors.value.begin_totp(&new, name, &random, cx.now_ms)?;
            self.keep_factors(&home, &grant, &factors).await?;
            let account = user.value.email.expose();
            Ok(EnrolmentView {
                id: new,
                secret: totp.text(),
                uri: totp.uri(place_name(cx), account),
            })
        };
        self.attempt_on(&home, &grant, What::AdminWrite, ("User", &id), work)
            .await
    }

    /// Ends setting up an app by a code that it shows. The session that it
    /// was done in has the second factor now; if it is the first, all others end.
    pub async fn confirm_totp(
        &self,
        cx: &Context,
        credential: Credential<'_>,
        factor: &str,
        code: &Secret,
    ) -> Result<Confirmed, Error> {
        let (cx, grant, id) = self.own(cx, What::AdminWrite, Action::WriteAccount).await?;
        let work = async {
            let mut factors = self.factors(cx.scope, &id).await?;
            let rule = self.identity(cx.scope).lock_out;
            if let Some(wait_ms) = factors.value.shut_ms(rule, cx.now_ms) {
                return Err(shut(wait_ms));
            }
            if factors.value.begun(Some(factor), cx.now_ms).is_none() {
                return Err(Error::not_found("no such app is being set up"));
            }
            let first = !factors.value.any();
            let right = factors
                .value
                .confirm(Some(factor), code.expose(), cx.now_ms);
            if !right {
                self.keep_factors(&cx, &grant, &factors).await?;
                return Err(Error::new(
                    Kind::Unprocessable,
                    "this is not a code that the app shows now",
                ));
            }
            let codes = match first {
                true => factors
                    .value
                    .renew_codes(|random| self.world.random(random)),
                false => Vec::new(),
            };
            let made = (factors, first, mfa::ONE_TIME);
            self.confirmed(&cx, &grant, (&id, credential), made, None)
                .await
                .map(|factor| Confirmed { factor, codes })
        };
        self.attempt_on(&cx, &grant, What::AdminWrite, ("User", &id), work)
            .await
    }

    /// Commits the new factor with the session that it was proved in.
    pub(super) async fn confirmed(
        &self,
        cx: &Context,
        grant: &Grant,
        (id, credential): (&str, Credential<'_>),
        (factors, first, method): (Saved<Factors>, bool, &str),
        used: Option<Saved<Assertion>>,
    ) -> Result<FactorView, Error> {
        let user = self.saved_user(cx.scope, id).await?;
        let notice = self.account_notice(cx, grant, Mail::FactorAdded, &user)?;
        let told = notice.is_some();
        let mut writes = vec![Write::system(grant, "Factors", factors.put()?)];
        writes.extend(notice);
        let unused = once(grant, used, &mut writes)?;
        let session = self.session_of(credential, id).await?;
        if let Some(mut session) = session.clone() {
            session.value.methods = mfa::with(&session.value.methods, &[method, mfa::MULTI]);
            session.value.proved_ms = cx.now_ms;
            writes.push(Write::aside(grant, session.put()?));
        }
        let entry = Entry::new(cx, What::AdminWrite, Outcome::Success, grant.rule());
        self.commit(cx, entry, unused, writes)
            .await
            .map_err(raced)?;
        if told {
            self.posted();
        }
        let owner = Owner::User(id.into());
        if first {
            let current = session.as_ref().map(|session| &*session.id);
            self.end_sessions(cx, grant, &owner, current).await?;
        }
        self.sessions.forget_owner(cx.scope, &owner);
        let made = factors.value.list.last().map(view);
        made.ok_or_else(|| Error::new(Kind::Internal, "the factor was not kept"))
    }

    /// Takes one of one's own factors away: not the last, if one has to be there.
    pub async fn remove_factor(&self, cx: &Context, factor: &str) -> Result<(), Error> {
        let (home, grant, id) = self.own(cx, What::AdminWrite, Action::WriteAccount).await?;
        let work = async {
            self.needs_step_up(cx)?;
            let user = self.saved_user(home.scope, &id).await?;
            let mut factors = self.factors(home.scope, &id).await?;
            let had_passkey = factors.value.credentials().next().is_some();
            if !factors.value.remove(factor) {
                return Err(Error::not_found("there is no such factor"));
            }
            if !factors.value.any() && self.lacks_factor(&home, &user).await? {
                return Err(Error::new(
                    Kind::Conflict,
                    "this account has to have a second factor: set up another one first",
                ));
            }
            if had_passkey {
                self.check_means(home.scope, &user, &factors.value, None)
                    .await?;
            }
            self.keep_factors(&home, &grant, &factors).await?;
            self.tell(&home, &grant, Mail::FactorRemoved, &user).await;
            Ok(())
        };
        self.attempt_on(&home, &grant, What::AdminWrite, ("User", &id), work)
            .await
    }

    /// New recovery codes in the place of all others: shown once.
    pub async fn renew_recovery_codes(&self, cx: &Context) -> Result<Vec<Secret>, Error> {
        let (home, grant, id) = self.own(cx, What::AdminWrite, Action::WriteAccount).await?;
        let work = async {
            self.needs_step_up(cx)?;
            let mut factors = self.factors(home.scope, &id).await?;
            if !factors.value.any() {
                return Err(Error::new(
                    Kind::Conflict,
                    "recovery codes are for who has a second factor",
                ));
            }
            let codes = factors
                .value
                .renew_codes(|random| self.world.random(random));
            self.keep_factors(&home, &grant, &factors).await?;
            let user = self.saved_user(home.scope, &id).await?;
            self.tell(&home, &grant, Mail::CodesRenewed, &user).await;
            Ok(codes)
        };
        self.attempt_on(&home, &grant, What::AdminWrite, ("User", &id), work)
            .await
    }

    /// Takes all factors of somebody else away, who has lost them; their sessions end.
    pub async fn reset_factors(&self, cx: &Context, id: &str) -> Result<(), Error> {
        let grant = self.allow(cx, What::AdminWrite, Action::WriteUsers).await?;
        let work = async {
            let user = self.saved_user(cx.scope, id).await?;
            check_another(cx, id)?;
            self.needs_step_up(cx)?;
            let mut factors = self.factors(cx.scope, &user.id).await?;
            let had_some = factors.value.any();
            factors.value = Factors::default();
            self.keep_factors(cx, &grant, &factors).await?;
            if had_some {
                self.tell(cx, &grant, Mail::FactorRemoved, &user).await;
            }
            let owner = Owner::User(user.id);
            self.end_sessions(cx, &grant, &owner, None).await?;
            Ok(())
        };
        self.attempt_on(cx, &grant, What::AdminWrite, ("User", id), work)
            .await
    }

    pub(super) async fn keep_factors(
        &self,
        cx: &Context,
        grant: &Grant,
        factors: &Saved<Factors>,
    ) -> Result<(), Error> {
        let write = Write::system(grant, "Factors", factors.put()?);
        let entry = Entry::new(cx, What::AdminWrite, Outcome::Success, grant.rule());
        let done = self.commit(cx, entry, Vec::new(), vec![write]).await;
        done.map_err(raced)
    }

    /// The session that a request came with, if it is one of this user's own.
    pub(crate) async fn session_of(
        &self,
        credential: Credential<'_>,
        user: &str,
    ) -> Result<Option<Saved<Session>>, Error> {
        let token = match credential {
            Credential::Token(text) => Token::parse(text),
            Credential::None | Credential::Operator => None,
        };
        let Some(token) = token else {
            return Ok(None);
        };
        let session = self.saved_session(&token).await?;
        Ok(session.filter(|session| {
            session.value.owner == Owner::User(user.into()) && session.value.through.is_none()
        }))
    }
}

/// What an app calls the place that its codes are for: the issuer without its scheme.
pub(super) fn place_name(cx: &Context) -> &str {
    let issuer = crate::oauth::issuer(cx).split_once("://");
    issuer.map_or("Salus", |(_, place)| place)
}

fn view(factor: &Factor) -> FactorView {
    FactorView {
        id: factor.id.clone(),
        kind: factor.means.name(),
        name: factor.name.clone(),
        created: instant(factor.created_ms),
        used: (factor.used_ms > 0).then(|| instant(factor.used_ms)),
    }
}
