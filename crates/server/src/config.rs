//! Configuration: flags and variables before `salus.toml` before defaults.
//!
//! This is the only place that looks at the file; clap reads the variables.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use salus_api::{Proxies, ProxyHeader};
use salus_service::Network;
use salus_service::audit::archive::YEARS_MIN;
use salus_service::jobs::Origin;
use serde::Deserialize;

use crate::backup::{Credentials, Schedule};
use crate::cli::{Place, ServeArguments};
use crate::{checkpoints, drill, mail, span};

/// What a server needs to know.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) data: PathBuf,
    pub(crate) keys: Keys,
    pub(crate) listen: SocketAddr,
    pub(crate) base_url: Option<String>,
    pub(crate) tls: Option<TlsFiles>,
    pub(crate) tls_elsewhere: bool,
    pub(crate) proxies: Proxies,
    pub(crate) body_bytes_max: usize,
    pub(crate) binary_bytes_max: u64,
    pub(crate) search_seconds_max: u32,
    pub(crate) job_hours: u32,
    pub(crate) import_origins: Vec<Origin>,
    pub(crate) import_roots: Option<PathBuf>,
    pub(crate) import_bytes_max: u64,
    pub(crate) provider_origins: Vec<Origin>,
    pub(crate) provider_roots: Option<PathBuf>,
    pub(crate) alert_origins: Vec<Origin>,
    pub(crate) alert_roots: Option<PathBuf>,
    pub(crate) mail: Option<mail::Config>,
    pub(crate) archive: Archives,
    pub(crate) audit: AuditKeeping,
    /// Where cold storage is.
    pub(crate) cold: Option<String>,
    /// Where checkpoints of the audit log go, beside the data folder.
    pub(crate) checkpoints: Vec<checkpoints::Place>,
    pub(crate) checkpoint_roots: Option<PathBuf>,
    pub(crate) drill: drill::Settings,
    /// Whether it is a demo, whose mails may be shown.
    pub(crate) demo: bool,
    pub(crate) development: bool,
    pub(crate) log: String,
    pub(crate) log_json: bool,
}

/// Where the archives are, and how S3 is asked.
#[derive(Clone, Debug)]
pub(crate) struct Archives {
    /// Folders, and places in S3.
    pub(crate) to: Vec<String>,
    /// Any instant so many days ago can be restored with its blobs.
    pub(crate) days: u32,
    /// Any instant so long ago can be restored; any at all without it.
    pub(crate) window_ms: Option<i64>,
    /// How long after a base the next one is taken; none is without it.
    pub(crate) base_every_ms: Option<i64>,
    /// Requests are answered only while the archives were looked at within this time.
    pub(crate) lease: Option<Duration>,
    pub(crate) roots: Option<PathBuf>,
    pub(crate) region: Option<String>,
    pub(crate) credentials: Option<Credentials>,
    /// When they are kept small and bases are taken: nobody sets it.
    pub(crate) schedule: Schedule,
}

/// How long the audit is kept, and where it goes then.
#[derive(Clone, Debug)]
pub(crate) struct AuditKeeping {
    pub(crate) years: u32,
    /// A folder, or a place in S3; without it nothing is removed from the store.
    pub(crate) archive: Option<String>,
}

/// Where the keys are, and who keeps the root key.
#[derive(Clone, Debug, Default)]
pub(crate) struct Keys {
    /// The folder of the keyring, if it is not in the data folder.
    pub(crate) folder: Option<PathBuf>,
    /// Who keeps the root key, if it is not a file beside the keyring.
    pub(crate) root: Option<String>,
    /// After how many days keys of projects are rotated.
    pub(crate) rotation_days: Option<u32>,
}

