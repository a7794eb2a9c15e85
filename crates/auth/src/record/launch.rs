//! Launches: what a system from which an app is opened tells about the place
//! where that happened.
//!
//! <https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html#scopes-for-requesting-context-data>.
//! The app gets an opaque text of 32 random bytes. It gives no access: the user has to sign
//! in and agree, and sees no more of the patient than they do without it.

use salus_store::Row;
use serde::{Deserialize, Serialize};

use super::{Saved, SystemRecord, expires_row};
use crate::{Error, Secret, token};

/// How long an app may take from being opened to the user's agreement.
pub const LAUNCH_LIFETIME_MS: i64 = 10 * 60 * 1000;
const CONTEXT_MAX: usize = 20;
const TEXT_BYTES_MAX: usize = 500;

/// A launch, in the scope of its project. Its id is the hash of what the app is given.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Launch {
    /// The app that is opened, by its id as a client.
    pub client: Box<str>,
    /// The user who opens it, if that is known.
    #[serde(default)]
    pub user: Option<Box<str>>,
    /// The id of the patient that it is about.
    #[serde(default)]
    pub patient: Option<Box<str>>,
    /// What else the app is told.
    pub context: LaunchContext,
    expires_ms: i64,
}
salus_phi::guard!(Launch);

/// What an app is told beside the patient.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaunchContext {
    /// The id of the encounter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encounter: Option<Box<str>>,
    /// Other resources.
    #[serde(default, rename = "fhirContext", skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<LaunchedWith>,
    /// What the app is to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intent: Option<String>,
    /// Whether the app has to show whom it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub need_patient_banner: Option<bool>,
    /// Where a look is described that the app should have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub smart_style_url: Option<String>,
    /// Whose place it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
}
salus_phi::guard!(LaunchContext);

/// A resource that an app is told of.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LaunchedWith {
    /// A relative reference, as `ImagingStudy/1`.
    pub reference: String,
    /// What the resource is there for, as a URI.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
}
salus_phi::guard!(LaunchedWith);

impl SystemRecord for Launch {
    const NAME: &'static str = "salus:Launch";

    fn rows(&self) -> Vec<Row> {
        vec![expires_row::<Self>(self.expires_ms)]
    }
}

impl Launch {
    /// A new launch of a client, and what the app is given.
    ///
    /// # Errors
    /// [`Error::Name`] says what of it is not of its form.
    pub fn make(
        random: &[u8; 32],
        (client, user): (Box<str>, Option<Box<str>>),
        patient: Option<Box<str>>,
        context: LaunchContext,
        now_ms: i64,
    ) -> Result<(Secret, Saved<Self>), Error> {
        check(patient.as_deref(), &context)?;
        let secret = Secret::new(salus_crypto::base64url(random));
        let launch = Self {
            client,
            user,
            patient,
            context,
            expires_ms: now_ms.saturating_add(LAUNCH_LIFETIME_MS),
        };
        let saved = Saved::new(token::id(secret.expose()), launch);
        Ok((secret, saved))
    }

    /// The id of the record of a launch.
    #[must_use]
    pub fn id(launch: &str) -> Box<str> {
        token::id(launch)
    }

    /// Whether this client may use it for this user, just now.
    #[must_use]
    pub fn is_for(&self, client: &str, user: Option<&str>, now_ms: i64) -> bool {
        let meant = match (self.user.as_deref(), user) {
            (Some(meant), Some(user)) => meant == user,
            // Who it is will be known later.
            (Some(_), None) | (None, _) => true,
        };
        meant && *self.client == *client && now_ms < self.expires_ms
    }
}

fn check(patient: Option<&str>, context: &LaunchContext) -> Result<(), Error> {
    use salus_fhir::definitions::r4;
    use salus_fhir::reference::is_id;

    let refuse = |what, form| Err(Error::Name { what, form });
    let ids = [patient, context.encounter.as_deref()];
    if !ids.into_iter().flatten().all(is_id) {
        return refuse("patient or encounter", "an id");
    }
    let good = |one: &LaunchedWith| {
        let place = one.reference.split_once('/');
        place.is_some_and(|(ty, id)| r4().resource_named(ty).is_some() && is_id(id))
    };
    if context.others.len() > CONTEXT_MAX || !context.others.iter().all(good) {
        return refuse("fhirContext", "20 at most, each with a reference Type/id");
    }
    let roles = context.others.iter().map(|one| &one.role);
    let texts = [&context.intent, &context.tenant, &context.smart_style_url];
    let short = |text: &String| {
        !text.is_empty() && text.len() <= TEXT_BYTES_MAX && !text.contains(char::is_control)
    };
    if !texts.into_iter().chain(roles).flatten().all(short) {
        return refuse(
            "text",
            "1 to 500 bytes without control characters, in intent, tenant, role and smart_style_url",
        );
    }
    if context
        .smart_style_url
        .as_deref()
        .is_some_and(|url| !url.starts_with("https://"))
    {
        return refuse("smart_style_url", "https");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(user: Option<&str>, context: LaunchContext) -> Result<Launch, Error> {
        let whose = ("app".into(), user.map(Into::into));
        let made = Launch::make(&[1; 32], whose, Some("p".into()), context, 0);
        made.map(|(_, saved)| saved.value)
    }

    #[test]
    fn a_launch_is_for_its_app_and_user_and_a_while() {
        let anyones = made(None, LaunchContext::default()).unwrap();
        assert!(anyones.is_for("app", Some("u"), 0));
        assert!(!anyones.is_for("other", Some("u"), 0));
        assert!(!anyones.is_for("app", Some("u"), LAUNCH_LIFETIME_MS));
        let ones = made(Some("u"), LaunchContext::default()).unwrap();
        assert!(ones.is_for("app", Some("u"), 0) && ones.is_for("app", None, 0));
        assert!(!ones.is_for("app", Some("v"), 0));
    }

    #[track_caller]
    fn refused(change: impl Fn(&mut LaunchContext)) {
        let mut context = LaunchContext::default();
        change(&mut context);
        assert!(made(None, context).is_err());
    }

    #[test]
    fn what_an_app_is_told_has_its_form() {
        refused(|context| context.encounter = Some("a b".into()));
        refused(|context| context.intent = Some(String::new()));
        refused(|context| context.tenant = Some("a\nb".into()));
        refused(|context| context.smart_style_url = Some("http://a.example".into()));
        let with = |reference: &str| LaunchedWith {
            reference: reference.to_owned(),
            role: None,
        };
        refused(|context| context.others = vec![with("Nothing/1")]);
        refused(|context| context.others = vec![with("Patient")]);
        refused(|context| context.others = vec![with("Patient/1"); 21]);
    }
}
