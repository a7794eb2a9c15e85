//! Logs to standard error: text for people, JSON lines for collectors.

use tracing_subscriber::EnvFilter;

/// Starts logging; a level that cannot be understood is an error.
pub(crate) fn start(level: &str, json: bool) -> Result<(), String> {
    let filter = EnvFilter::try_new(format!("warn,salus={level}"))
        .map_err(|_| format!("the log level is error, warn, info or debug, not {level}"))?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_target(false)
        .with_writer(std::io::stderr);
    let started = if json {
        log.json().flatten_event(true).try_init()
    } else {
        log.with_ansi(false).try_init()
    };
    started.map_err(|error| error.to_string())
}