/// A certificate and its key.
#[derive(Clone, Debug)]
pub(crate) struct TlsFiles {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

/// The file, every part of it optional.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    data: Option<PathBuf>,
    listen: Option<SocketAddr>,
    base_url: Option<String>,
    trusted_proxies: Option<Vec<String>>,
    proxy_header: Option<String>,
    keys: KeysFile,
    tls: Tls,
    limits: Limits,
    import: Import,
    providers: Providers,
    alerts: Alerts,
    mail: Mail,
    audit: Audit,
    log: Log,
    archive: Archive,
    drill: drill::File,
    cold: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Archive {
    to: Vec<String>,
    days: Option<u32>,
    window: Option<String>,
    base_every: Option<String>,
    lease: Option<String>,
    roots: Option<PathBuf>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct KeysFile {
    folder: Option<PathBuf>,
    root: Option<String>,
    rotation_days: Option<u32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Tls {
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
    elsewhere: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Limits {
    body_bytes_max: Option<usize>,
    binary_bytes_max: Option<u64>,
    search_seconds_max: Option<u32>,
    job_hours: Option<u32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Import {
    origins: Option<Vec<String>>,
    roots: Option<PathBuf>,
    bytes_max: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Providers {
    origins: Option<Vec<String>>,
    roots: Option<PathBuf>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Alerts {
    origins: Option<Vec<String>>,
    roots: Option<PathBuf>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Mail {
    to: Option<String>,
    from: Option<String>,
    user: Option<String>,
    password_file: Option<PathBuf>,
    roots: Option<PathBuf>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Audit {
    years: Option<u32>,
    archive: Option<String>,
    checkpoints: Option<Vec<String>>,
    roots: Option<PathBuf>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Log {
    level: Option<String>,
    format: Option<String>,
}

const FILE_DEFAULT: &str = "salus.toml";
const DATA_DEFAULT: &str = "salus-data";
const LISTEN_DEFAULT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);
const BODY_BYTES_MAX_DEFAULT: usize = 64 << 20;
const BINARY_BYTES_MAX_DEFAULT: u64 = 1 << 30;
const SEARCH_SECONDS_MAX_DEFAULT: u32 = 10;
const JOB_HOURS_DEFAULT: u32 = 24;
const ARCHIVE_DAYS_DEFAULT: u32 = 30;
const BASE_EVERY_MS_DEFAULT: i64 = 7 * 24 * 60 * 60 * 1000;
/// The words for no window, and for no bases.
const FOREVER: &str = "forever";
const NEVER: &str = "never";
const IMPORT_BYTES_MAX_DEFAULT: u64 = 64 << 30;

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("cannot read {0}: {1}")]
    Unreadable(PathBuf, std::io::Error),
    #[error("{0} is not a valid configuration: {1}")]
    Invalid(PathBuf, Box<toml::de::Error>),
    #[error("archive.lease: {0}")]
    Lease(String),
    #[error("--tls-certificate and --tls-key go together")]
    HalfTls,
    #[error(
        "refusing to listen on {0} without TLS: give --tls-certificate and --tls-key, or \
         --tls-elsewhere if a proxy in front ends TLS"
    )]
    Plain(SocketAddr),
    #[error(
        "trusted proxies are addresses as 192.0.2.7 or networks as 10.0.0.0/8, and {0:?} is none"
    )]
    TrustedProxy(String),
    #[error(
        "{0} is every address: list the networks of your proxies, or anyone could say whom a request is from"
    )]
    EveryProxy(String),
    #[error("the proxy header is x-forwarded-for or forwarded, not {0:?}")]
    ProxyHeader(String),
    #[error("the window of the archive and the time between bases: {0}")]
    Span(String),
    #[error("imports fetch from origins as https://files.example.org, and {0:?} is none")]
    ImportOrigin(String),
    #[error(
        "providers are at origins as https://id.example.org, or http://127.0.0.1:8081 on this \
         machine, and {0:?} is none"
    )]
    ProviderOrigin(String),
    #[error(
        "alerts are sent to origins as https://hooks.example.org, or http://127.0.0.1:8081 on \
         this machine, and {0:?} is none"
    )]
    AlertOrigin(String),
    #[error(transparent)]
    Mail(#[from] mail::Error),
    #[error(transparent)]
    Checkpoints(#[from] checkpoints::NoPlace),
    #[error(
        "audit entries are kept for six years at least (45 CFR 164.316(b)(2)(i)), and {0} is less; \
         only in development (--dev) may it be"
    )]
    AuditYears(u32),
    #[error(transparent)]
    Drill(#[from] drill::Error),
    #[error("the log format is text or json, not {0}")]
    LogFormat(String),
}

