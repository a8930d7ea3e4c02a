//! The log: one line per event on stderr, filtered by `WANDBFS_LOG` (syntax of `RUST_LOG`).

use std::io::{self, IsTerminal as _};

use tracing_subscriber::EnvFilter;

/// Environment variable that holds the filter; `info` for this crate and `warn` for others without.
const FILTER_VARIABLE: &str = "WANDBFS_LOG";

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line (`WANDBFS_LOG_FORMAT=json`).
    Json,
}

impl LogFormat {
    /// Reads `WANDBFS_LOG_FORMAT`; anything but `json` is text.
    pub fn from_environment() -> Self {
        match std::env::var("WANDBFS_LOG_FORMAT").as_deref() {
            Ok("json") => Self::Json,
            _ => Self::Text,
        }
    }
}

/// Sends the log to stderr, with `default` as the filter where the environment names none. Later
/// calls change nothing: the first one wins, so that a test may set up its own.
pub fn set_up_log(default: &str, format: LogFormat) {
    let filter =
        EnvFilter::try_from_env(FILTER_VARIABLE).unwrap_or_else(|_| EnvFilter::new(default));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(io::stderr().is_terminal())
        .with_writer(io::stderr);
    let _already_set = match format {
        LogFormat::Text => builder.with_target(false).try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
}
