//! Passwords are hashed away from requests, a few at a time: each takes 19 MiB and a core for
//! tens of milliseconds. What waits is bounded, too, so that a burst of sign-ins takes neither the memory
//! nor the time of others: who comes when there is no room is told to come again.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::Service;
use crate::error::{Error, Kind};

/// How many are hashed at once where nobody says how many cores there are.
const AT_ONCE: usize = 2;
/// How many wait for each of these: some two seconds.
const WAITING_EACH: usize = 64;
/// After how long it is worth trying again: half of those that wait have had their turn.
const PAUSE_MS: i64 = 1_000;

/// Where passwords wait to be hashed.
pub(crate) struct Hashing {
    room: Arc<Semaphore>,
    turns: Arc<Semaphore>,
}

/// A place among those that wait.
#[expect(dead_code, reason = "it is only there to be dropped")]
pub(crate) struct Place(OwnedSemaphorePermit);

impl Hashing {
    /// Room for so many at once, and those that wait.
    pub(crate) fn new(at_once: Option<usize>) -> Self {
        let at_once = at_once.unwrap_or(AT_ONCE).max(1);
        Self {
            room: Arc::new(Semaphore::new(at_once * (1 + WAITING_EACH))),
            turns: Arc::new(Semaphore::new(at_once)),
        }
    }
}

impl Service {
    /// A place for a password. To be taken before an attempt is counted: who is sent away has
    /// tried nothing.
    pub(crate) fn place_to_hash(&self) -> Result<Place, Error> {
        let room = Arc::clone(&self.hashing.room);
        room.try_acquire_owned().map(Place).map_err(|_| {
            let told = "too many people sign in just now; try again in a moment";
            Error::throttled(told, PAUSE_MS)
        })
    }

    /// Runs slow hashing when its turn has come. Who goes away meanwhile frees nothing before
    /// the work that they began has ended.
    pub(crate) async fn hash<T: Send + 'static>(
        &self,
        place: Place,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Error> {
        let failed = || Error::new(Kind::Unavailable, "the server is stopping");
        let turns = Arc::clone(&self.hashing.turns);
        let turn = turns.acquire_owned().await.map_err(|_| failed())?;
        let work = move || {
            let _held = (turn, place);
            work()
        };
        tokio::task::spawn_blocking(work)
            .await
            .map_err(|error| failed().caused_by(error))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;
    use crate::accounts::stage::Stage;

    /// Works until it is let go, and notes how many did at most.
    #[derive(Default)]
    struct Watch {
        now: AtomicUsize,
        most: AtomicUsize,
    }

    impl Watch {
        fn work(&self, go: &std::sync::Mutex<mpsc::Receiver<()>>) {
            let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
            self.most.fetch_max(now, Ordering::SeqCst);
            // An error is that the test is over.
            let _ = go.lock().unwrap().recv();
            self.now.fetch_sub(1, Ordering::SeqCst);
        }
    }

    async fn until(met: impl Fn() -> bool) {
        while !met() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    #[tokio::test]
    async fn a_burst_waits_in_its_room_and_holds_up_nobody_else() {
        let stage = Arc::new(Stage::new().await);
        stage.user("ada", |_| {}).await;
        let token = stage.session("ada").await;
        let watch = Arc::new(Watch::default());
        let (let_go, go) = mpsc::channel();
        let go = Arc::new(std::sync::Mutex::new(go));
        let begin = || {
            let (stage, watch) = (Arc::clone(&stage), Arc::clone(&watch));
            let (place, go) = (stage.service.place_to_hash(), Arc::clone(&go));
            place.map(|place| {
                tokio::spawn(async move {
                    let work = move || watch.work(&go);
                    stage.service.hash(place, work).await
                })
            })
        };
        let mut begun = Vec::new();
        for _ in 0..AT_ONCE * (1 + WAITING_EACH) {
            begun.push(begin().unwrap());
        }
        until(|| watch.now.load(Ordering::SeqCst) == AT_ONCE).await;
        let refused = begin().err().unwrap();
        assert_eq!(refused.kind(), Kind::Throttled);
        assert_eq!(refused.retry_after_s(), Some(1));
        // A sign-in that finds no room is no wrong password, and others go on.
        let cx = stage.nobody();
        for _ in 0..20 {
            let password = salus_auth::Secret::new("x".repeat(2000));
            let tried = stage.service.sign_in(&cx, "ada@example.org", password);
            let told = tried.await.unwrap_err();
            assert_eq!(told.retry_after_s(), Some(1), "{told:?}");
        }
        stage.who(&token).await.unwrap();
        // Who waits and goes away leaves a place; who goes away at work leaves none.
        let waiting = begun.split_off(AT_ONCE * 2);
        for task in begun.iter().chain(&waiting) {
            task.abort();
        }
        until(|| begun.iter().chain(&waiting).all(|task| task.is_finished())).await;
        assert_eq!(watch.now.load(Ordering::SeqCst), AT_ONCE);
        let last = begin().unwrap();
        for _ in 0..AT_ONCE {
            let_go.send(()).unwrap();
        }
        let_go.send(()).unwrap();
        last.await.unwrap().unwrap();
        assert_eq!(watch.most.load(Ordering::SeqCst), AT_ONCE);
    }
}
