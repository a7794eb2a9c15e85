//! Which log the audit of a server is, for those who keep checkpoints of it.

use salus_store::Row;
use serde::{Deserialize, Serialize};

use super::SystemRecord;

/// The name of the server's audit log, made once. It lies with the records, so a store that is
/// restored goes on with the same log.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditLog {
    /// 32 hexadecimal digits, by chance.
    pub id: Box<str>,
}
salus_phi::guard!(AuditLog);

impl AuditLog {
    /// The id of the only record.
    pub const ID: &'static str = "log";

    /// A log of this id.
    #[must_use]
    pub fn new(id: [u8; 16]) -> Self {
        let digits = format!("{:032x}", u128::from_be_bytes(id));
        Self { id: digits.into() }
    }

    /// How checkpoints name it.
    #[must_use]
    pub fn origin(&self) -> String {
        format!("salus.audit/{}", self.id)
    }
}

impl SystemRecord for AuditLog {
    const NAME: &'static str = "salus:AuditLog";

    fn rows(&self) -> Vec<Row> {
        Vec::new()
    }
}