impl Config {
    /// All of a server's configuration.
    pub(crate) fn of(arguments: &ServeArguments) -> Result<Self, Error> {
        let file = read(&arguments.place)?;
        let archive_lease = file.archive.lease.as_deref().map(lease);
        let archive_lease = archive_lease.transpose().map_err(Error::Lease)?;
        let log_format = arguments.log_format.clone().or(file.log.format);
        let log_json = match log_format.as_deref() {
            None | Some("text") => false,
            Some("json") => true,
            Some(other) => return Err(Error::LogFormat(other.to_owned())),
        };
        let archive = Archives::of(Archive {
            to: arguments.archive.clone().unwrap_or(file.archive.to),
            days: arguments.archive_days.or(file.archive.days),
            window: arguments.archive_window.clone().or(file.archive.window),
            base_every: arguments
                .archive_base_every
                .clone()
                .or(file.archive.base_every),
            lease: None,
            roots: arguments.archive_roots.clone().or(file.archive.roots),
        })?;
        let (every, named) = (&arguments.drill_every, &arguments.place.config);
        let drill = drill::Settings::of(every.clone(), named.clone(), file.drill)?;
        let drill = drill.with_archives(&archive.to)?;
        let config = Self {
            data: place(&arguments.place, file.data),
            keys: keys(&arguments.place, arguments.key_rotation_days, file.keys),
            listen: arguments.listen.or(file.listen).unwrap_or(LISTEN_DEFAULT),
            base_url: arguments.base_url.clone().or(file.base_url),
            tls: tls(
                arguments.tls_certificate.clone().or(file.tls.certificate),
                arguments.tls_key.clone().or(file.tls.key),
            )?,
            tls_elsewhere: arguments.tls_elsewhere || file.tls.elsewhere,
            proxies: proxies(
                arguments.trusted_proxies.clone().or(file.trusted_proxies),
                arguments.proxy_header.clone().or(file.proxy_header),
            )?,
            body_bytes_max: arguments
                .body_bytes_max
                .or(file.limits.body_bytes_max)
                .unwrap_or(BODY_BYTES_MAX_DEFAULT),
            binary_bytes_max: arguments
                .binary_bytes_max
                .or(file.limits.binary_bytes_max)
                .unwrap_or(BINARY_BYTES_MAX_DEFAULT),
            search_seconds_max: arguments
                .search_seconds_max
                .or(file.limits.search_seconds_max)
                .unwrap_or(SEARCH_SECONDS_MAX_DEFAULT),
            job_hours: arguments
                .job_hours
                .or(file.limits.job_hours)
                .unwrap_or(JOB_HOURS_DEFAULT),
            import_origins: origins(
                arguments
                    .import_origins
                    .clone()
                    .or(file.import.origins)
                    .unwrap_or_default(),
            )?,
            import_roots: arguments.import_roots.clone().or(file.import.roots),
            import_bytes_max: arguments
                .import_bytes_max
                .or(file.import.bytes_max)
                .unwrap_or(IMPORT_BYTES_MAX_DEFAULT),
            provider_origins: provider_origins(
                arguments
                    .provider_origins
                    .clone()
                    .or(file.providers.origins)
                    .unwrap_or_default(),
            )?,
            provider_roots: arguments.provider_roots.clone().or(file.providers.roots),
            alert_origins: alert_origins(
                arguments
                    .alert_origins
                    .clone()
                    .or(file.alerts.origins)
                    .unwrap_or_default(),
            )?,
            alert_roots: arguments.alert_roots.clone().or(file.alerts.roots),
            mail: mail(arguments, file.mail)?,
            archive: archive.with_lease(arguments.archive_lease.or(archive_lease)),
            audit: AuditKeeping::of(
                arguments.audit_years.or(file.audit.years),
                arguments.audit_archive.clone().or(file.audit.archive),
                arguments.dev || arguments.demo.is_some(),
            )?,
            cold: arguments.cold.clone().or(file.cold),
            checkpoints: places(arguments.checkpoints.clone().or(file.audit.checkpoints))?,
            checkpoint_roots: arguments.checkpoint_roots.clone().or(file.audit.roots),
            demo: arguments.demo.is_some(),
            // No variable and no file says so: whoever starts a server in it means to.
            development: arguments.dev || arguments.demo.is_some(),
            log: arguments
                .log
                .clone()
                .or(file.log.level)
                .unwrap_or_else(|| "info".to_owned()),
            log_json,
            drill,
        };
        if config.tls.is_none() && !config.tls_elsewhere && !config.listen.ip().is_loopback() {
            return Err(Error::Plain(config.listen));
        }
        Ok(config)
    }

