//! Logs to standard error: text for people, JSON lines for collectors.

use tracing::Level;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Starts logging; a level that cannot be understood is an error.
pub(crate) fn start(level: &str, json: bool) -> Result<(), String> {
    let filter = filter(level)?;
    let log = tracing_subscriber::fmt()
        .with_max_level(LevelFilter::TRACE)
        .with_target(false)
        .with_writer(std::io::stderr);
    let started = if json {
        let log = log.json().flatten_event(true).finish();
        log.with(filter).try_init()
    } else {
        log.with_ansi(false).finish().with(filter).try_init()
    };
    started.map_err(|error| error.to_string())
}

/// Our own events from this level on, those of libraries from warnings on.
fn filter(level: &str) -> Result<Targets, String> {
    let level: Level = level
        .parse()
        .map_err(|_| format!("the log level is error, warn, info or debug, not {level}"))?;
    let libraries = Targets::new().with_default(Level::WARN);
    Ok(libraries.with_target("salus", level))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(level: &str, target: &str, at: Level, seen: bool) {
        let filter = filter(level).unwrap();
        assert_eq!(filter.would_enable(target, &at), seen);
    }

    #[test]
    fn libraries_only_warn() {
        check("debug", "salus_service::fhir", Level::DEBUG, true);
        check("info", "salus_service::fhir", Level::DEBUG, false);
        check("debug", "hyper::proto", Level::INFO, false);
        check("error", "hyper::proto", Level::WARN, true);
    }

    #[test]
    fn a_level_is_one_word() {
        for level in ["", "loud", "info,hyper=trace"] {
            assert!(filter(level).is_err(), "{level}");
        }
    }
}
