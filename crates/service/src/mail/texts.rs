//! The words of mails, for the administrators of a project.

use salus_auth::Action;
use salus_auth::record::{Mail, MailText, Saved};
use salus_auth::template::Place;
use salus_store::Scope;

use super::compose::usual;
use crate::Service;
use crate::audit::entry::{Entry, Outcome, What};
use crate::context::Context;
use crate::error::Error;
use crate::pipeline::Write;
use crate::records::{ever, one};

/// The words of a mail as administrators see them.
#[derive(Clone, Debug)]
pub struct TextView {
    /// The name of the mail.
    pub mail: &'static str,
    /// What may be filled in.
    pub places: Vec<&'static str>,
    /// Whether the project has words of its own.
    pub own: bool,
    /// The words.
    pub words: MailText,
}

impl Service {
    /// The words of every mail.
    pub async fn list_mail_texts(&self, cx: &Context) -> Result<Vec<TextView>, Error> {
        let action = Action::ReadSettings;
        let grant = self.allow(cx, What::AdminRead, action).await?;
        self.noted(cx, &grant, What::AdminRead).await?;
        let mut views = Vec::new();
        for mail in Mail::ALL {
            let own = self.own_text(cx.scope, mail).await?;
            views.push(view(mail, own.map(|own| own.value)));
        }
        Ok(views)
    }

    /// The words of one.
    pub async fn read_mail_text(&self, cx: &Context, name: &str) -> Result<TextView, Error> {
        let action = Action::ReadSettings;
        let grant = self.allow(cx, What::AdminRead, action).await?;
        let work = async {
            let mail = named(name)?;
            let own = self.own_text(cx.scope, mail).await?;
            self.noted(cx, &grant, What::AdminRead).await?;
            Ok(view(mail, own.map(|own| own.value)))
        };
        self.attempt(cx, &grant, What::AdminRead, "MailText", work)
            .await
    }

    /// Gives a project words of its own for a mail; without them it has ours again.
    pub async fn write_mail_text(
        &self,
        cx: &Context,
        name: &str,
        words: Option<MailText>,
    ) -> Result<TextView, Error> {
        let action = Action::WriteSettings;
        let grant = self.allow(cx, What::SettingChange, action).await?;
        let work = async {
            let mail = named(name)?;
            let before = self.text_ever(cx.scope, mail).await?;
            if let Some(words) = &words {
                words.check(mail)?;
            }
            let value = words.clone().unwrap_or_else(|| usual(mail));
            let next = Saved {
                id: mail.name().into(),
                version: before,
                value,
            };
            let put = match words {
                Some(_) => next.put()?,
                None if self.own_text(cx.scope, mail).await?.is_none() => {
                    return Ok(view(mail, None));
                }
                None => next.delete(),
            };
            let write = Write::system(&grant, "MailText", put);
            let entry = Entry::new(cx, What::SettingChange, Outcome::Success, grant.rule());
            self.commit(cx, entry, Vec::new(), vec![write]).await?;
            Ok(view(mail, words))
        };
        self.attempt(cx, &grant, What::SettingChange, "MailText", work)
            .await
    }

    /// The words that the project has of its own.
    pub(super) async fn own_text(
        &self,
        scope: Scope,
        mail: Mail,
    ) -> Result<Option<Saved<MailText>>, Error> {
        one::<MailText>(&*self.store, scope, mail.name()).await
    }

    /// The version of the words, deleted ones too.
    async fn text_ever(&self, scope: Scope, mail: Mail) -> Result<u64, Error> {
        let (_, version) = ever::<MailText>(&*self.store, scope, mail.name()).await?;
        Ok(version)
    }
}

fn named(name: &str) -> Result<Mail, Error> {
    Mail::named(name).ok_or_else(|| {
        let names = Mail::ALL.map(Mail::name).join(", ");
        Error::not_found(format!("there is no such mail; there are {names}"))
    })
}

fn view(mail: Mail, own: Option<MailText>) -> TextView {
    TextView {
        mail: mail.name(),
        places: mail.places().iter().copied().map(Place::name).collect(),
        own: own.is_some(),
        words: own.unwrap_or_else(|| usual(mail)),
    }
}
