//! Projects: tenants, each a scope of the store. Kept in the system's scope;
//! the id is what stands in URLs.

use salus_store::{Param, Precondition, Row, Scope};
use serde::{Deserialize, Serialize};

use super::{Saved, SystemRecord, token_row, with_token};
use crate::Error;

const SCOPE: Param = Param::named("salus:Project", "scope");
const NAME_LEN_MAX: usize = 200;

/// A project.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Project {
    /// What people call it.
    pub name: String,
    /// The number of its scope.
    pub scope: u32,
    /// When it was made, in milliseconds since 1970 UTC.
    pub created_ms: i64,
    /// Which revision of extraction has made the rows of all its records,
    /// unless its [`super::Index`] tells of a newer one.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub revision: u32,
}
salus_phi::guard!(Project);

impl SystemRecord for Project {
    const NAME: &'static str = "salus:Project";

    fn rows(&self) -> Vec<Row> {
        vec![token_row(SCOPE, &self.scope.to_string())]
    }
}

impl Project {
    /// A new project, with the scope after the last that was ever given out.
    ///
    /// # Errors
    /// When `slug` is not 1 to 40 lower-case letters, digits or `-`, beginning
    /// with a letter; when the name is empty or too long; when scopes have run out.
    pub fn new(
        slug: &str,
        name: &str,
        last: Scope,
        now_ms: i64,
    ) -> Result<(Saved<Self>, Precondition), Error> {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        let starts = slug.starts_with(|c: char| c.is_ascii_lowercase());
        if !starts || slug.len() > 40 || !slug.bytes().all(plain) {
            return Err(Error::Name {
                what: "project",
                form: "1 to 40 lower-case letters, digits or -, beginning with a letter",
            });
        }
        check_name(name)?;
        let scope = last.0.checked_add(1).ok_or(Error::Name {
            what: "project",
            form: "one of at most 4 billion",
        })?;
        let project = Self {
            name: name.to_owned(),
            scope,
            created_ms: now_ms,
            revision: 0,
        };
        // Two projects made at once cannot get one scope.
        let unused = Precondition::NoneMatch(with_token::<Self>(SCOPE, &scope.to_string()));
        Ok((Saved::new(slug, project), unused))
    }

    /// Its scope.
    #[must_use]
    pub fn scope(&self) -> Scope {
        Scope(self.scope)
    }
}

/// Folders of older versions have projects without a revision.
fn is_zero(revision: &u32) -> bool {
    *revision == 0
}

pub(super) fn check_name(name: &str) -> Result<(), Error> {
    let clean = !name.contains(char::is_control);
    if clean && !name.trim().is_empty() && name.len() <= NAME_LEN_MAX {
        return Ok(());
    }
    Err(Error::Name {
        what: "name",
        form: "1 to 200 bytes of text on one line",
    })
}
