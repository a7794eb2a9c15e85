//! `salus follow`: a warm standby from the archive, its promotion, and what a fenced store has
//! alone (docs/standby.md).
//!
//! A standby is a data folder that nobody serves: the file `standby` in it says so. What runs on it
//! answers the operator on the folder's own socket, and health and metrics if it is told to.
#![allow(clippy::print_stdout, reason = "reports go to standard output")]

mod arguments;
mod difference;
mod keys;
mod listening;
mod progress;
mod promote;
mod standby;
mod state;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot};

use arguments::FollowCommand;
pub(crate) use arguments::{EXAMPLES, FollowArguments};
pub(crate) use difference::difference;
use progress::{Phase, Progress};
use standby::{Standby, Stepped};
pub(crate) use state::STANDBY;
use state::State;

use crate::cli::Place;
use crate::control::{self, Client};
use crate::{backup, open, telemetry};

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// How often the archive is looked at when nothing came, at first and at most.
const POLL: (Duration, Duration) = (Duration::from_millis(200), Duration::from_millis(800));
/// The longest wait after a failure.
const RETRY_MAX: Duration = Duration::from_secs(10);
/// How often keys are looked for that are needed.
const KEYS_AGAIN: Duration = Duration::from_millis(500);

/// The standby has to be opened anew: the root key of the primary changed.
#[derive(Debug, thiserror::Error)]
#[error("the root key has changed")]
struct Reopen;

/// Asks what follows to promote, and waits so long behind the fence.
struct Promote {
    wait: Duration,
    answer: oneshot::Sender<Result<Value, String>>,
}

/// Runs the command.
pub(crate) fn run(arguments: &FollowArguments) -> Result<(), Box<dyn std::error::Error>> {
    let done = match &arguments.command {
        None => follow(arguments),
        Some(FollowCommand::Status) => status(arguments),
        Some(FollowCommand::Promote { wait }) => promoted(arguments, Duration::from_secs(*wait)),
        Some(FollowCommand::Difference { archive }) => differ(arguments, archive.as_deref()),
    };
    done.map_err(|error| -> Box<dyn std::error::Error> { error })
}

/// Follows until it is told to stop, or is promoted.
fn follow(arguments: &FollowArguments) -> Result<(), Failure> {
    telemetry::start("info", false)?;
    if let Some(address) = arguments
        .listen
        .filter(|address| !address.ip().is_loopback())
    {
        return Err(format!(
            "{address} is not on loopback: --listen has no TLS; put a proxy in front of it"
        )
        .into());
    }
    let state = State::open(arguments)?;
    let data = &arguments.data;
    let _lock = state::lock(data)?;
    open::runtime()?.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let progress = Arc::new(Progress::of(&state.from));
        let (ask, mut asked) = mpsc::channel(1);
        let listening = listening::Listening::start(data, arguments.listen, &progress, ask).await?;
        if let Some(address) = listening.address {
            println!(
                "{}",
                json!({"health": format!("http://{address}/health/ready")})
            );
        }
        let done = tokio::select! {
            done = keep(data, state, &progress, &mut asked) => done,
            _ = terminate.recv() => Ok(()),
            _ = interrupt.recv() => Ok(()),
        };
        listening.stop().await;
        done
    })
}

/// Follows, opening the standby anew when that is needed; ends when it is promoted.
async fn keep(
    data: &Path,
    mut state: State,
    progress: &Arc<Progress>,
    asked: &mut mpsc::Receiver<Promote>,
) -> Result<(), Failure> {
    let mut wait = KEYS_AGAIN;
    loop {
        match Standby::open(data, state.clone(), progress).await {
            Ok(mut standby) => {
                let ended = work(&mut standby, asked).await;
                state = standby.state.clone();
                // Behind what was committed, nothing has to be written any more.
                standby.close().await?;
                match ended? {
                    Ended::Promoted(answer, done) => {
                        // The folder is free when who asked hears of it; the socket there is
                        // the next server's then.
                        let _ = std::fs::remove_file(control::path(data));
                        let _ = answer.send(Ok(done));
                        return Ok(());
                    }
                    Ended::Reopen => keys::Keys::copy_anew(data, &state)?,
                }
            }
            Err(error) if error.is::<Reopen>() => keys::Keys::copy_anew(data, &state)?,
            Err(error) if is_passing(&*error) => {
                tracing::warn!(%error, "the standby cannot be restored just now");
                progress.failing(error.to_string());
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(RETRY_MAX);
            }
            Err(error) => return Err(error),
        }
    }
}

enum Ended {
    /// With who is to be told what.
    Promoted(oneshot::Sender<Result<Value, String>>, Value),
    Reopen,
}

