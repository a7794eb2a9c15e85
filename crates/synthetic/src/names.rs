//! Invented names and addresses.
//!
//! Family and street names are made from two halves, so that they sound like names of a country
//! that never was and rarely name anybody.

use crate::draw::Draw;

#[rustfmt::skip]
pub(crate) const GIVEN_FEMALE: &[&str] = &[
    "Adelis", "Amarine", "Anwen", "Brisa", "Calla", "Celandine", "Corisande", "Delphia", "Eirene",
    "Elowen", "Esmera", "Fenella", "Galia", "Hesper", "Ilaria", "Isolde", "Jessamy", "Kaveri",
    "Liora", "Lunette", "Maelis", "Marisol", "Mirabel", "Nadira", "Nerys", "Odalys", "Orla",
    "Perpetua", "Quilla", "Rosalba", "Sabela", "Sunniva", "Tamsin", "Thandi", "Ulla", "Verity",
    "Wilhelma", "Xiomara", "Ysolde", "Zelia",
];

pub(crate) const GIVEN_MALE: &[&str] = &[
    "Aldous", "Ambrose", "Anselm", "Balthar", "Bram", "Calder", "Cassian", "Corwin", "Dorian",
    "Eamon", "Edric", "Elias", "Evander", "Fintan", "Florian", "Gareth", "Hadrian", "Idris",
    "Ignace", "Jorah", "Kiran", "Lazar", "Leopold", "Lysander", "Mateus", "Merrick", "Nestor",
    "Oswin", "Percival", "Quentin", "Rafe", "Roderic", "Silvan", "Taliesin", "Thaddeus", "Ugo",
    "Valerian", "Wendell", "Yoric", "Zoran",
];

const FAMILY_START: &[&str] = &[
    "Alder", "Ash", "Bir", "Bram", "Cald", "Corv", "Dun", "Eld", "Fen", "Gar", "Hal", "Harrow",
    "Ivel", "Kest", "Lark", "Lind", "Mar", "Mere", "Nor", "Oak", "Pell", "Quar", "Raven", "Sel",
    "Strand", "Tarn", "Thorn", "Ulver", "Vell", "Wether", "Wint", "Yar",
];

const FAMILY_END: &[&str] = &[
    "aby", "bourne", "brook", "by", "combe", "croft", "dale", "den", "fell", "field", "ford",
    "gate", "holm", "hurst", "kirk", "leigh", "low", "mere", "more", "ney", "ridge", "sby", "shaw",
    "stead", "stone", "thwaite", "ton", "wick", "win", "worth",
];

const STREET_END: &[&str] = &[
    "Street", "Avenue", "Lane", "Road", "Way", "Terrace", "Court",
];

/// Towns of the region, with postal codes from a range that is not assigned to any place.
pub(crate) const TOWNS: &[(&str, &str)] = &[
    ("Harrowmere", "00101"),
    ("Lindenport", "00112"),
    ("Saltbridge", "00123"),
    ("Eldershaw", "00134"),
    ("Quillford", "00145"),
    ("Tarnwick", "00156"),
    ("Wintercombe", "00167"),
    ("Marrowgate", "00178"),
];

/// The state the invented region is said to lie in.
pub(crate) const STATE: &str = "ME";

/// A first and a second name, never the same.
pub(crate) fn given(names: &[&'static str], draw: &mut Draw) -> [&'static str; 2] {
    let first = draw.below(names.len() as u64) as usize;
    let step = 1 + draw.below(names.len() as u64 - 1) as usize;
    [names[first], names[(first + step) % names.len()]]
}

pub(crate) fn family(draw: &mut Draw) -> String {
    let start = *draw.pick(FAMILY_START);
    // A syllable repeated at the joint ("Meremere") is nobody's name.
    let end = loop {
        let end = *draw.pick(FAMILY_END);
        if !start.eq_ignore_ascii_case(end) {
            break end;
        }
    };
    format!("{start}{end}")
}

pub(crate) fn street(draw: &mut Draw) -> String {
    format!(
        "{} {} {}",
        draw.between(1, 980),
        family(draw),
        draw.pick(STREET_END)
    )
}

/// A number of the range kept for fiction: exchange 555, line 0100 to 0199.
pub(crate) fn phone(draw: &mut Draw) -> String {
    format!(
        "+1-{}-555-01{:02}",
        draw.between(201, 989),
        draw.between(0, 99)
    )
}
