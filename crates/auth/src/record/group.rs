//! Groups of users, and what being in one means.
//!
//! A group stands in other groups and holds roles; it lists nobody. What a
//! user's groups come to is walked once for a session, upwards.

use salus_store::{Param, Query, Row};
use serde::{Deserialize, Serialize};

use super::user::ROLES_MAX;
use super::{SystemRecord, User, project, token_row, with_token};
use crate::Error;

const NAME: Param = Param::named("salus:Group", "name");
const PARENT: Param = Param::named("salus:Group", "parent");

/// How many groups a group stands in itself, at most.
pub const PARENTS_MAX: usize = 20;
/// How many groups a user is in, all told. More refuse the session: a rule
/// that forbids something to a group must not be lost.
pub const CLOSURE_MAX: usize = 1000;

/// A group. Its id is random; its name is unique in the project.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// What people call it.
    pub name: String,
    /// The ids of the groups that it stands in, in order: who is in this one is in those.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parents: Vec<Box<str>>,
    /// The roles of everyone in it, by name, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
    /// Whether everyone in it signs in with a second factor.
    #[serde(default)]
    pub mfa_required: bool,
    /// When it was made, in milliseconds since 1970 UTC.
    pub created_ms: i64,
}
salus_phi::guard!(Group);

impl SystemRecord for Group {
    const NAME: &'static str = "salus:Group";

    fn rows(&self) -> Vec<Row> {
        let mut rows = vec![token_row(NAME, &self.name.to_lowercase())];
        rows.extend(self.parents.iter().map(|id| token_row(PARENT, id)));
        rows
    }
}

impl Group {
    /// A group of nobody.
    ///
    /// # Errors
    /// When it has no name that fits on a line, or too many parents or roles.
    pub fn new(
        name: &str,
        parents: Vec<Box<str>>,
        roles: Vec<String>,
        mfa_required: bool,
        now_ms: i64,
    ) -> Result<Self, Error> {
        project::check_name(name)?;
        if parents.len() > PARENTS_MAX {
            return Err(Error::Name {
                what: "list of parents",
                form: "one of 20 groups at most",
            });
        }
        Ok(Self {
            name: name.trim().to_owned(),
            parents: in_order(parents),
            roles: role_names(roles)?,
            mfa_required,
            created_ms: now_ms,
        })
    }

    /// The group of a name. As a `NoneMatch` it keeps names unique.
    #[must_use]
    pub fn with_name(name: &str) -> Query {
        with_token::<Self>(NAME, &name.trim().to_lowercase())
    }

    /// The groups that stand in a group themselves.
    #[must_use]
    pub fn inside(id: &str) -> Query {
        with_token::<Self>(PARENT, id)
    }
}

/// Names of roles, in order and each once.
///
/// # Errors
/// When one is not 1 to 64 letters, digits, `-`, `.` or `_`, or there are
/// more than 50.
pub fn role_names(names: Vec<String>) -> Result<Vec<String>, Error> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
    let good = |name: &String| (1..=64).contains(&name.len()) && name.bytes().all(plain);
    if names.len() > ROLES_MAX || !names.iter().all(good) {
        return Err(Error::Name {
            what: "list of roles",
            form: "one of 50 names at most, each of 1 to 64 letters, digits, -, . or _",
        });
    }
    Ok(in_order(names))
}

pub(crate) fn in_order<T: Ord>(mut items: Vec<T>) -> Vec<T> {
    items.sort_unstable();
    items.dedup();
    items
}

/// The groups that a user is in, themselves or because one stands in another,
/// and the roles that they hold by these or themselves.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Membership {
    /// Ids, in order.
    pub groups: Vec<Box<str>>,
    /// Names, in order.
    pub roles: Vec<String>,
    /// Whether one of the groups asks for a second factor.
    pub mfa_required: bool,
}
salus_phi::guard!(Membership);

/// The walk from a user's groups to all that they stand in. The caller reads
/// the groups, a step at a time. Each is looked at once, so circles end.
pub struct Walk {
    membership: Membership,
    /// All that were ever to be read.
    named: Vec<Box<str>>,
    /// How many of these were given out.
    given: usize,
}
salus_phi::guard!(Walk);

impl Walk {
    /// Begins at the groups that the user is in themselves.
    #[must_use]
    pub fn of(user: &User) -> Self {
        Self::from(&user.groups, &user.role_names)
    }

    /// Begins at these groups, with these roles.
    #[must_use]
    pub fn from(groups: &[Box<str>], roles: &[String]) -> Self {
        Self {
            membership: Membership {
                roles: roles.to_vec(),
                ..Membership::default()
            },
            named: groups.to_vec(),
            given: 0,
        }
    }

