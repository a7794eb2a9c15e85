//! `_explain`: how a search was answered, for administrators.
//!
//! The plan is told as issues of the entry of mode `outcome`, one for each
//! condition and each step. Parameters are named, values never: an
//! explanation may be read by people who may not read records.

use salus_auth::{Action, Grant, Target};
use salus_fhir::issue::{Issue, IssueType, Severity};
use salus_store::{Filter, Found, Param, Plan, PlanCondition, PlanStep, Query, Snapshot};

use super::Asked;
use crate::context::Context;
use crate::error::{Error, Kind};
use crate::fhir::rows;
use crate::pipeline::FORBIDDEN;

/// The page of a query, and what an administrator is told of the way to it.
pub(super) async fn find(
    cx: &Context,
    grant: &Grant,
    asked: &mut Asked,
    snapshot: &dyn Snapshot,
    query: &Query,
) -> Result<Found, Error> {
    if asked.control.explain != Some(true) {
        return match query.limit {
            0 => Ok(Found::default()),
            _ => Ok(snapshot.find(query).await?),
        };
    }
    let target = Target::Type(asked.ty.name);
    let allowed = salus_auth::authorize(&cx.subject, cx.scope, Action::Explain, target);
    // A plan tells how many records there are, hidden ones among them.
    if allowed.is_err() || *grant.filter() != Filter::Everything {
        return Err(Error::new(Kind::Forbidden, FORBIDDEN));
    }
    let (found, plan) = snapshot.explain(query).await?;
    let told = told(cx, asked, &plan);
    asked.notices.extend(told);
    Ok(found)
}

/// Refuses it where no planner finds what is asked for.
pub(super) fn refuse(asked: &Asked) -> Result<(), Error> {
    let details = "the audit is read in its own order; there is nothing to explain";
    refuse_with(asked, details)
}

/// Refuses it for one of several types.
pub(super) fn refuse_of_several(asked: &Asked) -> Result<(), Error> {
    let details = "only a search of one type can be explained; name it with _type";
    refuse_with(asked, details)
}

/// Refuses it where there is no plan to tell.
pub(super) fn refuse_with(asked: &Asked, details: &'static str) -> Result<(), Error> {
    if asked.control.explain != Some(true) {
        return Ok(());
    }
    let issue = Issue::error(IssueType::NotSupported, "http._explain", details);
    Err(Error::with_issues(Kind::Invalid, vec![issue]))
}

fn told(cx: &Context, asked: &Asked, plan: &Plan) -> Vec<Issue> {
    let names: Vec<String> = plan
        .conditions
        .iter()
        .map(|condition| name(cx, asked.ty.name, condition))
        .collect();
    let of_all = match plan.records {
        Some(records) => format!("; {} has {records} resources", asked.ty.name),
        None => String::new(),
    };
    let all = format!("plan: {} rows touched in all{of_all}", plan.rows);
    let conditions = plan.conditions.iter().zip(&names);
    let conditions = conditions.map(|(condition, name)| {
        let about = match condition.estimate {
            Some(records) => format!("about {records} resources satisfy it"),
            None => "not estimated".to_owned(),
        };
        format!("condition on {name}: {about}")
    });
    let steps = plan.steps.iter().enumerate();
    let steps = steps.map(|(at, step)| format!("step {}: {}", at + 1, of_step(step, &names)));
    let lines = [all].into_iter().chain(conditions).chain(steps);
    lines.map(remark).collect()
}

fn of_step(step: &PlanStep, names: &[String]) -> String {
    let by = step.conditions.iter().filter_map(|at| names.get(*at));
    let by: Vec<&str> = by.map(String::as_str).collect();
    let by = match by.is_empty() {
        true => String::new(),
        false => format!(" ({})", by.join("; ")),
    };
    let expected = match step.rows_expected {
        Some(rows) => format!(", {rows} rows expected"),
        None => String::new(),
    };
    let (rows, us) = (step.rows, step.time.as_micros());
    format!("{}{by}{expected}, {rows} rows touched, {us} us", step.what)
}

/// What a condition is about.
fn name(cx: &Context, ty: &str, condition: &PlanCondition) -> String {
    let params = condition.params.iter().map(|param| code(cx, ty, *param));
    let ids = condition.ids.then_some("_id".to_owned());
    let times = condition.times.then_some("_lastUpdated".to_owned());
    let mut names: Vec<String> = params.chain(ids).chain(times).collect();
    if names.is_empty() {
        names.push("what refers to it".to_owned());
    }
    let linked = match condition.linked {
        true => ", linked",
        false => "",
    };
    format!("{}{linked}", names.join(", "))
}

/// The code of a parameter, with what is behind it where that has values of its own.
fn code(cx: &Context, ty: &str, param: Param) -> String {
    for parameter in cx.parameters.of(ty) {
        let forms = [
            ("", rows::param(ty, parameter)),
            (":text", rows::text_param(ty, parameter)),
            (":of-type", rows::of_type_param(ty, parameter)),
            (":identifier", rows::identifier_param(ty, parameter)),
            ("", rows::amount_param(ty, parameter)),
            ("", rows::range_param(ty, parameter, false)),
            ("", rows::range_param(ty, parameter, true)),
        ];
        if let Some((behind, _)) = forms.iter().find(|(_, form)| *form == param) {
            return format!("{}{behind}", parameter.code);
        }
    }
    "another parameter".to_owned()
}

fn remark(text: String) -> Issue {
    Issue {
        severity: Severity::Information,
        ..Issue::warning(IssueType::Informational, String::new(), text)
    }
}
