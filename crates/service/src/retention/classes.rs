//! The retention classes of a project: the setting.

use std::collections::HashSet;

use salus_auth::Action;
use salus_auth::record::{KeptFrom, Retention, RetentionClass, Saved, Then};

use crate::Service;
use crate::audit::entry::{Entry, Outcome, What};
use crate::context::Context;
use crate::error::Error;
use crate::fhir::types::ResourceType;
use crate::pipeline::Write;
use crate::records::one;

/// The id of a project's only record.
const ID: &str = "retention";
const CLASSES_MAX: usize = 100;
/// Longer than any law asks for.
const YEARS_MAX: u32 = 200;
/// What is decided by these is decided by the live ones.
const STAYS: [&str; 3] = ["Patient", "Consent", "SearchParameter"];

impl Service {
    /// How long a project keeps records, for its administrators.
    pub async fn read_retention(&self, cx: &Context) -> Result<Retention, Error> {
        let action = Action::ReadRetention;
        let grant = self.allow(cx, What::AdminRead, action).await?;
        let setting = self.saved_retention(cx).await?.value;
        self.noted(cx, &grant, What::AdminRead).await?;
        Ok(setting)
    }

    /// Says how long records are kept from now on; what is there already counts, too.
    pub async fn write_retention(
        &self,
        cx: &Context,
        classes: Vec<RetentionClass>,
    ) -> Result<Retention, Error> {
        let what = What::SettingChange;
        let grant = self.allow(cx, what, Action::WriteRetention).await?;
        let work = async {
            check(&classes)?;
            self.check_audit_class(&classes)?;
            self.needs_step_up(cx)?;
            let mut next = self.saved_retention(cx).await?;
            next.value.classes = classes;
            let write = Write::system(&grant, "Retention", next.put()?);
            let entry = Entry::new(cx, what, Outcome::Success, grant.rule());
            let _turn = self.ending.write().await;
            self.commit(cx, entry, vec![next.unchanged_or_new()], vec![write])
                .await?;
            Ok(next.value)
        };
        self.attempt(cx, &grant, what, "Retention", work).await
    }

    /// How long the audit is kept: no shorter than the operator says, and from when things happened.
    fn check_audit_class(&self, classes: &[RetentionClass]) -> Result<(), Error> {
        let of_audit = |class: &&RetentionClass| is_of_audit(class);
        let Some(class) = classes.iter().find(of_audit) else {
            return Ok(());
        };
        let least = self.audit_years_min();
        let plain = class.types.len() == 1
            && class.from == KeptFrom::MainDate
            && class.minors.is_none()
            && class.then == Then::Report;
        match plain && class.years >= least {
            true => Ok(()),
            false => Err(Error::invalid(format!(
                "AuditEvent is in a class of its own, which says years and nothing else: {least} or more"
            ))),
        }
    }

    pub(crate) async fn saved_retention(&self, cx: &Context) -> Result<Saved<Retention>, Error> {
        let saved = one::<Retention>(&*self.store, cx.scope, ID).await?;
        Ok(saved.unwrap_or_else(|| Saved::new(ID, Retention::default())))
    }
}

/// Whether a class says how long the audit is kept, which is no resource in the store.
pub(in crate::retention) fn is_of_audit(class: &RetentionClass) -> bool {
    class.types.iter().any(|ty| ty == ResourceType::AUDIT_EVENT)
}

fn check(classes: &[RetentionClass]) -> Result<(), Error> {
    if classes.len() > CLASSES_MAX {
        return Err(Error::invalid("there may be 100 classes"));
    }
    let (mut names, mut types) = (HashSet::new(), HashSet::new());
    for class in classes {
        let named = (1..=100).contains(&class.name.chars().count());
        if !named || !names.insert(&class.name) {
            let details = "each class has a name of its own, of 1 to 100 characters";
            return Err(Error::invalid(details));
        }
        for ty in &class.types {
            if ResourceType::named(ty).is_none() || !types.insert(ty) {
                let details = "types must be types of resource, each in one class only";
                return Err(Error::invalid(details));
            }
        }
        let minors = class
            .minors
            .map_or(0, |minors| minors.until_age.saturating_add(minors.years));
        let cold = class.cold_after_years.unwrap_or(0);
        if cold > YEARS_MAX {
            return Err(Error::invalid("cold_after_years is 200 at most"));
        }
        let stays = class.types.iter().any(|ty| STAYS.contains(&&**ty));
        if class.cold_after_years.is_some() && stays {
            let details = "Patient, Consent and SearchParameter decide about other records and \
                           are never in cold storage: put them in a class without cold_after_years";
            return Err(Error::invalid(details));
        }
        if class.types.is_empty() || class.years > YEARS_MAX || minors > YEARS_MAX {
            let details = "a class names types, and keeps them for 200 years at most";
            return Err(Error::invalid(details));
        }
    }
    Ok(())
}
