//! Proof that it is still the same person at the session, before what cannot be
//! undone: <https://www.rfc-editor.org/rfc/rfc9470>.
//!
//! What asks for it is the export of everything, breaking the glass, removing
//! people and what they prove themselves with. Programs are not asked: they have nobody to ask.

use salus_auth::{Action, Secret, Who, credentials, mfa};

use super::passkeys::{Taken, once};
use super::{Proof, raced};
use crate::Service;
use crate::audit::entry::{Entry, Outcome, What};
use crate::context::Context;
use crate::error::{Error, Kind};
use crate::pipeline::Write;
use crate::sessions::Credential;

impl Service {
    /// That a person has proved lately who they are, by all that they have to
    /// prove it with. For programs, and for the administrators of a server in
    /// development mode, there is nothing to be proved.
    ///
    /// # Errors
    /// [`Kind::StepUp`]: the one asking is told to do it and to come again.
    pub fn needs_step_up(&self, cx: &Context) -> Result<(), Error> {
        match cx.subject.who() {
            Who::Administrator if self.settings.development => return Ok(()),
            Who::Administrator | Who::User => {}
            Who::Client | Who::Operator | Who::Anonymous => return Ok(()),
        }
        let age_max_ms = self.identity(cx.subject.home()).step_up_ms();
        let proved_ms = cx.subject.proved_ms().unwrap_or(i64::MIN);
        match cx.now_ms.saturating_sub(proved_ms) <= age_max_ms {
            true => Ok(()),
            false => Err(Error::step_up(age_max_ms / 1000)),
        }
    }

    /// Proves once more who is at a session: by a second factor, or by the
    /// password for who has none.
    pub async fn step_up(
        &self,
        cx: &Context,
        credential: Credential<'_>,
        password: Option<Secret>,
        proof: Option<Proof>,
    ) -> Result<(), Error> {
        let (cx, grant, id) = self.own(cx, What::SignIn, Action::WriteAccount).await?;
        let work = async {
            let Some(mut session) = self.session_of(credential, &id).await? else {
                return Err(Error::new(
                    Kind::Conflict,
                    "this is not a session of your own: the app has to send you to sign in again",
                ));
            };
            let mut factors = self.factors(cx.scope, &id).await?;
            let (mut writes, mut unused) = (Vec::new(), Vec::new());
            let taken = match (factors.value.any(), password, proof) {
                (true, _, Some(proof)) => {
                    let purpose = purpose(&id);
                    let taken = self.take_factor(&cx, &mut factors.value, (&proof, &purpose));
                    let taken = taken.await?;
                    writes.push(Write::aside(&grant, factors.put()?));
                    taken
                }
                (false, Some(password), _) => self.own_password(&cx, &id, password).await?,
                (true, _, None) => return Err(Error::invalid("send a second factor")),
                (false, None, _) => return Err(Error::invalid("send the password")),
            };
            let (outcome, rule) = match &taken {
                Ok(taken) => {
                    unused = once(&grant, taken.used.clone(), &mut writes)?;
                    session.value.methods = mfa::with(&session.value.methods, &taken.methods);
                    session.value.proved_ms = cx.now_ms;
                    writes.push(Write::aside(&grant, session.put()?));
                    (Outcome::Success, "step-up")
                }
                Err(_) => (Outcome::Refused, "wrong step-up"),
            };
            let entry = Entry::new(&cx, What::SignIn, outcome, rule);
            let done = self.commit(&cx, entry, unused, writes).await;
            done.map_err(raced)?;
            self.sessions.forget(&session.id);
            match taken {
                Ok(_) => Ok(()),
                Err(_) => Err(Error::new(
                    Kind::Unprocessable,
                    "this is not the second factor, or the password, of this account",
                )),
            }
        };
        self.attempt_on(&cx, &grant, What::SignIn, ("User", &id), work)
            .await
    }

    async fn own_password(
        &self,
        cx: &Context,
        id: &str,
        password: Secret,
    ) -> Result<Result<Taken, salus_auth::Error>, Error> {
        let user = self.saved_user(cx.scope, id).await?;
        let (attempt, place) = self.attempt_on_password(cx, &user.value.email).await?;
        let checked = self
            .hash(place, move || {
                credentials::check_password(Some(&user), &password)
            })
            .await?;
        if checked.is_ok() {
            self.guesses.right(&attempt, cx.now_ms);
        }
        Ok(checked.map(|()| Taken {
            methods: vec![mfa::PASSWORD],
            used: None,
        }))
    }

    /// What a browser needs to ask for a passkey of the one at the session.
    pub async fn step_up_options(&self, cx: &Context) -> Result<serde_json::Value, Error> {
        let (home, grant, id) = self.own(cx, What::SignIn, Action::ReadAccount).await?;
        let work = async {
            let factors = self.factors(home.scope, &id).await?.value;
            self.noted(&home, &grant, What::SignIn).await?;
            self.request_options(&home, &purpose(&id), Some(&factors))
        };
        self.attempt_on(&home, &grant, What::SignIn, ("User", &id), work)
            .await
    }
}

/// The purpose of what is signed to prove once more who is there.
fn purpose(user: &str) -> String {
    format!("step-up {user}")
}
