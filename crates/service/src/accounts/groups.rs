//! The groups of a project, for its administrators.

use salus_auth::record::{Group, Saved, User, Walk};
use salus_auth::{Action, Grant};
use salus_store::{Precondition, Scope};

use super::users::concern;
use crate::Service;
use crate::audit::entry::{Entry, Outcome, What};
use crate::context::Context;
use crate::error::{Error, Kind};
use crate::pipeline::Write;
use crate::records::{all, one};
use crate::sessions::membership;

/// How many groups a project has at most.
const GROUPS_MAX: usize = 10_000;

/// A group as administrators see it.
#[derive(Clone)]
pub struct GroupView {
    /// The id.
    pub id: Box<str>,
    /// What people call it.
    pub name: String,
    /// The groups that it stands in, by id.
    pub parents: Vec<Box<str>>,
    /// The roles of everyone in it.
    pub roles: Vec<String>,
    /// Whether everyone in it signs in with a second factor.
    pub mfa_required: bool,
    /// How many users are in it themselves, where that was counted.
    pub members: Option<u64>,
}
salus_phi::guard!(GroupView);

/// A group as it is to be.
#[derive(Clone, Default)]
pub struct NewGroup {
    /// What people call it.
    pub name: String,
    /// The groups that it stands in, by id.
    pub parents: Vec<Box<str>>,
    /// The roles of everyone in it.
    pub roles: Vec<String>,
    /// Whether everyone in it signs in with a second factor.
    pub mfa_required: bool,
}
salus_phi::guard!(NewGroup);

impl Service {
    /// The groups of a project.
    pub async fn list_groups(&self, cx: &Context) -> Result<Vec<GroupView>, Error> {
        let grant = self.allow(cx, What::AdminRead, Action::ReadUsers).await?;
        self.noted(cx, &grant, What::AdminRead).await?;
        let groups = all::<Group>(&*self.store, cx.scope, GROUPS_MAX).await?;
        Ok(groups.into_iter().map(|group| view(group, None)).collect())
    }

    /// A group of a project, and how many users are in it themselves.
    pub async fn read_group(&self, cx: &Context, id: &str) -> Result<GroupView, Error> {
        let grant = self.allow(cx, What::AdminRead, Action::ReadUsers).await?;
        let work = async {
            let group = self.saved_group(cx.scope, id).await?;
            let members = self.snapshot(cx).await?.count(&User::in_group(id)).await?;
            let mut entry = Entry::new(cx, What::AdminRead, Outcome::Success, grant.rule());
            concern::<Group>(&mut entry, &group.id, group.version);
            self.record(cx, entry).await?;
            Ok(view(group, Some(members)))
        };
        self.attempt(cx, &grant, What::AdminRead, "Group", work)
            .await
    }

    /// Makes a group.
    pub async fn create_group(&self, cx: &Context, new: NewGroup) -> Result<GroupView, Error> {
        let grant = self.allow(cx, What::AdminWrite, Action::WriteUsers).await?;
        let work = async {
            let group = self.group_of(cx, new).await?;
            let group = Saved::new(self.new_id(cx), group);
            self.commit_group(cx, &grant, &group, true).await?;
            Ok(view(group, None))
        };
        self.attempt(cx, &grant, What::AdminWrite, "Group", work)
            .await
    }

    /// Makes a group what it is to be. It counts at the next request of everyone in it.
    pub async fn change_group(
        &self,
        cx: &Context,
        id: &str,
        new: NewGroup,
    ) -> Result<GroupView, Error> {
        let grant = self.allow(cx, What::AdminWrite, Action::WriteUsers).await?;
        let work = async {
            let mut group = self.saved_group(cx.scope, id).await?;
            let before = std::mem::take(&mut group.value.name);
            let created_ms = group.value.created_ms;
            group.value = self.group_of(cx, new).await?;
            group.value.created_ms = created_ms;
            let renamed = group.value.name.to_lowercase() != before.to_lowercase();
            self.commit_group(cx, &grant, &group, renamed).await?;
            Ok(view(group, None))
        };
        self.attempt_on(cx, &grant, What::AdminWrite, ("Group", id), work)
            .await
    }

    /// Removes a group: from the next request on nobody is in it.
    pub async fn delete_group(&self, cx: &Context, id: &str) -> Result<(), Error> {
        let grant = self.allow(cx, What::AdminWrite, Action::WriteUsers).await?;
        let work = async {
            let group = self.saved_group(cx.scope, id).await?;
            let write = Write::system(&grant, "Group", group.delete());
            let entry = Entry::new(cx, What::AdminWrite, Outcome::Success, grant.rule());
            self.commit(cx, entry, Vec::new(), vec![write]).await?;
            self.sessions.forget_all();
            Ok(())
        };
        self.attempt_on(cx, &grant, What::AdminWrite, ("Group", id), work)
            .await
    }

    /// A group whose parents there are, and not too many above them.
    async fn group_of(&self, cx: &Context, new: NewGroup) -> Result<Group, Error> {
        let (parents, roles) = (new.parents, new.roles);
        let group = Group::new(&new.name, parents, roles, new.mfa_required, cx.now_ms)?;
        for id in &group.parents {
            self.saved_group(cx.scope, id)
                .await
                .map_err(|_| Error::invalid("parents: each must be the id of a group there is"))?;
        }
        let snapshot = self.snapshot(cx).await?;
        membership(&*snapshot, Walk::from(&group.parents, &group.roles)).await?;
        Ok(group)
    }

    async fn commit_group(
        &self,
        cx: &Context,
        grant: &Grant,
        group: &Saved<Group>,
        is_new_name: bool,
    ) -> Result<(), Error> {
        let unused = Precondition::NoneMatch(Group::with_name(&group.value.name));
        let conditions = match is_new_name {
            true => vec![unused],
            false => Vec::new(),
        };
        let write = Write::system(grant, "Group", group.put()?);
        let entry = Entry::new(cx, What::AdminWrite, Outcome::Success, grant.rule());
        match self.commit(cx, entry, conditions, vec![write]).await {
            Ok(()) => {
                self.sessions.forget_all();
                Ok(())
            }
            Err(salus_store::Error::Conflict {
                precondition: Some(_),
            }) => Err(Error::new(Kind::Conflict, "there is a group of this name")),
            Err(error) => Err(error.into()),
        }
    }

    pub(crate) async fn saved_group(&self, scope: Scope, id: &str) -> Result<Saved<Group>, Error> {
        let absent = || Error::not_found("there is no such group");
        if !salus_fhir::reference::is_id(id) {
            return Err(absent());
        }
        one::<Group>(&*self.store, scope, id)
            .await?
            .ok_or_else(absent)
    }
}

fn view(group: Saved<Group>, members: Option<u64>) -> GroupView {
    let value = group.value;
    GroupView {
        id: group.id,
        name: value.name,
        parents: value.parents,
        roles: value.roles,
        mfa_required: value.mfa_required,
        members,
    }
}
