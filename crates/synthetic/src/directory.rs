//! The places and people that all patients share: one bundle, loaded before any life.
//!
//! Nothing here depends on the seed: populations of different seeds meet in the same town.

use crate::chart::{Chart, Form, Target};
use crate::codes::{Code, hl7, snomed};
use crate::draw::Draw;
use crate::names::STATE;
use crate::write::Writer;

/// What a site is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum SiteKind {
    Clinic,
    Hospital,
    Laboratory,
    Payer,
}

/// An organization and, unless it only pays, the place it works at.
pub(crate) struct Site {
    pub(crate) kind: SiteKind,
    pub(crate) name: &'static str,
    pub(crate) organization: &'static str,
    pub(crate) location: &'static str,
    street: &'static str,
    town: (&'static str, &'static str),
    phone: &'static str,
}

/// Somebody who treats patients.
pub(crate) struct Clinician {
    pub(crate) practitioner: &'static str,
    role: &'static str,
    pub(crate) given: &'static str,
    pub(crate) family: &'static str,
    pub(crate) display: &'static str,
    gender: &'static str,
    specialty: Code,
    pub(crate) site: usize,
}

impl Site {
    pub(crate) fn organization(&self) -> Target {
        Target::Shared(self.organization)
    }

    pub(crate) fn location(&self) -> Target {
        Target::Shared(self.location)
    }
}

impl Clinician {
    pub(crate) fn practitioner(&self) -> Target {
        Target::Shared(self.practitioner)
    }
}

macro_rules! site {
    ($kind:ident, $id:literal, $name:literal, $street:literal, $town:literal, $zip:literal, $phone:literal) => {
        Site {
            kind: SiteKind::$kind,
            name: $name,
            organization: concat!("Organization/synthetic-", $id),
            location: concat!("Location/synthetic-", $id),
            street: $street,
            town: ($town, $zip),
            phone: concat!("+1-207-555-", $phone),
        }
    };
}

/// All sites. The first four are the clinics patients choose from.
#[rustfmt::skip]
pub(crate) const SITES: &[Site] = &[
    site!(Clinic, "harrowmere", "Harrowmere Family Practice", "12 Tarnfield Lane", "Harrowmere", "00101", "0101"),
    site!(Clinic, "lindenport", "Lindenport Community Health", "480 Oakwick Avenue", "Lindenport", "00112", "0102"),
    site!(Clinic, "saltbridge", "Saltbridge Medical Group", "77 Merestone Road", "Saltbridge", "00123", "0103"),
    site!(Clinic, "quillford", "Quillford Primary Care", "5 Larkstead Court", "Quillford", "00145", "0104"),
    site!(Hospital, "eldershaw", "Eldershaw General Hospital", "1 Hospital Way", "Eldershaw", "00134", "0105"),
    site!(Laboratory, "tarnwick", "Tarnwick Reference Laboratory", "300 Norbourne Street", "Tarnwick", "00156", "0106"),
    site!(Payer, "alderwell", "Alderwell Mutual Health Plan", "900 Wintercombe Terrace", "Wintercombe", "00167", "0107"),
    site!(Payer, "commonway", "Commonway Public Plan", "10 Marrowgate Street", "Marrowgate", "00178", "0108"),
    site!(Payer, "silverharbor", "Silver Harbor Senior Plan", "41 Strandholm Avenue", "Lindenport", "00112", "0109"),
];

pub(crate) const CLINICS: usize = 4;
pub(crate) const HOSPITAL: &Site = &SITES[4];
pub(crate) const LABORATORY: &Site = &SITES[5];
pub(crate) const COMMERCIAL_PLAN: &Site = &SITES[6];
pub(crate) const PUBLIC_PLAN: &Site = &SITES[7];
pub(crate) const SENIOR_PLAN: &Site = &SITES[8];

const GENERAL_PRACTICE: Code = snomed("394814009", "General practice");
const INTERNAL_MEDICINE: Code = snomed("419192003", "Internal medicine");
const CARDIOLOGY: Code = snomed("394579002", "Cardiology");
const GENERAL_MEDICINE: Code = snomed("394802001", "General medicine");

macro_rules! clinician {
    ($number:literal, $given:literal, $family:literal, $gender:literal, $specialty:expr, $site:literal) => {
        Clinician {
            practitioner: concat!("Practitioner/synthetic-", $number),
            role: concat!("PractitionerRole/synthetic-", $number),
            given: $given,
            family: $family,
            display: concat!("Dr. ", $given, " ", $family),
            gender: $gender,
            specialty: $specialty,
            site: $site,
        }
    };
}