    /// The id of the next group to read; `None` when all are read.
    pub fn next_id(&mut self) -> Option<Box<str>> {
        let id = self.named.get(self.given)?;
        self.given += 1;
        Some(id.clone())
    }

    /// Takes a group that was read. One that is no longer there is left out.
    ///
    /// # Errors
    /// [`Error::TooManyGroups`].
    pub fn found(&mut self, id: Box<str>, group: Group) -> Result<(), Error> {
        let membership = &mut self.membership;
        membership.groups.push(id);
        membership.roles.extend(group.roles);
        membership.mfa_required |= group.mfa_required;
        for parent in group.parents {
            if !self.named.contains(&parent) {
                self.named.push(parent);
            }
        }
        match self.named.len() > CLOSURE_MAX {
            true => Err(Error::TooManyGroups),
            false => Ok(()),
        }
    }

    /// What it came to.
    #[must_use]
    pub fn end(self) -> Membership {
        Membership {
            groups: in_order(self.membership.groups),
            roles: in_order(self.membership.roles),
            mfa_required: self.membership.mfa_required,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::record::Email;

    fn group(parents: &[&str], roles: &[&str]) -> Group {
        let parents = parents.iter().map(|&id| id.into()).collect();
        let roles = roles.iter().map(|&name| name.into()).collect();
        Group::new("g", parents, roles, false, 0).unwrap()
    }

    fn walk(groups: &BTreeMap<&str, Group>, own: &[&str]) -> Result<Membership, Error> {
        let mut user = User::new(Email::parse("a@b").unwrap(), 0);
        user.groups = own.iter().map(|&id| id.into()).collect();
        user.role_names = vec!["own".into()];
        let mut walk = Walk::of(&user);
        while let Some(id) = walk.next_id() {
            if let Some(group) = groups.get(&*id) {
                walk.found(id, group.clone())?;
            }
        }
        Ok(walk.end())
    }

    #[track_caller]
    fn check(own: &[&str], groups: &str, roles: &str) {
        let all = BTreeMap::from([
            ("a", group(&["b", "c"], &["x"])),
            ("b", group(&["d"], &["y"])),
            ("c", group(&["d"], &[])),
            ("d", group(&["gone"], &["x", "z"])),
            ("round", group(&["about"], &["r"])),
            ("about", group(&["round", "about"], &[])),
        ]);
        let found = walk(&all, own).unwrap();
        assert_eq!(
            (found.groups.join(" "), found.roles.join(" ")),
            (groups.into(), roles.into())
        );
    }

    #[test]
    fn who_is_in_a_group_is_in_those_that_it_stands_in() {
        check(&[], "", "own");
        check(&["d"], "d", "own x z");
        check(&["a"], "a b c d", "own x y z");
        check(&["a", "d", "c"], "a b c d", "own x y z");
        check(&["gone"], "", "own");
    }

    #[test]
    fn circles_end() {
        check(&["round"], "about round", "own r");
        check(&["about"], "about round", "own r");
    }

    #[test]
    fn one_group_that_asks_for_a_second_factor_is_enough() {
        let mut strict = group(&[], &[]);
        strict.mfa_required = true;
        let all = BTreeMap::from([("a", group(&["b"], &[])), ("b", strict)]);
        assert!(walk(&all, &["a"]).unwrap().mfa_required);
        assert!(!walk(&all, &["c"]).unwrap().mfa_required);
    }

    #[test]
    fn too_many_groups_are_refused_and_not_left_out() {
        let ids: Vec<String> = (0..=CLOSURE_MAX).map(|i| format!("g{i}")).collect();
        let chain = ids
            .windows(2)
            .map(|pair| (pair[0].as_str(), group(&[&pair[1]], &[])));
        let mut all: BTreeMap<&str, Group> = chain.collect();
        assert!(matches!(walk(&all, &["g0"]), Err(Error::TooManyGroups)));
        all.remove("g999");
        assert_eq!(walk(&all, &["g0"]).unwrap().groups.len(), CLOSURE_MAX - 1);
    }

    #[test]
    fn names_of_roles_are_plain() {
        let names = |names: &[&str]| role_names(names.iter().map(|&n| n.into()).collect());
        assert_eq!(names(&["b", "a", "b"]).unwrap(), ["a", "b"]);
        for bad in ["", "a b", "é", "a/b", &"a".repeat(65)] {
            assert!(names(&[bad]).is_err(), "{bad}");
        }
        assert!(names(&["a"; 51]).is_err());
    }
}
