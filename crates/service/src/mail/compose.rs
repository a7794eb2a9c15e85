//! What a mail says: the words of the project, or ours, with their places filled in.

use salus_auth::record::{Letter, Link, Mail, MailText, Project, Purpose, Saved, User};
use salus_auth::template::{Place, Template};
use salus_store::Scope;

use super::Outgoing;
use crate::Service;
use crate::error::{Error, Kind};
use crate::projects::DEFAULT;
use crate::records::one;

impl Service {
    /// The mail that a letter becomes.
    pub(super) async fn composed(
        &self,
        scope: Scope,
        letter: &Saved<Letter>,
        mail: Mail,
        about: (Option<&Saved<User>>, Option<&Saved<Link>>),
    ) -> Result<Outgoing, Error> {
        let (user, link) = about;
        let words = self.words(scope, mail).await?;
        let project = self.project_name(scope).await?;
        let to = &letter.value.to;
        let (url, hours) = match link {
            Some(link) => (
                self.url(scope, link)?,
                link.value.purpose.hours().to_string(),
            ),
            None => (String::new(), String::new()),
        };
        let name = user.map(|user| &*user.value.name);
        let name = name.or(link.map(|link| &*link.value.gives.name));
        let name = name.filter(|name| !name.is_empty()).unwrap_or(to.expose());
        let value = |place| match place {
            Place::Project => &*project,
            Place::Name => name,
            Place::Address => to.expose(),
            Place::Link => &*url,
            Place::Hours => &*hours,
        };
        let read = |text| {
            let read = Template::parse(text, mail.places());
            read.map_err(|_| Error::new(Kind::Internal, "a text of mail cannot be filled in"))
        };
        let html = words.html.as_deref().map(read).transpose()?;
        Ok(Outgoing {
            id: letter.id.clone(),
            from: self.identity(scope).mail_from.clone(),
            to: to.clone(),
            subject: read(&words.subject)?.plain(value),
            text: read(&words.text)?.plain(value),
            html: html.map(|html| html.html(value)),
            made_ms: letter.value.made_ms,
        })
    }

    /// The words of a mail as the project has them.
    async fn words(&self, scope: Scope, mail: Mail) -> Result<MailText, Error> {
        let own = self.own_text(scope, mail).await?;
        Ok(own.map_or_else(|| usual(mail), |own| own.value))
    }

    /// What people call a project.
    pub(crate) async fn project_name(&self, scope: Scope) -> Result<String, Error> {
        let slug = self.project_slug(scope).unwrap_or_default();
        let project = one::<Project>(&*self.store, Scope::SYSTEM, &slug).await?;
        let name = project.map(|project| project.value.name);
        Ok(match scope {
            Scope::SYSTEM => "Salus".to_owned(),
            _ => name.unwrap_or_default(),
        })
    }

    /// Where a link leads.
    fn url(&self, scope: Scope, link: &Saved<Link>) -> Result<String, Error> {
        let key = self.link_key()?;
        let secret = Link::secret(&key, scope, &link.id);
        let page = match link.value.purpose {
            Purpose::SignUp | Purpose::Invitation => "join",
            Purpose::Verify => "verify",
            Purpose::Recover => "password",
        };
        let base = self.settings.mail.as_ref().map_or("", |mail| &mail.base);
        let project = match self.project_slug(scope) {
            Some(slug) if *slug != *DEFAULT => format!("/p/{slug}"),
            Some(_) | None => String::new(),
        };
        Ok(format!(
            "{base}{project}/auth/{page}?link={}",
            secret.expose()
        ))
    }
}

