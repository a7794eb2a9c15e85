//! What can be wrong with credentials and with records of users and clients.

/// No message holds a password, a token or an address; each says what to change.
// No PHI: rules for passwords and names, never what was given.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not an e-mail address.
    #[error("this is not an e-mail address")]
    Email,
    /// A password that is refused.
    #[error("the password {0}")]
    Password(std::borrow::Cow<'static, str>),
    /// A scope that is refused; the position counts scopes from 1.
    #[error("scope {position}: {reason}")]
    Scope {
        /// Which of the scopes.
        position: usize,
        /// Why.
        reason: &'static str,
    },
    /// A name that is refused.
    #[error("the {what} must be {form}")]
    Name {
        /// Of what.
        what: &'static str,
        /// What is accepted.
        form: &'static str,
    },
    /// E-mail, client id, password, secret or set-up link is not right, or
    /// the account is suspended: which of them is for the audit only.
    #[error("these credentials are not valid")]
    Refused(Refusal),
    /// A record does not read as what it should be.
    #[error("a stored {0} cannot be read")]
    Record(&'static str),
    /// Somebody is in more groups than can be looked at.
    #[error(
        "this is too many groups: a user is in 1000 at most, counting those that groups stand in"
    )]
    TooManyGroups,
    /// The password could not be hashed.
    #[error("the password could not be hashed")]
    Hashing,
}

/// Why credentials were refused: for the audit, never for the one asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There is no such account, session or link.
    Unknown,
    /// Password or secret is another.
    Mismatch,
    /// The account is suspended.
    Suspended,
    /// It was valid once.
    Expired,
}

impl Refusal {
    /// The name of the rule, for the audit.
    #[must_use]
    pub fn rule(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Mismatch => "wrong secret",
            Self::Suspended => "suspended",
            Self::Expired => "expired",
        }
    }
}
