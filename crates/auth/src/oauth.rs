//! The errors that OAuth 2.1 and OpenID Connect define, by their codes.
//!
//! RFC 6749, 4.1.2.1 and 5.2; RFC 6750, 3.1; RFC 7009, 2.2.1; RFC 7591, 3.2.2; RFC 8628, 3.5;
//! OpenID Connect Core, 3.1.2.6.

/// A refusal in the words of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Which kind.
    pub code: Code,
    /// What to do about it, for a developer; never what was sent.
    pub description: &'static str,
}

impl Fault {
    /// A refusal.
    #[must_use]
    pub fn new(code: Code, description: &'static str) -> Self {
        Self { code, description }
    }
}

/// The codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// Something is missing, twice there, or not of its form.
    InvalidRequest,
    /// The client did not prove who it is.
    InvalidClient,
    /// Code or refresh token does not hold.
    InvalidGrant,
    /// The client may not do it this way.
    UnauthorizedClient,
    /// There is no such way.
    UnsupportedGrantType,
    /// Only codes are given.
    UnsupportedResponseType,
    /// Nothing of what was asked for may be given.
    InvalidScope,
    /// The user, or policy, said no.
    AccessDenied,
    /// The user would have to sign in.
    LoginRequired,
    /// The user would have to agree.
    ConsentRequired,
    /// Not done just now.
    TemporarilyUnavailable,
    /// Our fault.
    ServerError,
    /// The user of a device has not answered yet.
    AuthorizationPending,
    /// The device asks too often.
    SlowDown,
    /// The device has to begin again.
    ExpiredToken,
    /// The bearer token does not hold here.
    InvalidToken,
    /// Users may not be sent there.
    InvalidRedirectUri,
    /// What a client says of itself cannot be, or not together.
    InvalidClientMetadata,
    /// What a publisher says of a client cannot be read.
    InvalidSoftwareStatement,
    /// It is not by a publisher that is known here.
    UnapprovedSoftwareStatement,
}

impl Code {
    /// Its name in answers.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::InvalidClient => "invalid_client",
            Self::InvalidGrant => "invalid_grant",
            Self::UnauthorizedClient => "unauthorized_client",
            Self::UnsupportedGrantType => "unsupported_grant_type",
            Self::UnsupportedResponseType => "unsupported_response_type",
            Self::InvalidScope => "invalid_scope",
            Self::AccessDenied => "access_denied",
            Self::LoginRequired => "login_required",
            Self::ConsentRequired => "consent_required",
            Self::TemporarilyUnavailable => "temporarily_unavailable",
            Self::ServerError => "server_error",
            Self::AuthorizationPending => "authorization_pending",
            Self::SlowDown => "slow_down",
            Self::ExpiredToken => "expired_token",
            Self::InvalidToken => "invalid_token",
            Self::InvalidRedirectUri => "invalid_redirect_uri",
            Self::InvalidClientMetadata => "invalid_client_metadata",
            Self::InvalidSoftwareStatement => "invalid_software_statement",
            Self::UnapprovedSoftwareStatement => "unapproved_software_statement",
        }
    }
}
