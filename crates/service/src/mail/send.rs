//! Sending: letters become mails, one after the other, the oldest first.
//!
//! A letter is kept until the mail was taken over, and its next try is kept before each: a
//! server that stops in between sends once more what may have gone out, under the
//! same `Message-ID` and with the same link. Nothing else is sent twice.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::BoxFuture;
use salus_auth::record::{Letter, Link, Mail, Purpose, Saved, Status, SystemRecord, User};
use salus_auth::{Action, Grant};
use salus_store::{At, Batch, Purge, Scope};

use super::{Outgoing, Post, Unsent};
use crate::Service;
use crate::audit::entry::{Entry, Outcome, What};
use crate::context::Context;
use crate::error::Error;
use crate::pipeline::Write;
use crate::projects::DEFAULT;
use crate::records::one;

/// How often letters are looked for whose time to be tried again has come.
const ROUND: Duration = Duration::from_secs(5);
/// Letters that are read at once.
const AT_ONCE: usize = 50;
/// After how long a letter is given up.
const KEPT_MS: i64 = 24 * 60 * 60 * 1000;
/// The pause behind a try that failed, doubled each time, to the longest.
const PAUSE_MS: i64 = 5_000;
const PAUSE_MAX_MS: i64 = 60 * 60 * 1000;
/// How long nothing is tried when nothing can be sent.
const UNREACHABLE_MS: i64 = 10_000;

/// What a letter comes to.
struct Ready {
    mail: Mail,
    user: Option<Saved<User>>,
    link: Option<Saved<Link>>,
}

