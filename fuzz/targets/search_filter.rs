//! An expression of `_filter`: the first line is the type, the rest the
//! expression. What is wrong with one is told without what it says.
#![no_main]

use libfuzzer_sys::fuzz_target;

use salus_fhir::issue::operation_outcome;
use salus_fhir::search::{Asking, Parameters, Search};

fuzz_target!(|input: &str| {
    let (ty, filter) = input.split_once('\n').unwrap_or((input, ""));
    let asking = Asking {
        hidden: salus_fhir::mask::Hidden::NOTHING,
        own_bases: &["http://localhost/fhir"],
        parameters: Parameters::r4(),
        now_ms: 1_767_225_600_000,
    };
    let read = |filter: &str| Search::parse(ty, &[("_filter", filter)], &asking);
    let (search, problems) = read(filter);
    assert_eq!(search.clauses.len() + problems.len(), 1);
    for problem in &problems {
        let _ = operation_outcome(std::slice::from_ref(&problem.issue));
    }
    // Parentheses around all of it, and a negation, change nothing of that.
    if problems.is_empty() && filter.len() < 1_000 {
        let (_, around) = read(&format!("not(({filter}))"));
        let deep = around.iter().all(|it| it.issue.details.contains("deep"));
        assert!(deep, "{filter} is read, and not in parentheses");
    }
});
