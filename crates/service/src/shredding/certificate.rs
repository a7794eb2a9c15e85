//! The certificate of a shredding: what NIST SP 800-88r2, 4.6 and appendix B, wants of one, as
//! a [statement](crate::statement) that anybody checks offline.

use std::collections::BTreeMap;

use salus_auth::record::Shred;
use serde_json::{Value, json};

use crate::statement::Form;
use crate::time::instant;

/// The form of the statement.
pub const FORM: Form = Form {
    ty: "salus-shred-certificate+jws",
    shown: "certificate",
};
/// That of a report of disposals, which the same key signs.
pub const DISPOSALS: Form = Form {
    ty: "salus-disposal-report+jws",
    shown: "certificate",
};
/// By when copies of the keyring from before have to be destroyed.
const COPIES_MS: i64 = 30 * 86_400_000;

/// What a certificate says.
pub(super) struct Facts<'a> {
    pub(super) project: &'a str,
    pub(super) patient: &'a str,
    pub(super) shred: &'a Shred,
    pub(super) erased: &'a BTreeMap<String, (u64, u64)>,
    pub(super) keys: u32,
    pub(super) blobs: usize,
    pub(super) jobs: usize,
    /// Objects in cold storage with records of the patient, and how many could not be removed.
    pub(super) cold: (usize, usize),
    pub(super) done_ms: i64,
}

impl Facts<'_> {
    pub(super) fn view(&self) -> Value {
        let (begun, done) = (instant(self.shred.begun_ms), instant(self.done_ms));
        let found = self.erased.iter().map(|(ty, (records, versions))| {
            (
                ty.clone(),
                json!({"records": records, "versions": versions}),
            )
        });
        let found: serde_json::Map<_, _> = found.collect();
        // When it is finished after a crash, some of them are gone already.
        let planned = self.shred.plan.get("erased").cloned();
        json!({
            "version": 1,
            "project": self.project,
            "patient": self.patient,
            "requestedBy": self.shred.by,
            "reason": self.shred.reason,
            "begun": begun,
            "done": done,
            "method": {
                "standard": "NIST SP 800-88 Rev. 2",
                "sanitization": "Purge",
                "technique": "cryptographic erase",
                "cipher": "XAES-256-GCM",
                "keyBits": 256,
                // None if they were destroyed before a crash.
                "keysDestroyed": Some(self.keys).filter(|keys| *keys > 0),
                "keysKept": "in the keyring of the server only, wrapped by the key of the project",
                "how": "the wrapped key was overwritten where it lay, and the disk told to keep it",
            },
            "erased": {
                "records": planned.unwrap_or_else(|| found.into()),
                "files": self.blobs,
                "jobs": self.jobs,
            },
            "verified": {
                "versionsLeft": 0,
                "keyring": "refuses the keys of the patient, and gives no other",
                "index": "no value of the patient's records is in it; tables that held some were written anew",
            },
            "stays": self.shred.plan.get("stays").cloned().unwrap_or_default(),
            "copies": [
                {"copy": "store", "unreadable": done},
                {"copy": "archive, and copies of the store", "unreadable": begun,
                 "since": "what they hold is sealed with keys that are destroyed"},
                {"copy": "cold storage", "unreadable": begun, "objects": self.cold.0, "objectsLeft": self.cold.1,
                 "since": "what it holds is sealed with keys that are destroyed; objects that were left are locked there, or could not be asked for"},
                {"copy": "copies of the data folder made before", "destroyBy": instant(self.done_ms.saturating_add(COPIES_MS)),
                 "by": "the operator", "until": "then values of the index in the engine's files, sealed with the key of the whole store, can be read by who has them and the keyring"},
                {"copy": "copies of the keyring made before", "destroyBy": instant(self.done_ms.saturating_add(COPIES_MS)),
                 "by": "the operator", "until": "then what they unlock can be read by who has them"},
                {"copy": "files exported, printed or sent before", "by": "whoever received them"},
            ],
        })
    }
}