/// All clinicians: three at each clinic, in the clinics' order, then those of the hospital.
#[rustfmt::skip]
pub(crate) const CLINICIANS: &[Clinician] = &[
    clinician!("01", "Maelis", "Thornleigh", "female", GENERAL_PRACTICE, 0),
    clinician!("02", "Corwin", "Larkstone", "male", GENERAL_PRACTICE, 0),
    clinician!("03", "Nadira", "Velldale", "female", INTERNAL_MEDICINE, 0),
    clinician!("04", "Silvan", "Ashcroft", "male", GENERAL_PRACTICE, 1),
    clinician!("05", "Jessamy", "Norholm", "female", GENERAL_PRACTICE, 1),
    clinician!("06", "Idris", "Kestworth", "male", INTERNAL_MEDICINE, 1),
    clinician!("07", "Liora", "Wetherby", "female", GENERAL_PRACTICE, 2),
    clinician!("08", "Hadrian", "Pellgate", "male", GENERAL_PRACTICE, 2),
    clinician!("09", "Sunniva", "Eldmore", "female", INTERNAL_MEDICINE, 2),
    clinician!("10", "Kiran", "Ravensby", "male", GENERAL_PRACTICE, 3),
    clinician!("11", "Tamsin", "Yarbrook", "female", GENERAL_PRACTICE, 3),
    clinician!("12", "Leopold", "Garwin", "male", INTERNAL_MEDICINE, 3),
    clinician!("13", "Odalys", "Harrowfell", "female", CARDIOLOGY, 4),
    clinician!("14", "Evander", "Dunridge", "male", GENERAL_MEDICINE, 4),
    clinician!("15", "Verity", "Calden", "female", GENERAL_MEDICINE, 4),
    clinician!("16", "Thaddeus", "Ulverton", "male", GENERAL_MEDICINE, 4),
];

pub(crate) const CLINICIANS_PER_CLINIC: usize = 3;
pub(crate) const HOSPITAL_CLINICIANS: usize = CLINICS * CLINICIANS_PER_CLINIC;

const IDENTIFIERS: &str = "https://synthetic.example.org/directory-number";

/// The directory's bundle and how many resources it holds.
pub(crate) fn write(form: Form) -> (String, usize) {
    // A stream of its own: the ids are the same for every population.
    let mut chart = Chart::new(form, Draw::new(0, u64::MAX));
    for (number, site) in SITES.iter().enumerate() {
        chart.add_named("Organization", id_of(site.organization), |w| {
            organization(w, site, number)
        });
        if site.kind != SiteKind::Payer {
            chart.add_named("Location", id_of(site.location), |w| location(w, site));
        }
    }
    for (number, clinician) in CLINICIANS.iter().enumerate() {
        let id = id_of(clinician.practitioner);
        chart.add_named("Practitioner", id, |w| practitioner(w, clinician, number));
        chart.add_named("PractitionerRole", id_of(clinician.role), |w| {
            role(w, clinician)
        });
    }
    chart.finish()
}

fn id_of(reference: &'static str) -> &'static str {
    reference.split_once('/').map_or(reference, |(_, id)| id)
}

fn organization(w: &mut Writer, site: &Site, number: usize) {
    w.profile("us-core-organization");
    identifier(w, &format!("ORG-{number:03}"));
    w.boolean("active", true);
    w.concepts(
        "type",
        match site.kind {
            SiteKind::Payer => hl7!("organization-type", "pay", "Payer"),
            SiteKind::Clinic | SiteKind::Hospital | SiteKind::Laboratory => {
                hl7!("organization-type", "prov", "Healthcare Provider")
            }
        },
    );
    w.string("name", site.name);
    w.list("telecom", |w| w.element(|w| phone(w, site)));
    w.list("address", |w| w.element(|w| address(w, site)));
}

fn location(w: &mut Writer, site: &Site) {
    w.profile("us-core-location");
    w.string("status", "active");
    w.string("name", site.name);
    w.string("mode", "instance");
    w.list("telecom", |w| w.element(|w| phone(w, site)));
    w.object("address", |w| address(w, site));
    w.reference_named("managingOrganization", site.organization(), site.name);
}

fn practitioner(w: &mut Writer, clinician: &Clinician, number: usize) {
    w.profile("us-core-practitioner");
    identifier(w, &format!("PRA-{number:03}"));
    w.boolean("active", true);
    w.list("name", |w| {
        w.element(|w| {
            w.string("use", "official");
            w.string("family", clinician.family);
            w.strings("given", &[clinician.given]);
            w.strings("prefix", &["Dr."]);
        });
    });
    w.list("telecom", |w| {
        w.element(|w| {
            w.string("system", "email");
            let (given, family) = (
                clinician.given.to_lowercase(),
                clinician.family.to_lowercase(),
            );
            w.joined("value", &[&given, ".", &family, "@example.org"]);
            w.string("use", "work");
        });
    });
    w.string("gender", clinician.gender);
}

fn role(w: &mut Writer, clinician: &Clinician) {
    let site = &SITES[clinician.site];
    w.profile("us-core-practitionerrole");
    w.boolean("active", true);
    w.reference_named("practitioner", clinician.practitioner(), clinician.display);
    w.reference_named("organization", site.organization(), site.name);
    w.concepts("code", snomed("158965000", "Medical practitioner"));
    w.concepts("specialty", clinician.specialty);
    w.references("location", &[site.location()]);
    w.list("telecom", |w| w.element(|w| phone(w, site)));
}

fn identifier(w: &mut Writer, value: &str) {
    w.list("identifier", |w| {
        w.element(|w| {
            w.string("system", IDENTIFIERS);
            w.string("value", value);
        });
    });
}

fn phone(w: &mut Writer, site: &Site) {
    w.string("system", "phone");
    w.string("value", site.phone);
    w.string("use", "work");
}

fn address(w: &mut Writer, site: &Site) {
    w.strings("line", &[site.street]);
    w.string("city", site.town.0);
    w.string("state", STATE);
    w.string("postalCode", site.town.1);
    w.string("country", "US");
}
