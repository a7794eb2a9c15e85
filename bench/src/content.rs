//! What a resource says, as one number: two texts with the same fingerprint
//! hold the same FHIR content, whatever the order of their properties.
//!
//! Servers set `id` and `meta`, so both are left out of the fingerprint. The
//! number is computed while the text is tokenized, without building a tree:
//! the generator shares its cores with the server it measures.

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::fmt;

/// The head of a resource and the fingerprint of the rest.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Content {
    /// `Resource.id`.
    pub(crate) id: Option<String>,
    /// `Resource.meta.versionId`.
    pub(crate) version: Option<String>,
    /// Everything but `id`, `meta` and the ignored properties.
    pub(crate) fingerprint: u64,
}

/// Reads a resource; `ignore` names top-level properties that this server adds by itself.
pub(crate) fn read(text: &[u8], ignore: &[String]) -> Result<Content, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let content = Resource { ignore }.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(content)
}

struct Resource<'a> {
    ignore: &'a [String],
}

impl<'de> DeserializeSeed<'de> for Resource<'_> {
    type Value = Content;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Content, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Resource<'_> {
    type Value = Content;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a resource")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Content, A::Error> {
        let mut content = Content::default();
        while let Some(property) = map.next_key_seed(Name {
            ignore: self.ignore,
        })? {
            match property {
                Property::Id => content.id = map.next_value()?,
                Property::Meta => content.version = map.next_value::<Meta>()?.version_id,
                Property::Ignored => {
                    map.next_value::<IgnoredAny>()?;
                }
                Property::Other(name) => {
                    let value = map.next_value_seed(Print)?;
                    content.fingerprint = content.fingerprint.wrapping_add(mix(name, value));
                }
            }
        }
        Ok(content)
    }
}

#[derive(serde::Deserialize)]
struct Meta {
    #[serde(rename = "versionId")]
    version_id: Option<String>,
}

enum Property {
    Id,
    Meta,
    Ignored,
    Other(u64),
}

struct Name<'a> {
    ignore: &'a [String],
}

impl<'de> DeserializeSeed<'de> for Name<'_> {
    type Value = Property;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Property, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Name<'_> {
    type Value = Property;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a property name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Property, E> {
        Ok(match name {
            "id" => Property::Id,
            "meta" => Property::Meta,
            _ if self.ignore.iter().any(|ignored| ignored == name) => Property::Ignored,
            _ => Property::Other(hash(name.as_bytes())),
        })
    }
}

/// The fingerprint of any JSON value: objects add up their members (order is free), arrays chain their items.
struct Print;

impl<'de> DeserializeSeed<'de> for Print {
    type Value = u64;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<u64, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Print {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<u64, E> {
        Ok(11)
    }

    fn visit_bool<E>(self, value: bool) -> Result<u64, E> {
        Ok(mix(1, u64::from(value)))
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<u64, E> {
        self.visit_f64(value as f64)
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<u64, E> {
        self.visit_f64(value as f64)
    }

    // Peers print 5.0 for 5: a number is its value here, not its text.
    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<u64, E> {
        Ok(mix(2, value.to_bits()))
    }

    fn visit_str<E>(self, value: &str) -> Result<u64, E> {
        Ok(mix(3, hash(value.as_bytes())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<u64, A::Error> {
        let mut print = 4;
        while let Some(item) = seq.next_element_seed(Print)? {
            print = mix(print, item);
        }
        Ok(print)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<u64, A::Error> {
        let mut print = 5_u64;
        while let Some(name) = map.next_key_seed(Print)? {
            print = print.wrapping_add(mix(name, map.next_value_seed(Print)?));
        }
        Ok(mix(6, print))
    }
}

/// FNV-1a, 64 bits.
fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

fn mix(a: u64, b: u64) -> u64 {
    let mixed = (a.rotate_left(25) ^ b).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed ^ (mixed >> 29)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(left: &str, right: &str, same: bool) {
        let ignore = ["text".to_owned()];
        let [left, right] =
            [left, right].map(|text| read(text.as_bytes(), &ignore).unwrap().fingerprint);
        assert_eq!(left == right, same);
    }

    #[test]
    fn order_of_properties_id_meta_and_ignored_ones_do_not_count() {
        check(
            r#"{"a":{"x":1,"y":"2"},"b":[1,2]}"#,
            r#"{"b":[1,2],"a":{"y":"2","x":1}}"#,
            true,
        );
        check(
            r#"{"a":1}"#,
            r#"{"id":"7","meta":{"versionId":"3","tag":[{}]},"a":1.0}"#,
            true,
        );
        check(r#"{"a":1}"#, r#"{"text":{"div":"<div/>"},"a":1}"#, true);
        check(r#"{"a":"A\n"}"#, r#"{"a":"\u0041\u000a"}"#, true);
    }

    #[test]
    fn every_other_difference_counts() {
        check(r#"{"a":1}"#, r#"{"a":2}"#, false);
        check(r#"{"a":[1,2]}"#, r#"{"a":[2,1]}"#, false);
        check(r#"{"a":[1,2]}"#, r#"{"a":[1]}"#, false);
        check(r#"{"a":1}"#, r#"{"b":1}"#, false);
        check(r#"{"a":"1"}"#, r#"{"a":1}"#, false);
        check(r#"{"a":{"id":"1"}}"#, r#"{"a":{"id":"2"}}"#, false);
        check(r#"{"a":1}"#, r#"{"a":1,"b":null}"#, false);
        check(
            r#"{"a":{"x":1},"b":{"y":2}}"#,
            r#"{"a":{"y":2},"b":{"x":1}}"#,
            false,
        );
    }

    #[test]
    fn the_head_is_read_on_the_way() {
        let content = read(
            br#"{"resourceType":"Patient","id":"7","meta":{"versionId":"3"}}"#,
            &[],
        )
        .unwrap();
        assert_eq!(content.id.as_deref(), Some("7"));
        assert_eq!(content.version.as_deref(), Some("3"));
        assert!(read(b"[]", &[]).is_err());
        assert!(read(b"{} {}", &[]).is_err());
    }
}
