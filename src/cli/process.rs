//! Other processes, named in a way that survives the reuse of their ids.

use std::fs;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};

/// A process: its id and when it started, in clock ticks since boot. The pair is never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ProcessId {
    /// The id.
    pub(crate) pid: u32,
    /// Field 22 of `/proc/<pid>/stat`; 0 where that cannot be read.
    pub(crate) started: u64,
}

impl ProcessId {
    /// This process.
    pub(crate) fn own() -> Self {
        let pid = std::process::id();
        Self {
            pid,
            started: start_ticks(pid).unwrap_or(0),
        }
    }

    /// Whether the very same process still runs.
    pub(crate) fn is_alive(self) -> bool {
        start_ticks(self.pid) == Some(self.started)
    }

    /// Asks the process to end.
    ///
    /// # Errors
    /// When it is not ours to signal, or gone.
    pub(crate) fn terminate(self) -> std::io::Result<()> {
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw);
        match pid {
            Some(pid) if self.is_alive() => Ok(kill_process(pid, Signal::TERM)?),
            _ => Err(std::io::ErrorKind::NotFound.into()),
        }
    }
}

/// Start time of a process that is there and not a zombie.
fn start_ticks(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The command may hold blanks and brackets; what follows the last bracket is numbers.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?;
    (state != "Z").then(|| fields.nth(18)?.parse().ok())?
}

/// Resident memory of this process in bytes; 0 where `/proc` is missing.
pub(crate) fn resident_bytes() -> u64 {
    fs::read_to_string("/proc/self/status")
        .ok()
        .and_then(|status| {
            let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
            line.split_whitespace().nth(1)?.parse::<u64>().ok()
        })
        .map_or(0, |kib| kib * 1024)
}

/// How often a condition is looked at: short beside what a person notices.
const POLL: Duration = Duration::from_millis(20);

/// Waits until a condition holds; false when `limit` passed first.
pub(crate) fn wait_until(limit: Duration, mut holds: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + limit;
    loop {
        if holds() {
            return true;
        }
        if Instant::now() >= end {
            return false;
        }
        std::thread::sleep(POLL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_alive_and_one_with_its_id_from_another_time_is_not() {
        let own = ProcessId::own();
        assert!(own.is_alive() && own.started > 0);
        let other = ProcessId {
            started: own.started + 1,
            ..own
        };
        assert!(!other.is_alive());
        assert!(other.terminate().is_err());
    }

    #[test]
    fn memory_is_known() {
        assert!(resident_bytes() > 1 << 20);
    }
}
