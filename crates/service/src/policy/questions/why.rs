//! Why a rule is about a record or not: each of its parts by itself.

use salus_auth::policy::{Condition, Label, Statement};
use salus_auth::record::{Effect, Rule};
use salus_store::{Filter, Row, Snapshot};
use serde_json::{Value, json};

use super::{About, Judged, texts};
use crate::Service;
use crate::error::Error;
use crate::fhir::types::ResourceType;
use crate::policy::compile;
use crate::policy::condition::meaning;
use crate::policy::writes::Among;

/// The record that filters are held against.
pub(super) enum Facts<'f> {
    /// As it is stored.
    Stored(&'f dyn Snapshot, (ResourceType, &'f str)),
    /// As a write would leave it: its id and rows.
    Written(&'f Among<'f>, (ResourceType, &'f str, &'f [Row])),
}

/// A part of a rule, in its own words.
struct Part {
    name: &'static str,
    says: String,
    means: Means,
}

/// The records that a part is about.
enum Means {
    Those(Filter),
    /// None, for this reason.
    None(&'static str),
}

impl Service {
    /// Whether a filter finds a record.
    pub(super) async fn holds(&self, facts: &Facts<'_>, filter: &Filter) -> Result<bool, Error> {
        match facts {
            Facts::Stored(snapshot, (ty, id)) => self.is_visible(*snapshot, filter, *ty, id).await,
            Facts::Written(among, (ty, id, rows)) => among.holds(ty.kind, (id, rows), filter).await,
        }
    }

    /// What each rule that is about somebody, an action and a type says to a record.
    pub(super) async fn why(
        &self,
        asked: &Judged,
        about: About<'_>,
        facts: &Facts<'_>,
    ) -> Result<Vec<Value>, Error> {
        let purposes = asked.patients.purposes(&asked.subject);
        let own = (&*asked.policies, &*asked.subject, &*purposes);
        let written = compile::about(own, about.deed, about.ty);
        let mut rules = Vec::new();
        let mut told = Vec::new();
        for (name, rule) in written {
            let mut statements = asked.statements.iter();
            let statement = statements.find(|one| *one.rule == *name && is_about(one, about));
            rules.push(
                self.told_why(asked, (&name, rule, statement), about, facts)
                    .await?,
            );
            told.push(name);
        }
        // What no policy says: consents, and what payers may not see.
        for statement in asked.statements.iter().filter(|one| is_about(one, about)) {
            if !told.iter().any(|name| **name == *statement.rule) {
                let matches = self.holds(facts, &statement.filter).await?;
                rules.push(told_of(&statement.rule, statement.effect, matches));
            }
        }
        Ok(rules)
    }

    async fn told_why(
        &self,
        asked: &Judged,
        (name, rule, statement): (&str, &Rule, Option<&Statement>),
        about: About<'_>,
        facts: &Facts<'_>,
    ) -> Result<Value, Error> {
        let matches = match statement {
            Some(statement) => self.holds(facts, &statement.filter).await?,
            None => false,
        };
        let mut told = told_of(name, rule.effect, matches);
        let mut parts = Vec::new();
        for part in self.parts(asked, rule, about.ty) {
            let mut told = json!({"part": part.name, "says": part.says});
            match part.means {
                Means::Those(filter) => told["matches"] = self.holds(facts, &filter).await?.into(),
                Means::None(because) => {
                    told["matches"] = false.into();
                    told["because"] = because.into();
                }
            }
            parts.push(told);
        }
        if !parts.is_empty() {
            told["parts"] = parts.into();
        }
        if let Some(statement) = statement {
            let elements = statement.hidden.or(&statement.read_only);
            if !elements.is_empty() {
                let member = match rule.effect {
                    Effect::Allow => "butFor",
                    // It denies these, and not the record.
                    Effect::Deny => "elements",
                };
                told[member] = texts(&elements);
            }
        }
        Ok(told)
    }

    /// What has to be so of a record for a rule to be about it.
    fn parts(&self, asked: &Judged, rule: &Rule, ty: ResourceType) -> Vec<Part> {
        let mut parts = Vec::new();
        if let Some(relationship) = rule.relationship {
            let records = asked.patients.records(relationship, ty.name);
            parts.push(Part {
                name: "relationship",
                says: relationship.name().to_owned(),
                means: match records {
                    None => Means::None("records of the type are of no patient"),
                    Some(Filter::Nothing) => Means::None("there is no such patient just now"),
                    Some(records) => Means::Those(records),
                },
            });
        }
        for (name, labels) in [
            ("labels", &rule.labels),
            ("exceptLabels", &rule.except_labels),
        ] {
            if labels.is_empty() {
                continue;
            }
            let labelled = Label::any_of(ty.name, labels);
            let says: Vec<String> = labels.iter().cloned().map(String::from).collect();
            parts.push(Part {
                name,
                says: says.join(", "),
                means: Means::Those(match name {
                    "labels" => labelled,
                    _ => Filter::Not(labelled.into()),
                }),
            });
        }
        for says in rule
            .condition
            .as_deref()
            .map(conditions)
            .unwrap_or_default()
        {
            let means = self.means(asked, (&says, rule.effect), ty);
            parts.push(Part {
                name: "condition",
                says,
                means,
            });
        }
        parts
    }

    fn means(&self, asked: &Judged, (text, effect): (&str, Effect), ty: ResourceType) -> Means {
        let cx = self.operator_context(asked.subject.home());
        match (meaning(&cx, ty, text, &asked.subject.bindings()), effect) {
            (Ok(None), _) => Means::None("the type is never in that compartment"),
            (Ok(Some(meaning)), _) if !meaning.whole => {
                Means::None("this one has nothing of what it names")
            }
            (Ok(Some(meaning)), _) => Means::Those(meaning.filter),
            (Err(_), Effect::Allow) => Means::None("it cannot be understood any more"),
            (Err(_), Effect::Deny) => Means::Those(Filter::Everything),
        }
    }
}

fn is_about(statement: &Statement, about: About<'_>) -> bool {
    statement.kind == about.ty.kind && statement.deeds.contains(&about.deed)
}

fn told_of(name: &str, effect: Effect, matches: bool) -> Value {
    let effect = match effect {
        Effect::Allow => "allow",
        Effect::Deny => "deny",
    };
    json!({"rule": name, "effect": effect, "matches": matches})
}

/// A condition, taken apart into what all has to be so.
fn conditions(text: &str) -> Vec<String> {
    let Ok(condition) = Condition::parse(text) else {
        return vec![text.to_owned()];
    };
    let compartment = condition.compartment;
    let compartment = compartment.map(|(name, place)| format!("{name}/{place}/*"));
    let search = condition.search.split('&').filter(|one| !one.is_empty());
    let search = search.map(|one| format!("{}?{one}", condition.ty.unwrap_or_default()));
    compartment.into_iter().chain(search).collect()
}

#[cfg(test)]
mod tests {
    use super::conditions;

    #[test]
    fn a_condition_is_taken_apart_into_what_has_to_be_so() {
        for (text, parts) in [
            ("?_security=R", &["?_security=R"][..]),
            (
                "Patient?active=true&gender=male",
                &["Patient?active=true", "Patient?gender=male"],
            ),
            (
                "Patient/%user.patient/*?status=final",
                &["Patient/%user.patient/*", "?status=final"],
            ),
            ("Patient/1/*", &["Patient/1/*"]),
        ] {
            assert_eq!(conditions(text), parts, "{text}");
        }
    }
}
