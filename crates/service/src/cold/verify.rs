//! Reading all of cold storage back, record by record.

use salus_auth::Action;
use salus_auth::record::{Cold, SystemRecord};
use salus_store::{At, Seq};

use super::read::{Reader, Unread};
use crate::Service;
use crate::audit::entry::What;
use crate::context::Context;
use crate::error::Error;
use crate::records::read;

/// Records looked at at a time.
const STEP: usize = 200;
/// A call ends after this time.
const TIME_MAX_MS: i64 = 20_000;
/// Or when so many faults were found.
const FAULTS_MAX: usize = 1000;

/// What a call has read back.
#[derive(Clone, Debug, Default)]
pub struct Verified {
    /// Records that are what they were.
    pub records: u64,
    /// Objects that were read.
    pub objects: u64,
    /// What is not as it was written.
    pub faults: Vec<ColdFault>,
    /// Where the next call goes on.
    pub next: Option<u64>,
}

/// A record that does not come back as it was.
#[derive(Clone)]
pub struct ColdFault {
    /// Type and id.
    pub record: String,
    /// The object.
    pub object: String,
    /// What is the matter with it.
    pub fault: String,
}
salus_phi::guard!(ColdFault);

impl Service {
    /// Reads cold records back, from a place on.
    pub async fn verify_cold(&self, cx: &Context, before: Option<u64>) -> Result<Verified, Error> {
        let (what, action) = (What::SystemCheck, Action::ReadRetention);
        let grant = self.allow(cx, what, action).await?;
        let work = self.verify_some(cx, Seq(before.unwrap_or(u64::MAX)));
        let verified = self.attempt(cx, &grant, what, "Cold", work).await?;
        self.noted(cx, &grant, what).await?;
        Ok(verified)
    }

    async fn verify_some(&self, cx: &Context, mut before: Seq) -> Result<Verified, Error> {
        let snapshot = self.store.snapshot(cx.scope, At::Now).await?;
        if snapshot.walk(Cold::KIND, before, 1, &[]).await?.is_empty() {
            return Ok(Verified::default());
        }
        drop(snapshot);
        let storage = self.cold_storage()?;
        let end_ms = self.now_ms().saturating_add(TIME_MAX_MS);
        let mut reader = Reader::new(&storage, cx.scope);
        let mut verified = Verified::default();
        loop {
            // The newest first: those that were moved together come one after the other.
            let snapshot = self.store.snapshot(cx.scope, At::Now).await?;
            let hits = snapshot.walk(Cold::KIND, before, STEP, &[]).await?;
            if hits.is_empty() {
                verified.next = None;
                break;
            }
            for hit in &hits {
                before = hit.record.seq;
                verified.next = Some(before.0);
                let Some(saved) = read::<Cold>(Some(&hit.record))? else {
                    continue;
                };
                let cold = saved.value;
                match reader.check(&cold).await {
                    Ok(()) => verified.records += 1,
                    Err(Unread::Error(error)) => return Err(error),
                    Err(Unread::Fault(object, fault)) => verified.faults.push(ColdFault {
                        record: format!("{}/{}", cold.ty, cold.id),
                        object,
                        fault: fault.to_string(),
                    }),
                }
                if self.now_ms() >= end_ms || verified.faults.len() >= FAULTS_MAX {
                    verified.objects = reader.objects;
                    return Ok(verified);
                }
            }
        }
        verified.objects = reader.objects;
        Ok(verified)
    }
}
