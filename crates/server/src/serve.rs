//! `salus serve`: a server until it is told to stop.
#![allow(
    clippy::print_stdout,
    reason = "addresses and credentials go to standard output"
)]

use tokio::signal::unix::{SignalKind, signal};

use crate::cli::ServeArguments;
use crate::config::Config;
use crate::demo::{self, Demo};
use crate::open::{self, Server};
use crate::telemetry;

/// Runs the server.
pub(crate) fn run(arguments: &ServeArguments) -> Result<(), Box<dyn std::error::Error>> {
    let config = Config::of(arguments)?;
    telemetry::start(&config.log, config.log_json)?;
    open::runtime()?.block_on(serve(arguments, &config))
}

async fn serve(
    arguments: &ServeArguments,
    config: &Config,
) -> Result<(), Box<dyn std::error::Error>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let server = Server::start(config, Some(config.listen)).await?;
    let address = server.address.unwrap_or(config.listen);
    let base = config.base(address);
    let demo = match arguments.demo {
        Some(patients) => Some(demo::prepare(&server.service, patients, arguments.json).await?),
        None => None,
    };
    let link = match &demo {
        None if !server.service.is_set_up().await? => Some(server.service.setup_link().await?),
        _ => None,
    };
    if config.development {
        tracing::warn!("development mode: administrators need no second factor");
    }
    tracing::info!(%address, "ready");
    match (arguments.json, &demo) {
        (true, demo) => println!("{}", ready_line(&base, demo.as_ref())),
        (false, Some(demo)) => print!("{}", demo.welcome(&base)),
        (false, None) => println!("Salus answers at {base}/fhir"),
    }
    if let Some(link) = link {
        // To the terminal of whoever starts it, never to the log.
        eprintln!(
            "There is no administrator yet. This link makes one, once:\n  {base}/setup?link={}",
            link.expose()
        );
    }
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("stopping");
    server.stop().await?;
    tracing::info!("stopped");
    Ok(())
}

/// The one line of `--json`.
fn ready_line(base: &str, demo: Option<&Demo>) -> serde_json::Value {
    let mut line = serde_json::json!({"base": base, "fhir": format!("{base}/fhir")});
    if let Some(demo) = demo {
        line["admin_token"] = demo.admin_token.expose().into();
        line["client_id"] = demo::CLIENT.into();
        line["client_secret"] = demo.client_secret.expose().into();
    }
    line
}
