//! A search as it stands in a URL: the first line is the type, the others
//! parameters, `name=value`, decoded.
#![no_main]

use libfuzzer_sys::fuzz_target;

use salus_fhir::issue::operation_outcome;
use salus_fhir::search::{Asking, Search};

fuzz_target!(|input: &str| {
    let mut lines = input.lines();
    let ty = lines.next().unwrap_or_default();
    let parameters: Vec<(&str, &str)> = lines
        .map(|line| line.split_once('=').unwrap_or((line, "")))
        .collect();
    let asking = Asking {
        hidden: salus_fhir::mask::Hidden::NOTHING,
        parameters: salus_fhir::search::Parameters::r4(),
        own_bases: &["http://localhost/fhir"],
        now_ms: 1_767_225_600_000,
    };
    let (search, problems) = Search::parse(ty, &parameters, &asking);
    assert!(search.clauses.len() <= parameters.len());
    for problem in &problems {
        assert!(problem.at < parameters.len());
        let _ = operation_outcome(std::slice::from_ref(&problem.issue));
    }
});
