//! A file of expectations: who may do what on which records. With fixtures it
//! stands for itself; without, the records and policies of a server are asked.

use std::collections::BTreeMap;
use std::path::Path;

use salus_service::policy::SETS;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::Failure;

/// What is in the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Expectations {
    #[serde(default, rename = "description")]
    _description: String,
    /// Who asks, by names that questions use.
    #[serde(default)]
    people: BTreeMap<String, Value>,
    /// Each as it is, the path of a file, or the name of a policy set.
    #[serde(default)]
    policies: BTreeMap<String, Option<Value>>,
    /// The records that there are, a list or a bundle.
    #[serde(default)]
    fixtures: Option<Value>,
    /// When it is asked; goes with fixtures.
    #[serde(default)]
    now: Option<String>,
    /// The setting `/admin/care`; goes with fixtures.
    #[serde(default)]
    pub(super) care: Option<Value>,
    pub(super) questions: Vec<Value>,
}

impl Expectations {
    pub(super) fn read(file: &Path) -> Result<Self, Failure> {
        let folder = file.parent().unwrap_or(Path::new(""));
        Self::of(super::read(file)?, Some(folder))
            .map_err(|error| format!("{}: {error}", file.display()).into())
    }

    /// What a policy set that comes with the server has to do.
    pub(super) fn of_set(name: &str) -> Result<Self, Failure> {
        let set = SETS.iter().find(|set| set.name == name).ok_or(NO_SET)?;
        Self::of(serde_json::from_str(set.test)?, None)
    }

    fn of(value: Value, folder: Option<&Path>) -> Result<Self, Failure> {
        let mut read: Self = serde_json::from_value(value)?;
        let goes_with_fixtures = read.now.is_some() || read.care.is_some();
        if read.fixtures.is_none() && goes_with_fixtures {
            return Err("now and care go with fixtures".into());
        }
        for policy in read.policies.values_mut().flatten() {
            if let Value::String(named) = policy {
                *policy = found(named, folder)?;
            }
        }
        Ok(read)
    }

    /// Whether nothing but the file is asked.
    pub(super) fn stand_alone(&self) -> bool {
        self.fixtures.is_some()
    }

    /// When it is asked, in milliseconds since 1970, if the file says it.
    pub(super) fn now_ms(&self) -> Result<Option<i64>, Failure> {
        let Some(text) = &self.now else {
            return Ok(None);
        };
        let time: Result<jiff::Timestamp, _> = text.parse();
        let time = time.map_err(|_| "now is no instant, as 2026-01-31T12:00:00Z")?;
        Ok(Some(time.as_millisecond()))
    }

    /// The records of the file.
    pub(super) fn resources(&self) -> Result<Vec<&Value>, Failure> {
        const FORM: &str = "fixtures are a list of resources, or a bundle of them";
        match &self.fixtures {
            Some(Value::Array(all)) => Ok(all.iter().collect()),
            Some(bundle) => {
                let entries = bundle["entry"].as_array().ok_or(FORM)?;
                Ok(entries.iter().map(|entry| &entry["resource"]).collect())
            }
            None => Ok(Vec::new()),
        }
    }

    /// The questions as the server understands them.
    pub(super) fn body(&self) -> Result<Value, Failure> {
        let mut questions = Vec::with_capacity(self.questions.len());
        for (at, question) in self.questions.iter().enumerate() {
            let mut question = question.clone();
            if let Some(name) = question["as"].as_str() {
                let who = self.people.get(name);
                let who = who.ok_or_else(|| format!("questions[{at}].as is none of people"))?;
                question["as"] = who.clone();
            }
            questions.push(question);
        }
        Ok(json!({"policies": self.policies, "questions": questions}))
    }
}

const NO_SET: &str = "there is no such policy set; `salus policy sets` lists them";

/// A policy in a file beside this one, or one that comes with the server.
fn found(named: &str, folder: Option<&Path>) -> Result<Value, Failure> {
    let policy = match (named.ends_with(".json"), folder) {
        (true, Some(folder)) => super::read(&folder.join(named))?,
        _ => {
            let set = SETS.iter().find(|set| set.name == named);
            serde_json::from_str(set.ok_or(NO_SET)?.policy)?
        }
    };
    Ok(super::of_policy(&policy))
}

/// What of an answer is not as expected: `true` and `false` stand for `allowed`.
pub(super) fn differences(expected: &Value, answer: &Value) -> Vec<Value> {
    let allowed = Map::from_iter([("allowed".to_owned(), expected.clone())]);
    let members = match expected {
        Value::Bool(_) => &allowed,
        Value::Object(members) if !members.is_empty() => members,
        Value::Object(_) | Value::Null | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            return vec![
                json!({"member": "expect", "expected": "true, false or members of the answer"}),
            ];
        }
    };
    let differs = |(name, expected): (&String, &Value)| {
        let got = &answer[name];
        (in_order(expected) != in_order(got))
            .then(|| json!({"member": name, "expected": expected, "got": got}))
    };
    members.iter().filter_map(differs).collect()
}

/// The order of elements means nothing.
fn in_order(value: &Value) -> Value {
    let Value::Array(all) = value else {
        return value.clone();
    };
    let mut all = all.clone();
    all.sort_by_key(Value::to_string);
    all.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_expected_is_some_of_the_answer() {
        let answer = json!({"allowed": true, "rule": "p/r", "hidden": ["b", "a"]});
        let is_met = |expected: &Value| differences(expected, &answer).is_empty();
        assert!(is_met(&json!(true)) && !is_met(&json!(false)));
        assert!(is_met(&json!({"rule": "p/r", "hidden": ["a", "b"]})));
        assert!(!is_met(&json!({"allowed": true, "rule": "p/s"})));
        assert!(!is_met(&json!({"hidden": ["a"]})) && !is_met(&json!({"readOnly": []})));
        assert!(!is_met(&json!({})) && !is_met(&Value::Null));
    }

    #[test]
    fn a_file_says_what_is_wrong_with_it() {
        let of = |value: Value| {
            let read = Expectations::of(value, None);
            read.and_then(|read| read.now_ms().and(read.body()))
                .map_err(|error| error.to_string())
        };
        of(json!({"questions": []})).unwrap();
        for (wrong, says) in [
            (
                json!({"questions": [], "fixture": []}),
                "unknown field `fixture`",
            ),
            (
                json!({"questions": [], "now": "2026-01-31T12:00:00Z"}),
                "go with fixtures",
            ),
            (
                json!({"questions": [], "fixtures": [], "now": "today"}),
                "no instant",
            ),
            (json!({"questions": [{"as": "x"}]}), "questions[0].as"),
            (
                json!({"questions": [], "policies": {"p": "nothing"}}),
                "no such policy set",
            ),
        ] {
            let error = of(wrong).unwrap_err();
            assert!(error.contains(says), "{error}");
        }
    }
}