/// Takes what comes, until it is promoted.
async fn work(
    standby: &mut Standby,
    asked: &mut mpsc::Receiver<Promote>,
) -> Result<Ended, Failure> {
    let (mut poll, mut retry) = (POLL.0, KEYS_AGAIN);
    let mut complained = String::new();
    let mut wanted = None;
    loop {
        if let Some(Promote { wait, answer }) = wanted.take().or_else(|| asked.try_recv().ok()) {
            match promote::promote(standby, wait).await {
                Ok(done) => return Ok(Ended::Promoted(answer, done)),
                // Who asked may have gone.
                Err(error) => drop(answer.send(Err(error.to_string()))),
            }
            standby.progress.set(Phase::Following);
        }
        let pause = match standby.step().await {
            Ok(Stepped::Done) => {
                (poll, retry) = (POLL.0, KEYS_AGAIN);
                complained.clear();
                continue;
            }
            Ok(Stepped::Reopen) => return Ok(Ended::Reopen),
            Ok(Stepped::Idle) => {
                standby.lay_again().await?;
                let pause = poll;
                poll = (poll * 2).min(POLL.1);
                pause
            }
            Ok(Stepped::LacksKeys) => {
                if complained != "keys" {
                    tracing::warn!("the copy of the keys is older than the archive: renew it");
                    complained = "keys".to_owned();
                }
                standby.progress.set(Phase::WaitingForKeys);
                KEYS_AGAIN
            }
            Err(error) if is_passing(&*error) => {
                let reason = error.to_string();
                if complained != reason {
                    tracing::error!(%reason, "the standby cannot follow; it tries again");
                    complained.clone_from(&reason);
                }
                if let Some(salus_archive::Error::Fault(fault)) = error.downcast_ref() {
                    standby.progress.fault(fault.to_string());
                }
                standby.progress.failing(reason);
                retry = (retry * 2).min(RETRY_MAX);
                retry
            }
            Err(error) => return Err(error),
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            Some(promote) = asked.recv() => wanted = Some(promote),
        }
    }
}

/// Whether trying again may help: not when the archive is another's.
fn is_passing(error: &(dyn std::error::Error + 'static)) -> bool {
    if let Some(error) = error.downcast_ref::<salus_archive::Error>() {
        return match error {
            salus_archive::Error::Elsewhere(_)
            | salus_archive::Error::Pruned(_)
            | salus_archive::Error::TooLong(_) => false,
            salus_archive::Error::Fault(fault) => fault.what != salus_archive::What::Foreign,
            salus_archive::Error::Destination(_)
            | salus_archive::Error::Keys(_)
            | salus_archive::Error::Store(_) => true,
        };
    }
    // A copy of the keys that is being renewed.
    error.is::<salus_crypto::Error>()
}

/// Shows how far a standby is; the one that runs is asked.
fn status(arguments: &FollowArguments) -> Result<(), Failure> {
    let state = State::existing(&arguments.data)?;
    open::runtime()?.block_on(async {
        let answer = match Client::connect(&arguments.data).await {
            Ok(client) => ask(client, Method::GET, "/operator/follow").await?,
            Err(_) => json!({
                "state": match state.revision {
                    0 => "not restored",
                    _ => "stopped",
                },
                "from": state.from,
            }),
        };
        show(arguments, &answer);
        Ok(())
    })
}

/// Promotes a standby; the one that runs is asked.
fn promoted(arguments: &FollowArguments, wait: Duration) -> Result<(), Failure> {
    let mut state = State::existing(&arguments.data)?;
    let data = &arguments.data;
    open::runtime()?.block_on(async {
        let answer = match Client::connect(data).await {
            Ok(client) => {
                let path = format!("/operator/follow/promote?wait={}", wait.as_secs());
                ask(client, Method::POST, &path).await?
            }
            Err(_) => {
                let _lock = state::lock(data)?;
                if let Some(keys) = &arguments.keys {
                    state.keys.clone_from(keys);
                }
                let progress = Arc::new(Progress::of(&state.from));
                let mut standby = Standby::open(data, state, &progress).await?;
                let done = promote::promote(&mut standby, wait).await;
                standby.close().await?;
                done?
            }
        };
        show(arguments, &answer);
        if !arguments.json {
            println!(
                "What the old server acknowledged and did not ship before the fence is not here; `salus follow\n\
                 difference` on its folder lists it. Start this one: salus serve --data {} --archive …",
                data.display()
            );
        }
        Ok(())
    })
}

/// Lists what a fenced store has alone; a server that runs on it is asked.
fn differ(arguments: &FollowArguments, archive: Option<&[String]>) -> Result<(), Failure> {
    let place = Place {
        data: Some(arguments.data.clone()),
        keys: arguments.keys.clone(),
        root_key: arguments.root_key.clone(),
        config: None,
    };
    let (mut config, runtime) = open::existing(&place).map_err(|error| error.to_string())?;
    if let Some(archive) = archive {
        config.archive.to = archive.to_vec();
    }
    runtime.block_on(async {
        let answer = match Client::connect(&config.data).await {
            Ok(client) => ask(client, Method::GET, "/operator/follow/difference").await?,
            Err(_) => {
                let (keyring, engine) = open::store(&config).await?;
                let mut answers = Vec::new();
                for text in &config.archive.to {
                    let archive = backup::open_one(text, &config.archive, &keyring)?;
                    answers.push(difference(&config.data, &*engine, &archive).await?);
                }
                salus_store::Store::close(&*engine).await?;
                json!({"archives": answers})
            }
        };
        let answers = answer["archives"].as_array().cloned().unwrap_or_default();
        if answers.is_empty() {
            return Err("no archive is given: --archive DIR or s3://BUCKET/PREFIX".into());
        }
        match arguments.json {
            true => println!("{answer}"),
            false => answers
                .iter()
                .for_each(|answer| print!("{}", difference::text(answer))),
        }
        Ok(())
    })
}

async fn ask(mut client: Client, method: Method, path: &str) -> Result<Value, Failure> {
    let answer = client.send(method, path, None, Bytes::new()).await?;
    let body = control::answered("it", answer)?;
    Ok(serde_json::from_slice(&body).unwrap_or_default())
}

fn show(arguments: &FollowArguments, answer: &Value) {
    match arguments.json {
        true => println!("{answer}"),
        false => print!("{}", difference::text(answer)),
    }
}
