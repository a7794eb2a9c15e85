//! What `salus restore` is told.

use std::path::PathBuf;

use clap::Args;
use salus_archive::Until;
use salus_store::Seq;

pub(crate) const EXAMPLES: &str = "\
Examples:
  salus restore --from /backup/salus --keys /safe/keys --to /var/lib/salus     all that was archived
  salus restore --from /backup/salus --keys /safe/keys --to trial --at 2026-11-23T09:59:59Z
  salus restore --from /backup/salus --keys /safe/keys --to trial --at-seq 120000 --json
  salus restore --from /backup/salus --keys /safe/keys --to trial --root-key 'vault:https://vault.example.org/transit/salus?token=/run/token'

The folder that is restored into must be empty, but for the keys if --keys is not
given. Exit status 1 says that nothing was restored, 3 that something is missing:
the report names what, and all before it is there.";

#[derive(Args)]
pub(crate) struct RestoreArguments {
    /// The archive: a folder, or s3://BUCKET/PREFIX?region=..
    #[arg(long, value_name = "ARCHIVE")]
    pub(crate) from: String,

    /// The data folder to make
    #[arg(long, value_name = "DIR")]
    pub(crate) to: PathBuf,

    /// The instant, as 2026-11-23T09:59:59Z, with all that was committed until then; or latest
    #[arg(
        long,
        value_name = "TIME",
        default_value = "latest",
        conflicts_with = "at_seq"
    )]
    at: String,

    /// The point in the order of commits, as the audit and earlier reports name it
    #[arg(long, value_name = "SEQ")]
    at_seq: Option<u64>,

    /// The newest copy of the keys, to be copied into the folder
    #[arg(long, value_name = "DIR")]
    pub(crate) keys: Option<PathBuf>,

    /// Who keeps the root key, as `salus serve` is told [default: root.key beside the keyring]
    #[arg(long, env = "SALUS_ROOT_KEY", value_name = "SOURCE")]
    pub(crate) root_key: Option<String>,

    /// The address that clients used: references below it are to the store's own records
    #[arg(long, env = "SALUS_BASE_URL", value_name = "URL")]
    pub(crate) base_url: Option<String>,

    /// Print the report as one line of JSON
    #[arg(long)]
    pub(crate) json: bool,
}

impl RestoreArguments {
    /// How far the log is read.
    pub(crate) fn until(&self) -> Result<Until, String> {
        until(&self.at, self.at_seq)
    }
}

/// How far a log is read that `--at` and `--at-seq` name.
pub(crate) fn until(at: &str, at_seq: Option<u64>) -> Result<Until, String> {
    if let Some(seq) = at_seq {
        return Ok(Until::Seq(Seq(seq)));
    }
    if at == "latest" {
        return Ok(Until::End);
    }
    let at: Result<jiff::Timestamp, _> = at.parse();
    let at = at.map_err(|_| "--at is latest or a time with its zone, as 2026-11-23T09:59:59Z")?;
    Ok(Until::TimeMs(at.as_millisecond()))
}
