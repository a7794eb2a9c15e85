//! Breaking the glass: a user goes past what rules else allow them with one
//! patient, for a while, and says why (45 CFR 164.312(a)(2)(ii)).
//!
//! What is open then says a rule that names the relationship `break-glass`;
//! whom no such rule is about cannot break the glass. Records under 42 CFR
//! Part 2 stay shut without an attestation of their own (42 CFR 2.51). Each
//! emergency is a record of its own that waits for a review, and all that is
//! done during one is in the audit with the purpose BTG.

use salus_auth::record::{
    BreakGlass, Email, Letter, Mail, Reason, Review, ReviewOutcome, Saved, SystemRecord, User,
};
use salus_auth::{Action, Grant, Who};
use salus_fhir::reference::is_id;
use salus_store::{Content, Kind as RecordKind, SealKey};

use super::compile;
use super::relations::PATIENT;
use crate::Service;
use crate::audit::entry::{Entity, Entry, Outcome, What};
use crate::context::Context;
use crate::error::{Error, Kind};
use crate::pipeline::{FORBIDDEN, Write};
use crate::records::read;

/// Emergencies of one user at once, at most.
const OPEN_MAX: usize = 5;
/// Characters of what somebody says, at most.
const TEXT_MAX: usize = 1000;
/// And at least, or it says nothing.
const TEXT_MIN: usize = 10;
/// Emergencies listed at most.
const LISTED_MAX: usize = 200;

/// An emergency as its user begins it.
#[derive(Clone)]
pub struct NewBreakGlass {
    /// The id of the patient.
    pub patient: String,
    /// Why.
    pub reason: Reason,
    /// What the user attests of records under 42 CFR Part 2.
    pub part_2: Option<String>,
}
salus_phi::guard!(NewBreakGlass);

impl Service {
    /// Breaks the glass for a patient.
    pub async fn break_glass(
        &self,
        cx: &Context,
        new: NewBreakGlass,
    ) -> Result<Saved<BreakGlass>, Error> {
        let what = What::BreakGlass;
        let (cx, grant, user) = self.own(cx, what, Action::WriteAccount).await?;
        let patient = new.patient.clone();
        let work = self.begin(&cx, &grant, &user, new);
        self.attempt_on(&cx, &grant, what, ("Patient", &patient), work)
            .await
    }

    /// One's own emergencies that have not ended.
    pub async fn list_own_broken_glass(
        &self,
        cx: &Context,
    ) -> Result<Vec<Saved<BreakGlass>>, Error> {
        let (cx, grant, user) = self.own(cx, What::AdminRead, Action::ReadAccount).await?;
        self.noted(&cx, &grant, What::AdminRead).await?;
        self.open_of(&cx, &user).await
    }

    /// Ends one's own emergency before its time.
    pub async fn mend_glass(&self, cx: &Context, id: &str) -> Result<Saved<BreakGlass>, Error> {
        let what = What::BreakGlass;
        let (cx, grant, user) = self.own(cx, what, Action::WriteAccount).await?;
        let work = async {
            let mut found = self.saved_glass(&cx, id).await?;
            if found.value.user != user {
                return Err(absent());
            }
            if found.value.is_open(cx.now_ms) {
                found.value.ended_ms = Some(cx.now_ms);
                found = self.put_glass(&cx, &grant, found, what, Vec::new()).await?;
            }
            Ok(found)
        };
        self.attempt(&cx, &grant, what, "BreakGlass", work).await
    }

    /// The emergencies of a project, the newest first: those that wait for a review, or all.
    pub async fn list_broken_glass(
        &self,
        cx: &Context,
        only_open: bool,
    ) -> Result<Vec<Saved<BreakGlass>>, Error> {
        let grant = self.allow(cx, What::AdminRead, Action::ReadUsers).await?;
        self.noted(cx, &grant, What::AdminRead).await?;
        let query = BreakGlass::listed(only_open, LISTED_MAX, None);
        let found = self.snapshot(cx).await?.find(&query).await?;
        let mut all = Vec::with_capacity(found.hits.len());
        for hit in &found.hits {
            all.extend(Saved::read(&hit.record)?);
        }
        Ok(all)
    }

