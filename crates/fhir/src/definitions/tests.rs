//! The definitions that are embedded: what they say, and how fast they load.

use super::*;

fn type_of(name: &str) -> TypeId {
    r4().type_named(name).unwrap()
}

/// Walks keys from a type: the path of the last element and its type.
#[track_caller]
fn check(keys: &str, path: &str, ty: &str) {
    let mut steps = keys.split('.');
    let mut parent = Parent::Type(type_of(steps.next().unwrap()));
    let mut found = None;
    for key in steps {
        let child = r4().child(parent, key).unwrap();
        parent = child.parent;
        found = Some(child);
    }
    let found = found.unwrap();
    assert_eq!(r4().element(found.element).path, path);
    assert_eq!(r4().ty(found.ty).name, ty);
}

#[test]
fn all_of_r4_is_there() {
    let count = |kind| r4().types().filter(|ty| ty.kind == kind).count();
    assert_eq!(count(TypeKind::Resource), 146);
    assert_eq!(count(TypeKind::Primitive), 20);
    assert_eq!(count(TypeKind::Abstract), 4);
    assert_eq!(count(TypeKind::Complex), 39);
    assert!(
        r4().types()
            .all(|ty| (ty.kind == TypeKind::Primitive) == ty.primitive.is_some())
    );
    assert!(r4().types().is_sorted_by_key(|ty| ty.name));
}

#[test]
fn every_element_has_a_type_or_shares_content() {
    for at in 0..r4().types.elements().len() {
        let element = r4().element(ElementId(u32::try_from(at).unwrap()));
        assert_ne!(
            element.types.is_empty(),
            element.content.is_none(),
            "{}",
            element.path
        );
        assert!(
            element.max.is_none_or(|max| max >= element.min),
            "{}",
            element.path
        );
    }
}

#[test]
fn every_shape_has_fewer_elements_than_bits() {
    for ty in r4().types() {
        assert!(
            r4().keys(Parent::Type(ty.id))
                .iter()
                .all(|key| key.ordinal < 127),
            "{}",
            ty.name
        );
    }
}

#[test]
fn children_are_found_with_their_types() {
    check("Patient.name", "Patient.name", "HumanName");
    check("Patient.name.given", "HumanName.given", "string");
    check("Patient.id", "Resource.id", "id");
    check("Patient.text.div", "Narrative.div", "xhtml");
    check("Patient.contact.name", "Patient.contact.name", "HumanName");
    check(
        "Patient.contact.modifierExtension",
        "BackboneElement.modifierExtension",
        "Extension",
    );
    check("Patient.contained", "DomainResource.contained", "Resource");
    check(
        "Observation.valueQuantity",
        "Observation.value[x]",
        "Quantity",
    );
    check(
        "Observation.valueQuantity.value",
        "Quantity.value",
        "decimal",
    );
    check(
        "Observation.component.valueDateTime",
        "Observation.component.value[x]",
        "dateTime",
    );
    check("Extension.valueAge.value", "Quantity.value", "decimal");
    check("Bundle.entry.resource", "Bundle.entry.resource", "Resource");
    check("Extension.url", "Extension.url", "uri");
    check(
        "Timing.repeat.boundsPeriod.start",
        "Period.start",
        "dateTime",
    );
}

#[test]
fn content_references_lead_to_the_shared_content() {
    check(
        "Questionnaire.item.item.item.linkId",
        "Questionnaire.item.linkId",
        "string",
    );
    check(
        "Observation.component.referenceRange.low",
        "Observation.referenceRange.low",
        "Quantity",
    );
    check(
        "Parameters.parameter.part.valueHumanName.family",
        "HumanName.family",
        "string",
    );
}

