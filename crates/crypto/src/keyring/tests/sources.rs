//! Root keys from elsewhere: found, opened, refused by name, and never anything changed.

use std::sync::atomic::AtomicBool;

use zeroize::Zeroizing;

use super::super::source::Written;
use super::*;

/// Somebody who wraps by a key of their own, and can be made to refuse.
struct Wrapper {
    name: String,
    key: SecretKey,
    fault: Mutex<Option<RootFault>>,
    gives_another: AtomicBool,
}

impl Wrapper {
    fn new(name: &str) -> Arc<Self> {
        Arc::new(Self {
            name: name.to_owned(),
            key: SecretKey::random().unwrap(),
            fault: Mutex::default(),
            gives_another: AtomicBool::new(false),
        })
    }

    fn source(self: &Arc<Self>) -> RootSource {
        RootSource::Wrapped(Arc::clone(self) as Arc<dyn WrapsRoot>)
    }

    fn refuses(&self) -> Result<(), RootFault> {
        self.fault.lock().clone().map_or(Ok(()), Err)
    }
}

impl WrapsRoot for Wrapper {
    fn name(&self) -> &str {
        &self.name
    }

    fn wrap(&self, id: &str, key: &[u8; 32]) -> Result<Vec<u8>, RootFault> {
        self.refuses()?;
        Ok(self.key.seal_text(id.as_bytes(), key).unwrap().into_bytes())
    }

    fn unwrap(&self, id: &str, wrapped: &[u8]) -> Result<Zeroizing<[u8; 32]>, RootFault> {
        self.refuses()?;
        if self.gives_another.load(Ordering::Relaxed) {
            return Ok(Zeroizing::new([9; 32]));
        }
        let text = String::from_utf8_lossy(wrapped);
        let plain = self.key.open_text(id.as_bytes(), &text);
        let plain = plain.map_err(|_| RootFault::WrongKey("foreign"))?;
        Ok(Zeroizing::new(plain.try_into().unwrap()))
    }
}

fn passphrase(text: &str) -> RootSource {
    RootSource::Wrapped(Arc::new(Passphrase::new(Zeroizing::new(text.into()))))
}

fn everything_in(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let entries = std::fs::read_dir(dir).unwrap();
    let mut files: Vec<_> = entries
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.clone(), std::fs::read(path).unwrap()))
        .collect();
    files.sort();
    files
}

/// Refused for this reason, and no byte of the folder is another.
#[track_caller]
fn refused(folder: &Folder, source: &RootSource, expect: &str) {
    let before = everything_in(&folder.dir());
    let error = Keyring::open_from(&folder.dir(), source, Founding::New, 5);
    let error = error.unwrap_err().to_string();
    assert!(error.contains(expect), "{error}");
    assert!(everything_in(&folder.dir()) == before, "{expect}");
}

fn open(folder: &Folder, source: &RootSource) -> Arc<Keyring> {
    Keyring::open_from(&folder.dir(), source, Founding::New, 1_000).unwrap()
}

#[test]
fn a_keyring_is_founded_under_a_passphrase() {
    let folder = Folder::new();
    let right = passphrase("correct horse battery\n");
    let ring = open(&folder, &right);
    let slot = ring.slot(1, Some("p"), 0).unwrap();
    let text = sealed(&ring, slot, "x");
    ring.sync().unwrap();
    assert_eq!(ring.status().unwrap().root.source, "passphrase");
    drop(ring);
    assert!(!folder.root().exists(), "no key lies in the open");
    let ring = open(&folder, &passphrase("correct horse battery"));
    assert_eq!(ring.open_sealed(slot, b"aad", &text).unwrap(), b"x");
    ring.probe().unwrap();
    drop(ring);
    refused(
        &folder,
        &passphrase("correct horse batterz"),
        "the passphrase is another",
    );
    refused(
        &folder,
        &RootSource::File(folder.root()),
        "kept by passphrase, not by file:",
    );
    let path = folder.dir().join("root.wrapped");
    let written = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, &written[..written.len() - 20]).unwrap();
    refused(&folder, &right, "another length");
    std::fs::write(&path, "nothing of ours").unwrap();
    refused(&folder, &right, "is not a wrapped root key");
    std::fs::remove_file(&path).unwrap();
    refused(&folder, &right, "root.wrapped is missing");
}

