//! Signing out of a browser, at the wish of the user or of a client of theirs:
//! <https://openid.net/specs/openid-connect-rpinitiated-1_0.html>.
//!
//! It is always the user who says so, on a page of ours: nobody is signed out by a link or a
//! form of somebody else. What a client asks for decides only where the user may go afterwards.

use salus_auth::jwt::Jwt;
use salus_auth::record::{Authorization, Client, Saved};
use salus_auth::{Action, Word};
use serde::Deserialize;

use super::browser::Browser;
use crate::Service;
use crate::audit::entry::{Entry, Outcome, What};
use crate::context::Context;
use crate::error::Error;
use crate::pipeline::Write;

const STATE_BYTES_MAX: usize = 1000;

/// What a client asks for, as it came (section 2).
#[derive(Clone, Default, PartialEq, Eq)]
pub struct LogoutAsked {
    hint: Option<String>,
    client_id: Option<String>,
    redirect_uri: Option<String>,
    state: Option<String>,
    twice: bool,
}
salus_phi::guard!(LogoutAsked);

/// Who may leave, and where to.
pub struct Leaving {
    /// The address of who is signed in, if somebody is.
    pub user: Option<String>,
    /// The client that sent them, by name.
    pub client: Option<String>,
    /// Where they go afterwards.
    pub back: Option<String>,
    /// The client named a place that it has not registered.
    pub elsewhere: bool,
}
salus_phi::guard!(Leaving);

/// What of an id token matters here: it is a hint, good though its time is over.
#[derive(Deserialize)]
struct Hint {
    aud: String,
}

impl LogoutAsked {
    /// Reads the pairs of a query or form.
    #[must_use]
    pub fn of<'p>(pairs: impl IntoIterator<Item = (&'p str, &'p str)>) -> Self {
        let mut asked = Self::default();
        for (name, value) in pairs {
            let place = match name {
                "id_token_hint" => &mut asked.hint,
                "client_id" => &mut asked.client_id,
                "post_logout_redirect_uri" => &mut asked.redirect_uri,
                "state" => &mut asked.state,
                _ => continue,
            };
            let earlier = place.replace(value.to_owned());
            asked.twice |= earlier.is_some();
        }
        asked
    }

    /// The place of a client that has registered it, with the state.
    fn back(&self, client: &Client) -> Option<String> {
        let uri = self.redirect_uri.as_ref()?;
        let short = |state: &&String| state.len() <= STATE_BYTES_MAX;
        if self.twice || !client.logout_redirects.contains(uri) {
            return None;
        }
        let Some(state) = self.state.as_ref().filter(short) else {
            return Some(uri.clone());
        };
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("state", state);
        let with = if uri.contains('?') { '&' } else { '?' };
        Some(format!("{uri}{with}{}", query.finish()))
    }
}

impl Service {
    /// Who is at the browser, and where they would go.
    pub async fn leaving(
        &self,
        cx: &Context,
        asked: &LogoutAsked,
        cookie: Option<&str>,
    ) -> Result<Leaving, Error> {
        let browser = self.browser_of(cx, cookie).await?;
        let client = self.client_of(cx, asked).await?;
        let back = client.as_ref().and_then(|client| asked.back(&client.value));
        Ok(Leaving {
            user: browser.map(|browser| browser.user.value.email.expose().to_owned()),
            elsewhere: asked.redirect_uri.is_some() && back.is_none(),
            client: client.map(|client| client.value.name),
            back,
        })
    }

    /// Signs the user of a browser out. What they let clients do in this project ends with
    /// it, but for those that may go on when they are away (SMART App Launch, `online_access`).
    pub async fn leave(&self, cx: &Context, cookie: Option<&str>) -> Result<(), Error> {
        let Some(browser) = self.browser_of(cx, cookie).await? else {
            return Ok(());
        };
        let cx = &browser.context(cx);
        let home = &Context {
            scope: browser.home,
            ..cx.clone()
        };
        let grant = self.allow(home, What::SignOut, Action::SignOut).await?;
        let write = Write::system(&grant, "Session", browser.session.delete());
        let entry = Entry::new(home, What::SignOut, Outcome::Success, "signed out");
        self.commit(home, entry, Vec::new(), vec![write]).await?;
        for agreed in self.agreed_here(cx, &browser).await? {
            self.end(cx, &agreed.id, "signed out").await?;
        }
        Ok(())
    }

