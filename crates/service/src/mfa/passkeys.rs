//! Passkeys: set up, and used as a second factor or instead of all else
//! (<https://www.w3.org/TR/webauthn-2/>).
//!
//! A challenge is not kept: it holds its end and a MAC for its purpose, and leaves a record
//! when it is used, on the condition that there is none. So strangers who ask for
//! challenges fill nothing, and none is used twice.

use salus_auth::mfa::passkey::{self, Expected, Passkey, Registration};
use salus_auth::record::{Assertion, Factors, Saved, Status, SystemRecord, User};
use salus_auth::{Action, Error as AuthError, Refusal, mfa};
use salus_store::{Precondition, Scope};
use serde_json::{Value, json};

use super::{Confirmed, Passed, Proof};
use crate::Service;
use crate::audit::entry::{Entry, Outcome, What};
use crate::context::Context;
use crate::error::{Error, Kind};
use crate::pipeline::Write;
use crate::projects::DEFAULT;
use crate::records::read;
use crate::sessions::{Credential, SignedIn};

/// How long somebody may look for their passkey.
const LIFETIME_MS: i64 = 5 * 60 * 1000;
/// For who has not said yet who they are.
const FIRST: &str = "first";
/// Random bytes of a challenge (WebAuthn, 13.4.3), its end, and what proves it.
const RANDOM: usize = 16;
const MAC: usize = 16;

/// A proof that holds, and what it uses up.
pub(crate) struct Taken {
    /// How (RFC 8176).
    pub(crate) methods: Vec<&'static str>,
    /// The challenge that was signed.
    pub(crate) used: Option<Saved<Assertion>>,
}

impl Service {
    /// Takes a factor, which uses it up or counts the failure: to be committed
    /// either way.
    pub(crate) async fn take_factor(
        &self,
        cx: &Context,
        factors: &mut Factors,
        (proof, purpose): (&Proof, &str),
    ) -> Result<Result<Taken, AuthError>, Error> {
        if let Some(wait_ms) = factors.shut_ms(self.identity(cx.scope).lock_out, cx.now_ms) {
            return Err(super::shut(wait_ms));
        }
        let right = match proof {
            Proof::Totp(code) => factors.take_totp(code.expose(), cx.now_ms),
            Proof::Recovery(code) => factors.take_recovery(code.expose(), cx.now_ms),
            Proof::Passkey(assertion) => {
                let taken = self.take_passkey(cx, factors, assertion, purpose).await?;
                return Ok(taken.map(|(taken, _)| taken));
            }
        };
        Ok(match right {
            true => Ok(Taken {
                methods: vec![mfa::ONE_TIME, mfa::MULTI],
                used: None,
            }),
            false => Err(AuthError::Refused(Refusal::Mismatch)),
        })
    }

    /// Takes a signature of a passkey, and whether its owner was made sure of.
    async fn take_passkey(
        &self,
        cx: &Context,
        factors: &mut Factors,
        assertion: &passkey::Assertion,
        purpose: &str,
    ) -> Result<Result<(Taken, bool), AuthError>, Error> {
        let refused = || Ok(Err(AuthError::Refused(Refusal::Mismatch)));
        let Some(challenge) = assertion.challenge() else {
            return refused();
        };
        let Some(used) = self.known_challenge(&challenge, purpose, cx.now_ms)? else {
            return refused();
        };
        let (origin, party) = place(cx);
        let expected = Expected {
            challenge: &challenge,
            origin,
            party,
        };
        match factors.take_passkey(assertion, expected, cx.now_ms) {
            Ok(verified) => {
                let methods = vec![mfa::KEY, mfa::MULTI];
                let used = Some(used);
                Ok(Ok((Taken { methods, used }, verified)))
            }
            Err(passkey::Refused::Mismatch) => refused(),
            Err(passkey::Refused::Cloned) => {
                let rule = "the counter of a passkey went back";
                let entry = Entry::new(cx, What::SignIn, Outcome::Refused, rule);
                self.record(cx, entry).await?;
                refused()
            }
        }
    }

    /// What a browser needs to find a passkey of somebody who has not said who they are.
    pub fn passkey_options(&self, cx: &Context) -> Result<Value, Error> {
        self.request_options(cx, FIRST, None)
    }

    /// What a browser needs to find one of these passkeys, for a purpose.
    pub(crate) fn request_options(
        &self,
        cx: &Context,
        purpose: &str,
        factors: Option<&Factors>,
    ) -> Result<Value, Error> {
        let (_, party) = place(cx);
        let allowed = factors.map(described).unwrap_or_default();
        let verification = match factors {
            Some(_) => "preferred",
            None => "required",
        };
        Ok(json!({
            "challenge": self.challenge(purpose, cx.now_ms)?,
            "rpId": party,
            "timeout": LIFETIME_MS,
            "allowCredentials": allowed,
            "userVerification": verification,
        }))
    }

