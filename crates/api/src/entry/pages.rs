//! The pages of coming in by mail: plain HTML without any script, as those of signing in.

use crate::oauth::{Page, escape, page};

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

    /// What is to be filled in, and the button behind it.
    fn fields(self) -> &'static str {
        match self {
            Self::SignUp | Self::Recover => {
                r#"<label for="email">E-mail address</label>
<input id="email" name="email" type="email" autocomplete="username" maxlength="254" required autofocus>
<button>Send a link</button>"#
            }
            Self::Join => {
                r#"<label for="name">What should we call you?</label>
<input id="name" name="name" autocomplete="name" maxlength="100">
<label for="password">Password</label>
<input id="password" name="password" type="password" autocomplete="new-password" maxlength="256" required aria-describedby="hint">
<p id="hint">Several words that do not belong together are good, and need no digits or signs.</p>
<button>Make the account</button>"#
            }
            Self::Password => {
                r#"<label for="password">New password</label>
<input id="password" name="password" type="password" autocomplete="new-password" maxlength="256" required autofocus aria-describedby="hint">
<p id="hint">Several words that do not belong together are good, and need no digits or signs.</p>
<button>Change the password</button>"#
            }
            Self::Verify => "<button>This is my address</button>",
        }
    }
}

/// The form, with what was wrong with it before.
pub(super) fn form(entry: Entry, root: &str, link: &str, wrong: Option<&str>) -> Page {
    let (title, fields) = (entry.title(), entry.fields());
    let action = escape(&format!("{root}/auth/{}", entry.path()));
    let wrong = wrong.map_or(String::new(), |why| {
        format!(r#"<p role="alert">This did not work: {}.</p>"#, escape(why))
    });
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
            r#"<h1>{title}</h1>{wrong}
<form method="post" action="{action}">{link}
{fields}</form>"#
        ),
    )
}

/// What has been done.
pub(super) fn done(entry: Entry) -> Page {
    let words = match entry {
        Entry::SignUp | Entry::Recover => {
            "If this address can be used here, a mail with a link is on its way to it. Please look \
             into your mail. You can close this page."
        }
        Entry::Join => "Your account is ready. You can sign in now.",
        Entry::Password => {
            "Your password was changed, and you were signed out everywhere. You can sign in now."
        }
        Entry::Verify => "Your address is confirmed. You can close this page.",
    };
    let title = entry.title();
    page(title, &format!("<h1>{title}</h1><p>{words}</p>"))
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
