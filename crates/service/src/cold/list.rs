//! What is in cold storage, as administrators see it: places, counts and ids, no content.

use std::collections::BTreeMap;

use salus_auth::Action;
use salus_auth::record::{Cold, ColdMove, Saved, SystemRecord};
use salus_store::{At, Seq};

use crate::Service;
use crate::audit::entry::What;
use crate::context::Context;
use crate::error::Error;
use crate::fhir::types::ResourceType;
use crate::records::{all, read};

/// Records of a page.
const PAGE: usize = 200;
/// Moves that are listed.
const MOVES_MAX: usize = 1000;

/// How cold storage stands.
#[derive(Clone)]
pub struct ColdStatus {
    /// What the place is called; nothing if there is none.
    pub place: Option<String>,
    /// Whether objects there are locked for a time.
    pub locked: bool,
    /// How many records of each type are there.
    pub counts: BTreeMap<&'static str, u64>,
    /// What was moved until now.
    pub moves: Vec<Saved<ColdMove>>,
}
salus_phi::guard!(ColdStatus);

/// Some of the records that are, or have versions, in cold storage.
#[derive(Clone, Debug)]
pub struct ColdList {
    /// The newest first.
    pub records: Vec<Cold>,
    /// Where it goes on.
    pub next: Option<u64>,
}

impl Service {
    /// How cold storage stands.
    pub async fn cold_status(&self, cx: &Context) -> Result<ColdStatus, Error> {
        let action = Action::ReadRetention;
        let grant = self.allow(cx, What::AdminRead, action).await?;
        let snapshot = self.store.snapshot(cx.scope, At::Now).await?;
        let mut counts = BTreeMap::new();
        for ty in ResourceType::all() {
            let count = snapshot.count(&Cold::of_type(ty.name)).await?;
            if count > 0 {
                counts.insert(ty.name, count);
            }
        }
        let mut moves = all::<ColdMove>(&*self.store, cx.scope, MOVES_MAX).await?;
        moves.sort_by_key(|one| one.value.at_ms);
        self.noted(cx, &grant, What::AdminRead).await?;
        let place = self.settings.cold.place.as_ref();
        Ok(ColdStatus {
            place: place.map(|place| place.label().to_owned()),
            locked: place.is_some_and(|place| place.is_locked()),
            counts,
            moves,
        })
    }

    /// Which records are there, a page from a place on.
    pub async fn list_cold(&self, cx: &Context, before: Option<u64>) -> Result<ColdList, Error> {
        let action = Action::ReadRetention;
        let grant = self.allow(cx, What::AdminRead, action).await?;
        let snapshot = self.store.snapshot(cx.scope, At::Now).await?;
        let before = Seq(before.unwrap_or(u64::MAX));
        let hits = snapshot.walk(Cold::KIND, before, PAGE, &[]).await?;
        let mut records = Vec::with_capacity(hits.len());
        for hit in &hits {
            records.extend(read::<Cold>(Some(&hit.record))?.map(|saved| saved.value));
        }
        self.noted(cx, &grant, What::AdminRead).await?;
        Ok(ColdList {
            records,
            next: hits.last().map(|hit| hit.record.seq.0),
        })
    }

    /// One of them.
    pub async fn read_cold(&self, cx: &Context, ty: &str, id: &str) -> Result<Cold, Error> {
        let (what, action) = (What::AdminRead, Action::ReadRetention);
        let grant = self.allow(cx, what, action).await?;
        let work = self.left_cold(cx, ty, id);
        let (_, saved) = self.attempt_on(cx, &grant, what, (ty, id), work).await?;
        self.noted(cx, &grant, what).await?;
        Ok(saved.value)
    }
}
