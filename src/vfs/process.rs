//! Which process is behind a request.
//!
//! The header of a request names a thread. Its process is asked of `/proc` while the thread waits
//! for the answer, so it cannot have gone meanwhile; a number that `/proc` does not know belongs to
//! another pid namespace, and all of those count as one process.

use std::fs;

/// Who asks, as the header of a request says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller(
    /// Thread id; 0 for a thread of a pid namespace that cannot be seen from here.
    pub u32,
);

/// A process, told from a later one with the same number by its start time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Process {
    /// 0 for all processes that cannot be seen.
    pid: u32,
    /// Clock ticks since boot.
    started: u64,
}

/// Programs that are asked for a whole tree or a selection and never for one name as `rmdir` is:
/// they remove a directory first and list it only if that fails (file managers), or list nothing
/// but the directory above (`find -maxdepth 1 -delete`). The kernel keeps 15 bytes of a name.
const WALKERS: [&str; 16] = [
    "find",
    "git",
    "rsync",
    "mc",
    "gio",
    "nautilus",
    "nemo",
    "caja",
    "thunar",
    "Thunar",
    "pcmanfm",
    "pcmanfm-qt",
    "dolphin",
    "krusader",
    "kioworker",
    "kioslave5",
];

/// Programs in whose language the recursive removal is so: it removes each directory first and lists
/// it only where that fails (`fs.rm` of Node.js). They may give themselves any name, so these are
/// names of executables.
const RUNTIMES: [&str; 6] = ["node", "nodejs", "electron", "code", "codium", "cursor"];

impl Process {
    /// All processes that cannot be seen.
    pub(crate) const UNSEEN: Self = Self { pid: 0, started: 0 };

    /// The process of a thread, and whether it is one of the programs that remove whole trees.
    pub(crate) fn of(caller: Caller) -> (Self, bool) {
        seen(caller.0).unwrap_or((Self::UNSEEN, false))
    }

    /// Whether it still runs. What cannot be seen is taken to run for ever.
    pub(crate) fn is_alive(self) -> bool {
        self == Self::UNSEEN || stat(self.pid).is_some_and(|(_, started)| started == self.started)
    }

    #[cfg(test)]
    pub(crate) fn numbered(pid: u32, started: u64) -> Self {
        Self { pid, started }
    }
}

fn seen(thread: u32) -> Option<(Process, bool)> {
    if thread == 0 {
        return None;
    }
    let status = fs::read_to_string(format!("/proc/{thread}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("Tgid:"))?;
    let pid = line.trim().parse().ok()?;
    let (name, started) = stat(pid)?;
    let is_one = |name: &str| WALKERS.contains(&name) || RUNTIMES.contains(&name);
    let walker = is_one(&name) || executable(pid).is_some_and(|name| is_one(&name));
    Some((Process { pid, started }, walker))
}

/// Name of the executable of a process, where that may be seen.
fn executable(pid: u32) -> Option<String> {
    let path = fs::read_link(format!("/proc/{pid}/exe")).ok()?;
    Some(path.file_name()?.to_string_lossy().into_owned())
}

/// Name and start time of a process: fields 2 and 22 of `/proc/PID/stat`, see proc(5). The name may
/// hold spaces and parentheses, so the last parenthesis ends it.
fn stat(pid: u32) -> Option<(String, u64)> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (head, tail) = text.rsplit_once(')')?;
    let (_, name) = head.split_once('(')?;
    let started = tail.split_whitespace().nth(19)?.parse().ok()?;
    Some((name.to_owned(), started))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_thread_of_a_process_is_that_process() {
        let own = Process::of(Caller(std::process::id()));
        let thread = std::thread::spawn(|| {
            let id = rustix::thread::gettid().as_raw_nonzero().get();
            Process::of(Caller(u32::try_from(id).unwrap()))
        });
        assert_eq!(thread.join().unwrap(), own);
        assert_ne!(own.0, Process::UNSEEN);
        assert!(own.0.is_alive());
        assert!(
            !Process {
                started: 1,
                ..own.0
            }
            .is_alive()
        );
    }

    #[test]
    fn what_cannot_be_seen_is_one_process_that_lives_for_ever() {
        let hidden = Process::of(Caller(0));
        assert_eq!(hidden, (Process::UNSEEN, false));
        assert_eq!(Process::of(Caller(u32::MAX)).0, Process::UNSEEN);
        assert!(hidden.0.is_alive());
    }
}
