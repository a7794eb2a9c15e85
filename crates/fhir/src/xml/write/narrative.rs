//! Narratives as a part of XML: their text as it is, but for what JSON lets
//! pass and XML would not (<https://hl7.org/fhir/R4/narrative.html#xhtml>).
//!
//! Carriage returns become references, which XML readers keep; names of
//! characters that only HTML has become the characters; `--` inside a remark
//! and `]]>` are broken up.

use super::super::character;
use super::text::allowed;
use crate::xhtml;

/// Writes a `div`; the fault is a rule for people to read.
pub(super) fn write(out: &mut String, div: &str) -> Result<(), &'static str> {
    xhtml::check_form(div)?;
    let mut state = State::Text;
    let mut rest = div.trim();
    while let Some(at) = rest.bytes().position(|byte| IS_SPECIAL[usize::from(byte)]) {
        let (plain, found) = rest.split_at(at);
        out.push_str(plain);
        let len = state.special(out, found);
        rest = found.get(len..).unwrap_or_default();
    }
    out.push_str(rest);
    Ok(())
}

/// What a character is part of.
#[derive(Clone, Copy)]
enum State {
    Text,
    Tag,
    /// The value of an attribute, with its quote.
    Value(char),
    Remark,
}

impl State {
    /// Writes what begins with a special character; answers how long it was.
    fn special(&mut self, out: &mut String, found: &str) -> usize {
        let Some(first) = found.chars().next() else {
            return 1;
        };
        match (*self, first) {
            (State::Text, '<') if found.starts_with("<!--") => {
                *self = State::Remark;
                out.push_str("<!--");
                return "<!--".len();
            }
            (State::Text, '<') => *self = State::Tag,
            (State::Tag, '>') => *self = State::Text,
            (State::Tag, '"' | '\'') => *self = State::Value(first),
            (State::Value(quote), _) if quote == first => *self = State::Tag,
            (State::Remark, '-') => return self.dash(out, found),
            (State::Text | State::Value(_), '&') => return reference(out, found),
            (State::Text | State::Value(_), '\r') => {
                out.push_str("&#xD;");
                return 1;
            }
            (State::Tag | State::Remark, '\r') => {
                out.push('\n');
                return 1;
            }
            (State::Text, '>') if out.ends_with("]]") => {
                out.push_str("&gt;");
                return 1;
            }
            (_, _) => {}
        }
        out.push(allowed(first));
        first.len_utf8()
    }

    /// A `-` in a remark, or its end.
    fn dash(&mut self, out: &mut String, found: &str) -> usize {
        if out.ends_with('-') {
            out.push(' ');
        }
        if found.starts_with("-->") {
            *self = State::Text;
            out.push_str("-->");
            return "-->".len();
        }
        out.push('-');
        1
    }
}

/// Writes a reference to a character, or the character that HTML means.
fn reference(out: &mut String, found: &str) -> usize {
    if let Some((_, len)) = character::reference(found) {
        out.push_str(found.get(..len).unwrap_or_default());
        return len;
    }
    match character::name(found) {
        Some(name) => {
            out.push(named(name).unwrap_or(char::REPLACEMENT_CHARACTER));
            name.len() + 2
        }
        None => {
            out.push_str("&amp;");
            1
        }
    }
}

/// The character of a name of HTML 4
/// (<https://www.w3.org/TR/html4/sgml/entities.html>).
fn named(name: &str) -> Option<char> {
    let latin = LATIN_1.split_whitespace().position(|of| of == name);
    if let Some(at) = latin {
        return char::from_u32(0xA0 + u32::try_from(at).ok()?);
    }
    let mut words = OTHERS.split_whitespace();
    while let (Some(of), Some(character)) = (words.next(), words.next()) {
        if of == name {
            return u32::from_str_radix(character, 16)
                .ok()
                .and_then(char::from_u32);
        }
    }
    None
}

