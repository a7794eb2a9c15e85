//! A sign-in after the first proof, a password or a provider's word: done, or half done until a
//! second factor follows.

use salus_auth::record::{
    Factors, Foreign, Saved, Session, SignIn, Status, SystemRecord, User, Walk,
};
use salus_auth::session;
use salus_auth::{Action, Error as AuthError, Grant, Refusal, Target, Token, mfa};

use salus_store::Precondition;

use super::{FactorStep, Offered, Proof, SignInStep, raced};
use crate::Service;
use crate::audit::entry::{Entry, Outcome, What};
use crate::context::Context;
use crate::error::{Error, Kind};
use crate::pipeline::Write;
use crate::records::read;
use crate::sessions::{SignedIn, membership};

/// A sign-in that is half done, as it was found.
pub(crate) struct Begun {
    /// Circumstances where the user is at home.
    pub(crate) cx: Context,
    pub(crate) user: Saved<User>,
    pub(crate) factors: Saved<Factors>,
    pub(super) sign_in: Saved<SignIn>,
}

/// What somebody has proved before any second factor.
#[derive(Clone, Debug)]
pub(crate) struct First {
    /// How (RFC 8176).
    pub(crate) methods: Vec<&'static str>,
    /// The name of the rule, for the audit.
    rule: &'static str,
    /// When, if that was not now, in milliseconds since 1970 UTC.
    proved_ms: Option<i64>,
    /// The account at a provider that is connected when all is done.
    connects: Option<Foreign>,
}

impl First {
    /// A password.
    pub(crate) fn password() -> Self {
        Self {
            methods: vec![mfa::PASSWORD],
            rule: "password",
            proved_ms: None,
            connects: None,
        }
    }

    /// The word of a provider. Somebody may have been signed in there for long, and not every
    /// provider tells.
    pub(crate) fn foreign(foreign: &Foreign) -> Self {
        let methods = match foreign.two {
            true => vec![mfa::FEDERATED, mfa::MULTI],
            false => vec![mfa::FEDERATED],
        };
        Self {
            methods,
            rule: "provider",
            proved_ms: Some(foreign.proved_ms.unwrap_or(Session::LONG_AGO_MS)),
            connects: None,
        }
    }

    /// The same, and this account at a provider is to be connected.
    pub(crate) fn connecting(self, foreign: Foreign) -> Self {
        Self {
            connects: Some(foreign),
            ..self
        }
    }

    /// Whether it is more than one factor.
    pub(crate) fn is_multi(&self) -> bool {
        self.methods.contains(&mfa::MULTI)
    }
}

/// A sign-in of which everything was proved, and what has to be committed with
/// the session that it opens.
pub(crate) struct Passed {
    /// Circumstances where the user is at home.
    pub(crate) cx: Context,
    pub(crate) grant: Grant,
    pub(crate) user: Saved<User>,
    /// How (RFC 8176).
    pub(crate) methods: Vec<String>,
    /// When, if that was not now.
    pub(crate) proved_ms: Option<i64>,
    /// The account at a provider that is connected when the session is open.
    pub(crate) connects: Option<Foreign>,
    pub(super) unused: Vec<Precondition>,
    pub(super) writes: Vec<Write>,
}

impl Service {
    /// Goes on when a user has proved their password.
    pub(crate) async fn after_password(
        &self,
        cx: &Context,
        user: Saved<User>,
    ) -> Result<SignInStep, Error> {
        let factors = self.factors(cx.scope, &user.id).await?;
        if factors.value.any() {
            let first = First::password();
            let step = self.begin_sign_in(cx, &user, &factors, (first, false));
            return Ok(SignInStep::Factor(step.await?));
        }
        let lacks = self.lacks_factor(cx, &user).await?;
        let passed = self.passed_password(cx, user).await?;
        let done = self.open_token(passed, "password").await?;
        Ok(match lacks {
            true => SignInStep::Enrol(done),
            false => SignInStep::Done(done),
        })
    }

    /// Whether somebody without a second factor has to have one.
    pub(crate) async fn lacks_factor(
        &self,
        cx: &Context,
        user: &Saved<User>,
    ) -> Result<bool, Error> {
        let snapshot = self.snapshot(cx).await?;
        let membership = membership(&*snapshot, Walk::of(&user.value)).await?;
        Ok(self.needs_factor(cx.scope, &user.value, &membership))
    }

    /// A sign-in for which the password is enough.
    pub(crate) async fn passed_password(
        &self,
        cx: &Context,
        user: Saved<User>,
    ) -> Result<Passed, Error> {
        self.passed_first(cx, user, First::password()).await
    }