    /// Says what a review of an emergency came to.
    pub async fn review_broken_glass(
        &self,
        cx: &Context,
        id: &str,
        (outcome, text): (ReviewOutcome, String),
    ) -> Result<Saved<BreakGlass>, Error> {
        let what = What::AdminWrite;
        let grant = self.allow(cx, what, Action::WriteUsers).await?;
        let work = async {
            if text.chars().count() > TEXT_MAX {
                return Err(Error::invalid("text must have 1000 characters at most"));
            }
            let mut found = self.saved_glass(cx, id).await?;
            if cx.subject.user_id() == Some(&*found.value.user) {
                return Err(Error::new(Kind::Forbidden, "nobody reviews themselves"));
            }
            found.value.review = Some(Review {
                by: cx.subject.label().into(),
                at_ms: cx.now_ms,
                outcome,
                text,
            });
            self.put_glass(cx, &grant, found, what, Vec::new()).await
        };
        self.attempt(cx, &grant, what, "BreakGlass", work).await
    }

    async fn begin(
        &self,
        cx: &Context,
        grant: &Grant,
        user: &str,
        new: NewBreakGlass,
    ) -> Result<Saved<BreakGlass>, Error> {
        if cx.subject.who() == Who::Administrator {
            let message = "administrators are under no rules: there is no glass to break";
            return Err(Error::new(Kind::Unprocessable, message));
        }
        let policies = self.policies.of(&*self.store, cx.scope).await?;
        if !compile::may_break_glass(&policies, &cx.subject) {
            return Err(Error::new(Kind::Forbidden, FORBIDDEN));
        }
        self.needs_step_up(cx)?;
        let reason = Reason {
            text: said(&new.reason.text, "reason.text")?,
            ..new.reason
        };
        let part_2 = new.part_2.map(|text| said(&text, "part_2")).transpose()?;
        self.check_patient(cx, &new.patient).await?;
        if self.open_of(cx, user).await?.len() >= OPEN_MAX {
            let message = "five emergencies of one user are open at once, at most; end one";
            return Err(Error::new(Kind::Conflict, message));
        }
        let glass = BreakGlass {
            user: user.into(),
            patient: new.patient.into(),
            from_ms: cx.now_ms,
            until_ms: cx.now_ms + self.care(cx.scope).break_glass_ms(),
            ended_ms: None,
            reason,
            part_2,
            review: None,
        };
        let saved = Saved::new(self.new_id(cx), glass);
        let alerts = self.alerts(cx, grant)?;
        let count = alerts.len();
        let begun = self
            .put_glass(cx, grant, saved, What::BreakGlass, alerts)
            .await?;
        (0..count).for_each(|_| self.posted());
        Ok(begun)
    }

    /// Mails to those who are told at once. Nobody waits in an emergency for
    /// mail that cannot be sent: it is in the audit and the review queue, too.
    fn alerts(&self, cx: &Context, grant: &Grant) -> Result<Vec<Write>, Error> {
        if self.check_mail().is_err() {
            return Ok(Vec::new());
        }
        let care = self.care(cx.scope);
        let told = care.break_glass_mail.iter();
        let told = told.filter_map(|text| Email::parse(text).ok());
        told.map(|to| self.letter(cx, grant, Letter::new(Mail::GlassBroken, to, cx.now_ms)))
            .collect()
    }

    async fn check_patient(&self, cx: &Context, id: &str) -> Result<(), Error> {
        let absent = || Error::not_found("there is no patient of this id");
        if !is_id(id) {
            return Err(absent());
        }
        let record = self.snapshot(cx).await?.head(PATIENT, id).await?;
        match record.is_some_and(|record| record.content != Content::Deleted) {
            true => Ok(()),
            false => Err(absent()),
        }
    }

    async fn open_of(&self, cx: &Context, user: &str) -> Result<Vec<Saved<BreakGlass>>, Error> {
        let query = BreakGlass::of_user(user, cx.now_ms);
        let found = self.snapshot(cx).await?.find(&query).await?;
        let mut open: Vec<Saved<BreakGlass>> = Vec::new();
        for hit in &found.hits {
            open.extend(Saved::read(&hit.record)?);
        }
        open.retain(|glass| glass.value.is_open(cx.now_ms));
        Ok(open)
    }

    async fn saved_glass(&self, cx: &Context, id: &str) -> Result<Saved<BreakGlass>, Error> {
        if !is_id(id) {
            return Err(absent());
        }
        let record = self.snapshot(cx).await?.get(BreakGlass::KIND, id).await?;
        read::<BreakGlass>(record.as_ref())?.ok_or_else(absent)
    }

