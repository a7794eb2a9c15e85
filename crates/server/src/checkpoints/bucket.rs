//! Checkpoints in S3: an object for each, made once and never changed, under Object Lock if the
//! place says so. Its name tells its day and how many entries it covers, so that two logs of
//! one name meet at the first object that both want to make.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use salus_archive::{Destination, Put};
use salus_crypto::checkpoint::Note;
use salus_service::Service;
use salus_service::audit::log::Signed;

use super::{Publish, day, hold_against};

const NAMES: &str = "checkpoints/";
/// How far back a start looks for the newest checkpoint, in months.
const MONTHS: i32 = 12;
/// The longest object: a checkpoint with the signatures of some witnesses.
const BYTES_MAX: u64 = 64 << 10;

/// A prefix in a bucket that holds checkpoints.
pub(crate) struct Bucket {
    place: Arc<dyn Destination>,
    last: Option<u64>,
}

impl Bucket {
    pub(crate) fn new(place: Arc<dyn Destination>) -> Self {
        Self { place, last: None }
    }

    async fn add(&mut self, signed: &Signed) -> Result<(), String> {
        let size = signed.checkpoint.size;
        if self.last == Some(size) {
            return Ok(());
        }
        let time_s = signed.checkpoint.time_s().unwrap_or(0);
        if self.last.is_none() {
            self.look_back(size, time_s).await?;
        }
        let name = name(&day(time_s).to_string(), size);
        let text = Bytes::from(signed.note.to_string());
        let put = self.place.put(&name, text).await;
        if put.map_err(|trouble| trouble.to_string())? == Put::Taken {
            self.same(&name, signed).await?;
        }
        self.last = Some(size);
        Ok(())
    }

    /// Says so if the log was longer already when the last checkpoint was kept there.
    async fn look_back(&self, size: u64, time_s: u64) -> Result<(), String> {
        let kept = newest(&*self.place, time_s).await?;
        hold_against(self.place.label(), kept, size);
        Ok(())
    }

    /// One of this size is there: of the same log, if it was signed again after a start.
    async fn same(&self, name: &str, signed: &Signed) -> Result<(), String> {
        let kept = read(&*self.place, name).await?;
        let kept = kept.and_then(|note| note.checkpoint().ok());
        let of_log = |root: [u8; 32]| root == signed.checkpoint.root;
        if !kept.is_some_and(|kept| of_log(kept.root)) {
            let (place, size) = (self.place.label(), signed.checkpoint.size);
            tracing::error!(
                place,
                size,
                "another audit log was kept under this name: the store was rolled back or copied"
            );
        }
        Ok(())
    }
}

impl Publish for Bucket {
    fn name(&self) -> String {
        self.place.label().to_owned()
    }

    fn publish<'a>(
        &'a mut self,
        _service: &'a Service,
        signed: &'a Signed,
    ) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(self.add(signed))
    }
}

fn name(day: &str, size: u64) -> String {
    format!("{NAMES}{day}/{size:020}")
}

/// Day and size of such a name.
fn parse(object: &str) -> Option<(&str, u64)> {
    let (day, size) = object.strip_prefix(NAMES)?.split_once('/')?;
    let size = size.parse().ok()?;
    (name(day, size) == object).then_some((day, size))
}

/// How much the newest checkpoint covers, as names say, of those of the last months.
async fn newest(place: &dyn Destination, time_s: u64) -> Result<Option<u64>, String> {
    let today = day(time_s);
    // One more in front: the clock may have been ahead.
    for back in -1..MONTHS {
        let month = today.saturating_sub(jiff::Span::new().months(back));
        let prefix = format!("{NAMES}{}-", month.strftime("%Y-%m"));
        let listed = place.list(&prefix).await;
        let objects = listed.map_err(|trouble| trouble.to_string())?;
        let sizes = objects.iter().filter_map(|object| parse(&object.name));
        if let Some(size) = sizes.map(|(_, size)| size).max() {
            return Ok(Some(size));
        }
    }
    Ok(None)
}

async fn read(place: &dyn Destination, name: &str) -> Result<Option<Note>, String> {
    let got = place.head(name, BYTES_MAX).await;
    let bytes = got.map_err(|trouble| trouble.to_string())?;
    let text = bytes.and_then(|bytes| String::from_utf8(bytes.to_vec()).ok());
    Ok(text.and_then(|text| Note::parse(&text).ok()))
}

/// Checkpoints of a place, each with where it was, and how many could not be read: the largest
/// of each day, and all of the last one.
pub(crate) async fn read_place(
    place: &dyn Destination,
) -> Result<(Vec<(String, Note)>, u64), String> {
    let listed = place.list(NAMES).await;
    let objects = listed.map_err(|trouble| trouble.to_string())?;
    let mut days: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    for (day, size) in objects.iter().filter_map(|object| parse(&object.name)) {
        days.entry(day).or_default().push(size);
    }
    let last = days.pop_last();
    let largest = days
        .iter()
        .filter_map(|(day, sizes)| Some((*day, *sizes.iter().max()?)));
    let of_last = last
        .iter()
        .flat_map(|(day, sizes)| sizes.iter().map(|size| (*day, *size)));
    let (mut notes, mut unreadable) = (Vec::new(), 0);
    for (day, size) in largest.chain(of_last) {
        let name = name(day, size);
        match read(place, &name).await? {
            Some(note) => notes.push((format!("{}: {name}", place.label()), note)),
            None => unreadable += 1,
        }
    }
    Ok((notes, unreadable))
}

#[cfg(test)]
mod tests {
    use salus_archive::Folder;
    use salus_crypto::SecretKey;
    use salus_crypto::checkpoint::{Checkpoint, Signer};

    use super::*;

    const DAY_S: u64 = 24 * 60 * 60;

    fn signed(size: u64, time_s: u64) -> Signed {
        let signer = Signer::new("log", &SecretKey::from_bytes([1; 32])).unwrap();
        let checkpoint = Checkpoint::new("log", size, [1; 32], time_s);
        let text = checkpoint.text();
        let note = Note::new(text.clone(), signer.sign(&text, time_s));
        Signed { checkpoint, note }
    }

    #[tokio::test]
    async fn each_checkpoint_is_an_object_and_the_newest_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let place: Arc<dyn Destination> = Arc::new(Folder::open(dir.path()));
        assert_eq!(newest(&*place, 0).await, Ok(None));
        let mut bucket = Bucket::new(Arc::clone(&place));
        for (size, day) in [(5, 40), (7, 40), (9, 41), (9, 41), (12, 75)] {
            bucket.add(&signed(size, day * DAY_S)).await.unwrap();
        }
        // Signed again after a start.
        let mut again = Bucket::new(Arc::clone(&place));
        again.add(&signed(12, 75 * DAY_S + 9)).await.unwrap();
        let names = place.list(NAMES).await.unwrap();
        let names: Vec<_> = names.iter().map(|object| &*object.name).collect();
        assert_eq!(names[0], "checkpoints/1970-02-10/00000000000000000005");
        assert_eq!(names.len(), 4);
        for (days, found) in [(75, Some(12)), (200, Some(12)), (900, None)] {
            assert_eq!(newest(&*place, days * DAY_S).await, Ok(found), "{days}");
        }
        let (notes, unreadable) = read_place(&*place).await.unwrap();
        let sizes = notes
            .iter()
            .map(|(_, note)| note.checkpoint().unwrap().size);
        assert_eq!((sizes.collect::<Vec<_>>(), unreadable), (vec![7, 9, 12], 0));
    }
}
