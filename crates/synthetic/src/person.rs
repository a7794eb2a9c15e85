//! Who somebody is: <https://hl7.org/fhir/R4/patient.html>.

use jiff::civil::Date;

use crate::allergies::{self, Allergy};
use crate::body::{Body, Sex};
use crate::chart::{Chart, Target};
use crate::codes::{Code, MEDICAL_RECORD, code, hl7, race};
use crate::directory::{CLINICIANS, CLINICIANS_PER_CLINIC, CLINICS, Clinician, SITES, Site};
use crate::draw::Draw;
use crate::genetics;
use crate::names;
use crate::time::{Moment, plus_days, years_between};
use crate::write::{Id, Writer};

/// A person with the traits that last for life.
pub(crate) struct Person {
    pub(crate) id: Id,
    pub(crate) sex: Sex,
    pub(crate) body: Body,
    pub(crate) born: Date,
    /// The moment of death, if it lies in the past.
    pub(crate) died: Option<Moment>,
    pub(crate) smoking: Smoking,
    pub(crate) allergies: Vec<&'static Allergy>,
    /// Which of the variants of `genetics` this person carries.
    pub(crate) carries: [bool; genetics::COUNT],
    pub(crate) doctor: &'static Clinician,
    pub(crate) given: [&'static str; 2],
    pub(crate) family: String,
    home: Home,
    race: Code,
    ethnicity: Code,
    language: Code,
    marital: Code,
    medical_record: u64,
}

/// Tobacco, from the age of first use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Smoking {
    Never,
    Daily { from_age: i64 },
    Former { from_age: i64, to_age: i64 },
}

struct Home {
    street: String,
    town: (&'static str, &'static str),
    phone: String,
    mailbox: u64,
    relative: String,
    relative_phone: String,
}

const AGE_BANDS: &[(u32, (i64, i64))] = &[
    (22, (0, 17)),
    (28, (18, 39)),
    (31, (40, 64)),
    (16, (65, 84)),
    (3, (85, 95)),
];

const RACES: &[(u32, Code)] = &[
    (62, race("2106-3", "White")),
    (15, race("2054-5", "Black or African American")),
    (12, race("2028-9", "Asian")),
    (5, race("1002-5", "American Indian or Alaska Native")),
];

const ETHNICITIES: &[(u32, Code)] = &[
    (82, race("2186-5", "Not Hispanic or Latino")),
    (18, race("2135-2", "Hispanic or Latino")),
];

const LANGUAGES: &[(u32, Code)] = &[
    (88, code("urn:ietf:bcp:47", "en", "English")),
    (8, code("urn:ietf:bcp:47", "es", "Spanish")),
    (4, code("urn:ietf:bcp:47", "fr", "French")),
];

const MARRIAGES: &[(u32, Code)] = &[
    (30, hl7!("v3-MaritalStatus", "S", "Never Married")),
    (50, hl7!("v3-MaritalStatus", "M", "Married")),
    (14, hl7!("v3-MaritalStatus", "D", "Divorced")),
    (6, hl7!("v3-MaritalStatus", "W", "Widowed")),
];

const UNMARRIED: Code = hl7!("v3-MaritalStatus", "S", "Never Married");

impl Person {
    /// Somebody alive today, or who died within the last `history_years`.
    pub(crate) fn new(id: Id, today: Date, history_years: i64, draw: &mut Draw) -> Person {
        let sex = if draw.chance(0.51) {
            Sex::Female
        } else {
            Sex::Male
        };
        let (youngest, oldest) = *draw.weighted(AGE_BANDS);
        let born = plus_days(today, -draw.between(youngest * 365 + 1, oldest * 365 + 365));
        let died = death(born, today, history_years, draw);
        let clinic = draw.below(CLINICS as u64) as usize;
        let doctor =
            clinic * CLINICIANS_PER_CLINIC + draw.below(CLINICIANS_PER_CLINIC as u64) as usize;
        let given = match sex {
            Sex::Female => names::GIVEN_FEMALE,
            Sex::Male => names::GIVEN_MALE,
        };
        let is_adult = years_between(born, died.map_or(today, |at| at.date)) >= 21.0;
        Person {
            id,
            sex,
            body: Body::new(sex, draw),
            born,
            died,
            smoking: smoking(draw),
            allergies: allergies::draw(draw),
            carries: genetics::draw(draw),
            doctor: &CLINICIANS[doctor],
            given: names::given(given, draw),
            family: names::family(draw),
            home: Home::new(draw),
            race: *draw.weighted(RACES),
            ethnicity: *draw.weighted(ETHNICITIES),
            language: *draw.weighted(LANGUAGES),
            marital: if is_adult {
                *draw.weighted(MARRIAGES)
            } else {
                UNMARRIED
            },
            medical_record: draw.below(10_000_000_000),
        }
    }

    pub(crate) fn target(&self) -> Target {
        Target::Own("Patient", self.id)
    }

