//! Projects and their clients: made, listed, removed.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::RwLock;
use salus_auth::jwk::Jwks;
use salus_auth::record::{
    AuthMethod, Client, GrantType, Owner, Project, Registration, Saved, SystemRecord, User,
};
use salus_auth::{
    Action, Grant, PurposeOfUse, Recipient, Scopes, Secret, Subject, Target, credentials,
};
use salus_fhir::search::REVISION;
use salus_store::{Precondition, Scope, Store};

use crate::Service;
use crate::audit::entry::{Entry, Outcome, What};
use crate::context::{Context, RequestId};
use crate::error::{Error, Kind};
use crate::parameters;
use crate::pipeline::Write;
use crate::policy;
use crate::records::{all, one};
use crate::time::instant;

/// The project that has no name in URLs.
pub const DEFAULT: &str = "default";
/// The name in URLs of the server's own scope: its audit and its clients, no resources.
pub const SYSTEM: &str = "system";

const CLIENTS_MAX: usize = 10_000;

/// The projects of a server, by their name in URLs.
#[derive(Default)]
pub(crate) struct Projects {
    by_slug: RwLock<HashMap<Box<str>, Scope>>,
    /// Those that there were at the start, and by which revision of extraction.
    pub(crate) found: Vec<(Scope, u32)>,
    /// Projects are made one after the other: each gets the number after the last.
    making: tokio::sync::Mutex<()>,
}

/// A project as administrators see it.
#[derive(Clone)]
pub struct ProjectView {
    /// Its name in URLs.
    pub slug: Box<str>,
    /// What people call it.
    pub name: String,
}
salus_phi::guard!(ProjectView);

/// A client as administrators see it.
#[derive(Clone)]
pub struct ClientView {
    /// Its id.
    pub id: Box<str>,
    /// What people call it.
    pub name: String,
    /// The most it may do.
    pub scopes: String,
    /// How it proves who it is.
    pub auth: AuthMethod,
    /// How it may get tokens.
    pub grants: Vec<GrantType>,
    /// Where users may be sent back to.
    pub redirects: Vec<String>,
    /// Where users may be sent to when they have signed out.
    pub logout_redirects: Vec<String>,
    /// What its assertions are checked with.
    pub jwks: Option<Jwks>,
    /// When it was registered, as an instant.
    pub created: String,
    /// Whether no administrator has looked at it, and when it was given a token, to a day.
    pub self_registered: Option<Option<String>>,
    /// What it may act for.
    pub purposes: Vec<PurposeOfUse>,
    /// What it acts for where it states nothing.
    pub default_purpose: Option<PurposeOfUse>,
    /// Who it is of, if that is somebody outside.
    pub recipient: Option<Recipient>,
}
salus_phi::guard!(ClientView);

/// A client to be registered.
#[derive(Clone)]
pub struct ClientToBe {
    /// Its id; one is chosen if there is none.
    pub id: Option<String>,
    /// What people call it.
    pub name: String,
    /// The most it may do.
    pub scopes: String,
    /// How it proves who it is.
    pub auth: AuthMethod,
    /// How it may get tokens.
    pub grants: Vec<GrantType>,
    /// Where users may be sent back to.
    pub redirects: Vec<String>,
    /// Where users may be sent to when they have signed out.
    pub logout_redirects: Vec<String>,
    /// What its assertions are checked with, in JSON.
    pub jwks: Option<String>,
    /// What it may act for.
    pub purposes: Vec<PurposeOfUse>,
    /// What it acts for where it states nothing.
    pub default_purpose: Option<PurposeOfUse>,
    /// Who it is of, if that is somebody outside: what it is shown is disclosed to them.
    pub recipient: Option<Recipient>,
}
salus_phi::guard!(ClientToBe);

/// A client just registered, with the secret that is shown once.
#[derive(Debug)]
pub struct NewClient {
    /// The client.
    pub client: ClientView,
    /// Its secret, if it proves itself by one.
    pub secret: Option<Secret>,
}

impl Projects {
    pub(crate) async fn load(store: &dyn Store) -> Result<Self, Error> {
        let mut projects = Self::default();
        for project in all::<Project>(store, Scope::SYSTEM, usize::MAX).await? {
            let scope = project.value.scope();
            projects.found.push((scope, project.value.revision));
            projects.by_slug.write().insert(project.id.clone(), scope);
        }
        Ok(projects)
    }

    /// Those that there are.
    pub(crate) fn scopes(&self) -> Vec<Scope> {
        self.by_slug.read().values().copied().collect()
    }

    fn last(&self) -> Scope {
        let projects = self.by_slug.read();
        projects.values().max().copied().unwrap_or(Scope::SYSTEM)
    }
}

impl Service {
    /// The scope of a project, by its name in URLs.
    #[must_use]
    pub fn project_scope(&self, slug: &str) -> Option<Scope> {
        match slug {
            SYSTEM => Some(Scope::SYSTEM),
            slug => self.projects.by_slug.read().get(slug).copied(),
        }
    }

