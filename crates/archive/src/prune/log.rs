//! Pruning of the log: when the beginning of the window can be restored from a base, what lies
//! before that base is needed by no instant of the window any more.
//!
//! The base is read back first, and the line behind it up to where it is of use. Then a mark says
//! up to where the log is pruned, so that what is missing before it is not taken for lost, and
//! then the objects go. What cannot be removed now, as it is locked, is tried again each time: it
//! is before the mark.

use std::collections::HashMap;

use super::{Pruned, READ_MS, Window};
use crate::{Archive, Base, BaseName, BasePart, Contents, Error, Follows, name};

/// A base that was begun so long ago and is not being taken was given up.
const GIVEN_UP_MS: i64 = 24 * 60 * 60 * 1000;

impl Archive {
    pub(super) async fn prune_log(
        &self,
        window: Window,
        follows: &Follows<'_>,
        pruned: &mut Pruned,
    ) -> Result<(), Error> {
        let contents = self.contents().await?;
        let mut upto = self.marked(&contents).await?;
        if let Some(base) = self.beginning(&contents, window, follows, pruned).await? {
            if !window.dry_run {
                let (mark, mut sealed) = (base.mark(), Vec::new());
                let now = window.now_ms.to_string();
                self.keys
                    .seal(mark.as_bytes(), now.as_bytes(), &mut sealed)?;
                self.destination.put(&mark, sealed.into()).await?;
            }
            pruned.base = Some(base);
            upto = Some(base);
        }
        self.remove_before(&contents, upto, window, pruned).await
    }

    /// Up to where the log was pruned: the newest mark, if it is ours. Somebody who may put objects
    /// and not remove any must not have us remove them.
    pub(crate) async fn marked(&self, contents: &Contents) -> Result<Option<BaseName>, Error> {
        let Some(base) = contents.pruned.last() else {
            return Ok(None);
        };
        let mark = base.mark();
        let sealed = self.destination.get(&mark).await?;
        let opened = sealed.and_then(|sealed| self.keys.open(mark.as_bytes(), &sealed).ok());
        Ok(opened.map(|_| *base))
    }

    /// The newest base from which the beginning of the window can be restored, if it is newer
    /// than the one that was pruned to.
    async fn beginning(
        &self,
        contents: &Contents,
        window: Window,
        follows: &Follows<'_>,
        pruned: &mut Pruned,
    ) -> Result<Option<BaseName>, Error> {
        let Some(log_ms) = window.log_ms else {
            return Ok(None);
        };
        let begin_ms = window.now_ms.saturating_sub(log_ms).saturating_sub(READ_MS);
        let (wholes, damaged) = self.wholes(contents).await?;
        pruned
            .faults
            .extend(damaged.iter().map(ToString::to_string));
        for (base, whole) in wholes {
            if base.name.number <= contents.pruned_to() {
                break;
            }
            if whole.valid.1 > begin_ms || !contents.ends_at(base.name) {
                continue;
            }
            if window.dry_run {
                return Ok(Some(base.name));
            }
            match self.check_base(contents, &base, follows).await {
                Ok(_) => return Ok(Some(base.name)),
                Err(Error::Fault(fault)) => pruned.faults.push(fault.to_string()),
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    async fn remove_before(
        &self,
        contents: &Contents,
        upto: Option<BaseName>,
        window: Window,
        pruned: &mut Pruned,
    ) -> Result<(), Error> {
        // Nothing goes by a mark whose base is not there.
        let is_whole = |base: &&Base| base.whole && Some(base.name) >= upto;
        let number = match contents.bases.iter().find(is_whole) {
            Some(_) => upto.map_or(0, |base| base.number),
            None => 0,
        };
        let mut objects = Vec::new();
        for base in &contents.bases {
            let over =
                base.name.number < number || self.is_given_up(contents, base, window).await?;
            if over {
                objects.extend(base.objects());
            }
        }
        // The oldest first: what is left of a line that was cut off while it went is its end.
        // The last one stays: that is where a shipper goes on.
        let line = contents
            .segments
            .split_last()
            .map_or(&[][..], |(_, all)| all);
        let line = line.iter().chain(&contents.spare);
        let mut line: Vec<_> = line.filter(|name| name.last_number() <= number).collect();
        line.sort_unstable();
        objects.extend(line.into_iter().map(ToString::to_string));
        let lengths = self.lengths().await?;
        for object in objects {
            let bytes = lengths.get(&object).copied().unwrap_or(0);
            if self.take(&object, bytes, window, pruned).await {
                pruned.log.push(object);
            }
        }
        let marks = contents.pruned.iter().filter(|base| base.number < number);
        for mark in marks {
            self.take(&mark.mark(), 0, window, pruned).await;
        }
        Ok(())
    }

    /// Whether a base was cut off, and nobody goes on with it.
    async fn is_given_up(
        &self,
        contents: &Contents,
        base: &Base,
        window: Window,
    ) -> Result<bool, Error> {
        if base.whole || window.taking {
            return Ok(false);
        }
        let newest = contents
            .bases
            .last()
            .is_some_and(|last| last.name == base.name);
        let Some((number, seq)) = base.segments.first().filter(|_| newest) else {
            return Ok(true);
        };
        let object = base.name.object(BasePart::Segment(*number, *seq));
        let head = self.destination.head(&object, 512).await?;
        let header = head.and_then(|head| crate::Header::read(&head).ok());
        let begun_ms = header.map_or(i64::MIN, |header| header.made_ms);
        Ok(window.now_ms.saturating_sub(begun_ms) > GIVEN_UP_MS)
    }

    async fn lengths(&self) -> Result<HashMap<String, u64>, Error> {
        let mut objects = self.destination.list(name::SEGMENTS).await?;
        objects.extend(self.destination.list(name::BASES).await?);
        Ok(objects
            .into_iter()
            .map(|object| (object.name, object.bytes))
            .collect())
    }
}
