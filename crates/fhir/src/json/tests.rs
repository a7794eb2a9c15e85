//! The parser against RFC 8259, against serde_json, and against its own limits.

use super::{Document, ErrorKind, Kind, Limits, Node, write};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use serde_json::Value;

fn parse(text: &str) -> Document {
    Document::parse(text.as_bytes().to_vec(), &Limits::default()).expect(text)
}

#[track_caller]
fn refuse(text: impl AsRef<[u8]>, kind: ErrorKind, line: usize, column: usize) {
    let limits = Limits {
        bytes_max: 200,
        depth_max: 3,
        nodes_max: 30,
    };
    let error = Document::parse(text.as_ref().to_vec(), &limits).expect_err("refused");
    assert_eq!((error.kind, error.line, error.column), (kind, line, column));
}

#[test]
fn refusals_name_their_place() {
    refuse("", ErrorKind::Syntax, 1, 1);
    refuse("{\"a\":1,}", ErrorKind::Syntax, 1, 8);
    refuse("[1 2]", ErrorKind::Syntax, 1, 4);
    refuse("[1,]", ErrorKind::Syntax, 1, 4);
    refuse("[1}", ErrorKind::Syntax, 1, 3);
    refuse("{\"a\":\n \"\u{e9}\" x}", ErrorKind::Syntax, 2, 6);
    refuse("01", ErrorKind::Syntax, 1, 2);
    refuse("1.", ErrorKind::Syntax, 1, 3);
    refuse("1e", ErrorKind::Syntax, 1, 3);
    refuse("+1", ErrorKind::Syntax, 1, 1);
    refuse("\"a\tb\"", ErrorKind::Syntax, 1, 3);
    refuse("\"a", ErrorKind::Syntax, 1, 3);
    refuse("\"\\x\"", ErrorKind::Syntax, 1, 3);
    refuse("\"\\ud800\"", ErrorKind::Syntax, 1, 8);
    refuse("\"\\udc00\"", ErrorKind::Syntax, 1, 8);
    refuse("\"\\u12g4\"", ErrorKind::Syntax, 1, 6);
    refuse("tru", ErrorKind::Syntax, 1, 1);
    refuse("1 1", ErrorKind::Syntax, 1, 3);
    refuse("\u{feff}1", ErrorKind::Syntax, 1, 1);
    refuse(b"[\"\xff\"]", ErrorKind::NotUtf8, 1, 3);
    refuse("[[[[]]]]", ErrorKind::TooDeep, 1, 4);
    refuse(" ".repeat(201), ErrorKind::TooLarge, 1, 201);
    refuse(format!("[{}1]", "1,".repeat(30)), ErrorKind::TooMany, 1, 60);
    refuse("{\"a\":1,\n\"a\":2}", ErrorKind::DuplicateKey, 2, 2);
    refuse("{\"a\":{\"b\":1},\"a\":2}", ErrorKind::DuplicateKey, 1, 15);
    refuse("{\"a\":1,\"\\u0061\":2}", ErrorKind::DuplicateKey, 1, 9);
    refuse("{\"\\u0061\":1,\"a\":2}", ErrorKind::DuplicateKey, 1, 14);
    refuse("{\"\\n\":1,\"\\n\":2}", ErrorKind::DuplicateKey, 1, 10);
}

#[test]
fn duplicates_are_found_in_large_objects() {
    let mut text: String = (0..500).map(|n| format!("\"key{n}\":[{n}],")).collect();
    parse(&format!("{{{text}\"last\":0}}"));
    text = format!("{{{text}\"key77\":0}}");
    let error = Document::parse(text.into_bytes(), &Limits::default()).expect_err("duplicate");
    assert_eq!(error.kind, ErrorKind::DuplicateKey);
}

#[test]
fn errors_hold_no_content() {
    let text = "{\"secret\": \"hidden\" \"other\"}".to_owned();
    let error = Document::parse(text.into_bytes(), &Limits::default()).expect_err("refused");
    let message = error.to_string();
    assert_eq!(
        message,
        "not JSON at line 1, column 21: expected `,` or `}`"
    );
}

#[test]
fn walking_and_spans() {
    let document = parse(
        "{ \"a\" : [1.50, {\"b\":null}], \"c\\\"\":true}"
            .replace("\\\"", "")
            .as_str(),
    );
    let root = document.root();
    assert_eq!((root.kind(), root.len()), (Kind::Object, 2));
    let list = root.get("a").expect("a");
    assert_eq!((list.key(), list.index()), (Some("a"), 1));
    assert_eq!(
        &document.text()[list.member_span()],
        "\"a\" : [1.50, {\"b\":null}]"
    );
    let mut items = list.children();
    let number = items.next().expect("number");
    assert_eq!((number.number(), number.key()), (Some("1.50"), None));
    let object = items.next().expect("object");
    assert_eq!(object.get("b").map(Node::kind), Some(Kind::Null));
    assert!(items.next().is_none());
    assert_eq!(root.get("c").and_then(Node::bool), Some(true));
    assert_eq!(root.get("d"), None);
    assert_eq!(document.nodes_len(), 6);
    assert_eq!(list.end_index(), 5);
}

