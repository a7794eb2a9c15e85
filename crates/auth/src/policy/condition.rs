//! Which records a rule is about, as its text says it, and what stands in it
//! for the one asking.
//!
//! | condition | records |
//! |---|---|
//! | `Observation?category=laboratory` | of that type that the search finds |
//! | `?_security=N` | of each of the rule's types that it finds |
//! | `Patient/%user.patient/*` | in the compartment |
//! | `Patient/%user.patient/*?status=final` | in it, if the search finds them |
//!
//! `%user.patient`, `%user.practitioner` and `%user.relatedPerson` are the
//! resources that a user has as profiles, as references, any of them if there
//! are several; `%user.id` is the id of the user. Somebody who has none of
//! what a condition names gets nothing by a rule that allows, and is not hit
//! by what a rule denies with it.

/// The places that stand for something of the user.
const PLACES: [(&str, Of); 4] = [
    ("%user.id", Of::Id),
    ("%user.patient", Of::Profile("Patient")),
    ("%user.practitioner", Of::Profile("Practitioner")),
    ("%user.relatedPerson", Of::Profile("RelatedPerson")),
];

/// An id that nothing has.
const NOBODY: &str = "nobody-nobody-nobody-nobody-nobody-nobody-nobody-nobody-nobody-n";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Of {
    Id,
    Profile(&'static str),
}

/// A condition, taken apart.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Condition<'a> {
    /// The type it is about, if it names one.
    pub ty: Option<&'a str>,
    /// The type and the id of what has the compartment, if it names one.
    pub compartment: Option<(&'a str, &'a str)>,
    /// The search; may be empty for a compartment.
    pub search: &'a str,
}
salus_phi::guard!(Condition<'_>);

impl<'a> Condition<'a> {
    /// Takes a condition apart.
    ///
    /// # Errors
    /// What is wrong with its form.
    pub fn parse(text: &'a str) -> Result<Self, &'static str> {
        const FORM: &str = "must be Type?search, ?search or Patient/ID/*";
        let (path, search) = match text.split_once('?') {
            Some((_, "")) => return Err("has no search behind the question mark"),
            Some(parts) => parts,
            None => (text, ""),
        };
        let mut parts = path.split('/');
        let (first, id, star) = (parts.next(), parts.next(), parts.next());
        match (first, id, star, parts.next()) {
            (Some(name), Some(id), Some("*"), None) if !name.is_empty() && !id.is_empty() => {
                Ok(Self {
                    ty: None,
                    compartment: Some((name, id)),
                    search,
                })
            }
            (Some(""), None, ..) if !search.is_empty() => Ok(Self {
                ty: None,
                compartment: None,
                search,
            }),
            (Some(ty), None, ..) if !search.is_empty() => Ok(Self {
                ty: Some(ty),
                compartment: None,
                search,
            }),
            _ => Err(FORM),
        }
    }
}

/// What of somebody may stand in conditions.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Bindings {
    /// The id of the user.
    pub id: Option<Box<str>>,
    /// The resources that the user has as profiles, by type and id.
    pub profiles: Vec<(&'static str, Box<str>)>,
}
salus_phi::guard!(Bindings);

/// A value with what stands in it for somebody put in.
#[derive(Clone, PartialEq, Eq)]
pub struct Filled {
    /// The value.
    pub text: String,
    /// Whether there was something for every place.
    pub whole: bool,
}
salus_phi::guard!(Filled);

impl Bindings {
    /// Somebody who has one of each, to try conditions with.
    #[must_use]
    pub fn example() -> Self {
        let profile = |ty| (ty, Box::from("example"));
        Self {
            id: Some("example".into()),
            profiles: ["Patient", "Practitioner", "RelatedPerson"]
                .map(profile)
                .into(),
        }
    }

    /// The value of a search parameter, filled in. Where ids are asked for,
    /// as by `_id`, profiles are their ids.
    ///
    /// # Errors
    /// When it names something that there is not.
    pub fn fill(&self, name: &str, value: &str) -> Result<Filled, &'static str> {
        let last = name.rsplit(['.', ':']).next().unwrap_or(name);
        self.put_in(value, last != "_id")
    }

    /// The ids that the compartment's place stands for.
    ///
    /// # Errors
    /// When it names something that there is not, or something else than the
    /// compartment is of.
    pub fn ids(&self, compartment: &str, place: &str) -> Result<Vec<Box<str>>, &'static str> {
        if !place.starts_with('%') {
            return match salus_fhir::reference::is_id(place) {
                true => Ok(vec![place.into()]),
                false => Err("names a compartment by what is no id"),
            };
        }
        match PLACES.iter().find(|(name, _)| *name == place) {
            Some((_, Of::Profile(ty))) if *ty == compartment => {
                Ok(self.of(ty).map(Into::into).collect())
            }
            Some(_) => Err("names the compartment of one type by a resource of another"),
            None => Err(UNKNOWN),
        }
    }

    fn of(&self, ty: &str) -> impl Iterator<Item = &str> {
        let own = self.profiles.iter().filter(move |(own, _)| *own == ty);
        own.map(|(_, id)| &**id)
    }

    fn put_in(&self, value: &str, references: bool) -> Result<Filled, &'static str> {
        let mut filled = Filled {
            text: String::with_capacity(value.len()),
            whole: true,
        };
        let mut rest = value;
        while let Some(at) = rest.find("%user") {
            let (before, place) = rest.split_at(at);
            let end = place.get(1..).unwrap_or_default();
            let end = end.find(|c: char| !c.is_ascii_alphanumeric() && c != '.');
            let (place, after) = place.split_at(end.map_or(place.len(), |end| end + 1));
            filled.text.push_str(before);
            let found = PLACES.iter().find(|(name, _)| *name == place);
            let (_, of) = found.ok_or(UNKNOWN)?;
            filled.whole &= self.put(*of, references, &mut filled.text);
            rest = after;
        }
        filled.text.push_str(rest);
        Ok(filled)
    }

    /// Puts what is asked for; what nothing is, if there is nothing.
    fn put(&self, of: Of, references: bool, text: &mut String) -> bool {
        let before = text.len();
        match of {
            Of::Id => text.push_str(self.id.as_deref().unwrap_or_default()),
            Of::Profile(ty) => {
                for id in self.of(ty) {
                    put_one(ty, id, references, before, text);
                }
            }
        }
        let whole = text.len() > before;
        if !whole {
            match of {
                Of::Id => text.push_str(NOBODY),
                Of::Profile(ty) => put_one(ty, NOBODY, references, before, text),
            }
        }
        whole
    }
}

