//! The users of a project, for its administrators: listed, made, changed, removed.

use salus_auth::record::{
    Email, GROUPS_MAX, Membership, Owner, PROFILES_MAX, Profile, Saved, Session, Status,
    SystemRecord, User, Walk, role_names,
};
use salus_auth::{Action, Grant, Role, Secret, credentials};
use salus_store::{At, Content, Kind as StoreKind, Position, Precondition, Query, Scope, Seq};

use crate::Service;
use crate::audit::entry::{Entity, Entry, Outcome, What};
use crate::context::Context;
use crate::error::{Error, Kind};
use crate::pipeline::Write;
use crate::records::one;
use crate::sessions::membership;

/// How many users are listed at once.
const PAGE: usize = 100;
/// Sessions that are ended in one commit.
const SESSIONS_AT_ONCE: usize = 100;

/// A user as administrators and they themselves see it.
#[derive(Clone)]
pub struct UserView {
    /// The id.
    pub id: Box<str>,
    /// What they sign in with.
    pub email: String,
    /// What people call them.
    pub name: String,
    /// Whether they may sign in.
    pub status: Status,
    /// Whether they proved that mail reaches them.
    pub verified: bool,
    /// Whether they have a password.
    pub has_password: bool,
    /// The groups that they are in themselves, by id.
    pub groups: Vec<Box<str>>,
    /// The roles that they hold themselves.
    pub roles: Vec<String>,
    /// Who they are, as `Patient/7`.
    pub profiles: Vec<String>,
    /// What they administer, by the names of projects in URLs.
    pub administers: Vec<Box<str>>,
    /// When the account was made, as an instant.
    pub created: String,
}
salus_phi::guard!(UserView);

/// Some users, in the order of their ids.
#[derive(Clone)]
pub struct UserPage {
    /// They.
    pub users: Vec<UserView>,
    /// Where the next page begins, if there is one.
    pub next: Option<String>,
}
salus_phi::guard!(UserPage);

/// Which users to list.
#[derive(Clone, Default)]
pub struct UserFilter {
    /// The one of this address.
    pub email: Option<String>,
    /// Those who are in this group themselves.
    pub group: Option<String>,
    /// Those who are this resource.
    pub profile: Option<String>,
    /// [`UserPage::next`] of the page before.
    pub after: Option<String>,
}
salus_phi::guard!(UserFilter);

/// What is to be changed of a user; `None` stays as it is.
#[derive(Default)]
pub struct UserChange {
    /// What they sign in with.
    pub email: Option<String>,
    /// What people call them.
    pub name: Option<String>,
    /// Whether they may sign in.
    pub status: Option<Status>,
    /// The groups that they are in themselves, by id.
    pub groups: Option<Vec<Box<str>>>,
    /// The roles that they hold themselves.
    pub roles: Option<Vec<String>>,
    /// Who they are, as `Patient/7`.
    pub profiles: Option<Vec<String>>,
    /// What they administer, by the names of projects in URLs.
    pub administers: Option<Vec<String>>,
}
salus_phi::guard!(UserChange);

impl UserChange {
    /// Whether it takes something from the user or changes what they prove themselves with.
    fn ends_sessions(&self) -> bool {
        self.status == Some(Status::Suspended) || self.email.is_some()
    }

    /// Whether one may not do it to oneself, so that somebody is always left
    /// who can take it back.
    fn needs_another(&self) -> bool {
        self.status.is_some() || self.administers.is_some()
    }
}

impl Service {
    /// The users of a project, a page of them.
    pub async fn list_users(&self, cx: &Context, filter: &UserFilter) -> Result<UserPage, Error> {
        let grant = self.allow(cx, What::AdminRead, Action::ReadUsers).await?;
        let work = self.find_users(cx, &grant, filter);
        self.attempt(cx, &grant, What::AdminRead, "User", work)
            .await
    }

    async fn find_users(
        &self,
        cx: &Context,
        grant: &Grant,
        filter: &UserFilter,
    ) -> Result<UserPage, Error> {
        let (at, after) = page_of(filter.after.as_deref())?;
        let snapshot = self.store.snapshot(cx.scope, at).await?;
        let found = snapshot.find(&query_of(filter, after)?).await?;
        let mut entry = Entry::new(cx, What::AdminRead, Outcome::Success, grant.rule());
        let mut users = Vec::new();
        for hit in &found.hits {
            if let Some(user) = Saved::<User>::read(&hit.record)? {
                users.push(self.view_user(&user));
                concern::<User>(&mut entry, &user.id, user.version);
            }
        }
        self.record(cx, entry).await?;
        let next = found.next.and_then(Position::seq);
        Ok(UserPage {
            users,
            next: next.map(|next| format!("{}.{}", snapshot.seq().0, next.0)),
        })
    }

