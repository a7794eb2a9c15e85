//! Whether the values of a life agree with each other.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::{Chart, charts, path};

fn cents(money: &Value) -> i64 {
    assert_eq!(money["currency"], "USD");
    (money["value"].as_f64().unwrap() * 100.0).round() as i64
}

fn quantity(observation: &Value) -> f64 {
    observation["valueQuantity"]["value"].as_f64().unwrap()
}

/// The value of the observation with this code at the same encounter.
fn beside(chart: &Chart, observation: &Value, loinc: &str) -> f64 {
    let encounter = &observation["encounter"];
    quantity(
        chart
            .observations(loinc)
            .find(|other| other["encounter"] == *encounter)
            .unwrap(),
    )
}

#[test]
fn body_mass_index_is_weight_over_height_squared() {
    let mut seen = 0;
    for chart in charts() {
        for bmi in chart.observations("39156-5") {
            let metres = beside(chart, bmi, "8302-2") / 100.0;
            let expected = beside(chart, bmi, "29463-7") / (metres * metres);
            assert!((quantity(bmi) - expected).abs() <= 0.051, "{}", path(bmi));
            seen += 1;
        }
    }
    assert!(seen > 500, "{seen}");
}

#[test]
fn children_never_shrink() {
    for chart in charts() {
        let heights = chart.observations("8302-2");
        let heights: Vec<f64> = heights
            .filter(|height| chart.age_at(height["effectiveDateTime"].as_str().unwrap()) < 18.0)
            .map(quantity)
            .collect();
        assert!(heights.is_sorted(), "{heights:?}");
    }
}

#[test]
fn claims_add_up_and_are_settled_to_the_cent() {
    for chart in charts() {
        assert_eq!(chart.of("Claim").count(), chart.of("Encounter").count());
        for claim in chart.of("Claim") {
            let items = claim["item"].as_array().unwrap();
            let sum: i64 = items.iter().map(|item| cents(&item["net"])).sum();
            assert_eq!(cents(&claim["total"]), sum, "{}", path(claim));
        }
        for benefit in chart.of("ExplanationOfBenefit") {
            check_settlement(benefit);
        }
    }
}

fn check_settlement(benefit: &Value) {
    let amount = |list: &Value, category: &str| {
        let mut parts = list.as_array().unwrap().iter();
        let part = parts.find(|part| part["category"]["coding"][0]["code"] == category);
        cents(&part.unwrap()["amount"])
    };
    let mut sums = HashMap::from([("submitted", 0), ("benefit", 0), ("copay", 0)]);
    for item in benefit["item"].as_array().unwrap() {
        let part = |category| amount(&item["adjudication"], category);
        assert_eq!(
            part("eligible"),
            part("benefit") + part("copay"),
            "{}",
            path(benefit)
        );
        assert_eq!(part("submitted"), cents(&item["net"]));
        sums.iter_mut()
            .for_each(|(category, sum)| *sum += part(category));
    }
    for (category, sum) in &sums {
        assert_eq!(
            amount(&benefit["total"], category),
            *sum,
            "{}",
            path(benefit)
        );
    }
    assert_eq!(cents(&benefit["payment"]["amount"]), sums["benefit"]);
}

#[test]
fn flags_agree_with_values_and_ranges() {
    let mut seen = HashMap::new();
    for observation in charts().iter().flat_map(|chart| chart.of("Observation")) {
        let Some(range) = observation["referenceRange"].get(0) else {
            continue;
        };
        let bound = |name: &str| range[name]["value"].as_f64();
        let value = quantity(observation);
        let expected = if bound("low").is_some_and(|low| value < low) {
            "L"
        } else if bound("high").is_some_and(|high| value > high) {
            "H"
        } else {
            "N"
        };
        let flag = &observation["interpretation"][0]["coding"][0]["code"];
        assert_eq!(flag, expected, "{}", path(observation));
        *seen.entry(expected).or_insert(0) += 1;
    }
    assert!(
        ["L", "N", "H"].iter().all(|flag| seen[flag] > 50),
        "{seen:?}"
    );
}

