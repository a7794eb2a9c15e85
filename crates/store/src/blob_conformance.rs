//! The suite that every engine of [`Blobs`] passes, as [`mod@crate::conformance`]
//! is for records: `salus_store::blob_conformance!(engine);` makes a test of
//! each case.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "the suite is test code that other crates run"
)]

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use bytes::Bytes;

use crate::{Blob, BlobReader, BlobWriter, Blobs, Error, NewBlob, Reply, Scope, SealKey};

/// How the suite gets blobs of the engine under test.
pub trait Engine: Send + Sync {
    /// A new engine without blobs. Called once in a case, first.
    fn create(&self) -> Arc<dyn Blobs>;

    /// The same opened again, after the suite has dropped it; `None` if this
    /// engine keeps nothing.
    fn reopen(&self) -> Option<Arc<dyn Blobs>> {
        None
    }

    /// Waits for a future on this thread.
    fn wait(&self, future: Pin<Box<dyn Future<Output = ()> + Send + '_>>) {
        crate::conformance::block_on(future);
    }
}

/// Runs the case of this name; panics if the engine fails it.
pub fn run(name: &str, engine: &dyn Engine) {
    let case = CASES.iter().find(|(case, _)| *case == name);
    let (_, case) = case.unwrap_or_else(|| panic!("there is no case {name}"));
    let blobs = Mutex::new(Some(engine.create()));
    case(&Subject { engine, blobs });
}

