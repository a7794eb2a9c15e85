//! `salus policy`: policies tried, compared and explained, by questions to the
//! server over the data folder's own socket. Without a server it opens the
//! folder itself.
#![allow(clippy::print_stdout, reason = "the answers go to standard output")]

mod show;

use std::path::Path;

use bytes::Bytes;
use http::{Method, StatusCode};
use indicatif::ProgressBar;
use serde_json::{Value, json};

use crate::cli::{ExplainArguments, PolicyArguments, PolicyCommand};
use crate::control::Client;
use crate::open::{self, Server};

type Failure = Box<dyn std::error::Error>;

const ACTIONS: [&str; 7] = [
    "read", "search", "history", "create", "update", "patch", "delete",
];

/// Asks, and prints the answer.
pub(crate) fn run(arguments: &PolicyArguments) -> Result<(), Failure> {
    let (config, runtime) = open::existing(&arguments.place)?;
    runtime.block_on(async {
        let server = match Client::connect(&config.data).await {
            Ok(_) => None,
            Err(_) => Some(Server::start(&config, None).await?),
        };
        let client = Client::connect(&config.data).await?;
        let mut asking = Asking {
            client,
            root: format!("/p/{}", arguments.project),
        };
        let done = asking.answer(&arguments.command).await;
        if let Some(server) = server {
            server.stop().await?;
        }
        let (answer, text) = done?;
        match arguments.json {
            true => println!("{answer}"),
            false => print!("{text}"),
        }
        match answer["failed"].as_u64() {
            Some(failed @ 1..) => Err(format!("{failed} expectations are not met").into()),
            Some(0) | None => Ok(()),
        }
    })
}

struct Asking {
    client: Client,
    root: String,
}

impl Asking {
    /// The answer to a command, in JSON and as text.
    async fn answer(&mut self, command: &PolicyCommand) -> Result<(Value, String), Failure> {
        match command {
            PolicyCommand::Sets => {
                let sets = self.send(Method::GET, "/admin/policy-sets", None).await?;
                let text = show::sets(&sets);
                Ok((sets, text))
            }
            PolicyCommand::Install { name } => self.install(name).await,
            PolicyCommand::Test { file } => self.test(file).await,
            PolicyCommand::Explain(arguments) => self.explain(arguments).await,
            PolicyCommand::Diff { file, name } => self.diff(file, name.as_deref()).await,
            PolicyCommand::Matrix { roles, types } => self.matrix(roles, types).await,
        }
    }

    async fn install(&mut self, name: &str) -> Result<(Value, String), Failure> {
        let sets = self.send(Method::GET, "/admin/policy-sets", None).await?;
        let mut all = sets["policySets"].as_array().into_iter().flatten();
        let set = all.find(|set| set["name"] == name);
        let set = set.ok_or("there is no such policy set; `salus policy sets` lists them")?;
        let policy = json!({"description": set["description"], "rules": set["rules"]});
        let path = format!("/admin/policies/{name}");
        let written = self.send(Method::PUT, &path, Some(&policy)).await?;
        let text = format!(
            "{name} is a policy of the project, version {}\n",
            written["version"]
        );
        Ok((written, text))
    }

    async fn test(&mut self, file: &Path) -> Result<(Value, String), Failure> {
        let mut asked = read(file)?;
        let questions = asked["questions"].as_array().cloned().unwrap_or_default();
        if let Some(asked) = asked.as_object_mut() {
            asked.retain(|name, _| matches!(&**name, "policies" | "questions"));
        }
        let answers = self.ask(&asked).await?;
        let pairs = questions.iter().zip(&answers);
        let results: Vec<Value> = pairs
            .map(|(question, answer)| {
                let met = is_met(&question["expect"], answer);
                json!({"question": question, "answer": answer, "met": met})
            })
            .collect();
        let failed = results.iter().filter(|one| one["met"] == false).count();
        let text = show::results(&results, failed);
        Ok((json!({"results": results, "failed": failed}), text))
    }

    async fn explain(&mut self, arguments: &ExplainArguments) -> Result<(Value, String), Failure> {
        if let Some(id) = &arguments.audit {
            let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
            if id.is_empty() || !id.bytes().all(plain) {
                return Err("that is no id of an audit event".into());
            }
            let path = format!("/fhir/AuditEvent/{id}");
            let event = self.send(Method::GET, &path, None).await?;
            let text = show::event(&event);
            return Ok((event, text));
        }
        let who = match (&arguments.user, &arguments.client) {
            (Some(id), _) => json!({"user": id}),
            (None, Some(id)) => json!({"client": id}),
            (None, None) => json!({"roles": arguments.roles, "groups": arguments.groups,
                "profiles": arguments.profiles}),
        };
        let question = json!({"as": who, "action": arguments.action,
            "resource": arguments.resource});
        let answers = self.ask(&json!({"questions": [question]})).await?;
        let answer = answers.into_iter().next().unwrap_or_default();
        let text = show::explained(&answer);
        Ok((answer, text))
    }

