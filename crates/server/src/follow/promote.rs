//! Promotion: the fence first, then all that the archive still has, then the next segment, which
//! the standby makes itself. Its name can be made once: from then on the old primary, whatever it
//! knows, ships nothing more.

use std::time::{Duration, Instant};

use salus_archive::Fence;
use salus_service::context::World as _;
use salus_service::instant;
use salus_service::restored::following::promotion;
use salus_store::{Following as _, Log as _};
use serde_json::{Value, json};

use super::progress::Phase;
use super::standby::{Standby, Stepped};
use super::{Failure, STANDBY};
use crate::fencing::Generation;
use crate::open::Machine;

/// How long keys are waited for that the log names.
const KEYS_MAX: Duration = Duration::from_secs(30);
/// How long it catches up before the fence is written.
const CATCH_UP_MAX: Duration = Duration::from_secs(60);
/// How often the next segment may be another's: the old primary looks at the fence before each.
const TRIES: usize = 100;

/// Promotes a standby, and says where it stands.
pub(super) async fn promote(standby: &mut Standby, wait: Duration) -> Result<Value, Failure> {
    standby.progress.set(Phase::Promoting);
    catch_up(standby, Some(CATCH_UP_MAX)).await?;
    let fence = fence(standby).await?;
    tokio::time::sleep(wait).await;
    standby.tail.look_again();
    let last = claim(standby, &fence).await?;
    standby.bring_unnamed().await?;
    standby.lay_again().await?;
    Generation::of(&fence).write(&standby.data)?;
    let mark = standby.data.join(STANDBY);
    std::fs::remove_file(&mark)?;
    std::fs::File::open(&standby.data)?.sync_all()?;
    Ok(json!({
        "promoted": fence.number,
        "seq": last.seq,
        "time": last.time,
        "fencedAt": instant(fence.time_ms),
        "fenceSeq": fence.seq.0,
    }))
}

/// The end of what came from the old primary.
struct Last {
    seq: u64,
    time: Value,
}

/// Writes the next fence. One that this standby has written before, and was cut off, is its own.
async fn fence(standby: &mut Standby) -> Result<Fence, Failure> {
    let fences = standby.archive.fences().await?;
    if let Some((number, id)) = standby.state.promoting
        && let Some(own) = fences.iter().find(|fence| fence.id == id)
    {
        if fences.iter().any(|fence| fence.number > number) {
            return Err("another standby was promoted since; this one was not".into());
        }
        return Ok(own.clone());
    }
    let number = fences.last().map_or(0, |fence| fence.number) + 1;
    let mut id = [0; 16];
    Machine.random(&mut id);
    let fence = Fence {
        number,
        id,
        time_ms: Machine.now_ms(),
        seq: standby.engine.head().await?.seq,
        who: machine(),
    };
    standby.state.promoting = Some((number, id));
    standby.state.write(&standby.data)?;
    match standby.archive.put_fence(&fence).await? {
        true => Ok(fence),
        false => Err("another standby is being promoted: this one was later and stays one".into()),
    }
}

/// Takes what is there, and makes the next segment: a note for the audit.
async fn claim(standby: &mut Standby, fence: &Fence) -> Result<Last, Failure> {
    for _ in 0..TRIES {
        catch_up(standby, None).await?;
        let head = standby.engine.head().await?;
        let time = standby.progress.json()["time"].clone();
        let end = standby.tail.end().cloned();
        let end = end.ok_or("the end of the archive is not known")?;
        let now_ms = Machine.now_ms();
        let note = promotion(now_ms, fence.number, head.seq);
        let draft = standby.engine.draft(note).await?;
        let about = (standby.key_slots(), now_ms);
        if standby.archive.claim(&end, &[draft], about).await? {
            standby.tail.look_again();
            catch_up(standby, None).await?;
            return Ok(Last {
                seq: head.seq.0,
                time,
            });
        }
        // Another segment came first: all that is in it counts.
        standby.tail.look_again();
    }
    Err("the old primary ships on, though it is fenced; stop it and promote again".into())
}

/// Takes all that the archive has.
async fn catch_up(standby: &mut Standby, within: Option<Duration>) -> Result<(), Failure> {
    let begun = Instant::now();
    loop {
        match standby.step().await.map_err(told)? {
            Stepped::Idle => return Ok(()),
            Stepped::Done if within.is_some_and(|within| begun.elapsed() > within) => return Ok(()),
            Stepped::Done => {}
            Stepped::LacksKeys if begun.elapsed() < KEYS_MAX => {
                tokio::time::sleep(super::KEYS_AGAIN).await;
            }
            Stepped::LacksKeys => {
                return Err(
                    "the copy of the keys is older than the archive: renew it first".into(),
                );
            }
            Stepped::Reopen => return Err("the root key has changed; promote again".into()),
        }
    }
}

fn told(error: Failure) -> Failure {
    if let Some(salus_archive::Error::Fault(fault)) = error.downcast_ref() {
        return format!(
            "{fault}; a standby is promoted at the end of the archive only. What is before the \
             fault is had by `salus restore`, into a folder that ships to an archive of its own"
        )
        .into();
    }
    error
}

/// What this machine is called, for who reads the fence.
fn machine() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name: String = name
        .trim()
        .chars()
        .filter(|c| c.is_ascii_graphic())
        .take(64)
        .collect();
    match name.is_empty() {
        true => "unnamed".into(),
        false => name,
    }
}
