//! `salus policy`: policies tried, compared and explained, by questions to the
//! server over the data folder's own socket. Without a server it opens the
//! folder itself. A file of expectations with fixtures needs neither.
#![allow(clippy::print_stdout, reason = "the answers go to standard output")]

mod expectations;
mod past;
mod show;
mod trial;

use std::path::Path;

use http::Method;
use indicatif::ProgressBar;
use salus_auth::Operation;
use serde_json::{Value, json};

use self::expectations::{Expectations, differences};
use crate::cli::{DiffArguments, ExplainArguments, PolicyArguments, PolicyCommand};
use crate::control;
use crate::open::{self, Server};

type Failure = Box<dyn std::error::Error>;

const ACTIONS: [&str; 7] = [
    "read", "search", "history", "create", "update", "patch", "delete",
];

/// Bytes of questions and policies in one request, a little less than it may have.
const PART_BYTES: usize = 60 << 10;

/// What is told of a comparison that says nothing of other purposes of use.
const ONE_PURPOSE: &str = "Some rules count for certain purposes only: this is for the purpose that each \
                           user acts for. Give --purpose for another.\n";

/// What an answer that compares may have of a difference.
const CHANGES: [&str; 6] = [
    "gained",
    "lost",
    "gainedIds",
    "lostIds",
    "elementsGained",
    "elementsLost",
];

/// Asks, and prints the answer.
pub(crate) fn run(arguments: &PolicyArguments) -> Result<(), Failure> {
    let file = match &arguments.command {
        PolicyCommand::Test {
            set: Some(name), ..
        } => Some(Expectations::of_set(name)?),
        PolicyCommand::Test {
            file: Some(file), ..
        } => Some(Expectations::read(file)?),
        PolicyCommand::Test { .. }
        | PolicyCommand::Sets
        | PolicyCommand::Install { .. }
        | PolicyCommand::Explain(_)
        | PolicyCommand::Diff(_)
        | PolicyCommand::Matrix { .. } => None,
    };
    if let Some(file) = file.as_ref().filter(|file| file.stand_alone()) {
        let answers = open::runtime()?.block_on(trial::answers(file))?;
        return print(arguments, compared(file, &answers));
    }
    let (config, runtime) = open::existing(&arguments.place)?;
    runtime.block_on(async {
        let server = Server::of_folder(&config).await?;
        let project = control::Asking::of_project(&config.data, &arguments.project);
        let mut asking = Asking(project.await?);
        let done = match &file {
            Some(file) => asking.test(file).await,
            None => asking.answer(&arguments.command).await,
        };
        if let Some(server) = server {
            server.stop().await?;
        }
        print(arguments, done?)
    })
}

fn print(arguments: &PolicyArguments, (answer, text): Answer) -> Result<(), Failure> {
    match arguments.json {
        true => println!("{answer}"),
        false => print!("{text}"),
    }
    match answer["failed"].as_u64() {
        Some(1) => Err("1 expectation is not met".into()),
        Some(failed @ 2..) => Err(format!("{failed} expectations are not met").into()),
        Some(0) | None => Ok(()),
    }
}

/// Answers beside what is expected of them.
fn compared(file: &Expectations, answers: &[Value]) -> Answer {
    let pairs = file.questions.iter().zip(answers);
    let results: Vec<Value> = pairs
        .map(|(question, answer)| {
            let differs = differences(&question["expect"], answer);
            json!({"question": question, "answer": answer, "met": differs.is_empty(),
                "differs": differs})
        })
        .collect();
    let failed = results.iter().filter(|one| one["met"] == false).count();
    let text = show::results(&results, failed);
    let met = results.len() - failed;
    (
        json!({"results": results, "met": met, "failed": failed}),
        text,
    )
}

/// In JSON, and as text for people.
type Answer = (Value, String);

struct Asking(control::Asking);

impl Asking {
    /// The answer to a command, in JSON and as text.
    async fn answer(&mut self, command: &PolicyCommand) -> Result<Answer, Failure> {
        match command {
            PolicyCommand::Sets => {
                let sets = self.send(Method::GET, "/admin/policy-sets", None).await?;
                let text = show::sets(&sets);
                Ok((sets, text))
            }
            PolicyCommand::Install { name } => self.install(name).await,
            // It has read its file before.
            PolicyCommand::Test { .. } => Err("there is nothing to test".into()),
            PolicyCommand::Explain(arguments) => self.explain(arguments).await,
            PolicyCommand::Diff(arguments) => self.diff(arguments).await,
            PolicyCommand::Matrix {
                roles,
                types,
                purpose,
            } => self.matrix(roles, types, purpose.as_deref()).await,
        }
    }

