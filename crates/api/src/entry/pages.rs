//! The pages of coming in by mail: plain HTML without any script, as those of signing in.

use crate::oauth::{Page, alert, escape, marks, page};

/// What somebody came for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// Asking for an account.
    SignUp,
    /// Asking for a new password.
    Recover,
    /// Making the account that a link is for.
    Join,
    /// Choosing the password that a link is for.
    Password,
    /// Confirming the address that a link went to.
    Verify,
}

impl Entry {
    /// What JSON says when it was done. Asking says the same whatever comes of it.
    pub(super) fn done(self) -> &'static str {
        match self {
            Self::SignUp | Self::Recover => "asked",
            Self::Join => "joined",
            Self::Password => "changed",
            Self::Verify => "verified",
        }
    }

    fn path(self) -> &'static str {
        match self {
            Self::SignUp => "sign-up",
            Self::Recover => "recover",
            Self::Join => "join",
            Self::Password => "password",
            Self::Verify => "verify",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::SignUp => "Make an account",
            Self::Recover => "Forgotten password",
            Self::Join => "Your account",
            Self::Password => "New password",
            Self::Verify => "Confirm your address",
        }
    }

    /// What is to be filled in, and the button behind it; `marks` are for what was wrong.
    fn fields(self, marks: &str) -> String {
        match self {
            Self::SignUp | Self::Recover => format!(
                r#"<label for="email">E-mail address</label>
<input id="email" name="email" type="email" autocomplete="username" maxlength="254" required autofocus{marks}>
<button>Send a link</button>"#
            ),
            Self::Join => format!(
                r#"<label for="name">What should we call you?</label>
<input id="name" name="name" autocomplete="name" maxlength="100" autofocus>
{}
<button>Make the account</button>"#,
                password("Password", "", marks)
            ),
            Self::Password => format!(
                "{}\n<button>Change the password</button>",
                password("New password", " autofocus", marks)
            ),
            Self::Verify => "<button>This is my address</button>".to_owned(),
        }
    }
}

/// A field for a new password, with a hint that is read out with it.
fn password(label: &str, focus: &str, marks: &str) -> String {
    let marks = match marks {
        "" => r#" aria-describedby="hint""#.to_owned(),
        marks => marks.replace("\"wrong\"", "\"wrong hint\""),
    };
    format!(
        r#"<label for="password">{label}</label>
<p id="hint">Several words that do not belong together are good, and need no digits or signs.</p>
<input id="password" name="password" type="password" autocomplete="new-password" maxlength="256" required{focus}{marks}>"#
    )
}

/// The form, with what was wrong with it before.
pub(super) fn form(entry: Entry, root: &str, link: &str, wrong: Option<&str>) -> Page {
    let wrong = wrong.map(|why| format!("This did not work: {why}."));
    let wrong = wrong.as_deref();
    let (title, fields) = (entry.title(), entry.fields(marks(wrong)));
    let action = escape(&format!("{root}/auth/{}", entry.path()));
    let alert = alert(wrong);
    let link = match link {
        "" => String::new(),
        link => format!(
            r#"<input type="hidden" name="link" value="{}">"#,
            escape(link)
        ),
    };
    page(
        title,
        &format!(
            r#"<h1>{title}</h1>{alert}
<form method="post" action="{action}">{link}
{fields}</form>"#
        ),
    )
    .told(wrong)
}

/// What has been done.
pub(super) fn done(entry: Entry) -> Page {
    let words = match entry {
        Entry::SignUp | Entry::Recover => {
            "If this address can be used here, a mail with a link is on its way to it. Please look \
             into your mail. You can close this page."
        }
        Entry::Join => "Your account is ready. Go back to the app and sign in.",
        Entry::Password => {
            "Your password was changed, and you were signed out everywhere. Go back to the app and \
             sign in."
        }
        Entry::Verify => "Your address is confirmed. You can close this page.",
    };
    let title = entry.title();
    page(
        title,
        &format!(r#"<h1>{title}</h1><p role="status">{words}</p>"#),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_text_in_its_form() {
        let html = form(Entry::Verify, "", r#""><script>"#, Some("<b>"))
            .body()
            .to_owned();
        assert!(
            html.contains(r#"value="&quot;&gt;&lt;script&gt;""#),
            "{html}"
        );
        assert!(html.contains("work: &lt;b&gt;."), "{html}");
    }
}
