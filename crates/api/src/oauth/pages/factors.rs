//! Where a user brings a second factor, or sets one up.

use salus_service::Secret;
use salus_service::mfa::{Enrolment, Offered};
use serde_json::Value;

use super::{Hidden, Page, alert, escape, inputs, marks, page, qr};

/// What a form of the script is for.
enum Ask {
    /// A signature of a passkey that there is.
    Sign,
    /// The same, which the browser may offer in the field for the address, too.
    SignOrFill,
    /// A new passkey.
    Make,
}

/// Where a user brings a second factor of theirs; `wrong` says why the last one was not it.
pub(in crate::oauth) fn factor(
    offered: &Offered,
    hidden: &Hidden<'_>,
    wrong: Option<&str>,
) -> Page {
    let step = |options| asked(&Ask::Sign, options, ("factor", ""), hidden);
    let passkey = offered.passkey.as_ref().map(step);
    let asks = passkey.is_some();
    let passkey = passkey.unwrap_or_default();
    let alert = alert(wrong);
    let codes = match (offered.totp, offered.recovery) {
        (true, true) => format!(
            "{}<details><summary>Without the app</summary>{}</details>",
            totp(hidden, wrong),
            recovery(hidden, "")
        ),
        (true, false) => totp(hidden, wrong),
        (false, true) => recovery(hidden, marks(wrong)),
        (false, false) => String::new(),
    };
    let unscripted = match (offered.totp, asks) {
        (false, true) => "<noscript><p>Passkeys need JavaScript.</p></noscript>",
        (..) => "",
    };
    let page = page(
        "Second factor",
        &format!("<h1>Second factor</h1>{alert}{passkey}{unscripted}{codes}"),
    );
    let page = page.told(wrong);
    if asks { page.asking() } else { page }
}

fn totp(hidden: &Hidden<'_>, wrong: Option<&str>) -> String {
    let (action, marks) = (hidden.action("factor"), marks(wrong));
    let hidden = inputs(hidden);
    format!(
        r#"<form method="post" action="{action}">{hidden}
<label for="code">Code that your app shows</label>
<input id="code" name="code" inputmode="numeric" autocomplete="one-time-code" required autofocus{marks}>
<button name="kind" value="totp">Go on</button></form>"#
    )
}

fn recovery(hidden: &Hidden<'_>, marks: &str) -> String {
    let (action, hidden) = (hidden.action("factor"), inputs(hidden));
    format!(
        r#"<form method="post" action="{action}">{hidden}
<label for="recovery">One of your recovery codes</label>
<input id="recovery" name="code" autocomplete="off" autocapitalize="none" spellcheck="false" required{marks}>
<button name="kind" value="recovery">Go on</button></form>"#
    )
}

/// The form by which a passkey is used in the place of all else, and what it brings along, which
/// is HTML.
pub(super) fn passkey(options: &Value, (step, more): (&str, &str), hidden: &Hidden<'_>) -> String {
    asked(&Ask::SignOrFill, options, (step, more), hidden)
}

/// A form that the script shows and fills in; nobody sees it without.
fn asked(ask: &Ask, options: &Value, (step, more): (&str, &str), hidden: &Hidden<'_>) -> String {
    let (action, hidden) = (hidden.action(step), inputs(hidden));
    let options = escape(&options.to_string());
    let (ask, kind, words) = match ask {
        Ask::Sign => ("sign", "passkey", "Use a passkey"),
        Ask::SignOrFill => ("fill", "passkey", "Use a passkey"),
        Ask::Make => ("make", "enrol-passkey", "Set up a passkey"),
    };
    format!(
        r#"<form method="post" action="{action}" data-ask="{ask}" data-passkey="{options}" hidden>{hidden}{more}
<input type="hidden" name="kind" value="{kind}"><input type="hidden" name="code">
<button type="button">{words}</button><p role="alert" hidden>That did not work. Please try again, or go on without a passkey.</p></form>"#
    )
}

/// Where a user sets up a second factor, before anything else.
pub(in crate::oauth) fn enrol(shown: &Enrolment, hidden: &Hidden<'_>, wrong: Option<&str>) -> Page {
    let passkey = asked(&Ask::Make, &shown.passkey, ("factor", ""), hidden);
    let (alert, marks) = (alert(wrong), marks(wrong));
    let uri = shown.uri.expose();
    let drawing = qr::svg(uri, "QR code of the key below");
    let (uri, key) = (escape(uri), escape(&groups(shown.secret.expose())));
    let (action, hidden) = (hidden.action("factor"), inputs(hidden));
    page(
        "Set up a second factor",
        &format!(
            r#"<h1>Set up a second factor</h1>
<p>You need one here, so that a stolen password is not enough.</p>{alert}{passkey}
<h2>An authenticator app</h2>
<p>Scan this with the app, or <a href="{uri}">open it in an app on this device</a>.</p>{drawing}
<p>To type it instead, choose a key that goes by time:</p><p><code>{key}</code></p>
<form method="post" action="{action}">{hidden}
<label for="code">Code that the app shows now</label>
<input id="code" name="code" inputmode="numeric" autocomplete="one-time-code" required{marks}>
<button name="kind" value="enrol">Go on</button></form>"#
        ),
    )
    .asking()
    .told(wrong)
}

/// A key as people can read it to each other.
fn groups(key: &str) -> String {
    let mut groups = String::new();
    for (i, letter) in key.chars().enumerate() {
        if i > 0 && i % 4 == 0 {
            groups.push(' ');
        }
        groups.push(letter);
    }
    groups
}

/// The codes for who loses everything else: shown this once. `place` is what they are for, on paper.
pub(in crate::oauth) fn codes(next: &str, place: &str, codes: &[Secret]) -> Page {
    let mut items = String::new();
    for code in codes {
        items.push_str(&format!("<li><code>{}</code></li>", escape(code.expose())));
    }
    let (next, place) = (escape(next), escape(place));
    page(
        "Recovery codes",
        &format!(
            r#"<h1>Recovery codes</h1>
<p>Each of these lets you in once at <strong>{place}</strong> if you lose your second factor. They are not shown again: print this page or write them down, and keep them in a safe place.</p>
<ol>{items}</ol><p><a class="button" href="{next}">Go on</a></p>"#
        ),
    )
}
