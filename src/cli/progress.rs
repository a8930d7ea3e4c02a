//! Progress of long commands: one line that changes on a terminal, plain lines elsewhere, objects
//! with `--json`.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use serde::Serialize;

use super::console::Console;

/// Between two changes of a line on a terminal: smooth to the eye, nothing to the processor.
const ON_TERMINAL: Duration = Duration::from_millis(200);

/// Between two lines in a log, where every line stays.
const IN_LOG: Duration = Duration::from_secs(10);

/// Between two objects for a program.
const FOR_PROGRAMS: Duration = Duration::from_secs(1);

/// Progress towards a number of bytes and files, where those are known.
pub(crate) struct Progress {
    console: Console,
    terminal: bool,
    begun: Instant,
    told: Instant,
    files: u64,
    bytes: u64,
    /// Bytes of what is not done yet.
    under_way: u64,
    all_bytes: Option<u64>,
    all_files: Option<u64>,
}

/// An object of `--json`.
#[derive(Debug, Serialize)]
struct Event {
    event: &'static str,
    files: u64,
    bytes: u64,
    total_files: Option<u64>,
    total_bytes: Option<u64>,
    bytes_per_second: u64,
    seconds_left: Option<u64>,
}

impl Progress {
    pub(crate) fn new(console: Console, all_bytes: Option<u64>, all_files: Option<u64>) -> Self {
        Self {
            console,
            terminal: io::stderr().is_terminal(),
            begun: Instant::now(),
            told: Instant::now(),
            files: 0,
            bytes: 0,
            under_way: 0,
            all_bytes,
            all_files,
        }
    }

    /// More is done.
    pub(crate) fn add(&mut self, files: u64, bytes: u64) {
        self.files += files;
        self.bytes += bytes;
        self.tell();
    }

    /// So many bytes have come of what is not done yet.
    pub(crate) fn under_way(&mut self, bytes: u64) {
        self.under_way = bytes;
    }

    /// Says where things are, if the last word is long enough ago.
    pub(crate) fn tell(&mut self) {
        let pause = match (self.console.json, self.terminal) {
            (true, _) => FOR_PROGRAMS,
            (false, true) => ON_TERMINAL,
            (false, false) => IN_LOG,
        };
        if self.told.elapsed() < pause {
            return;
        }
        self.told = Instant::now();
        let done = self.bytes.saturating_add(self.under_way);
        let done = self.all_bytes.map_or(done, |all| done.min(all));
        let rate = per_second(done, self.begun.elapsed());
        let left = self
            .all_bytes
            .filter(|_| rate > 0)
            .map(|all| all.saturating_sub(done) / rate);
        // Progress that nobody can read is no reason to stop working.
        let _unheard = match self.console.json {
            true => self.console.object(&Event {
                event: "progress",
                files: self.files,
                bytes: done,
                total_files: self.all_files,
                total_bytes: self.all_bytes,
                bytes_per_second: rate,
                seconds_left: left,
            }),
            false => self.line(done, rate, left).map_err(Into::into),
        };
    }

    fn line(&self, done: u64, rate: u64, left: Option<u64>) -> io::Result<()> {
        let of = |all: Option<String>| all.map_or_else(String::new, |all| format!(" of {all}"));
        let text = format!(
            "{}{}, {}{} files, {}/s{}",
            bytes(done),
            of(self.all_bytes.map(bytes)),
            self.files,
            of(self.all_files.map(|all| all.to_string())),
            bytes(rate),
            left.map_or_else(String::new, |left| format!(", {} left", time(left))),
        );
        let mut err = io::stderr().lock();
        match self.terminal {
            // Back to the start of the line, and nothing of the old one behind the new one.
            true => write!(err, "\r{text}\x1b[K")?,
            false => writeln!(err, "{text}")?,
        }
        err.flush()
    }

    /// Leaves the terminal's line to whoever writes next.
    pub(crate) fn finish(&self) {
        if self.terminal && !self.console.json {
            let _unheard = write!(io::stderr(), "\r\x1b[K");
        }
    }

    /// Seconds since the beginning.
    pub(crate) fn seconds(&self) -> f64 {
        self.begun.elapsed().as_secs_f64()
    }
}

fn per_second(bytes: u64, elapsed: Duration) -> u64 {
    let millis = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
    bytes.saturating_mul(1000) / millis.max(1)
}

/// Bytes for people: `1.5 GiB`.
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut unit = 0;
    let mut value = count as f64;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    match unit {
        0 => format!("{count} B"),
        _ => format!("{value:.1} {}", UNITS[unit]),
    }
}

/// Seconds for people: `2:05`, `1:00:00`.
fn time(seconds: u64) -> String {
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match hours {
        0 => format!("{minutes}:{seconds:02}"),
        _ => format!("{hours}:{minutes:02}:{seconds:02}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_written_for_people() {
        assert_eq!(bytes(1023), "1023 B");
        assert_eq!(bytes(1536 << 20), "1.5 GiB");
        assert_eq!(time(125), "2:05");
        assert_eq!(time(3600), "1:00:00");
        assert_eq!(per_second(500, Duration::from_millis(500)), 1000);
    }
}