    /// What was agreed to in this session of a browser, and does not outlast it.
    async fn agreed_here(
        &self,
        cx: &Context,
        browser: &Browser,
    ) -> Result<Vec<Saved<Authorization>>, Error> {
        let mut all = self.agreed_by(cx, browser.home, &browser.user.id).await?;
        let since_ms = browser.session.value.created_ms;
        all.retain(|saved| {
            let agreed = &saved.value.agreed;
            agreed.signed_in_ms == since_ms && !agreed.scopes.has(Word::OfflineAccess)
        });
        Ok(all)
    }

    async fn browser_of(
        &self,
        cx: &Context,
        cookie: Option<&str>,
    ) -> Result<Option<Browser>, Error> {
        match cookie {
            Some(cookie) => self.browser(cx, cookie).await,
            None => Ok(None),
        }
    }

    /// The client that asks: the one that an id token of ours was for, and the one that is
    /// named, which have to be one.
    async fn client_of(
        &self,
        cx: &Context,
        asked: &LogoutAsked,
    ) -> Result<Option<Saved<Client>>, Error> {
        let named = asked.client_id.as_deref();
        let hinted = match &asked.hint {
            Some(hint) => match self.audience(cx, hint).await? {
                Some(client) => Some(client),
                None => return Ok(None),
            },
            None => None,
        };
        let id = match (named, hinted.as_deref()) {
            (Some(named), Some(hinted)) if named != hinted => return Ok(None),
            (Some(id), _) | (None, Some(id)) => id,
            (None, None) => return Ok(None),
        };
        let client = self.client(cx, id).await?;
        Ok(client.filter(|client| client.value.is_active()))
    }

    /// Whom an id token of this project was for, however long ago. That a key of the
    /// project has signed it says more than its `iss`, which may be either address of it.
    async fn audience(&self, cx: &Context, hint: &str) -> Result<Option<String>, Error> {
        let Some(jwt) = Jwt::parse(hint) else {
            return Ok(None);
        };
        let keys = self.keys(cx).await?.ever();
        let found = keys.candidates(jwt.key_id(), jwt.algorithm());
        let claims: Option<Hint> = jwt.claims(found.map(|jwk| &jwk.key));
        Ok(claims.map(|claims| claims.aud))
    }
}

#[cfg(test)]
mod tests {
    use salus_auth::Scopes;
    use salus_auth::record::Registration;

    use super::*;

    #[track_caller]
    fn check(pairs: &[(&str, &str)], expect: Option<&str>) {
        let registration = Registration {
            logout_redirects: vec![
                "https://a.example/out".into(),
                "https://a.example/?b=c".into(),
            ],
            ..Registration::named("App", Scopes::default())
        };
        let client = Client::registered("app", registration, None, 0).unwrap();
        let back = LogoutAsked::of(pairs.iter().copied()).back(&client.value);
        assert_eq!(back.as_deref(), expect, "{pairs:?}");
    }

    #[test]
    fn users_go_where_the_client_has_registered_and_nowhere_else() {
        let to = |uri| ("post_logout_redirect_uri", uri);
        let out = "https://a.example/out";
        check(&[to(out)], Some(out));
        check(
            &[to(out), ("state", "a b")],
            Some("https://a.example/out?state=a+b"),
        );
        let with = "https://a.example/?b=c";
        check(
            &[to(with), ("state", "s")],
            Some("https://a.example/?b=c&state=s"),
        );
        check(&[], None);
        check(&[to("https://a.example/Out")], None);
        check(&[to("https://a.example/out/")], None);
        check(&[to(out), to("https://evil.example/")], None);
        check(&[to("https://evil.example/"), to(out)], None);
        check(&[to(out), ("state", &"s".repeat(1001))], Some(out));
    }
}