#[test]
fn a_short_passphrase_founds_nothing() {
    let folder = Folder::new();
    let short = passphrase("short");
    let error = Keyring::open_from(&folder.dir(), &short, Founding::New, 0).unwrap_err();
    assert!(error.to_string().contains("12 characters"), "{error}");
    assert!(everything_in(&folder.dir()).is_empty());
}

#[test]
fn each_refusal_has_its_name_and_changes_nothing() {
    let folder = Folder::new();
    let kms = Wrapper::new("kms:one");
    drop(open(&folder, &kms.source()));
    for (fault, expect) in [
        (RootFault::Unreachable("no answer"), "cannot be reached"),
        (RootFault::NotAllowed("denied"), "does not allow it"),
        (RootFault::Lost("disabled"), "the key is not there"),
        (RootFault::WrongKey("foreign"), "wrapped by another key"),
        (RootFault::Garbled("not JSON"), "cannot be understood"),
    ] {
        *kms.fault.lock() = Some(fault);
        refused(&folder, &kms.source(), expect);
    }
    *kms.fault.lock() = None;
    kms.gives_another.store(true, Ordering::Relaxed);
    refused(&folder, &kms.source(), "it unwrapped to another key");
    kms.gives_another.store(false, Ordering::Relaxed);
    let other = Wrapper::new("kms:two");
    refused(&folder, &other.source(), "kept by kms:one, not by kms:two");
    drop(open(&folder, &kms.source()));
}

#[test]
fn the_root_key_moves_from_one_source_to_another() {
    let folder = Folder::new();
    let ring = folder.opened();
    let slot = ring.slot(1, Some("p"), 0).unwrap();
    let text = sealed(&ring, slot, "x");
    ring.sync().unwrap();
    let kms = Wrapper::new("kms:one");
    let elsewhere = RootSource::File(folder.0.path().join("other.key"));
    let passphrase = passphrase("correct horse battery");
    let ways = [kms.source(), passphrase, kms.source(), elsewhere.clone()];
    drop(ring);
    let mut from = RootSource::File(folder.root());
    for (i, to) in ways.iter().enumerate() {
        let ring = open(&folder, &from);
        ring.rotate_root(to, 2_000 + i as i64).unwrap();
        assert_eq!(ring.open_sealed(slot, b"aad", &text).unwrap(), b"x");
        ring.probe().unwrap();
        drop(ring);
        let status = open(&folder, to).status().unwrap();
        assert_eq!(status.root.source, to.name());
        assert_eq!(status.root.since_ms, 2_000 + i as i64);
        let gone = Keyring::open_from(&folder.dir(), &from, Founding::Existing, 0);
        assert!(gone.is_err(), "the one before opens nothing");
        from = to.clone();
    }
    assert!(!folder.dir().join("root.wrapped").exists());
    let again = open(&folder, &elsewhere).rotate_root(&RootSource::File(folder.ring()), 0);
    assert!(
        matches!(again, Err(Error::RootThere(_))),
        "nothing is overwritten"
    );
}

#[test]
fn a_root_key_that_cannot_be_wrapped_is_not_rotated() {
    let folder = Folder::new();
    let ring = folder.opened();
    let before = everything_in(&folder.dir());
    let kms = Wrapper::new("kms");
    *kms.fault.lock() = Some(RootFault::NotAllowed("denied"));
    assert!(ring.rotate_root(&kms.source(), 0).is_err());
    *kms.fault.lock() = None;
    kms.gives_another.store(true, Ordering::Relaxed);
    let error = ring.rotate_root(&kms.source(), 0).unwrap_err();
    assert!(error.to_string().contains("does not come back"), "{error}");
    assert!(everything_in(&folder.dir()) == before);
    drop(ring);
    folder.opened();
}

#[test]
fn what_is_beside_the_keyring_reads_back() {
    let text = "salus-root-wrapped 1\nby kms:x\nid 0a1b2c3d\nkey AAAA\n";
    let written = Written::parse(text).unwrap();
    assert_eq!((&*written.by, written.id), ("kms:x", 0x0a1b_2c3d));
    for (from, to) in [
        ("1\n", "2\n"),
        ("0a1b2c3d", "0a1b"),
        ("AAAA", "A!"),
        ("by ", ""),
    ] {
        assert!(
            Written::parse(&text.replacen(from, to, 1)).is_none(),
            "{to}"
        );
    }
    assert!(Written::parse(&format!("{text}more\n")).is_none());
}
