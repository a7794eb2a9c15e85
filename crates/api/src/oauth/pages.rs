//! The pages on which a user signs in and agrees: plain HTML that works without scripts; one
//! script of ours asks the browser for a passkey (docs/adr/0041).
//!
//! What stands in them from outside is escaped. They load nothing but the files
//! of `files.rs`, stand in no frame, and send their forms nowhere else; where
//! a client waits behind the answer, its place has to be named, too, since
//! browsers hold a redirect to be part of the form.

mod consent;
mod factors;
mod logout;
mod pick;
mod providers;
mod qr;

use axum::response::Response;
use http::{HeaderValue, StatusCode, header};
use salus_service::accounts::ByMail;
use salus_service::federation::ProviderName;
use salus_service::oauth::Look;
use serde_json::Value;

pub(super) use consent::consent;
pub(super) use factors::{codes, enrol, factor};
pub(super) use logout::{gone, logout};
pub(super) use pick::pick;
pub(super) use providers::{away, connect, errand, not_let};

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
    /// Whether it says that something was wrong.
    wrong: bool,
    /// Where it leads at once, if it does.
    next: Option<String>,
}

#[cfg(test)]
impl Page {
    pub(crate) fn body(&self) -> &str {
        &self.body
    }
}

/// What stands on the page where a user signs in.
pub(super) struct SignIn<'a> {
    /// The name of the client that they go on to.
    pub(super) client: &'a str,
    /// Where it leads, if no administrator has looked at it.
    pub(super) stranger: Option<&'a str>,
    /// What a browser needs to find a passkey.
    pub(super) options: &'a Value,
    /// The providers by which they can sign in, too.
    pub(super) providers: &'a [ProviderName],
    /// What else they can do.
    pub(super) by_mail: ByMail,
    /// Why it did not work, and the address that was typed.
    pub(super) again: Option<(&'a str, &'a str)>,
}

/// Where a user signs in.
pub(super) fn sign_in(about: &SignIn<'_>, hidden: &Hidden<'_>) -> Page {
    let passkey = factors::passkey(about.options, ("passkey", ""), hidden);
    let providers = providers::buttons(about.providers, hidden);
    let (wrong, email) = about.again.unzip();
    let (alert, marks) = (alert(wrong), marks(wrong));
    let email = escape(email.unwrap_or_default());
    // Who has typed their address already goes on with the password.
    let (at_email, at_password) = match email.is_empty() {
        true => (" autofocus", ""),
        false => ("", " autofocus"),
    };
    let warning = warning(about.stranger);
    let (client, others) = (escape(about.client), others(about.by_mail, hidden));
    let (action, hidden) = (hidden.action("sign-in"), inputs(hidden));
    page(
        "Sign in",
        &format!(
            r#"<h1>Sign in</h1><p>to go on to <strong>{client}</strong></p>{warning}{alert}
<form method="post" action="{action}">{hidden}
<label for="email">E-mail address</label>
<input id="email" name="email" type="email" value="{email}" autocomplete="username webauthn" required{at_email}{marks}>
<label for="password">Password</label>
<input id="password" name="password" type="password" autocomplete="current-password" required{at_password}{marks}>
<button>Sign in</button></form>{passkey}{providers}{others}"#
        ),
    )
    .asking()
    .told(wrong)
}