    /// The folder of the keyring.
    pub(crate) fn keys_folder(&self) -> PathBuf {
        let folder = self.keys.folder.clone();
        folder.unwrap_or_else(|| self.data.join("keys"))
    }

    /// The address to give to people.
    pub(crate) fn base(&self, address: SocketAddr) -> String {
        match &self.base_url {
            Some(url) => url.trim_end_matches('/').to_owned(),
            None if self.tls.is_some() => format!("https://{address}"),
            None => format!("http://{address}"),
        }
    }

    /// The configuration of a command that works on a data folder without listening.
    pub(crate) fn offline(arguments: &Place) -> Result<Self, Error> {
        let file = read(arguments)?;
        Ok(Self {
            data: place(arguments, file.data),
            keys: keys(arguments, None, file.keys),
            listen: LISTEN_DEFAULT,
            base_url: file.base_url,
            tls: None,
            tls_elsewhere: false,
            proxies: Proxies::default(),
            body_bytes_max: file.limits.body_bytes_max.unwrap_or(BODY_BYTES_MAX_DEFAULT),
            binary_bytes_max: file
                .limits
                .binary_bytes_max
                .unwrap_or(BINARY_BYTES_MAX_DEFAULT),
            search_seconds_max: file
                .limits
                .search_seconds_max
                .unwrap_or(SEARCH_SECONDS_MAX_DEFAULT),
            job_hours: file.limits.job_hours.unwrap_or(JOB_HOURS_DEFAULT),
            import_origins: origins(file.import.origins.unwrap_or_default())?,
            import_roots: file.import.roots,
            import_bytes_max: file.import.bytes_max.unwrap_or(IMPORT_BYTES_MAX_DEFAULT),
            provider_origins: provider_origins(file.providers.origins.unwrap_or_default())?,
            provider_roots: file.providers.roots,
            alert_origins: alert_origins(file.alerts.origins.unwrap_or_default())?,
            alert_roots: file.alerts.roots,
            mail: None,
            archive: Archives::of(file.archive)?,
            audit: AuditKeeping::of(file.audit.years, file.audit.archive, false)?,
            // A command that opens the folder itself needs it, too.
            cold: variable("SALUS_COLD").or(file.cold),
            checkpoints: Vec::new(),
            checkpoint_roots: None,
            drill: drill::Settings::of(None, arguments.config.clone(), file.drill)?,
            demo: false,
            development: false,
            log: "warn".to_owned(),
            log_json: false,
        })
    }
}