impl Service {
    /// Sends what waits, for ever. Letters of an earlier run come first.
    pub fn run_mail(self: Arc<Self>, post: Arc<dyn Post>) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let mut round = tokio::time::interval(ROUND);
            let mut not_before_ms = 0;
            self.count_letters().await;
            loop {
                tokio::select! {
                    () = self.mailroom.work.notified() => {}
                    _ = round.tick() => {}
                }
                let now_ms = self.now_ms();
                if now_ms >= not_before_ms && !self.send_due(&*post).await {
                    not_before_ms = now_ms.saturating_add(UNREACHABLE_MS);
                }
            }
        })
    }

    async fn count_letters(&self) {
        let mut waiting = 0;
        for scope in self.scopes() {
            let Ok(snapshot) = self.store.snapshot(scope, At::Now).await else {
                continue;
            };
            let counted = snapshot.count(&Letter::waiting(0)).await;
            waiting += usize::try_from(counted.unwrap_or_default()).unwrap_or(usize::MAX);
        }
        self.mailroom.waiting.fetch_add(waiting, Ordering::Relaxed);
    }

    /// Tries every letter that is due; false if nothing can be sent.
    pub(crate) async fn send_due(&self, post: &dyn Post) -> bool {
        for scope in self.scopes() {
            loop {
                let letters = match self.due(scope).await {
                    Ok(letters) if letters.is_empty() => break,
                    Ok(letters) => letters,
                    Err(error) => {
                        let cause = error.cause();
                        tracing::warn!(cause, "letters cannot be read just now");
                        return false;
                    }
                };
                for letter in letters {
                    match self.send(scope, letter, post).await {
                        Ok(true) => {}
                        Ok(false) => return false,
                        Err(error) => {
                            let cause = error.cause();
                            tracing::warn!(cause, "a letter cannot be sent just now");
                            return false;
                        }
                    }
                }
            }
        }
        true
    }

    async fn due(&self, scope: Scope) -> Result<Vec<Saved<Letter>>, Error> {
        let snapshot = self.store.snapshot(scope, At::Now).await?;
        let found = snapshot.find(&Letter::due(self.now_ms(), AT_ONCE)).await?;
        let mut letters = Vec::new();
        for hit in &found.hits {
            letters.extend(Saved::<Letter>::read(&hit.record)?);
        }
        Ok(letters)
    }

    /// Sends one; false if nothing can be sent just now.
    async fn send(
        &self,
        scope: Scope,
        mut letter: Saved<Letter>,
        post: &dyn Post,
    ) -> Result<bool, Error> {
        let cx = &self.operator_context(scope);
        let grant = self.allow(cx, What::AdminWrite, Action::WriteUsers).await?;
        let value = &letter.value;
        let old = cx.now_ms.saturating_sub(value.made_ms) >= KEPT_MS;
        if old {
            let why = "mail given up: it could not be sent for too long";
            return self
                .done(cx, &grant, &letter, Err(why))
                .await
                .map(|()| true);
        }
        if self.moved(cx, &grant, &letter).await? {
            return Ok(true);
        }
        let Some(ready) = self.meant(cx, &letter).await? else {
            let why = "no mail: nobody here is meant";
            return self
                .done(cx, &grant, &letter, Err(why))
                .await
                .map(|()| true);
        };
        self.note_try(cx, &grant, &mut letter, &ready).await?;
        let about = (ready.user.as_ref(), ready.link.as_ref());
        let mail: Outgoing = self.composed(scope, &letter, ready.mail, about).await?;
        match post.send(&mail).await {
            Ok(()) => self
                .done(cx, &grant, &letter, Ok(&ready))
                .await
                .map(|()| true),
            Err(unsent @ Unsent::ForGood(reason)) => {
                tracing::warn!(reason = unsent.reason(), "a mail was refused");
                self.done(cx, &grant, &letter, Err(reason))
                    .await
                    .map(|()| true)
            }
            Err(unsent @ Unsent::ForNow(_)) => {
                tracing::warn!(reason = unsent.reason(), "a mail waits to be tried again");
                Ok(true)
            }
            Err(unsent @ Unsent::Unreachable(_)) => {
                tracing::warn!(reason = unsent.reason(), "no mail can be sent just now");
                Ok(false)
            }
        }
    }

    /// What there is to say to whom. Nothing, if nobody is meant by then.
    async fn meant(&self, cx: &Context, letter: &Saved<Letter>) -> Result<Option<Ready>, Error> {
        let value = &letter.value;
        let user = match &value.user {
            Some(id) => one::<User>(&*self.store, cx.scope, id).await?,
            None => self.user(cx.scope, &value.to).await?,
        };
        let link = match &value.link {
            Some(id) => self.saved_link(cx.scope, id).await?,
            None => None,
        };
        // A link that was used or taken back since is not sent again.
        let is_over = value.link.is_some() && link.is_none() && value.tries > 0;
        let made = |purpose, user: Option<&Saved<User>>| {
            let mut made = Link::new(purpose, value.to.clone(), cx.now_ms);
            made.user = user.map(|user| user.id.clone());
            link.clone()
                .or_else(|| Some(Saved::new(self.new_id(cx), made)))
        };
        let active = user
            .as_ref()
            .is_some_and(|user| user.value.status == Status::Active);
        let (mail, link) = match value.mail {
            _ if is_over => return Ok(None),
            Mail::SignUp if user.is_some() => (Mail::AccountExists, None),
            Mail::SignUp => (Mail::SignUp, made(Purpose::SignUp, None)),
            Mail::Recover if active => (Mail::Recover, made(Purpose::Recover, user.as_ref())),
            Mail::Verify if active => (Mail::Verify, made(Purpose::Verify, user.as_ref())),
            Mail::Invitation if link.is_some() => (Mail::Invitation, link),
            Mail::PasswordChanged
            | Mail::AddressChanged
            | Mail::ProviderConnected
            | Mail::ProviderRemoved
            | Mail::GlassBroken
            | Mail::Alert
            | Mail::NewSignIn
            | Mail::FactorAdded
            | Mail::FactorRemoved
            | Mail::CodesRenewed => (value.mail, None),
            Mail::Recover | Mail::Verify | Mail::Invitation | Mail::AccountExists => {
                return Ok(None);
            }
        };
        Ok(Some(Ready { mail, user, link }))
    }

    /// Where no project is named, administrators of the server ask for mail, too: such a letter
    /// goes on in the scope where they are at home.
    async fn moved(
        &self,
        cx: &Context,
        grant: &Grant,
        letter: &Saved<Letter>,
    ) -> Result<bool, Error> {
        let value = &letter.value;
        let here = self.project_scope(DEFAULT) == Some(cx.scope);
        if value.mail != Mail::Recover || !here || value.user.is_some() {
            return Ok(false);
        }
        let known = self.user(cx.scope, &value.to).await?.is_some();
        if known || self.user(Scope::SYSTEM, &value.to).await?.is_none() {
            return Ok(false);
        }
        let there = &self.operator_context(Scope::SYSTEM);
        let grant_there = self
            .allow(there, What::AdminWrite, Action::WriteUsers)
            .await?;
        let moved = self.letter(there, &grant_there, value.clone())?;
        let entry = Entry::new(there, What::AdminWrite, Outcome::Success, "mail to send");
        self.commit(there, entry, Vec::new(), vec![moved]).await?;
        self.posted();
        self.done(cx, grant, letter, Err("mail is sent by the server"))
            .await?;
        Ok(true)
    }

    /// Keeps the try, its link and when the next one is, before it is made.
    async fn note_try(
        &self,
        cx: &Context,
        grant: &Grant,
        letter: &mut Saved<Letter>,
        ready: &Ready,
    ) -> Result<(), Error> {
        let mut writes = Vec::new();
        let value = &mut letter.value;
        let pause_ms = PAUSE_MS << value.tries.min(20);
        value.due_ms = cx.now_ms.saturating_add(pause_ms.min(PAUSE_MAX_MS));
        value.tries += 1;
        if let Some(link) = &ready.link {
            value.link = Some(link.id.clone());
            if link.version == 0 {
                writes.push(Write::aside(grant, link.put()?));
            }
        }
        writes.push(Write::aside(grant, letter.put()?));
        let mut entry = Entry::new(cx, What::AdminWrite, Outcome::Success, "mail tried");
        concern(&mut entry, ready.user.as_ref());
        self.commit(cx, entry, Vec::new(), writes).await?;
        letter.version += 1;
        Ok(())
    }

    /// Removes a letter that was sent, or will not be.
    async fn done(
        &self,
        cx: &Context,
        grant: &Grant,
        letter: &Saved<Letter>,
        sent: Result<&Ready, &'static str>,
    ) -> Result<(), Error> {
        let mut entry = match sent {
            Ok(_) => Entry::new(cx, What::AdminWrite, Outcome::Success, "mail sent"),
            Err(why) => Entry::new(cx, What::AdminWrite, Outcome::Refused, why),
        };
        entry.query = letter.value.mail.name().into();
        concern(&mut entry, sent.ok().and_then(|ready| ready.user.as_ref()));
        let writes = vec![Write::aside(grant, letter.delete())];
        self.commit(cx, entry, Vec::new(), writes).await?;
        self.mailroom.waiting.fetch_sub(1, Ordering::Relaxed);
        let purge = Purge {
            kind: Letter::KIND,
            id: letter.id.clone(),
            below: letter.version + 1,
        };
        let batch = Batch {
            purged: vec![purge],
            ..Batch::of(cx.scope, cx.now_ms, Vec::new())
        };
        self.store.commit(batch).await?;
        Ok(())
    }

    pub(crate) async fn saved_link(
        &self,
        scope: Scope,
        id: &str,
    ) -> Result<Option<Saved<Link>>, Error> {
        one::<Link>(&*self.store, scope, id).await
    }
}

fn concern(entry: &mut Entry, user: Option<&Saved<User>>) {
    if let Some(user) = user {
        crate::accounts::concern::<User>(entry, &user.id, user.version);
    }
}
