//! What `salus follow` is told.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand};

pub(crate) const EXAMPLES: &str = "\
Examples:
  salus follow --from /backup/salus --keys /replica/keys --data /var/lib/standby
  salus follow --data /var/lib/standby                     goes on; it knows the archive and the keys
  salus follow --data /var/lib/standby --listen 127.0.0.1:9100    with /health/ready and /metrics
  salus follow status --data /var/lib/standby              how far it is
  salus follow promote --data /var/lib/standby             fences the old server and makes a store of it
  salus follow promote --data /var/lib/standby --wait 10   the same, and waits for an --archive-lease of 10 seconds
  salus follow difference --data /var/lib/salus --archive /backup/salus    what a fenced store has alone

A standby is restored from the archive first and then takes each new segment as it comes. It is
not served before it is promoted: docs/standby.md. Exit status 1 says what went wrong, also that
the archive is of another history; damage in it is named and tried again.";

#[derive(Args)]
pub(crate) struct FollowArguments {
    #[command(subcommand)]
    pub(crate) command: Option<FollowCommand>,

    /// The archive to follow: a folder, or s3://BUCKET/PREFIX?region=..
    #[arg(long, value_name = "ARCHIVE")]
    pub(crate) from: Option<String>,

    /// The folder of the standby; of `difference`, that of the fenced store
    #[arg(
        long,
        global = true,
        env = "SALUS_DATA",
        value_name = "DIR",
        default_value = "salus-data"
    )]
    pub(crate) data: PathBuf,

    /// A copy of the primary's keys, which you renew: it is read again as new keys are needed
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) keys: Option<PathBuf>,

    /// Who keeps the root key, as for `salus serve`
    #[arg(long, global = true, env = "SALUS_ROOT_KEY", value_name = "SOURCE")]
    pub(crate) root_key: Option<String>,

    /// The address that clients use: references below it are to the store's own records
    #[arg(long, env = "SALUS_BASE_URL", value_name = "URL")]
    pub(crate) base_url: Option<String>,

    /// Answer /health/live, /health/ready and /metrics on this address of the machine itself
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) listen: Option<SocketAddr>,

    /// Print answers as lines of JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

#[derive(Subcommand)]
pub(crate) enum FollowCommand {
    /// Show how far a standby is
    Status,
    /// Fence the old server off and make a store of the standby
    Promote {
        /// Wait so many seconds behind the fence: as long as the old server's --archive-lease
        #[arg(long, value_name = "SECONDS", default_value_t = 0, value_parser = clap::value_parser!(u64).range(..=3600))]
        wait: u64,
    },
    /// List what a fenced store has that the promoted one does not
    Difference {
        /// The archive [default: that of salus.toml]
        #[arg(
            long,
            env = "SALUS_ARCHIVE",
            value_name = "ARCHIVES",
            value_delimiter = ','
        )]
        archive: Option<Vec<String>>,
    },
}
