//! Where a user chooses the patient that an app is about.

use salus_service::oauth::{Choice, Pick};

use super::{Hidden, Page, escape, inputs, page, way_out};

/// The page: those that were found, and a field to look for others.
pub(in crate::oauth) fn pick(pick: &Pick, hidden: &Hidden<'_>) -> Page {
    let (client, name) = (escape(&pick.client), escape(&pick.name));
    let (user, way_out) = (escape(&pick.user), way_out(hidden.root));
    let (action, hidden) = (hidden.action("patient"), inputs(hidden));
    let find = match pick.searched {
        false => String::new(),
        true => format!(
            r#"<form method="post" action="{action}">{hidden}
<label for="name">Name</label>
<input id="name" name="name" value="{name}" autocomplete="off">
<button>Find</button></form>"#
        ),
    };
    let found = match &*pick.found {
        [] => r#"<p role="status">Nobody of this name was found.</p>"#.to_owned(),
        found => {
            let found = choices("patient", "About which patient?", found, None);
            format!(
                r#"<form method="post" action="{action}">{hidden}{found}
<button>Go on</button></form>"#
            )
        }
    };
    page(
        "Choose a patient",
        &format!(
            "<h1>Choose a patient</h1><p><strong>{client}</strong> is about one patient. You are signed in as {user}.</p>{find}{found}{way_out}"
        ),
    )
}

/// A group of which one is chosen, the first one before anybody does; `none` is one more.
pub(super) fn choices(name: &str, legend: &str, all: &[Choice], none: Option<&str>) -> String {
    let mut inputs = String::new();
    let none = none.map(|words| (String::new(), words.to_owned()));
    let all = all
        .iter()
        .map(|one| (one.id.to_string(), one.words.clone()));
    for (i, (id, words)) in none.into_iter().chain(all).enumerate() {
        let (id, words) = (escape(&id), escape(&words));
        let checked = if i == 0 { " checked" } else { "" };
        let code = match &*id {
            "" => String::new(),
            id => format!(" <code>{id}</code>"),
        };
        inputs.push_str(&format!(
            r#"<label><input type="radio" name="{name}" value="{id}"{checked}> {words}{code}</label>"#
        ));
    }
    format!("<fieldset><legend>{legend}</legend>{inputs}</fieldset>")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_text_and_labelled() {
        let hidden = Hidden {
            root: "",
            request: "r",
            token: "t",
        };
        let some = Pick {
            client: "App".to_owned(),
            user: "eve@example.org".to_owned(),
            found: vec![Choice {
                id: "a".into(),
                words: "<b>Eve</b>".to_owned(),
            }],
            name: "\"><script>".to_owned(),
            searched: true,
        };
        let body = pick(&some, &hidden).body;
        assert!(!body.contains("<b>") && !body.contains("<script"));
        assert!(body.contains("<label for=\"name\">") && body.contains("<legend>"));
        assert!(body.contains("href=\"/auth/logout\""), "{body}");
        let none = Pick {
            found: Vec::new(),
            ..some
        };
        assert!(pick(&none, &hidden).body.contains("role=\"status\""));
    }
}
