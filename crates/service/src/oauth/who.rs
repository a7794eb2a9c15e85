//! Who the user is, for clients that may know:
//! <https://openid.net/specs/openid-connect-core-1_0.html>, sections 2, 3.1.3.6
//! and 5.3, with `fhirUser` of SMART App Launch.

use salus_auth::record::{Agreed, Saved, SystemRecord, User};
use salus_auth::{Action, Scopes, Secret, Word, jwt, mfa};
use salus_crypto::signing::Algorithm;
use serde_json::{Value, json};

use super::issuer;
use crate::Service;
use crate::audit::entry::What;
use crate::context::Context;
use crate::error::{Error, Kind};
use crate::records::read;

/// How long an id token is good for, in seconds.
const LIFETIME_S: i64 = 600;

impl Service {
    /// A signed statement for a client about its user.
    pub(super) async fn id_token(
        &self,
        cx: &Context,
        agreed: &Agreed,
        user: &Saved<User>,
        token: &Secret,
    ) -> Result<String, Error> {
        let now_s = cx.now_ms.div_euclid(1000);
        let hash = salus_crypto::sha256(token.expose().as_bytes());
        let (half, _) = hash.split_at(hash.len() / 2);
        let mut claims = claims(cx, user, &agreed.scopes);
        claims["iss"] = json!(issuer(cx));
        claims["aud"] = json!(agreed.client);
        claims["iat"] = json!(now_s);
        claims["exp"] = json!(now_s + LIFETIME_S);
        claims["auth_time"] = json!(agreed.signed_in_ms.div_euclid(1000));
        claims["amr"] = json!(agreed.methods);
        claims["acr"] = json!(mfa::class_of(&agreed.methods));
        claims["at_hash"] = json!(salus_crypto::base64url(half));
        if let Some(nonce) = &agreed.nonce {
            claims["nonce"] = json!(nonce);
        }
        let keys = self.keys(cx).await?;
        let (id, key) = keys
            .signing(Algorithm::Rs256)
            .ok_or_else(|| Error::new(Kind::Internal, "there is no key to sign with"))?;
        Ok(jwt::sign(key, id, &claims)?)
    }

    /// What the client that asks may know of its user.
    pub async fn user_info(&self, cx: &Context) -> Result<Value, Error> {
        let grant = self.allow(cx, What::AdminRead, Action::ReadAccount).await?;
        self.noted(cx, &grant, What::AdminRead).await?;
        let limit = cx.subject.limit();
        // Who comes without a client learns who they are, and no more.
        let scopes = limit
            .map(|limit| limit.scopes().clone())
            .unwrap_or_default();
        let known = limit.is_none() || scopes.has(Word::OpenId);
        let Some(id) = cx.subject.user_id().filter(|_| known) else {
            return Err(Error::new(
                Kind::Forbidden,
                "this takes a token of a user with the scope openid",
            ));
        };
        let there = Context {
            scope: cx.subject.home(),
            ..cx.clone()
        };
        let record = self.snapshot(&there).await?.get(User::KIND, id).await?;
        let user = read::<User>(record.as_ref())?;
        let user = user.ok_or_else(|| Error::not_found("there is no such user"))?;
        Ok(claims(cx, &user, &scopes))
    }
}

/// What these scopes let a client know.
fn claims(cx: &Context, user: &Saved<User>, scopes: &Scopes) -> Value {
    let mut claims = json!({"sub": user.id});
    let profile = user.value.profiles.first();
    let profile = profile.map(|one| format!("{}/{}/{}", cx.base, one.ty.name(), one.id));
    if let (Some(profile), true) = (profile, scopes.has(Word::FhirUser)) {
        claims["fhirUser"] = json!(profile);
    }
    if scopes.has(Word::Profile) && !user.value.name.is_empty() {
        claims["name"] = json!(user.value.name);
    }
    claims
}
