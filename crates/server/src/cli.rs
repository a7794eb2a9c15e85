//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::backup;
use crate::drill;
use crate::keeping;
use crate::restore::{self, RestoreArguments};

/// A backend for health applications: store, access control, audit and
/// encryption in one binary.
#[derive(Parser)]
#[command(name = "salus", version, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Start the server
    #[command(after_help = SERVE_EXAMPLES)]
    Serve(Box<ServeArguments>),
    /// Load resources from files into a data folder
    #[command(after_help = IMPORT_EXAMPLES)]
    Import(ImportArguments),
    /// Write a synthetic population as transaction bundles
    #[command(after_help = GENERATE_EXAMPLES)]
    Generate(GenerateArguments),
    /// Show how far the search indexes of a project are
    #[command(after_help = REINDEX_EXAMPLES)]
    Reindex(ReindexArguments),
    /// Try, compare and explain the policies of a project
    #[command(after_help = POLICY_EXAMPLES)]
    Policy(Box<PolicyArguments>),
    /// Say how long records are kept, report what is due, and dispose of it
    #[command(after_help = keeping::retention::EXAMPLES)]
    Retention(keeping::retention::RetentionArguments),
    /// Move seldom needed records to cold storage, verify them there, bring them back
    #[command(after_help = keeping::cold::EXAMPLES)]
    Cold(keeping::cold::ColdArguments),
    /// Put records under legal hold, and lift it
    #[command(after_help = keeping::hold::EXAMPLES)]
    Hold(keeping::hold::HoldArguments),
    /// Destroy all that is held of a patient, and check the certificate of it
    #[command(after_help = keeping::shred::EXAMPLES)]
    Shred(keeping::shred::ShredArguments),
    /// See how old the keys are, rotate them, check that each unwraps
    #[command(after_help = crate::keys::EXAMPLES)]
    Keys(crate::keys::Arguments),
    /// Show who saw a chart, account for disclosures, and prove the audit log offline
    #[command(after_help = crate::audit::EXAMPLES)]
    Audit(Box<crate::audit::AuditArguments>),
    /// Read a data folder back and report what does not fit together
    #[command(after_help = CHECK_EXAMPLES)]
    Check(CheckArguments),
    /// Show, read back, merge and prune the archives of a data folder
    #[command(after_help = backup::EXAMPLES)]
    Backup(backup::BackupArguments),
    /// Restore an archive for trial, check all of it, and sign a report
    #[command(after_help = drill::EXAMPLES)]
    Drill(Box<drill::DrillArguments>),
    /// Make a data folder of an archive, as it was at any instant
    #[command(after_help = restore::EXAMPLES)]
    Restore(RestoreArguments),
    /// Keep a warm standby from an archive, promote it, and see what a fenced server has alone
    #[command(after_help = crate::follow::EXAMPLES)]
    Follow(Box<crate::follow::FollowArguments>),
}

const SERVE_EXAMPLES: &str = "\
Examples:
  salus serve --demo                       a demo: synthetic patients, credentials, curl lines
  salus serve --data /var/lib/salus        an empty server, with a link to set it up
  salus serve --listen 0.0.0.0:443 --tls-certificate fullchain.pem --tls-key key.pem

Every option can also be given in salus.toml (see --config) or as a variable:
  SALUS_DATA, SALUS_KEYS, SALUS_ROOT_KEY, SALUS_KEY_ROTATION_DAYS, SALUS_LISTEN, SALUS_BASE_URL, SALUS_TLS_CERTIFICATE, SALUS_TLS_KEY,
  SALUS_TLS_ELSEWHERE, SALUS_TRUSTED_PROXIES, SALUS_PROXY_HEADER, SALUS_BODY_BYTES_MAX, SALUS_SEARCH_SECONDS_MAX, SALUS_JOB_HOURS,
  SALUS_IMPORT_ORIGINS, SALUS_IMPORT_ROOTS, SALUS_IMPORT_BYTES_MAX, SALUS_PROVIDER_ORIGINS,
  SALUS_PROVIDER_ROOTS, SALUS_ALERT_ORIGINS, SALUS_ALERT_ROOTS, SALUS_MAIL, SALUS_MAIL_FROM,
  SALUS_MAIL_USER, SALUS_MAIL_PASSWORD_FILE, SALUS_MAIL_ROOTS, SALUS_ARCHIVE,
  SALUS_ARCHIVE_DAYS, SALUS_ARCHIVE_WINDOW, SALUS_ARCHIVE_BASE_EVERY, SALUS_ARCHIVE_LEASE,
  SALUS_ARCHIVE_ROOTS, SALUS_COLD, SALUS_DRILL_EVERY, SALUS_CHECKPOINTS, SALUS_CHECKPOINT_ROOTS,
  SALUS_AUDIT_YEARS, SALUS_AUDIT_ARCHIVE,
  SALUS_LOG, SALUS_LOG_FORMAT";

