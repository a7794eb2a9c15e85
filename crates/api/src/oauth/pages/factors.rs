//! Where a user brings a second factor, or sets one up.

use salus_service::Secret;
use serde_json::Value;

use super::{Hidden, Page, escape, inputs, page};

/// Where a user brings a second factor; `again` says that it did not work.
/// `options` is what a browser needs to find a passkey of theirs.
pub(in crate::oauth) fn factor(options: Option<&Value>, hidden: &Hidden<'_>, again: bool) -> Page {
    let wrong = wrong_code(again);
    let passkey = options.map(|options| passkey(options, "factor", hidden));
    let asks = passkey.is_some();
    let passkey = passkey.unwrap_or_default();
    let (action, hidden) = (hidden.action("factor"), inputs(hidden));
    let page = page(
        "Second factor",
        &format!(
            r#"<h1>Second factor</h1>{wrong}{passkey}
<form method="post" action="{action}">{hidden}
<label for="code">Code that your app shows</label>
<input id="code" name="code" inputmode="numeric" autocomplete="one-time-code" required autofocus>
<button name="kind" value="totp">Go on</button></form>
<details><summary>Without the app</summary>
<form method="post" action="{action}">{hidden}
<label for="recovery">One of your recovery codes</label>
<input id="recovery" name="code" autocomplete="off" autocapitalize="none" spellcheck="false" required>
<button name="kind" value="recovery">Go on</button></form></details>"#
        ),
    );
    if asks { page.asking() } else { page }
}

/// The form that the script fills in; nobody sees it without.
pub(super) fn passkey(options: &Value, step: &str, hidden: &Hidden<'_>) -> String {
    let (action, hidden) = (hidden.action(step), inputs(hidden));
    let options = escape(&options.to_string());
    format!(
        r#"<form method="post" action="{action}" data-passkey="{options}" hidden>{hidden}
<input type="hidden" name="kind" value="passkey"><input type="hidden" name="code">
<button type="button">Use a passkey</button><p role="alert" hidden>No passkey was used.</p></form>"#
    )
}

/// Where a user sets up an app that shows codes, before anything else.
pub(in crate::oauth) fn enrol(hidden: &Hidden<'_>, secret: &str, again: bool) -> Page {
    let wrong = wrong_code(again);
    let (action, hidden) = (hidden.action("factor"), inputs(hidden));
    let mut groups = String::new();
    for (i, letter) in secret.chars().enumerate() {
        if i > 0 && i % 4 == 0 {
            groups.push(' ');
        }
        groups.push(letter);
    }
    let groups = escape(&groups);
    page(
        "Set up a second factor",
        &format!(
            r#"<h1>Set up a second factor</h1>
<p>You have to have one here. Add this key to an authenticator app, as one that goes by time:</p>
<p><code>{groups}</code></p>{wrong}
<form method="post" action="{action}">{hidden}
<label for="code">Code that the app shows now</label>
<input id="code" name="code" inputmode="numeric" autocomplete="one-time-code" required autofocus>
<button name="kind" value="enrol">Go on</button></form>"#
        ),
    )
}

/// The codes for who loses the app: shown this once.
pub(in crate::oauth) fn codes(next: &str, codes: &[Secret]) -> Page {
    let mut items = String::new();
    for code in codes {
        items.push_str(&format!("<li><code>{}</code></li>", escape(code.expose())));
    }
    let next = escape(next);
    page(
        "Recovery codes",
        &format!(
            r#"<h1>Recovery codes</h1>
<p>Each of these lets you in once if you lose the app. They are not shown again: keep them in a safe place.</p>
<ul>{items}</ul><p><a href="{next}">Go on</a></p>"#
        ),
    )
}

fn wrong_code(again: bool) -> &'static str {
    match again {
        true => {
            r#"<p role="alert">That code is not right, or was used. Please try the next one.</p>"#
        }
        false => "",
    }
}
