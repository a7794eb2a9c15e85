//! The keys that seal records: their ages, their rotation, whether each unwraps.
//!
//! For who runs the server, and its administrators after a step-up; where the
//! root key is to come from is for the operator alone to say, since that names
//! files and hosts. A rotation is noted in the keyring's folder and carried out
//! here, a step at a time beside everything else, by this process or the next.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use salus_auth::Who;
use salus_auth::{Action, Grant};
use salus_crypto::{CheckedKeys, Due, Error as KeyError, Keyring, Progress, RootSource, Status};
use salus_store::{Kind as RecordKind, Scope, SealKey};

use crate::Service;
use crate::audit::entry::{Entity, Entry, Outcome, What};
use crate::context::Context;
use crate::error::{Error, Kind};

/// How often it is looked whether keys are too old.
const EVERY: Duration = Duration::from_secs(60 * 60);
/// Between two steps of a rotation, for others' turns at the disk.
const PAUSE: Duration = Duration::from_millis(2);
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// Reads where a root key is kept, as the command line says it.
pub trait Roots: Send + Sync {
    /// The source of this name, or why there is none.
    ///
    /// # Errors
    /// What the name has to be.
    fn named(&self, name: &str) -> Result<RootSource, String>;
}

/// What use cases about keys need.
#[derive(Clone, Default)]
pub struct Settings {
    /// The keys; without them nothing can be asked about them.
    pub keyring: Option<Arc<Keyring>>,
    /// The sources that a root key may come from.
    pub roots: Option<Arc<dyn Roots>>,
    /// After how many days keys of projects are rotated, if they are by themselves.
    pub rotate_days: Option<u32>,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("keyring", &self.keyring)
            .field("rotate_days", &self.rotate_days)
            .finish_non_exhaustive()
    }
}

/// What is to get a new key.
#[derive(Clone)]
pub enum Rotate {
    /// The server: a new root key, from the same source or from one that is named.
    Root(Option<String>),
    /// A project, by its name in URLs.
    Project(String),
    /// A patient of a project, by id.
    Patient(String, String),
    /// The root, every project and every patient.
    All,
}
salus_phi::guard!(Rotate);

/// The keys as they are shown.
#[derive(Clone)]
pub struct KeysView {
    /// By level, with ages.
    pub status: Status,
    /// The names in URLs of the projects in it, in its order; none of those that are gone.
    pub slugs: Vec<Option<Box<str>>>,
    /// Whether who keeps the root key gives it just now, or why not.
    pub answers: Result<(), String>,
    /// How far a rotation is, if one is under way.
    pub rotation: Option<Progress>,
    /// After how many days keys of projects are rotated, if they are by themselves.
    pub rotate_days: Option<u32>,
}
salus_phi::guard!(KeysView);

impl Service {
    /// Which keys there are and how old they are.
    pub async fn read_keyring(&self, cx: &Context) -> Result<KeysView, Error> {
        let grant = self.allow(cx, What::AdminRead, Action::ReadKeys).await?;
        let work = self.view_keyring(cx);
        let view = self.attempt(cx, &grant, What::AdminRead, KEY, work).await?;
        self.noted(cx, &grant, What::AdminRead).await?;
        Ok(view)
    }

    /// Unwraps every key.
    pub async fn check_keyring(&self, cx: &Context) -> Result<CheckedKeys, Error> {
        let grant = self.allow(cx, What::SystemCheck, Action::ReadKeys).await?;
        let work = self.with_keyring(cx, |keyring| keyring.check());
        let checked = self
            .attempt(cx, &grant, What::SystemCheck, KEY, work)
            .await?;
        self.noted(cx, &grant, What::SystemCheck).await?;
        Ok(checked)
    }

    /// Gives keys successors: what takes long goes on after the answer.
    pub async fn rotate_keyring(&self, cx: &Context, rotate: Rotate) -> Result<KeysView, Error> {
        let what = What::KeyRotated;
        let grant = self.allow(cx, what, Action::WriteKeys).await?;
        let work = self.rotate_keys_of(cx, &grant, rotate);
        self.attempt(cx, &grant, what, KEY, work).await?;
        self.keys_due.notify_one();
        self.view_keyring(cx).await
    }

