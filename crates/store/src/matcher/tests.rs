//! The two ways to sort agree, and so do the two forms of rows. What each
//! test accepts is checked by the conformance suite.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::{Param, Row, Value};

fn rows() -> impl Strategy<Value = Vec<Row>> {
    let value = prop_oneof![
        ("[ab]?", "[a\\x00]{0,2}").prop_map(|(system, code)| Value::Token {
            system: system.into(),
            code: code.into()
        }),
        (-2_i64..2, -2_i64..2).prop_map(|(from_ms, to_ms)| Value::Date { from_ms, to_ms }),
        "[ab\\xff]{0,2}".prop_map(|uri| Value::Uri(uri.into())),
    ];
    let row = (0_u32..3, value).prop_map(|(param, value)| Row {
        param: Param(param),
        value,
    });
    vec(row, 0..5).prop_map(|mut rows| {
        Row::sort(&mut rows);
        rows
    })
}

fn key() -> impl Strategy<Value = Sort> {
    (0_u32..5, any::<bool>()).prop_map(|(what, descending)| match what {
        3 => Sort::Updated { descending },
        4 => Sort::Id { descending },
        param => Sort::Value {
            param: Param(param),
            descending,
        },
    })
}

fn stored(rows: &[Row]) -> Vec<u8> {
    let mut bytes = Vec::new();
    rows.iter().for_each(|row| row.write(&mut bytes));
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 1000,
        failure_persistence: None,
        rng_seed: proptest::test_runner::RngSeed::Fixed(1),
        ..Default::default()
    })]

    #[test]
    fn keys_sort_as_candidates_compare(
        keys in vec(key(), 0..3),
        a in (rows(), "[ab]{1,2}", -2_i64..2, 0_u64..3),
        b in (rows(), "[ab]{1,2}", -2_i64..2, 3_u64..6),
    ) {
        let stored = (stored(&a.0), stored(&b.0));
        let candidate = |of: &(_, String, i64, u64), rows| (of.1.clone(), of.2, Seq(of.3), rows);
        let (a_rows, b_rows) = (Rows::of(&a.0), Rows::of(&b.0));
        let a = candidate(&a, Rows::stored(&stored.0).expect("rows"));
        let b = candidate(&b, Rows::stored(&stored.1).expect("rows"));
        let a = Candidate { id: &a.0, time_ms: a.1, seq: a.2, rows: a.3 };
        let b = Candidate { id: &b.0, time_ms: b.1, seq: b.2, rows: b.3 };
        let order = Sort::compare(&keys, &a, &b);
        prop_assert_eq!(Sort::compare(&keys, &b, &a), order.reverse());
        let bytes = |candidate| { let mut bytes = Vec::new(); Sort::put_key(&keys, candidate, &mut bytes); bytes };
        prop_assert_eq!(bytes(&a).cmp(&bytes(&b)), order);
        let (a, b) = (Candidate { rows: a_rows, ..a }, Candidate { rows: b_rows, ..b });
        prop_assert_eq!(Sort::compare(&keys, &a, &b), order);
    }
}
