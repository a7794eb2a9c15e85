//! The pages around a provider: the buttons that lead there, and what comes of it.

use salus_service::federation::{Errand, ProviderName};
use serde_json::Value;

use super::{Hidden, Page, alert, escape, factors, inputs, marks, page};

/// The buttons of a sign-in page, one for each provider.
pub(super) fn buttons(providers: &[ProviderName], hidden: &Hidden<'_>) -> String {
    if providers.is_empty() {
        return String::new();
    }
    let button = |one: &ProviderName| {
        let (name, label) = (escape(&one.name), escape(&one.label));
        format!(r#"<button name="provider" value="{name}">Sign in with {label}</button>"#)
    };
    let buttons: String = providers.iter().map(button).collect();
    let (action, hidden) = (hidden.action("provider"), inputs(hidden));
    format!(r#"<form method="post" action="{action}">{hidden}{buttons}</form>"#)
}

/// Leads to a provider. It is no redirect of the form that was sent: browsers hold one to be
/// part of it, and wherever the provider leads on to would have to be named in our policy.
pub(in crate::oauth) fn away(label: &str, url: &str) -> Page {
    let (label, link) = (escape(label), escape(url));
    let body =
        format!(r#"<h1>Sign in with {label}</h1><p><a href="{link}">Go on to {label}</a></p>"#);
    page("Sign in elsewhere", &body).leading_to(url)
}

/// Where somebody signs in to whom no account at the provider belongs yet.
pub(in crate::oauth) fn connect(
    (label, ticket): (&str, &str),
    options: &Value,
    hidden: &Hidden<'_>,
    wrong: Option<&str>,
) -> Page {
    let (alert, marks) = (alert(wrong), marks(wrong));
    let ticket = format!(
        r#"<input type="hidden" name="ticket" value="{}">"#,
        escape(ticket)
    );
    let passkey = factors::passkey(options, ("connect", &ticket), hidden);
    let label = escape(label);
    let (action, hidden) = (hidden.action("connect"), inputs(hidden));
    let body = format!(
        r#"<h1>Connect your account</h1>
<p>Your account at <strong>{label}</strong> is not known here yet. If you have an account here, sign in to it once: from then on {label} lets you in.</p>{alert}
<form method="post" action="{action}">{hidden}{ticket}
<label for="email">E-mail address</label>
<input id="email" name="email" type="email" autocomplete="username" required autofocus{marks}>
<label for="password">Password</label>
<input id="password" name="password" type="password" autocomplete="current-password" required{marks}>
<button>Sign in and connect</button></form>{passkey}"#
    );
    page("Connect your account", &body).asking().told(wrong)
}

/// What somebody is about to do at a provider, for a session that they or somebody else has.
pub(in crate::oauth) fn errand(errand: &Errand, hidden: &Hidden<'_>) -> Page {
    let (label, user) = (escape(&errand.label), escape(&errand.user));
    let action = escape(&format!("{}/auth/providers/begin", hidden.root));
    let hidden = inputs(hidden);
    let (title, what) = match errand.connects {
        true => (
            "Connect an account",
            format!(
                "From then on, whoever signs in with your account at {label} is signed in here as \
                 <strong>{user}</strong>. Go on only if that is you, and if you have just asked \
                 for it."
            ),
        ),
        false => (
            "Prove that it is you",
            format!(
                "You are asked to sign in at {label} once more, for a session of \
                 <strong>{user}</strong>. Go on only if that is you, and if you have just asked \
                 for it."
            ),
        ),
    };
    page(
        title,
        &format!(
            r#"<h1>{title}</h1><p>{what}</p>
<form method="post" action="{action}">{hidden}<button>Go on to {label}</button></form>"#
        ),
    )
}

/// Why a provider did not let somebody in, and the way back to where they began.
pub(in crate::oauth) fn not_let(why: &str, back: Option<&str>) -> Page {
    let why = escape(why);
    let back = back.map(|back| {
        let back = escape(back);
        format!(r#"<p><a href="{back}">Back to signing in</a></p>"#)
    });
    let back = back.unwrap_or_default();
    page(
        "Not signed in",
        &format!(r#"<h1>You were not signed in</h1><p role="alert">{why}</p>{back}"#),
    )
}
