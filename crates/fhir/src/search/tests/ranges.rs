//! What a range of quantities gives.

use super::check;

#[test]
fn ranges_of_quantities_have_each_form_of_their_ends() {
    let onset = |low: &str, high: &str| format!(r#""onsetRange":{{"low":{low},"high":{high}}}"#);
    let years = |value: u8| {
        format!(
            r#"{{"value":{value},"unit":"years","system":"http://unitsofmeasure.org","code":"a"}}"#
        )
    };
    let amounts = "1262304e3 s as a to 157788e4 s as a";
    let whole = ["40||years to 50||years", amounts];
    check(
        "Condition",
        &onset(&years(40), &years(50)),
        "onset-age",
        &whole,
    );
    // An end without a unit has that of the other.
    check(
        "Condition",
        &onset(r#"{"value":40}"#, &years(50)),
        "onset-age",
        &whole,
    );
    // Ends that cannot be compared are no range.
    let words = |text: &str| format!(r#"{{"value":1,"unit":"{text}"}}"#);
    check(
        "Condition",
        &onset(&words("spoon"), &words("cup")),
        "onset-age",
        &["1||spoon", "1||cup"],
    );
    let sampled = r#""valueSampledData":{"origin":{"value":0,"unit":"mV"},"upperLimit":5}"#;
    check("Observation", sampled, "value-quantity", &[".. to 5||mV"]);
    // A tuple has either end.
    let context = r#""useContext":[{"code":{"code":"age"},
        "valueRange":{"low":{"value":1,"unit":"y"},"high":{"value":2}}}]"#;
    check(
        "PlanDefinition",
        context,
        "context-type-quantity",
        &["|age $ 1||y", "|age $ 2||y"],
    );
}
