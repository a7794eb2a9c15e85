//! Requests of the past: what the audit has of them, and what the same one would get now.

use http::Method;
use serde_json::{Value, json};

use super::{Answer, Asking, Failure, show};

impl Asking {
    /// By the id of an AuditEvent.
    pub(super) async fn past_event(&mut self, id: &str) -> Result<Answer, Failure> {
        if !is_plain(id) {
            return Err("that is no id of an audit event".into());
        }
        let path = format!("/fhir/AuditEvent/{id}");
        let event = self.send(Method::GET, &path, None).await?;
        self.told(vec![event]).await
    }

    /// By the `X-Request-Id` of its answer; the entries of a batch have one each.
    pub(super) async fn past_request(&mut self, id: &str) -> Result<Answer, Failure> {
        if !is_plain(id) {
            return Err("that is no id of a request".into());
        }
        let path = format!("/fhir/AuditEvent?entity:identifier={id}&_count=100&_sort=date");
        let found = self.send(Method::GET, &path, None).await?;
        let entries = found["entry"].as_array().into_iter().flatten();
        let events: Vec<Value> = entries.map(|entry| entry["resource"].clone()).collect();
        if events.is_empty() {
            return Err("the audit has no such request".into());
        }
        self.told(events).await
    }

    async fn told(&mut self, events: Vec<Value>) -> Result<Answer, Failure> {
        let (mut all, mut text) = (Vec::new(), String::new());
        for event in events {
            text.push_str(&show::event(&event));
            let mut told = json!({"event": event});
            if let Some(question) = again(&event)
                // Who asked may be gone.
                && let Ok(now) = self.ask_one(question).await
            {
                text.push_str("\nas records and policies are now:\n");
                text.push_str(&show::explained(&now));
                told["now"] = now;
            }
            all.push(told);
            text.push('\n');
        }
        text.pop();
        Ok((json!({"events": all}), text))
    }
}

fn is_plain(id: &str) -> bool {
    !id.is_empty() && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

/// The question that an event was the answer to, if it is about a record and one whom rules are about.
fn again(event: &Value) -> Option<Value> {
    let who = event["agent"][0]["who"]["identifier"]["value"].as_str()?;
    let (kind, id) = who.split_once('/')?;
    let who = match kind {
        "User" => json!({"user": id}),
        "Client" => json!({"client": id}),
        _ => return None,
    };
    let action = match event["subtype"][0]["code"].as_str()? {
        "read" | "vread" => "read",
        "history-instance" => "history",
        action @ ("update" | "patch" | "delete") => action,
        _ => return None,
    };
    let entities = event["entity"].as_array()?.iter();
    let mut records = entities.filter_map(|entity| entity["what"]["reference"].as_str());
    let record = records.next()?;
    let record = record
        .split_once("/_history/")
        .map_or(record, |(record, _)| record);
    Some(json!({"as": who, "action": action, "resource": record}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_asked_again_as_it_was() {
        let event = |who: &str, code: &str| {
            json!({"agent": [{"who": {"identifier": {"value": who}}}],
                "subtype": [{"code": code}],
                "entity": [{"what": {"identifier": {"value": "0"}}},
                    {"what": {"reference": "Patient/a/_history/2"}}]})
        };
        let question = again(&event("User/u", "vread")).unwrap();
        let expect = json!({"as": {"user": "u"}, "action": "read", "resource": "Patient/a"});
        assert_eq!(question, expect);
        assert_eq!(again(&event("Operator/local", "read")), None);
        assert_eq!(again(&event("User/u", "search-type")), None);
    }
}
