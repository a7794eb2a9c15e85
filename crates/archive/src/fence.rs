//! Fences: who may ship into an archive. A promotion writes the next one; whoever knows of
//! fewer fences than there are was replaced, and must not acknowledge anything any more.
//!
//! They are objects `fence/NUMBER`, counted from 1; number 0 is made by whoever ships first, so that
//! an archive without a fence is told from one that is not there. They are made once like all
//! others: of two promotions at once one makes the next and the other is told. A fence is a sealed
//! text, authenticated with its own name. Format 1: 1 byte format, 16 bytes id of the promotion, 8 bytes when in
//! milliseconds since 1970 UTC, 8 bytes the last seq that the promoted store had, 2 bytes length
//! of who it was, that.

use salus_store::Seq;

use crate::{Archive, Error, Fault, Put, Trouble, name};

const FORMAT: u8 = 1;
/// The longest name of who promotes, in bytes.
const WHO_BYTES_MAX: usize = 255;

/// A fence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fence {
    /// Its number: the generation of the store that was promoted by it.
    pub number: u64,
    /// New for each promotion.
    pub id: [u8; 16],
    /// When it was written, in milliseconds since 1970 UTC.
    pub time_ms: i64,
    /// The last seq that the promoted store had then.
    pub seq: Seq,
    /// Which machine it was.
    pub who: String,
}

impl Fence {
    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![FORMAT];
        bytes.extend_from_slice(&self.id);
        bytes.extend_from_slice(&self.time_ms.to_be_bytes());
        bytes.extend_from_slice(&self.seq.0.to_be_bytes());
        let who = self.who.as_bytes();
        let who = who.get(..WHO_BYTES_MAX).unwrap_or(who);
        bytes.extend_from_slice(&(who.len() as u16).to_be_bytes());
        bytes.extend_from_slice(who);
        bytes
    }

    fn read(number: u64, bytes: &[u8]) -> Option<Self> {
        let ([FORMAT], rest) = bytes.split_first_chunk()? else {
            return None;
        };
        let (id, rest) = rest.split_first_chunk()?;
        let (time, rest) = rest.split_first_chunk()?;
        let (seq, rest) = rest.split_first_chunk()?;
        let (length, who) = rest.split_first_chunk()?;
        (who.len() == usize::from(u16::from_be_bytes(*length))).then(|| Self {
            number,
            id: *id,
            time_ms: i64::from_be_bytes(*time),
            seq: Seq(u64::from_be_bytes(*seq)),
            who: String::from_utf8_lossy(who).into_owned(),
        })
    }
}

impl Archive {
    /// The same archive, for a store of this generation: the number of the fence by which it was
    /// promoted, 0 if it never was.
    #[must_use]
    pub fn of_generation(self, generation: u64) -> Self {
        Self { generation, ..self }
    }

    /// The generation of the store that asks.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// All fences, the oldest first.
    ///
    /// # Errors
    /// When the destination cannot be reached; a [`Fault`] for one that is damaged.
    pub async fn fences(&self) -> Result<Vec<Fence>, Error> {
        let mut fences = Vec::new();
        for object in self.destination.list(name::FENCES).await? {
            let number = number_of(&object.name)?;
            if number > 0 {
                fences.extend(self.fence_at(number).await?);
            }
        }
        Ok(fences)
    }

    /// What is wrong with the fences, the first included, which replaces nobody.
    pub(crate) async fn faults_of_fences(&self) -> Result<Vec<Fault>, Error> {
        let mut faults = Vec::new();
        for object in self.destination.list(name::FENCES).await? {
            let read = match number_of(&object.name) {
                Ok(number) => self.fence_at(number).await.map(|_| ()),
                Err(fault) => Err(fault.into()),
            };
            match read {
                Ok(()) => {}
                Err(Error::Fault(fault)) => faults.push(fault),
                Err(error) => return Err(error),
            }
        }
        Ok(faults)
    }

    /// The fence by which the store that asks was replaced; `None` if it was not, for sure: its own
    /// fence is there. Two reads of names that are known.
    ///
    /// # Errors
    /// As [`Self::fences`]; when its own fence is not there, as when a disk is not mounted.
    pub async fn replaced(&self) -> Result<Option<Fence>, Error> {
        let own = name::fence(self.generation);
        if self.destination.head(&own, 1).await?.is_none() {
            return Err(Error::Destination(Trouble {
                label: self.label().to_owned(),
                reason: format!("{own} is not there: it is empty, or not what it was"),
                lasting: false,
            }));
        }
        self.next_fence().await
    }

