//! Bytes are not what they were: in the store and beside it, or in the archive. What is read then is
//! as it was written, or said to be damaged.

use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;
use std::time::Duration;

use super::Told;
use super::plan::Place;
use super::room::{Room, To, copy};
use super::served::{is_part, serve};
use super::writers::{self, Written, content};
use crate::support::draw::Draw;
use crate::support::server::{Server, check};

/// Copies of a folder in which something rots, in one round.
const ROTTEN: u64 = 3;

/// Plays a round.
pub(crate) fn round(room: &Room, before: &Written, draw: &mut Draw, place: Place) -> Told {
    let mut written = before.clone();
    let mut server = room.start(&[]).unwrap();
    let (tell, _told) = channel();
    written.absorb(writers::write(&server, 3, draw, &tell, || {}));
    let mut told = Told {
        hit: true,
        acknowledged: written.count(),
        ..Told::default()
    };
    match place {
        Place::Archive | Place::S3 => {
            room.shipped(Duration::from_secs(60)).unwrap();
            assert!(server.stop());
            if draw.below(2) == 0 {
                room.salus(&["backup", "merge", "--json"], true);
            }
            for _ in 0..ROTTEN {
                in_archive(room, &written, draw, &mut told);
            }
        }
        Place::Store | Place::Keyring | Place::Rotation | Place::Several => {
            server.kill();
            for number in 0..ROTTEN {
                let rotten = room.path.join(format!("rotten-{number}"));
                copy(&room.data, &rotten);
                in_store(&rotten, &written, draw, &mut told);
            }
        }
    }
    told
}

/// The last write before the kill is another matter: the head of its record in the log of the engine may
/// rot into that of a write that was cut short, and nobody can tell them apart.
#[track_caller]
fn in_store(data: &Path, written: &Written, draw: &mut Draw, told: &mut Told) {
    let what = spoil(data, draw);
    let checked = check(data);
    let Ok(server) = Server::try_start(data) else {
        assert!(
            !checked.status.success(),
            "{what}: it does not start, and the check is content"
        );
        told.named += 1;
        return;
    };
    let mut client = server.client();
    let (mut unread, mut missing) = (0, 0);
    for track in &written.ledger.tracks {
        let answer = client.get(&track.path).unwrap();
        let right = match track.versions.last() {
            Some(Some(text)) => answer.status == 200 && answer.body.contains(text.as_str()),
            _ => answer.status == 410,
        };
        let before = track.versions.iter().rev().nth(1).and_then(Option::as_ref);
        let one_before = answer.status == 404
            || before.is_some_and(|text| answer.status == 200 && answer.body.contains(text));
        missing += usize::from(!right && answer.status < 500 && one_before);
        assert!(
            right || answer.status >= 500 || one_before && what.contains("/wal/"),
            "{what}: {} is {answer:?} instead of {:?}",
            track.path,
            track.versions.last()
        );
        unread += usize::from(answer.status >= 500);
        told.recovered += u64::from(right);
    }
    // Each client had one write under way at most when it was killed, and all may be of one group.
    assert!(
        missing <= writers::WRITERS as usize || !checked.status.success(),
        "{what}: {missing} writes are missing, and the check is content"
    );
    unread += files(&mut client, written, &what);
    assert!(
        unread == 0 || !checked.status.success(),
        "{what}: {unread} records cannot be read, and the check is content"
    );
    let remark = String::from_utf8_lossy(&checked.stderr).contains("checkpoints beside the store");
    let named = remark || !checked.status.success();
    assert!(
        named || !what.contains("checkpoints/"),
        "{what}: nothing says so"
    );
    told.named += u64::from(named);
}

/// Files are as they were written, or not shown: how many are not.
#[track_caller]
fn files(client: &mut crate::support::http::Client, written: &Written, what: &str) -> usize {
    let mut unread = 0;
    for (path, word) in &written.files {
        match client.send("GET", path, &[("Accept", "text/plain")], "") {
            Ok(answer) if answer.status == 200 => {
                assert!(answer.body == content(word), "{what}: {path} is another");
            }
            Ok(_) => unread += 1,
            // Damage that is found on the way ends the connection.
            Err(_) => unread += 1,
        }
    }
    unread
}

