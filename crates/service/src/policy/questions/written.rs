//! A write before it is made: what it would leave, held against the rules.

use std::collections::HashMap;

use salus_fhir::issue::IssueType;
use salus_store::Snapshot;
use serde_json::{Value, json};

use super::why::Facts;
use super::{About, Judged, allowed};
use crate::Service;
use crate::context::Context;
use crate::error::{Error, Kind};
use crate::fhir::incoming;
use crate::fhir::stored::Stored;
use crate::policy::fields::Change;
use crate::policy::writes::{Among, is_there};

/// The id of what is created.
const NEW: &str = "new";

impl Service {
    /// Whether somebody may write this: as the record is, and as it would be.
    pub(super) async fn on_content(
        &self,
        cx: &Context,
        (snapshot, asked): (&dyn Snapshot, &Judged),
        about: About<'_>,
        content: &Value,
    ) -> Result<Value, Error> {
        let (ty, id) = (about.ty, about.id.unwrap_or(NEW));
        let record = match about.id {
            Some(id) => snapshot.get(ty.kind, id).await?,
            None => None,
        };
        if is_there(record.as_ref()) {
            let before = self.on_record(cx, (snapshot, asked), about, id).await?;
            if before["allowed"] == false {
                return Ok(before);
            }
        }
        let limits = &self.settings.json;
        let before = match record.map(|record| record.content) {
            Some(salus_store::Content::Body(body)) => Some(incoming::parse(body, limits)?),
            Some(salus_store::Content::Deleted) | None => None,
        };
        let sent = incoming::parse(content.to_string().into(), limits)?;
        let valid = incoming::check(sent.root(), ty)?;
        let stored = Stored::of(&self.operator_context(cx.scope), ty, id, 1, &valid)?;
        let written = HashMap::from([((ty.kind, id), Some(&*stored.rows))]);
        let among = Among::over(snapshot, cx.now_ms, written);
        let facts = Facts::Written(&among, (ty, id, &stored.rows));
        let filter = allowed(cx, asked, about);
        let is_allowed = self.holds(&facts, &filter).await?;
        let mut answer = self.judge(cx, asked, about, (&facts, is_allowed)).await?;
        let as_one = Context {
            subject: asked.subject.clone(),
            ..cx.clone()
        };
        let change = Change {
            ty,
            deed: about.deed,
            id,
            version: 1,
            rows: &stored.rows,
            before,
            sent: incoming::parse(content.to_string().into(), limits)?,
        };
        let kept = self.change_kept(&as_one, snapshot, &among, &change).await;
        if let Some(elements) = kept.err().map(refused).transpose()? {
            answer["allowed"] = false.into();
            answer["rule"] = "elements that are not theirs to write".into();
            answer["elements"] = json!(elements);
        }
        Ok(answer)
    }
}

/// The elements that may not be written so.
fn refused(error: Error) -> Result<Vec<String>, Error> {
    let of_elements = |issue: &salus_fhir::issue::Issue| issue.code == IssueType::Forbidden;
    match error.kind() == Kind::Forbidden && error.issues().iter().all(of_elements) {
        true => Ok(error
            .issues()
            .iter()
            .map(|issue| issue.expression.to_string())
            .collect()),
        false => Err(error),
    }
}