impl AuditKeeping {
    fn of(years: Option<u32>, archive: Option<String>, development: bool) -> Result<Self, Error> {
        let years = years.unwrap_or(YEARS_MIN);
        match years >= YEARS_MIN || development {
            true => Ok(Self { years, archive }),
            false => Err(Error::AuditYears(years)),
        }
    }
}

impl Archives {
    fn of(given: Archive) -> Result<Self, Error> {
        let span = |text: Option<String>, endless| {
            let parsed = text.as_deref().map(|text| span::parse(text, endless));
            parsed.transpose().map_err(Error::Span)
        };
        let window_ms = span(given.window, FOREVER)?.flatten();
        // Without a window nothing goes by a base, and each is as large as the log.
        let base_every_ms = match span(given.base_every, NEVER)? {
            Some(every_ms) => every_ms,
            None => window_ms.map(|_| BASE_EVERY_MS_DEFAULT),
        };
        Ok(Self {
            window_ms,
            base_every_ms,
            ..Self::at(given.to, given.days, given.roots)
        })
    }

    fn at(to: Vec<String>, days: Option<u32>, roots: Option<PathBuf>) -> Self {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        Self {
            to,
            days: days.unwrap_or(ARCHIVE_DAYS_DEFAULT),
            window_ms: None,
            base_every_ms: None,
            lease: None,
            roots,
            region: variable("AWS_REGION").or_else(|| variable("AWS_DEFAULT_REGION")),
            credentials: credentials(variable),
            schedule: Schedule::USUAL,
        }
    }

    fn with_lease(self, lease: Option<Duration>) -> Self {
        Self { lease, ..self }
    }