/// The words of a mail where a project has chosen none.
pub(super) fn usual(mail: Mail) -> MailText {
    let (subject, text) = match mail {
        Mail::SignUp => (
            "Your account at {{project}}",
            "Hello,\n\nsomebody, probably you, wants an account at {{project}} for {{address}}. \
             To make it, open this within {{hours}} hours:\n\n{{link}}\n\nIf it was not you, \
             do nothing: there will be no account.\n",
        ),
        Mail::AccountExists => (
            "Your account at {{project}}",
            "Hello {{name}},\n\nsomebody, probably you, wants an account at {{project}} for \
             {{address}}. There is one already. If you have forgotten your password, ask for a \
             new one where you sign in. If it was not you, do nothing.\n",
        ),
        Mail::Verify => (
            "Your e-mail address at {{project}}",
            "Hello {{name}},\n\nplease confirm that {{address}} is your address at \
             {{project}}. Open this within {{hours}} hours:\n\n{{link}}\n\nIf you did not ask \
             for that, do nothing.\n",
        ),
        Mail::Recover => (
            "A new password at {{project}}",
            "Hello {{name}},\n\nsomebody, probably you, wants a new password for {{address}} at \
             {{project}}. To choose it, open this within {{hours}} hours:\n\n{{link}}\n\nIf it \
             was not you, do nothing: your password stays as it is.\n",
        ),
        Mail::Invitation => (
            "You are invited to {{project}}",
            "Hello {{name}},\n\nan account at {{project}} is ready for you. To choose your \
             password, open this within {{hours}} hours:\n\n{{link}}\n",
        ),
        Mail::PasswordChanged => (
            "Your password at {{project}} was changed",
            "Hello {{name}},\n\nthe password of {{address}} at {{project}} was changed just now, \
             and you were signed out elsewhere. If it was not you, ask for a new password at \
             once and tell whoever runs {{project}}.\n",
        ),
        Mail::AddressChanged => (
            "Your address at {{project}} was changed",
            "Hello {{name}},\n\nyour account at {{project}} no longer belongs to {{address}}. If \
             it was not you who changed that, tell whoever runs {{project}}.\n",
        ),
        Mail::NewSignIn => (
            "A sign-in to your account at {{project}}",
            "Hello {{name}},\n\nsomebody, probably you, has just signed in as {{address}} at \
             {{project}} from a place that was not seen in the last months. If it was not you, \
             choose a new password at once, which ends all sessions, and tell whoever runs \
             {{project}}.\n",
        ),
        Mail::FactorAdded => (
            "A second factor at {{project}} was set up",
            "Hello {{name}},\n\na second factor was set up just now for {{address}} at \
             {{project}}. If it was not you, tell whoever runs {{project}}, and choose a new \
             password.\n",
        ),
        Mail::FactorRemoved => (
            "A second factor at {{project}} was removed",
            "Hello {{name}},\n\na second factor of {{address}} at {{project}} was removed just \
             now. If it was not you, tell whoever runs {{project}}, and choose a new password.\n",
        ),
        Mail::CodesRenewed => (
            "Your recovery codes at {{project}} were replaced",
            "Hello {{name}},\n\nthe recovery codes of {{address}} at {{project}} were replaced \
             just now: the old ones are good no longer. If it was not you, tell whoever runs \
             {{project}}, and choose a new password.\n",
        ),
        Mail::ProviderConnected => (
            "Another way to sign in at {{project}}",
            "Hello {{name}},\n\nan account that you have elsewhere was connected with {{address}} at \
             {{project}} just now, and lets you sign in from now on. If it was not you, sign in, \
             remove it, choose a new password at once and tell whoever runs {{project}}.\n",
        ),
        Mail::ProviderRemoved => (
            "A way to sign in at {{project}} was removed",
            "Hello {{name}},\n\nan account that you have elsewhere no longer lets you sign in as \
             {{address}} at {{project}}. If it was not you, tell whoever runs {{project}}.\n",
        ),
        Mail::Alert => (
            "An alert at {{project}}",
            "Hello,\n\na rule that watches the audit of {{project}} has found something. Which rule \
             it is, who did what it looks for and when is in the list of alerts of {{project}}, for \
             administrators to look at.\n",
        ),
        Mail::GlassBroken => (
            "The glass was broken at {{project}}",
            "Hello,\n\na user of {{project}} has opened the records of a patient in an emergency, \
             past what rules else allow. Who it was, for whom and why is in the review queue of \
             {{project}}, for administrators to look at.\n",
        ),
    };
    MailText {
        subject: subject.to_owned(),
        text: text.to_owned(),
        html: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_words_can_be_filled_in() {
        for mail in Mail::ALL {
            usual(mail).check(mail).unwrap();
        }
    }
}
