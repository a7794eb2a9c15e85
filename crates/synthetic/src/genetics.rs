//! Genetic findings of a few: an observation, its sequence and its report.
//! <https://hl7.org/fhir/R4/molecularsequence.html>
//!
//! Two common variants with well known places on GRCh38: factor V Leiden (rs6025) and HFE C282Y
//! (rs1800562).

use crate::chart::Target;
use crate::codes::{Code, LABORATORY, code, hl7, loinc};
use crate::directory;
use crate::draw::Draw;
use crate::encounters::Setting;
use crate::life::Scene;
use crate::write::Id;

struct Variant {
    gene: Code,
    change: Code,
    chromosome: Code,
    position: i64,
    reference: &'static str,
    observed: &'static str,
    /// Of those tested (who have a reason to be), how many carry it.
    share: f64,
}

const REFSEQ: &str = "http://www.ncbi.nlm.nih.gov/refseq";
const GENES: &str = "http://www.genenames.org/geneId";
const HGVS: &str = "http://varnomen.hgvs.org";

const VARIANTS: &[Variant] = &[
    Variant {
        gene: code(GENES, "HGNC:3542", "F5"),
        change: code(HGVS, "NM_000130.5:c.1601G>A", "NM_000130.5:c.1601G>A"),
        chromosome: code(REFSEQ, "NC_000001.11", "Homo sapiens chromosome 1, GRCh38"),
        position: 169_549_811,
        reference: "C",
        observed: "T",
        share: 0.14,
    },
    Variant {
        gene: code(GENES, "HGNC:4886", "HFE"),
        change: code(HGVS, "NM_000410.4:c.845G>A", "NM_000410.4:c.845G>A"),
        chromosome: code(REFSEQ, "NC_000006.12", "Homo sapiens chromosome 6, GRCh38"),
        position: 26_092_913,
        reference: "G",
        observed: "A",
        share: 0.18,
    },
];

const ASSESSMENT: Code = loinc("69548-6", "Genetic variant assessment");
const GENE_STUDIED: Code = loinc("48018-6", "Gene studied [ID]");
const DNA_CHANGE: Code = loinc("48004-6", "DNA change (c.HGVS)");
const PRESENT: Code = loinc("LA9633-4", "Present");
const ABSENT: Code = loinc("LA9634-2", "Absent");
const SUMMARY: Code = loinc(
    "51969-4",
    "Genetic analysis summary report in Blood or Tissue Document by Molecular genetics method",
);

/// How many variants are tested for.
pub(crate) const COUNT: usize = VARIANTS.len();

/// The variants somebody is born with.
pub(crate) fn draw(draw: &mut Draw) -> [bool; COUNT] {
    let mut carries = [false; COUNT];
    for (carried, variant) in carries.iter_mut().zip(VARIANTS) {
        *carried = draw.chance(variant.share);
    }
    carries
}

/// A few adults are tested at a yearly visit.
pub(crate) fn record(scene: &mut Scene) {
    if !scene.is(Setting::Wellness) || scene.age < 18.0 || !scene.draw.chance(0.03) {
        return;
    }
    let mut results = Vec::new();
    for (variant, present) in VARIANTS.iter().zip(scene.story.person.carries) {
        let sequence = present.then(|| sequence(scene, variant));
        results.push(Target::Own(
            "Observation",
            assessment(scene, variant, sequence),
        ));
    }
    scene.bill.add(SUMMARY, 39_000);
    let (subject, encounter) = (scene.story.subject(), scene.visit.target());
    let (at, laboratory) = (scene.visit.end, directory::LABORATORY.organization());
    scene.chart.add("DiagnosticReport", |w| {
        w.string("status", "final");
        w.concepts("category", hl7!("v2-0074", "GE", "Genetics"));
        w.concept_of("code", &[SUMMARY]);
        w.reference("subject", subject);
        w.reference("encounter", encounter);
        w.moment("effectiveDateTime", at);
        w.moment("issued", at);
        w.references("performer", &[laboratory]);
        w.references("result", &results);
    });
}

fn assessment(scene: &mut Scene, variant: &'static Variant, sequence: Option<Id>) -> Id {
    let at = scene.visit.during(12);
    scene.observe(LABORATORY, ASSESSMENT, at, |w| {
        let value = if sequence.is_some() { PRESENT } else { ABSENT };
        w.concept("valueCodeableConcept", value);
        if let Some(sequence) = sequence {
            w.references("derivedFrom", &[Target::Own("MolecularSequence", sequence)]);
        }
        w.list("component", |w| {
            for (what, value) in [(GENE_STUDIED, variant.gene), (DNA_CHANGE, variant.change)] {
                w.element(|w| {
                    w.concept("code", what);
                    w.concept("valueCodeableConcept", value);
                });
            }
        });
    })
}

fn sequence(scene: &mut Scene, variant: &'static Variant) -> Id {
    let patient = scene.story.subject();
    scene.chart.add("MolecularSequence", |w| {
        w.string("type", "dna");
        w.integer("coordinateSystem", 1);
        w.reference("patient", patient);
        w.object("referenceSeq", |w| {
            w.concept("referenceSeqId", variant.chromosome);
            w.string("strand", "watson");
            w.integer("windowStart", variant.position);
            w.integer("windowEnd", variant.position);
        });
        w.list("variant", |w| {
            w.element(|w| {
                w.integer("start", variant.position);
                w.integer("end", variant.position);
                w.string("observedAllele", variant.observed);
                w.string("referenceAllele", variant.reference);
            });
        });
    })
}
