//! How a command ends: exit codes, the one shape of an error message, and closed pipes.
//!
//! Whatever fails becomes a [`Failure`]: what was tried, why it did not work, what to do. It is
//! printed here and nowhere else, as two lines of text or as one JSON object.

use std::fmt;
use std::io::{self, Write as _};
use std::process::ExitCode;

use serde::{Deserialize, Serialize};

use crate::fuse::MountError;
use crate::model::{Error, ErrorKind};
use crate::server::ServeError;
use crate::wandb::config::{Config, ConfigError, CredentialError};

/// Exit codes, pinned in the interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[repr(u8)]
pub(crate) enum Exit {
    /// Something else went wrong.
    Failed = 1,
    /// The command line makes no sense.
    Usage = 2,
    /// Not signed in, or not allowed.
    NotAllowed = 3,
    /// What was named does not exist.
    NotFound = 4,
    /// The server could not be reached in time.
    Network = 5,
    /// The mount point, the device or a permission stands in the way.
    CannotMount = 6,
}

/// What a command gives back.
pub(crate) type Outcome<T = ()> = Result<T, Stop>;

/// Why a command ends before its end.
#[derive(Debug)]
pub(crate) enum Stop {
    /// It failed.
    Failed(Failure),
    /// It failed, and has said so in its own output.
    Reported(Exit),
    /// Nobody reads its output any more (`wandbfs ls … | head`): success.
    ReaderGone,
}

/// A failure as people and programs see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Failure {
    /// Exit code.
    pub(crate) exit: Exit,
    /// What was tried: `mount /mnt/x`.
    pub(crate) what: String,
    /// Why it did not work, in one sentence without a full stop.
    pub(crate) why: String,
    /// What to do about it.
    pub(crate) hint: String,
}

impl Failure {
    /// A failure in words.
    pub(crate) fn new(
        exit: Exit,
        what: impl Into<String>,
        why: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self {
            exit,
            what: what.into(),
            why: why.into(),
            hint: hint.into(),
        }
    }

    /// A command line that makes no sense.
    pub(crate) fn usage(command: &str, why: impl Into<String>) -> Self {
        let hint = format!("see `wandbfs {command} --help`");
        Self::new(Exit::Usage, format!("usage of {command}"), why, hint)
    }

    /// Trouble with a local file or process.
    pub(crate) fn io(what: impl Into<String>, error: &io::Error, hint: impl Into<String>) -> Self {
        let exit = match error.kind() {
            io::ErrorKind::PermissionDenied => Exit::NotAllowed,
            io::ErrorKind::NotFound => Exit::NotFound,
            _ => Exit::Failed,
        };
        Self::new(exit, what, error.to_string(), hint)
    }

    /// A setting that cannot be used.
    pub(crate) fn config(error: &ConfigError) -> Self {
        let hint = "correct or unset it; `wandbfs doctor` shows where each value comes from";
        Self::new(Exit::Usage, "configuration", error.to_string(), hint)
    }

    /// No credential that could be sent.
    pub(crate) fn credential(error: &CredentialError, config: &Config) -> Self {
        let hint = match error {
            CredentialError::None { netrc, machine, .. } => format!(
                "set WANDB_API_KEY to the key shown at {}/authorize, or add `machine {machine} login user password KEY` to {netrc}",
                config.app_url
            ),
            CredentialError::Malformed { .. } => format!(
                "replace it by the key shown at {}/authorize",
                config.app_url
            ),
            CredentialError::Both => "unset one of them".to_owned(),
            CredentialError::KeyFile { .. } => {
                "name a readable file that holds the key and nothing else".to_owned()
            }
        };
        Self::new(Exit::NotAllowed, "not signed in", error.to_string(), hint)
    }