/// U+00A0 to U+00FF.
const LATIN_1: &str = "\
    nbsp iexcl cent pound curren yen brvbar sect uml copy ordf laquo not shy reg macr deg plusmn \
    sup2 sup3 acute micro para middot cedil sup1 ordm raquo frac14 frac12 frac34 iquest Agrave \
    Aacute Acirc Atilde Auml Aring AElig Ccedil Egrave Eacute Ecirc Euml Igrave Iacute Icirc Iuml \
    ETH Ntilde Ograve Oacute Ocirc Otilde Ouml times Oslash Ugrave Uacute Ucirc Uuml Yacute THORN \
    szlig agrave aacute acirc atilde auml aring aelig ccedil egrave eacute ecirc euml igrave \
    iacute icirc iuml eth ntilde ograve oacute ocirc otilde ouml divide oslash ugrave uacute ucirc \
    uuml yacute thorn yuml \
";

/// Each with its number.
const OTHERS: &str = "\
    OElig 152 oelig 153 Scaron 160 scaron 161 Yuml 178 fnof 192 circ 2c6 tilde 2dc Alpha 391 Beta \
    392 Gamma 393 Delta 394 Epsilon 395 Zeta 396 Eta 397 Theta 398 Iota 399 Kappa 39a Lambda 39b \
    Mu 39c Nu 39d Xi 39e Omicron 39f Pi 3a0 Rho 3a1 Sigma 3a3 Tau 3a4 Upsilon 3a5 Phi 3a6 Chi 3a7 \
    Psi 3a8 Omega 3a9 alpha 3b1 beta 3b2 gamma 3b3 delta 3b4 epsilon 3b5 zeta 3b6 eta 3b7 theta \
    3b8 iota 3b9 kappa 3ba lambda 3bb mu 3bc nu 3bd xi 3be omicron 3bf pi 3c0 rho 3c1 sigmaf 3c2 \
    sigma 3c3 tau 3c4 upsilon 3c5 phi 3c6 chi 3c7 psi 3c8 omega 3c9 thetasym 3d1 upsih 3d2 piv 3d6 \
    ensp 2002 emsp 2003 thinsp 2009 zwnj 200c zwj 200d lrm 200e rlm 200f ndash 2013 mdash 2014 \
    lsquo 2018 rsquo 2019 sbquo 201a ldquo 201c rdquo 201d bdquo 201e dagger 2020 Dagger 2021 bull \
    2022 hellip 2026 permil 2030 prime 2032 Prime 2033 lsaquo 2039 rsaquo 203a oline 203e frasl \
    2044 euro 20ac image 2111 weierp 2118 real 211c trade 2122 alefsym 2135 larr 2190 uarr 2191 \
    rarr 2192 darr 2193 harr 2194 crarr 21b5 lArr 21d0 uArr 21d1 rArr 21d2 dArr 21d3 hArr 21d4 \
    forall 2200 part 2202 exist 2203 empty 2205 nabla 2207 isin 2208 notin 2209 ni 220b prod 220f \
    sum 2211 minus 2212 lowast 2217 radic 221a prop 221d infin 221e ang 2220 and 2227 or 2228 cap \
    2229 cup 222a int 222b there4 2234 sim 223c cong 2245 asymp 2248 ne 2260 equiv 2261 le 2264 ge \
    2265 sub 2282 sup 2283 nsub 2284 sube 2286 supe 2287 oplus 2295 otimes 2297 perp 22a5 sdot \
    22c5 lceil 2308 rceil 2309 lfloor 230a rfloor 230b lang 2329 rang 232a loz 25ca spades 2660 \
    clubs 2663 hearts 2665 diams 2666 \
";

const IS_SPECIAL: [bool; 256] = {
    let mut is = [false; 256];
    let mut control = 0;
    while control < 0x20 {
        is[control] = !matches!(control as u8, b'\t' | b'\n');
        control += 1;
    }
    is[b'"' as usize] = true;
    is[b'&' as usize] = true;
    is[b'\'' as usize] = true;
    is[b'-' as usize] = true;
    is[b'<' as usize] = true;
    is[b'>' as usize] = true;
    // The first byte of U+FFFE and U+FFFF.
    is[0xEF] = true;
    is
};