const UNKNOWN: &str =
    "names something else than %user.id, %user.patient, %user.practitioner, %user.relatedPerson";

/// One more alternative.
fn put_one(ty: &str, id: &str, references: bool, before: usize, text: &mut String) {
    if text.len() > before {
        text.push(',');
    }
    if references {
        text.push_str(ty);
        text.push('/');
    }
    text.push_str(id);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn doctor() -> Bindings {
        Bindings {
            id: Some("u".into()),
            profiles: vec![("Practitioner", "p".into()), ("Practitioner", "q".into())],
        }
    }

    #[track_caller]
    fn fills(name: &str, value: &str, text: &str, whole: bool) {
        let text = text.to_owned();
        assert_eq!(doctor().fill(name, value), Ok(Filled { text, whole }));
    }

    #[test]
    fn what_stands_for_the_user_is_put_in() {
        fills("code", "x", "x", true);
        let both = "Practitioner/p,Practitioner/q";
        fills("performer", "%user.practitioner", both, true);
        fills("_id", "%user.practitioner", "p,q", true);
        fills("performer._id", "%user.practitioner", "p,q", true);
        fills("identifier", "urn:x|%user.id", "urn:x|u", true);
        fills("a", "%user.id,%user.id", "u,u", true);
        let nobody = format!("Patient/{}", NOBODY);
        fills("subject", "%user.patient", &nobody, false);
    }

    #[test]
    fn what_there_is_not_is_no_place() {
        for value in [
            "%user",
            "%user.",
            "%user.name",
            "%user.patient.x",
            "%user.patientx",
        ] {
            assert!(doctor().fill("a", value).is_err(), "{value}");
        }
        assert_eq!(
            doctor()
                .ids("Practitioner", "%user.practitioner")
                .unwrap()
                .len(),
            2
        );
        assert!(doctor().ids("Patient", "%user.practitioner").is_err());
        assert!(doctor().ids("Patient", "%user.id").is_err());
        assert!(doctor().ids("Patient", "a b").is_err());
        assert_eq!(doctor().ids("Patient", "%user.patient"), Ok(vec![]));
    }

    #[track_caller]
    fn parses(text: &str, ty: Option<&str>, of: Option<(&str, &str)>, search: &str) {
        let condition = Condition {
            ty,
            compartment: of,
            search,
        };
        assert_eq!(Condition::parse(text), Ok(condition));
    }

    #[test]
    fn conditions_have_three_forms() {
        parses("Patient?a=b?c", Some("Patient"), None, "a=b?c");
        parses("?a=b", None, None, "a=b");
        parses("Patient/1/*", None, Some(("Patient", "1")), "");
        parses("Patient/1/*?a=b", None, Some(("Patient", "1")), "a=b");
        for wrong in [
            "",
            "?",
            "Patient",
            "Patient?",
            "Patient/1",
            "Patient/1/*/x",
            "//*",
            "a/b/c",
        ] {
            assert!(Condition::parse(wrong).is_err(), "{wrong}");
        }
    }
}
