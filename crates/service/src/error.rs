//! What can go wrong with a request, in twelve kinds.
//!
//! Every protocol maps the kinds to its own answers, exhaustively. Neither the
//! issues nor the source chain hold content of resources.

use salus_fhir::issue::{Issue, IssueType};

/// The kinds of failure; each protocol has one answer for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The request cannot be understood.
    Invalid,
    /// Nobody proved who is asking.
    Unauthenticated,
    /// Who is asking has to be proved once more (RFC 9470).
    StepUp,
    /// The one asking may not do this.
    Forbidden,
    /// There is no such thing, as far as the one asking may know.
    NotFound,
    /// There was such a thing, and it is deleted.
    Gone,
    /// Another change came first, again and again.
    Conflict,
    /// A condition that the request set does not hold.
    Precondition,
    /// Understood, but against the rules for its content.
    Unprocessable,
    /// Too much at once.
    Throttled,
    /// Cannot be done just now; trying later may help.
    Unavailable,
    /// Our fault.
    Internal,
}

impl Kind {
    /// Its status and reason, after <https://hl7.org/fhir/R4/http.html#Status-Codes>.
    #[must_use]
    pub fn status(self) -> (u16, &'static str) {
        match self {
            Self::Invalid => (400, "Bad Request"),
            Self::Unauthenticated | Self::StepUp => (401, "Unauthorized"),
            Self::Forbidden => (403, "Forbidden"),
            Self::NotFound => (404, "Not Found"),
            Self::Gone => (410, "Gone"),
            Self::Conflict => (409, "Conflict"),
            Self::Precondition => (412, "Precondition Failed"),
            Self::Unprocessable => (422, "Unprocessable Entity"),
            Self::Throttled => (429, "Too Many Requests"),
            Self::Unavailable => (503, "Service Unavailable"),
            Self::Internal => (500, "Internal Server Error"),
        }
    }
}

/// A failed request.
#[derive(Debug, thiserror::Error)]
#[error("{kind:?}")]
pub struct Error {
    kind: Kind,
    issues: Vec<Issue>,
    age_max_s: Option<i64>,
    retry_after_s: Option<i64>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// One error with one message for the one asking.
    #[must_use]
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            issues: vec![Issue::error(
                issue_type(kind),
                String::new(),
                message.into(),
            )],
            age_max_s: None,
            retry_after_s: None,
            source: None,
        }
    }

    /// Too much at once, until so many milliseconds have passed.
    #[must_use]
    pub fn throttled(message: impl Into<String>, wait_ms: i64) -> Self {
        Self {
            retry_after_s: Some(wait_ms.max(1).saturating_add(999) / 1000),
            ..Self::new(Kind::Throttled, message)
        }
    }

    /// An error that names several faults.
    #[must_use]
    pub fn with_issues(kind: Kind, issues: Vec<Issue>) -> Self {
        Self {
            kind,
            issues,
            age_max_s: None,
            retry_after_s: None,
            source: None,
        }
    }

    /// The same, with its cause for the operator's log.
    #[must_use]
    pub fn caused_by(
        mut self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The same, told in other words.
    #[must_use]
    pub(crate) fn told(mut self, tell: impl FnMut(&mut Issue)) -> Self {
        self.issues.iter_mut().for_each(tell);
        self
    }

    /// Which kind.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// What to tell the one asking.
    #[must_use]
    pub fn issues(&self) -> &[Issue] {
        &self.issues
    }

    /// Who is asking has to be proved once more, and this many seconds ago at most.
    #[must_use]
    pub fn step_up(age_max_s: i64) -> Self {
        let message = "this takes proof of who you are: POST /auth/step-up, and try again; apps \
                       send their users to sign in again";
        Self {
            age_max_s: Some(age_max_s),
            ..Self::new(Kind::StepUp, message)
        }
    }

    /// How old the proof may be, where one is asked for.
    #[must_use]
    pub fn age_max_s(&self) -> Option<i64> {
        self.age_max_s
    }

    /// In how many seconds to try again, where that is known.
    #[must_use]
    pub fn retry_after_s(&self) -> Option<i64> {
        self.retry_after_s
    }

    /// The request cannot be understood.
    #[must_use]
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(Kind::Invalid, message)
    }

    /// There is no such thing.
    #[must_use]
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(Kind::NotFound, message)
    }

    /// The log's line about the cause, if there is one: no content of resources.
    #[must_use]
    pub fn cause(&self) -> Option<String> {
        let mut text = String::new();
        let mut next: Option<&dyn std::error::Error> =
            self.source.as_deref().map(|s| s as &dyn std::error::Error);
        while let Some(error) = next {
            if !text.is_empty() {
                text.push_str(": ");
            }
            text.push_str(&told(error));
            next = error.source();
        }
        (!text.is_empty()).then_some(text)
    }
}

