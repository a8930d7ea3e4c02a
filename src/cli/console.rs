//! Standard output: text for people, or JSON, one object a line.

use std::io::{self, Write as _};

use serde::Serialize;

use super::outcome::Outcome;

/// Where results go. Everything else (warnings, progress) goes to stderr through the log.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Console {
    /// Whether `--json` was given.
    pub(crate) json: bool,
}

impl Console {
    /// One object as a line of JSON. Flushed, since another program may wait for it.
    ///
    /// # Errors
    /// When nobody reads any more, or the disk is full.
    pub(crate) fn object(self, value: &impl Serialize) -> Outcome {
        let mut out = io::stdout().lock();
        serde_json::to_writer(&mut out, value).map_err(io::Error::from)?;
        out.write_all(b"\n")?;
        Ok(out.flush()?)
    }

    /// A line of text.
    ///
    /// # Errors
    /// As [`Console::object`].
    pub(crate) fn text(self, line: &str) -> Outcome {
        let mut out = io::stdout().lock();
        writeln!(out, "{line}")?;
        Ok(out.flush()?)
    }

    /// The object with `--json`, the text without.
    ///
    /// # Errors
    /// As [`Console::object`].
    pub(crate) fn either(self, value: &impl Serialize, text: &str) -> Outcome {
        if self.json {
            self.object(value)
        } else {
            self.text(text)
        }
    }
}
