//! Where a user signs out, and what they see afterwards.

use salus_service::oauth::Leaving;

use super::{Hidden, Page, escape, inputs, page};

/// Where somebody who is signed in says that they want to be no longer.
pub(in crate::oauth) fn logout(leaving: &Leaving, user: &str, hidden: &Hidden<'_>) -> Page {
    let root = escape(hidden.root);
    let user = escape(user);
    let sent = match &leaving.client {
        Some(client) => format!("<p><strong>{}</strong> sent you here.</p>", escape(client)),
        None => String::new(),
    };
    let stays = match leaving.elsewhere {
        true => {
            "<p>You will stay here: the app named a place to go to that it has not registered.</p>"
        }
        false => "",
    };
    let hidden = inputs(hidden);
    page(
        "Sign out",
        &format!(
            r#"<h1>Sign out?</h1>{sent}<p>You are signed in as {user}.</p>{stays}
<form method="post" action="{root}/auth/logout/decision">{hidden}
<button name="decision" value="leave">Sign out</button>
<button name="decision" value="stay">Stay signed in</button></form>"#
        ),
    )
}

/// What somebody sees who is signed in no longer, with the way back to the app if there is one.
pub(in crate::oauth) fn gone(leaving: &Leaving) -> Page {
    let back = match (&leaving.back, &leaving.client) {
        (Some(back), Some(client)) => {
            let (back, client) = (escape(back), escape(client));
            format!(r#"<p><a href="{back}">Go back to {client}</a></p>"#)
        }
        _ => String::new(),
    };
    page(
        "Signed out",
        &format!(r#"<h1>Signed out</h1><p role="status">You are not signed in here.</p>{back}"#),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_app_says_of_itself_is_text() {
        let leaving = Leaving {
            user: None,
            client: Some("<b>App</b>".to_owned()),
            back: Some("https://a.example/?\"><script>".to_owned()),
            elsewhere: true,
        };
        let hidden = Hidden {
            root: "/p/x",
            request: "\">",
            token: "t",
        };
        for page in [logout(&leaving, "<i>", &hidden), gone(&leaving)] {
            let body = page.body();
            assert!(!body.contains("<b>") && !body.contains("<script"), "{body}");
            assert!(!body.contains("<i>"), "{body}");
        }
    }
}