macro_rules! blob_cases {
    ($dollar:tt $($name:ident)*) => {
        /// All cases.
        const CASES: &[(&str, fn(&Subject<'_>))] = &[$((stringify!($name), $name)),*];

        /// One test per case of [`blob_conformance`](mod@crate::blob_conformance), each
        /// on its own evaluation of an expression that is an
        /// [`Engine`](crate::blob_conformance::Engine).
        #[macro_export]
        macro_rules! blob_conformance {
            ($dollar engine:expr) => {
                $(
                    #[test]
                    fn $name() {
                        $crate::blob_conformance::run(stringify!($name), &$dollar engine);
                    }
                )*
            };
        }
    };
}

blob_cases! { $
    blobs_of_every_size_read_back
    any_part_is_read_alone
    the_sizes_of_writes_do_not_matter
    an_unfinished_blob_was_never_there
    ids_that_cannot_be_are_refused
    an_id_is_used_once
    scopes_have_blobs_of_their_own
    a_removed_blob_is_gone
    lists_go_on_behind_any_blob
    a_finished_blob_is_there_after_reopening
}

const SCOPE: Scope = Scope(1);

/// An engine under test.
struct Subject<'a> {
    engine: &'a dyn Engine,
    blobs: Mutex<Option<Arc<dyn Blobs>>>,
}

fn new(scope: Scope, id: &str) -> NewBlob {
    NewBlob {
        scope,
        id: id.into(),
        seal: SealKey::Scope,
        time_ms: 1_000,
    }
}

/// Bytes none of which is like its neighbours for long.
fn content(length: usize) -> Bytes {
    let byte = |at: usize| (at ^ (at >> 8) ^ (at >> 16)).wrapping_mul(31) as u8;
    (0..length).map(byte).collect::<Vec<u8>>().into()
}

impl Subject<'_> {
    fn blobs(&self) -> Arc<dyn Blobs> {
        let blobs = self.blobs.lock().unwrap();
        Arc::clone(blobs.as_ref().expect("the engine is open"))
    }

    fn wait<T: Send>(&self, reply: Reply<'_, T>) -> Result<T, Error> {
        let mut result = None;
        let future = async { result = Some(reply.await) };
        self.engine.wait(Box::pin(future));
        result.expect("the engine waits until the reply is there")
    }

    #[track_caller]
    fn create(&self, new: NewBlob) -> Box<dyn BlobWriter> {
        self.wait(self.blobs().create(new)).expect("create")
    }

    #[track_caller]
    fn put(&self, scope: Scope, id: &str, pieces: &[Bytes]) {
        let mut writer = self.create(new(scope, id));
        for piece in pieces {
            self.wait(writer.write(piece.clone())).expect("write");
        }
        let length = self.wait(writer.finish()).expect("finish");
        assert_eq!(length, pieces.iter().map(|p| p.len() as u64).sum::<u64>());
    }

    #[track_caller]
    fn open(&self, scope: Scope, id: &str) -> Option<Box<dyn BlobReader>> {
        self.wait(self.blobs().open(scope, id)).expect("open")
    }

    /// All of a part, read as often as it takes.
    #[track_caller]
    fn read(&self, blob: &dyn BlobReader, mut at: u64, mut max: usize) -> Vec<u8> {
        let mut all = Vec::new();
        while max > 0 {
            let some = self.wait(blob.read(at, max)).expect("read");
            assert!(some.len() <= max, "more than was asked for");
            if some.is_empty() {
                assert!(at >= blob.bytes(), "nothing in the middle");
                break;
            }
            all.extend_from_slice(&some);
            at += some.len() as u64;
            max -= some.len();
        }
        all
    }

    #[track_caller]
    fn holds(&self, scope: Scope, id: &str, expected: &[u8]) {
        let blob = self.open(scope, id).expect("the blob is there");
        assert_eq!(blob.bytes(), expected.len() as u64);
        let found = self.read(&*blob, 0, usize::MAX);
        assert!(found == expected, "other content in {id}");
    }

    #[track_caller]
    fn list(&self, scope: Scope, after: &str, limit: usize) -> Vec<Blob> {
        let list = self.wait(self.blobs().list(scope, after, limit));
        list.expect("list")
    }
}

fn blobs_of_every_size_read_back(subject: &Subject<'_>) {
    let sizes = [
        0, 1, 65_535, 65_536, 65_537, 131_072, 262_144, 262_145, 1_000_000,
    ];
    for size in sizes {
        let (id, content) = (format!("of-{size}"), content(size));
        subject.put(SCOPE, &id, std::slice::from_ref(&content));
        subject.holds(SCOPE, &id, &content);
        let listed = subject.list(SCOPE, "", 100);
        let listed = listed.iter().find(|blob| *blob.id == *id).expect("listed");
        assert_eq!((listed.bytes, listed.time_ms), (size as u64, 1_000));
    }
}

fn any_part_is_read_alone(subject: &Subject<'_>) {
    let content = content(500_000);
    subject.put(SCOPE, "a", std::slice::from_ref(&content));
    let blob = subject.open(SCOPE, "a").expect("the blob is there");
    let starts = [0, 1, 65_535, 65_536, 65_537, 262_143, 499_999];
    for start in starts {
        for length in [0, 1, 2, 65_536, 65_537, 300_000] {
            let end = (start + length).min(content.len());
            let part = subject.read(&*blob, start as u64, length);
            assert!(part == content[start..end], "{length} bytes from {start}");
        }
    }
    for behind in [500_000, 500_001, u64::MAX] {
        assert!(subject.read(&*blob, behind, 10).is_empty());
    }
}

fn the_sizes_of_writes_do_not_matter(subject: &Subject<'_>) {
    let content = content(700_001);
    for size in [977, 65_536, 262_144, 400_000] {
        let mut rest = content.clone();
        let mut pieces = vec![Bytes::new()];
        while !rest.is_empty() {
            pieces.push(rest.split_to(size.min(rest.len())));
            pieces.push(Bytes::new());
        }
        let id = format!("by-{size}");
        subject.put(SCOPE, &id, &pieces);
        subject.holds(SCOPE, &id, &content);
    }
}

fn an_unfinished_blob_was_never_there(subject: &Subject<'_>) {
    let mut writer = subject.create(new(SCOPE, "a"));
    subject.wait(writer.write(content(600_000))).expect("write");
    assert!(subject.open(SCOPE, "a").is_none());
    assert_eq!(subject.list(SCOPE, "", 10), []);
    drop(writer);
    assert!(subject.open(SCOPE, "a").is_none());
    // Its id is as good as new, when what was under way has ended.
    for _ in 0..1_000_000 {
        if let Ok(writer) = subject.wait(subject.blobs().create(new(SCOPE, "a"))) {
            subject.wait(writer.finish()).expect("finish");
            return subject.holds(SCOPE, "a", b"");
        }
    }
    panic!("the id stays taken");
}

fn ids_that_cannot_be_are_refused(subject: &Subject<'_>) {
    let long = "a".repeat(65);
    for id in ["", ".", "..", "a/b", "../a", "A", "a\0", "ä", "a.b", &long] {
        let refused = subject.wait(subject.blobs().create(new(SCOPE, id)));
        assert!(matches!(refused, Err(Error::Misuse(_))), "{id:?}");
        assert!(subject.open(SCOPE, id).is_none(), "{id:?}");
        let removed = subject.wait(subject.blobs().remove(SCOPE, id));
        assert!(removed.is_ok(), "{id:?}");
    }
    subject.put(SCOPE, &"a".repeat(64), &[]);
}

fn an_id_is_used_once(subject: &Subject<'_>) {
    subject.put(SCOPE, "a", &[content(10)]);
    let again = subject.wait(subject.blobs().create(new(SCOPE, "a")));
    assert!(matches!(again, Err(Error::Misuse(_))));
    subject.holds(SCOPE, "a", &content(10));
}

fn scopes_have_blobs_of_their_own(subject: &Subject<'_>) {
    let other = Scope(2);
    subject.put(SCOPE, "a", &[content(10)]);
    assert!(subject.open(other, "a").is_none());
    assert_eq!(subject.list(other, "", 10), []);
    subject.put(other, "a", &[content(20)]);
    subject
        .wait(subject.blobs().remove(other, "a"))
        .expect("remove");
    subject.holds(SCOPE, "a", &content(10));
}

fn a_removed_blob_is_gone(subject: &Subject<'_>) {
    subject.put(SCOPE, "a", &[content(100_000)]);
    for _ in 0..2 {
        subject
            .wait(subject.blobs().remove(SCOPE, "a"))
            .expect("remove");
        assert!(subject.open(SCOPE, "a").is_none());
        assert_eq!(subject.list(SCOPE, "", 10), []);
    }
}

fn lists_go_on_behind_any_blob(subject: &Subject<'_>) {
    let mut expected = Vec::new();
    for n in 0..40 {
        let id = format!("blob-{n:02}");
        subject.put(SCOPE, &id, &[content(n)]);
        expected.push(id);
    }
    let whole = subject.list(SCOPE, "", 100);
    let mut ids: Vec<_> = whole.iter().map(|blob| blob.id.to_string()).collect();
    ids.sort();
    assert_eq!(ids, expected);
    for limit in [1, 7, 40] {
        let mut paged: Vec<Blob> = Vec::new();
        loop {
            let after = paged.last().map_or("", |blob| &*blob.id).to_owned();
            let page = subject.list(SCOPE, &after, limit);
            assert!(page.len() <= limit);
            if page.is_empty() {
                break;
            }
            // What comes next is there, though the last one is not.
            let last = &page[page.len() - 1];
            subject
                .wait(subject.blobs().remove(SCOPE, &last.id))
                .expect("remove");
            subject
                .wait(subject.blobs().list(SCOPE, &last.id, 1))
                .expect("list");
            subject.put(SCOPE, &last.id, &[content(last.bytes as usize)]);
            paged.extend(page);
        }
        assert_eq!(paged, whole, "pages of {limit}");
    }
    assert_eq!(subject.list(SCOPE, "", 0), []);
}

fn a_finished_blob_is_there_after_reopening(subject: &Subject<'_>) {
    subject.put(SCOPE, "a", &[content(300_000)]);
    let mut unfinished = subject.create(new(SCOPE, "b"));
    subject
        .wait(unfinished.write(content(600_000)))
        .expect("write");
    drop(unfinished);
    *subject.blobs.lock().unwrap() = None;
    if let Some(blobs) = subject.engine.reopen() {
        *subject.blobs.lock().unwrap() = Some(blobs);
        subject.holds(SCOPE, "a", &content(300_000));
        assert!(subject.open(SCOPE, "b").is_none());
        assert_eq!(subject.list(SCOPE, "", 10).len(), 1);
        subject.put(SCOPE, "b", &[]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::Memory;

    struct InMemory;

    impl Engine for InMemory {
        fn create(&self) -> Arc<dyn Blobs> {
            Arc::new(Memory::new())
        }
    }

    blob_conformance!(InMemory);
}