    /// Those of a command that is told where the archive is.
    pub(crate) fn unlisted() -> Self {
        Self::at(Vec::new(), None, None)
    }
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The time of a lease: whole seconds, as `10` or `10s`.
pub(crate) fn lease(text: &str) -> Result<Duration, String> {
    match span::read(text, &[span::SECOND, ("", span::SECOND.1)]) {
        Some(ms @ 2_000..=3_600_000) => Ok(Duration::from_millis(ms)),
        Some(_) | None => Err("a lease is 2 to 3600 seconds, as 10s".to_owned()),
    }
}

/// Credentials for S3: variables come before the file.
fn credentials(variable: impl Fn(&str) -> Option<String>) -> Option<Credentials> {
    if let (Some(key_id), Some(secret)) = (
        variable("AWS_ACCESS_KEY_ID"),
        variable("AWS_SECRET_ACCESS_KEY"),
    ) {
        let token = variable("AWS_SESSION_TOKEN");
        return Some(Credentials {
            key_id,
            secret,
            token,
        });
    }
    let home = || variable("HOME").map(|home| format!("{home}/.aws/credentials"));
    let path = variable("AWS_SHARED_CREDENTIALS_FILE").or_else(home)?;
    let text = std::fs::read_to_string(path).ok()?;
    let profile = variable("AWS_PROFILE");
    Credentials::of_file(&text, profile.as_deref().unwrap_or("default"))
}

/// Where mail goes. A demo shows it at the terminal, unless it is told otherwise.
fn mail(arguments: &ServeArguments, file: Mail) -> Result<Option<mail::Config>, Error> {
    let usual = arguments.demo.map(|_| "terminal".to_owned());
    let Some(to) = arguments.mail.clone().or(file.to).or(usual) else {
        return Ok(None);
    };
    Ok(Some(mail::Config {
        way: mail::Way::parse(&to)?,
        from: arguments.mail_from.clone().or(file.from),
        user: arguments.mail_user.clone().or(file.user),
        password_file: arguments.mail_password_file.clone().or(file.password_file),
        roots: arguments.mail_roots.clone().or(file.roots),
    }))
}

fn places(texts: Option<Vec<String>>) -> Result<Vec<checkpoints::Place>, checkpoints::NoPlace> {
    let texts = texts.unwrap_or_default();
    texts
        .iter()
        .map(|text| checkpoints::Place::parse(text))
        .collect()
}

fn place(arguments: &Place, file: Option<PathBuf>) -> PathBuf {
    let data = arguments.data.clone().or(file);
    data.unwrap_or_else(|| PathBuf::from(DATA_DEFAULT))
}

fn keys(place: &Place, rotation_days: Option<u32>, file: KeysFile) -> Keys {
    Keys {
        folder: place.keys.clone().or(file.folder),
        root: place.root_key.clone().or(file.root),
        rotation_days: rotation_days.or(file.rotation_days),
    }
}

fn proxies(trusted: Option<Vec<String>>, header: Option<String>) -> Result<Proxies, Error> {
    let network = |text: String| match Network::parse(&text) {
        Ok(network) if network.is_everywhere() => Err(Error::EveryProxy(text)),
        Ok(network) => Ok(network),
        Err(_) => Err(Error::TrustedProxy(text)),
    };
    let named = |name: String| ProxyHeader::named(&name).ok_or(Error::ProxyHeader(name));
    let trusted = trusted.unwrap_or_default().into_iter().map(network);
    Ok(Proxies {
        trusted: trusted.collect::<Result<_, _>>()?,
        header: header.map(named).transpose()?.unwrap_or_default(),
    })
}

fn origins(texts: Vec<String>) -> Result<Vec<Origin>, Error> {
    let origin = |text: String| Origin::parse(&text).ok_or(Error::ImportOrigin(text));
    texts.into_iter().map(origin).collect()
}

/// Origins of webhooks. What is sent holds no records, but who works here.
fn alert_origins(texts: Vec<String>) -> Result<Vec<Origin>, Error> {
    let origin = |text: String| match Origin::parse(&text) {
        Some(origin) if origin.is_secure() || origin.is_loopback() => Ok(origin),
        Some(_) | None => Err(Error::AlertOrigin(text)),
    };
    texts.into_iter().map(origin).collect()
}

/// Origins of providers: who they say has signed in is believed, so without TLS only what is on
/// this machine is asked.
fn provider_origins(texts: Vec<String>) -> Result<Vec<Origin>, Error> {
    let origin = |text: String| {
        let origin = Origin::parse(&text);
        let trusted = |origin: &Origin| origin.is_secure() || origin.is_loopback();
        origin.filter(trusted).ok_or(Error::ProviderOrigin(text))
    };
    texts.into_iter().map(origin).collect()
}

fn read(arguments: &Place) -> Result<File, Error> {
    let path = match &arguments.config {
        Some(path) => path.clone(),
        None if Path::new(FILE_DEFAULT).exists() => PathBuf::from(FILE_DEFAULT),
        None => return Ok(File::default()),
    };
    match std::fs::read_to_string(&path) {
        Ok(text) => toml::from_str(&text).map_err(|error| Error::Invalid(path, Box::new(error))),
        Err(error) => Err(Error::Unreadable(path, error)),
    }
}

fn tls(certificate: Option<PathBuf>, key: Option<PathBuf>) -> Result<Option<TlsFiles>, Error> {
    match (certificate, key) {
        (Some(certificate), Some(key)) => Ok(Some(TlsFiles { certificate, key })),
        (None, None) => Ok(None),
        (Some(_), None) | (None, Some(_)) => Err(Error::HalfTls),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};

    fn config(arguments: &[&str]) -> Result<Config, Error> {
        let cli = Cli::parse_from(["salus", "serve"].iter().chain(arguments));
        let Command::Serve(arguments) = cli.command else {
            panic!("not serve")
        };
        Config::of(&arguments)
    }

    #[test]
    fn a_plain_listener_stays_on_loopback() {
        assert!(config(&[]).is_ok());
        assert!(matches!(
            config(&["--listen", "0.0.0.0:80"]),
            Err(Error::Plain(_))
        ));
        assert!(config(&["--listen", "0.0.0.0:80", "--tls-elsewhere"]).is_ok());
    }

    #[test]
    fn a_lease_is_some_seconds() {
        assert_eq!(lease("10"), Ok(Duration::from_secs(10)));
        assert_eq!(lease("3600s"), Ok(Duration::from_secs(3600)));
        for text in ["", "s", "1s", "3601", "2500ms", "5m", "-5", "ten"] {
            assert!(lease(text).is_err(), "{text}");
        }
    }

    #[test]
    fn flags_come_before_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("salus.toml");
        std::fs::write(&path, "data = \"from-file\"\nlisten = \"127.0.0.1:1\"\n").unwrap();
        let path = path.to_str().unwrap();
        let config = config(&["--config", path, "--data", "from-flag"]).unwrap();
        assert_eq!(config.data, Path::new("from-flag"));
        assert_eq!(config.listen.port(), 1);
    }