/// What an error says of itself; of those that quote what they failed on, what kind it is.
fn told(error: &(dyn std::error::Error + 'static)) -> String {
    if error.is::<tokio::task::JoinError>() {
        return "a thread failed".to_owned();
    }
    match error.downcast_ref::<serde_json::Error>() {
        Some(json) => format!(
            "{:?} of JSON at line {}, column {}",
            json.classify(),
            json.line(),
            json.column()
        ),
        None => error.to_string(),
    }
}

impl From<salus_store::Error> for Error {
    fn from(error: salus_store::Error) -> Self {
        use salus_store::Error as Store;
        if let Store::TooCostly { .. } | Store::TookTooLong { .. } = &error {
            return too_costly(error);
        }
        let (kind, message) = match &error {
            Store::Conflict { .. } => (Kind::Conflict, "another change came first; try again"),
            Store::SnapshotGone(_) => (
                Kind::Gone,
                "this page is too old; start the search or history again",
            ),
            // Not 410, which would say that the resource was deleted in it
            // (<https://hl7.org/fhir/R4/http.html#vread>).
            Store::Purged => (
                Kind::NotFound,
                "this version was purged: only newer ones of the resource are kept",
            ),
            Store::KeyDestroyed => (
                Kind::Gone,
                "the records of this patient were shredded: nothing of them can be read, and \
                 nothing more can be stored",
            ),
            Store::TooCostly { .. } | Store::TookTooLong { .. } => {
                (Kind::Unprocessable, "the search costs too much")
            }
            Store::Misuse(_) => (Kind::Invalid, "the request cannot be carried out as it is"),
            Store::Unavailable(_) => (
                Kind::Unavailable,
                "the store cannot confirm this just now; look whether it happened before trying again",
            ),
            Store::Damaged(_) => (Kind::Internal, "the store needs its operator"),
        };
        Self::new(kind, message).caused_by(error)
    }
}

/// What to do about a search that costs too much.
fn too_costly(error: salus_store::Error) -> Error {
    let over = if let salus_store::Error::TookTooLong { time_max } = &error {
        format!("takes longer than {} seconds", time_max.as_secs_f64())
    } else {
        "touches more records than one search may".to_owned()
    };
    let details = format!(
        "the search {over}; add a condition that few records satisfy, such as a patient or a \
         narrow range of dates, leave out _sort or _total, or ask for less at a time"
    );
    let issue = Issue::error(IssueType::TooCostly, String::new(), details);
    Error::with_issues(Kind::Unprocessable, vec![issue]).caused_by(error)
}

/// The issue type of a kind, after <https://hl7.org/fhir/R4/valueset-issue-type.html>.
fn issue_type(kind: Kind) -> IssueType {
    match kind {
        Kind::Invalid => IssueType::Invalid,
        Kind::Unauthenticated | Kind::StepUp => IssueType::Login,
        Kind::Forbidden => IssueType::Forbidden,
        Kind::NotFound => IssueType::NotFound,
        Kind::Gone => IssueType::Deleted,
        Kind::Conflict | Kind::Precondition => IssueType::Conflict,
        Kind::Unprocessable => IssueType::Processing,
        Kind::Throttled => IssueType::Throttled,
        Kind::Unavailable => IssueType::Transient,
        Kind::Internal => IssueType::Exception,
    }
}

impl From<salus_auth::Error> for Error {
    fn from(error: salus_auth::Error) -> Self {
        use salus_auth::Error as Auth;
        let kind = match &error {
            Auth::Email | Auth::Password(_) | Auth::Scope { .. } | Auth::Name { .. } => {
                Kind::Invalid
            }
            Auth::Refused(_) => Kind::Unauthenticated,
            Auth::TooManyGroups => Kind::Unprocessable,
            Auth::Record(_) | Auth::Hashing => Kind::Internal,
        };
        Self::new(kind, error.to_string()).caused_by(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_quotes_nothing() {
        let json = serde_json::from_str::<u8>("\"Unmistakable\"").unwrap_err();
        assert!(json.to_string().contains("Unmistakable"));
        let error = Error::new(Kind::Internal, "no").caused_by(json);
        let expect = "Data of JSON at line 1, column 14";
        assert_eq!(error.cause().as_deref(), Some(expect));
    }

    #[tokio::test]
    async fn a_cause_does_not_tell_what_a_thread_said() {
        let name = String::from("Unmistakable");
        let failed = tokio::task::spawn_blocking(move || panic!("{name}"));
        let joined = failed.await.unwrap_err();
        assert!(joined.to_string().contains("Unmistakable"));
        let error = Error::new(Kind::Internal, "no").caused_by(joined);
        assert_eq!(error.cause().as_deref(), Some("a thread failed"));
    }
}
