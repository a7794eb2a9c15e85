//! Which rounds there are: what goes wrong, where, and after how many calls.

use crate::support::draw::Draw;

/// Where something goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// The folder of the engine, under a server.
    Store,
    /// The keyring and the ledger of what was shredded, without a server: each step of their work.
    Keyring,
    /// The keyring of a server that writes, rotates and shreds.
    Rotation,
    /// An archive in a folder.
    Archive,
    /// An archive in S3.
    S3,
    /// Two or three of these folders at once.
    Several,
}

/// What goes wrong.
pub(crate) const DISK: [&str; 7] = [
    "write-error",
    "short-write",
    "sync-error",
    "full-disk",
    "power-cut",
    "clock-jump",
    "kill",
];
/// Bytes that are not what they were.
pub(crate) const ROT: &str = "rot";
/// What a server of S3 does.
pub(crate) const S3: [&str; 6] = ["busy", "slow", "cut", "wrong-etag", "lost-answer", "mixed"];

impl Place {
    const ALL: [Self; 6] = [
        Self::Store,
        Self::Keyring,
        Self::Rotation,
        Self::Archive,
        Self::S3,
        Self::Several,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Store => "store",
            Self::Keyring => "keyring",
            Self::Rotation => "rotation",
            Self::Archive => "archive",
            Self::S3 => "s3",
            Self::Several => "several",
        }
    }

    /// What can go wrong there.
    fn kinds(self) -> Vec<&'static str> {
        match self {
            Self::Store | Self::Archive => DISK.into_iter().chain([ROT]).collect(),
            // It is told the time.
            Self::Keyring => {
                let all = DISK.into_iter().chain([ROT]);
                all.filter(|kind| *kind != "clock-jump").collect()
            }
            Self::Rotation => DISK.into(),
            Self::S3 => S3.into_iter().chain([ROT]).collect(),
            Self::Several => vec!["mixed"],
        }
    }
}

/// A round: the same place, kind and seed do the same again, but for the order of threads.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) place: Place,
    pub(crate) kind: &'static str,
    pub(crate) seed: u64,
}

impl Plan {
    /// So many rounds from a seed on, of these places and kinds (all, if none is named), in turn.
    pub(crate) fn rounds(rounds: u64, seed: u64, places: &[String], kinds: &[String]) -> Vec<Self> {
        let wanted = |of: &[String], name: &str| of.is_empty() || of.iter().any(|one| one == name);
        let mut pairs = Vec::new();
        let most = Place::ALL
            .map(|place| place.kinds().len())
            .into_iter()
            .max();
        // One kind of each place after the other, so that few rounds see all places.
        for turn in 0..most.unwrap_or(0) {
            for place in Place::ALL {
                let all = place.kinds();
                let kind = all[(turn + place as usize) % all.len()];
                if wanted(places, place.name()) && wanted(kinds, kind) {
                    pairs.push((place, kind));
                }
            }
        }
        assert!(!pairs.is_empty(), "no place has such a kind of fault");
        let plan = |round: u64| {
            let (place, kind) = pairs[(round % pairs.len() as u64) as usize];
            let seed = seed.wrapping_add(round);
            Self { place, kind, seed }
        };
        (0..rounds).map(plan).collect()
    }

    /// The choices of this round.
    pub(crate) fn draw(&self) -> Draw {
        // Neighbouring seeds would share all but one of their choices.
        Draw::new(Draw::new(self.seed).bits())
    }
}

/// After how many calls below a folder at most a fault of this kind comes, so that most come at all.
pub(crate) fn calls(place: Place, kind: &str) -> u64 {
    let of_kind = match kind {
        "write-error" | "short-write" | "full-disk" => 60,
        "sync-error" => 40,
        "clock-jump" => 400,
        _ => 120,
    };
    match (place, kind) {
        (_, "clock-jump") => of_kind,
        // An object is a few calls, of which one writes.
        (Place::Archive, "write-error" | "short-write" | "full-disk") => 6,
        (Place::Archive, "sync-error") => 12,
        (Place::Archive, _) => 40,
        _ => of_kind,
    }
}