    #[test]
    fn imports_fetch_from_whole_origins_only() {
        let origins =
            |text| config(&["--import-origins", text]).map(|config| config.import_origins);
        assert_eq!(config(&[]).unwrap().import_origins, []);
        let two = origins("https://a.example,http://127.0.0.1:81").unwrap();
        assert_eq!(two.len(), 2);
        for text in [
            "*",
            "a.example",
            "https://a.example/x",
            "https://a:b@c.example",
        ] {
            assert!(
                matches!(origins(text), Err(Error::ImportOrigin(_))),
                "{text}"
            );
        }
    }

    #[test]
    fn proxies_are_trusted_by_network() {
        let trusted = |text| config(&["--trusted-proxies", text]).map(|config| config.proxies);
        assert_eq!(config(&[]).unwrap().proxies.trusted, []);
        let two = trusted("10.0.0.0/8,2001:db8::1").unwrap();
        assert_eq!(two.trusted.len(), 2);
        assert_eq!(two.header, ProxyHeader::XForwardedFor);
        assert!(matches!(trusted("localhost"), Err(Error::TrustedProxy(_))));
        for everywhere in ["0.0.0.0/0", "10.0.0.1,::/0"] {
            assert!(matches!(trusted(everywhere), Err(Error::EveryProxy(_))));
        }
        let header = |name| config(&["--proxy-header", name]).map(|config| config.proxies.header);
        assert_eq!(header("Forwarded").unwrap(), ProxyHeader::Forwarded);
        assert!(matches!(header("x-real-ip"), Err(Error::ProxyHeader(_))));
    }

    #[test]
    fn providers_are_asked_over_tls_or_on_this_machine() {
        let origins =
            |text| config(&["--provider-origins", text]).map(|config| config.provider_origins);
        let three = "https://id.example.org,http://127.0.0.1:81,http://localhost";
        assert_eq!(origins(three).unwrap().len(), 3);
        assert_eq!(origins("http://[::1]:81").unwrap().len(), 1);
        for text in [
            "http://id.example.org",
            "http://192.0.2.1",
            "*",
            "https://a/b",
        ] {
            let refused = matches!(origins(text), Err(Error::ProviderOrigin(_)));
            assert!(refused, "{text}");
        }
    }

    #[test]
    fn the_audit_is_kept_for_six_years_at_least() {
        let years = |arguments: &[&str]| config(arguments).map(|config| config.audit.years);
        assert_eq!(years(&[]).unwrap(), 6);
        assert_eq!(years(&["--audit-years", "10"]).unwrap(), 10);
        let short = years(&["--audit-years", "5"]);
        assert!(matches!(short, Err(Error::AuditYears(5))));
        assert_eq!(years(&["--audit-years", "1", "--dev"]).unwrap(), 1);
    }

    #[test]
    fn unknown_settings_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("salus.toml");
        std::fs::write(&path, "lissten = \"127.0.0.1:1\"\n").unwrap();
        let result = config(&["--config", path.to_str().unwrap()]);
        assert!(matches!(result, Err(Error::Invalid(..))));
    }
}