#[test]
fn panels_agree_with_themselves() {
    for chart in charts() {
        for ldl in chart.observations("13457-7") {
            let total = beside(chart, ldl, "2093-3");
            let expected =
                total - beside(chart, ldl, "2085-9") - beside(chart, ldl, "2571-8") / 5.0;
            assert!((quantity(ldl) - expected).abs() <= 0.51, "{}", path(ldl));
        }
        for volume in chart.observations("787-2") {
            let expected = beside(chart, volume, "4544-3") * 10.0 / beside(chart, volume, "789-8");
            assert!(
                (quantity(volume) - expected).abs() <= 0.051,
                "{}",
                path(volume)
            );
        }
    }
}

#[test]
fn sugar_follows_diabetes() {
    let mut seen = 0;
    for chart in charts() {
        let sweet = chart.of("Condition").any(|condition| {
            let code = &condition["code"]["coding"][0]["code"];
            code == "44054006" || code == "9414007"
        });
        for glycated in chart.observations("4548-4") {
            assert!(sweet && quantity(glycated) >= 5.7, "{}", path(glycated));
            seen += 1;
        }
        if !sweet {
            let glucose = chart.observations("2345-7").map(quantity);
            assert!(glucose.fold(0.0, f64::max) < 112.0);
        }
    }
    assert!(seen > 50, "{seen}");
}

#[test]
fn pressure_follows_hypertension() {
    let mean = |with: bool| {
        let has = |chart: &Chart| {
            chart
                .of("Condition")
                .any(|c| c["code"]["coding"][0]["code"] == "59621000")
        };
        let charts = charts()
            .iter()
            .filter(|chart| chart.age_at(&chart.last) > 40.0 && has(chart) == with);
        let pressures: Vec<f64> = charts
            .flat_map(|chart| chart.observations("85354-9"))
            .map(|panel| {
                panel["component"][0]["valueQuantity"]["value"]
                    .as_f64()
                    .unwrap()
            })
            .collect();
        pressures.iter().sum::<f64>() / pressures.len() as f64
    };
    assert!(
        mean(true) > mean(false) + 6.0,
        "{} {}",
        mean(true),
        mean(false)
    );
}

#[test]
fn conditions_begin_before_they_end_and_are_recorded_in_between() {
    for condition in charts().iter().flat_map(|chart| chart.of("Condition")) {
        let onset = condition["onsetDateTime"].as_str().unwrap();
        let recorded = condition["recordedDate"].as_str().unwrap();
        assert!(onset <= &recorded[..10], "{}", path(condition));
        let status = &condition["clinicalStatus"]["coding"][0]["code"];
        match condition["abatementDateTime"].as_str() {
            Some(end) => assert!(onset <= end && status == "resolved", "{}", path(condition)),
            None => assert_eq!(status, "active", "{}", path(condition)),
        }
    }
}

#[test]
fn vaccines_come_at_their_ages_and_in_order() {
    /// (CVX, youngest age in years, oldest age in years)
    const AGES: &[(&str, f64, f64)] = &[
        ("08", 0.0, 1.8),
        ("119", 0.15, 0.8),
        ("20", 0.15, 5.5),
        ("03", 0.99, 6.3),
        ("21", 0.99, 6.3),
        ("115", 10.9, 14.5),
        ("165", 10.9, 17.0),
        ("187", 49.9, 82.0),
        ("33", 64.9, 86.0),
        ("140", 0.49, 120.0),
    ];
    for chart in charts() {
        let mut doses: HashMap<&str, i64> = HashMap::new();
        for shot in chart.of("Immunization") {
            let code = shot["vaccineCode"]["coding"][0]["code"].as_str().unwrap();
            let age = chart.age_at(shot["occurrenceDateTime"].as_str().unwrap());
            let known = AGES.iter().find(|(known, ..)| *known == code);
            let fits = known.is_none_or(|(_, from, to)| (*from..=*to).contains(&age));
            assert!(fits, "{code} at {age}");
            if let Some(dose) = shot["protocolApplied"][0]["doseNumberPositiveInt"].as_i64() {
                assert!(doses.insert(code, dose).unwrap_or(0) < dose, "{code}");
            }
        }
    }
}