    /// The fence behind that of the store that asks, if it is seen.
    pub(crate) async fn next_fence(&self) -> Result<Option<Fence>, Error> {
        self.fence_at(self.generation + 1).await
    }

    /// Says that the archive is there, with the first fence, which replaces nobody.
    pub(crate) async fn found(&self, now_ms: i64) -> Result<(), Error> {
        let first = name::fence(0);
        if self.generation > 0 || self.destination.head(&first, 1).await?.is_some() {
            return Ok(());
        }
        let fence = Fence {
            number: 0,
            id: [0; 16],
            time_ms: now_ms,
            seq: Seq(0),
            who: String::new(),
        };
        self.put_fence(&fence).await.map(|_| ())
    }

    async fn fence_at(&self, number: u64) -> Result<Option<Fence>, Error> {
        let name = name::fence(number);
        let Some(sealed) = self.destination.get(&name).await? else {
            return Ok(None);
        };
        let damaged = || Fault::damaged(&name, "it is not what was sealed");
        let opened = self.keys.open(name.as_bytes(), &sealed);
        let opened = opened.map_err(|_| damaged())?;
        let fence = Fence::read(number, &opened).ok_or_else(damaged)?;
        Ok(Some(fence))
    }

    /// Makes a fence, unless there is one of this number: whether it is there now, and this one.
    ///
    /// # Errors
    /// As [`Self::fences`]; when it is not known whether it is there, it may be tried again.
    pub async fn put_fence(&self, fence: &Fence) -> Result<bool, Error> {
        let name = name::fence(fence.number);
        let mut sealed = Vec::new();
        self.keys
            .seal(name.as_bytes(), &fence.to_bytes(), &mut sealed)?;
        match self.destination.put(&name, sealed.into()).await? {
            Put::Made => Ok(true),
            // An earlier try may have been ours, and its answer lost.
            Put::Taken => {
                let there = self.fence_at(fence.number).await?;
                Ok(there.is_some_and(|there| there.id == fence.id))
            }
        }
    }
}

/// The number of a fence that was listed.
fn number_of(object: &str) -> Result<u64, Fault> {
    name::parse_fence(object).ok_or_else(|| Fault::new(object, crate::What::Unknown))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use salus_crypto::SecretKey;

    use super::*;
    use crate::{Folder, Keys};

    fn fence(number: u64, id: u8) -> Fence {
        Fence {
            number,
            id: [id; 16],
            time_ms: 1_234,
            seq: Seq(77),
            who: "standby-1".into(),
        }
    }

    #[tokio::test]
    async fn of_two_promotions_one_wins_and_the_replaced_learn_of_it() {
        let room = tempfile::tempdir().unwrap();
        let keys = Keys::from_secret(SecretKey::from_bytes([1; 32]));
        let archive = Archive::open(Arc::new(Folder::open(room.path())), keys.clone());
        // One that is not there says nothing.
        assert!(archive.replaced().await.is_err());
        archive.found(5).await.unwrap();
        archive.found(6).await.unwrap();
        assert_eq!(archive.replaced().await.unwrap(), None);
        assert!(archive.put_fence(&fence(1, 1)).await.unwrap());
        assert!(!archive.put_fence(&fence(1, 2)).await.unwrap());
        // The same again: its answer may have been lost.
        assert!(archive.put_fence(&fence(1, 1)).await.unwrap());
        assert_eq!(archive.replaced().await.unwrap(), Some(fence(1, 1)));
        let promoted = archive.clone().of_generation(1);
        assert_eq!(promoted.replaced().await.unwrap(), None);
        assert!(promoted.put_fence(&fence(2, 3)).await.unwrap());
        assert_eq!(promoted.replaced().await.unwrap(), Some(fence(2, 3)));
        let all = archive.fences().await.unwrap();
        assert_eq!(all, [fence(1, 1), fence(2, 3)]);
        // Another's, or one that was changed, is none.
        let path = room.path().join("fence/000000000001");
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[20] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        assert!(matches!(archive.replaced().await, Err(Error::Fault(_))));
        // So is the first, which nobody reads again.
        assert_eq!(archive.faults_of_fences().await.unwrap().len(), 1);
        let path = room.path().join("fence/000000000000");
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[20] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        let faults = archive.faults_of_fences().await.unwrap();
        let named = faults.iter().map(|fault| fault.object.clone());
        let named: Vec<_> = named.collect();
        assert_eq!(named, ["fence/000000000000", "fence/000000000001"]);
    }
}
