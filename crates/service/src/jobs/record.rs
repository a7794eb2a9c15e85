//! A job as it is kept: what was asked, by whom, and how far it is.
//!
//! It is a record of the project like its clients and sessions, sealed with
//! the project's key. It holds no token: whose it is says who it is for, and
//! what they may do is looked up whenever it goes on.

use salus_auth::record::{self, Session, SystemRecord};
use salus_auth::{Subject, Who, mfa};
use salus_store::{Param, Query, Row, Scope, Test, Value};
use serde::{Deserialize, Serialize};

use super::export::Export;
use super::import::Import;
use super::request::Packed;

/// Everything about a job.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Job {
    pub(crate) owner: Owner,
    /// The base URL of the endpoint that was asked.
    pub(crate) base: String,
    /// The whole URL of the request that began it.
    pub(crate) request: String,
    pub(crate) created_ms: i64,
    /// When it was done or failed.
    #[serde(default)]
    pub(crate) ended_ms: Option<i64>,
    pub(crate) state: State,
    /// How often it was begun or taken up again.
    #[serde(default)]
    pub(crate) attempts: u32,
    pub(crate) work: Work,
    /// The files that are complete.
    #[serde(default)]
    pub(crate) files: Vec<File>,
}
salus_phi::guard!(Job);

/// What is to be done.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Work {
    Export(Box<Export>),
    Import(Box<Import>),
    Request(Packed),
}

impl Work {
    /// Whether what came with the request is needed when the job is done.
    pub(crate) fn shows_what_was_sent(&self) -> bool {
        match self {
            Self::Import(import) => import.is_listed(),
            Self::Export(_) | Self::Request(_) => false,
        }
    }
}

/// How far a job is.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    /// Waiting, or under way.
    Accepted,
    Done,
    /// With the status and the OperationOutcome to tell.
    Failed(u16, String),
}
salus_phi::guard!(State);

/// A file that a job has made.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct File {
    /// Which of the job's, from 1.
    pub(crate) number: u32,
    /// Which attempt wrote it.
    pub(crate) attempt: u32,
    /// The type of the resources in it.
    pub(crate) ty: String,
    pub(crate) role: Role,
    /// Lines in it.
    pub(crate) count: u64,
}
salus_phi::guard!(File);

/// What a file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Role {
    Output,
    Deleted,
    Error,
    /// What the request was answered.
    Answer,
}

impl File {
    /// The last part of its URL.
    pub(crate) fn name(&self) -> String {
        let role = match self.role {
            Role::Output => "",
            Role::Deleted => "deleted-",
            Role::Error => "error-",
            Role::Answer => "answer-",
        };
        format!("{role}{}-{}.ndjson", self.ty, self.number)
    }
}

const OWNER: Param = Param::named("salus:Job", "owner");

impl SystemRecord for Job {
    const NAME: &'static str = "salus:Job";

    fn rows(&self) -> Vec<Row> {
        let token = |param, code: &str| Row {
            param,
            value: Value::Token {
                system: "".into(),
                code: code.into(),
            },
        };
        vec![token(OWNER, &self.owner.label)]
    }
}

impl Job {
    /// The jobs of an owner, done or not.
    pub(crate) fn of(label: &str) -> Query {
        let test = Test::Token {
            system: None,
            code: Some(label.into()),
        };
        Query {
            filter: salus_store::Filter::Value(OWNER, test),
            ..record::all::<Self>(1000, None)
        }
    }
}

/// Whose a job is.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Owner {
    /// As the audit names it.
    pub(crate) label: String,
    /// Where the owner's record is kept.
    home: u32,
    /// What the token stood for that the job was asked with; the operator has none.
    session: Option<Session>,
}
salus_phi::guard!(Owner);

impl Owner {
    /// The one who asks; nobody in particular has no jobs.
    pub(crate) fn of(subject: &Subject, now_ms: i64) -> Option<Self> {
        let (_, id) = subject.label().split_once('/')?;
        let owner = match subject.who() {
            Who::Anonymous => return None,
            Who::Operator => None,
            Who::Administrator | Who::User => Some(record::Owner::User(id.into())),
            Who::Client => Some(record::Owner::Client(id.into())),
        };
        let session = owner.map(|owner| Session {
            owner,
            scopes: subject.scopes().cloned().unwrap_or_default(),
            created_ms: now_ms,
            used_ms: 0,
            through: None,
            // Whoever could begin it had brought all that they had to.
            methods: vec![mfa::MULTI.to_owned()],
            proved_ms: now_ms,
            key: None,
            purpose: subject.purpose(),
            // The job ends when its work does.
            expires_ms: i64::MAX,
        });
        Some(Self {
            label: subject.label().to_owned(),
            home: subject.home().0,
            session,
        })
    }

    /// Whether this is the one who asks.
    pub(crate) fn is(&self, subject: &Subject) -> bool {
        self.label == subject.label() && self.home == subject.home().0
    }

    pub(crate) fn home(&self) -> Scope {
        Scope(self.home)
    }

    /// What the owner asked with; `None` is the operator.
    pub(super) fn session(&self) -> Option<&Session> {
        self.session.as_ref()
    }
}