    /// A sign-in for which the first proof is enough.
    pub(crate) async fn passed_first(
        &self,
        cx: &Context,
        user: Saved<User>,
        first: First,
    ) -> Result<Passed, Error> {
        Ok(Passed {
            cx: cx.clone(),
            grant: self.sign_in_grant(cx).await?,
            user,
            methods: mfa::with(&[], &first.methods),
            proved_ms: first.proved_ms,
            connects: first.connects,
            unused: Vec::new(),
            writes: Vec::new(),
        })
    }

    /// Keeps the first proof, until the second factor comes.
    pub(crate) async fn begin_sign_in(
        &self,
        cx: &Context,
        user: &Saved<User>,
        factors: &Saved<Factors>,
        (first, enrols): (First, bool),
    ) -> Result<FactorStep, Error> {
        if user.value.status == Status::Suspended {
            let error = AuthError::Refused(Refusal::Suspended);
            self.refused(cx, &error).await?;
            return Err(error.into());
        }
        let (methods, random) = (&first.methods, self.random());
        let (ticket, mut begun) =
            SignIn::begin(cx.scope, &user.id, methods, enrols, &random, cx.now_ms);
        begun.value.connects = first.connects;
        let offered = self.offered(cx, &begun.id, &factors.value)?;
        let grant = self.sign_in_grant(cx).await?;
        let mut writes = vec![Write::aside(&grant, begun.put()?)];
        if enrols {
            writes.push(Write::aside(&grant, factors.put()?));
        }
        let rule = format!("{}, a second factor to follow", first.rule);
        let mut entry = Entry::new(cx, What::SignIn, Outcome::Success, &rule);
        entry.agent = format!("User/{}", user.id).into();
        self.commit(cx, entry, Vec::new(), writes)
            .await
            .map_err(raced)?;
        Ok(FactorStep {
            ticket,
            expires_in_s: SignIn::LIFETIME_S,
            offered,
        })
    }

    /// What can follow on a password, with something new to be signed.
    fn offered(&self, cx: &Context, sign_in: &str, factors: &Factors) -> Result<Offered, Error> {
        let passkey = match factors.credentials().next() {
            Some(_) => Some(self.request_options(cx, &purpose(sign_in), Some(factors))?),
            None => None,
        };
        Ok(Offered {
            totp: factors.has_totp(),
            recovery: factors.codes_left() > 0,
            passkey,
        })
    }

    /// What can follow once more in a half-done sign-in, if it still holds.
    pub async fn offered_again(
        &self,
        cx: &Context,
        ticket: &str,
    ) -> Result<Option<Offered>, Error> {
        let Some(begun) = self.find_begun(cx, ticket).await? else {
            return Ok(None);
        };
        let (id, factors) = (&begun.sign_in.id, &begun.factors.value);
        self.offered(&begun.cx, id, factors).map(Some)
    }

    /// Ends a sign-in with a second factor: a token.
    pub async fn finish_sign_in(
        &self,
        cx: &Context,
        ticket: &str,
        proof: &Proof,
    ) -> Result<SignedIn, Error> {
        let passed = self.passed_factor(cx, ticket, proof).await?;
        self.open_token(passed, "second factor").await
    }

    /// A sign-in to which the second factor has come.
    pub(crate) async fn passed_factor(
        &self,
        cx: &Context,
        ticket: &str,
        proof: &Proof,
    ) -> Result<Passed, Error> {
        let mut begun = self.begun(cx, ticket).await?;
        let purpose = purpose(&begun.sign_in.id);
        let home = begun.cx.clone();
        let taken = self.take_factor(&home, &mut begun.factors.value, (proof, &purpose));
        match taken.await? {
            Ok(taken) => {
                let mut passed = self.passed(begun, &taken.methods).await?;
                passed.use_up_challenge(taken.used)?;
                Ok(passed)
            }
            Err(error) => Err(self.failed(begun, error).await?),
        }
    }

    /// A half-done sign-in that still holds.
    pub(crate) async fn begun(&self, cx: &Context, ticket: &str) -> Result<Begun, Error> {
        if let Some(begun) = self.find_begun(cx, ticket).await? {
            return Ok(begun);
        }
        let error = AuthError::Refused(Refusal::Unknown);
        self.refused(cx, &error).await?;
        Err(Error::new(
            Kind::Unauthenticated,
            "this sign-in is over; begin again with the password",
        ))
    }

