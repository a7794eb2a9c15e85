//! What a user may choose that an app is about: patients and encounters that they
//! would find by a search, and nothing else.

use salus_auth::Word;
use salus_auth::record::ProfileType;
use serde_json::Value;

use super::browser::Browser;
use super::request::Wanted;
use super::{Code, Fault};
use crate::Service;
use crate::context::Context;
use crate::error::{Error, Kind};
use crate::fhir::Handling;

/// How many are shown at once.
const SHOWN: &str = "20";
const WORDS_BYTES_MAX: usize = 200;

/// Something that can be chosen.
#[derive(Clone, PartialEq, Eq)]
pub struct Choice {
    /// Its id.
    pub id: Box<str>,
    /// What it is to people.
    pub words: String,
}
salus_phi::guard!(Choice);

/// What a user chose so far.
#[derive(Clone, Default)]
pub struct Chosen {
    /// A patient, by id.
    pub patient: Option<String>,
    /// An encounter, by id.
    pub encounter: Option<String>,
    /// A name that patients are looked for by.
    pub name: Option<String>,
    /// The scopes that are to be given, if the user was asked.
    pub scopes: Option<Vec<String>>,
}
salus_phi::guard!(Chosen);

/// Which patient a request is about.
pub(super) enum About {
    /// None.
    Nobody,
    /// This one.
    One(Box<str>),
    /// One of these, or of others.
    Choose(Vec<Choice>),
}

impl Service {
    /// Which patient it is about, of those that the user is or may see.
    pub(super) async fn about(
        &self,
        cx: &Context,
        wanted: &Wanted,
        browser: &Browser,
        chosen: &Chosen,
    ) -> Result<Result<About, Fault>, Error> {
        let cx = &browser.context(cx);
        let encounter = wanted.scopes.has(Word::LaunchEncounter);
        if !(encounter || wanted.is_about_one()) {
            return Ok(Ok(About::Nobody));
        }
        let profiles = browser.user.value.profiles.iter();
        let own = profiles.filter(|profile| profile.ty == ProfileType::Patient);
        let own: Vec<&str> = own.map(|profile| &*profile.id).collect();
        match (&chosen.patient, &*own) {
            (Some(id), own) if own.contains(&&**id) => {
                return Ok(Ok(About::One(id.as_str().into())));
            }
            (Some(id), []) if self.may_see(cx, id).await? => {
                return Ok(Ok(About::One(id.as_str().into())));
            }
            (_, [only]) => return Ok(Ok(About::One((*only).into()))),
            (_, []) => {}
            (_, own) => {
                let choice = |id: &&str| Choice {
                    id: (*id).into(),
                    words: String::new(),
                };
                return Ok(Ok(About::Choose(own.iter().map(choice).collect())));
            }
        }
        let mut search = vec![("_elements", "name,birthDate"), ("_sort", "family")];
        search.extend(chosen.name.as_deref().map(|name| ("name", name)));
        match self.choices(cx, "Patient", search).await? {
            // A name that nobody has can be followed by another one.
            Some(found) if !found.is_empty() || chosen.name.is_some() => {
                Ok(Ok(About::Choose(found)))
            }
            _ => Ok(Err(Fault::new(
                Code::AccessDenied,
                "the user is no patient here, and has none to choose",
            ))),
        }
    }

    /// Encounters of a patient that the user may see, the newest first.
    pub(super) async fn encounters(
        &self,
        cx: &Context,
        patient: &str,
    ) -> Result<Vec<Choice>, Error> {
        let patient = format!("Patient/{patient}");
        let search = vec![
            ("patient", &*patient),
            ("_sort", "-date"),
            ("_elements", "status,class,type,period"),
        ];
        let found = self.choices(cx, "Encounter", search).await?;
        Ok(found.unwrap_or_default())
    }

    /// Whether the user may see a patient.
    pub(super) async fn may_see(&self, cx: &Context, patient: &str) -> Result<bool, Error> {
        let search = vec![("_id", patient), ("_elements", "name")];
        let found = self.choices(cx, "Patient", search).await?;
        Ok(found.is_some_and(|found| !found.is_empty()))
    }

    /// What a user finds; `None` if they may not search.
    async fn choices(
        &self,
        cx: &Context,
        ty: &str,
        search: Vec<(&str, &str)>,
    ) -> Result<Option<Vec<Choice>>, Error> {
        let count = [("_count", SHOWN)];
        let all = search.into_iter().chain(count);
        let all = all.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let found = self.search(cx, ty, all.collect(), Handling::Strict).await;
        let body = match found {
            Ok(reply) => reply.body.unwrap_or_default(),
            Err(error) if error.kind() == Kind::Forbidden => return Ok(None),
            // What is no name or id finds nobody.
            Err(error) if error.kind() == Kind::Invalid => return Ok(Some(Vec::new())),
            Err(error) => return Err(error),
        };
        let bundle: Value = serde_json::from_slice(&body).unwrap_or_default();
        let entries = bundle["entry"].as_array().into_iter().flatten();
        let matches = entries.filter(|entry| entry["search"]["mode"] == "match");
        Ok(Some(
            matches.filter_map(|one| choice(&one["resource"])).collect(),
        ))
    }
}

fn choice(resource: &Value) -> Option<Choice> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut words: Vec<String> = match resource["resourceType"].as_str()? {
        "Patient" => vec![name(&resource["name"][0]), text(&resource["birthDate"])],
        _ => vec![
            text(&resource["period"]["start"]),
            text(&resource["class"]["display"]),
            text(&resource["type"][0]["text"]),
            text(&resource["status"]),
        ],
    };
    words.retain(|word| !word.is_empty());
    let mut words = words.join(", ");
    if let Some((end, _)) = words.char_indices().find(|(at, _)| *at > WORDS_BYTES_MAX) {
        words.truncate(end);
    }
    Some(Choice {
        id: resource["id"].as_str()?.into(),
        words,
    })
}

/// A HumanName as one writes it.
fn name(name: &Value) -> String {
    if let Some(text) = name["text"].as_str() {
        return text.to_owned();
    }
    let given = name["given"].as_array().into_iter().flatten();
    let all = given.chain([&name["family"]]).filter_map(Value::as_str);
    all.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn choices_are_told_in_words() {
        let patient = json!({"resourceType": "Patient", "id": "a", "birthDate": "1970-01-02",
            "name": [{"given": ["Eve", "M"], "family": "Adams"}]});
        assert_eq!(choice(&patient).unwrap().words, "Eve M Adams, 1970-01-02");
        let bare = json!({"resourceType": "Patient", "id": "a"});
        assert_eq!(choice(&bare).unwrap().words, "");
        let encounter = json!({"resourceType": "Encounter", "id": "e", "status": "finished",
            "class": {"display": "ambulatory"}, "period": {"start": "2020-01-01"}});
        let words = choice(&encounter).unwrap().words;
        assert_eq!(words, "2020-01-01, ambulatory, finished");
        let long =
            json!({"resourceType": "Patient", "id": "a", "name": [{"text": "\u{e9}".repeat(300)}]});
        assert!(choice(&long).unwrap().words.len() <= WORDS_BYTES_MAX + 2);
        assert_eq!(choice(&json!({"resourceType": "Patient"})), None);
    }
}