#[test]
fn member_names_are_read_without_their_escapes() {
    let text = r#" {"\u0069d":1, "b":{"\"\ud83d\ude00":2, "c":3}, "d\/e" :4} "#;
    let document = parse(text);
    let root = document.root();
    assert_eq!(document.text(), text);
    let keys: Vec<_> = root.children().filter_map(Node::key).collect();
    assert_eq!(keys, ["id", "b", "d/e"]);
    let (id, inner) = (root.get("id").expect("id"), root.get("b").expect("b"));
    assert_eq!(&text[id.member_span()], r#""\u0069d":1"#);
    assert_eq!(inner.get("\"😀").and_then(Node::number), Some("2"));
    assert_eq!(
        write::compact(root),
        r#"{"\u0069d":1,"b":{"\"\ud83d\ude00":2,"c":3},"d\/e":4}"#
    );
    assert_eq!(document.into_text(), text);
}

#[test]
fn strings_are_unescaped_on_demand() {
    let document = parse(r#"["plain", "\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00"]"#);
    let mut items = document.root().children();
    assert_eq!(items.next().and_then(Node::plain_str), Some("plain"));
    let escaped = items.next().expect("second");
    assert_eq!(escaped.plain_str(), None);
    assert_eq!(
        escaped.str().as_deref(),
        Some("\"\\/\u{8}\u{c}\n\r\t\u{e9}\u{1f600}")
    );
}

#[test]
fn pretty_printing_keeps_scalars() {
    let document = parse(r#"{"a":[1.0,{}],"b":[],"c":{"d":"\u0041"}}"#);
    let pretty = write::pretty(document.root());
    let expected = r#"{
  "a": [
    1.0,
    {}
  ],
  "b": [],
  "c": {
    "d": "\u0041"
  }
}"#;
    assert_eq!(pretty, expected);
    assert_eq!(write::compact(parse(&pretty).root()), document.text());
}

/// The tape's values against serde_json's.
fn same(node: Node<'_>, value: &Value) -> bool {
    match value {
        Value::Null => node.is_null(),
        Value::Bool(value) => node.bool() == Some(*value),
        Value::Number(value) => node
            .number()
            .and_then(|text| text.parse::<f64>().ok())
            .is_some_and(|number| Some(number) == value.as_f64()),
        Value::String(value) => node.str().as_deref() == Some(value),
        Value::Array(items) => {
            node.is_array()
                && node.len() == items.len()
                && node
                    .children()
                    .zip(items)
                    .all(|(node, value)| same(node, value))
        }
        Value::Object(members) => {
            node.is_object()
                && node.len() == members.len()
                && members
                    .iter()
                    .all(|(key, value)| node.get(key).is_some_and(|node| same(node, value)))
        }
    }
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<i32>().prop_map(|n| Value::from(f64::from(n) / 64.0)),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 64, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
            prop::collection::btree_map("[a-zA-Z_ \u{e9}]{0,9}", inner, 0..8)
                .prop_map(Value::from_iter),
        ]
    })
}

fn seeded() -> ProptestConfig {
    ProptestConfig {
        rng_seed: RngSeed::Fixed(2),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(seeded())]

    #[test]
    fn reads_what_serde_json_writes(value in value(), pretty: bool) {
        let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }
            .expect("writes");
        let document = parse(&text);
        prop_assert!(same(document.root(), &value));
        let back: Value = serde_json::from_str(&write::pretty(document.root())).expect("reads");
        prop_assert_eq!(back, value);
    }

    #[test]
    fn accepts_what_serde_json_accepts(text in r#"([\[\]{},:]|"[a-c]?\\?[nu]?"|-?[0-9]{1,2}(\.[0-9])?(e-?[0-9])?|true|null| |\n){0,12}"#) {
        let ours = Document::parse(text.clone().into_bytes(), &Limits::default());
        let theirs: Result<Value, _> = serde_json::from_str(&text);
        match (&ours, &theirs) {
            (Ok(document), Ok(value)) => prop_assert!(same(document.root(), value)),
            (Err(error), Ok(_)) => prop_assert!(
                error.kind == ErrorKind::DuplicateKey,
                "{error}"
            ),
            (Ok(_), Err(error)) => prop_assert!(error.to_string().contains("out of range"), "{error}"),
            (Err(_), Err(_)) => {}
        }
    }

    #[test]
    fn any_bytes_are_parsed_or_refused(bytes: Vec<u8>) {
        let _ = Document::parse(bytes, &Limits::default());
    }

    #[test]
    fn written_strings_read_back(value: String) {
        let mut text = String::new();
        write::string(&mut text, &value);
        let document = parse(&text);
        let read = document.root().str();
        prop_assert_eq!(read.as_deref(), Some(value.as_str()));
    }
}
