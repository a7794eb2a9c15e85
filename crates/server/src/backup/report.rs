//! What `salus backup` says to people.

use serde_json::Value;

use super::Failure;

/// A block of lines for each archive.
pub(super) fn text(answer: &Value) -> String {
    let mut text = String::new();
    for archive in answer["archives"].as_array().into_iter().flatten() {
        text.push_str(archive["archive"].as_str().unwrap_or_default());
        text.push('\n');
        let members = archive.as_object().into_iter().flatten();
        for (name, value) in members.filter(|(name, _)| *name != "archive") {
            match value {
                Value::Array(lines) => lines.iter().for_each(|line| {
                    text.push_str(&format!("  {name:<16} {}\n", plain(line)));
                }),
                Value::Null => {}
                Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
                    text.push_str(&format!("  {name:<16} {}\n", plain(value)))
                }
            }
        }
    }
    text
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Object(members) => {
            let members = members.iter().filter(|(_, value)| !value.is_null());
            let members = members.map(|(name, value)| format!("{name} {}", plain(value)));
            members.collect::<Vec<_>>().join(", ")
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => value.to_string(),
    }
}

/// An error if an archive is not as it should be.
pub(super) fn judge(answer: &Value) -> Result<(), Failure> {
    let archives = answer["archives"].as_array().into_iter().flatten();
    let faults: usize = archives
        .map(|archive| archive["faults"].as_array().map_or(0, Vec::len))
        .sum();
    match faults {
        0 => Ok(()),
        1 => Err("an archive has a fault".into()),
        n => Err(format!("the archives have {n} faults").into()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_fault_has_a_line_and_makes_an_error() {
        let whole = json!({"archives": [{"archive": "/a", "segments": 3, "faults": []}]});
        assert_eq!(text(&whole), "/a\n  segments         3\n");
        assert!(judge(&whole).is_ok());
        let based = json!({"archives": [{"archive": "/a", "bases": [{"seq": 3, "taken": "now"}]}]});
        assert_eq!(text(&based), "/a\n  bases            seq 3, taken now\n");
        let broken = json!({"archives": [{"archive": "/a", "faults": ["one", "two"]}]});
        assert_eq!(text(&broken).lines().count(), 3);
        assert!(judge(&broken).is_err());
    }
}
