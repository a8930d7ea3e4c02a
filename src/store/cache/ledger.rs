//! The count that all mounts of a cache share, and the lock around it.
//!
//! What makes it hard, and the answer:
//! 1. A process may die at any moment: the lock is one that the kernel drops with its process
//!    (`flock`), and no file that could stay behind.
//! 2. A process may also hang at any moment, holding it: nobody waits longer than [`PATIENCE`], and
//!    after one such wait nobody waits at all until the lock is free again. A content that cannot be
//!    counted is served without being kept.
//! 3. Somebody may empty the directory meanwhile: a lock on a file without a name protects nothing,
//!    so the name is looked at once the lock is there.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use rustix::fs::FlockOperation;
use rustix::io::Errno;

use super::scratch::{adopt_owner, with_parent};

/// Longest wait for the others: a look at 300,000 blobs, and well below the deadline of a read that
/// waits for the verdict on its content.
const PATIENCE: Duration = Duration::from_secs(5);

/// First pause between two tries: what an addition takes.
const FIRST_PAUSE: Duration = Duration::from_micros(50);

/// Longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_millis(5);

/// Times that the file is opened again because it lost its name.
const REOPENS: usize = 3;

/// What all mounts together have added. In the file: two little-endian numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Count {
    /// Bytes. Never too low, because it grows before a blob gets its name.
    pub(super) used: u64,
    /// When everything was counted last, in nanoseconds since 1970; 0 where nobody did. No two
    /// countings have the same.
    pub(super) counted: u64,
}

impl Count {
    /// How long ago everything was counted.
    pub(super) fn age(self) -> Duration {
        Duration::from_nanos(now().saturating_sub(self.counted))
    }

    /// Everything was counted now.
    pub(super) fn renew(&mut self, used: u64) {
        self.used = used;
        self.counted = now().max(self.counted.saturating_add(1));
    }

    fn read(file: &File) -> Self {
        let mut bytes = [0; 16];
        // Short means new: nothing was added and nothing counted.
        if file.read_exact_at(&mut bytes, 0).is_err() {
            return Self::default();
        }
        let [used, counted] = [0, 8].map(|at| {
            let mut number = [0; 8];
            number.copy_from_slice(&bytes[at..at + 8]);
            u64::from_le_bytes(number)
        });
        Self { used, counted }
    }
}

fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |since| {
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    })
}

/// The count while nobody else can change it.
pub(super) struct Held<'a>(&'a File);

impl Held<'_> {
    pub(super) fn read(&self) -> Count {
        Count::read(self.0)
    }

    pub(super) fn write(&self, count: Count) -> io::Result<()> {
        let bytes = [count.used.to_le_bytes(), count.counted.to_le_bytes()].concat();
        self.0.write_all_at(&bytes, 0)
    }
}

/// The file, and this process's way to it.
pub(super) struct Ledger {
    root: PathBuf,
    /// Once it was needed. One thread of a process has the lock at a time.
    file: Mutex<Option<File>>,
    /// Somebody held the lock for longer than [`PATIENCE`], and it was not free since.
    hung: AtomicBool,
}

impl Ledger {
    pub(super) fn new(root: PathBuf) -> Self {
        Self {
            root,
            file: Mutex::default(),
            hung: AtomicBool::new(false),
        }
    }

    fn path(&self) -> PathBuf {
        self.root.join("wandbfs/ledger")
    }

    /// What was counted last, without waiting for anybody.
    pub(super) fn read(&self) -> Count {
        File::open(self.path()).map_or(Count::default(), |file| Count::read(&file))
    }

    /// Runs `work` while no other thread or process does.
    ///
    /// # Errors
    /// Those of `work`; `TimedOut` when somebody else does not come to an end.
    pub(super) fn locked<T>(&self, work: impl FnOnce(&Held<'_>) -> io::Result<T>) -> io::Result<T> {
        let patience = match self.hung.load(Relaxed) {
            true => Duration::ZERO,
            false => PATIENCE,
        };
        let until = Instant::now() + patience;
        let mut kept = self.file.try_lock_until(until).ok_or(Errno::TIMEDOUT)?;
        let mut file = match kept.take() {
            Some(file) => file,
            None => self.open()?,
        };
        for _ in 0..REOPENS {
            let locked = lock(&file, until);
            self.hung.store(locked.is_err(), Relaxed);
            locked?;
            if is_at(&file, &self.path()) {
                break;
            }
            file = self.open()?;
        }
        let done = work(&Held(&file));
        let _unlocked = rustix::fs::flock(&file, FlockOperation::Unlock);
        *kept = Some(file);
        done
    }

    fn open(&self) -> io::Result<File> {
        let path = self.path();
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let file = with_parent(&self.root, &path, || options.open(&path))?;
        adopt_owner(&file, &self.root)?;
        Ok(file)
    }
}

/// Waits for the lock. A file system that has none leaves mounts to count past each other until
/// somebody counts everything.
fn lock(file: &File, until: Instant) -> io::Result<()> {
    let mut pause = FIRST_PAUSE;
    while let Err(Errno::WOULDBLOCK) =
        rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive)
    {
        if Instant::now() >= until {
            return Err(Errno::TIMEDOUT.into());
        }
        thread::sleep(pause);
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
    Ok(())
}

/// Whether an open file is still the one with that name.
fn is_at(file: &File, path: &Path) -> bool {
    let ours = file.metadata().map(|meta| (meta.dev(), meta.ino()));
    let there = std::fs::metadata(path).map(|meta| (meta.dev(), meta.ino()));
    matches!((ours, there), (Ok(ours), Ok(there)) if ours == there)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn whoever_hangs_with_the_lock_costs_the_others_one_wait() {
        let dir = tempfile::tempdir().unwrap();
        let ledger = Ledger::new(dir.path().to_owned());
        let count = Count {
            used: 7,
            counted: 8,
        };
        ledger.locked(|held| held.write(count)).unwrap();
        let hung = File::open(ledger.path()).unwrap();
        rustix::fs::flock(&hung, FlockOperation::LockExclusive).unwrap();
        let begun = Instant::now();
        for _ in 0..100 {
            let refused = ledger.locked(|_| Ok(())).unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::TimedOut);
        }
        assert!(begun.elapsed() < 2 * PATIENCE, "{:?}", begun.elapsed());
        assert_eq!(ledger.read(), count);
        drop(hung);
        ledger.locked(|_| Ok(())).unwrap();
    }

    #[test]
    fn a_ledger_that_was_removed_is_made_again() {
        let dir = tempfile::tempdir().unwrap();
        let ledger = Ledger::new(dir.path().to_owned());
        ledger.locked(|_| Ok(())).unwrap();
        std::fs::remove_dir_all(dir.path().join("wandbfs")).unwrap();
        let count = Count {
            used: 1,
            counted: 2,
        };
        ledger.locked(|held| held.write(count)).unwrap();
        assert_eq!(ledger.read(), count);
    }
}
