//! `$process-message`: <https://hl7.org/fhir/R4/messageheader-operation-process-message.html>.
//!
//! A message is validated and in the audit. Nothing handles messages yet, and
//! whoever sends one is told so: it is refused, never taken and forgotten.

use salus_auth::Action;
use salus_fhir::issue::{Issue, IssueType};
use salus_fhir::json::Node;

use super::parameters::{invalid, items};
use super::{Asked, Code, Level, Operation, Parameter};
use crate::Service;
use crate::error::{Error, Kind};
use crate::fhir::incoming;
use crate::fhir::reply::Reply;
use crate::fhir::types::ResourceType;

pub(super) static PROCESS_MESSAGE: Operation = Operation {
    name: "process-message",
    definition: "http://hl7.org/fhir/OperationDefinition/MessageHeader-process-message",
    types: &["MessageHeader"],
    level: &[Level::System],
    affects_state: true,
    parameters: &[
        Parameter::given("content", "Bundle", "The message").required(),
        Parameter::given(
            "async",
            "boolean",
            "Not served: messages are refused at once",
        ),
        Parameter::given("response-url", "url", "Not served"),
    ],
    searches: false,
    action: Action::ProcessMessage,
    code: Code::ProcessMessage,
};

impl Service {
    /// Refuses a message: for its faults, or since nothing handles it. The
    /// caller has the refusal in the audit.
    pub(super) fn process_message(&self, asked: &Asked<'_>) -> Result<Reply, Error> {
        let content = asked.arguments.node("content")?;
        let content = content.ok_or_else(|| invalid("content", "it is required"))?;
        let bundle = ResourceType::named("Bundle");
        let bundle = bundle.ok_or_else(|| Error::not_found("there are no bundles"))?;
        incoming::check(content, bundle)?;
        let first = items(content, "entry").next();
        let header = first.and_then(|entry| entry.get("resource"));
        let is_header = |header: Node<'_>| {
            header.get("resourceType").and_then(Node::plain_str) == Some("MessageHeader")
        };
        let is_message = content.get("type").and_then(Node::plain_str) == Some("message");
        if !is_message || !header.is_some_and(is_header) {
            let details =
                "a message is a Bundle of type message, whose first resource is a MessageHeader";
            return Err(invalid("content", details));
        }
        let details = "the message is valid, but nothing handles messages in this project; \
            nothing was done";
        let issue = Issue::error(IssueType::NotSupported, "", details);
        Err(Error::with_issues(Kind::Unprocessable, vec![issue]))
    }
}
