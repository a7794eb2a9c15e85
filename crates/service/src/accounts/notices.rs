//! What people are told of their account by mail, whoever did it: a sign-in from where they
//! have not been of late, and changes to what they prove themselves with (OWASP ASVS 5.0, 6.3.5
//! and 6.3.7). Nothing waits for such a mail, and nothing fails for want of one.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use salus_auth::Grant;
use salus_auth::record::{Email, Mail, Places, Saved, User, Visit};
use salus_store::Scope;

use crate::Service;
use crate::audit::entry::{Entry, Outcome, What};
use crate::context::Context;
use crate::error::{Error, Kind};
use crate::pipeline::Write;
use crate::records::ever;

impl Service {
    /// A mail about a change of an account, for the commit of that change; none where no mail is
    /// sent, or the project wants none.
    pub(crate) fn account_notice(
        &self,
        cx: &Context,
        grant: &Grant,
        mail: Mail,
        user: &Saved<User>,
    ) -> Result<Option<Write>, Error> {
        match self.identity(cx.scope).notices {
            true => self.notice(cx, grant, mail, (user, user.value.email.clone())),
            false => Ok(None),
        }
    }

    /// Tells a user of a change that has been committed.
    pub(crate) async fn tell(&self, cx: &Context, grant: &Grant, mail: Mail, user: &Saved<User>) {
        let letter = self.account_notice(cx, grant, mail, user);
        untold(self.post_letter(cx, grant, letter).await);
    }

    /// Tells the address that was a user's before that it is not any more.
    pub(super) async fn tell_before(
        &self,
        cx: &Context,
        grant: &Grant,
        user: &Saved<User>,
        before: Email,
    ) {
        let letter = self.notice(cx, grant, Mail::AddressChanged, (user, before));
        untold(self.post_letter(cx, grant, letter).await);
    }

    async fn post_letter(
        &self,
        cx: &Context,
        grant: &Grant,
        letter: Result<Option<Write>, Error>,
    ) -> Result<(), Error> {
        let Some(letter) = letter? else {
            return Ok(());
        };
        let entry = Entry::new(cx, What::AdminWrite, Outcome::Success, grant.rule());
        self.commit(cx, entry, Vec::new(), vec![letter]).await?;
        self.posted();
        Ok(())
    }

    /// Notes where a user has signed in, and tells them if they were not there of late. It comes
    /// behind the sign-in, which it neither refuses nor undoes.
    pub(crate) async fn note_place(&self, cx: &Context, grant: &Grant, user: &Saved<User>) {
        untold(self.visit(cx, grant, user).await);
    }

    async fn visit(&self, cx: &Context, grant: &Grant, user: &Saved<User>) -> Result<(), Error> {
        let (Some(from), Some(_)) = (cx.remote, &self.settings.mail) else {
            return Ok(());
        };
        let mut places = self.places(cx.scope, &user.id).await?;
        let code = self.place_code(&user.id, from)?;
        let visit = places.value.visit(&code, cx.now_ms);
        let (rule, notice) = match visit {
            Visit::Known => return Ok(()),
            Visit::First | Visit::Renewed => ("signed in from there", None),
            Visit::New => {
                let notice = self.account_notice(cx, grant, Mail::NewSignIn, user)?;
                ("signed in from another place", notice)
            }
        };
        let told = notice.is_some();
        let mut writes = vec![Write::aside(grant, places.put()?)];
        writes.extend(notice);
        let mut entry = Entry::new(cx, What::SignIn, Outcome::Success, rule);
        entry.agent = format!("User/{}", user.id).into();
        match self.commit(cx, entry, Vec::new(), writes).await {
            Ok(()) if told => self.posted(),
            // Another sign-in at once has noted its own.
            Ok(()) | Err(salus_store::Error::Conflict { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// The places of a user; none is a record that is not kept yet.
    async fn places(&self, home: Scope, user: &str) -> Result<Saved<Places>, Error> {
        let (found, version) = ever::<Places>(&*self.store, home, user).await?;
        let none = Places::none(user);
        Ok(found.unwrap_or(Saved { version, ..none }))
    }

    /// What is kept beside a user and goes with them.
    pub(super) async fn removed_with(
        &self,
        cx: &Context,
        grant: &Grant,
        user: &str,
    ) -> Result<Vec<Write>, Error> {
        let factors = self.factors(cx.scope, user).await?;
        let places = self.places(cx.scope, user).await?;
        let factors = (factors.version > 0).then(|| factors.delete());
        let places = (places.version > 0).then(|| places.delete());
        let puts = factors.into_iter().chain(places);
        let mut writes = self.all_links_removed(cx, grant, user).await?;
        writes.extend(puts.map(|put| Write::aside(grant, put)));
        Ok(writes)
    }

    fn place_code(&self, user: &str, from: IpAddr) -> Result<String, Error> {
        let failed = |error| Error::new(Kind::Internal, "no place can be named").caused_by(error);
        let key = self.cursor_key.derive("place").map_err(failed)?;
        let mac = key.mac(format!("{user}\n{}", vicinity(from)).as_bytes());
        Ok(salus_crypto::base64url(&mac[..16]))
    }
}

/// It has happened; that nobody could be told of it is the operator's affair.
fn untold(done: Result<(), Error>) {
    if let Err(error) = done {
        let cause = error.cause();
        tracing::warn!(cause, "a user could not be told of their account");
    }
}

/// What counts as one place: providers give their customers other addresses of a network from day to day.
fn vicinity(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(Ipv4Addr::from_bits(address.to_bits() & !0xff)),
        IpAddr::V6(address) => {
            let rest = u128::MAX >> 48;
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !rest))
        }
    }
}
