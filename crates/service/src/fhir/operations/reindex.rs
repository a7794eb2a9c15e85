//! `$reindex`: makes the index rows of records anew, by the walk that an
//! upgrade uses (`crate::parameters`). It runs in the background;
//! `GET /admin/reindex` tells how far it is, and can hold it up.

use salus_auth::Action;

use super::parameters::Writer;
use super::{Asked, Code, Level, Operation, Parameter, reply};
use crate::Service;
use crate::context::Context;
use crate::error::Error;
use crate::fhir::reply::Reply;
use crate::fhir::types::ResourceType;

pub(super) static REINDEX: Operation = Operation {
    name: "reindex",
    definition: "urn:salus:operation:reindex",
    types: &[],
    level: &[Level::System],
    affects_state: true,
    parameters: &[
        Parameter::given("type", "code", "Only these types").repeated(),
        Parameter {
            name: "pending",
            ..Parameter::returned("integer", "About how many records there are to look at")
        },
    ],
    searches: false,
    action: Action::WriteIndex,
    code: Code::Reindex,
};

impl Service {
    pub(super) async fn reindex(&self, cx: &Context, asked: &Asked<'_>) -> Result<Reply, Error> {
        let types = asked.arguments.types("type")?;
        let mut types = types.unwrap_or_else(ResourceType::all);
        types.retain(|ty| ty.name != ResourceType::AUDIT_EVENT);
        let names: Vec<&str> = types.iter().map(|ty| ty.name).collect();
        let entry = asked.entry(cx, "");
        let pending = self.index_anew(cx, &asked.grant, &names, entry).await?;
        let mut answer = Writer::new();
        answer.value("pending", "Integer", &pending.to_string());
        Ok(reply(answer.finish()))
    }
}