const IMPORT_EXAMPLES: &str = "\
Examples:
  salus import bundles/                    every .json and .ndjson file in a folder
  salus import Patient.ndjson --project trial
  salus import bundles/ --json             a summary for scripts

A running server on the same data folder is used if there is one. An import
that was stopped goes on where it stopped when the same command is given again.
Exit status 1 says that something could not be loaded.";

const GENERATE_EXAMPLES: &str = "\
Examples:
  salus generate --patients 100 --out population/
  salus generate --patients 5 --seed 7 --ndjson > resources.ndjson";

const REINDEX_EXAMPLES: &str = "\
Examples:
  salus reindex                            what is ready, and what is still being built
  salus reindex --project trial --wait     until everything is ready
  salus reindex --pause                    leave the machine to others; --resume goes on

Indexes are built by the server on the same data folder; without one, this
command opens the folder itself and builds them while it waits.";

const POLICY_EXAMPLES: &str = "\
Examples:
  salus policy sets                                        what comes with the server
  salus policy install patient-app
  salus policy test expectations.json                      who may do what; exit status 1 if it is otherwise
  salus policy test --set patient-app                      what a policy set has to do
  salus policy explain --role clinician --profile Practitioner/d --action read Patient/a
  salus policy explain --request ID                        which rule decided a request in the past
  salus policy diff next.json --name clinician-app         which users gain or lose which records by it
  salus policy matrix --role clinician --role front-desk   role by type by action

A running server on the same data folder is asked if there is one; without one,
this command opens the folder itself. Each question is in the audit. A file of
expectations with fixtures needs no folder and no server.";

const CHECK_EXAMPLES: &str = "\
Examples:
  salus check --data /var/lib/salus        with the server stopped; exit status 1 says that something is wrong";

#[derive(Args)]
pub(crate) struct ServeArguments {
    #[command(flatten)]
    pub(crate) place: Place,

    /// Where to listen; anything but loopback needs TLS
    #[arg(long, env = "SALUS_LISTEN", value_name = "HOST:PORT")]
    pub(crate) listen: Option<SocketAddr>,

    /// Fill an empty folder with N synthetic patients and print credentials
    #[arg(long, value_name = "N", num_args = 0..=1, require_equals = true, default_missing_value = "25")]
    pub(crate) demo: Option<usize>,

    /// Development mode: administrators need no second factor. --demo is in it, too
    #[arg(long)]
    pub(crate) dev: bool,

    /// Print one line of JSON when ready, instead of text
    #[arg(long)]
    pub(crate) json: bool,

    /// The address clients use, with its scheme, if it differs from the one listened on
    #[arg(long, env = "SALUS_BASE_URL", value_name = "URL")]
    pub(crate) base_url: Option<String>,

    /// Certificate chain, PEM
    #[arg(long, env = "SALUS_TLS_CERTIFICATE", value_name = "FILE")]
    pub(crate) tls_certificate: Option<PathBuf>,

    /// Private key, PEM
    #[arg(long, env = "SALUS_TLS_KEY", value_name = "FILE")]
    pub(crate) tls_key: Option<PathBuf>,

    /// A proxy in front ends TLS: allow a plain listener that is not on loopback
    #[arg(long, env = "SALUS_TLS_ELSEWHERE")]
    pub(crate) tls_elsewhere: bool,

