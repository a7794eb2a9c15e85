//! Notes, checkpoints and keys, ours and those that the specifications show.

use super::*;
use crate::SecretKey;

const ORIGIN: &str = "salus.audit/00112233445566778899aabbccddeeff";

fn signer(seed: u8) -> Signer {
    Signer::new(ORIGIN, &SecretKey::from_bytes([seed; 32])).unwrap()
}

fn signed() -> Note {
    let text = Checkpoint::new(ORIGIN, 7, [9; 32], 1_700_000_000).text();
    Note::new(text.clone(), signer(1).sign(&text, 0))
}

/// A note and its key, as the Go implementation of notes shows them.
const EXAMPLE: &str = "If you think cryptography is the answer to your problem,\n\
    then you don't know what your problem is.\n\n\
    \u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
const EXAMPLE_KEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";

#[test]
fn a_note_reads_back_as_it_was_written() {
    let note = signed();
    let again = Note::parse(&note.to_string()).unwrap();
    assert_eq!(again, note);
    let checkpoint = again.checkpoint().unwrap();
    assert_eq!((checkpoint.size, checkpoint.root), (7, [9; 32]));
    assert_eq!(checkpoint.time_s(), Some(1_700_000_000));
    assert_eq!(checkpoint.text(), note.text());
    let foreign = Note::parse(EXAMPLE).unwrap();
    assert_eq!(foreign.to_string(), EXAMPLE);
    assert_eq!(foreign.signers().collect::<Vec<_>>(), ["PeterNeumann"]);
    let key = VerifierKey::parse(EXAMPLE_KEY).unwrap();
    assert_eq!(foreign.verify(&key), Verdict::Signed(None));
    assert!(foreign.checkpoint().is_err());
}

#[test]
fn only_its_own_key_holds_for_a_note() {
    let note = signed();
    let verdict = |note: &Note, seed| note.verify(signer(seed).public());
    assert_eq!(verdict(&note, 1), Verdict::Signed(None));
    assert_eq!(verdict(&note, 2), Verdict::NotSigned);
    let changed = note.to_string().replacen("\n7\n", "\n8\n", 1);
    let changed = Note::parse(&changed).unwrap();
    assert_eq!(verdict(&changed, 1), Verdict::Forged);
    let secret = SecretKey::from_bytes([1; 32]);
    let named_otherwise = Signer::new("salus.audit/other", &secret).unwrap();
    assert_eq!(note.verify(named_otherwise.public()), Verdict::NotSigned);
}

#[test]
fn a_witness_says_when() {
    let mut note = signed();
    let witness = Signer::witness("witness.example/w", &SecretKey::from_bytes([3; 32])).unwrap();
    assert_eq!(note.verify(witness.public()), Verdict::NotSigned);
    let line = format!("{}\n", witness.sign(note.text(), 1_700_000_001));
    note.add(&line).unwrap();
    note.add(&line).unwrap();
    assert_eq!(note.signers().count(), 2);
    let seen = Verdict::Signed(Some(1_700_000_001));
    assert_eq!(note.verify(witness.public()), seen);
    let at_another_time = witness.sign(note.text(), 5).to_string();
    let mut bytes = witness.sign(note.text(), 6);
    bytes.bytes[7] = 5;
    assert_ne!(bytes.to_string(), at_another_time);
    let forged = Note::new(note.text().to_owned(), bytes);
    assert_eq!(forged.verify(witness.public()), Verdict::Forged);
}

#[test]
fn keys_read_back_and_hold_their_hash() {
    let known = VerifierKey::parse(EXAMPLE_KEY).unwrap();
    assert_eq!(known.to_string(), EXAMPLE_KEY);
    for key in [
        signer(1).public().clone(),
        Signer::witness("w", &SecretKey::from_bytes([1; 32]))
            .unwrap()
            .public()
            .clone(),
    ] {
        assert_eq!(VerifierKey::parse(&key.to_string()), Ok(key));
    }
    for bad in [
        "",
        "a",
        "a+b",
        "PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "Peter Neumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegw",
        "+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
    ] {
        assert!(VerifierKey::parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn what_is_not_quite_a_note_is_refused() {
    let good = signed().to_string();
    let refused = |text: &str| assert!(Note::parse(text).is_err(), "{text:?}");
    refused("");
    refused("\n\n");
    refused(good.trim_end());
    refused(&good.replace('\u{2014}', "-"));
    refused(&good.replace("\n\n", "\n"));
    refused(&good.replace("salus", "sa\u{7}lus"));
    refused(&format!("{good}\n"));
    refused(&format!("{good}more\n"));
    refused(&good.replace('=', ""));
    let line = good.lines().last().unwrap();
    refused(&format!("{good}{}", format!("{line}\n").repeat(40)));
    refused(&format!("{}{good}", "x".repeat(NOTE_BYTES_MAX)));
}

#[test]
fn what_is_not_quite_a_checkpoint_is_refused() {
    let good = Checkpoint::new(ORIGIN, 7, [9; 32], 1).text();
    let refused = |text: &str| assert!(Checkpoint::parse(text).is_err(), "{text:?}");
    refused("");
    refused(good.trim_end());
    refused(&good.replace("\n7\n", "\n07\n"));
    refused(&good.replace("\n7\n", "\n+7\n"));
    refused(&good.replace("\n7\n", "\n99999999999999999999\n"));
    refused(&good.replace("\n7\n", "\n"));
    refused(&good.replace("=\n", "\n"));
    refused(&format!("{good}\n"));
    refused(&good.replacen(ORIGIN, "", 1));
}

#[test]
fn checkpoints_are_taken_from_a_file_one_by_one() {
    let (one, other) = (signed(), signed());
    let file = format!("{one}\n{other}{one}");
    let mut rest = &*file;
    for expected in [&one, &other, &one] {
        assert_eq!(Note::take(&mut rest).unwrap().as_ref(), Some(expected));
    }
    assert_eq!(Note::take(&mut rest), Ok(None));
    let torn = format!("{}\n\n{one}", &file[..file.len() / 2]);
    let mut rest = &*torn;
    let taken = std::iter::from_fn(|| Note::take(&mut rest).transpose());
    let taken: Vec<_> = taken.collect();
    assert!(taken.iter().any(Result::is_err), "{taken:?}");
    assert_eq!(taken.last(), Some(&Ok(one.clone())));
    assert!(Note::take(&mut "a file of something else\n").is_err());
    assert!(Note::take(&mut "origin\n1\n\nno signature\n").is_err());
}
