//! Compartments as predicates: <https://hl7.org/fhir/R4/compartmentdefinition.html>.
//!
//! A resource is in the compartment of a patient if one of the parameters that
//! the definition names refers to the patient; a patient is in their own. The
//! predicate asks about the rows that searches ask about, so whatever is found
//! by it is what the definition means.

use salus_fhir::definitions;
use salus_store::{Filter, Kind, Param, References, Test};

/// The resources of a type that are in the compartment of one of these
/// patients; `None` if resources of the type never are.
#[must_use]
pub fn of_patients<S: AsRef<str>>(ty: &str, patients: &[S]) -> Option<Filter> {
    of("Patient", ty, patients)
}

/// The same of any compartment: `name` is that of its type, such as `Encounter`.
#[must_use]
pub fn of<S: AsRef<str>>(name: &str, ty: &str, ids: &[S]) -> Option<Filter> {
    let ids: Vec<Box<str>> = ids.iter().map(|id| id.as_ref().into()).collect();
    of_set(name, ty, &References::of(Kind::named(name), ids))
}

/// The same of a set, which what it gives shares.
#[must_use]
pub fn of_set(name: &str, ty: &str, ids: &References) -> Option<Filter> {
    let test = match ids.ids() {
        [] => None,
        [id] => Some(Test::Reference {
            kind: Some(ids.kind()),
            id: id.clone(),
        }),
        _ => Some(Test::References(ids.clone())),
    };
    let params = params(name, ty);
    let tests = params.filter_map(|param| Some(Filter::Value(param, test.clone()?)));
    let mut any: Vec<Filter> = tests.collect();
    let own = ty == name;
    if !own && self::params(name, ty).next().is_none() {
        return None;
    }
    if own && test.is_some() {
        any.insert(0, Filter::Ids(ids.ids().to_vec()));
    }
    Some(match any.len() {
        0 => Filter::Nothing,
        1 => any.remove(0),
        _ => Filter::Any(any),
    })
}

/// The parameters whose references put a resource of a type into a compartment.
pub fn params(name: &str, ty: &str) -> impl Iterator<Item = Param> {
    let codes = definitions::r4().compartment(name, ty).iter();
    codes.map(move |code| Param::named(ty, code))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refers(param: &str, id: &str) -> Filter {
        let test = Test::Reference {
            kind: Some(Kind::named("Patient")),
            id: id.into(),
        };
        Filter::Value(Param::named("Observation", param), test)
    }

    #[test]
    fn what_refers_to_a_patient_is_in_their_compartment() {
        let any = Filter::Any(vec![refers("subject", "1"), refers("performer", "1")]);
        assert_eq!(of_patients("Observation", &["1"]), Some(any));
        let set = References::of(Kind::named("Patient"), vec!["1".into(), "2".into()]);
        let both = ["subject", "performer"].map(|param| {
            let test = Test::References(set.clone());
            Filter::Value(Param::named("Observation", param), test)
        });
        let any = Filter::Any(both.into());
        assert_eq!(of_patients("Observation", &["1", "2"]), Some(any));
    }

    #[test]
    fn a_patient_is_in_their_own() {
        let Some(Filter::Any(any)) = of_patients("Patient", &["1"]) else {
            panic!("nothing else");
        };
        assert_eq!(any[0], Filter::Ids(vec!["1".into()]));
    }

    #[test]
    fn what_is_never_in_it_and_what_is_of_nobody_are_told_apart() {
        assert_eq!(of_patients("Medication", &["1"]), None);
        assert_eq!(
            of_patients::<&str>("Observation", &[]),
            Some(Filter::Nothing)
        );
    }
}
