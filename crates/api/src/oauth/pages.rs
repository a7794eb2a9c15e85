//! The pages on which a user signs in and agrees: plain HTML without any script.
//!
//! What stands in them from outside is escaped. They load nothing but our own
//! sheet of style, stand in no frame, and send their forms nowhere else; where
//! a client waits behind the answer, its place has to be named, too, since
//! browsers hold a redirect to be part of the form.

use axum::response::Response;
use http::{HeaderValue, StatusCode, header};
use salus_service::oauth::Consent;

const STYLE: &str = include_str!("../pages/style.css");

/// What every form brings back.
pub(super) struct Hidden<'a> {
    /// The request, as it came.
    pub(super) request: &'a str,
    /// Proof that the page was shown here.
    pub(super) token: &'a str,
}

/// Where a user signs in; `again` says that it did not work.
pub(super) fn sign_in(client: &str, hidden: &Hidden<'_>, again: bool) -> String {
    let wrong = match again {
        true => r#"<p role="alert">E-mail address or password is not right.</p>"#,
        false => "",
    };
    let client = escape(client);
    let hidden = inputs(hidden);
    page(
        "Sign in",
        &format!(
            r#"<h1>Sign in</h1><p>to go on to <strong>{client}</strong></p>{wrong}
<form method="post" action="authorize/sign-in">{hidden}
<label for="email">E-mail address</label>
<input id="email" name="email" type="email" autocomplete="username" required autofocus>
<label for="password">Password</label>
<input id="password" name="password" type="password" autocomplete="current-password" required>
<button>Sign in</button></form>"#
        ),
    )
}

/// Where a user agrees, or does not.
pub(super) fn consent(consent: &Consent, hidden: &Hidden<'_>) -> String {
    let (client, user) = (escape(&consent.client), escape(&consent.user));
    let hidden = inputs(hidden);
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
<form method="post" action="authorize/decision">{hidden}{patients}
<button name="decision" value="allow">Allow</button>
<button name="decision" value="deny">Do not allow</button></form>"#
        ),
    )
}

/// Why a user goes no further.
pub(super) fn stop(why: &str) -> String {
    let why = escape(why);
    page(
        "Not possible",
        &format!("<h1>This is not possible</h1><p>{why}</p>"),
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

fn inputs(hidden: &Hidden<'_>) -> String {
    let (request, token) = (escape(hidden.request), escape(hidden.token));
    format!(
        r#"<input type="hidden" name="request" value="{request}"><input type="hidden" name="form" value="{token}">"#
    )
}

fn page(title: &str, body: &str) -> String {
    format!(
        r#"<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>{title}</title><link rel="stylesheet" href="/auth/style.css"></head><body><main>{body}</main></body></html>"#
    )
}

/// Text that is nothing but text in an element or a quoted attribute.
fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            c => safe.push(c),
        }
    }
    safe
}

/// A page as an answer. Its forms may lead on to `place`, a client's redirect URI.
pub(super) fn show(status: StatusCode, html: String, place: &str) -> Response {
    let mut response = Response::new(html.into());
    *response.status_mut() = status;
    let policy = format!(
        "default-src 'none'; style-src 'self'; form-action 'self' {}; base-uri 'none'; frame-ancestors 'none'",
        origin(place)
    );
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if let Ok(policy) = HeaderValue::try_from(policy) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    response
}

/// The sheet of style.
pub(super) fn style() -> Response {
    let mut response = Response::new(STYLE.into());
    let headers = response.headers_mut();
    let ty = HeaderValue::from_static("text/css; charset=utf-8");
    headers.insert(header::CONTENT_TYPE, ty);
    let hour = HeaderValue::from_static("public, max-age=3600");
    headers.insert(header::CACHE_CONTROL, hour);
    response
}

/// Scheme and host of a registered redirect URI, or its scheme if it has no host.
fn origin(place: &str) -> String {
    let Some((scheme, rest)) = place.split_once(':') else {
        return String::new();
    };
    match rest.strip_prefix("//") {
        Some(rest) if scheme.starts_with("http") => {
            let end = rest.find(['/', '?']).unwrap_or(rest.len());
            format!("{scheme}://{}", &rest[..end])
        }
        _ => format!("{scheme}:"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_from_outside_is_text() {
        let hidden = Hidden {
            request: r#""><script>"#,
            token: "'",
        };
        let html = sign_in("<b>App</b>", &hidden, true);
        assert!(!html.contains("<b>") && !html.contains("<script"));
        assert!(html.contains("&lt;b&gt;App") && html.contains("value=\"&#39;\""));
    }

    #[test]
    fn forms_lead_to_the_client_only() {
        assert_eq!(
            origin("https://app.example.org:1/back?x"),
            "https://app.example.org:1"
        );
        assert_eq!(origin("org.example.app:/back"), "org.example.app:");
        assert_eq!(origin(""), "");
    }

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
