//! Signing in, and what a token stands for afterwards: decisions over records
//! that the caller has read.

use std::sync::Arc;

use salus_store::{Kind, Scope};

use crate::record::{
    Client, Membership, Owner, Saved, Session, Status, SystemRecord, Through, User,
};
use crate::{Error, Refusal, Scopes, Secret, Subject, Token};

/// How long a session lasts unless settings say otherwise.
pub const LIFETIME_DEFAULT_MS: i64 = 60 * 60 * 1000;

/// A session that is about to begin.
#[derive(Debug)]
pub struct Opened {
    /// The bearer token: shown once, to the one who signed in.
    pub token: Secret,
    /// Its record, to be committed in the scope that it was opened in.
    pub session: Saved<Session>,
    /// Who signed in.
    pub subject: Arc<Subject>,
}

/// Begins a session of a user whose password has been verified. `home` is the
/// scope of the user's record and of the session.
///
/// # Errors
/// [`Error::Refused`] when the account is suspended.
pub fn open_for_user(
    home: Scope,
    user: &Saved<User>,
    membership: &Membership,
    random: &[u8; 32],
    now_ms: i64,
    lifetime_ms: i64,
) -> Result<Opened, Error> {
    active(user.value.status)?;
    let owner = Owner::User(user.id.clone());
    let subject = Subject::user(home, &user.id, &user.value, membership);
    let end_ms = now_ms.saturating_add(lifetime_ms);
    Ok(open(home, owner, subject, random, now_ms, end_ms))
}

/// Begins the session of a browser whose user has signed in by these methods.
///
/// # Errors
/// [`Error::Refused`] when the account is suspended.
pub fn open_for_browser(
    home: Scope,
    user: &Saved<User>,
    methods: &[&str],
    random: &[u8; 32],
    (now_ms, lifetime_ms): (i64, i64),
) -> Result<(Secret, Saved<Session>), Error> {
    active(user.value.status)?;
    let (text, token) = Token::mint_cookie(home, random);
    let session = Session {
        methods: methods.iter().map(|&method| method.to_owned()).collect(),
        ..begun(Owner::User(user.id.clone()), now_ms, lifetime_ms)
    };
    Ok((text, Saved::new(token.session_id(), session)))
}

/// Begins a session in which a client acts for a user, who has signed in by
/// these methods and proved last at this time who they are.
#[must_use]
pub fn open_through(
    home: Scope,
    user: &str,
    (methods, proved_ms): (&[String], i64),
    through: Through,
    random: &[u8; 32],
    (now_ms, lifetime_ms): (i64, i64),
) -> (Secret, Saved<Session>) {
    let (text, token) = Token::mint(home, random);
    let session = Session {
        through: Some(through),
        methods: methods.to_vec(),
        proved_ms,
        ..begun(Owner::User(user.into()), now_ms, lifetime_ms)
    };
    (text, Saved::new(token.session_id(), session))
}

fn begun(owner: Owner, now_ms: i64, lifetime_ms: i64) -> Session {
    Session {
        owner,
        scopes: Scopes::default(),
        created_ms: now_ms,
        expires_ms: now_ms.saturating_add(lifetime_ms),
        used_ms: 0,
        through: None,
        methods: Vec::new(),
        key: None,
        proved_ms: now_ms,
        purpose: None,
    }
}

/// Begins a session of a client whose secret has been verified, with the part
/// of its scopes that it asks for; asking for none is asking for all.
///
/// # Errors
/// [`Error::Refused`] when the client is suspended, [`Error::Scope`] when
/// it may have nothing of what it asks for.
pub fn open_for_client(
    home: Scope,
    client: &Saved<Client>,
    asked: &Scopes,
    random: &[u8; 32],
    now_ms: i64,
    lifetime_ms: i64,
) -> Result<Opened, Error> {
    active(client.value.status)?;
    let own = &client.value.scopes;
    let given = if asked.is_empty() { own } else { asked };
    let subject = Subject::client(home, &client.id, &client.value, given);
    if subject.scopes().is_none_or(Scopes::is_empty) {
        return Err(Error::Scope {
            position: 1,
            reason: "the client may have none of these",
        });
    }
    let owner = Owner::Client(client.id.clone());
    let end_ms = now_ms.saturating_add(lifetime_ms);
    Ok(open(home, owner, subject, random, now_ms, end_ms))
}

fn open(
    home: Scope,
    owner: Owner,
    subject: Subject,
    random: &[u8; 32],
    created_ms: i64,
    expires_ms: i64,
) -> Opened {
    let (text, token) = Token::mint(home, random);
    let session = Session {
        scopes: subject.scopes().cloned().unwrap_or_default(),
        expires_ms,
        ..begun(owner, created_ms, 0)
    };
    Opened {
        token: text,
        session: Saved::new(token.session_id(), session),
        subject: Arc::new(subject),
    }
}

/// Where the owner's record of a session lies, in the session's scope.
#[must_use]
pub fn owner_key(session: &Session) -> (Kind, &str) {
    match &session.owner {
        Owner::User(id) => (User::KIND, id),
        Owner::Client(id) => (Client::KIND, id),
    }
}

/// Who a session speaks for, given its owner's record as [`owner_key`] finds
/// it now, and what the owner's groups come to: a suspended or deleted owner, a
/// group left or a scope taken away counts at once.
///
/// # Errors
/// [`Error::Refused`] when session or owner no longer hold, [`Error::Record`]
/// when the owner's record cannot be read.
pub fn resume(
    home: Scope,
    session: &Session,
    owner: Option<&salus_store::Record>,
    membership: &Membership,
    now_ms: i64,
) -> Result<Arc<Subject>, Error> {
    if session.expires_ms <= now_ms {
        return Err(Error::Refused(Refusal::Expired));
    }
    let record = owner.ok_or(Error::Refused(Refusal::Unknown))?;
    let unknown = Error::Refused(Refusal::Unknown);
    let subject = match &session.owner {
        Owner::User(_) => {
            let user = Saved::<User>::read(record)?.ok_or(unknown)?;
            active(user.value.status)?;
            let subject = Subject::user(home, &user.id, &user.value, membership);
            subject.proved(session.proof_ms())
        }
        Owner::Client(_) => {
            let client = Saved::<Client>::read(record)?.ok_or(unknown)?;
            active(client.value.status)?;
            Subject::client(home, &client.id, &client.value, &session.scopes)
        }
    };
    Ok(Arc::new(subject))
}

fn active(status: Status) -> Result<(), Error> {
    match status {
        Status::Active => Ok(()),
        Status::Suspended => Err(Error::Refused(Refusal::Suspended)),
    }
}

#[cfg(test)]
mod tests;
