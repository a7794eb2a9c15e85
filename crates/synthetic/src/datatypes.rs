//! FHIR datatypes as the generator writes them: <https://hl7.org/fhir/R4/datatypes.html>.

use jiff::civil::Date;

use crate::chart::{Form, Target};
use crate::codes::{Code, UCUM, Unit};
use crate::time::{Moment, write_date};
use crate::write::{Decimal, Writer};

impl Writer {
    pub(crate) fn date(&mut self, key: &str, date: Date) {
        self.plain(key, |out| write_date(date, out));
    }

    /// A `dateTime` or `instant`.
    pub(crate) fn moment(&mut self, key: &str, moment: Moment) {
        self.plain(key, |out| moment.write(out));
    }

    pub(crate) fn period(&mut self, key: &str, start: Moment, end: Moment) {
        self.object(key, |w| {
            w.moment("start", start);
            w.moment("end", end);
        });
    }

    /// `meta.profile`: the US Core profile a resource is shaped after.
    pub(crate) fn profile(&mut self, name: &str) {
        self.object("meta", |w| {
            w.list("profile", |w| {
                w.string_element(&format!(
                    "http://hl7.org/fhir/us/core/StructureDefinition/{name}"
                ));
            });
        });
    }

    pub(crate) fn coding(&mut self, key: &str, code: Code) {
        self.object(key, |w| w.coding_members(code));
    }

    /// A Coding as an element of a list.
    pub(crate) fn coding_element(&mut self, code: Code) {
        self.element(|w| w.coding_members(code));
    }

    fn coding_members(&mut self, code: Code) {
        self.string("system", code.system);
        self.string("code", code.code);
        self.string("display", code.display);
    }

    pub(crate) fn concept(&mut self, key: &str, code: Code) {
        self.object(key, |w| w.concept_members(&[code]));
    }

    /// A CodeableConcept whose text is the display of its first code.
    pub(crate) fn concept_of(&mut self, key: &str, codes: &[Code]) {
        self.object(key, |w| {
            w.concept_members(codes);
            if let Some(first) = codes.first() {
                w.string("text", first.display);
            }
        });
    }

    /// A list with one CodeableConcept.
    pub(crate) fn concepts(&mut self, key: &str, code: Code) {
        self.list(key, |w| w.concept_element(code));
    }

    /// A CodeableConcept as an element of a list.
    pub(crate) fn concept_element(&mut self, code: Code) {
        self.element(|w| w.concept_members(&[code]));
    }

    fn concept_members(&mut self, codes: &[Code]) {
        self.list("coding", |w| {
            codes.iter().for_each(|code| w.coding_element(*code))
        });
    }

    /// A CodeableConcept with text alone.
    pub(crate) fn concept_text(&mut self, key: &str, text: &str) {
        self.object(key, |w| w.string("text", text));
    }

    pub(crate) fn reference(&mut self, key: &str, target: Target) {
        self.object(key, |w| w.reference_members(target));
    }

    /// A Reference that also says whom it means.
    pub(crate) fn reference_named(&mut self, key: &str, target: Target, display: &str) {
        self.object(key, |w| {
            w.reference_members(target);
            w.string("display", display);
        });
    }

    /// A list with one Reference.
    pub(crate) fn references(&mut self, key: &str, targets: &[Target]) {
        self.list(key, |w| {
            targets
                .iter()
                .for_each(|target| w.element(|w| w.reference_members(*target)));
        });
    }

    pub(crate) fn reference_members(&mut self, target: Target) {
        let form = self.form;
        self.plain("reference", |out| match (target, form) {
            (Target::Shared(path), _) => out.push_str(path),
            (Target::Own(_, id), Form::Transaction) => {
                out.push_str("urn:uuid:");
                id.write(out);
            }
            (Target::Own(kind, id), Form::Lines) => {
                out.push_str(kind);
                out.push('/');
                id.write(out);
            }
        });
    }

    pub(crate) fn quantity(&mut self, key: &str, value: Decimal, unit: Unit) {
        self.object(key, |w| w.quantity_members(value, unit));
    }

    pub(crate) fn quantity_members(&mut self, value: Decimal, unit: Unit) {
        self.decimal("value", value);
        self.string("unit", unit.text);
        self.string("system", UCUM);
        self.string("code", unit.code);
    }

    pub(crate) fn money(&mut self, key: &str, cents: i64) {
        self.object(key, |w| {
            w.decimal("value", Decimal::cents(cents));
            w.string("currency", "USD");
        });
    }

    /// A generated narrative: `text`, with one paragraph.
    pub(crate) fn narrative(&mut self, paragraph: &str) {
        self.object("text", |w| {
            w.string("status", "generated");
            w.joined(
                "div",
                &[
                    "<div xmlns=\"http://www.w3.org/1999/xhtml\"><p>",
                    paragraph,
                    "</p></div>",
                ],
            );
        });
    }
}
