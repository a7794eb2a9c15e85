//! The rows of a stored record of ours, whatever its kind: a store that is made of a log
//! (`store/src/log.rs`) has none, and gets them as the records' writers made them.

use salus_store::{Kind, Record, Row};

use super::{
    Alert, AlertProgress, Alerting, Assertion, AuditArchive, AuditLog, AuditSegment, Authorization,
    Brands, BreakGlass, Care, Client, Code, Cold, ColdMove, Cors, Device, Disposal,
    DynamicRegistration, Factors, Group, History, Hold, Identity, Index, InitialToken, Launch,
    Letter, Link, MailText, Places, Policy, Project, Provider, ProviderAccount, ProviderRequest,
    Pushed, Retention, Saved, Session, SetupLink, Shred, SignIn, SigningKey, SystemRecord, Theme,
    User,
};
use crate::Error;

/// A kind of record, and how its rows are made.
#[derive(Clone, Copy, Debug)]
pub struct RowsOf {
    /// The kind.
    pub kind: Kind,
    rows: fn(&Record) -> Result<Vec<Row>, Error>,
}

impl RowsOf {
    /// Of a kind of record.
    #[must_use]
    pub const fn kind<T: SystemRecord>() -> Self {
        Self {
            kind: T::KIND,
            rows: of::<T>,
        }
    }

    /// The rows of a record of this kind; none if it is deleted.
    ///
    /// # Errors
    /// When it is not of this kind or not in a form that we know.
    pub fn rows(&self, record: &Record) -> Result<Vec<Row>, Error> {
        (self.rows)(record)
    }
}

fn of<T: SystemRecord>(record: &Record) -> Result<Vec<Row>, Error> {
    let saved = Saved::<T>::read(record)?;
    let mut rows = saved.map_or_else(Vec::new, |saved| saved.value.rows());
    Row::sort(&mut rows);
    Ok(rows)
}

/// All kinds of this crate.
pub const ROWS: &[RowsOf] = &[
    RowsOf::kind::<Alert>(),
    RowsOf::kind::<AlertProgress>(),
    RowsOf::kind::<Alerting>(),
    RowsOf::kind::<Assertion>(),
    RowsOf::kind::<AuditArchive>(),
    RowsOf::kind::<AuditLog>(),
    RowsOf::kind::<AuditSegment>(),
    RowsOf::kind::<Authorization>(),
    RowsOf::kind::<Brands>(),
    RowsOf::kind::<BreakGlass>(),
    RowsOf::kind::<Care>(),
    RowsOf::kind::<Client>(),
    RowsOf::kind::<Code>(),
    RowsOf::kind::<Cold>(),
    RowsOf::kind::<ColdMove>(),
    RowsOf::kind::<Cors>(),
    RowsOf::kind::<Device>(),
    RowsOf::kind::<Disposal>(),
    RowsOf::kind::<DynamicRegistration>(),
    RowsOf::kind::<Factors>(),
    RowsOf::kind::<Group>(),
    RowsOf::kind::<History>(),
    RowsOf::kind::<Hold>(),
    RowsOf::kind::<Identity>(),
    RowsOf::kind::<Index>(),
    RowsOf::kind::<InitialToken>(),
    RowsOf::kind::<Launch>(),
    RowsOf::kind::<Letter>(),
    RowsOf::kind::<Link>(),
    RowsOf::kind::<MailText>(),
    RowsOf::kind::<Places>(),
    RowsOf::kind::<Policy>(),
    RowsOf::kind::<Project>(),
    RowsOf::kind::<Provider>(),
    RowsOf::kind::<ProviderAccount>(),
    RowsOf::kind::<ProviderRequest>(),
    RowsOf::kind::<Pushed>(),
    RowsOf::kind::<Retention>(),
    RowsOf::kind::<Session>(),
    RowsOf::kind::<SetupLink>(),
    RowsOf::kind::<Shred>(),
    RowsOf::kind::<SignIn>(),
    RowsOf::kind::<SigningKey>(),
    RowsOf::kind::<Theme>(),
    RowsOf::kind::<User>(),
];

#[cfg(test)]
mod tests {
    use super::*;

    /// A kind that is not listed would be found by nothing after a restore.
    #[test]
    fn every_kind_is_listed() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/record");
        let own = std::fs::read_to_string(folder.join("rows.rs")).unwrap();
        let mut kinds = 0;
        for file in std::fs::read_dir(folder).unwrap() {
            let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
            let names = text.split("\nimpl SystemRecord for ").skip(1);
            for name in names.filter_map(|rest| rest.split([' ', '\n']).next()) {
                kinds += 1;
                assert!(own.contains(&format!("kind::<{name}>()")), "{name}");
            }
        }
        assert_eq!(kinds, ROWS.len());
    }
}
