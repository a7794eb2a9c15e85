//! The pages on which a user signs in and agrees: plain HTML that works without scripts; one
//! script of ours asks the browser for a passkey.
//!
//! What stands in them from outside is escaped. They load nothing but our own
//! sheet of style, stand in no frame, and send their forms nowhere else; where
//! a client waits behind the answer, its place has to be named, too, since
//! browsers hold a redirect to be part of the form.

mod consent;
mod factors;
mod pick;

use axum::response::Response;
use http::{HeaderValue, StatusCode, header};
use salus_service::oauth::Look;
use serde_json::Value;

pub(super) use consent::consent;
pub(super) use factors::{codes, enrol, factor};
pub(super) use pick::pick;

const STYLE: &str = include_str!("../pages/style.css");
const SCRIPT: &str = include_str!("../pages/passkey.js");

/// What every form brings back.
pub(super) struct Hidden<'a> {
    /// Where the project is, as a path: what it has is below that.
    pub(super) root: &'a str,
    /// The request, as it came.
    pub(super) request: &'a str,
    /// Proof that the page was shown here.
    pub(super) token: &'a str,
}

impl Hidden<'_> {
    /// Where a form of the authorization endpoint is sent. Pages are answers of
    /// several paths, so it is never relative.
    pub(super) fn action(&self, step: &str) -> String {
        escape(&format!("{}/auth/authorize/{step}", self.root))
    }
}

/// A page, but for what all pages of a project have.
pub(crate) struct Page {
    title: &'static str,
    body: String,
    /// Whether it asks the browser for a passkey, which takes a script.
    asks: bool,
}

#[cfg(test)]
impl Page {
    pub(crate) fn body(&self) -> &str {
        &self.body
    }
}

/// Where a user signs in; `again` says that it did not work.
/// `options` is what a browser needs to find a passkey.
pub(super) fn sign_in(client: &str, options: &Value, hidden: &Hidden<'_>, again: bool) -> Page {
    let passkey = factors::passkey(options, "passkey", hidden);
    let wrong = match again {
        true => r#"<p role="alert">E-mail address or password is not right.</p>"#,
        false => "",
    };
    let client = escape(client);
    let recover = escape(&format!("{}/auth/recover", hidden.root));
    let (action, hidden) = (hidden.action("sign-in"), inputs(hidden));
    page(
        "Sign in",
        &format!(
            r#"<h1>Sign in</h1><p>to go on to <strong>{client}</strong></p>{wrong}
<form method="post" action="{action}">{hidden}
<label for="email">E-mail address</label>
<input id="email" name="email" type="email" autocomplete="username" required autofocus>
<label for="password">Password</label>
<input id="password" name="password" type="password" autocomplete="current-password" required>
<button>Sign in</button></form>{passkey}
<p><a href="{recover}">Forgotten your password?</a></p>"#
        ),
    )
    .asking()
}

/// Where a user types what a device shows.
pub(super) fn device(root: &str, code: &str) -> Page {
    let (root, code) = (escape(root), escape(code));
    page(
        "Connect a device",
        &format!(
            r#"<h1>Connect a device</h1><p>Type the code that your device shows. Go on only if you have the device in front of you.</p>
<form method="get" action="{root}/auth/authorize">
<label for="user_code">Code</label>
<input id="user_code" name="user_code" value="{code}" autocomplete="off" autocapitalize="characters" spellcheck="false" required autofocus>
<button>Go on</button></form>"#
        ),
    )
}

