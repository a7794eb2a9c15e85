//! Why a run could not be made at all. Wrong answers are not here: they are counted and reported.

use std::path::PathBuf;

/// What stops the program.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The base URL is unusable.
    #[error("--base: {0}")]
    Base(&'static str),
    /// The token cannot be put into a header.
    #[error("the token holds characters that no HTTP header may hold")]
    Token,
    /// `--serve` did not bring up a server.
    #[error("the server did not start: {0}")]
    Serve(String),
    /// The folder of bundles is unusable.
    #[error("{path}: {reason}")]
    Bundles {
        /// The folder or file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The data that a workload reads could not be written.
    #[error("loading failed: {0}")]
    Load(String),
    /// Files and sockets.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The JSON report could not be written.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
}
