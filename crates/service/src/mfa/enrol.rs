//! Setting up a first second factor in the middle of a sign-in at a browser, for who has to
//! have one: an app that shows codes, or a passkey.

use salus_auth::mfa::passkey::Registration;
use salus_auth::record::{Assertion, Factor, Saved, User};
use salus_auth::{Error as AuthError, Refusal, Secret, mfa};
use serde_json::Value;

use super::passkeys::Taken;
use super::steps::Begun;
use super::{FactorStep, First, Passed, shut};
use crate::Service;
use crate::context::Context;
use crate::error::Error;

/// What may be set up, shown to who has brought the first proof.
pub struct Enrolment {
    /// To be typed into an app.
    pub secret: Secret,
    /// To be shown to an app.
    pub uri: Secret,
    /// What a browser needs to make a passkey.
    pub passkey: Value,
}
salus_phi::guard!(Enrolment);

/// What was set up.
#[derive(Debug)]
pub enum NewFactor {
    /// The app shows this code now.
    Totp(Secret),
    /// The browser has made this passkey.
    Passkey(Box<Registration>),
}

impl Service {
    /// Lets who must have a second factor set one up before they are signed in.
    pub(crate) async fn begin_enrolment(
        &self,
        cx: &Context,
        user: &Saved<User>,
        first: First,
    ) -> Result<(FactorStep, Enrolment), Error> {
        let mut factors = self.factors(cx.scope, &user.id).await?;
        let id = self.new_id(cx);
        let mut random = [0; 20];
        self.world.random(&mut random);
        factors.value.begin_totp(&id, "", &random, cx.now_ms)?;
        let step = self
            .begin_sign_in(cx, user, &factors, (first, true))
            .await?;
        let shown = self.enrolment(cx, step.ticket.expose()).await?;
        Ok((step, shown))
    }

    /// What is being set up in a half-done sign-in, with something new for a passkey to sign.
    pub async fn enrolment(&self, cx: &Context, ticket: &str) -> Result<Enrolment, Error> {
        let begun = self.begun(cx, ticket).await?;
        let factors = &begun.factors.value;
        let factor = factors.begun(None, cx.now_ms);
        let factor = factor.filter(|_| begun.sign_in.value.enrols);
        let Some(totp) = factor.and_then(Factor::totp) else {
            return Err(Error::not_found("no app is being set up"));
        };
        let home = (cx, begun.cx.scope);
        let passkey = self.creation_options(home, &begun.user, factors, &purpose(&begun))?;
        let account = begun.user.value.email.expose();
        Ok(Enrolment {
            secret: totp.text(),
            uri: totp.uri(super::own::place_name(cx), account),
            passkey,
        })
    }

    /// Ends setting up a factor in a half-done sign-in, and with it the sign-in:
    /// the new recovery codes.
    pub(crate) async fn passed_enrolment(
        &self,
        cx: &Context,
        ticket: &str,
        new: &NewFactor,
    ) -> Result<(Passed, Vec<Secret>), Error> {
        let mut begun = self.begun(cx, ticket).await?;
        let rule = self.identity(begun.cx.scope).lock_out;
        let enrols = begun.sign_in.value.enrols && !begun.factors.value.any();
        let held_ms = begun.factors.value.shut_ms(rule, cx.now_ms);
        if held_ms.is_some() || !enrols {
            return Err(shut(held_ms.unwrap_or_default()));
        }
        let added = match new {
            NewFactor::Totp(code) => {
                let factors = &mut begun.factors.value;
                let right = factors.confirm(None, code.expose(), cx.now_ms);
                right.then(|| taken(mfa::ONE_TIME, None))
            }
            NewFactor::Passkey(made) => self.keep_passkey(cx, &mut begun, made)?,
        };
        let Some(added) = added else {
            let error = AuthError::Refused(Refusal::Mismatch);
            return Err(self.failed(begun, error).await?);
        };
        let factors = &mut begun.factors.value;
        let codes = factors.renew_codes(|random| self.world.random(random));
        let mut passed = self.passed(begun, &added.methods).await?;
        passed.use_up_challenge(added.used)?;
        Ok((passed, codes))
    }

    /// Adds a passkey that was made in this sign-in.
    fn keep_passkey(
        &self,
        cx: &Context,
        begun: &mut Begun,
        made: &Registration,
    ) -> Result<Option<Taken>, Error> {
        let Some((passkey, used)) = self.made_passkey(cx, made, &purpose(begun))? else {
            return Ok(None);
        };
        let id = self.new_id(&begun.cx);
        let factors = &mut begun.factors.value;
        factors.add_passkey(&id, "", passkey, cx.now_ms)?;
        Ok(Some(taken(mfa::KEY, Some(used))))
    }
}

fn taken(method: &'static str, used: Option<Saved<Assertion>>) -> Taken {
    let methods = vec![method, mfa::MULTI];
    Taken { methods, used }
}

/// The purpose of what a new passkey signs, in this sign-in and no other.
fn purpose(begun: &Begun) -> String {
    format!("enrol {}", begun.sign_in.id)
}