#[test]
fn what_is_not_defined_is_not_found() {
    for (ty, key) in [
        ("Patient", "value"),
        ("Observation", "value"),
        ("Observation", "value[x]"),
        ("Observation", "valueAge"),
        ("Patient", "_birthDate"),
        ("Patient", "resourceType"),
        ("HumanName", ""),
        ("BackboneElement", "name"),
    ] {
        assert!(
            r4().child(Parent::Type(type_of(ty)), key).is_none(),
            "{ty}.{key}"
        );
    }
    assert!(r4().type_named("patient").is_none());
    assert!(r4().resource_named("DomainResource").is_none());
    assert!(r4().resource_named("HumanName").is_none());
}

#[test]
fn names_in_fhirpath_give_all_their_keys() {
    let parent = Parent::Type(type_of("Observation"));
    let json = |name| -> Vec<&str> {
        r4().named(parent, name)
            .iter()
            .map(|key| key.json)
            .collect()
    };
    assert_eq!(json("status"), ["status"]);
    assert_eq!(
        json("effective"),
        [
            "effectiveDateTime",
            "effectivePeriod",
            "effectiveTiming",
            "effectiveInstant"
        ]
    );
    assert_eq!(json("value").len(), 11);
    assert!(json("nothing").is_empty());
    assert_eq!(
        r4().named(Parent::Type(type_of("Extension")), "value")
            .len(),
        50
    );
}

#[test]
fn types_know_what_they_derive_from() {
    for (ty, of, expect) in [
        ("Patient", "DomainResource", true),
        ("Patient", "Resource", true),
        ("Bundle", "DomainResource", false),
        ("Age", "Quantity", true),
        ("code", "string", true),
        ("string", "code", false),
        ("Timing", "BackboneElement", true),
    ] {
        assert_eq!(
            r4().is_subtype(type_of(ty), type_of(of)),
            expect,
            "{ty} {of}"
        );
    }
}

#[test]
fn elements_carry_bindings_targets_and_rules() {
    let ty = r4().ty(type_of("Observation"));
    assert_eq!(
        ty.invariants
            .iter()
            .map(|rule| rule.key)
            .collect::<Vec<_>>(),
        ["obs-6", "obs-7"]
    );
    let of = |key| r4().element(r4().child(Parent::Type(ty.id), key).unwrap().element);
    let binding = of("status").binding.unwrap();
    assert_eq!(binding.strength, Strength::Required);
    assert_eq!(
        r4().value_set_of(binding.set.unwrap()).url(),
        binding.value_set
    );
    assert!(of("status").is_modifier && of("status").is_summary);
    let targets: Vec<&str> = of("subject").types[0]
        .targets
        .iter()
        .map(|t| r4().ty(*t).name)
        .collect();
    assert_eq!(targets, ["Patient", "Group", "Device", "Location"]);
    assert_eq!(of("referenceRange").invariants[0].key, "obs-3");
}

#[track_caller]
fn check_code(set: &str, system: Option<&str>, code: &str, expect: Option<bool>) {
    let set = r4()
        .value_set(&format!("http://hl7.org/fhir/ValueSet/{set}"))
        .unwrap();
    assert_eq!(set.contains(system, code), expect);
}

#[test]
fn codes_are_in_their_value_sets() {
    check_code("observation-status", None, "final", Some(true));
    check_code("observation-status", None, "Final", Some(false));
    check_code(
        "observation-status|4.0.1",
        Some("http://hl7.org/fhir/observation-status"),
        "final",
        Some(true),
    );
    check_code(
        "observation-status",
        Some("http://example.org"),
        "final",
        Some(false),
    );
    check_code("all-types", None, "Patient", Some(true));
    check_code("mimetypes", None, "text/plain", None);
    check_code(
        "observation-codes",
        Some("http://loinc.org"),
        "8480-6",
        None,
    );
    check_code(
        "account-type",
        Some("http://terminology.hl7.org/CodeSystem/v3-ActCode"),
        "PBILLACCT",
        Some(true),
    );
    check_code(
        "account-type",
        Some("http://terminology.hl7.org/CodeSystem/v3-ActCode"),
        "AMB",
        Some(false),
    );
}