    /// A failure of the API or the store while doing `what`. Says which credential was used, since
    /// that is the first question when a server refuses.
    pub(crate) fn remote(what: impl Into<String>, error: &Error, config: &Config) -> Self {
        let base_url = &config.base_url.value;
        let source = config.credential_source();
        let (exit, hint) = match error.kind() {
            ErrorKind::NotFound => (
                Exit::NotFound,
                "check the spelling with `wandbfs ls` on the directory above".to_owned(),
            ),
            ErrorKind::NotSignedIn => (
                Exit::NotAllowed,
                format!(
                    "the credential came from: {source}; get a key at {}/authorize",
                    config.app_url
                ),
            ),
            ErrorKind::Forbidden | ErrorKind::NotPermitted => (
                Exit::NotAllowed,
                format!("ask for access, or sign in as someone else (credential from: {source})"),
            ),
            ErrorKind::Network | ErrorKind::Deadline => (
                Exit::Network,
                format!(
                    "check that {base_url} ({}) can be reached; `wandbfs doctor` looks step by step",
                    config.base_url.source
                ),
            ),
            ErrorKind::Offline => (
                Exit::Network,
                "leave out --offline to ask the server".to_owned(),
            ),
            ErrorKind::Invalid => (Exit::Failed, "check the arguments".to_owned()),
            ErrorKind::Busy => (Exit::Failed, "try again".to_owned()),
            ErrorKind::Corrupt => (
                Exit::Failed,
                "the stored content does not match its manifest; nothing wrong was kept".to_owned(),
            ),
            ErrorKind::Unsupported => (
                Exit::Failed,
                "this server or store has no such feature".to_owned(),
            ),
            ErrorKind::Io => (
                Exit::Failed,
                "`wandbfs doctor` checks the cache directory".to_owned(),
            ),
        };
        Self::new(exit, what, error.chain(), hint)
    }

    /// What stands in the way of a mount.
    pub(crate) fn mount(what: impl Into<String>, error: &MountError) -> Self {
        Self::new(Exit::CannotMount, what, chain(error), error.hint())
    }

    /// Why the embedded server does not run.
    pub(crate) fn serve(error: &ServeError) -> Self {
        let hint = match error {
            ServeError::Busy(_) => "stop the other server, or choose another --data",
            ServeError::Data { .. } => "choose a --data directory that can be written",
            ServeError::Listen { .. } => "choose another --listen; port 0 takes a free one",
            ServeError::Schema(_) | ServeError::Stopped(_) => {
                "set WANDBFS_LOG=debug and report what it says"
            }
        };
        Self::new(Exit::Failed, "serve", chain(error), hint)
    }

    /// Prints to stderr.
    pub(crate) fn print(&self, json: bool) {
        // stderr that cannot be written leaves nobody to tell
        let _unheard = if json {
            let body = serde_json::json!({"error": {
                "code": self.exit as u8,
                "message": format!("{}: {}", self.what, self.why),
                "hint": self.hint,
            }});
            writeln!(io::stderr(), "{body}")
        } else {
            writeln!(io::stderr(), "wandbfs: {self}\n{}", self.hint)
        };
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let one_line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        write!(f, "{}: {}", one_line(&self.what), one_line(&self.why))
    }
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// Only output is written with `?` on an [`io::Result`], so a broken pipe there means that the
/// reader had enough.
impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::ReaderGone;
        }
        Self::Failed(Failure::io(
            "standard output",
            &error,
            "check where the output goes",
        ))
    }
}

/// Ends the process's work: prints what is to be printed and gives the exit code.
pub(crate) fn finish(outcome: Outcome, json: bool) -> ExitCode {
    match outcome {
        Ok(()) | Err(Stop::ReaderGone) => ExitCode::SUCCESS,
        Err(Stop::Reported(exit)) => ExitCode::from(exit as u8),
        Err(Stop::Failed(failure)) => {
            failure.print(json);
            ExitCode::from(failure.exit as u8)
        }
    }
}

/// An error with every cause, joined by `: `.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_one_line_whatever_the_cause_said() {
        let failure = Failure::new(Exit::Failed, "mount /x", "it said\n  no", "do this");
        assert_eq!(failure.to_string(), "mount /x: it said no");
    }

    #[test]
    fn a_closed_pipe_is_success() {
        let closed = io::Error::from(io::ErrorKind::BrokenPipe);
        assert!(matches!(Stop::from(closed), Stop::ReaderGone));
    }
}
