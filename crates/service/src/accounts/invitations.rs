//! Invitations, for the administrators of a project: made, listed, taken back.

use salus_auth::record::{
    Email, Gives, Letter, Link, Mail, Profile, Purpose, Saved, User, role_names,
};
use salus_auth::{Action, Grant};
use salus_store::At;

use super::users::{check_name, concern};
use crate::Service;
use crate::audit::entry::{Entry, Outcome, What};
use crate::context::Context;
use crate::error::{Error, Kind};
use crate::pipeline::Write;
use crate::time::instant;

/// Invitations of a project that may be open at once.
const INVITATIONS_MAX: usize = 10_000;

/// Whom to invite, and as what.
#[derive(Default)]
pub struct Invitation {
    /// Where the link goes; what they will sign in with.
    pub email: String,
    /// What people call them.
    pub name: String,
    /// The groups that they will be in, by id.
    pub groups: Vec<Box<str>>,
    /// The roles that they will hold.
    pub roles: Vec<String>,
    /// Who they are, as `Patient/7`.
    pub profiles: Vec<String>,
}
salus_phi::guard!(Invitation);

/// An invitation as administrators see it; nobody sees its link but who gets the mail.
#[derive(Clone)]
pub struct InvitationView {
    /// The id.
    pub id: Box<str>,
    /// Where the link went.
    pub email: String,
    /// What people call them.
    pub name: String,
    /// The groups that they will be in.
    pub groups: Vec<Box<str>>,
    /// The roles that they will hold.
    pub roles: Vec<String>,
    /// Who they are.
    pub profiles: Vec<String>,
    /// Who invited them.
    pub by: String,
    /// When, as an instant.
    pub created: String,
    /// Until when it can be used.
    pub expires: String,
}
salus_phi::guard!(InvitationView);

impl Service {
    /// Invites somebody, or a user who has no password yet to choose one. An earlier invitation
    /// to the same address ends.
    pub async fn invite(
        &self,
        cx: &Context,
        invitation: Invitation,
    ) -> Result<InvitationView, Error> {
        let grant = self.allow(cx, What::AdminWrite, Action::WriteUsers).await?;
        let work = self.make_invitation(cx, &grant, invitation);
        self.attempt(cx, &grant, What::AdminWrite, "Invitation", work)
            .await
    }

    async fn make_invitation(
        &self,
        cx: &Context,
        grant: &Grant,
        wanted: Invitation,
    ) -> Result<InvitationView, Error> {
        self.check_mail()?;
        let email = Email::parse(&wanted.email)?;
        let user = self.user(cx.scope, &email).await?;
        let mut link = Link::new(Purpose::Invitation, email.clone(), cx.now_ms);
        link.user = user.as_ref().map(|user| user.id.clone());
        link.gives = self.gives(cx, user.as_ref(), wanted).await?;
        let link = Saved::new(self.new_id(cx), link);
        let mut writes = self.earlier(cx, grant, &email).await?;
        let letter = Letter {
            link: Some(link.id.clone()),
            ..Letter::new(Mail::Invitation, email, cx.now_ms)
        };
        writes.push(Write::system(grant, "Invitation", link.put()?));
        writes.push(self.letter(cx, grant, letter)?);
        let entry = Entry::new(cx, What::AdminWrite, Outcome::Success, grant.rule());
        self.commit(cx, entry, Vec::new(), writes).await?;
        self.posted();
        Ok(view(&link))
    }

    /// What an invitation gives to whom; a user who is there already is what they are.
    async fn gives(
        &self,
        cx: &Context,
        user: Option<&Saved<User>>,
        wanted: Invitation,
    ) -> Result<Gives, Error> {
        let none = wanted.groups.is_empty() && wanted.roles.is_empty();
        let more = !none || !wanted.profiles.is_empty();
        let refused = |details: &str| Err(Error::new(Kind::Conflict, details));
        match user {
            Some(user) if user.value.password.is_some() => {
                return refused("there is a user of this address, who has a password");
            }
            Some(_) if more => {
                return refused(
                    "there is a user of this address: an invitation without groups, roles and \
                     profiles lets them choose a password",
                );
            }
            Some(_) | None => {}
        }
        check_name(&wanted.name)?;
        let as_user = User {
            groups: self.known_groups(cx.scope, wanted.groups).await?,
            role_names: role_names(wanted.roles)?,
            profiles: self.known_profiles(cx.scope, &wanted.profiles).await?,
            ..User::new(Email::parse(&wanted.email)?, cx.now_ms)
        };
        self.membership_of(cx.scope, &as_user).await?;
        Ok(Gives {
            name: wanted.name,
            groups: as_user.groups,
            roles: as_user.role_names,
            profiles: as_user.profiles,
            by: cx.subject.label().to_owned(),
        })
    }

