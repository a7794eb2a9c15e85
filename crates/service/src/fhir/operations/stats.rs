//! `Observation/$stats`: numbers about the observations of a subject
//! (<https://hl7.org/fhir/R4/observation-operation-stats.html>).
//!
//! For each code there is an Observation with a component for each statistic.
//! Values count in the unit of the newest one; others are converted, if they
//! measure the same, and else the request is refused: a mean of pounds and
//! inches is none. Percentiles lie between two values by their distance.

use salus_auth::Action;
use salus_fhir::json::{Node, write};
use salus_fhir::ucum;
use salus_store::Record;

use super::parameters::{Writer, invalid, primitive};
use super::{Asked, Code, Level, Operation, Parameter, escaped, reply};
use crate::Service;
use crate::context::Context;
use crate::error::{Error, Kind};
use crate::fhir::reply::Reply;

mod compute;

use compute::Statistic;

pub(super) static STATS: Operation = Operation {
    name: "stats",
    definition: "http://hl7.org/fhir/OperationDefinition/Observation-stats",
    types: &["Observation"],
    level: &[Level::Type],
    affects_state: false,
    parameters: &[
        Parameter::given("subject", "uri", "Whose observations, as Patient/1").required(),
        Parameter::given("code", "string", "A code, or system|code").repeated(),
        Parameter::given("system", "uri", "The system of the codes that have none"),
        Parameter::given("coding", "Coding", "A code with its system").repeated(),
        Parameter::given("duration", "decimal", "Of the last so many hours"),
        Parameter::given("period", "Period", "Of this period"),
        Parameter::given("statistic", "code", "What is to be computed")
            .required()
            .repeated(),
        Parameter::given("include", "boolean", "Whether to give the observations too"),
        Parameter::given(
            "limit",
            "positiveInt",
            "So many of them, the newest; 100 without it",
        ),
        Parameter {
            name: "statistics",
            min: 1,
            max: None,
            ..Parameter::returned("Observation", "The statistics of a code")
        },
        Parameter {
            name: "source",
            min: 0,
            max: None,
            ..Parameter::returned("Observation", "An observation that counted")
        },
    ],
    searches: false,
    action: Action::Search,
    code: Code::Stats,
};

const CODES_MAX: usize = 20;
const LIMIT: usize = 100;
const LIMIT_MAX: usize = 1000;
const HOUR_MS: f64 = 3_600_000.0;
const CODES_OF_STATISTICS: &str = "http://terminology.hl7.org/CodeSystem/observation-statistics";

/// What is asked for.
struct Wanted {
    subject: String,
    /// System, which may be unknown, and code.
    codes: Vec<(Option<String>, String)>,
    statistics: Vec<&'static Statistic>,
    /// From and to, as searches and periods write them.
    period: (Option<String>, Option<String>),
    sources: usize,
}

/// The values of a code.
#[derive(Default)]
struct Values {
    numbers: Vec<f64>,
    /// Observations, with and without a value.
    total: usize,
    /// `unit`, `system` and `code` of the quantities, as JSON, and the code.
    unit: Option<(String, Option<String>)>,
    /// Some value is of another unit that cannot be converted.
    mixed: bool,
    sources: Vec<Record>,
}

impl Service {
    pub(super) async fn stats(&self, cx: &Context, asked: &Asked<'_>) -> Result<Reply, Error> {
        let ty = asked.ty()?;
        let wanted = Wanted::of(cx, asked)?;
        let mut answer = Writer::new();
        let mut sources: Vec<Record> = Vec::new();
        let mut shown = Vec::new();
        for code in &wanted.codes {
            let mut values = Values::default();
            let search = wanted.search(code);
            self.each_observation(cx, asked, ty, &search, |record, node| {
                shown.push(record.clone());
                values.add(record, node);
            })
            .await?;
            if values.mixed {
                let details = "the values have units that cannot be converted into each other";
                return Err(Error::new(Kind::Unprocessable, details));
            }
            answer.resource("statistics", &wanted.observation(code, &values));
            let room = wanted.sources.saturating_sub(sources.len());
            sources.extend(values.sources.into_iter().take(room));
        }
        for source in &sources {
            let document = self.document_of(source)?;
            answer.resource("source", document.root().raw());
        }
        let codes: Vec<&str> = wanted.codes.iter().map(|(_, code)| &**code).collect();
        let query = format!("subject={}&code={}", wanted.subject, codes.join(","));
        let mut entry = asked.entry(cx, &query);
        // A number tells of all that it was computed from.
        shown.sort_by(|a: &Record, b| a.id.cmp(&b.id));
        shown.dedup_by(|a, b| a.id == b.id);
        entry.shows(&shown);
        self.record(cx, entry).await?;
        Ok(reply(answer.finish()))
    }
}