    /// The name in URLs of a scope.
    pub(crate) fn project_slug(&self, scope: Scope) -> Option<Box<str>> {
        if scope == Scope::SYSTEM {
            return Some(SYSTEM.into());
        }
        let projects = self.projects.by_slug.read();
        let mut known = projects.iter();
        known
            .find(|(_, known)| **known == scope)
            .map(|(slug, _)| slug.clone())
    }

    /// What the operator does outside requests.
    #[must_use]
    pub fn operator_context(&self, scope: Scope) -> Context {
        let (now_ms, era) = self.enter();
        Context {
            subject: Arc::new(Subject::operator()),
            scope,
            base: "http://localhost/fhir".into(),
            request_id: RequestId(0),
            now_ms,
            era,
            parameters: self.parameters(scope),
            format: None,
            remote: None,
        }
    }

    /// Makes the default project if there is none yet.
    pub(crate) async fn ensure_default_project(&self) -> Result<(), Error> {
        if self.project_scope(DEFAULT).is_some() {
            return Ok(());
        }
        let cx = self.operator_context(Scope::SYSTEM);
        self.create_project(&cx, DEFAULT, "Default").await?;
        Ok(())
    }

    /// Every project.
    pub async fn list_projects(&self, cx: &Context) -> Result<Vec<ProjectView>, Error> {
        let grant = self
            .allow(cx, What::AdminRead, Action::ReadProjects)
            .await?;
        self.noted(cx, &grant, What::AdminRead).await?;
        let projects = all::<Project>(&*self.store, Scope::SYSTEM, usize::MAX).await?;
        Ok(projects.into_iter().map(view_project).collect())
    }

    /// Makes a project; the one who makes it administers it.
    pub async fn create_project(
        &self,
        cx: &Context,
        slug: &str,
        name: &str,
    ) -> Result<ProjectView, Error> {
        let grant = self
            .allow(cx, What::AdminWrite, Action::WriteProjects)
            .await?;
        let work = self.make_project(cx, &grant, slug, name);
        self.attempt(cx, &grant, What::AdminWrite, "Project", work)
            .await
    }

    async fn make_project(
        &self,
        cx: &Context,
        grant: &Grant,
        slug: &str,
        name: &str,
    ) -> Result<ProjectView, Error> {
        let _turn = self.projects.making.lock().await;
        if self.project_scope(slug).is_some() {
            return Err(Error::new(
                Kind::Conflict,
                "there is a project of this name",
            ));
        }
        let (mut project, unused) = Project::new(slug, name, self.projects.last(), cx.now_ms)?;
        project.value.revision = REVISION;
        let mut writes = vec![Write::system(grant, "Project", project.put()?)];
        if let Some(mut maker) = self.acting_user(cx).await? {
            maker.value.administers(project.value.scope());
            writes.push(Write::system(grant, "User", maker.put()?));
        }
        let entry = Entry::new(cx, What::AdminWrite, Outcome::Success, grant.rule());
        self.commit(cx, entry, vec![unused], writes).await?;
        let scope = project.value.scope();
        let parameters = parameters::open(&*self.store, scope, REVISION).await?;
        self.parameters.insert(parameters);
        let mut projects = self.projects.by_slug.write();
        projects.insert(project.id.clone(), scope);
        self.sessions.forget_all();
        Ok(view_project(project))
    }

    /// The record of the user who asks, if it is a user of the system.
    async fn acting_user(&self, cx: &Context) -> Result<Option<Saved<User>>, Error> {
        let Some(id) = cx.subject.user_id() else {
            return Ok(None);
        };
        one::<User>(&*self.store, Scope::SYSTEM, id).await
    }

    /// The clients of a project.
    pub async fn list_clients(&self, cx: &Context) -> Result<Vec<ClientView>, Error> {
        let grant = self.allow(cx, What::AdminRead, Action::ReadClients).await?;
        self.noted(cx, &grant, What::AdminRead).await?;
        let clients = all::<Client>(&*self.store, cx.scope, CLIENTS_MAX).await?;
        Ok(clients.iter().map(view_client).collect())
    }

    /// Registers a client; its secret is shown this once.
    pub async fn create_client(
        &self,
        cx: &Context,
        client: ClientToBe,
    ) -> Result<NewClient, Error> {
        let grant = self
            .allow(cx, What::AdminWrite, Action::WriteClients)
            .await?;
        let work = self.make_client(cx, &grant, client);
        self.attempt(cx, &grant, What::AdminWrite, "Client", work)
            .await
    }

