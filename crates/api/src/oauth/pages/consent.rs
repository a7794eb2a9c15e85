//! Where a user is asked whether a client may act for them.

use salus_service::oauth::Consent;

use super::{Hidden, Page, escape, inputs, page};

/// Where a user agrees, or does not.
pub(in crate::oauth) fn consent(consent: &Consent, hidden: &Hidden<'_>) -> Page {
    let (client, user) = (escape(&consent.client), escape(&consent.user));
    let (action, hidden) = (hidden.action("decision"), inputs(hidden));
    let mut items = String::new();
    for scope in &consent.scopes {
        let (code, words) = (escape(scope), escape(&in_words(scope)));
        items.push_str(&format!("<li>{words} <code>{code}</code></li>"));
    }
    let mut patients = String::new();
    for (i, id) in consent.patients.iter().enumerate() {
        let (id, checked) = (escape(id), if i == 0 { " checked" } else { "" });
        patients.push_str(&format!(
            r#"<label><input type="radio" name="patient" value="{id}"{checked}> {id}</label>"#
        ));
    }
    if !patients.is_empty() {
        patients = format!("<fieldset><legend>About which patient?</legend>{patients}</fieldset>");
    }
    page(
        "Allow access",
        &format!(
            r#"<h1>Allow access?</h1>
<p><strong>{client}</strong> asks you, signed in as {user}, to let it:</p><ul>{items}</ul>
<form method="post" action="{action}">{hidden}{patients}
<button name="decision" value="allow">Allow</button>
<button name="decision" value="deny">Do not allow</button></form>"#
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
        "launch/patient" => "know which patient it is about",
        _ => "",
    };
    if !fixed.is_empty() {
        return fixed.to_owned();
    }
    let Some((level, rest)) = scope.split_once('/') else {
        return String::new();
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
    format!("{} {ty} {of}", verbs.join(", "))
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
    }
}