    async fn find_begun(&self, cx: &Context, ticket: &str) -> Result<Option<Begun>, Error> {
        let Some(token) = Token::parse_ticket(ticket) else {
            return Ok(None);
        };
        let cx = Context {
            scope: token.scope(),
            ..cx.clone()
        };
        let snapshot = self.snapshot(&cx).await?;
        let record = snapshot.get(SignIn::KIND, token.session_id()).await?;
        let sign_in = read::<SignIn>(record.as_ref())?;
        let Some(sign_in) = sign_in.filter(|begun| begun.value.holds(cx.now_ms)) else {
            return Ok(None);
        };
        let user = snapshot.get(User::KIND, &sign_in.value.user).await?;
        let user = read::<User>(user.as_ref())?;
        let Some(user) = user.filter(|user| user.value.status == Status::Active) else {
            return Ok(None);
        };
        let factors = self.factors(cx.scope, &user.id).await?;
        Ok(Some(Begun {
            cx,
            user,
            factors,
            sign_in,
        }))
    }

    /// Everything was right: what is used up goes with the session.
    pub(crate) async fn passed(&self, begun: Begun, more: &[&str]) -> Result<Passed, Error> {
        let grant = self.sign_in_grant(&begun.cx).await?;
        let writes = vec![
            Write::aside(&grant, begun.sign_in.delete()),
            Write::aside(&grant, begun.factors.put()?),
        ];
        Ok(Passed {
            grant,
            methods: mfa::with(&begun.sign_in.value.methods, more),
            proved_ms: None,
            connects: begun.sign_in.value.connects,
            cx: begun.cx,
            user: begun.user,
            unused: Vec::new(),
            writes,
        })
    }

    /// Something was wrong: that is counted, here and for the account.
    pub(crate) async fn failed(&self, begun: Begun, error: AuthError) -> Result<Error, Error> {
        let Begun {
            cx,
            user,
            factors,
            mut sign_in,
        } = begun;
        sign_in.value.failed();
        let grant = self.sign_in_grant(&cx).await?;
        let writes = vec![
            Write::aside(&grant, sign_in.put()?),
            Write::aside(&grant, factors.put()?),
        ];
        let mut entry = Entry::new(&cx, What::SignIn, Outcome::Refused, "wrong second factor");
        entry.agent = format!("User/{}", user.id).into();
        self.commit(&cx, entry, Vec::new(), writes)
            .await
            .map_err(raced)?;
        Ok(error.into())
    }

    /// Opens the session of a sign-in that has come to its end: a bearer token.
    pub(super) async fn open_token(&self, passed: Passed, rule: &str) -> Result<SignedIn, Error> {
        let cx = &passed.cx;
        let snapshot = self.snapshot(cx).await?;
        let membership = membership(&*snapshot, Walk::of(&passed.user.value)).await?;
        let lifetime_ms = self.identity(cx.scope).session_ms();
        let random = self.random();
        let opened = session::open_for_user(
            cx.scope,
            &passed.user,
            &membership,
            &random,
            cx.now_ms,
            lifetime_ms,
        );
        let mut opened = match opened {
            Ok(opened) => opened,
            Err(error) => {
                self.refused(cx, &error).await?;
                return Err(error.into());
            }
        };
        opened.session.value.methods = passed.methods.clone();
        opened.session.value.proved_ms = passed.proved_ms.unwrap_or(cx.now_ms);
        let agent = opened.subject.label().to_owned();
        let put = Write::system(&passed.grant, "Session", opened.session.put()?);
        self.open_passed(passed, put, (agent, rule)).await?;
        Ok(SignedIn {
            expires_in_s: lifetime_ms / 1000,
            scopes: None,
            token: opened.token,
        })
    }

    /// Commits a session with what was used up for it.
    pub(crate) async fn open_passed(
        &self,
        passed: Passed,
        session: Write,
        (agent, rule): (String, &str),
    ) -> Result<(), Error> {
        let Passed {
            cx,
            grant,
            user,
            unused,
            mut writes,
            ..
        } = passed;
        writes.push(session);
        let mut entry = Entry::new(&cx, What::SignIn, Outcome::Success, rule);
        entry.agent = agent.into();
        let done = self.commit(&cx, entry, unused, writes).await;
        done.map_err(raced)?;
        self.note_place(&cx, &grant, &user).await;
        Ok(())
    }

    async fn sign_in_grant(&self, cx: &Context) -> Result<Grant, Error> {
        self.authorize(cx, What::SignIn, Action::SignIn, Target::System)
            .await
    }

    /// The demo's token: its administrator is whoever started it.
    pub(crate) async fn open_demo(
        &self,
        cx: &Context,
        user: Saved<User>,
    ) -> Result<SignedIn, Error> {
        let passed = self.passed_password(cx, user).await?;
        self.open_token(passed, "demo").await
    }
}

/// The purpose of what is signed for a half-done sign-in.
fn purpose(id: &str) -> String {
    format!("sign-in {id}")
}
