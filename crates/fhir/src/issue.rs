//! Issues: what is wrong with a request or a resource, where, and what to change
//! (<https://hl7.org/fhir/R4/operationoutcome.html>).
//!
//! An issue names places and rules, never content: its texts are shown to
//! callers and may reach logs, so no value of a resource may be in them.

use std::borrow::Cow;
use std::fmt;

use crate::json::write;

/// How bad it is: <https://hl7.org/fhir/R4/valueset-issue-severity.html>.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Severity {
    /// The action failed and could not be checked further.
    Fatal,
    /// The action failed.
    Error,
    /// The action went on, but something needs attention.
    Warning,
    /// Nothing is wrong.
    Information,
}

impl Severity {
    /// Its FHIR code.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Fatal => "fatal",
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Information => "information",
        }
    }

    /// Does an issue of this severity stop the action?
    #[must_use]
    pub fn is_failure(self) -> bool {
        matches!(self, Self::Fatal | Self::Error)
    }
}

/// What kind of issue it is: <https://hl7.org/fhir/R4/valueset-issue-type.html>.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IssueType {
    /// Content invalid against the specification or a profile.
    Invalid,
    /// A structural issue: the wrong shape, an unknown element.
    Structure,
    /// A required element is missing.
    Required,
    /// An element's value is invalid.
    Value,
    /// A content rule failed.
    Invariant,
    /// An authentication, authorization or permissions issue.
    Security,
    /// The client must sign in.
    Login,
    /// The user or system was not recognised.
    Unknown,
    /// The session or credentials have expired.
    Expired,
    /// The user may not do this.
    Forbidden,
    /// Something was left out for reasons of security or privacy.
    Suppressed,
    /// The request could not be processed.
    Processing,
    /// The interaction, operation, type or profile is not supported.
    NotSupported,
    /// An attempt to create what exists already.
    Duplicate,
    /// Several records matched where one was meant.
    MultipleMatches,
    /// A reference or id has no record.
    NotFound,
    /// The record has been deleted.
    Deleted,
    /// The content is too long.
    TooLong,
    /// A code is not valid in its system or value set.
    CodeInvalid,
    /// An extension was not acceptable.
    Extension,
    /// The request would cost too much.
    TooCostly,
    /// A business rule failed.
    BusinessRule,
    /// The version in store is not the one expected.
    Conflict,
    /// A passing condition; the same request may succeed later.
    Transient,
    /// A lock could not be had.
    LockError,
    /// The store is not available.
    NoStore,
    /// An unexpected internal error.
    Exception,
    /// An internal time limit was reached.
    Timeout,
    /// Not all was found, or some of it failed.
    Incomplete,
    /// The system is busy; try again later.
    Throttled,
    /// Not a fault, a remark.
    Informational,
}

impl IssueType {
    /// Its FHIR code.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::Structure => "structure",
            Self::Required => "required",
            Self::Value => "value",
            Self::Invariant => "invariant",
            Self::Security => "security",
            Self::Login => "login",
            Self::Unknown => "unknown",
            Self::Expired => "expired",
            Self::Forbidden => "forbidden",
            Self::Suppressed => "suppressed",
            Self::Processing => "processing",
            Self::NotSupported => "not-supported",
            Self::Duplicate => "duplicate",
            Self::MultipleMatches => "multiple-matches",
            Self::NotFound => "not-found",
            Self::Deleted => "deleted",
            Self::TooLong => "too-long",
            Self::CodeInvalid => "code-invalid",
            Self::Extension => "extension",
            Self::TooCostly => "too-costly",
            Self::BusinessRule => "business-rule",
            Self::Conflict => "conflict",
            Self::Transient => "transient",
            Self::LockError => "lock-error",
            Self::NoStore => "no-store",
            Self::Exception => "exception",
            Self::Timeout => "timeout",
            Self::Incomplete => "incomplete",
            Self::Throttled => "throttled",
            Self::Informational => "informational",
        }
    }
}

/// One thing to tell the caller.
#[derive(Clone, PartialEq, Eq)]
pub struct Issue {
    /// How bad it is.
    pub severity: Severity,
    /// What kind it is.
    pub code: IssueType,
    /// Where: a FHIRPath such as `Patient.name[0].family`, or `http.NAME` for
    /// a part of the request. Empty when it concerns the whole.
    pub expression: String,
    /// What is wrong and what is allowed, in words without resource content.
    pub details: Cow<'static, str>,
}

// Names that a client made up may be in the rest: of members, of parameters.
impl fmt::Debug for Issue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Issue({:?} {:?}) [phi]", self.severity, self.code)
    }
}

impl Issue {
    /// A fault that stops the action.
    #[must_use]
    pub fn error(
        code: IssueType,
        expression: impl Into<String>,
        details: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self::of(Severity::Error, code, expression, details)
    }

