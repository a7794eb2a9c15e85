//! `salus drill status`: when drills were run and how they ended.

use std::time::Duration;

use salus_service::context::World;
use serde_json::{Value, json};

use super::kept::Kept;
use super::live::Live;
use super::record::Last;
use super::{Failure, record, report};
use crate::config::Config;
use crate::open::Machine;

/// What is known of drills: by the server on the folder, or by the reports in it.
pub(super) async fn status(config: &Config, every: Option<Duration>) -> Result<Value, Failure> {
    let asked = match Live::of(&config.data).await {
        Some(live) => Some(live.status().await?),
        None => None,
    };
    let mut status = asked.unwrap_or_else(|| {
        let every = config.drill.every.map(|every| every.as_secs());
        let archives: Vec<String> = super::archives(config).into_keys().collect();
        json!({"everySeconds": every, "archives": archives, "broken": false,
            "drills": Kept::of(&config.data).all()})
    });
    if let Some(every) = every {
        status["everySeconds"] = every.as_secs().into();
    }
    if status["overdue"].is_null() || every.is_some() {
        status["overdue"] = is_overdue(&status).into();
    }
    Ok(status)
}

/// How the last drill ended of each archive that is to be drilled, or of each that was, if none
/// are said.
fn last(status: &Value) -> Vec<(String, Option<Last>)> {
    let drills = status["drills"].as_array().into_iter().flatten();
    let last = record::last(drills.cloned());
    let archives = status["archives"].as_array().into_iter().flatten();
    let archives = archives.filter_map(|archive| archive.as_str().map(str::to_owned));
    let wanted: Vec<_> = archives
        .map(|archive| (archive.clone(), last.get(&archive).copied()))
        .collect();
    match wanted.is_empty() {
        true => last
            .into_iter()
            .map(|(of, last)| (of, Some(last)))
            .collect(),
        false => wanted,
    }
}

/// Where none was ever run, one is due that should be run at all.
fn is_overdue(status: &Value) -> bool {
    let Some(every) = status["everySeconds"].as_u64() else {
        return false;
    };
    let late = |last: Option<Last>| {
        last.is_none_or(|(last_ms, _)| {
            record::is_overdue(Duration::from_secs(every), last_ms, Machine.now_ms())
        })
    };
    let last = last(status);
    last.is_empty() || last.into_iter().any(|(_, last)| late(last))
}

/// A line for each drill.
pub(super) fn text(status: &Value) -> String {
    let row = |cells: [&str; 7]| {
        let [when, took, rto, rpo, outcome, archive, checks] = cells;
        let line =
            format!("{when:<26}{took:>9}{rto:>12}{rpo:>12}  {outcome:<9}{archive:<24}{checks}");
        format!("{}\n", line.trim_end())
    };
    let drills = status["drills"].as_array().into_iter().flatten();
    let rows = drills.map(|said| {
        let seconds = |text: &Value| {
            text.as_f64()
                .map_or("-".to_owned(), |s| format!("{s:.1} s"))
        };
        let time = |of: &Value| {
            let missed = if of["met"] == true { "" } else { " !" };
            format!("{}{missed}", seconds(&of["seconds"]))
        };
        row([
            said["ended"].as_str().unwrap_or("-"),
            &took(said).map_or("-".to_owned(), |took| format!("{took:.1} s")),
            &time(&said["rto"]),
            &time(&said["rpo"]),
            said["outcome"].as_str().unwrap_or("-"),
            &format!("{} ", said["archive"].as_str().unwrap_or("-")),
            &report::failed(said).join(", "),
        ])
    });
    let rows: Vec<_> = rows.collect();
    let mut text = match rows.is_empty() {
        true => "no drill was run yet\n".to_owned(),
        false => row(["ended", "took", "rto", "rpo", "outcome", "archive", ""]) + &rows.concat(),
    };
    match (status["overdue"] == true, status["everySeconds"].as_u64()) {
        (true, Some(every)) => {
            text.push_str(&format!(
                "OVERDUE: one has to be run every {}\n",
                days(every)
            ));
        }
        (_, Some(every)) => text.push_str(&format!("one has to be run every {}\n", days(every))),
        (_, None) => {}
    }
    if status["broken"] == true {
        text.push_str("the last one could not be carried out: the server's log says why\n");
    }
    text
}

fn days(seconds: u64) -> String {
    match seconds % 86_400 {
        0 if seconds == 86_400 => "day".to_owned(),
        0 => format!("{} days", seconds / 86_400),
        _ => format!("{seconds} s"),
    }
}

fn took(said: &Value) -> Option<f64> {
    let time = |name: &str| said[name].as_str()?.parse::<jiff::Timestamp>().ok();
    let (begun, ended) = (time("begun")?, time("ended")?);
    Some((ended.as_millisecond() - begun.as_millisecond()) as f64 / 1000.0)
}

/// An error if the last drill of an archive failed or the next is overdue.
pub(super) fn judge(status: &Value) -> Result<(), Failure> {
    if status["overdue"] == true {
        return Err("a drill is overdue".into());
    }
    let failed = |last: Option<Last>| last.is_some_and(|(_, passed)| !passed);
    if let Some((archive, _)) = last(status).into_iter().find(|(_, last)| failed(*last)) {
        return Err(format!("the last drill of {archive} failed").into());
    }
    match status["broken"] == true {
        true => Err("the last drill could not be carried out".into()),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_drill_has_a_line() {
        let drill = |outcome: &str| {
            json!({"begun": "2026-11-23T12:00:00Z", "ended": "2026-11-23T12:00:12.5Z",
                "outcome": outcome, "archive": "/backup/salus", "rto": {"seconds": 11.25, "met": true},
                "rpo": {"seconds": 9, "met": false},
                "checks": [{"name": "rpo", "outcome": outcome}]})
        };
        let mut status = json!({"everySeconds": 2_592_000, "overdue": false, "broken": false,
            "drills": [drill("failed"), drill("passed")]});
        let lines = "\
ended                          took         rto         rpo  outcome  archive
2026-11-23T12:00:12.5Z       12.5 s      11.2 s     9.0 s !  failed   /backup/salus           rpo
2026-11-23T12:00:12.5Z       12.5 s      11.2 s     9.0 s !  passed   /backup/salus
one has to be run every 30 days
";
        assert_eq!(text(&status), lines);
        assert!(judge(&status).is_err());
        status["drills"] = json!([drill("passed")]);
        assert!(judge(&status).is_ok());
        let mut other = drill("failed");
        other["archive"] = "s3://bucket".into();
        status["drills"] = json!([drill("passed"), other]);
        let failed = judge(&status).unwrap_err().to_string();
        assert!(failed.contains("s3://bucket"), "{failed}");
        // One that is not shipped to any more.
        status["archives"] = json!(["/backup/salus"]);
        assert!(judge(&status).is_ok());
        status["everySeconds"] = 1.into();
        assert!(is_overdue(&status));
        status["overdue"] = true.into();
        assert!(judge(&status).is_err());
        assert!(text(&status).contains("OVERDUE"));
        assert_eq!(text(&json!({"drills": []})), "no drill was run yet\n");
    }
}