    async fn diff(&mut self, file: &Path, name: Option<&str>) -> Result<(Value, String), Failure> {
        let policy = read(file)?;
        let stem = file
            .file_stem()
            .map(|stem| stem.to_string_lossy().into_owned());
        let name = name.map(str::to_owned).or(stem).unwrap_or_default();
        let policy = json!({"description": policy["description"], "rules": policy["rules"]});
        let mut policies = json!({});
        policies[&name] = policy;
        let types = self.types().await?;
        let users = self.users().await?;
        let bar = ProgressBar::new(users.len() as u64);
        let mut changes = Vec::new();
        for user in users {
            let question = |ty: &String| json!({"as": {"user": user}, "action": "read", "type": ty, "compare": true});
            let questions: Vec<Value> = types.iter().map(question).collect();
            let body = json!({"policies": policies, "questions": questions});
            let answers = self.ask(&body).await?;
            for (ty, answer) in types.iter().zip(&answers) {
                let of = |member: &str| answer[member].as_u64().unwrap_or_default();
                let (gained, lost) = (of("gained"), of("lost"));
                if gained + lost > 0 {
                    changes.push(json!({"user": user, "type": ty, "gained": gained,
                        "lost": lost}));
                }
            }
            bar.inc(1);
        }
        bar.finish_and_clear();
        let text = show::changes(&changes);
        Ok((json!({"changes": changes}), text))
    }

    async fn matrix(
        &mut self,
        roles: &[String],
        types: &[String],
    ) -> Result<(Value, String), Failure> {
        let all = match types.is_empty() {
            true => self.types().await?,
            false => types.to_vec(),
        };
        let mut rows = Vec::new();
        for role in roles {
            let each = all.iter().flat_map(|ty| ACTIONS.map(|action| (ty, action)));
            let question = |(ty, action): (&String, &str)| json!({"as": {"roles": [role]}, "action": action, "type": ty});
            let questions: Vec<Value> = each.map(question).collect();
            let answers = self.ask(&json!({"questions": questions})).await?;
            for (ty, answers) in all.iter().zip(answers.chunks(ACTIONS.len())) {
                let records = answers.iter().map(|answer| answer["records"].clone());
                let records: Vec<Value> = records.collect();
                let has_some = records.iter().any(|one| one != "none");
                if has_some || !types.is_empty() {
                    rows.push(json!({"role": role, "type": ty, "records": records}));
                }
            }
        }
        let text = show::matrix(&ACTIONS, &rows);
        Ok((json!({"actions": ACTIONS, "matrix": rows}), text))
    }

    async fn ask(&mut self, body: &Value) -> Result<Vec<Value>, Failure> {
        let path = "/admin/policy-questions";
        let mut answer = self.send(Method::POST, path, Some(body)).await?;
        let Value::Array(answers) = answer["answers"].take() else {
            return Err("the server gave no answers".into());
        };
        Ok(answers)
    }

    /// The types of resource that the server has.
    async fn types(&mut self) -> Result<Vec<String>, Failure> {
        let capabilities = self.send(Method::GET, "/fhir/metadata", None).await?;
        let all = capabilities["rest"][0]["resource"].as_array();
        let names = all
            .into_iter()
            .flatten()
            .filter_map(|one| one["type"].as_str());
        Ok(names.map(str::to_owned).collect())
    }

    /// The ids of all users of the project.
    async fn users(&mut self) -> Result<Vec<String>, Failure> {
        let mut ids = Vec::new();
        let mut path = "/admin/users".to_owned();
        loop {
            let page = self.send(Method::GET, &path, None).await?;
            let users = page["users"].as_array().into_iter().flatten();
            ids.extend(users.filter_map(|user| Some(user["id"].as_str()?.to_owned())));
            match page["next"].as_str() {
                Some(next) => path = format!("/admin/users?after={next}"),
                None => return Ok(ids),
            }
        }
    }

    async fn send(
        &mut self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, Failure> {
        let path = format!("{}{path}", self.root);
        let body = body.map_or_else(Bytes::new, |body| body.to_string().into());
        let (status, body) = self.client.send(method, &path, None, body).await?;
        match status {
            StatusCode::OK | StatusCode::CREATED => Ok(serde_json::from_slice(&body)?),
            status => Err(show::refusal(status, &body).into()),
        }
    }
}

fn read(file: &Path) -> Result<Value, Failure> {
    let name = file.display();
    let text = std::fs::read(file).map_err(|error| format!("{name}: {error}"))?;
    let value = serde_json::from_slice(&text);
    value.map_err(|error| format!("{name}: {error}").into())
}

/// Whether an answer is as expected: `true`, `false` or some of its members.
fn is_met(expected: &Value, answer: &Value) -> bool {
    match expected {
        Value::Bool(allowed) => answer["allowed"] == *allowed,
        Value::Object(members) => {
            !members.is_empty() && members.iter().all(|(name, value)| answer[name] == *value)
        }
        Value::Null | Value::Number(_) | Value::String(_) | Value::Array(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_expected_is_some_of_the_answer() {
        let answer = json!({"allowed": true, "rule": "p/r"});
        assert!(is_met(&json!(true), &answer) && !is_met(&json!(false), &answer));
        assert!(is_met(&json!({"rule": "p/r"}), &answer));
        assert!(!is_met(&json!({"allowed": true, "rule": "p/s"}), &answer));
        assert!(!is_met(&json!({"hidden": ["Patient.name"]}), &answer));
        assert!(!is_met(&json!({}), &answer) && !is_met(&Value::Null, &answer));
    }
}