    /// A fault that stops the action before it could be checked further.
    #[must_use]
    pub fn fatal(
        code: IssueType,
        expression: impl Into<String>,
        details: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self::of(Severity::Fatal, code, expression, details)
    }

    /// Something that needs attention although the action went on.
    #[must_use]
    pub fn warning(
        code: IssueType,
        expression: impl Into<String>,
        details: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self::of(Severity::Warning, code, expression, details)
    }

    /// A remark: nothing is wrong.
    #[must_use]
    pub fn information(details: impl Into<Cow<'static, str>>) -> Self {
        Self::of(
            Severity::Information,
            IssueType::Informational,
            String::new(),
            details,
        )
    }

    fn of(
        severity: Severity,
        code: IssueType,
        expression: impl Into<String>,
        details: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            severity,
            code,
            expression: expression.into(),
            details: details.into(),
        }
    }

    /// The same issue, with its location below `prefix`: `Bundle.entry[3].resource` and
    /// `Patient.name` give `Bundle.entry[3].resource.name` when `drop_first` is set.
    #[must_use]
    pub fn below(mut self, prefix: &str, drop_first: bool) -> Self {
        let rest = if drop_first {
            self.expression.split_once('.').map_or("", |(_, rest)| rest)
        } else {
            self.expression.as_str()
        };
        self.expression = match rest {
            "" => prefix.to_owned(),
            rest => format!("{prefix}.{rest}"),
        };
        self
    }
}

impl fmt::Display for Issue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.expression.is_empty() {
            write!(f, "{}", self.details)
        } else {
            write!(f, "{}: {}", self.expression, self.details)
        }
    }
}

/// Does any of them stop the action?
#[must_use]
pub fn any_failure(issues: &[Issue]) -> bool {
    issues.iter().any(|issue| issue.severity.is_failure())
}

/// An OperationOutcome as JSON text. The type needs one issue at least, so
/// without any it says that all is well.
#[must_use]
pub fn operation_outcome(issues: &[Issue]) -> String {
    let mut out = String::with_capacity(64 + 160 * issues.len());
    out.push_str(r#"{"resourceType":"OperationOutcome","issue":["#);
    if issues.is_empty() {
        write_issue(&mut out, &Issue::information("All OK"));
    }
    for (n, issue) in issues.iter().enumerate() {
        if n > 0 {
            out.push(',');
        }
        write_issue(&mut out, issue);
    }
    out.push_str("]}");
    out
}

fn write_issue(out: &mut String, issue: &Issue) {
    out.push_str(r#"{"severity":""#);
    out.push_str(issue.severity.code());
    out.push_str(r#"","code":""#);
    out.push_str(issue.code.code());
    out.push('"');
    if !issue.details.is_empty() {
        out.push_str(r#","details":{"text":"#);
        write::string(out, &issue.details);
        out.push('}');
    }
    if !issue.expression.is_empty() {
        out.push_str(r#","expression":["#);
        write::string(out, &issue.expression);
        out.push(']');
    }
    out.push('}');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(issues: &[Issue], expected: &str) {
        let text = operation_outcome(issues);
        let parsed: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(parsed["resourceType"], "OperationOutcome");
        assert_eq!(text, expected);
    }

    #[test]
    fn an_issue_names_its_place_and_reason() {
        check(
            &[Issue::error(
                IssueType::Structure,
                "Patient.name[0].\"x\"",
                "unknown element",
            )],
            concat!(
                r#"{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"structure","#,
                r#""details":{"text":"unknown element"},"expression":["Patient.name[0].\"x\""]}]}"#
            ),
        );
    }

    #[test]
    fn no_issue_is_good_news() {
        check(
            &[],
            concat!(
                r#"{"resourceType":"OperationOutcome","issue":[{"severity":"information","#,
                r#""code":"informational","details":{"text":"All OK"}}]}"#
            ),
        );
    }

    #[test]
    fn a_location_moves_below_its_bundle_entry() {
        let issue = Issue::error(IssueType::Value, "Patient.birthDate", "not a date");
        let moved = issue.below("Bundle.entry[2].resource", true);
        assert_eq!(moved.expression, "Bundle.entry[2].resource.birthDate");
        let whole = Issue::error(IssueType::Value, "Patient", "empty").below("Bundle", true);
        assert_eq!(whole.expression, "Bundle");
    }

    #[test]
    fn warnings_do_not_stop_the_action() {
        let warning = Issue::warning(IssueType::BusinessRule, "", "odd");
        assert!(!any_failure(std::slice::from_ref(&warning)));
        assert!(any_failure(&[
            warning,
            Issue::fatal(IssueType::Exception, "", "x")
        ]));
    }
}