impl Wanted {
    fn of(cx: &Context, asked: &Asked<'_>) -> Result<Self, Error> {
        let arguments = &asked.arguments;
        let system = arguments.text("system")?;
        let mut codes = Vec::new();
        for text in arguments.texts("code")? {
            codes.push(match text.split_once('|') {
                Some((system, code)) => (Some(system.to_owned()), code.to_owned()),
                None => (system.as_deref().map(str::to_owned), text.into_owned()),
            });
        }
        for coding in arguments.nodes("coding")? {
            let part = |name| coding.get(name).and_then(|part| part.str());
            let code = part("code").ok_or_else(|| invalid("coding", "it needs a code"))?;
            codes.push((part("system").map(Into::into), code.into_owned()));
        }
        if !(1..=CODES_MAX).contains(&codes.len()) {
            let details = format!("name 1 to {CODES_MAX} codes, by code or coding");
            return Err(invalid("code", details));
        }
        let names = arguments.texts("statistic")?;
        let statistics: Option<Vec<_>> = names.iter().map(|name| Statistic::named(name)).collect();
        let statistics = statistics.ok_or_else(|| {
            let known = Statistic::names();
            invalid("statistic", format!("allowed are {known}"))
        })?;
        let include = arguments.text("include")?;
        let limit = arguments.number("limit", (1, LIMIT_MAX))?;
        Ok(Self {
            subject: arguments.text("subject")?.unwrap_or_default().into_owned(),
            codes,
            statistics,
            period: period(cx, asked)?,
            sources: match include.as_deref() {
                Some("true") => limit.unwrap_or(LIMIT),
                None | Some("false") => 0,
                Some(_) => return Err(invalid("include", "it must be true or false")),
            },
        })
    }

    /// The search for the observations of a code.
    fn search(&self, (system, code): &(Option<String>, String)) -> String {
        let code = match system {
            Some(system) => format!("{}|{}", escaped(system), escaped(code)),
            None => escaped(code),
        };
        let mut text = form_urlencoded::Serializer::new(String::new());
        text.append_pair("subject", &escaped(&self.subject));
        text.append_pair("code", &code);
        text.append_pair("status:not", "entered-in-error");
        for (prefix, time) in [("ge", &self.period.0), ("le", &self.period.1)] {
            if let Some(time) = time {
                text.append_pair("date", &format!("{prefix}{time}"));
            }
        }
        text.finish()
    }