    /// A user of a project.
    pub async fn read_user(&self, cx: &Context, id: &str) -> Result<UserView, Error> {
        let grant = self.allow(cx, What::AdminRead, Action::ReadUsers).await?;
        let work = async {
            let user = self.saved_user(cx.scope, id).await?;
            let mut entry = Entry::new(cx, What::AdminRead, Outcome::Success, grant.rule());
            concern::<User>(&mut entry, &user.id, user.version);
            self.record(cx, entry).await?;
            Ok(self.view_user(&user))
        };
        self.attempt(cx, &grant, What::AdminRead, "User", work)
            .await
    }

    /// Makes a user of a project. Without a password they cannot sign in by one.
    pub async fn create_user(
        &self,
        cx: &Context,
        given: UserChange,
        password: Option<Secret>,
    ) -> Result<UserView, Error> {
        let grant = self.allow(cx, What::AdminWrite, Action::WriteUsers).await?;
        let work = self.make_user(cx, &grant, given, password);
        self.attempt(cx, &grant, What::AdminWrite, "User", work)
            .await
    }

    async fn make_user(
        &self,
        cx: &Context,
        grant: &Grant,
        given: UserChange,
        password: Option<Secret>,
    ) -> Result<UserView, Error> {
        let email = Email::parse(given.email.as_deref().unwrap_or_default())?;
        let mut user = User::new(email, cx.now_ms);
        self.change_of(cx, &mut user, given).await?;
        if let Some(password) = password {
            user.password = Some(self.new_password(cx, &user, password).await?);
        }
        let saved = Saved::new(self.new_id(cx), user);
        self.commit_user(cx, grant, &saved, true).await?;
        Ok(self.view_user(&saved))
    }

    /// Changes a user of a project. It counts at their next request; who is
    /// suspended or gets another address has to sign in again.
    pub async fn change_user(
        &self,
        cx: &Context,
        id: &str,
        change: UserChange,
    ) -> Result<UserView, Error> {
        let grant = self.allow(cx, What::AdminWrite, Action::WriteUsers).await?;
        let work = self.alter_user(cx, &grant, id, change);
        self.attempt_on(cx, &grant, What::AdminWrite, ("User", id), work)
            .await
    }

    async fn alter_user(
        &self,
        cx: &Context,
        grant: &Grant,
        id: &str,
        change: UserChange,
    ) -> Result<UserView, Error> {
        let mut user = self.saved_user(cx.scope, id).await?;
        if change.needs_another() {
            check_another(cx, id)?;
        }
        let ends = change.ends_sessions();
        if change.status == Some(Status::Active) {
            self.reopen(cx.scope, &user.value.email);
        }
        let before = user.value.email.clone();
        self.change_of(cx, &mut user.value, change).await?;
        let moved = user.value.email != before;
        if moved {
            user.value.verified_ms = None;
        }
        self.commit_user(cx, grant, &user, moved).await?;
        if moved {
            self.tell_before(cx, grant, &user, before).await;
        }
        if ends {
            self.end_sessions(cx, grant, &Owner::User(id.into()), None)
                .await?;
        }
        Ok(self.view_user(&user))
    }

    /// Removes a user; their sessions end at once.
    pub async fn delete_user(&self, cx: &Context, id: &str) -> Result<(), Error> {
        let grant = self.allow(cx, What::AdminWrite, Action::WriteUsers).await?;
        let work = async {
            let user = self.saved_user(cx.scope, id).await?;
            check_another(cx, id)?;
            self.needs_step_up(cx)?;
            let mut writes = self.removed_with(cx, &grant, id).await?;
            writes.push(Write::system(&grant, "User", user.delete()));
            let entry = Entry::new(cx, What::AdminWrite, Outcome::Success, grant.rule());
            self.commit(cx, entry, Vec::new(), writes).await?;
            let owner = Owner::User(id.into());
            self.sessions.forget_owner(cx.scope, &owner);
            self.end_sessions(cx, &grant, &owner, None).await?;
            Ok(())
        };
        self.attempt_on(cx, &grant, What::AdminWrite, ("User", id), work)
            .await
    }

    /// What a user becomes by a change.
    async fn change_of(
        &self,
        cx: &Context,
        user: &mut User,
        change: UserChange,
    ) -> Result<(), Error> {
        if let Some(email) = &change.email {
            user.email = Email::parse(email)?;
        }
        if let Some(name) = change.name {
            check_name(&name)?;
            user.name = name;
        }
        if let Some(status) = change.status {
            user.status = status;
        }
        if let Some(roles) = change.roles {
            user.role_names = role_names(roles)?;
        }
        if let Some(groups) = change.groups {
            user.groups = self.known_groups(cx.scope, groups).await?;
        }
        if let Some(profiles) = change.profiles {
            user.profiles = self.known_profiles(cx.scope, &profiles).await?;
        }
        if let Some(projects) = change.administers {
            user.roles = self.administered(cx.scope, &projects)?;
        }
        self.membership_of(cx.scope, user).await?;
        Ok(())
    }