#[test]
fn required_bindings_can_be_decided_but_for_the_open_ones() {
    let mut open: Vec<&str> = Vec::new();
    for element in r4().types.elements() {
        if let Some(Binding {
            strength: Strength::Required,
            value_set,
            set,
        }) = element.binding
            && set.is_none_or(|set| r4().value_set_of(set).codes().is_none_or(<[_]>::is_empty))
        {
            open.push(value_set);
        }
    }
    open.sort_unstable();
    open.dedup();
    assert_eq!(
        open,
        [
            "http://hl7.org/fhir/ValueSet/currencies",
            "http://hl7.org/fhir/ValueSet/mimetypes",
            "http://hl7.org/fhir/ValueSet/ucum-units",
            "http://loinc.org/vs/LL379-9",
        ]
    );
}

#[test]
fn code_systems_have_displays_and_hierarchy() {
    let system = r4()
        .code_system("http://terminology.hl7.org/CodeSystem/v3-ActCode")
        .unwrap();
    let concept = system.concept("PBILLACCT").unwrap();
    assert_eq!(concept.display, "patient billing account");
    assert_eq!(system.parent(concept).unwrap().code, "_ActAccountCode");
    // Nested below PUBLICPOL's siblings, and named as a child elsewhere.
    assert!(system.is_a("PUBLICPOL", "_ActProgramTypeCode"));
    assert!(system.is_a("PUBLICPOL", "_ActInsurancePolicyCode"));
    assert!(!system.is_a("PUBLICPOL", "_ActAccountCode"));
    assert!(r4().code_system("http://loinc.org").is_none());
}

#[test]
fn search_parameters_include_inherited_ones_and_only_their_part() {
    let codes: Vec<&str> = r4()
        .search_parameters("Patient")
        .iter()
        .map(|p| p.code)
        .collect();
    assert!(codes.is_sorted() && codes.windows(2).all(|two| two[0] != two[1]));
    for code in [
        "_id",
        "_lastUpdated",
        "_text",
        "birthdate",
        "general-practitioner",
    ] {
        assert!(codes.contains(&code), "{code}");
    }
    let of = |resource, code| r4().search_parameter(resource, code).unwrap();
    assert_eq!(of("Patient", "birthdate").expression, "Patient.birthDate");
    assert_eq!(of("Person", "birthdate").expression, "Person.birthDate");
    assert_eq!(
        of("Observation", "date").expression,
        "Observation.effective"
    );
    assert_eq!(
        of("AllergyIntolerance", "code").expression,
        "AllergyIntolerance.code | AllergyIntolerance.reaction.substance"
    );
    assert_eq!(of("InsurancePlan", "name").expression, "name | alias");
    assert_eq!(of("Observation", "patient").kind, SearchKind::Reference);
    assert_eq!(of("Observation", "code-value-quantity").components.len(), 2);
    assert!(!of("Observation", "code-value-quantity").multiple_or);
    assert!(r4().search_parameter("Bundle", "_text").is_none());
    assert!(r4().search_parameters("Nothing").is_empty());
}

#[test]
fn compartments_name_their_parameters() {
    assert_eq!(
        r4().compartment("Patient", "Observation"),
        ["subject", "performer"]
    );
    assert_eq!(r4().compartment("Patient", "Medication"), [""; 0]);
    assert_eq!(
        r4().compartments(),
        [
            "Device",
            "Encounter",
            "Patient",
            "Practitioner",
            "RelatedPerson"
        ]
    );
    for name in r4().compartments() {
        for ty in r4().resource_types() {
            for code in r4().compartment(name, ty.name) {
                let known = *code == "{def}" || r4().search_parameter(ty.name, code).is_some();
                assert!(known, "{name} {} {code}", ty.name);
            }
        }
    }
}

#[test]
fn reading_takes_less_than_fifty_milliseconds() {
    let start = std::time::Instant::now();
    let types = r4().types().count();
    let taken = start.elapsed();
    println!("{types} types in {taken:?}");
    // A build with checks on a busy machine is some ten times slower than a
    // release; the release is measured by hand.
    assert!(taken.as_millis() < 1000);
}
