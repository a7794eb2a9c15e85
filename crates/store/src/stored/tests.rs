//! What is written reads back, and what was not written is refused.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::Value;

fn text() -> impl Strategy<Value = Box<str>> {
    prop_oneof![
        "[a-c\\x00\\x01]{0,4}",
        "\\PC{0,8}",
        (0_usize..20_000).prop_map(|length| "x".repeat(length)),
    ]
    .prop_map(String::into_boxed_str)
}

fn decimal() -> impl Strategy<Value = Decimal> {
    "-?(0|[1-9][0-9]{0,4})(\\.[0-9]{1,5})?(e-?[0-9]{1,4})?"
        .prop_map(|text| Decimal::parse(&text).expect("it is a number"))
}

fn value() -> impl Strategy<Value = Value> {
    let composite = vec(plain(), 2..4).prop_map(|values| Value::Composite(values.into()));
    prop_oneof![7 => plain(), 1 => composite]
}

fn plain() -> impl Strategy<Value = Value> {
    prop_oneof![
        (text(), text()).prop_map(|(system, code)| Value::Token { system, code }),
        (text(), text()).prop_map(|(folded, exact)| Value::String { folded, exact }),
        (any::<i64>(), any::<i64>()).prop_map(|(from_ms, to_ms)| Value::Date { from_ms, to_ms }),
        decimal().prop_map(Value::Number),
        (decimal(), text(), text()).prop_map(|(value, system, code)| Value::Quantity {
            value,
            system,
            code
        }),
        (any::<u32>(), text()).prop_map(|(kind, id)| Value::Reference {
            kind: Kind(kind),
            id
        }),
        text().prop_map(Value::Uri),
        (-900_000_000..=900_000_000, -1_800_000_000..=1_800_000_000).prop_map(
            |(latitude, longitude)| {
                Value::Place(Place::of_parts(latitude, longitude).expect("it is on the Earth"))
            }
        ),
    ]
}

fn row() -> impl Strategy<Value = Row> {
    (prop_oneof![0_u32..4, any::<u32>()], value()).prop_map(|(param, value)| Row {
        param: Param(param),
        value,
    })
}

#[test]
fn bytes_never_change() {
    let mut bytes = Vec::new();
    let value = Value::Quantity {
        value: Decimal::parse("12.5").expect("it is a number"),
        system: "u".into(),
        code: "mg".into(),
    };
    let param = Param(0x0102_0304);
    Row { param, value }.write(&mut bytes);
    assert_eq!(
        bytes,
        [0x15, 1, 2, 3, 4, 7, 0xC2, 25, 100, 2, b'm', b'g', b'u']
    );
}

#[test]
fn bytes_of_composites_never_change() {
    let mut bytes = Vec::new();
    let token = Value::Token {
        system: "s".into(),
        code: "ab".into(),
    };
    let value = Value::Composite([token, Value::Uri("u".into())].into());
    let param = Param(0x0102_0304);
    Row { param, value }.write(&mut bytes);
    let token = [1, 4, 2, b'a', b'b', b's'];
    let uri = [7, 1, b'u'];
    assert_eq!(bytes[..6], [0x18, 1, 2, 3, 4, 9]);
    assert_eq!(bytes[6..], [&token[..], &uri].concat());
}

#[test]
fn bytes_of_places_never_change() {
    let mut bytes = Vec::new();
    let place = Place::of_parts(0x0102_0304, -2).expect("it is on the Earth");
    let (param, value) = (Param(0x0102_0304), Value::Place(place));
    Row { param, value }.write(&mut bytes);
    assert_eq!(bytes[..6], [0x1A, 1, 2, 3, 4, 8]);
    assert_eq!(bytes[6..], [1, 2, 3, 4, 0xFF, 0xFF, 0xFF, 0xFE]);
    // Beyond the pole.
    bytes[6] = 0x7F;
    assert!(matches!(Row::read(&mut &bytes[..]), Err(Error::Damaged(_))));
}

#[test]
fn another_format_is_refused() {
    let mut bytes = Vec::new();
    let value = Value::Uri("u".into());
    let param = Param(1);
    Row { param, value }.write(&mut bytes);
    bytes[0] += 0x10;
    assert!(matches!(Row::read(&mut &bytes[..]), Err(Error::Damaged(_))));
    assert!(matches!(Rows::stored(&bytes), Err(Error::Damaged(_))));
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 1000,
        failure_persistence: None,
        rng_seed: proptest::test_runner::RngSeed::Fixed(1),
        ..Default::default()
    })]

    #[test]
    fn rows_read_back(mut rows in vec(row(), 0..12)) {
        Row::sort(&mut rows);
        let mut bytes = Vec::new();
        rows.iter().for_each(|row| row.write(&mut bytes));
        let mut rest = &bytes[..];
        for row in &rows {
            prop_assert_eq!(&Row::read(&mut rest).expect("a row"), row);
        }
        prop_assert!(rest.is_empty());
        let (stored, values) = (Rows::stored(&bytes).expect("rows"), Rows::of(&rows));
        for param in (0..5).map(Param).chain(rows.iter().map(|row| row.param)) {
            let expected: Vec<_> = rows.iter().filter(|row| row.param == param).collect();
            prop_assert!(stored.values(param).eq(expected.iter().map(|row| row.value.borrow())));
            prop_assert!(values.values(param).eq(stored.values(param)));
        }
        let all: Vec<_> = rows.iter().rev().map(|row| row.param).collect();
        prop_assert_eq!(stored.pick(&all), rows);
    }

    #[test]
    fn any_bytes_are_rows_or_damaged(bytes in vec(any::<u8>(), 0..40)) {
        let mut rest = &bytes[..];
        while Row::read(&mut rest).is_ok() {}
        if let Ok(rows) = Rows::stored(&bytes) {
            let _ = rows.pick(&(0..4).map(Param).collect::<Vec<_>>());
        }
    }

    #[test]
    fn changed_bytes_are_rows_or_damaged(row in row(), at in any::<proptest::sample::Index>(), to in any::<u8>(), cut in any::<bool>()) {
        let mut bytes = Vec::new();
        row.write(&mut bytes);
        let at = at.index(bytes.len());
        bytes[at] = to;
        if cut {
            bytes.truncate(at);
        }
        match (Row::read(&mut &bytes[..]), Rows::stored(&bytes)) {
            // What reads is written the same way, or its length was said in more bytes than needed.
            (Ok(row), Ok(rows)) => prop_assert_eq!(rows.pick(&[row.param]), vec![row]),
            (_, Err(error)) => prop_assert!(matches!(error, Error::Damaged(_))),
            // The frame holds, the value does not: it is as if it were not there.
            (Err(_), Ok(rows)) => {
                let param = bytes.get(1..5).map_or([0; 4], |param| param.try_into().expect("four bytes"));
                prop_assert_eq!(rows.pick(&[Param(u32::from_be_bytes(param))]), vec![]);
            }
        }
    }

    #[test]
    fn keys_have_the_order_of_values(a in value(), b in value(), tail in any::<[u8; 2]>()) {
        let key = |value: &Value, byte| { let mut key = Vec::new(); value.put_key(&mut key); key.push(byte); key };
        prop_assert_eq!(key(&a, tail[0]).cmp(&key(&b, tail[1])), a.cmp(&b).then(tail[0].cmp(&tail[1])));
    }
}
