//! What the operator wants of drills: how often, and within which times.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use crate::span;

/// Targets of projects that the report tells one by one, at most.
const PROJECTS_MAX: usize = 1000;

/// About drills, as the server and the command read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    /// How often one has to be run; never by itself without it.
    pub(crate) every: Option<Duration>,
    /// Where the server restores to, if not into the data folder.
    pub(crate) to: Option<PathBuf>,
    /// What holds where a project wants nothing else.
    pub(crate) targets: Targets,
    /// Of projects, by their names in URLs.
    pub(crate) projects: BTreeMap<String, Targets>,
    /// The configuration file that was named, for the server's own drills.
    pub(crate) file: Option<PathBuf>,
}

/// Within which times a store has to be there again, and how much of it may be lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Targets {
    /// The recovery time objective.
    pub(crate) rto: Duration,
    /// The recovery point objective.
    pub(crate) rpo: Duration,
}

impl Targets {
    /// Those of an operator who says nothing.
    const USUAL: Self = Self {
        rto: Duration::from_secs(60 * 60),
        rpo: Duration::from_secs(5),
    };
}

/// `[drill]` of the configuration file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct File {
    every: Option<String>,
    to: Option<PathBuf>,
    rto: Option<String>,
    rpo: Option<String>,
    projects: BTreeMap<String, OfProject>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct OfProject {
    rto: Option<String>,
    rpo: Option<String>,
}

/// A setting that cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("{0} of drills is a number with ms, s, m, h or d behind it, as 30d, and {1:?} is none")]
    Time(&'static str, String),
    #[error("--drill-every needs an archive to restore: give --archive")]
    NoArchive,
    #[error("[drill.projects] names more than 1000 projects")]
    Projects,
}

impl Settings {
    /// `every` comes before what the file says.
    pub(crate) fn of(
        every: Option<String>,
        config: Option<PathBuf>,
        file: File,
    ) -> Result<Self, Error> {
        if file.projects.len() > PROJECTS_MAX {
            return Err(Error::Projects);
        }
        let every = every.or(file.every);
        let targets = Targets {
            rto: time("rto", file.rto)?.unwrap_or(Targets::USUAL.rto),
            rpo: time("rpo", file.rpo)?.unwrap_or(Targets::USUAL.rpo),
        };
        let mut projects = BTreeMap::new();
        for (slug, of) in file.projects {
            let of = Targets {
                rto: time("rto", of.rto)?.unwrap_or(targets.rto),
                rpo: time("rpo", of.rpo)?.unwrap_or(targets.rpo),
            };
            projects.insert(slug, of);
        }
        Ok(Self {
            every: time("every", every)?,
            to: file.to,
            targets,
            projects,
            file: config,
        })
    }

    /// That a server which is to run drills has something to restore.
    pub(crate) fn with_archives(self, archives: &[String]) -> Result<Self, Error> {
        match self.every.is_some() && archives.is_empty() {
            true => Err(Error::NoArchive),
            false => Ok(self),
        }
    }
}

fn time(name: &'static str, text: Option<String>) -> Result<Option<Duration>, Error> {
    let Some(text) = text else { return Ok(None) };
    match duration(&text) {
        Ok(duration) => Ok(Some(duration)),
        Err(_) => Err(Error::Time(name, text)),
    }
}

/// Ten years.
const MS_MAX: u64 = 3650 * span::DAY.1;

/// Reads `30d`, `1h`, `15m`, `5s` and `500ms`, up to ten years.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    use span::{DAY, HOUR, MILLISECOND, MINUTE, SECOND};
    match span::read(text, &[MILLISECOND, SECOND, MINUTE, HOUR, DAY]) {
        Some(ms @ 1..=MS_MAX) => Ok(Duration::from_millis(ms)),
        Some(_) | None => Err("a number with ms, s, m, h or d behind it, as 30d".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_a_unit() {
        let seconds = |text| duration(text).map(|duration| duration.as_secs());
        assert_eq!(seconds("5s"), Ok(5));
        assert_eq!(seconds("15m"), Ok(900));
        assert_eq!(seconds("1h"), Ok(3600));
        assert_eq!(seconds("30d"), Ok(2_592_000));
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        for wrong in [
            "", "5", "s", "-5s", "+5s", "5.5s", "5 s", "0s", "4000d", "5ß", "ms",
        ] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
        assert!(seconds("99999999999999999999s").is_err());
        assert!(seconds("9999999999999999999d").is_err());
    }

    #[test]
    fn a_project_has_targets_of_its_own() {
        let file = r#"every = "30d"
            rpo = "10s"
            [projects.ward]
            rto = "15m""#;
        let settings = Settings::of(None, None, toml::from_str(file).unwrap()).unwrap();
        let seconds = |targets: &Targets| (targets.rto.as_secs(), targets.rpo.as_secs());
        assert_eq!(seconds(&settings.targets), (3600, 10));
        assert_eq!(seconds(&settings.projects["ward"]), (900, 10));
        let file: File = toml::from_str(file).unwrap();
        let sooner = Settings::of(Some("1d".into()), None, file).unwrap();
        assert_eq!(sooner.every, Some(Duration::from_secs(86_400)));
        assert!(sooner.clone().with_archives(&[]).is_err());
        assert!(sooner.with_archives(&["/a".into()]).is_ok());
        let wrong: File = toml::from_str(r#"every = "monthly""#).unwrap();
        assert!(Settings::of(None, None, wrong).is_err());
    }
}
