//! The command line.

use clap::{Parser, ValueEnum};
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  Everything against a server of ours, started and stopped by the way:
    salus-bench --serve target/release/salus --workload all --seconds 10 --load 20000
  Search with 200,000 resources, the figures also as JSON:
    salus-bench --serve target/release/salus --workload search --load 200000 --json search.json
  Import the bundles of a folder, as copies, until 50,000 entries are written:
    salus-bench --serve target/release/salus --workload import --bundles ../shared/data/synthea --operations 50000
  All of a patient's records, of patients of some five hundred:
    salus-bench --serve target/release/salus --workload everything --bundles ../shared/data/synthea
  A server that runs already, with its process and folder measured:
    salus-bench --base http://127.0.0.1:8080/fhir --token T --workload crud --pid 4711 --data ./data
  Another FHIR server with client credentials, which answers 404 after a delete and adds a narrative:
    salus-bench --base http://127.0.0.1:8103/fhir/R4 --token-url http://127.0.0.1:8103/oauth2/token \\
      --client-id ID --client-secret S --gone 404,410 --ignore text --workload small";

/// Loads a FHIR server, checks its answers, and reports how fast and at what cost they came.
#[derive(Parser, Debug)]
#[command(name = "salus-bench", version, after_help = EXAMPLES)]
pub(crate) struct Cli {
    /// FHIR base URL, e.g. http://127.0.0.1:8080/fhir
    #[arg(long, required_unless_present = "serve", conflicts_with = "serve")]
    pub(crate) base: Option<String>,
    /// Start this `salus` binary on an empty folder and stop it at the end
    #[arg(long, value_name = "PATH")]
    pub(crate) serve: Option<PathBuf>,
    /// Where the started server's log goes
    #[arg(long, value_name = "FILE", requires = "serve")]
    pub(crate) server_log: Option<PathBuf>,
    /// Bearer token
    #[arg(long)]
    pub(crate) token: Option<String>,
    /// Client for tokens from --token-url
    #[arg(long, requires = "client_secret", requires = "token_url")]
    pub(crate) client_id: Option<String>,
    /// Its secret
    #[arg(long, requires = "client_id")]
    pub(crate) client_secret: Option<String>,
    /// Token endpoint, on the server under test
    #[arg(long, requires = "client_id")]
    pub(crate) token_url: Option<String>,
    /// Let the address be another machine's
    #[arg(long)]
    pub(crate) allow_remote: bool,
    /// What to run
    #[arg(long, value_enum, default_value_t = Workload::All)]
    pub(crate) workload: Workload,
    /// Simulated clients, each with one connection
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) clients: u16,
    /// Length of each measured phase; 30 when neither this nor --operations is given
    #[arg(long, value_parser = seconds)]
    pub(crate) seconds: Option<f64>,
    /// Largest number of operations of each phase (of entries for an import)
    #[arg(long)]
    pub(crate) operations: Option<u64>,
    /// Seconds at the start of each phase that are not counted
    #[arg(long, default_value = "0", value_parser = seconds)]
    pub(crate) warmup: f64,
    /// Seconds to wait after each phase, at most, until the server is idle: its work in the background counts for the phase that caused it
    #[arg(long, default_value = "30", value_parser = seconds)]
    pub(crate) settle: f64,
    /// Resources loaded before mixed and search
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1..=5_000_000))]
    pub(crate) load: u32,
    /// Only the search shapes whose name holds this text
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub(crate) shapes: String,
    /// Decides data and requests
    #[arg(long, default_value_t = 42)]
    pub(crate) seed: u64,
    /// Folder of transaction bundles for the import and for everything
    #[arg(long, value_name = "DIR")]
    pub(crate) bundles: Option<PathBuf>,
    /// The server's process, for its CPU time and memory
    #[arg(long, conflicts_with = "serve")]
    pub(crate) pid: Option<u32>,
    /// The server's data folder, for its size on disk (with --serve: use and keep it)
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Write the figures to this file too
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Statuses that a read after a delete may have
    #[arg(long, value_delimiter = ',', default_value = "410")]
    pub(crate) gone: Vec<u16>,
    /// Top-level properties that the server adds by itself
    #[arg(long, value_delimiter = ',')]
    pub(crate) ignore: Vec<String>,
    /// Send updates without If-Match
    #[arg(long)]
    pub(crate) no_if_match: bool,
    /// Seconds to wait for an answer
    #[arg(long, default_value = "60", value_parser = seconds)]
    pub(crate) timeout: f64,
}

/// The workloads by name.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Workload {
    /// Nine linked types: create, read, update, delete in reverse
    Crud,
    /// `$everything` of patients from a folder
    Everything,
    /// Transaction bundles from a folder
    Import,
    /// 10/60/25/5 create, read, update, delete over five types
    Mixed,
    /// Thirty shapes of search
    Search,
    /// Transactions of two entries, and reads by id
    Small,
    /// All of them
    All,
}

impl Workload {
    /// Whether this one was asked for, alone or with all.
    pub(crate) fn includes(self, other: Self) -> bool {
        self == other || self == Self::All
    }
}

fn seconds(text: &str) -> Result<f64, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number of seconds")?;
    if (0.0..=86_400.0).contains(&seconds) {
        Ok(seconds)
    } else {
        Err("from 0 to 86400".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
        let parse = |line: &str| Cli::try_parse_from(line.split(' '));
        assert!(parse("salus-bench --base http://127.0.0.1/fhir --workload small").is_ok());
        assert!(parse("salus-bench --serve salus --seconds 5 --gone 404,410").is_ok());
        assert!(parse("salus-bench").is_err());
        assert!(parse("salus-bench --serve salus --base http://127.0.0.1").is_err());
        assert!(parse("salus-bench --serve salus --seconds -1").is_err());
        assert!(parse("salus-bench --base http://127.0.0.1 --client-id x").is_err());
    }
}