    async fn install(&mut self, name: &str) -> Result<Answer, Failure> {
        let sets = self.send(Method::GET, "/admin/policy-sets", None).await?;
        let mut all = sets["policySets"].as_array().into_iter().flatten();
        let set = all.find(|set| set["name"] == name);
        let set = set.ok_or("there is no such policy set; `salus policy sets` lists them")?;
        let policy = of_policy(set);
        let path = format!("/admin/policies/{name}");
        let written = self.send(Method::PUT, &path, Some(&policy)).await?;
        let text = format!(
            "{name} is a policy of the project, version {}\n",
            written["version"]
        );
        Ok((written, text))
    }

    async fn test(&mut self, file: &Expectations) -> Result<Answer, Failure> {
        let answers = self.ask(&file.body()?).await?;
        Ok(compared(file, &answers))
    }

    async fn explain(&mut self, arguments: &ExplainArguments) -> Result<Answer, Failure> {
        if let Some(id) = &arguments.audit {
            return self.past_event(id).await;
        }
        if let Some(id) = &arguments.request {
            return self.past_request(id).await;
        }
        let mut who = match (&arguments.user, &arguments.client) {
            (Some(id), _) => json!({"user": id}),
            (None, Some(id)) => json!({"client": id}),
            (None, None) => json!({"roles": arguments.roles, "groups": arguments.groups,
                "profiles": arguments.profiles}),
        };
        if let Some(purpose) = &arguments.purpose {
            who["purpose"] = json!(purpose);
        }
        let mut question = json!({"as": who, "action": arguments.action});
        if let Some(about) = &arguments.resource {
            let member = if about.contains('/') {
                "resource"
            } else {
                "type"
            };
            question[member] = json!(about);
        }
        if let Some(file) = &arguments.content {
            question["content"] = read(file)?;
        }
        let answer = self.ask_one(question).await?;
        let text = show::explained(&answer);
        Ok((answer, text))
    }

    async fn diff(&mut self, arguments: &DiffArguments) -> Result<Answer, Failure> {
        let file = &arguments.file;
        let policy = of_policy(&read(file)?);
        let stem = file
            .file_stem()
            .map(|stem| stem.to_string_lossy().into_owned());
        let name = arguments.name.clone().or(stem).unwrap_or_default();
        let mut policies = json!({});
        policies[&name] = policy;
        let types = self.types().await?;
        let users = self.users().await?;
        let bar = ProgressBar::new(users.len() as u64);
        let each = types.iter().flat_map(|ty| {
            let actions = arguments.actions.iter();
            actions.map(move |action| (ty, action))
        });
        let each: Vec<(&String, &String)> = each.collect();
        let mut changes = Vec::new();
        for user in users {
            let mut who = json!({"user": user});
            if let Some(purpose) = &arguments.purpose {
                who["purpose"] = json!(purpose);
            }
            let question = |(ty, action): &(&String, &String)| json!({"as": who, "action": action, "type": ty, "compare": true, "ids": arguments.limit});
            let questions: Vec<Value> = each.iter().map(question).collect();
            let body = json!({"policies": policies, "questions": questions});
            let answers = self.ask(&body).await?;
            for ((ty, action), answer) in each.iter().zip(&answers) {
                let is_some = |member: &&str| answer.get(*member).is_some_and(|it| *it != 0);
                if !CHANGES.iter().any(is_some) {
                    continue;
                }
                let mut change = json!({"user": user, "type": ty, "action": action});
                for member in CHANGES {
                    if let Some(value) = answer.get(member) {
                        change[member] = value.clone();
                    }
                }
                changes.push(change);
            }
            bar.inc(1);
        }
        bar.finish_and_clear();
        let mut text = show::changes(&changes);
        let path = format!("/admin/policies/{name}");
        // One that is new is not there.
        let now = self
            .send(Method::GET, &path, None)
            .await
            .unwrap_or_default();
        let has_purposes = [&policies[&name], &now]
            .into_iter()
            .flat_map(|policy| policy["rules"].as_array().into_iter().flatten())
            .any(|rule| rule["purposes"].is_array());
        if arguments.purpose.is_none() && has_purposes {
            text.push_str(ONE_PURPOSE);
        }
        Ok((json!({"changes": changes}), text))
    }

    async fn matrix(
        &mut self,
        roles: &[String],
        types: &[String],
        purpose: Option<&str>,
    ) -> Result<Answer, Failure> {
        let all = match types.is_empty() {
            true => self.types().await?,
            false => types.to_vec(),
        };
        let (mut rows, mut operations) = (Vec::new(), Vec::new());
        for role in roles {
            let mut who = json!({"roles": [role]});
            if let Some(purpose) = purpose {
                who["purpose"] = json!(purpose);
            }
            let each = all.iter().flat_map(|ty| ACTIONS.map(|action| (ty, action)));
            let question =
                |(ty, action): (&String, &str)| json!({"as": who, "action": action, "type": ty});
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
            operations.extend(self.named(role, &who, &all).await?);
        }
        let mut text = show::matrix(&ACTIONS, &rows);
        text.push_str(&show::operations(&operations));
        let answer = json!({"actions": ACTIONS, "matrix": rows, "operations": operations});
        Ok((answer, text))
    }

