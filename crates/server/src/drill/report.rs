//! The report of a drill: what was restored, what was checked, within what time, and who ran it.
//! It holds no ids of records and nothing of their content.

use std::fmt::Write;

use salus_service::instant;
use serde_json::{Value, json};

use super::checks::{Check, Outcome};
use super::settings::{Settings, Targets};

/// What was measured.
#[derive(Clone, Debug, Default)]
pub(super) struct Measured {
    /// Each step until a store could answer, in seconds.
    pub(super) steps: Vec<(&'static str, f64)>,
    /// How much would have been lost, in seconds.
    pub(super) lost: f64,
}

impl Measured {
    pub(super) fn recovery(&self) -> f64 {
        self.steps.iter().map(|(_, seconds)| seconds).sum()
    }

    /// The checks of both times against the targets of the operator and of projects.
    pub(super) fn checks(&self, settings: &Settings) -> [Check; 2] {
        let (mut rto, mut rpo) = (Vec::new(), Vec::new());
        let all = settings.projects.iter();
        let all = all.map(|(slug, targets)| (format!("the target of {slug}"), targets));
        for (whose, targets) in
            std::iter::once(("the target".to_owned(), &settings.targets)).chain(all)
        {
            let (recovery, lost) = (self.recovery(), self.lost);
            if recovery > targets.rto.as_secs_f64() {
                let target = targets.rto.as_secs_f64();
                rto.push(format!(
                    "it took {recovery:.3} s, and {whose} is {target} s"
                ));
            }
            if lost > targets.rpo.as_secs_f64() {
                let target = targets.rpo.as_secs_f64();
                rpo.push(format!(
                    "{lost:.3} s would have been lost, and {whose} is {target} s"
                ));
            }
        }
        [Check::of("rto", rto), Check::of("rpo", rpo)]
    }