#[test]
fn orders_last_as_long_as_their_quantity() {
    let mut statuses = HashSet::new();
    for order in charts()
        .iter()
        .flat_map(|chart| chart.of("MedicationRequest"))
    {
        let dosage = &order["dosageInstruction"][0];
        let dose = dosage["doseAndRate"][0]["doseQuantity"]["value"]
            .as_i64()
            .unwrap();
        let often = dosage["timing"]["repeat"]["frequency"].as_i64().unwrap();
        let dispense = &order["dispenseRequest"];
        let days = dispense["expectedSupplyDuration"]["value"]
            .as_i64()
            .unwrap();
        assert_eq!(
            dispense["quantity"]["value"],
            dose * often * days,
            "{}",
            path(order)
        );
        statuses.insert(order["status"].as_str().unwrap());
    }
    assert_eq!(statuses, HashSet::from(["active", "completed", "stopped"]));
}

#[test]
fn nobody_is_given_what_they_are_allergic_to() {
    const PENICILLINS: &[&str] = &["308182", "562251", "834061"];
    let mut allergic = 0;
    for chart in charts() {
        let is_allergic = chart
            .of("AllergyIntolerance")
            .any(|allergy| allergy["code"]["coding"][0]["code"] == "91936005");
        allergic += usize::from(is_allergic);
        let mut orders = chart.of("MedicationRequest");
        let penicillin = orders.any(|order| {
            let code = order["medicationCodeableConcept"]["coding"][0]["code"]
                .as_str()
                .unwrap();
            PENICILLINS.contains(&code)
        });
        assert!(!(is_allergic && penicillin));
    }
    assert!(allergic > 3, "{allergic}");
}

#[test]
fn the_dead_have_a_last_stay_that_ends_with_them() {
    let mut dead = 0;
    for chart in charts() {
        let Some(died) = chart.resources[0]["deceasedDateTime"].as_str() else {
            continue;
        };
        dead += 1;
        let mut stays = chart.of("Encounter").filter(|encounter| {
            encounter["hospitalization"]["dischargeDisposition"]["coding"][0]["code"] == "exp"
        });
        assert_eq!(stays.next().unwrap()["period"]["end"], died);
        assert!(stays.next().is_none());
    }
    assert!(dead >= 3, "{dead}");
}

#[test]
fn all_kinds_of_records_appear() {
    const KINDS: &[&str] = &[
        "AllergyIntolerance",
        "CarePlan",
        "Claim",
        "Condition",
        "Coverage",
        "DiagnosticReport",
        "DocumentReference",
        "Encounter",
        "ExplanationOfBenefit",
        "FamilyMemberHistory",
        "Goal",
        "Immunization",
        "MedicationRequest",
        "MolecularSequence",
        "NutritionOrder",
        "Observation",
        "Patient",
        "Procedure",
    ];
    const CATEGORIES: &[&str] = &[
        "activity",
        "laboratory",
        "social-history",
        "survey",
        "vital-signs",
    ];
    let resources = || charts().iter().flat_map(|chart| &chart.resources);
    let kinds: HashSet<&str> = resources()
        .filter_map(|r| r["resourceType"].as_str())
        .collect();
    assert_eq!(kinds, KINDS.iter().copied().collect());
    let observations = resources().filter(|r| r["resourceType"] == "Observation");
    let categories: HashSet<&str> = observations
        .filter_map(|o| o["category"][0]["coding"][0]["code"].as_str())
        .collect();
    assert_eq!(categories, CATEGORIES.iter().copied().collect());
    let mean = resources().count() / charts().len();
    assert!((150..=400).contains(&mean), "{mean}");
}