/// An object of the archive rots, is cut short, is another, or is gone.
#[track_caller]
fn in_archive(room: &Room, written: &Written, draw: &mut Draw, told: &mut Told) {
    let objects = objects(&room.to);
    let name = &objects[draw.below(objects.len() as u64) as usize];
    let whole = read(&room.to, name);
    let how = draw.below(6);
    let (bytes, what) = match how {
        0 => {
            let length = draw.below(whole.len() as u64) as usize;
            (whole[..length].to_vec(), format!("cut to {length}"))
        }
        1 => {
            let other = &objects[draw.below(objects.len() as u64) as usize];
            (read(&room.to, other), format!("it is {other}"))
        }
        _ => spoilt(&whole, draw),
    };
    if bytes == whole {
        return;
    }
    write(&room.to, name, &bytes);
    let what = format!("{name}, {what} of {}", whole.len());
    let (verified, output) = room.salus(&["backup", "verify", "--json"], false);
    let shown = &verified["archives"][0];
    let faults = shown["faults"].to_string();
    let covered = is_covered(name, &objects);
    let named = !output.status.success() && mentions(&faults, name);
    assert!(named || covered, "{what}: {verified} {output:?}");
    let restored = room.restore(&format!("restored-{}", told.named));
    let text = restored.told.to_string();
    match restored.status {
        // A fence says who is the primary, and nothing of what is restored.
        Some(0) => assert!(
            covered || name.contains("fence/"),
            "{what}: restored without a word: {text}"
        ),
        Some(3) => {
            assert!(mentions(&text, name), "{what}: {text}");
            // Whole commits of a damaged segment are given, too.
            let (seq, least) = (&restored.told["seq"], &shown["lastSeq"]);
            assert!(seq.as_u64() >= least.as_u64(), "{what}: {text} {shown}");
        }
        _ => assert!(
            mentions(&restored.error, name) || restored.error.contains("nothing"),
            "{what}: {restored:?}"
        ),
    }
    if restored.told["seq"].as_u64().is_some_and(|seq| seq > 0) {
        let server = serve(&restored);
        let mut client = server.client();
        for track in &written.ledger.tracks {
            told.recovered += is_part(&mut client, track, 0);
        }
        files(&mut client, written, &what);
    }
    let _ = std::fs::remove_dir_all(&restored.data);
    told.named += u64::from(named);
    write(&room.to, name, &whole);
}

/// Whether a fault names an object.
fn mentions(text: &str, name: &str) -> bool {
    let own = name.rsplit("own").next().unwrap_or(name);
    let last = own.rsplit('/').nth(1).unwrap_or(own);
    text.contains(own.trim_start_matches('/')) || own.contains("blobs/") && text.contains(last)
}

/// Whether a segment stays beside one that has all of it.
fn is_covered(name: &str, objects: &[String]) -> bool {
    let numbers = |name: &str| {
        let (_, text) = name.split_once("segments/")?;
        let (first, last) = text.split_once("-to-").unwrap_or((text, text));
        let number = |text: &str| text.split('-').next()?.parse::<u64>().ok();
        Some((number(first)?, number(last)?))
    };
    let Some(own) = numbers(name) else {
        return false;
    };
    objects
        .iter()
        .filter(|other| *other != name)
        .any(|other| numbers(other).is_some_and(|other| other.0 <= own.0 && own.1 <= other.1))
}

fn objects(to: &To) -> Vec<String> {
    let all = match to {
        To::S3(bucket) => bucket.names(),
        To::Folder(folder) => {
            let mut files = Vec::new();
            list(folder, &mut files);
            let name = |file: &PathBuf| file.strip_prefix(folder).unwrap().display().to_string();
            files.iter().map(name).collect()
        }
    };
    // What an interrupted put has left is in nobody's way.
    let mut all: Vec<_> = all
        .into_iter()
        .filter(|name| !name.starts_with("new/"))
        .collect();
    all.sort();
    all
}

fn read(to: &To, name: &str) -> Vec<u8> {
    match to {
        To::S3(bucket) => {
            let mut bytes = Vec::new();
            bucket.change(name, |object| bytes.clone_from(object));
            bytes
        }
        To::Folder(folder) => std::fs::read(folder.join(name)).unwrap(),
    }
}

fn write(to: &To, name: &str, bytes: &[u8]) {
    match to {
        To::S3(bucket) => bucket.change(name, |object| *object = bytes.to_vec()),
        To::Folder(folder) => std::fs::write(folder.join(name), bytes).unwrap(),
    }
}

/// Spoils a file of the store, of the keyring or of the checkpoints; what was spoilt.
fn spoil(data: &Path, draw: &mut Draw) -> String {
    let mut files = Vec::new();
    for folder in ["store", "keys", "checkpoints"] {
        list(&data.join(folder), &mut files);
    }
    files.retain(|file| std::fs::metadata(file).unwrap().len() > 0);
    files.sort();
    let file = &files[draw.below(files.len() as u64) as usize];
    let (bytes, what) = spoilt(&std::fs::read(file).unwrap(), draw);
    std::fs::write(file, &bytes).unwrap();
    let name = file.strip_prefix(data).unwrap().display();
    format!("{name}, {what} of {}", bytes.len())
}

/// Another text of the same length: a byte, a block of 512 or a bit is another, or zeros are there.
pub(crate) fn spoilt(bytes: &[u8], draw: &mut Draw) -> (Vec<u8>, String) {
    let mut bytes = bytes.to_vec();
    let at = draw.below(bytes.len() as u64) as usize;
    let block = (at + 512).min(bytes.len());
    let (end, mask) = match draw.below(4) {
        0 => (at + 1, 1 << draw.below(8)),
        1 => (at + 1, 0x5a),
        _ => (block, 0x5a),
    };
    bytes[at..end].iter_mut().for_each(|byte| *byte ^= mask);
    let what = format!("bytes {at} to {end} xor {mask:#04x}");
    (bytes, what)
}

fn list(folder: &Path, files: &mut Vec<PathBuf>) {
    let Ok(items) = std::fs::read_dir(folder) else {
        return;
    };
    for item in items {
        let path = item.unwrap().path();
        match path.is_dir() {
            true => list(&path, files),
            false => files.push(path),
        }
    }
}
