//! Where a user is asked whether a client may act for them, and how far.

use salus_service::oauth::Consent;

use super::pick::choices;
use super::{Hidden, Page, escape, inputs, page, warning, way_out};

/// Where a user agrees, or does not. Each scope that may be left out has a box of its own.
/// `place` is where the answer goes.
pub(in crate::oauth) fn consent(consent: &Consent, place: &str, hidden: &Hidden<'_>) -> Page {
    let (client, user) = (escape(&consent.client), escape(&consent.user));
    let warning = warning(consent.stranger.then_some(place));
    let way_out = way_out(hidden.root);
    let (action, hidden) = (hidden.action("decision"), inputs(hidden));
    let mut scopes = String::new();
    for (i, (scope, free)) in consent.scopes.iter().enumerate() {
        let (code, words) = (escape(scope), escape(&in_words(scope)));
        scopes.push_str(&match free {
            true => format!(
                r#"<label><input type="checkbox" name="scope-{i}" value="{code}" checked> {words} <code>{code}</code></label>"#
            ),
            false => format!("<p>{words} <code>{code}</code></p>"),
        });
    }
    let mut about = String::new();
    if let Some(patient) = &consent.patient {
        let id = escape(patient);
        about.push_str(&format!(
            r#"<p>It is about the patient <code>{id}</code>.</p><input type="hidden" name="patient" value="{id}">"#
        ));
    }
    if !consent.encounters.is_empty() {
        let legend = "About which encounter?";
        about.push_str(&choices(
            "encounter",
            legend,
            &consent.encounters,
            Some("None"),
        ));
    }
    page(
        "Allow access",
        &format!(
            r#"<h1>Allow access?</h1>
<p><strong>{client}</strong> asks you, signed in as {user}:</p>{warning}
<form method="post" action="{action}">{hidden}<fieldset><legend>to let it</legend>{scopes}</fieldset>{about}
<input type="hidden" name="chosen" value="scopes">
<button name="decision" value="allow">Allow</button>
<button name="decision" value="deny">Do not allow</button></form>{way_out}"#
        ),
    )
}

/// What a scope means to a person.
fn in_words(scope: &str) -> String {
    let fixed = match scope {
        "openid" => "know that it is you",
        "profile" => "know your name",
        "fhirUser" => "know which record is yours",
        "offline_access" => "go on when you are away",
        "online_access" => "go on while you are signed in",
        "launch" => "know from where it was opened",
        "launch/patient" => "know which patient it is about",
        "launch/encounter" => "know which encounter it is about",
        _ => "",
    };
    if !fixed.is_empty() {
        return fixed.to_owned();
    }
    let Some((level, rest)) = scope.split_once('/') else {
        return String::new();
    };
    let (rest, search) = match rest.split_once('?') {
        Some((rest, search)) => (rest, Some(search)),
        None => (rest, None),
    };
    let (ty, rights) = rest.split_once('.').unwrap_or((rest, ""));
    let verb = |letter| match letter {
        'c' => "add",
        'r' => "read",
        'u' => "change",
        'd' => "delete",
        _ => "search",
    };
    let verbs: Vec<&str> = rights.chars().map(verb).collect();
    let of = match level {
        "patient" => "of the patient",
        _ => "that you can see",
    };
    let ty = if ty == "*" {
        "records of all kinds"
    } else {
        ty
    };
    let only = search.map_or(String::new(), |search| {
        format!(", only those with {search}")
    });
    format!("{} {ty} {of}{only}", verbs.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_told_in_words() {
        assert_eq!(
            in_words("user/Patient.rs"),
            "read, search Patient that you can see"
        );
        assert_eq!(
            in_words("patient/*.r"),
            "read records of all kinds of the patient"
        );
        assert_eq!(
            in_words("patient/Observation.r?category=laboratory"),
            "read Observation of the patient, only those with category=laboratory"
        );
    }
}