    /// Signs a user in by a passkey alone, which has made sure that it is its owner.
    pub async fn sign_in_by_passkey(
        &self,
        cx: &Context,
        assertion: &passkey::Assertion,
    ) -> Result<SignedIn, Error> {
        let passed = self.passed_passkey(cx, assertion).await?;
        self.open_token(passed, "passkey").await
    }

    /// A sign-in by a passkey alone.
    pub(crate) async fn passed_passkey(
        &self,
        cx: &Context,
        assertion: &passkey::Assertion,
    ) -> Result<Passed, Error> {
        let Some((home, user)) = self.owner_of(cx, assertion).await? else {
            return self.no_passkey(cx).await;
        };
        let mut factors = self.factors(home.scope, &user.id).await?;
        let taken = self.take_passkey(&home, &mut factors.value, assertion, FIRST);
        let Ok((taken, true)) = taken.await? else {
            return self.no_passkey(&home).await;
        };
        let mut passed = self.passed_password(&home, user).await?;
        passed.methods = mfa::with(&[], &taken.methods);
        passed.use_up(&factors, taken.used)?;
        Ok(passed)
    }

    async fn no_passkey(&self, cx: &Context) -> Result<Passed, Error> {
        let error = AuthError::Refused(Refusal::Mismatch);
        self.refused(cx, &error).await?;
        Err(error.into())
    }

    /// Whose passkey somebody says it is: of this project, or of the server where none is named.
    async fn owner_of(
        &self,
        cx: &Context,
        assertion: &passkey::Assertion,
    ) -> Result<Option<(Context, Saved<User>)>, Error> {
        let handle = assertion.response.user_handle.as_deref();
        let handle = handle.and_then(salus_crypto::from_base64url);
        let handle = handle.and_then(|bytes| String::from_utf8(bytes).ok());
        let parts = handle.as_deref().and_then(|text| text.split_once('.'));
        let Some((scope, id)) = parts else {
            return Ok(None);
        };
        let scope = scope.parse().ok().map(Scope);
        let unnamed = self.project_scope(DEFAULT) == Some(cx.scope);
        let fits = |scope: &Scope| *scope == cx.scope || unnamed && *scope == Scope::SYSTEM;
        let Some(scope) = scope.filter(fits) else {
            return Ok(None);
        };
        if !salus_fhir::reference::is_id(id) {
            return Ok(None);
        }
        let home = Context {
            scope,
            ..cx.clone()
        };
        let record = self.snapshot(&home).await?.get(User::KIND, id).await?;
        let user = read::<User>(record.as_ref())?;
        let user = user.filter(|user| user.value.status == Status::Active);
        Ok(user.map(|user| (home, user)))
    }

    /// What a browser needs to make a passkey for the one who asks.
    pub async fn begin_passkey(&self, cx: &Context) -> Result<Value, Error> {
        let (home, grant, id) = self.own(cx, What::AdminWrite, Action::WriteAccount).await?;
        let work = async {
            self.needs_step_up(cx)?;
            let user = self.saved_user(home.scope, &id).await?;
            let factors = self.factors(home.scope, &id).await?.value;
            factors.check_room()?;
            self.noted(&home, &grant, What::AdminWrite).await?;
            self.creation_options((cx, home.scope), &user, &factors, &register(&id))
        };
        self.attempt_on(&home, &grant, What::AdminWrite, ("User", &id), work)
            .await
    }

    /// What a browser needs to make a passkey for a user of a scope, for a purpose.
    pub(super) fn creation_options(
        &self,
        (cx, home): (&Context, Scope),
        user: &Saved<User>,
        factors: &Factors,
        purpose: &str,
    ) -> Result<Value, Error> {
        let (_, party) = place(cx);
        let handle = format!("{}.{}", home.0, user.id);
        let email = user.value.email.expose();
        let algorithms = [-7, -8, -257].map(|alg| json!({"type": "public-key", "alg": alg}));
        Ok(json!({
            "challenge": self.challenge(purpose, cx.now_ms)?,
            "rp": {"id": party, "name": party},
            "user": {
                "id": salus_crypto::base64url(handle.as_bytes()),
                "name": email,
                "displayName": if user.value.name.is_empty() { email } else { &user.value.name },
            },
            "pubKeyCredParams": algorithms,
            "timeout": LIFETIME_MS,
            "excludeCredentials": described(factors),
            "authenticatorSelection": {
                "residentKey": "required",
                "requireResidentKey": true,
                "userVerification": "preferred",
            },
            "attestation": "none",
        }))
    }

    /// A passkey that a browser has made for a purpose, here and just now, and the challenge that it used up.
    pub(super) fn made_passkey(
        &self,
        cx: &Context,
        made: &Registration,
        purpose: &str,
    ) -> Result<Option<(Passkey, Saved<Assertion>)>, Error> {
        let Some(challenge) = made.challenge() else {
            return Ok(None);
        };
        let used = self.known_challenge(&challenge, purpose, cx.now_ms)?;
        let (origin, party) = place(cx);
        let expected = Expected {
            challenge: &challenge,
            origin,
            party,
        };
        Ok(used.and_then(|used| Some((made.check(expected)?, used))))
    }

