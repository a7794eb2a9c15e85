//! A service in this process over a store that a test brings, asked by URL.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use salus_auth::Subject;
use salus_crypto::{Founding, Keyring, SecretKey};
use salus_store::memory::Memory;
use salus_store::{Scope, Store};
use serde_json::Value;

use super::pairs;
use crate::context::{Context, RequestId, World};
use crate::error::Error;
use crate::fhir::{Handling, Which, WriteCondition, WriteOptions};
use crate::{Service, Settings};

/// A clock that stands still, and a chance that counts.
struct Staged(AtomicU64);

impl World for Staged {
    fn now_ms(&self) -> i64 {
        0
    }

    fn random(&self, buffer: &mut [u8]) {
        let number = self.0.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        for (to, from) in buffer.iter_mut().zip(number.into_iter().cycle()) {
            *to = from;
        }
    }
}

/// Where the tests' requests go.
pub(crate) const BASE: &str = "http://example.org/fhir";

pub(crate) struct Host {
    pub(crate) service: Service,
}

/// Everything of a search: each page's entries, and what the whole says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Answer {
    /// Of each page, in order.
    pub(crate) pages: Vec<Page>,
}

/// Entries as `Type/id`, by their `search.mode`.
#[derive(Default, PartialEq, Eq)]
pub(crate) struct Page {
    pub(crate) total: Option<u64>,
    pub(crate) matches: Vec<String>,
    pub(crate) included: Vec<String>,
    /// The texts of outcome entries.
    pub(crate) remarks: Vec<String>,
    /// The resources, as they were given.
    pub(crate) resources: Vec<Value>,
}
salus_phi::guard!(Page);

/// Pages followed at most: more is a link that leads in a circle.
const PAGES_MAX: usize = 200;

impl Host {
    pub(crate) async fn over(store: Arc<dyn Store>) -> Self {
        let world = Arc::new(Staged(AtomicU64::new(1)));
        let key = SecretKey::from_bytes([7; 32]);
        let blobs = Arc::new(Memory::new());
        let service = Service::open(store, blobs, world, Settings::default(), key);
        Self {
            service: service.await.unwrap(),
        }
    }

    /// The pages of a search, written as `Type?parameters`, `?parameters` or
    /// `Compartment/id/Type?parameters`.
    pub(crate) async fn search(
        &self,
        cx: &Context,
        url: &str,
        handling: Handling,
    ) -> Result<Answer, Error> {
        let (path, query) = url.split_once('?').unwrap_or((url, ""));
        let mut answer = Answer::default();
        let mut query = query.to_owned();
        while answer.pages.len() < PAGES_MAX {
            let bundle = self.page(cx, path, &query, handling).await?;
            answer.pages.push(Page::of(&bundle));
            let Some(next) = link(&bundle, "next") else {
                self.turn_back(cx, path, bundle, &answer).await;
                return Ok(answer);
            };
            query = same_search(path, &next);
        }
        panic!("there is no end to the pages of {url}");
    }

    /// From the last page to the first, each as it was before.
    async fn turn_back(&self, cx: &Context, path: &str, mut bundle: Value, answer: &Answer) {
        for page in answer.pages.iter().rev().skip(1) {
            let previous = link(&bundle, "previous").expect("there is a page before");
            let query = same_search(path, &previous);
            let again = self.page(cx, path, &query, Handling::Strict).await;
            bundle = again.expect("a page that was there is there");
            let again = Page::of(&bundle);
            assert_eq!(again.matches, page.matches, "{path} turned back");
            assert_eq!(again.included, page.included, "{path} turned back");
        }
        assert_eq!(link(&bundle, "previous"), None, "{path} before the first");
    }

    async fn page(
        &self,
        cx: &Context,
        path: &str,
        query: &str,
        handling: Handling,
    ) -> Result<Value, Error> {
        let parameters = pairs(query);
        let parts: Vec<&str> = path.split('/').collect();
        let reply = match parts[..] {
            [""] => self.service.search_system(cx, parameters, handling).await,
            [ty] => self.service.search(cx, ty, parameters, handling).await,
            [name, id, member] => {
                let of = (name, id);
                self.service
                    .search_compartment(cx, of, member, parameters, handling)
                    .await
            }
            _ => panic!("no search has such a path: {path}"),
        };
        Ok(serde_json::from_slice(&reply?.body.unwrap()).unwrap())
    }

    /// Stores a resource under its own id.
    pub(crate) async fn put(&self, cx: &Context, resource: &Value) -> Result<(), Error> {
        let text = |key: &str| resource[key].as_str().unwrap().to_owned();
        let (ty, id) = (text("resourceType"), text("id"));
        let options = WriteOptions {
            condition: WriteCondition::None,
            idempotency_key: None,
        };
        let body = Bytes::from(resource.to_string());
        let written = self
            .service
            .update(cx, &ty, Which::Id(&id), body, &options)
            .await;
        written.map(|_| ())
    }

    /// Deletes a resource, there or not.
    pub(crate) async fn delete(&self, cx: &Context, ty: &str, id: &str) {
        let options = WriteOptions {
            condition: WriteCondition::None,
            idempotency_key: None,
        };
        let deleted = self.service.delete(cx, ty, Which::Id(id), &options).await;
        deleted.unwrap();
    }
}

/// The engine that keeps things, in a folder that goes with it.
pub(crate) fn embedded(dir: &tempfile::TempDir) -> Arc<dyn Store> {
    let keyring = Keyring::open(&dir.path().join("keys"), Founding::New, 0).unwrap();
    let options = salus_store_embedded::Options {
        disk_bytes_min: 0,
        ..salus_store_embedded::Options::new(dir.path().join("store"), keyring)
    };
    salus_store_embedded::Embedded::open(options).unwrap()
}

/// A request of someone, at a time.
pub(crate) fn context(subject: Subject, scope: Scope, now_ms: i64) -> Context {
    Context {
        subject: Arc::new(subject),
        scope,
        base: BASE.into(),
        parameters: Arc::default(),
        request_id: RequestId(1),
        now_ms,
        era: Arc::default(),
        format: None,
        remote: None,
    }
}

impl Page {
    pub(crate) fn of(bundle: &Value) -> Self {
        let mut page = Self {
            total: bundle["total"].as_u64(),
            ..Self::default()
        };
        for entry in bundle["entry"].as_array().into_iter().flatten() {
            let resource = &entry["resource"];
            let part = |key: &str| resource[key].as_str().unwrap_or_default();
            let name = format!("{}/{}", part("resourceType"), part("id"));
            match entry["search"]["mode"].as_str() {
                Some("match") => page.matches.push(name),
                Some("include") => page.included.push(name),
                Some("outcome") => {
                    let issues = resource["issue"].as_array().into_iter().flatten();
                    let text = |issue: &Value| issue["details"]["text"].as_str().map(str::to_owned);
                    page.remarks.extend(issues.filter_map(text));
                    continue;
                }
                other => panic!("an entry of no mode: {other:?}"),
            }
            page.resources.push(resource.clone());
        }
        page
    }
}

/// The parameters of a link, which leads to the same path.
pub(crate) fn same_search(path: &str, link: &str) -> String {
    let link = link.strip_prefix(BASE).unwrap().trim_start_matches('/');
    let (same, query) = link.split_once('?').unwrap();
    assert_eq!(same, path, "the page is of the same search");
    query.to_owned()
}

pub(crate) fn link(bundle: &Value, relation: &str) -> Option<String> {
    let links = bundle["link"].as_array()?;
    let link = links.iter().find(|link| link["relation"] == relation)?;
    link["url"].as_str().map(str::to_owned)
}