/// What has been done.
pub(super) fn done(what: &str) -> Page {
    let what = escape(what);
    page(
        "Done",
        &format!(r#"<h1>Done</h1><p role="status">{what}</p>"#),
    )
}

/// Why a user goes no further.
pub(super) fn stop(why: &str) -> Page {
    let why = escape(why);
    page(
        "Not possible",
        &format!("<h1>This is not possible</h1><p>{why}</p>"),
    )
}

fn inputs(hidden: &Hidden<'_>) -> String {
    let (request, token) = (escape(hidden.request), escape(hidden.token));
    format!(
        r#"<input type="hidden" name="request" value="{request}"><input type="hidden" name="form" value="{token}">"#
    )
}

/// A page of this content, which is HTML.
pub(crate) fn page(title: &'static str, body: &str) -> Page {
    Page {
        title,
        body: body.to_owned(),
        asks: false,
    }
}

impl Page {
    /// The same, with the script that asks for a passkey.
    fn asking(self) -> Self {
        Self { asks: true, ..self }
    }
}

/// The whole document, as the project wants it to look.
fn document(look: &Look, page: &Page) -> String {
    let Page { title, body, asks } = page;
    let root = escape(&look.root);
    let script = match asks {
        true => format!(r#"<script src="{root}/auth/passkey.js" defer></script>"#),
        false => String::new(),
    };
    let name = look.theme.name.as_deref().map(escape);
    let logo = match (&look.theme.logo, &name) {
        // What it shows is said beside it, if anything is.
        (Some(_), Some(_)) => format!(r#"<img src="{root}/auth/logo" alt="" height="48">"#),
        (Some(_), None) => format!(r#"<img src="{root}/auth/logo" alt="Logo" height="48">"#),
        (None, _) => String::new(),
    };
    let name = name.unwrap_or_default();
    let banner = match (&*logo, &*name) {
        ("", "") => String::new(),
        _ => format!("<header>{logo}<span>{name}</span></header>"),
    };
    format!(
        r#"<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>{title}</title><link rel="stylesheet" href="{root}/auth/style.css">{script}</head><body>{banner}<main>{body}</main></body></html>"#
    )
}

/// Text that is nothing but text in an element or a quoted attribute.
pub(crate) fn escape(text: &str) -> String {
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
pub(crate) fn show(look: &Look, status: StatusCode, page: &Page, place: &str) -> Response {
    let mut response = Response::new(document(look, page).into());
    *response.status_mut() = status;
    let scripts = if page.asks { " script-src 'self';" } else { "" };
    let policy = format!(
        "default-src 'none';{scripts} style-src 'self'; img-src 'self'; form-action 'self' {}; base-uri 'none'; frame-ancestors 'none'",
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

/// The sheet of style, with the colours of a project.
pub(super) fn style(look: &Look) -> Response {
    let sheet = [STYLE, &look.theme.sheet()].concat();
    let mut response = Response::new(sheet.into());
    let headers = response.headers_mut();
    let ty = HeaderValue::from_static("text/css; charset=utf-8");
    headers.insert(header::CONTENT_TYPE, ty);
    let minutes = HeaderValue::from_static("public, max-age=300");
    headers.insert(header::CACHE_CONTROL, minutes);
    response
}

/// The script that asks for a passkey: the only one there is.
pub(super) fn script() -> Response {
    let mut response = Response::new(SCRIPT.into());
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, "text/javascript; charset=utf-8"),
        (header::CACHE_CONTROL, "public, max-age=300"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
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
    use salus_service::Theme;

    use super::*;

    #[test]
    fn what_comes_from_outside_is_text() {
        let hidden = Hidden {
            root: "/p/x",
            request: r#""><script>"#,
            token: "'",
        };
        let look = Look {
            root: "/p/x".to_owned(),
            theme: Theme {
                name: Some("<i>Clinic</i>".to_owned()),
                ..Theme::default()
            },
        };
        let options = serde_json::json!({"rpId": "\"><script>"});
        let html = document(&look, &sign_in("<b>App</b>", &options, &hidden, true));
        assert!(html.contains(r#"action="/p/x/auth/authorize/sign-in""#));
        assert!(html.contains("&lt;i&gt;Clinic") && !html.contains("<i>"));
        assert!(!html.contains("<b>") && html.matches("<script").count() == 1);
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
}