    async fn rotate_keys_of(
        &self,
        cx: &Context,
        grant: &Grant,
        rotate: Rotate,
    ) -> Result<(), Error> {
        self.needs_step_up(cx)?;
        let before_ms = cx.now_ms;
        match rotate {
            Rotate::Root(to) => {
                self.rotate_root(cx, to).await?;
                self.rotated(cx, grant, "root").await
            }
            Rotate::Project(slug) => {
                let scope = self.scope_of_keys(&slug)?;
                self.note_due(cx, due(Some(scope), false, before_ms))
                    .await?;
                self.rotated(cx, grant, &slug).await
            }
            Rotate::Patient(slug, id) => {
                let scope = self.scope_of_keys(&slug)?;
                self.rotate_patient(cx, grant, scope, id).await
            }
            Rotate::All => {
                self.note_due(cx, due(None, true, before_ms)).await?;
                self.rotate_root(cx, None).await?;
                self.rotated(cx, grant, "all").await
            }
        }
    }

    async fn rotate_root(&self, cx: &Context, to: Option<String>) -> Result<(), Error> {
        let source = match &to {
            None => None,
            Some(_) if cx.subject.who() != Who::Operator => {
                let message = "where the root key comes from is said on the server's machine: \
                               salus keys rotate root --to SOURCE";
                return Err(Error::new(Kind::Forbidden, message));
            }
            Some(name) => {
                let roots = self.settings.keys.roots.as_ref();
                let roots = roots.ok_or_else(no_keyring)?;
                Some(roots.named(name).map_err(Error::invalid)?)
            }
        };
        let now_ms = cx.now_ms;
        self.with_keyring(cx, move |keyring| match &source {
            Some(source) => keyring.rotate_root(source, now_ms),
            None => keyring.rotate_root(&keyring.source(), now_ms),
        })
        .await
    }

    async fn rotate_patient(
        &self,
        cx: &Context,
        grant: &Grant,
        scope: u32,
        id: String,
    ) -> Result<(), Error> {
        let (label, now_ms) = (id.clone(), cx.now_ms);
        self.with_keyring(cx, move |keyring| {
            keyring.rotate_patient(scope, &label, now_ms)
        })
        .await?;
        // In the project's own audit, where the patient's other entries are.
        let inside = Context {
            scope: Scope(scope),
            ..cx.clone()
        };
        let mut entry = Entry::new(&inside, What::KeyRotated, Outcome::Success, grant.rule());
        let patient = Entity {
            ty: PATIENT.into(),
            id: id.as_str().into(),
            version: 0,
        };
        let seal = SealKey::Patient(id.into());
        entry.concerns(patient, RecordKind::named(PATIENT), &seal);
        self.record(&inside, entry).await
    }

    async fn rotated(&self, cx: &Context, grant: &Grant, of: &str) -> Result<(), Error> {
        let mut entry = Entry::new(cx, What::KeyRotated, Outcome::Success, grant.rule());
        entry.entities.push(Entity {
            ty: KEY.into(),
            id: of.into(),
            version: 0,
        });
        self.record(cx, entry).await
    }

    async fn note_due(&self, cx: &Context, due: Due) -> Result<(), Error> {
        self.with_keyring(cx, move |keyring| keyring.rotate(due))
            .await
    }

    fn scope_of_keys(&self, slug: &str) -> Result<u32, Error> {
        let scope = self.project_scope(slug);
        let scope = scope.ok_or_else(|| Error::not_found("there is no such project"))?;
        Ok(scope.0)
    }

    async fn view_keyring(&self, cx: &Context) -> Result<KeysView, Error> {
        let (status, answers, rotation) = self
            .with_keyring(cx, |keyring| {
                let answers = keyring.probe().map_err(|error| error.to_string());
                let begun = keyring.progress().unwrap_or_default();
                let rotation = keyring.due()?.map(|_| Progress {
                    over: false,
                    ..begun
                });
                Ok((keyring.status()?, answers, rotation))
            })
            .await?;
        let scopes = status.projects.iter().map(|project| Scope(project.scope));
        Ok(KeysView {
            slugs: scopes.map(|scope| self.project_slug(scope)).collect(),
            answers,
            rotation,
            rotate_days: self.settings.keys.rotate_days,
            status,
        })
    }