    async fn make_client(
        &self,
        cx: &Context,
        grant: &Grant,
        wanted: ClientToBe,
    ) -> Result<NewClient, Error> {
        let id = wanted.id.map_or_else(|| self.new_id(cx), Into::into);
        let (secret, hash) = credentials::client_secret(&self.random());
        let secret = (wanted.auth == AuthMethod::ClientSecret).then_some(secret);
        let scopes = Scopes::parse(&wanted.scopes)?;
        if policy::scopes::understood(cx, &scopes) != scopes {
            return Err(Error::invalid(
                "scopes: one has a search behind its ? that is not understood for its type",
            ));
        }
        let registration = Registration {
            name: wanted.name,
            scopes,
            auth: wanted.auth,
            grants: wanted.grants,
            redirects: wanted.redirects,
            logout_redirects: wanted.logout_redirects,
            jwks: wanted.jwks.as_deref().map(Jwks::parse).transpose()?,
            purposes: wanted.purposes,
            default_purpose: wanted.default_purpose,
            recipient: wanted.recipient,
        };
        let client = Client::registered(&id, registration, Some(hash), cx.now_ms)?;
        let absent = Precondition::VersionIs {
            kind: Client::KIND,
            id,
            version: None,
        };
        let write = Write::system(grant, "Client", client.put()?);
        let entry = Entry::new(cx, What::AdminWrite, Outcome::Success, grant.rule());
        let done = self.commit(cx, entry, vec![absent], vec![write]).await;
        match done {
            Ok(()) => Ok(NewClient {
                client: view_client(&client),
                secret,
            }),
            Err(salus_store::Error::Conflict { .. }) => Err(Error::new(
                Kind::Conflict,
                "there is, or was, a client of this id",
            )),
            Err(error) => Err(error.into()),
        }
    }

    /// Removes a client; its tokens stop working at once.
    pub async fn delete_client(&self, cx: &Context, id: &str) -> Result<(), Error> {
        let grant = self
            .allow(cx, What::AdminWrite, Action::WriteClients)
            .await?;
        let work = self.remove_client(cx, &grant, id);
        self.attempt(cx, &grant, What::AdminWrite, "Client", work)
            .await
    }

    async fn remove_client(&self, cx: &Context, grant: &Grant, id: &str) -> Result<(), Error> {
        let record = self.snapshot(cx).await?.get(Client::KIND, id).await?;
        let client = record.as_ref().map(Saved::<Client>::read).transpose()?;
        let client = client
            .flatten()
            .ok_or_else(|| Error::not_found("there is no such client"))?;
        let write = Write::system(grant, "Client", client.delete());
        let entry = Entry::new(cx, What::AdminWrite, Outcome::Success, grant.rule());
        self.commit(cx, entry, Vec::new(), vec![write]).await?;
        // Users through whom it acted, too.
        self.sessions.forget_all();
        Ok(())
    }

    /// A client's new secret, whether or not it existed: for the demo.
    pub async fn renew_client(
        &self,
        cx: &Context,
        id: &str,
        name: &str,
        scopes: &str,
    ) -> Result<Secret, Error> {
        let grant = self
            .allow(cx, What::AdminWrite, Action::WriteClients)
            .await?;
        let record = self.snapshot(cx).await?.get(Client::KIND, id).await?;
        let (secret, hash) = credentials::client_secret(&self.random());
        let mut client = Client::register(id, name, hash, Scopes::parse(scopes)?, cx.now_ms)?;
        client.version = record.map_or(0, |record| record.version);
        let write = Write::system(&grant, "Client", client.put()?);
        let entry = Entry::new(cx, What::AdminWrite, Outcome::Success, grant.rule());
        self.commit(cx, entry, Vec::new(), vec![write]).await?;
        self.sessions
            .forget_owner(cx.scope, &Owner::Client(id.into()));
        Ok(secret)
    }

    pub(crate) fn random(&self) -> [u8; 32] {
        let mut bytes = [0; 32];
        self.world.random(&mut bytes);
        bytes
    }

    /// Authorizes something about the system or a project itself.
    pub(crate) async fn allow(
        &self,
        cx: &Context,
        what: What,
        action: Action,
    ) -> Result<Grant, Error> {
        self.authorize(cx, what, action, Target::System).await
    }

    /// Makes the audit entry of something seen that is no resource.
    pub(crate) async fn noted(&self, cx: &Context, grant: &Grant, what: What) -> Result<(), Error> {
        let entry = Entry::new(cx, what, Outcome::Success, grant.rule());
        self.record(cx, entry).await
    }
}

fn view_project(project: Saved<Project>) -> ProjectView {
    ProjectView {
        slug: project.id,
        name: project.value.name,
    }
}

pub(crate) fn view_client(client: &Saved<Client>) -> ClientView {
    let own = client.value.self_registered.as_ref();
    ClientView {
        id: client.id.clone(),
        name: client.value.name.clone(),
        scopes: client.value.scopes.text(),
        auth: client.value.auth,
        grants: client.value.grants.clone(),
        redirects: client.value.redirects.clone(),
        logout_redirects: client.value.logout_redirects.clone(),
        jwks: client.value.jwks.clone(),
        created: instant(client.value.created_ms),
        self_registered: own.map(|own| own.used_ms().map(instant)),
        purposes: client.value.purposes.clone(),
        default_purpose: client.value.default_purpose,
        recipient: client.value.recipient.clone(),
    }
}
