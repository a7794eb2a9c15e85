//! Devices without a browser: <https://www.rfc-editor.org/rfc/rfc8628>.
//!
//! The user types what the device shows, on the same pages on which any request is
//! agreed to. A wrong code is counted by the network that it comes from.

use salus_auth::record::{Agreed, Device, GrantType, Saved, SystemRecord};
use salus_auth::{Action, Level, Scopes, Secret, Target, Word};

use super::clients::Presented;
use super::codes::Given;
use super::request::stated;
use super::{Code, Refused, fault, issuer};
use crate::Service;
use crate::audit::entry::{Entry, Outcome, What};
use crate::context::Context;
use crate::error::Error;
use crate::pipeline::Write;
use crate::policy;
use crate::records::read;

/// What a device is given to wait with.
pub struct Waiting {
    /// What it polls with.
    pub device_code: Secret,
    /// What the user types.
    pub user_code: String,
    /// Where.
    pub place: String,
}
salus_phi::guard!(Waiting);

impl Service {
    /// Lets a device wait for its user (RFC 8628, 3.1 and 3.2).
    pub async fn begin_device(
        &self,
        cx: &Context,
        presented: Presented<'_>,
        (scopes, purpose): (&str, Option<&str>),
    ) -> Result<Waiting, Refused> {
        let known = self
            .client_for(cx, presented, GrantType::DeviceCode)
            .await?;
        let client = &known.client;
        let asked = Scopes::known_of(scopes).intersect(&client.value.scopes);
        // A device is opened by nobody.
        let asked = asked.without_level(Level::System).without(&[Word::Launch]);
        let asked = policy::scopes::understood(cx, &asked);
        if asked.is_empty() {
            return Err(fault(
                Code::InvalidScope,
                "this client may have none of these scopes",
            ));
        }
        let asked = (asked, stated(client, purpose)?);
        let parts = (&self.random(), &self.random());
        let (device_code, saved) = Device::make(parts, &client.id, asked, cx.now_ms);
        let grant = self
            .authorize(cx, What::SignIn, Action::SignIn, Target::System)
            .await?;
        let mut entry = Entry::new(cx, What::SignIn, Outcome::Success, "device waits");
        entry.agent = format!("Client/{}", client.id).into();
        let mut preconditions = Vec::new();
        let mut writes = vec![Write::system(&grant, "Device", saved.put()?)];
        known.use_up(&grant, &mut preconditions, &mut writes)?;
        let done = self.commit(cx, entry, preconditions, writes).await;
        done.map_err(|error| known.on_conflict(error))?;
        Ok(Waiting {
            device_code,
            user_code: saved.value.user_code,
            place: format!("{}/auth/device", issuer(cx)),
        })
    }

    /// What a device gets when it asks (RFC 8628, 3.4 and 3.5).
    pub async fn poll_device(
        &self,
        cx: &Context,
        presented: Presented<'_>,
        device_code: &str,
    ) -> Result<Given, Refused> {
        let known = self
            .client_for(cx, presented, GrantType::DeviceCode)
            .await?;
        let id = Device::id(device_code);
        let record = self.snapshot(cx).await?.get(Device::KIND, &id).await?;
        let saved = read::<Device>(record.as_ref())?;
        let Some(mut saved) = saved.filter(|one| one.value.client == known.client.id) else {
            return Err(self.not_given(cx, "no such device").await?);
        };
        let unchanged = saved.unchanged();
        let polled = saved.value.poll(cx.now_ms);
        let grant = self
            .authorize(cx, What::SignIn, Action::SignIn, Target::System)
            .await?;
        match polled {
            Ok(agreed) => {
                let write = Write::system(&grant, "Device", saved.delete());
                let kept = (vec![unchanged], vec![write]);
                self.give_agreed(cx, &grant, &known, (agreed, "device", kept))
                    .await
            }
            Err(fault) => {
                let write = Write::aside(&grant, saved.put()?);
                let entry = Entry::new(cx, What::SignIn, Outcome::Refused, fault.code.name());
                match self.commit(cx, entry, vec![unchanged], vec![write]).await {
                    // The user has just answered: the next time tells.
                    Ok(()) | Err(salus_store::Error::Conflict { .. }) => Err(fault.into()),
                    Err(error) => Err(error.into()),
                }
            }
        }
    }

    /// The device that shows a code, if it still waits.
    pub(super) async fn device_showing(
        &self,
        cx: &Context,
        user_code: &str,
    ) -> Result<Option<Saved<Device>>, Error> {
        if let Err(wait_ms) = self.guesses.try_device(cx.remote, cx.now_ms) {
            let entry = Entry::new(cx, What::SignIn, Outcome::Refused, "too many device codes");
            self.record(cx, entry).await?;
            return Err(Error::throttled(
                "too many codes were wrong; wait some minutes before the next",
                wait_ms,
            ));
        }
        let found = self.snapshot(cx).await?;
        let found = found.find(&Device::showing(user_code)).await?;
        let mut devices = found
            .hits
            .iter()
            .map(|hit| read::<Device>(Some(&hit.record)));
        let found = devices.find_map(|device| match device {
            Ok(Some(device)) if device.value.waits(cx.now_ms) => Some(Ok(device)),
            Ok(_) => None,
            Err(error) => Some(Err(error)),
        });
        let found = found.transpose()?;
        match &found {
            Some(_) => self.guesses.right_device(cx.remote),
            None => {
                let entry = Entry::new(cx, What::SignIn, Outcome::Refused, "no such device");
                self.record(cx, entry).await?;
            }
        }
        Ok(found)
    }

    /// Tells a device what its user said; `false` if it waits no longer.
    pub(super) async fn answer_device(
        &self,
        cx: &Context,
        mut device: Saved<Device>,
        agreed: Option<Agreed>,
    ) -> Result<bool, Error> {
        let unchanged = device.unchanged();
        let (outcome, rule) = match &agreed {
            Some(_) => (Outcome::Success, "the user agreed"),
            None => (Outcome::Refused, "the user did not agree"),
        };
        device.value.answered(agreed);
        let grant = self
            .authorize(cx, What::SignIn, Action::SignIn, Target::System)
            .await?;
        let mut entry = Entry::new(cx, What::SignIn, outcome, rule);
        entry.query = format!("client={}", device.value.client).into();
        // It may have polled meanwhile, which is no reason to lose the answer.
        let write = Write::system(&grant, "Device", device.put()?);
        match self.commit(cx, entry, vec![unchanged], vec![write]).await {
            Ok(()) => Ok(true),
            Err(salus_store::Error::Conflict { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}
