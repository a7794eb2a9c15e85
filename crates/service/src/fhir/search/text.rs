//! `_text`, `_content` and `:text` as tests of the store, and how well matches fit
//! (<https://hl7.org/fhir/R4/search.html#content>,
//! <https://hl7.org/fhir/R4/bundle-definitions.html#Bundle.entry.search.score>).

use salus_fhir::search::{Criterion, Extractor, Modifier, Operand, Piece, TextQuery};
use salus_store::{Filter, Hit, Relevance, Rows, Test, TextTest, Wanted};

use crate::fhir::rows;
use crate::fhir::types::ResourceType;

/// Whether a criterion is about the words of a resource.
pub(super) fn is_text(criterion: &Criterion) -> bool {
    matches!(criterion.values[..], [Operand::Words(_), ..])
}

/// The filter for a criterion. All alternatives are one test, so that it ranks.
///
/// `:text` is about passages, whose words are among those of the whole text:
/// it is ranked, and the records are found, by that.
pub(super) fn filter(ty: ResourceType, criterion: &Criterion) -> Option<Filter> {
    let wanted = criterion.values.iter().map(|operand| {
        if let Operand::Words(query) = operand {
            Some(wanted(query))
        } else {
            None
        }
    });
    let mut any: Vec<Wanted> = wanted.collect::<Option<_>>()?;
    let wanted = match any.len() {
        1 => any.remove(0),
        _ => Wanted::Any(any),
    };
    if criterion.modifier != Some(Modifier::Text) {
        let lead = criterion.parameter.code == "_text";
        return Some(text(ty, lead, wanted));
    }
    let kept = Extractor::for_type(ty.name)?.kept_under(criterion.parameter);
    let passages = kept.map(|parameter| {
        let param = rows::text_param(ty.name, parameter);
        Filter::Value(param, Test::Passage(wanted.clone()))
    });
    let passages = passages.collect();
    let whole = text(ty, false, without_exceptions(wanted));
    Some(Filter::All(vec![whole, Filter::Any(passages)]))
}

fn text(ty: ResourceType, lead: bool, wanted: Wanted) -> Filter {
    let test = TextTest { lead, wanted };
    Filter::Value(rows::words_param(ty.name), Test::Words(test))
}

/// What the whole text has if a passage has what is wanted: what may not be in
/// the passage may stand elsewhere.
fn without_exceptions(wanted: Wanted) -> Wanted {
    let each = |all: Vec<Wanted>| all.into_iter().map(without_exceptions).collect();
    match wanted {
        Wanted::Without(one, _) => without_exceptions(*one),
        Wanted::All(all) => Wanted::All(each(all)),
        Wanted::Any(any) => Wanted::Any(each(any)),
        Wanted::One(_) | Wanted::Phrase(_) => wanted,
    }
}

/// What matches are ranked by; `None` if no text is asked for.
pub(super) fn relevance(filters: &[Filter]) -> Option<Relevance> {
    let tests = filters.iter().filter_map(|filter| {
        // Of `:text`, what it begins with.
        let filter = if let Filter::All(both) = filter {
            both.first()?
        } else {
            filter
        };
        if let Filter::Value(param, Test::Words(test)) = filter {
            Some((*param, test.clone()))
        } else {
            None
        }
    });
    let tests: Vec<_> = tests.collect();
    (!tests.is_empty()).then_some(Relevance(tests))
}

/// How well a hit fits, between 0 and 1; its words are among its rows.
pub(super) fn score(relevance: &Relevance, hit: &Hit) -> String {
    let score = relevance.score(Rows::of(&hit.rows));
    // A decimal of FHIR has a digit in front.
    format!("{score:.4}")
}

fn wanted(query: &TextQuery) -> Wanted {
    let all = |all: &[TextQuery]| all.iter().map(wanted).collect();
    match query {
        TextQuery::One(one) => Wanted::One(piece(one)),
        TextQuery::Phrase(pieces) => Wanted::Phrase(pieces.iter().map(piece).collect()),
        TextQuery::All(queries) => Wanted::All(all(queries)),
        TextQuery::Any(queries) => Wanted::Any(all(queries)),
        TextQuery::Without(one, other) => Wanted::Without(wanted(one).into(), wanted(other).into()),
    }
}

fn piece(piece: &Piece) -> salus_store::Piece {
    match piece {
        Piece::Stem(stem) => salus_store::Piece::Stem(stem.clone()),
        Piece::Prefix(start) => salus_store::Piece::Prefix(start.clone()),
    }
}
