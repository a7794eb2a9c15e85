//! The nine types as JSON. They are valid R4 with what peers usually hold: codes with displays, an address, a note.

use super::{
    CLASSES, CONDITIONS, Facts, GENDERS, IDENTIFIERS, Kind, LOINC, Links, MEDICATIONS,
    OBSERVATIONS, PROCEDURES, REPORTS, RXNORM, SNOMED, TERMINOLOGY, UCUM, day, instant,
};

impl Facts {
    /// The resource as JSON. Each `revision` says something else; `id` is there for updates.
    pub(crate) fn text(&self, links: &Links, id: Option<&str>, revision: u32) -> String {
        let id = id.map(|id| format!(r#""id":"{id}","#)).unwrap_or_default();
        let kind = self.kind.name();
        let body = match self.kind {
            Kind::Organization => self.organization(revision),
            Kind::Practitioner => self.practitioner(revision),
            Kind::Patient => self.patient(links, revision),
            Kind::Encounter => self.encounter(links, revision),
            Kind::Condition => self.condition(links, revision),
            Kind::Observation => self.observation(links, revision),
            Kind::MedicationRequest => self.medication_request(links, revision),
            Kind::Procedure => self.procedure(links, revision),
            Kind::DiagnosticReport => self.diagnostic_report(links, revision),
        };
        format!(r#"{{"resourceType":"{kind}",{id}{body}}}"#)
    }

    fn identifiers(&self) -> String {
        format!(
            r#""identifier":[{{"system":"{IDENTIFIERS}","value":"{}"}}]"#,
            self.identifier()
        )
    }

    fn name(&self) -> String {
        format!(
            r#"{{"use":"official","family":"{}","given":["{}"]}}"#,
            self.family(),
            self.given()
        )
    }

    fn organization(&self, revision: u32) -> String {
        format!(
            r#"{},"active":true,"type":[{}],"name":"Clinic {} of {}","telecom":[{}],"address":[{}]"#,
            self.identifiers(),
            concept(
                &format!("{TERMINOLOGY}/organization-type"),
                "prov",
                "Healthcare Provider"
            ),
            self.serial,
            self.family(),
            phone(self.serial, revision),
            address(self.serial),
        )
    }

    fn practitioner(&self, revision: u32) -> String {
        format!(
            r#"{},"active":true,"name":[{}],"telecom":[{}],"address":[{}],"gender":"female""#,
            self.identifiers(),
            self.name(),
            phone(self.serial, revision),
            address(self.serial),
        )
    }

    fn patient(&self, links: &Links, revision: u32) -> String {
        format!(
            concat!(
                r#"{},"active":true,"name":[{}],"telecom":[{}],"gender":"{}","birthDate":"{}","#,
                r#""address":[{}],"maritalStatus":{},"communication":[{{"language":{},"preferred":true}}]{}{}"#,
            ),
            self.identifiers(),
            self.name(),
            phone(self.serial, revision),
            GENDERS[usize::from(self.code)],
            day(self.date),
            address(self.serial),
            concept(&format!("{TERMINOLOGY}/v3-MaritalStatus"), "M", "Married"),
            concept("urn:ietf:bcp:47", "en-US", "English (United States)"),
            list("generalPractitioner", &links.practitioner),
            one("managingOrganization", &links.organization),
        )
    }

    fn encounter(&self, links: &Links, revision: u32) -> String {
        let (class, display) = CLASSES[usize::from(self.code)];
        format!(
            concat!(
                r#"{},"status":"finished","class":{{"system":"{}/v3-ActCode","code":"{}","display":"{}"}},"#,
                r#""type":[{}],"period":{{"start":"{}","end":"{}"}},"priority":{{"text":"revision {}"}}{}{}{}"#,
            ),
            self.identifiers(),
            TERMINOLOGY,
            class,
            display,
            concept(SNOMED, "185349003", "Encounter for check up"),
            instant(self.date),
            instant(self.date + 1_800),
            revision,
            one("subject", &links.subject),
            actor("participant", "individual", &links.practitioner),
            one("serviceProvider", &links.organization),
        )
    }

    fn condition(&self, links: &Links, revision: u32) -> String {
        let (code, display) = CONDITIONS[usize::from(self.code)];
        format!(
            concat!(
                r#""clinicalStatus":{},"verificationStatus":{},"category":[{}],"code":{},"#,
                r#""onsetDateTime":"{}","recordedDate":"{}","note":[{{"text":"Revision {} of condition {}."}}]{}{}"#,
            ),
            concept(
                &format!("{TERMINOLOGY}/condition-clinical"),
                self.status(),
                ""
            ),
            concept(
                &format!("{TERMINOLOGY}/condition-ver-status"),
                "confirmed",
                ""
            ),
            concept(
                &format!("{TERMINOLOGY}/condition-category"),
                "encounter-diagnosis",
                "Encounter Diagnosis"
            ),
            concept(SNOMED, code, display),
            instant(self.date),
            instant(self.date),
            revision,
            self.serial,
            one("subject", &links.subject),
            one("encounter", &links.encounter),
        )
    }

    fn observation(&self, links: &Links, revision: u32) -> String {
        let (code, display, unit, ..) = OBSERVATIONS[usize::from(self.code)];
        format!(
            concat!(
                r#""status":"{}","category":[{}],"code":{},"effectiveDateTime":"{}","issued":"{}","#,
                r#""valueQuantity":{{"value":{}.{},"unit":"{}","system":"{}","code":"{}"}},"#,
                r#""note":[{{"text":"Revision {} of observation {}."}}]{}{}{}"#,
            ),
            self.status(),
            concept(
                &format!("{TERMINOLOGY}/observation-category"),
                "vital-signs",
                "Vital Signs"
            ),
            concept(LOINC, code, display),
            instant(self.date),
            instant(self.date),
            self.value / 10,
            self.value % 10,
            unit,
            UCUM,
            unit,
            revision,
            self.serial,
            one("subject", &links.subject),
            one("encounter", &links.encounter),
            list("performer", &links.practitioner),
        )
    }

    fn medication_request(&self, links: &Links, revision: u32) -> String {
        let (code, display) = MEDICATIONS[usize::from(self.code)];
        format!(
            concat!(
                r#""status":"{}","intent":"order","medicationCodeableConcept":{},"authoredOn":"{}","#,
                r#""dosageInstruction":[{{"sequence":1,"text":"Once a day, revision {}.","asNeededBoolean":false,"#,
                r#""timing":{{"repeat":{{"frequency":1,"period":1.0,"periodUnit":"d"}}}},"#,
                r#""doseAndRate":[{{"doseQuantity":{{"value":1.0}}}}]}}]{}{}{}"#,
            ),
            self.status(),
            concept(RXNORM, code, display),
            instant(self.date),
            revision,
            one("subject", &links.subject),
            one("encounter", &links.encounter),
            one("requester", &links.practitioner),
        )
    }

    fn procedure(&self, links: &Links, revision: u32) -> String {
        let (code, display) = PROCEDURES[usize::from(self.code)];
        format!(
            concat!(
                r#""status":"completed","code":{},"performedPeriod":{{"start":"{}","end":"{}"}},"#,
                r#""note":[{{"text":"Revision {} of procedure {}."}}]{}{}{}"#,
            ),
            concept(SNOMED, code, display),
            instant(self.date),
            instant(self.date + 900),
            revision,
            self.serial,
            one("subject", &links.subject),
            one("encounter", &links.encounter),
            actor("performer", "actor", &links.practitioner),
        )
    }

    fn diagnostic_report(&self, links: &Links, revision: u32) -> String {
        let (code, display) = REPORTS[usize::from(self.code)];
        format!(
            concat!(
                r#"{},"status":"final","category":[{}],"code":{},"effectiveDateTime":"{}","issued":"{}","#,
                r#""conclusion":"Revision {}."{}{}{}{}"#,
            ),
            self.identifiers(),
            concept(&format!("{TERMINOLOGY}/v2-0074"), "LAB", "Laboratory"),
            concept(LOINC, code, display),
            instant(self.date),
            instant(self.date),
            revision,
            one("subject", &links.subject),
            one("encounter", &links.encounter),
            list("performer", &links.organization),
            list("result", &links.result),
        )
    }
}

fn concept(system: &str, code: &str, display: &str) -> String {
    if display.is_empty() {
        return format!(r#"{{"coding":[{{"system":"{system}","code":"{code}"}}]}}"#);
    }
    format!(
        r#"{{"coding":[{{"system":"{system}","code":"{code}","display":"{display}"}}],"text":"{display}"}}"#
    )
}

/// A reference as the last property so far; nothing without a target.
fn one(property: &str, target: &str) -> String {
    if target.is_empty() {
        return String::new();
    }
    format!(r#","{property}":{{"reference":"{target}"}}"#)
}

fn list(property: &str, target: &str) -> String {
    if target.is_empty() {
        return String::new();
    }
    format!(r#","{property}":[{{"reference":"{target}"}}]"#)
}

fn actor(property: &str, role: &str, target: &str) -> String {
    if target.is_empty() {
        return String::new();
    }
    format!(r#","{property}":[{{"{role}":{{"reference":"{target}"}}}}]"#)
}

fn phone(serial: u64, revision: u32) -> String {
    format!(
        r#"{{"system":"phone","value":"555-{:07}-{revision}","use":"work"}}"#,
        serial % 10_000_000
    )
}

fn address(serial: u64) -> String {
    format!(
        r#"{{"line":["{} Main Street"],"city":"Salem","state":"MA","postalCode":"{:05}","country":"US"}}"#,
        serial % 900 + 1,
        serial % 90_000 + 10_000
    )
}
