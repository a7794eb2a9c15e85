//! Which client asks: <https://www.rfc-editor.org/rfc/rfc6749#section-2.3>.

use salus_auth::record::{Assertion, AuthMethod, Client, Saved, Status, SystemRecord};
use salus_auth::{Refusal, Secret, assertion, credentials};
use salus_store::Precondition;

use super::{Code, Refused, fault, issuer};
use crate::Service;
use crate::audit::entry::{Entry, Outcome, What};
use crate::context::Context;
use crate::error::Error;
use crate::pipeline::Write;
use crate::records::read;

/// What a request brings to say which client it is from.
#[derive(Clone, Copy)]
pub struct Presented<'a> {
    /// The id, where it is named.
    pub id: Option<&'a str>,
    /// How it is proved.
    pub proof: Proof<'a>,
}
salus_phi::guard!(Presented<'_>);

/// How a client proves who it is.
#[derive(Clone, Copy)]
pub enum Proof<'a> {
    /// Not at all.
    None,
    /// By its secret.
    Secret(&'a Secret),
    /// By an assertion that it has signed.
    Assertion(&'a str),
}
salus_phi::guard!(Proof<'_>);

/// A client that has proved who it is, as far as it has to.
pub(super) struct Known {
    pub(super) client: Saved<Client>,
    used: Option<Saved<Assertion>>,
}

impl Known {
    /// What has to be committed with what the client asked for, so that its
    /// assertion is of no use again.
    pub(super) fn use_up(
        &self,
        grant: &salus_auth::Grant,
        preconditions: &mut Vec<Precondition>,
        writes: &mut Vec<Write>,
    ) -> Result<(), Error> {
        if let Some(used) = &self.used {
            preconditions.push(Assertion::unused(used));
            writes.push(Write::aside(grant, used.put()?));
        }
        Ok(())
    }

    /// What it means that these did not hold: the assertion came twice.
    pub(super) fn on_conflict(&self, error: salus_store::Error) -> Refused {
        match (&self.used, error) {
            (Some(_), salus_store::Error::Conflict { .. }) => UNPROVED.into_refused(),
            (_, error) => error.into(),
        }
    }
}

/// The answer to who is no client, whatever the reason.
struct Unproved;
const UNPROVED: Unproved = Unproved;

impl Unproved {
    fn into_refused(self) -> Refused {
        fault(
            Code::InvalidClient,
            "the client id, or its proof, is not valid",
        )
    }
}

impl Service {
    /// The client that a request is from. A refusal is in the audit before it
    /// is returned.
    pub(super) async fn known_client(
        &self,
        cx: &Context,
        presented: Presented<'_>,
    ) -> Result<Known, Refused> {
        let claimed = match presented.proof {
            Proof::Assertion(text) => assertion::claimed_client(text),
            Proof::None | Proof::Secret(_) => presented.id.map(str::to_owned),
        };
        // Both names, where both are there, have to be one (RFC 7521, 4.2).
        let claimed = claimed.filter(|id| presented.id.is_none_or(|named| named == id));
        let client = match &claimed {
            Some(id) => self.client(cx, id).await?,
            None => None,
        };
        match self.prove(cx, client, presented.proof) {
            Ok(known) => Ok(known),
            Err(salus_auth::Error::Refused(refusal)) => {
                let entry = Entry::new(cx, What::SignIn, Outcome::Refused, refusal.rule());
                self.record(cx, entry).await?;
                Err(UNPROVED.into_refused())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The record of a client of this project.
    pub(super) async fn client(
        &self,
        cx: &Context,
        id: &str,
    ) -> Result<Option<Saved<Client>>, Error> {
        let record = match id.len() {
            1..=64 => self.snapshot(cx).await?.get(Client::KIND, id).await?,
            _ => None,
        };
        read::<Client>(record.as_ref())
    }

    fn prove(
        &self,
        cx: &Context,
        client: Option<Saved<Client>>,
        proof: Proof<'_>,
    ) -> Result<Known, salus_auth::Error> {
        let refused = |refusal| Err(salus_auth::Error::Refused(refusal));
        let used = match proof {
            Proof::Secret(secret) => {
                credentials::check_client(client.as_ref(), secret)?;
                None
            }
            Proof::Assertion(text) => {
                let issuer = issuer(cx);
                let audiences = [issuer.to_owned(), format!("{issuer}/auth/token")];
                let used = assertion::check(client.as_ref(), text, &audiences, cx.now_ms)?;
                Some(used)
            }
            Proof::None => match &client {
                Some(client) if client.value.auth == AuthMethod::None => None,
                Some(_) => return refused(Refusal::Mismatch),
                None => return refused(Refusal::Unknown),
            },
        };
        match client {
            Some(client) if client.value.status == Status::Active => Ok(Known { client, used }),
            Some(_) => refused(Refusal::Suspended),
            None => refused(Refusal::Unknown),
        }
    }
}
