//! The clinical date of a resource: when what it records happened, by which a
//! patient's records are put in order.

/// The date parameters of a type that tell its clinical date, best first.
/// Types that describe things rather than events have none.
#[must_use]
pub fn parameters(ty: &str) -> &'static [&'static str] {
    match ty {
        "Account" => &["period"],
        "AllergyIntolerance" => &["onset", "date"],
        "Basic" | "Claim" | "ClaimResponse" | "CoverageEligibilityRequest" => &["created"],
        "CoverageEligibilityResponse" | "DocumentManifest" | "ExplanationOfBenefit" => &["created"],
        "Media" | "PaymentNotice" | "PaymentReconciliation" => &["created"],
        "Bundle" => &["timestamp"],
        "ChargeItem" => &["occurrence", "entered-date"],
        "Communication" => &["sent", "received"],
        "CommunicationRequest" | "ServiceRequest" => &["occurrence", "authored"],
        "Condition" => &["onset-date", "recorded-date"],
        "Contract" | "TestReport" => &["issued"],
        "DetectedIssue" => &["identified"],
        "DeviceRequest" => &["event-date", "authored-on"],
        "DiagnosticReport" => &["date", "issued"],
        "Goal" => &["start-date", "target-date"],
        "ImagingStudy" => &["started"],
        "MedicationAdministration" => &["effective-time"],
        "MedicationDispense" => &["whenhandedover", "whenprepared"],
        "MedicationRequest" => &["authoredon", "date"],
        "MedicationStatement" => &["effective"],
        "NutritionOrder" => &["datetime"],
        "Provenance" => &["when", "recorded"],
        "QuestionnaireResponse" | "RequestGroup" => &["authored"],
        "Slot" => &["start"],
        "Specimen" => &["collected"],
        "Task" => &["authored-on", "modified"],
        "VisionPrescription" => &["datewritten"],
        _ => &["date"],
    }
}

#[cfg(test)]
mod tests {
    use super::parameters;
    use crate::definitions::{self, SearchKind};

    #[test]
    fn the_dates_named_here_are_date_parameters() {
        let definitions = definitions::r4();
        for ty in definitions.resource_types() {
            let codes = parameters(ty.name);
            for code in codes {
                let parameter = definitions.search_parameter(ty.name, code);
                // `date` is the word for all other types, and some have none.
                let known = parameter.is_some_and(|p| p.kind == SearchKind::Date);
                assert!(known || codes == ["date"], "{} {code}", ty.name);
            }
        }
    }
}