    /// Asks the keyring on a thread that may wait for disks and key services.
    async fn with_keyring<T: Send + 'static>(
        &self,
        cx: &Context,
        ask: impl FnOnce(&Keyring) -> Result<T, KeyError> + Send + 'static,
    ) -> Result<T, Error> {
        let keyring = self.settings.keys.keyring.clone().ok_or_else(no_keyring)?;
        let asked = tokio::task::spawn_blocking(move || ask(&keyring)).await;
        let answer = asked.map_err(|error| Error::new(Kind::Internal, LOGGED).caused_by(error))?;
        answer.map_err(|error| told(cx, error))
    }

    /// Goes on with rotations that are due, and begins those of keys that are too old. Never ends.
    pub async fn keep_keys(&self) {
        let Some(keyring) = self.settings.keys.keyring.clone() else {
            return;
        };
        loop {
            if let Some(days) = self.settings.keys.rotate_days {
                self.rotate_what_is_old(&keyring, days);
            }
            self.work_on_keys(&keyring).await;
            tokio::select! {
                () = self.keys_due.notified() => {}
                () = tokio::time::sleep(EVERY) => {}
            }
        }
    }

    fn rotate_what_is_old(&self, keyring: &Keyring, days: u32) {
        let before_ms = self.now_ms().saturating_sub(i64::from(days) * DAY_MS);
        let old = keyring.status().is_ok_and(|status| {
            let mut projects = status.projects.iter();
            projects.any(|project| project.created_ms < before_ms)
        });
        if old && keyring.rotate(due(None, false, before_ms)).is_ok() {
            tracing::info!("keys of projects are old enough to be rotated");
        }
    }

    async fn work_on_keys(&self, keyring: &Arc<Keyring>) {
        loop {
            let (keyring, now_ms) = (Arc::clone(keyring), self.now_ms());
            let step = tokio::task::spawn_blocking(move || keyring.rotate_some(now_ms)).await;
            match step {
                Ok(Ok(Some(progress))) if !progress.over => tokio::time::sleep(PAUSE).await,
                Ok(Ok(Some(progress))) => {
                    let (rotated, rewrapped) = (progress.rotated, progress.rewrapped);
                    tracing::info!(rotated, rewrapped, "keys were rotated");
                    return;
                }
                Ok(Ok(None)) => return,
                Ok(Err(error)) => {
                    tracing::warn!(%error, "keys cannot be rotated just now");
                    return;
                }
                Err(_) => return,
            }
        }
    }
}

const KEY: &str = "Key";
const PATIENT: &str = "Patient";
const LOGGED: &str = "the keys could not be used; the server's log says why";

fn due(scope: Option<u32>, patients: bool, before_ms: i64) -> Due {
    Due {
        scope,
        projects: true,
        patients,
        before_ms,
    }
}

/// What needs keys is refused where there are none.
pub(crate) fn no_keyring() -> Error {
    Error::new(Kind::Unprocessable, "this server keeps no keys")
}

/// The operator is told what was the matter; others, who must not learn of files and hosts, are
/// told whether to come again.
fn told(cx: &Context, error: KeyError) -> Error {
    let kind = match &error {
        KeyError::LabelUnknown => Kind::NotFound,
        KeyError::LabelDestroyed => Kind::Gone,
        KeyError::Busy => Kind::Conflict,
        KeyError::Root { .. } | KeyError::RootElsewhere { .. } | KeyError::RootThere(_) => {
            Kind::Unprocessable
        }
        KeyError::Io { .. } | KeyError::Stopped => Kind::Unavailable,
        KeyError::RootMissing(_)
        | KeyError::RootExposed { .. }
        | KeyError::RootMalformed(_)
        | KeyError::WrappedMalformed(_)
        | KeyError::RotationMalformed(_)
        | KeyError::ChangesMalformed(_)
        | KeyError::RootForeign { .. }
        | KeyError::KeyringMissing(_)
        | KeyError::FolderInUse(_)
        | KeyError::Locked(_)
        | KeyError::Damaged { .. }
        | KeyError::LedgerDamaged(_)
        | KeyError::SlotUnknown(_)
        | KeyError::Destroyed(_)
        | KeyError::NotAuthentic
        | KeyError::Unsupported { .. }
        | KeyError::Library(_) => Kind::Internal,
    };
    let plain = matches!(kind, Kind::NotFound | Kind::Gone | Kind::Conflict);
    let message = match plain || cx.subject.who() == Who::Operator {
        true => error.to_string(),
        false => LOGGED.to_owned(),
    };
    Error::new(kind, message).caused_by(error)
}

#[cfg(test)]
mod tests;