    /// Takes back what was sent to an address before; refuses one invitation too many.
    async fn earlier(
        &self,
        cx: &Context,
        grant: &Grant,
        email: &Email,
    ) -> Result<Vec<Write>, Error> {
        let snapshot = self.store.snapshot(cx.scope, At::Now).await?;
        let open = snapshot
            .count(&Link::with_purpose(Purpose::Invitation))
            .await?;
        if open >= INVITATIONS_MAX as u64 {
            let details = "too many invitations are open; take some back first";
            return Err(Error::new(Kind::Conflict, details));
        }
        let found = snapshot.find(&Link::to(email)).await?;
        let mut writes = Vec::new();
        for hit in &found.hits {
            if let Some(link) = Saved::<Link>::read(&hit.record)?
                && link.value.purpose == Purpose::Invitation
            {
                writes.push(Write::system(grant, "Invitation", link.delete()));
            }
        }
        Ok(writes)
    }

    /// The invitations that nobody has used yet, the newest last.
    pub async fn list_invitations(&self, cx: &Context) -> Result<Vec<InvitationView>, Error> {
        let grant = self.allow(cx, What::AdminRead, Action::ReadUsers).await?;
        let work = async {
            let mut query = Link::with_purpose(Purpose::Invitation);
            query.limit = INVITATIONS_MAX;
            let snapshot = self.store.snapshot(cx.scope, At::Now).await?;
            let found = snapshot.find(&query).await?;
            let mut views = Vec::new();
            for hit in &found.hits {
                if let Some(link) = Saved::<Link>::read(&hit.record)?
                    && link.value.expires_ms > cx.now_ms
                {
                    views.push((link.value.made_ms, view(&link)));
                }
            }
            views.sort_by_key(|(made_ms, _)| *made_ms);
            self.noted(cx, &grant, What::AdminRead).await?;
            Ok(views.into_iter().map(|(_, view)| view).collect())
        };
        self.attempt(cx, &grant, What::AdminRead, "Invitation", work)
            .await
    }

    /// Takes an invitation back: its link stops working.
    pub async fn revoke_invitation(&self, cx: &Context, id: &str) -> Result<(), Error> {
        let grant = self.allow(cx, What::AdminWrite, Action::WriteUsers).await?;
        let work = async {
            let absent = || Error::not_found("there is no such invitation");
            if !salus_fhir::reference::is_id(id) {
                return Err(absent());
            }
            let link = self.saved_link(cx.scope, id).await?;
            let invited = link.filter(|link| link.value.purpose == Purpose::Invitation);
            let link = invited.ok_or_else(absent)?;
            let write = Write::system(&grant, "Invitation", link.delete());
            let mut entry = Entry::new(cx, What::AdminWrite, Outcome::Success, grant.rule());
            concern::<Link>(&mut entry, &link.id, link.version);
            self.commit(cx, entry, Vec::new(), vec![write]).await?;
            Ok(())
        };
        self.attempt(cx, &grant, What::AdminWrite, "Invitation", work)
            .await
    }
}

fn view(link: &Saved<Link>) -> InvitationView {
    let value = &link.value;
    InvitationView {
        id: link.id.clone(),
        email: value.email.expose().to_owned(),
        name: value.gives.name.clone(),
        groups: value.gives.groups.clone(),
        roles: value.gives.roles.clone(),
        profiles: value.gives.profiles.iter().map(Profile::text).collect(),
        by: value.gives.by.clone(),
        created: instant(value.made_ms),
        expires: instant(value.expires_ms),
    }
}
