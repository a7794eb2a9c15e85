//! How the pages of a project look: set by its administrators, seen by everyone.

use salus_auth::Action;
use salus_auth::record::{Saved, SystemRecord, Theme};

use super::issuer;
use crate::Service;
use crate::audit::entry::{Entry, Outcome, What};
use crate::context::Context;
use crate::error::Error;
use crate::pipeline::Write;
use crate::records::read;

/// The id of a project's only record.
const ID: &str = "theme";

/// What all pages of a project have.
#[derive(Clone, Default)]
pub struct Look {
    /// Where the project is, as the path of its addresses.
    pub root: String,
    /// What its administrators chose.
    pub theme: Theme,
}
salus_phi::guard!(Look);

/// What caches know these bytes by: another text for other bytes (RFC 9110, 8.8.1).
#[must_use]
pub fn content_tag(bytes: &[u8]) -> String {
    salus_crypto::base64url(&salus_crypto::sha256(bytes)[..16])
}

impl Service {
    /// How pages look here.
    pub async fn look(&self, cx: &Context) -> Result<Look, Error> {
        let issuer = issuer(cx);
        let (_, place) = issuer.split_once("://").unwrap_or(("", issuer));
        let root = place.find('/').map_or("", |at| &place[at..]);
        Ok(Look {
            root: root.to_owned(),
            theme: self.saved_theme(cx).await?.value,
        })
    }

    /// The look of a project, for its administrators.
    pub async fn read_theme(&self, cx: &Context) -> Result<Theme, Error> {
        let grant = self
            .allow(cx, What::AdminRead, Action::ReadSettings)
            .await?;
        let work = async { Ok(self.saved_theme(cx).await?.value) };
        let theme = self.attempt(cx, &grant, What::AdminRead, "Theme", work);
        let theme = theme.await?;
        self.noted(cx, &grant, What::AdminRead).await?;
        Ok(theme)
    }

    /// Sets it.
    pub async fn write_theme(&self, cx: &Context, theme: Theme) -> Result<Theme, Error> {
        let (what, action) = (What::SettingChange, Action::WriteSettings);
        let grant = self.allow(cx, what, action).await?;
        let work = async {
            theme.check()?;
            let mut next = self.saved_theme(cx).await?;
            next.value = theme;
            let write = Write::system(&grant, "Theme", next.put()?);
            let entry = Entry::new(cx, what, Outcome::Success, grant.rule());
            self.commit(cx, entry, Vec::new(), vec![write]).await?;
            Ok(next.value)
        };
        self.attempt(cx, &grant, what, "Theme", work).await
    }

    async fn saved_theme(&self, cx: &Context) -> Result<Saved<Theme>, Error> {
        let record = self.snapshot(cx).await?.get(Theme::KIND, ID).await?;
        let saved = read::<Theme>(record.as_ref())?;
        Ok(saved.unwrap_or_else(|| Saved::new(ID, Theme::default())))
    }
}
