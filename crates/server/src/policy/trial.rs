//! A project in memory for a file of expectations with fixtures: no server, no
//! data folder, and nothing left of it afterwards.

use std::sync::Arc;

use bytes::Bytes;
use salus_crypto::SecretKey;
use salus_service::context::{Context, World};
use salus_service::error::Error;
use salus_service::fhir::{Which, WriteCondition, WriteOptions};
use salus_service::projects::DEFAULT;
use salus_service::{Care, Service, Settings};
use salus_store::Scope;
use salus_store::memory::Memory;
use serde_json::Value;

use super::Failure;
use super::expectations::Expectations;
use crate::open::Machine;

/// The clock of the file, if it has one.
struct Clock(Option<i64>);

impl World for Clock {
    fn now_ms(&self) -> i64 {
        self.0.unwrap_or_else(|| Machine.now_ms())
    }

    fn random(&self, buffer: &mut [u8]) {
        Machine.random(buffer);
    }
}

struct Trial {
    service: Service,
    scope: Scope,
}

/// What the policies of a file answer to its questions, over its fixtures.
pub(super) async fn answers(file: &Expectations) -> Result<Vec<Value>, Failure> {
    let trial = Trial::open(file.now_ms()?).await?;
    for (at, resource) in file.resources()?.into_iter().enumerate() {
        let stored = trial.put(resource).await;
        stored.map_err(|error| format!("fixtures[{at}]: {error}"))?;
    }
    if let Some(care) = &file.care {
        let care: Care = serde_json::from_value(care.clone())?;
        let written = trial.service.write_care(&trial.operator(), care).await;
        written.map_err(|error| format!("care: {}", told(&error)))?;
    }
    let body = file.body()?.to_string();
    let answers = trial
        .service
        .ask_policies(&trial.operator(), body.as_bytes())
        .await;
    let mut answers = answers.map_err(|error| told(&error))?;
    let answers = answers["answers"].as_array_mut().map(std::mem::take);
    answers.ok_or_else(|| "there are no answers".into())
}

impl Trial {
    async fn open(now_ms: Option<i64>) -> Result<Self, Failure> {
        let (store, blobs) = (Arc::new(Memory::new()), Arc::new(Memory::new()));
        let (world, key) = (Arc::new(Clock(now_ms)), SecretKey::from_bytes([0; 32]));
        let service = Service::open(store, blobs, world, Settings::default(), key).await;
        let service = service.map_err(|error| told(&error))?;
        let scope = service.project_scope(DEFAULT);
        let scope = scope.ok_or("a new store has no project")?;
        Ok(Self { service, scope })
    }

    fn operator(&self) -> Context {
        self.service.operator_context(self.scope)
    }

    async fn put(&self, resource: &Value) -> Result<(), Failure> {
        let text = |name: &str| resource[name].as_str();
        let (ty, id) = (text("resourceType"), text("id"));
        let (ty, id) = ty.zip(id).ok_or("needs a resourceType and an id")?;
        let options = WriteOptions {
            condition: WriteCondition::None,
            idempotency_key: None,
        };
        let body = Bytes::from(resource.to_string());
        let cx = self.operator();
        let stored = self.service.update(&cx, ty, Which::Id(id), body, &options);
        stored.await.map_err(|error| told(&error))?;
        Ok(())
    }
}

/// What is wrong, and where.
fn told(error: &Error) -> String {
    let issues = error.issues().iter().map(|issue| match &*issue.expression {
        "" => issue.details.to_string(),
        place => format!("{place}: {}", issue.details),
    });
    issues.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use salus_service::policy::SETS;

    use super::super::expectations::differences;
    use super::*;

    #[tokio::test]
    async fn every_policy_set_does_what_it_has_to() {
        for set in SETS {
            let file = Expectations::of_set(set.name).unwrap();
            let answers = answers(&file).await.unwrap();
            assert!(answers.len() > 5, "{}", set.name);
            for (question, answer) in file.questions.iter().zip(&answers) {
                let differs = differences(&question["expect"], answer);
                assert!(
                    differs.is_empty(),
                    "{}: {question}: {differs:?} {answer}",
                    set.name
                );
            }
        }
    }
}