/// What else somebody can do who is not signed in.
fn others(by_mail: ByMail, hidden: &Hidden<'_>) -> String {
    let links = [
        (by_mail.recover, "recover", "Forgotten your password?"),
        (by_mail.sign_up, "sign-up", "Make an account"),
    ];
    let mut list = String::new();
    for (_, path, words) in links.iter().filter(|(there, ..)| *there) {
        let path = escape(&format!("{}/auth/{path}", hidden.root));
        list.push_str(&format!(r#"<p><a href="{path}">{words}</a></p>"#));
    }
    match &*list {
        "" => list,
        list => format!("<footer>{list}</footer>"),
    }
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

/// What has been done; `root` is where the project is, if somebody is signed in.
pub(super) fn done(what: &str, root: Option<&str>) -> Page {
    let what = escape(what);
    let way_out = root.map(way_out).unwrap_or_default();
    page(
        "Done",
        &format!(r#"<h1>Done</h1><p role="status">{what}</p>{way_out}"#),
    )
}

/// The way out of each page that shows something of who is signed in (OWASP ASVS 5.0, 7.4.4).
fn way_out(root: &str) -> String {
    let root = escape(root);
    format!(r#"<p><a href="{root}/auth/logout">Sign out</a></p>"#)
}

/// What a user has to know of a client that no administrator has looked at: it may have any name.
fn warning(stranger: Option<&str>) -> String {
    let Some(place) = stranger else {
        return String::new();
    };
    let leads = match origin(place) {
        place if place.is_empty() => String::new(),
        place => format!(" and leads to <code>{}</code>", escape(&place)),
    };
    format!(
        r#"<p role="alert">This app registered itself{leads}. Nobody here has checked who it is from: its name may be another's. Go on only if you know it.</p>"#
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
        wrong: false,
        next: None,
    }
}

impl Page {
    /// The same, with the script that asks for a passkey.
    fn asking(self) -> Self {
        Self { asks: true, ..self }
    }

    /// The same, but browsers go on to a place at once.
    fn leading_to(self, url: &str) -> Self {
        let next = Some(url.to_owned());
        Self { next, ..self }
    }

    /// The same; its title begins with what was wrong, if anything was.
    pub(crate) fn told(self, wrong: Option<&str>) -> Self {
        Self {
            wrong: wrong.is_some(),
            ..self
        }
    }
}

/// What was wrong: read out at once, and with the fields that it is about
/// (WCAG 2.1, 3.3.1 and 4.1.3).
pub(crate) fn alert(wrong: Option<&str>) -> String {
    wrong.map_or(String::new(), |why| {
        format!(r#"<p role="alert" id="wrong">{}</p>"#, escape(why))
    })
}

/// The attributes of a field that is wrong.
pub(crate) fn marks(wrong: Option<&str>) -> &'static str {
    match wrong {
        Some(_) => r#" aria-invalid="true" aria-describedby="wrong""#,
        None => "",
    }
}

/// The whole document, as the project wants it to look.
fn document(look: &Look, page: &Page) -> String {
    let Page { title, body, .. } = page;
    let next = page.next.as_deref().map(|url| {
        let url = escape(url);
        format!(r#"<meta http-equiv="refresh" content="0; url={url}">"#)
    });
    let next = next.unwrap_or_default();
    let root = escape(&look.root);
    let script = match page.asks {
        true => format!(r#"<script src="{root}/auth/passkey.js" defer></script>"#),
        false => String::new(),
    };
    let name = look.theme.name.as_deref().map(escape);
    let error = if page.wrong { "Error: " } else { "" };
    let of = name
        .as_ref()
        .map_or(String::new(), |name| format!(" – {name}"));
    let logo = match (&look.theme.logo, &name) {
        // What it shows is said beside it, if anything is.
        (Some(_), Some(_)) => format!(r#"<img src="{root}/auth/logo" alt="" height="48">"#),
        (Some(_), None) => format!(r#"<img src="{root}/auth/logo" alt="Logo" height="48">"#),
        (None, _) => String::new(),
    };
    let name = name.map_or(String::new(), |name| format!("<span>{name}</span>"));
    let banner = match (&*logo, &*name) {
        ("", "") => String::new(),
        _ => format!("<header>{logo}{name}</header>"),
    };
    format!(
        r#"<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>{error}{title}{of}</title><link rel="stylesheet" href="{root}/auth/style.css">{next}{script}</head><body>{banner}<main>{body}</main></body></html>"#
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
    let scripts = if page.asks { "'self'" } else { "'none'" };
    let policy = format!(
        "default-src 'none'; script-src {scripts}; style-src 'self'; img-src 'self'; form-action 'self' {}; base-uri 'none'; frame-ancestors 'none'",
        origin(place)
    );
    html(status, document(look, page), &policy)
}

/// HTML under a policy of what it may load (CSP Level 3): never kept, never in a frame.
fn html(status: StatusCode, document: String, policy: &str) -> Response {
    let mut response = Response::new(document.into());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        // Without any, browsers send forms with the origin `null` (Fetch, 3.2).
        (header::REFERRER_POLICY, "same-origin"),
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
        let providers = [ProviderName {
            name: "a".into(),
            label: "<u>Elsewhere</u>".to_owned(),
        }];
        let about = SignIn {
            client: "<b>App</b>",
            stranger: None,
            options: &options,
            providers: &providers,
            by_mail: ByMail::default(),
            again: Some(("wrong", "<i>a@example.org")),
        };
        let html = document(&look, &sign_in(&about, &hidden));
        assert!(html.contains("<title>Error: Sign in – &lt;i&gt;"), "{html}");
        assert!(html.contains(r#"aria-describedby="wrong""#));
        assert!(html.contains("&lt;u&gt;Elsewhere") && !html.contains("<u>"));
        assert!(html.contains(r#"action="/p/x/auth/authorize/sign-in""#));
        assert!(html.contains("&lt;i&gt;Clinic") && !html.contains("<i>"));
        assert!(!html.contains("<b>") && html.matches("<script").count() == 1);
        assert!(html.contains("&lt;b&gt;App") && html.contains("value=\"&#39;\""));
    }

    #[test]
    fn a_stranger_is_called_one_with_the_place_it_leads_to() {
        assert_eq!(warning(None), "");
        let told = warning(Some("https://<i>.example/back?x"));
        assert!(told.contains("registered itself and leads to <code>https://&lt;i&gt;.example<"));
        let on_a_device = warning(Some(""));
        assert!(
            on_a_device.contains("registered itself. Nobody"),
            "{on_a_device}"
        );
    }

    #[test]
    fn a_page_leads_on_to_a_place_that_is_text() {
        let page = away("<b>", "https://id.example.org/?a=b&c=\"><script>");
        let html = document(&Look::default(), &page);
        let expect =
            "content=\"0; url=https://id.example.org/?a=b&amp;c=&quot;&gt;&lt;script&gt;\"";
        assert!(html.contains(expect), "{html}");
        assert!(!html.contains("<script") && !html.contains("<b>"));
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