    /// Addresses and networks of proxies that say whom they were asked by, with commas between them
    #[arg(
        long,
        env = "SALUS_TRUSTED_PROXIES",
        value_name = "NETWORKS",
        value_delimiter = ','
    )]
    pub(crate) trusted_proxies: Option<Vec<String>>,

    /// The header in which they do: x-forwarded-for or forwarded [default: x-forwarded-for]
    #[arg(long, env = "SALUS_PROXY_HEADER", value_name = "HEADER")]
    pub(crate) proxy_header: Option<String>,

    /// Largest request body, in bytes
    #[arg(long, env = "SALUS_BODY_BYTES_MAX", value_name = "BYTES")]
    pub(crate) body_bytes_max: Option<usize>,

    /// Longest content of a Binary that is sent as it is, in bytes
    #[arg(long, env = "SALUS_BINARY_BYTES_MAX", value_name = "BYTES")]
    pub(crate) binary_bytes_max: Option<u64>,

    /// How long one search may take, in seconds
    #[arg(long, env = "SALUS_SEARCH_SECONDS_MAX", value_name = "SECONDS")]
    pub(crate) search_seconds_max: Option<u32>,

    /// After how many days keys of projects are rotated; never by themselves without it
    #[arg(long, env = "SALUS_KEY_ROTATION_DAYS", value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=36_500))]
    pub(crate) key_rotation_days: Option<u32>,

    /// How long jobs and their files are kept when they are over, in hours
    #[arg(long, env = "SALUS_JOB_HOURS", value_name = "HOURS")]
    pub(crate) job_hours: Option<u32>,

    /// From where $import may fetch files, as `https://files.example.org`, with commas between them
    #[arg(
        long,
        env = "SALUS_IMPORT_ORIGINS",
        value_name = "ORIGINS",
        value_delimiter = ','
    )]
    pub(crate) import_origins: Option<Vec<String>>,

    /// Certificates of the authorities that those servers may be trusted by, PEM
    #[arg(long, env = "SALUS_IMPORT_ROOTS", value_name = "FILE")]
    pub(crate) import_roots: Option<PathBuf>,

    /// Longest file of $import, uploaded or fetched, in bytes
    #[arg(long, env = "SALUS_IMPORT_BYTES_MAX", value_name = "BYTES")]
    pub(crate) import_bytes_max: Option<u64>,

    /// Providers of OpenID Connect that projects may use, as `https://id.example.org`, with commas between them
    #[arg(
        long,
        env = "SALUS_PROVIDER_ORIGINS",
        value_name = "ORIGINS",
        value_delimiter = ','
    )]
    pub(crate) provider_origins: Option<Vec<String>>,

    /// Certificates of the authorities that providers may be trusted by, PEM
    #[arg(long, env = "SALUS_PROVIDER_ROOTS", value_name = "FILE")]
    pub(crate) provider_roots: Option<PathBuf>,

    /// Webhooks that alerts may be sent to, as `https://hooks.example.org`, with commas between them
    #[arg(
        long,
        env = "SALUS_ALERT_ORIGINS",
        value_name = "ORIGINS",
        value_delimiter = ','
    )]
    pub(crate) alert_origins: Option<Vec<String>>,

    /// Certificates of the authorities that webhooks may be trusted by, PEM
    #[arg(long, env = "SALUS_ALERT_ROOTS", value_name = "FILE")]
    pub(crate) alert_roots: Option<PathBuf>,

    /// Where mail goes: `smtp://HOST:PORT` (STARTTLS), `smtps://HOST:PORT`, `folder:PATH` or, in a demo, `terminal`
    #[arg(long, env = "SALUS_MAIL", value_name = "WHERE")]
    pub(crate) mail: Option<String>,

    /// Whom mail comes from, unless a project says otherwise
    #[arg(long, env = "SALUS_MAIL_FROM", value_name = "ADDRESS")]
    pub(crate) mail_from: Option<String>,

    /// Name at the mail server
    #[arg(long, env = "SALUS_MAIL_USER", value_name = "NAME")]
    pub(crate) mail_user: Option<String>,

    /// A file with the password for it
    #[arg(long, env = "SALUS_MAIL_PASSWORD_FILE", value_name = "FILE")]
    pub(crate) mail_password_file: Option<PathBuf>,

    /// Certificates of the authorities that the mail server may be trusted by, PEM
    #[arg(long, env = "SALUS_MAIL_ROOTS", value_name = "FILE")]
    pub(crate) mail_roots: Option<PathBuf>,

    /// Where the store is archived: a folder, or s3://BUCKET/PREFIX?region=..; several with commas between them
    #[arg(
        long,
        env = "SALUS_ARCHIVE",
        value_name = "ARCHIVES",
        value_delimiter = ','
    )]
    pub(crate) archive: Option<Vec<String>>,

    /// For how many days blobs stay in the archive when they are gone from the store
    #[arg(long, env = "SALUS_ARCHIVE_DAYS", value_name = "DAYS")]
    pub(crate) archive_days: Option<u32>,

    /// How far back any instant can be restored from the archive, as 35d; what is older goes when a base has it. All of it if forever, as without this
    #[arg(long, env = "SALUS_ARCHIVE_WINDOW", value_name = "TIME")]
    pub(crate) archive_window: Option<String>,

    /// How often a base of the archive is taken, as 7d, or never; each week with --archive-window, never without
    #[arg(long, env = "SALUS_ARCHIVE_BASE_EVERY", value_name = "TIME")]
    pub(crate) archive_base_every: Option<String>,

    /// Answer only while the archives were looked at within so many seconds: a promoted standby is the only one that acknowledges (docs/standby.md)
    #[arg(long, env = "SALUS_ARCHIVE_LEASE", value_name = "SECONDS", value_parser = crate::config::lease)]
    pub(crate) archive_lease: Option<std::time::Duration>,

    /// Certificates of the authorities that servers of S3 may be trusted by, PEM
    #[arg(long, env = "SALUS_ARCHIVE_ROOTS", value_name = "FILE")]
    pub(crate) archive_roots: Option<PathBuf>,

    /// How often a drill is run, as 30d; never by itself without it
    #[arg(long, env = "SALUS_DRILL_EVERY", value_name = "TIME")]
    pub(crate) drill_every: Option<String>,

    /// Where cold storage is: a folder, or s3://BUCKET/PREFIX?region=..; S3 is asked as for archives
    #[arg(long, env = "SALUS_COLD", value_name = "WHERE")]
    pub(crate) cold: Option<String>,

    /// Where checkpoints of the audit log go: `folder:PATH`, `s3://BUCKET/PREFIX?region=..`, or a witness as `https://witness.example.org`, with commas between them
    #[arg(
        long,
        env = "SALUS_CHECKPOINTS",
        value_name = "PLACES",
        value_delimiter = ','
    )]
    pub(crate) checkpoints: Option<Vec<String>>,

    /// For how many years audit entries are kept at least [default: 6, and no less but in development]
    #[arg(long, env = "SALUS_AUDIT_YEARS", value_name = "YEARS")]
    pub(crate) audit_years: Option<u32>,

    /// Where audit entries go when their years are over: a folder, or s3://BUCKET/PREFIX?region=..; without it all are kept in the store
    #[arg(long, env = "SALUS_AUDIT_ARCHIVE", value_name = "ARCHIVE")]
    pub(crate) audit_archive: Option<String>,

    /// Certificates of the authorities that witnesses may be trusted by, PEM
    #[arg(long, env = "SALUS_CHECKPOINT_ROOTS", value_name = "FILE")]
    pub(crate) checkpoint_roots: Option<PathBuf>,

    /// What to log: error, warn, info or debug
    #[arg(long, env = "SALUS_LOG", value_name = "LEVEL")]
    pub(crate) log: Option<String>,

    /// How to log: text or json
    #[arg(long, env = "SALUS_LOG_FORMAT", value_name = "FORMAT")]
    pub(crate) log_format: Option<String>,
}

