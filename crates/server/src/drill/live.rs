//! What the store that runs says of itself at a point of its log, over the folder's own socket:
//! what is asked, what is answered, and who asks. Nothing of a record is in it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use http::Method;
use salus_service::drill::Sample;
use salus_store::{Kind, Scope};
use salus_store_embedded::{Counts, Tally};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Failure;
use crate::control::{self, Client};

/// Samples of all kinds and projects, at most.
const SAMPLES_MAX: usize = 2000;

/// What is asked.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Question {
    /// What the choice of samples follows from.
    pub(super) seed: u64,
    /// How many of each kind and project; none are chosen for 0.
    pub(super) each: usize,
    /// The point; the present one if it is not said.
    pub(super) seq: Option<u64>,
    /// How many entries of the audit; all if it is not said.
    pub(super) audit_size: Option<u64>,
}

/// What a store is at a point.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Point {
    pub(super) seq: u64,
    pub(super) chain: String,
    pub(super) audit_size: u64,
    pub(super) audit_root: String,
    /// Scope, kind, current records and versions.
    pub(super) kinds: Vec<(u32, u32, u64, u64)>,
    /// None if the store does not show the point any more.
    pub(super) samples: Option<Vec<Sample>>,
    pub(super) disk_bytes: u64,
    pub(super) archives: Vec<Shipped>,
}

/// How far an archive is, as who ships to it knows.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Shipped {
    pub(super) archive: String,
    pub(super) seq: u64,
    pub(super) behind_ms: u64,
    /// Nothing more will come.
    pub(super) stopped: bool,
}

impl Point {
    pub(super) fn counts(&self) -> BTreeMap<(Scope, Kind), Counts> {
        let kinds = self.kinds.iter();
        let kinds = kinds.map(|(scope, kind, records, versions)| {
            let counts = Counts {
                records: *records,
                versions: *versions,
            };
            ((Scope(*scope), Kind(*kind)), counts)
        });
        kinds.collect()
    }
}

/// A tally as it is sent.
pub(super) fn sent(tally: &Tally) -> Vec<(u32, u32, u64, u64)> {
    let kinds = tally.kinds.iter();
    let kinds = kinds.map(|((scope, kind), counts)| {
        let Counts { records, versions } = *counts;
        (scope.0, kind.0, records, versions)
    });
    kinds.collect()
}

/// Of which kinds records are chosen, by scope: those that there are, as far as there is room.
pub(super) fn drawn(kinds: &[(u32, u32, u64, u64)], each: usize) -> BTreeMap<Scope, Vec<Kind>> {
    let mut drawn: BTreeMap<Scope, Vec<Kind>> = BTreeMap::new();
    let there = kinds.iter().filter(|(_, _, records, _)| *records > 0);
    for (scope, kind, ..) in there.take(SAMPLES_MAX / each.max(1)) {
        drawn.entry(Scope(*scope)).or_default().push(Kind(*kind));
    }
    drawn
}

/// A server that runs on the folder. It is connected to for each question: hours may lie between
/// two of them.
pub(super) struct Live(PathBuf);

impl Live {
    /// The one on a folder, if there is one.
    pub(super) async fn of(data: &Path) -> Option<Self> {
        let connected = Client::connect(data).await;
        connected.is_ok().then(|| Self(data.to_owned()))
    }

    /// What the store is at a point.
    pub(super) async fn point(&self, question: &Question) -> Result<Point, Failure> {
        let body = serde_json::to_vec(question)?;
        let path = "/operator/drill/point";
        let answer = self.send(Method::POST, path, body.into()).await?;
        Ok(serde_json::from_slice(&answer)?)
    }

    /// Hands over the report of a drill: the server keeps it, and notes it in the audit.
    pub(super) async fn ended(&self, report: &Value) -> Result<(), Failure> {
        let (path, body) = ("/operator/drill/ended", report.to_string());
        self.send(Method::POST, path, body.into()).await.map(drop)
    }

    /// What the server knows of drills.
    pub(super) async fn status(&self) -> Result<Value, Failure> {
        let sent = self.send(Method::GET, "/operator/drill", Bytes::new());
        Ok(serde_json::from_slice(&sent.await?)?)
    }

    async fn send(&self, method: Method, path: &str, body: Bytes) -> Result<Bytes, Failure> {
        let mut client = Client::connect(&self.0).await?;
        let answer = client.send(method, path, None, body).await?;
        Ok(control::answered("the server", answer)?)
    }
}
