//! Values that are found nowhere else, and the datatypes filled with them.

use crate::chart::Target;
use crate::draw::Draw;
use crate::notes::push_base64;
use crate::write::Writer;

/// Makes values and remembers them.
pub(super) struct Marks {
    draw: Draw,
    pub(super) values: Vec<String>,
}

impl Marks {
    pub(super) fn new(seed: u64) -> Marks {
        Marks {
            draw: Draw::new(seed, u64::MAX - 2),
            values: Vec::new(),
        }
    }

    pub(super) fn text(&mut self) -> String {
        let text = format!("PHIMARK-{:016x}", self.draw.below(u64::MAX));
        self.keep(text)
    }

    /// A day of years that nobody alive and no clock of ours remembers.
    pub(super) fn date(&mut self) -> String {
        let (year, month) = (self.draw.between(1801, 1879), self.draw.between(1, 12));
        let date = format!("{year}-{month:02}-{:02}", self.draw.between(1, 28));
        self.keep(date)
    }

    pub(super) fn moment(&mut self) -> String {
        let minutes = self.draw.between(10, 59);
        format!("{}T11:{minutes}:07.123-05:00", self.date())
    }

    /// Digits that no count, size or time is likely to show.
    pub(super) fn number(&mut self) -> String {
        let (whole, fraction) = (
            self.draw.between(40_000, 99_999),
            self.draw.between(100_001, 999_999),
        );
        self.keep(format!("{whole}.{fraction}"))
    }

    /// A text in base64: it must be found neither encoded nor decoded.
    pub(super) fn base64(&mut self) -> String {
        let text = self.text();
        let mut encoded = String::new();
        push_base64(text.as_bytes(), &mut encoded);
        self.keep(encoded)
    }

    fn keep(&mut self, value: String) -> String {
        self.values.push(value.clone());
        value
    }
}

pub(super) fn narrative(w: &mut Writer, m: &mut Marks) {
    w.narrative(&m.text());
}

pub(super) fn identifier(w: &mut Writer, m: &mut Marks) {
    w.list("identifier", |w| {
        w.element(|w| {
            w.joined("system", &["https://example.org/", &m.text()]);
            w.string("value", &m.text());
        });
    });
}

pub(super) fn names(w: &mut Writer, m: &mut Marks) {
    w.list("name", |w| w.element(|w| name(w, m)));
}

pub(super) fn name(w: &mut Writer, m: &mut Marks) {
    w.string("text", &m.text());
    w.string("family", &m.text());
    w.strings("given", &[&m.text(), &m.text()]);
    w.strings("suffix", &[&m.text()]);
}

pub(super) fn telecom(w: &mut Writer, m: &mut Marks) {
    w.list("telecom", |w| {
        for system in ["phone", "email", "url"] {
            w.element(|w| {
                w.string("system", system);
                w.string("value", &m.text());
            });
        }
    });
}

pub(super) fn addresses(w: &mut Writer, m: &mut Marks) {
    w.list("address", |w| w.element(|w| address(w, m)));
}

pub(super) fn address(w: &mut Writer, m: &mut Marks) {
    w.string("text", &m.text());
    w.strings("line", &[&m.text()]);
    for part in ["city", "district", "state", "postalCode", "country"] {
        w.string(part, &m.text());
    }
}

pub(super) fn concept(w: &mut Writer, key: &str, m: &mut Marks) {
    w.object(key, |w| concept_members(w, m));
}

pub(super) fn concepts(w: &mut Writer, key: &str, m: &mut Marks) {
    w.list(key, |w| w.element(|w| concept_members(w, m)));
}

pub(super) fn concept_members(w: &mut Writer, m: &mut Marks) {
    w.list("coding", |w| {
        w.element(|w| {
            w.string("system", "https://example.org/codes");
            w.string("code", &m.text());
            w.string("display", &m.text());
        });
    });
    w.string("text", &m.text());
}

pub(super) fn named_reference(w: &mut Writer, key: &str, target: Target, m: &mut Marks) {
    w.reference_named(key, target, &m.text());
}

pub(super) fn period(w: &mut Writer, key: &str, m: &mut Marks) {
    // The start must not lie after the end.
    let mut ends = [m.moment(), m.moment()];
    ends.sort();
    w.object(key, |w| {
        w.string("start", &ends[0]);
        w.string("end", &ends[1]);
    });
}

pub(super) fn quantity(w: &mut Writer, key: &str, m: &mut Marks) {
    w.object(key, |w| {
        w.number_text("value", &m.number());
        w.string("unit", &m.text());
    });
}

pub(super) fn notes(w: &mut Writer, m: &mut Marks) {
    w.list("note", |w| {
        w.element(|w| {
            w.string("authorString", &m.text());
            w.string("time", &m.moment());
            w.string("text", &m.text());
        });
    });
}

pub(super) fn attachment(w: &mut Writer, m: &mut Marks) {
    w.string("contentType", "text/plain");
    w.string("data", &m.base64());
    w.joined("url", &["https://example.org/", &m.text()]);
    w.string("title", &m.text());
    w.string("creation", &m.moment());
}