    /// Groups that there are, in order.
    pub(super) async fn known_groups(
        &self,
        scope: Scope,
        mut groups: Vec<Box<str>>,
    ) -> Result<Vec<Box<str>>, Error> {
        if groups.len() > GROUPS_MAX {
            return Err(Error::invalid("groups: 100 at most"));
        }
        for id in &groups {
            self.saved_group(scope, id)
                .await
                .map_err(|_| Error::invalid("groups: each must be the id of a group there is"))?;
        }
        groups.sort_unstable();
        groups.dedup();
        Ok(groups)
    }

    /// Profiles that there are, in order.
    pub(super) async fn known_profiles(
        &self,
        scope: Scope,
        texts: &[String],
    ) -> Result<Vec<Profile>, Error> {
        if texts.len() > PROFILES_MAX {
            return Err(Error::invalid("profiles: 20 at most"));
        }
        let snapshot = self.store.snapshot(scope, At::Now).await?;
        let mut profiles = Vec::new();
        for text in texts {
            let profile = Profile::parse(text)?;
            let kind = StoreKind::named(profile.ty.name());
            let record = snapshot.head(kind, &profile.id).await?;
            if record.is_none_or(|record| record.content == Content::Deleted) {
                return Err(Error::invalid(
                    "profiles: each must be a resource of the project",
                ));
            }
            profiles.push(profile);
        }
        profiles.sort_unstable();
        profiles.dedup();
        Ok(profiles)
    }

    /// The roles by which somebody administers these projects. Users of a
    /// project administer nothing but it.
    fn administered(&self, home: Scope, slugs: &[String]) -> Result<Vec<(u32, Role)>, Error> {
        let mut roles = Vec::new();
        for slug in slugs {
            let scope = self.project_scope(slug);
            let fits = scope.filter(|scope| home == Scope::SYSTEM || *scope == home);
            let Some(scope) = fits else {
                return Err(Error::invalid(
                    "administers: the name of this project; for users of the system also \
                     \"system\" and those of other projects",
                ));
            };
            let role = (scope.0, Role::Administrator);
            if !roles.contains(&role) {
                roles.push(role);
            }
        }
        Ok(roles)
    }

    /// What the groups of a user come to.
    pub(crate) async fn membership_of(
        &self,
        scope: Scope,
        user: &User,
    ) -> Result<Membership, Error> {
        let snapshot = self.store.snapshot(scope, At::Now).await?;
        membership(&*snapshot, Walk::of(user)).await
    }

    /// Commits the next version of a user, whose address nobody else may have.
    pub(super) async fn commit_user(
        &self,
        cx: &Context,
        grant: &Grant,
        user: &Saved<User>,
        is_new_address: bool,
    ) -> Result<(), Error> {
        let unused = Precondition::NoneMatch(User::with_email(&user.value.email));
        let conditions = match is_new_address {
            true => vec![unused],
            false => Vec::new(),
        };
        let write = Write::system(grant, "User", user.put()?);
        let entry = Entry::new(cx, What::AdminWrite, Outcome::Success, grant.rule());
        let done = self.commit(cx, entry, conditions, vec![write]).await;
        match done {
            Ok(()) => {}
            Err(salus_store::Error::Conflict {
                precondition: Some(_),
            }) => {
                return Err(Error::new(
                    Kind::Conflict,
                    "there is a user of this address",
                ));
            }
            Err(error) => return Err(error.into()),
        }
        let owner = Owner::User(user.id.clone());
        self.sessions.forget_owner(cx.scope, &owner);
        Ok(())
    }

    /// What a new password is checked against, if it may be chosen.
    pub(crate) async fn new_password(
        &self,
        cx: &Context,
        user: &User,
        password: Secret,
    ) -> Result<credentials::PasswordHash, Error> {
        let project = self.project_name(cx.scope).await?;
        let context = [&*user.name, &*project];
        let chars_min = self.identity(cx.scope).password_length;
        credentials::check_strength(password.expose(), chars_min, &user.email, &context)?;
        let mut salt = [0; 16];
        self.world.random(&mut salt);
        let hash = self
            .hash(self.place_to_hash()?, move || {
                credentials::hash_password(&password, &salt)
            })
            .await?;
        Ok(hash?)
    }