    /// The operations that rules open or shut for a role, where they are called.
    async fn named(
        &mut self,
        role: &str,
        who: &Value,
        types: &[String],
    ) -> Result<Vec<Value>, Failure> {
        let places: Vec<Option<&String>> =
            [None].into_iter().chain(types.iter().map(Some)).collect();
        let called = places
            .iter()
            .flat_map(|ty| Operation::all().map(move |one| (ty, one)));
        let question = |(ty, operation): (&Option<&String>, Operation)| {
            let mut question = json!({"as": who, "action": format!("${}", operation.name())});
            if let Some(ty) = ty {
                question["type"] = json!(ty);
            }
            question
        };
        let questions: Vec<Value> = called.map(question).collect();
        let answers = self.ask(&json!({"questions": questions})).await?;
        let pairs = questions.iter().zip(&answers);
        let named = pairs.filter(|(_, answer)| answer["named"] == true);
        Ok(named
            .map(|(question, answer)| {
                let on = question["type"].as_str().unwrap_or("(endpoint)");
                json!({"role": role, "on": on, "operation": question["action"],
                    "allowed": answer["allowed"], "rule": answer["rule"]})
            })
            .collect())
    }

    /// The answers to questions, asked in parts that a request may be as large as.
    async fn ask(&mut self, body: &Value) -> Result<Vec<Value>, Failure> {
        let path = "/admin/policy-questions";
        let questions = body["questions"].as_array().map_or(&[][..], Vec::as_slice);
        let room = PART_BYTES.saturating_sub(body["policies"].to_string().len());
        let mut answers = Vec::with_capacity(questions.len());
        for (first, part) in parts(questions, room) {
            let mut asked = json!({"questions": part});
            if let Some(policies) = body.get("policies") {
                asked["policies"] = policies.clone();
            }
            let answer = self.send(Method::POST, path, Some(&asked)).await;
            let mut answer = answer.map_err(|error| match first {
                0 => error,
                first => format!("of the questions from {first} on: {error}").into(),
            })?;
            let Value::Array(more) = answer["answers"].take() else {
                return Err("the server gave no answers".into());
            };
            answers.extend(more);
        }
        Ok(answers)
    }

    async fn ask_one(&mut self, question: Value) -> Result<Value, Failure> {
        let answers = self.ask(&json!({"questions": [question]})).await?;
        Ok(answers.into_iter().next().unwrap_or_default())
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
        self.0.send(method, path, body).await
    }
}

/// Questions in parts of so many bytes, of one question at least, each with the
/// number of its first.
fn parts(questions: &[Value], room: usize) -> Vec<(usize, &[Value])> {
    let (mut parts, mut first, mut bytes) = (Vec::new(), 0, 0);
    for (at, question) in questions.iter().enumerate() {
        let own = question.to_string().len() + 1;
        if at > first && bytes + own > room {
            parts.push((first, &questions[first..at]));
            (first, bytes) = (at, 0);
        }
        bytes += own;
    }
    parts.push((first, &questions[first..]));
    parts
}

fn read(file: &Path) -> Result<Value, Failure> {
    let name = file.display();
    let text = std::fs::read(file).map_err(|error| format!("{name}: {error}"))?;
    let value = serde_json::from_slice(&text);
    value.map_err(|error| format!("{name}: {error}").into())
}

/// What of a document is a policy: those that the server shows have more.
fn of_policy(document: &Value) -> Value {
    let mut policy = json!({"rules": document["rules"]});
    if document["description"].is_string() {
        policy["description"] = document["description"].clone();
    }
    policy
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_are_asked_in_parts() {
        let questions: Vec<Value> = (0..5).map(|at| json!({ "a": at })).collect();
        let lens = |room: usize| {
            let parts = parts(&questions, room);
            parts
                .iter()
                .map(|(first, part)| (*first, part.len()))
                .collect::<Vec<_>>()
        };
        assert_eq!(lens(1000), [(0, 5)]);
        assert_eq!(lens(16), [(0, 2), (2, 2), (4, 1)]);
        assert_eq!(lens(0), [(0, 1), (1, 1), (2, 1), (3, 1), (4, 1)]);
        assert_eq!(parts(&[], 10), [(0, &[][..])]);
    }
}