/// Where the data lies.
#[derive(Args)]
pub(crate) struct Place {
    /// The data folder [default: salus-data]
    #[arg(long, global = true, env = "SALUS_DATA", value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,

    /// The folder of the keyring [default: keys in the data folder]
    #[arg(long, global = true, env = "SALUS_KEYS", value_name = "DIR")]
    pub(crate) keys: Option<PathBuf>,

    /// Who keeps the root key: `file:PATH`, `passphrase:file:PATH`, `passphrase:terminal`, `aws-kms:ARN?…`,
    /// `vault:URL/transit/KEY?…` or `pkcs11:…` (docs/keys.md) [default: root.key beside the keyring]
    #[arg(long, global = true, env = "SALUS_ROOT_KEY", value_name = "SOURCE")]
    pub(crate) root_key: Option<String>,

    /// The configuration file [default: salus.toml, if there is one]
    #[arg(long, global = true, env = "SALUS_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

#[derive(Args)]
pub(crate) struct ImportArguments {
    /// A file or folder: transaction bundles, resources (.json), or one resource a line (.ndjson)
    pub(crate) path: PathBuf,

    #[command(flatten)]
    pub(crate) place: Place,

    /// The project to load into
    #[arg(long, default_value = "default")]
    pub(crate) project: String,

    /// Print the summary as one line of JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
pub(crate) struct GenerateArguments {
    /// How many patients
    #[arg(long, default_value_t = 25)]
    pub(crate) patients: usize,

    /// The same seed gives the same population
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,

    /// The day on which all lives are looked at
    #[arg(long, value_name = "YYYY-MM-DD", default_value = "2026-01-01")]
    pub(crate) today: jiff::civil::Date,

    /// The folder to write to, a file for each patient; standard output without it
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,

    /// One bundle a line, or with --out one file bundles.ndjson, instead of a file for each patient
    #[arg(long)]
    pub(crate) ndjson: bool,
}

#[derive(Args)]
pub(crate) struct ReindexArguments {
    #[command(flatten)]
    pub(crate) place: Place,

    /// The project
    #[arg(long, default_value = "default")]
    pub(crate) project: String,

    /// Wait until everything is indexed
    #[arg(long)]
    pub(crate) wait: bool,

