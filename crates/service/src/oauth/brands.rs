//! The brands of a project, which apps show to patients who look for it
//! (<https://hl7.org/fhir/smart-app-launch/STU2.2/brands.html>): written by
//! administrators, seen by everyone.

use salus_auth::Action;
use salus_auth::record::{Brands, Saved, SystemRecord};
use salus_fhir::json::Document;
use salus_fhir::validate;
use serde_json::Value;

use crate::Service;
use crate::audit::entry::{Entry, Outcome, What};
use crate::context::Context;
use crate::error::{Error, Kind};
use crate::pipeline::Write;
use crate::records::read;

/// The id of a project's only record.
const ID: &str = "brands";
const FORM: &str = "the body must be a Bundle of the type collection, whose entries are \
                    Organizations and Endpoints, one Organization at least";

impl Service {
    /// The Bundle of a project, if its administrators wrote one.
    pub async fn brands(&self, cx: &Context) -> Result<Option<String>, Error> {
        let saved = self.saved_brands(cx).await?;
        Ok(Some(saved.value.bundle).filter(|bundle| !bundle.is_empty()))
    }

    /// Writes it; nothing takes it away.
    pub async fn write_brands(&self, cx: &Context, body: &[u8]) -> Result<(), Error> {
        let (what, action) = (What::SettingChange, Action::WriteSettings);
        let grant = self.allow(cx, what, action).await?;
        let work = async {
            let mut next = self.saved_brands(cx).await?;
            next.value.bundle = match body {
                [] => String::new(),
                body => self.checked_brands(body)?,
            };
            let write = Write::system(&grant, "Brands", next.put()?);
            let entry = Entry::new(cx, what, Outcome::Success, grant.rule());
            self.commit(cx, entry, Vec::new(), vec![write]).await?;
            Ok(())
        };
        self.attempt(cx, &grant, what, "Brands", work).await
    }

    fn checked_brands(&self, body: &[u8]) -> Result<String, Error> {
        let document = Document::parse(body.to_vec(), &self.settings.json);
        let document = document.map_err(|_| Error::invalid(FORM))?;
        validate::resource(document.root())
            .map_err(|issues| Error::with_issues(Kind::Invalid, issues))?;
        let bundle: Value = serde_json::from_slice(body).map_err(|_| Error::invalid(FORM))?;
        let entries = bundle["entry"].as_array().into_iter().flatten();
        let types = entries.map(|entry| entry["resource"]["resourceType"].as_str());
        let types: Vec<Option<&str>> = types.collect();
        let known = |ty: &Option<&str>| matches!(ty, Some("Organization" | "Endpoint"));
        let good = bundle["resourceType"] == "Bundle"
            && bundle["type"] == "collection"
            && types.contains(&Some("Organization"))
            && types.iter().all(known);
        match String::from_utf8(body.to_vec()) {
            Ok(text) if good => Ok(text),
            Ok(_) | Err(_) => Err(Error::invalid(FORM)),
        }
    }

    async fn saved_brands(&self, cx: &Context) -> Result<Saved<Brands>, Error> {
        let record = self.snapshot(cx).await?.get(Brands::KIND, ID).await?;
        let saved = read::<Brands>(record.as_ref())?;
        Ok(saved.unwrap_or_else(|| Saved::new(ID, Brands::default())))
    }
}