    /// Keeps a passkey that a browser has made for the one who asks.
    pub async fn add_passkey(
        &self,
        cx: &Context,
        credential: Credential<'_>,
        (name, made): (&str, &Registration),
    ) -> Result<Confirmed, Error> {
        let (home, grant, id) = self.own(cx, What::AdminWrite, Action::WriteAccount).await?;
        let work = async {
            self.needs_step_up(cx)?;
            let refused = || {
                Error::new(
                    Kind::Unprocessable,
                    "this is no passkey that was made for this account, here and just now",
                )
            };
            let made = self.made_passkey(cx, made, &register(&id))?;
            let (passkey, used) = made.ok_or_else(refused)?;
            let mut factors = self.factors(home.scope, &id).await?;
            let first = !factors.value.any();
            let new = self.new_id(&home);
            factors.value.add_passkey(&new, name, passkey, cx.now_ms)?;
            let codes = match first {
                true => factors
                    .value
                    .renew_codes(|random| self.world.random(random)),
                false => Vec::new(),
            };
            let made = (factors, first, mfa::KEY);
            let factor = self
                .confirmed(&home, &grant, (&id, credential), made, Some(used))
                .await?;
            Ok(Confirmed { factor, codes })
        };
        self.attempt_on(&home, &grant, What::AdminWrite, ("User", &id), work)
            .await
    }

    /// A new challenge for a purpose.
    fn challenge(&self, purpose: &str, now_ms: i64) -> Result<String, Error> {
        let mut text = vec![0; RANDOM];
        self.world.random(&mut text);
        text.extend(now_ms.saturating_add(LIFETIME_MS).to_be_bytes());
        let mac = self.challenge_mac(purpose, &text)?;
        text.extend(mac);
        Ok(salus_crypto::base64url(&text))
    }

    /// What is kept of a challenge of ours that is used for its purpose in time.
    fn known_challenge(
        &self,
        text: &str,
        purpose: &str,
        now_ms: i64,
    ) -> Result<Option<Saved<Assertion>>, Error> {
        let bytes = salus_crypto::from_base64url(text).unwrap_or_default();
        let Some((signed, mac)) = bytes.split_last_chunk::<MAC>() else {
            return Ok(None);
        };
        let Some((_, end)) = signed.split_last_chunk::<8>() else {
            return Ok(None);
        };
        let expires_ms = i64::from_be_bytes(*end);
        let right = salus_crypto::same(&self.challenge_mac(purpose, signed)?, mac);
        let holds = right && now_ms < expires_ms;
        Ok(holds.then(|| Assertion::challenge(text, expires_ms)))
    }

    fn challenge_mac(&self, purpose: &str, text: &[u8]) -> Result<[u8; MAC], Error> {
        let failed =
            |error| Error::new(Kind::Internal, "no challenge can be made").caused_by(error);
        let key = self.cursor_key.derive("passkey").map_err(failed)?;
        let whole = key.mac(&[purpose.as_bytes(), b"\n", text].concat());
        let mut mac = [0; MAC];
        mac.copy_from_slice(&whole[..MAC]);
        Ok(mac)
    }
}

impl Passed {
    /// What a proof has used up goes with the session.
    pub(crate) fn use_up(
        &mut self,
        factors: &Saved<Factors>,
        used: Option<Saved<Assertion>>,
    ) -> Result<(), Error> {
        self.writes.push(Write::aside(&self.grant, factors.put()?));
        self.use_up_challenge(used)
    }

    /// The same, where the factors go with it already.
    pub(super) fn use_up_challenge(&mut self, used: Option<Saved<Assertion>>) -> Result<(), Error> {
        if let Some(used) = used {
            self.unused.push(Assertion::unused(&used));
            self.writes.push(Write::aside(&self.grant, used.put()?));
        }
        Ok(())
    }
}

/// The condition and the record by which a challenge is used once.
pub(super) fn once(
    grant: &salus_auth::Grant,
    used: Option<Saved<Assertion>>,
    writes: &mut Vec<Write>,
) -> Result<Vec<Precondition>, Error> {
    let Some(used) = used else {
        return Ok(Vec::new());
    };
    writes.push(Write::aside(grant, used.put()?));
    Ok(vec![Assertion::unused(&used)])
}

/// The purpose of a new passkey of a user.
fn register(user: &str) -> String {
    format!("register {user}")
}

/// The passkeys that there are, as browsers take them.
fn described(factors: &Factors) -> Vec<Value> {
    let ids = factors.credentials();
    ids.map(|id| json!({"type": "public-key", "id": id}))
        .collect()
}

/// Origin and host of the address that the server is asked at.
fn place(cx: &Context) -> (&str, &str) {
    let (scheme, rest) = cx.base.split_once("://").unwrap_or(("", &cx.base));
    let authority = rest.split('/').next().unwrap_or_default();
    let origin = cx.base.get(..scheme.len() + 3 + authority.len());
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
        Some(_) | None => authority,
    };
    (origin.unwrap_or(&cx.base), host)
}