    /// The statistics of a code, as an Observation.
    fn observation(&self, (system, code): &(Option<String>, String), values: &Values) -> String {
        let mut out =
            String::from(r#"{"resourceType":"Observation","status":"final","code":{"coding":[{"#);
        if let Some(system) = system {
            out.push_str(r#""system":"#);
            write::string(&mut out, system);
            out.push(',');
        }
        out.push_str(r#""code":"#);
        write::string(&mut out, code);
        out.push_str(r#"}]},"subject":{"reference":"#);
        write::string(&mut out, &self.subject);
        out.push('}');
        self.put_period(&mut out);
        out.push_str(r#","component":["#);
        for (at, statistic) in self.statistics.iter().enumerate() {
            if at > 0 {
                out.push(',');
            }
            out.push_str(r#"{"code":{"coding":[{"system":""#);
            out.push_str(CODES_OF_STATISTICS);
            out.push_str(r#"","code":""#);
            out.push_str(statistic.name);
            out.push_str(r#""}]},"#);
            values.put(&mut out, statistic);
            out.push('}');
        }
        out.push_str("]}");
        out
    }

    fn put_period(&self, out: &mut String) {
        let ends = [("start", &self.period.0), ("end", &self.period.1)];
        let mut ends = ends
            .into_iter()
            .filter_map(|(name, end)| Some((name, end.as_ref()?)));
        let Some((name, first)) = ends.next() else {
            return;
        };
        out.push_str(r#","effectivePeriod":{""#);
        out.push_str(name);
        out.push_str("\":");
        write::string(out, first);
        for (name, end) in ends {
            out.push_str(",\"");
            out.push_str(name);
            out.push_str("\":");
            write::string(out, end);
        }
        out.push('}');
    }
}

fn period(cx: &Context, asked: &Asked<'_>) -> Result<(Option<String>, Option<String>), Error> {
    if let Some(hours) = asked.arguments.text("duration")? {
        let hours: Option<f64> = hours
            .parse()
            .ok()
            .filter(|hours: &f64| hours.is_finite() && *hours > 0.0);
        let hours = hours.ok_or_else(|| invalid("duration", "it must be a number of hours"))?;
        let from_ms = cx.now_ms.saturating_sub((hours * HOUR_MS) as i64);
        let (from, to) = (
            crate::time::instant(from_ms),
            crate::time::instant(cx.now_ms),
        );
        return Ok((Some(from), Some(to)));
    }
    let Some(period) = asked.arguments.node("period")? else {
        return Ok((None, None));
    };
    let end = |name| period.get(name).and_then(|end| end.str()).map(Into::into);
    Ok((end("start"), end("end")))
}

impl Values {
    fn add(&mut self, record: &Record, observation: Node<'_>) {
        self.total += 1;
        self.sources.push(record.clone());
        let Some(quantity) = observation.get("valueQuantity") else {
            let integer = observation.get("valueInteger").and_then(Node::number);
            self.numbers
                .extend(integer.and_then(|text| text.parse::<f64>().ok()));
            return;
        };
        let Some(number) = quantity.get("value").and_then(Node::number) else {
            return;
        };
        let is_ucum = quantity.get("system").and_then(Node::plain_str) == Some(ucum::SYSTEM);
        let code = quantity.get("code").and_then(primitive).map(String::from);
        let code = code.filter(|_| is_ucum);
        let words = quantity.get("unit").and_then(primitive).map(String::from);
        let (_, unit) = self
            .unit
            .get_or_insert_with(|| (unit(quantity), code.clone().or(words.clone())));
        let number = match (&*unit, code.or(words)) {
            (known, one) if *known == one => Some(number.to_owned()),
            (Some(known), Some(one)) => converted(number, &one, known),
            _ => None,
        };
        match number.and_then(|number| number.parse::<f64>().ok()) {
            Some(number) => self.numbers.push(number),
            None => self.mixed = true,
        }
    }

    /// The value of a statistic, as a member of a component.
    fn put(&self, out: &mut String, statistic: &Statistic) {
        let Some(number) = statistic.of(&self.numbers, self.total) else {
            out.push_str(r#""dataAbsentReason":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/data-absent-reason","code":"not-applicable"}]}"#);
            return;
        };
        out.push_str(r#""valueQuantity":{"value":"#);
        out.push_str(&compute::decimal(number));
        if statistic.has_unit
            && let Some((unit, _)) = &self.unit
        {
            out.push_str(unit);
        }
        out.push('}');
    }
}

/// `unit`, `system` and `code` of a quantity, to follow its value.
fn unit(quantity: Node<'_>) -> String {
    let members = ["unit", "system", "code"].into_iter().filter_map(|name| {
        let member = quantity.get(name)?;
        Some(format!(r#","{name}":{}"#, member.raw()))
    });
    members.collect()
}

fn converted(number: &str, from: &str, to: &str) -> Option<String> {
    let (from, to) = (ucum::Unit::parse(from).ok()?, ucum::Unit::parse(to).ok()?);
    ucum::convert(number, &from, &to)
}
