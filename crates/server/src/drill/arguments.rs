//! What `salus drill` is told.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::settings;
use crate::cli::Place;

pub(crate) const EXAMPLES: &str = "\
Examples:
  salus drill                                            restore the archive for trial, check all of it, and sign a report
  salus drill --from /backup/salus --keys /safe/keys --to /scratch/drill --out report.json
  salus drill --at 2026-11-23T09:59:59Z --target-rto 30m --target-rpo 5s --json
  salus drill status                                     when drills were run and how they ended
  salus drill key > drill-key.json                       the public key, to be kept elsewhere
  salus drill verify report.json --key drill-key.json    offline; exit status 1 if it proves nothing

The archive is that of SALUS_ARCHIVE or salus.toml unless --from names one; of several it is the
one whose last drill is longest ago. It is restored into a folder of its own, which nothing serves and which is removed afterwards. A running
server on the data folder is asked what it held at that point, and keeps the report. Exit status 1
says that no drill could be carried out, 3 that a check failed or a target was missed.";

#[derive(Args)]
pub(crate) struct DrillArguments {
    #[command(subcommand)]
    pub(super) command: Option<DrillCommand>,

    #[command(flatten)]
    pub(super) run: RunArguments,

    #[command(flatten)]
    pub(super) place: Place,

    /// Print the answer as one line of JSON
    #[arg(long, global = true)]
    pub(super) json: bool,
}

#[derive(Subcommand)]
pub(super) enum DrillCommand {
    /// Show when drills were run and how they ended; exit status 1 if one failed or is overdue
    Status {
        /// How often one has to be run [default: what the server or salus.toml says]
        #[arg(long, env = "SALUS_DRILL_EVERY", value_name = "TIME", value_parser = settings::duration)]
        every: Option<Duration>,
    },
    /// Print the public key by which reports are checked
    Key,
    /// Check a report, without a server
    Verify {
        /// The report
        file: PathBuf,

        /// The public key: a file, or the key itself
        #[arg(long, value_name = "KEY", allow_hyphen_values = true)]
        key: String,
    },
}

#[derive(Args)]
pub(super) struct RunArguments {
    /// The archive: a folder, or s3://BUCKET/PREFIX?region=.. [default: that which is shipped to]
    #[arg(
        long,
        env = "SALUS_ARCHIVE",
        value_name = "ARCHIVE",
        value_delimiter = ','
    )]
    pub(super) from: Vec<String>,

    /// Certificates of the authorities that servers of S3 may be trusted by, PEM
    #[arg(long, env = "SALUS_ARCHIVE_ROOTS", value_name = "FILE")]
    pub(super) archive_roots: Option<PathBuf>,

    /// An empty folder to restore into [default: a folder below the data folder]
    #[arg(long, value_name = "DIR")]
    pub(super) to: Option<PathBuf>,

    /// The instant, as 2026-11-23T09:59:59Z; or latest
    #[arg(
        long,
        value_name = "TIME",
        default_value = "latest",
        conflicts_with = "at_seq"
    )]
    pub(super) at: String,

    /// The point in the order of commits, as reports name it
    #[arg(long, value_name = "SEQ")]
    pub(super) at_seq: Option<u64>,

    /// Within what time the store has to be there again, as 1h
    #[arg(long, value_name = "TIME", value_parser = settings::duration)]
    pub(super) target_rto: Option<Duration>,

    /// How much may be lost, as 5s
    #[arg(long, value_name = "TIME", value_parser = settings::duration)]
    pub(super) target_rpo: Option<Duration>,

    /// The address that clients used
    #[arg(long, env = "SALUS_BASE_URL", value_name = "URL")]
    pub(super) base_url: Option<String>,

    /// A folder of checkpoints that is kept elsewhere; several may be given
    #[arg(long, value_name = "DIR")]
    pub(super) checkpoints: Vec<PathBuf>,

    /// Records of each type and project that are compared
    #[arg(long, value_name = "NUMBER", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=100))]
    pub(super) samples: u16,

    /// What the choice of records follows from [default: at random]
    #[arg(long, value_name = "NUMBER")]
    pub(super) seed: Option<u64>,

    /// Write the signed report to a file
    #[arg(long, value_name = "FILE")]
    pub(super) out: Option<PathBuf>,

    /// Leave the restored folder where it is
    #[arg(long)]
    pub(super) keep: bool,

    /// Run by the server, beside its work
    #[arg(long, hide = true)]
    pub(super) scheduled: bool,
}