    pub(crate) fn clinic(&self) -> &'static Site {
        &SITES[self.doctor.site]
    }

    pub(crate) fn age(&self, date: Date) -> f64 {
        years_between(self.born, date)
    }

    pub(crate) fn display(&self) -> String {
        format!("{} {}", self.given[0], self.family)
    }

    pub(crate) fn write(&self, chart: &mut Chart) {
        chart.add_as("Patient", self.id, |w| self.members(w));
    }

    fn members(&self, w: &mut Writer) {
        w.profile("us-core-patient");
        w.narrative(&format!("{} {}", self.display(), self.born));
        self.extensions(w);
        self.identifiers(w);
        w.boolean("active", self.died.is_none());
        w.list("name", |w| {
            w.element(|w| {
                w.string("use", "official");
                w.string("family", &self.family);
                w.strings("given", &self.given);
            });
        });
        w.list("telecom", |w| self.telecom(w));
        w.string("gender", self.gender());
        w.date("birthDate", self.born);
        if let Some(at) = self.died {
            w.moment("deceasedDateTime", at);
        }
        w.list("address", |w| w.element(|w| self.address(w)));
        w.concept("maritalStatus", self.marital);
        w.list("contact", |w| w.element(|w| self.contact(w)));
        w.list("communication", |w| {
            w.element(|w| {
                w.concept("language", self.language);
                w.boolean("preferred", true);
            });
        });
        w.list("generalPractitioner", |w| {
            w.element(|w| {
                w.reference_members(self.doctor.practitioner());
                w.string("display", self.doctor.display);
            });
        });
        w.reference_named(
            "managingOrganization",
            self.clinic().organization(),
            self.clinic().name,
        );
    }

    pub(crate) fn gender(&self) -> &'static str {
        match self.sex {
            Sex::Female => "female",
            Sex::Male => "male",
        }
    }

    fn extensions(&self, w: &mut Writer) {
        w.list("extension", |w| {
            for (name, value) in [("race", self.race), ("ethnicity", self.ethnicity)] {
                w.element(|w| {
                    w.list("extension", |w| {
                        w.element(|w| {
                            w.string("url", "ombCategory");
                            w.coding("valueCoding", value);
                        });
                        w.element(|w| {
                            w.string("url", "text");
                            w.string("valueString", value.display);
                        });
                    });
                    let base = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-";
                    w.joined("url", &[base, name]);
                });
            }
        });
    }

    fn identifiers(&self, w: &mut Writer) {
        w.list("identifier", |w| {
            w.element(|w| {
                w.string("use", "usual");
                w.concept("type", hl7!("v2-0203", "MR", "Medical record number"));
                w.string("system", MEDICAL_RECORD);
                w.string("value", &format!("MRN-{:010}", self.medical_record));
            });
        });
    }

    fn telecom(&self, w: &mut Writer) {
        w.element(|w| {
            w.string("system", "phone");
            w.string("value", &self.home.phone);
            w.string("use", "home");
        });
        w.element(|w| {
            let [given, family] = [self.given[0].to_lowercase(), self.family.to_lowercase()];
            let mailbox = self.home.mailbox.to_string();
            w.string("system", "email");
            w.joined(
                "value",
                &[&given, ".", &family, ".", &mailbox, "@example.org"],
            );
            w.string("use", "home");
        });
    }

    fn address(&self, w: &mut Writer) {
        w.string("use", "home");
        w.string("type", "both");
        w.strings("line", &[&self.home.street]);
        w.string("city", self.home.town.0);
        w.string("state", names::STATE);
        w.string("postalCode", self.home.town.1);
        w.string("country", "US");
    }

    fn contact(&self, w: &mut Writer) {
        w.list("relationship", |w| {
            w.concept_element(hl7!("v2-0131", "N", "Next-of-Kin"));
        });
        w.object("name", |w| {
            w.string("family", &self.family);
            w.strings("given", &[&self.home.relative]);
        });
        w.list("telecom", |w| {
            w.element(|w| {
                w.string("system", "phone");
                w.string("value", &self.home.relative_phone);
            });
        });
    }
}

impl Home {
    fn new(draw: &mut Draw) -> Home {
        Home {
            street: names::street(draw),
            town: *draw.pick(names::TOWNS),
            phone: names::phone(draw),
            mailbox: draw.below(10_000),
            relative: (*draw.pick(names::GIVEN_FEMALE)).to_owned(),
            relative_phone: names::phone(draw),
        }
    }
}

/// Older people are more likely to have died lately.
fn death(born: Date, today: Date, history_years: i64, draw: &mut Draw) -> Option<Moment> {
    let age = years_between(born, today);
    let probability = match age {
        age if age < 45.0 => 0.0,
        age if age < 65.0 => 0.03,
        age if age < 80.0 => 0.10,
        _ => 0.30,
    };
    let days_ago = draw.between(1, (history_years * 365 * 3 / 5).max(1));
    let minute = draw.between(30, 23 * 60);
    draw.chance(probability)
        .then(|| Moment::new(plus_days(today, -days_ago), minute))
}

fn smoking(draw: &mut Draw) -> Smoking {
    let from_age = draw.between(15, 24);
    let to_age = from_age + draw.between(4, 35);
    *draw.weighted(&[
        (66, Smoking::Never),
        (13, Smoking::Daily { from_age }),
        (21, Smoking::Former { from_age, to_age }),
    ])
}