    /// Build nothing until --resume
    #[arg(long, conflicts_with_all = ["wait", "resume"])]
    pub(crate) pause: bool,

    /// Go on after --pause
    #[arg(long)]
    pub(crate) resume: bool,

    /// Print the state as one line of JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
pub(crate) struct PolicyArguments {
    #[command(subcommand)]
    pub(crate) command: PolicyCommand,

    #[command(flatten)]
    pub(crate) place: Place,

    /// The project
    #[arg(long, default_value = "default", global = true)]
    pub(crate) project: String,

    /// Print the answer as one line of JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

#[derive(Subcommand)]
pub(crate) enum PolicyCommand {
    /// List the policy sets that come with the server
    Sets,
    /// Make one of them a policy of the project
    Install {
        /// Its name
        name: String,
    },
    /// Compare what users and clients may do with what a file expects
    Test {
        /// Expectations, in JSON: docs/policies.md tells their form
        #[arg(required_unless_present = "set")]
        file: Option<PathBuf>,

        /// Those of a policy set that comes with the server
        #[arg(long, value_name = "NAME", conflicts_with = "file")]
        set: Option<String>,
    },
    /// Tell which rule decides a request, or decided one in the past
    Explain(ExplainArguments),
    /// Tell which users would gain or lose which records by a policy
    Diff(DiffArguments),
    /// Print what roles may do: all, some or no records of a type
    Matrix {
        /// A role; several may be given
        #[arg(long = "role", required = true)]
        roles: Vec<String>,

        /// A type; all that some role may do anything with if none is given
        #[arg(long = "type")]
        types: Vec<String>,

        /// The purpose of use that is stated, as HRESCH
        #[arg(long, value_name = "CODE")]
        purpose: Option<String>,
    },
}

#[derive(Args)]
pub(crate) struct DiffArguments {
    /// The policy as it would be
    pub(crate) file: PathBuf,

    /// Its name [default: that of the file]
    #[arg(long)]
    pub(crate) name: Option<String>,

    /// What is done with records; several may be given
    #[arg(
        long = "action",
        value_name = "ACTION",
        default_values = ["read", "create", "update", "delete"]
    )]
    pub(crate) actions: Vec<String>,

    /// Records listed of each user, type and action; further ones are counted
    #[arg(long, value_name = "NUMBER", default_value_t = 10, value_parser = clap::value_parser!(u16).range(..=1000))]
    pub(crate) limit: u16,

    /// The purpose of use that all state, as HRESCH [default: what each acts for]
    #[arg(long, value_name = "CODE")]
    pub(crate) purpose: Option<String>,
}

#[derive(Args)]
pub(crate) struct ExplainArguments {
    /// The record, as Patient/1, or the type; an operation of the endpoint has none
    #[arg(required_unless_present_any = ["audit", "request", "content", "action"])]
    pub(crate) resource: Option<String>,

    /// The audit event of a request in the past
    #[arg(long, value_name = "ID", conflicts_with_all = ["resource", "request"])]
    pub(crate) audit: Option<String>,

    /// A request in the past, by the X-Request-Id of its answer
    #[arg(long, value_name = "ID", conflicts_with = "resource")]
    pub(crate) request: Option<String>,

    /// What a write would make of the record, or create: a resource in JSON
    #[arg(long, value_name = "FILE", conflicts_with_all = ["audit", "request"])]
    pub(crate) content: Option<PathBuf>,

    /// The user who asks, by id
    #[arg(long, value_name = "ID")]
    pub(crate) user: Option<String>,

    /// The client that asks, by id
    #[arg(long, value_name = "ID", conflicts_with = "user")]
    pub(crate) client: Option<String>,

    /// A role of somebody who might ask
    #[arg(long = "role", conflicts_with_all = ["user", "client"])]
    pub(crate) roles: Vec<String>,

    /// A group of somebody who might ask, by id
    #[arg(long = "group", conflicts_with_all = ["user", "client"])]
    pub(crate) groups: Vec<String>,

    /// A profile of somebody who might ask, as Practitioner/1
    #[arg(long = "profile", conflicts_with_all = ["user", "client"])]
    pub(crate) profiles: Vec<String>,

    /// What is done: read, search, …, or an operation as '$everything'
    #[arg(long, default_value = "read")]
    pub(crate) action: String,

    /// The purpose of use that is stated, as HRESCH
    #[arg(long, value_name = "CODE")]
    pub(crate) purpose: Option<String>,
}

#[derive(Args)]
pub(crate) struct CheckArguments {
    #[command(flatten)]
    pub(crate) place: Place,

    /// Print the findings as one line of JSON
    #[arg(long)]
    pub(crate) json: bool,
}