    pub(super) fn json(&self, settings: &Settings) -> (Value, Value) {
        let steps = self.steps.iter();
        let steps = steps.map(|(name, seconds)| ((*name).to_owned(), round(*seconds).into()));
        let of = |target: fn(&Targets) -> f64, measured: f64| {
            let all = settings.projects.iter();
            let projects = all.map(|(slug, targets)| {
                let met = measured <= target(targets);
                let of = json!({"targetSeconds": target(targets), "met": met});
                (slug.clone(), of)
            });
            let target = target(&settings.targets);
            json!({
                "seconds": round(measured),
                "targetSeconds": target,
                "met": measured <= target,
                "projects": projects.collect::<serde_json::Map<_, _>>(),
            })
        };
        let mut rto = of(|targets| targets.rto.as_secs_f64(), self.recovery());
        rto["steps"] = Value::Object(steps.collect());
        (rto, of(|targets| targets.rpo.as_secs_f64(), self.lost))
    }
}

/// To the millisecond.
fn round(seconds: f64) -> f64 {
    (seconds * 1000.0).round() / 1000.0
}

/// All that a report says beside checks and times.
pub(super) struct Said {
    pub(super) begun_ms: i64,
    pub(super) ended_ms: i64,
    /// Who ran it, and how.
    pub(super) by: Value,
    /// What the archive is called.
    pub(super) archive: String,
    pub(super) restored: Value,
    pub(super) against: &'static str,
    pub(super) counts: Value,
    pub(super) samples: Value,
}

/// The report.
pub(super) fn report(
    said: Said,
    checks: &[Check],
    measured: &Measured,
    settings: &Settings,
) -> Value {
    let failed = checks.iter().any(|check| check.outcome == Outcome::Failed);
    let (rto, rpo) = measured.json(settings);
    let checks: Vec<_> = checks.iter().map(Check::json).collect();
    json!({
        "version": 1,
        "outcome": if failed { "failed" } else { "passed" },
        "begun": instant(said.begun_ms),
        "ended": instant(said.ended_ms),
        "by": said.by,
        "build": env!("CARGO_PKG_VERSION"),
        "archive": said.archive,
        "restored": said.restored,
        "comparedWith": said.against,
        "counts": said.counts,
        "samples": said.samples,
        "checks": checks,
        "rto": rto,
        "rpo": rpo,
    })
}

/// Whether a report says that all is well.
pub(super) fn passed(said: &Value) -> bool {
    said["outcome"] == "passed"
}

/// The names of checks that failed.
pub(super) fn failed(said: &Value) -> Vec<&str> {
    let checks = said["checks"].as_array().into_iter().flatten();
    let failed = checks.filter(|check| check["outcome"] == "failed");
    failed.filter_map(|check| check["name"].as_str()).collect()
}

/// A report for people.
pub(super) fn text(said: &Value) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{name:<14}{value}");
    };
    let word = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    line("archive", &word(&said["archive"]));
    let restored = &said["restored"];
    let upto = format!("{}, seq {}", word(&restored["time"]), restored["seq"]);
    line("restored to", &upto);
    let held = format!(
        "{} records, {} versions, {} audit entries, {} blobs",
        restored["records"], restored["versions"], restored["auditSize"], restored["blobs"]
    );
    line("holds", &held);
    line("compared with", &word(&said["comparedWith"]));
    for (name, of) in [("rto", &said["rto"]), ("rpo", &said["rpo"])] {
        let met = if of["met"] == true { "met" } else { "MISSED" };
        let times = format!("{} s of {} s, {met}", of["seconds"], of["targetSeconds"]);
        line(name, &times);
    }
    for check in said["checks"].as_array().into_iter().flatten() {
        let name = word(&check["name"]);
        line(&name, &word(&check["outcome"]).replace("failed", "FAILED"));
        for one in check["said"].as_array().into_iter().flatten() {
            line("", &format!("  {}", word(one)));
        }
        if let Some(more @ 1..) = check["more"].as_u64() {
            line("", &format!("  and {more} more"));
        }
    }
    line("outcome", &word(&said["outcome"]));
    text
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn settings() -> Settings {
        let seconds = |rto, rpo| Targets {
            rto: Duration::from_secs(rto),
            rpo: Duration::from_secs(rpo),
        };
        Settings {
            every: None,
            to: None,
            targets: seconds(100, 5),
            projects: [("ward".to_owned(), seconds(10, 5))].into(),
            file: None,
        }
    }

    #[test]
    fn each_target_that_is_missed_is_named() {
        let measured = Measured {
            steps: vec![("log", 6.0), ("records", 6.5)],
            lost: 7.0,
        };
        let [rto, rpo] = measured.checks(&settings());
        assert_eq!(
            rto.said,
            ["it took 12.500 s, and the target of ward is 10 s"]
        );
        assert_eq!(rpo.said.len(), 2);
        let (rto, rpo) = measured.json(&settings());
        assert_eq!((&rto["met"], &rpo["met"]), (&json!(true), &json!(false)));
        assert_eq!(rto["projects"]["ward"]["met"], false);
        assert_eq!(rto["steps"]["log"], 6.0);
    }

    #[test]
    fn one_failed_check_is_a_failed_drill() {
        let said = |checks: &[Check]| {
            let said = Said {
                begun_ms: 0,
                ended_ms: 1000,
                by: json!({}),
                archive: "/a".into(),
                restored: json!({"seq": 7}),
                against: "nothing",
                counts: json!({}),
                samples: json!({}),
            };
            report(said, checks, &Measured::default(), &settings())
        };
        let fine = [Check::of("a", Vec::new()), Check::none("b", "no store")];
        assert!(passed(&said(&fine)));
        let failing = said(&[Check::of("a", vec!["it is missing".into()])]);
        assert!(!passed(&failing));
        assert_eq!(failed(&failing), ["a"]);
        let text = text(&failing);
        assert!(
            text.contains("a             FAILED\n                it is missing\n"),
            "{text}"
        );
    }
}