    /// Ends the sessions of somebody, all but one if that is to stay; how many.
    pub(crate) async fn end_sessions(
        &self,
        cx: &Context,
        grant: &Grant,
        owner: &Owner,
        but: Option<&str>,
    ) -> Result<usize, Error> {
        let mut ended = 0;
        loop {
            let mut query = Session::of(owner);
            query.limit = SESSIONS_AT_ONCE;
            let snapshot = self.store.snapshot(cx.scope, At::Now).await?;
            let found = snapshot.find(&query).await?;
            let mut writes = Vec::new();
            for hit in &found.hits {
                if let Some(session) = Saved::<Session>::read(&hit.record)?
                    && Some(&*session.id) != but
                {
                    writes.push(Write::system(grant, "Session", session.delete()));
                }
            }
            if writes.is_empty() {
                break;
            }
            let count = writes.len();
            let entry = Entry::new(cx, What::AdminWrite, Outcome::Success, grant.rule());
            match self.commit(cx, entry, Vec::new(), writes).await {
                Ok(()) => ended += count,
                // One of them was used or ended just now: look again.
                Err(salus_store::Error::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.sessions.forget_owner(cx.scope, owner);
        Ok(ended)
    }

    pub(crate) async fn saved_user(&self, scope: Scope, id: &str) -> Result<Saved<User>, Error> {
        let absent = || Error::not_found("there is no such user");
        if !salus_fhir::reference::is_id(id) {
            return Err(absent());
        }
        one::<User>(&*self.store, scope, id)
            .await?
            .ok_or_else(absent)
    }

    pub(super) fn view_user(&self, user: &Saved<User>) -> UserView {
        let value = &user.value;
        let administers = value.roles.iter();
        UserView {
            id: user.id.clone(),
            email: value.email.expose().to_owned(),
            name: value.name.clone(),
            status: value.status,
            verified: value.verified_ms.is_some(),
            has_password: value.password.is_some(),
            groups: value.groups.clone(),
            roles: value.role_names.clone(),
            profiles: value.profiles.iter().map(Profile::text).collect(),
            administers: administers
                .filter_map(|(scope, _)| self.project_slug(Scope(*scope)))
                .collect(),
            created: crate::time::instant(value.created_ms),
        }
    }
}

/// The audit names the records concerned.
pub(crate) fn concern<T: SystemRecord>(entry: &mut Entry, id: &str, version: u64) {
    let entity = Entity {
        ty: T::NAME.trim_start_matches("salus:").into(),
        id: id.into(),
        version,
    };
    entry.concerns(entity, T::KIND, &salus_store::SealKey::Scope);
}

pub(crate) fn check_another(cx: &Context, id: &str) -> Result<(), Error> {
    let own = cx.subject.user_id() == Some(id) && cx.subject.home() == cx.scope;
    match own {
        true => Err(Error::new(
            Kind::Conflict,
            "another administrator has to do this to your account",
        )),
        false => Ok(()),
    }
}

/// What people call somebody: nothing, or up to 200 bytes on a line.
pub(super) fn check_name(name: &str) -> Result<(), Error> {
    match name.len() <= 200 && !name.contains(char::is_control) {
        true => Ok(()),
        false => Err(Error::invalid("name: 200 bytes at most, on one line")),
    }
}

fn query_of(filter: &UserFilter, after: Option<Position>) -> Result<Query, Error> {
    let all = salus_auth::record::all::<User>(PAGE, after);
    let asked = [&filter.email, &filter.group, &filter.profile];
    if asked.iter().filter(|part| part.is_some()).count() > 1 {
        return Err(Error::invalid("one of email, group and profile at a time"));
    }
    let found = match (&filter.email, &filter.group, &filter.profile) {
        (Some(email), _, _) => User::with_email(&Email::parse(email)?).filter,
        (_, Some(group), _) => User::in_group(group).filter,
        (_, _, Some(profile)) => User::with_profile(&Profile::parse(profile)?).filter,
        (None, None, None) => return Ok(all),
    };
    Ok(Query {
        filter: found,
        ..all
    })
}

/// The state and the place of a page, as [`UserPage::next`] says.
fn page_of(text: Option<&str>) -> Result<(At, Option<Position>), Error> {
    let Some(text) = text else {
        return Ok((At::Now, None));
    };
    let number = |text: &str| text.parse().ok().map(Seq);
    let parts = text.split_once('.');
    let parts = parts.and_then(|(at, after)| Some((number(at)?, number(after)?)));
    let (at, after) = parts.ok_or_else(|| Error::invalid("after: what next of a page said"))?;
    Ok((At::Seq(at), Some(Position::After(after))))
}