    async fn put_glass(
        &self,
        cx: &Context,
        grant: &Grant,
        mut glass: Saved<BreakGlass>,
        what: What,
        mut writes: Vec<Write>,
    ) -> Result<Saved<BreakGlass>, Error> {
        let mut entry = Entry::new(cx, what, Outcome::Success, grant.rule());
        let about = |entry: &mut Entry, ty: &'static str, kind: RecordKind, id: &str| {
            let entity = Entity {
                ty: ty.into(),
                id: id.into(),
                version: 0,
            };
            entry.concerns(entity, kind, &SealKey::Scope);
        };
        about(&mut entry, "Patient", PATIENT, &glass.value.patient);
        about(&mut entry, "User", User::KIND, &glass.value.user);
        writes.push(Write::system(grant, "BreakGlass", glass.put()?));
        self.commit(cx, entry, Vec::new(), writes).await?;
        glass.version += 1;
        Ok(glass)
    }
}

fn absent() -> Error {
    Error::not_found("there is no such emergency")
}

/// What somebody says, if it says something.
fn said(text: &str, place: &str) -> Result<String, Error> {
    let text = text.trim();
    match (TEXT_MIN..=TEXT_MAX).contains(&text.chars().count()) {
        true => Ok(text.to_owned()),
        false => Err(Error::invalid(format!(
            "{place} must have 10 to 1000 characters"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use salus_auth::Subject;
    use salus_auth::policy::{Deed, visible};
    use salus_auth::record::ReasonCode;
    use salus_store::memory::Memory;
    use salus_store::{Filter, Scope};
    use serde_json::json;

    use super::*;
    use crate::accounts::stage::Stage;
    use crate::fhir::search::host::{Host, context};
    use crate::policy::tests::user;

    #[tokio::test]
    async fn a_proof_of_long_ago_breaks_no_glass() {
        let stage = Stage::new().await;
        let (rules, operator) = (rules(), stage.cx());
        let written = stage.service.write_policy(&operator, "p", rules.as_bytes());
        written.await.unwrap();
        stage.user("u", |_| ()).await;
        let token = stage.session("u").await;
        let refused = async || {
            let cx = Context {
                subject: stage.who(&token).await.unwrap(),
                ..stage.cx()
            };
            let new = NewBreakGlass {
                patient: "p".to_owned(),
                reason: Reason {
                    code: ReasonCode::Etreat,
                    text: "found in the lobby".to_owned(),
                },
                part_2: None,
            };
            let begun = stage.service.break_glass(&cx, new).await;
            begun.unwrap_err().kind()
        };
        assert_eq!(refused().await, Kind::NotFound, "of the patient");
        stage.advance_minutes(11);
        assert_eq!(refused().await, Kind::StepUp);
    }

    /// Everyone may break the glass.
    fn rules() -> String {
        let rule = json!({"id": "a", "effect": "allow", "subjects": ["everyone"],
            "actions": ["*"], "kinds": ["Observation"], "relationship": "break-glass"});
        json!({"rules": [rule]}).to_string()
    }

    #[tokio::test]
    async fn an_emergency_ends_by_itself() {
        let host = Host::over(std::sync::Arc::new(Memory::new())).await;
        let cx = context(Subject::operator(), Scope(1), 1000);
        let rules = rules();
        let written = host.service.write_policy(&cx, "p", rules.as_bytes());
        written.await.unwrap();
        let under = async |now_ms: i64| {
            let subject = user("x", &[]).into();
            let subject = host.service.under_policies(subject, now_ms).await.unwrap();
            let kind = RecordKind::named("Observation");
            let seen = visible(&subject, Deed::Read, kind).unwrap();
            (subject, *seen != Filter::Ids(Vec::new()))
        };
        let (before, sees) = under(1000).await;
        assert!(!sees && before.emergency(1000).is_none());
        let glass = BreakGlass {
            user: "u".into(),
            patient: "p".into(),
            from_ms: 1000,
            until_ms: 5000,
            ended_ms: None,
            reason: Reason {
                code: ReasonCode::Etreat,
                text: "x".into(),
            },
            part_2: None,
            review: None,
        };
        let what = What::AdminWrite;
        let grant = host.service.allow(&cx, what, Action::WriteUsers).await;
        let grant = grant.unwrap();
        let glass = Saved::new("g", glass);
        let put = host
            .service
            .put_glass(&cx, &grant, glass, What::BreakGlass, Vec::new());
        let mut glass = put.await.unwrap();
        // Whoever was known before is known anew.
        assert!(!before.is_fresh(1001));
        let (during, sees) = under(1001).await;
        assert!(sees && during.emergency(4999) == Some(5000));
        assert!(during.is_fresh(4999) && !during.is_fresh(5000));
        assert!(!under(5000).await.1);
        glass.value.ended_ms = Some(2000);
        let put = host
            .service
            .put_glass(&cx, &grant, glass, What::BreakGlass, Vec::new());
        put.await.unwrap();
        assert!(!during.is_fresh(1001));
        assert!(under(1999).await.1 && !under(2000).await.1);
    }
}
