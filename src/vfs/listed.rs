//! Who has listed what: the rule that recursive tools delete nothing on the server.
//!
//! `rm -r`, `find -delete`, `shutil.rmtree` and the like remove what they have just listed, and some
//! go on after an error. Whoever names one thing (`rmdir coll`, `rm coll/alias`, a program that was
//! given the name) lists nothing. So a process that has listed a directory itself may not remove
//! it, nor an alias in it.
//!
//! Only directories above the content of versions are kept: content refuses everything anyway.

use std::collections::{HashMap, HashSet};

use parking_lot::Mutex;

use super::process::Process;

/// Processes that are kept, about 200 bytes each and 16 for each directory: 16 MiB if all of them
/// had listed all they can.
const PROCESSES: usize = 1024;

/// Directories kept of one process. One that has listed more walks the whole tree and counts as
/// having listed everything, which errs on the side of deleting nothing.
const DIRECTORIES: usize = 1024;

/// What one process has listed, by inode number.
#[derive(Debug)]
enum Seen {
    These(HashSet<u64>),
    Everything,
}

#[derive(Debug)]
struct Record {
    seen: Seen,
    /// Number of its latest listing.
    latest: u64,
}

/// The table.
#[derive(Debug, Default)]
pub(crate) struct Listed {
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    processes: HashMap<Process, Record>,
    listings: u64,
}

impl Listed {
    /// Keeps that a process has begun to read a directory.
    pub(crate) fn note(&self, process: Process, directory: u64) {
        self.note_within(
            process,
            directory,
            PROCESSES,
            DIRECTORIES,
            Process::is_alive,
        );
    }

    fn note_within(
        &self,
        process: Process,
        directory: u64,
        processes: usize,
        directories: usize,
        is_alive: impl Fn(Process) -> bool,
    ) {
        let mut table = self.table.lock();
        table.listings += 1;
        let latest = table.listings;
        if !table.processes.contains_key(&process) && table.processes.len() >= processes {
            table.processes.retain(|process, _| is_alive(*process));
            if table.processes.len() >= processes {
                table.forget_oldest();
            }
        }
        let record = table.processes.entry(process).or_insert_with(|| Record {
            seen: Seen::These(HashSet::new()),
            latest,
        });
        record.latest = latest;
        if let Seen::These(seen) = &mut record.seen {
            seen.insert(directory);
            if seen.len() > directories {
                record.seen = Seen::Everything;
            }
        }
    }

    /// Whether a process has listed a directory.
    pub(crate) fn has(&self, process: Process, directory: u64) -> bool {
        match self.table.lock().processes.get(&process) {
            None => false,
            Some(record) => match &record.seen {
                Seen::Everything => true,
                Seen::These(seen) => seen.contains(&directory),
            },
        }
    }
}

impl Table {
    /// Room for one more where all kept processes live: the one that has listed nothing for longest
    /// is the least likely to be in the middle of a removal.
    fn forget_oldest(&mut self) {
        let oldest = self
            .processes
            .iter()
            .min_by_key(|(_, record)| record.latest);
        if let Some(process) = oldest.map(|(process, _)| *process) {
            self.processes.remove(&process);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(pid: u32) -> Process {
        Process::numbered(pid, 7)
    }

    #[test]
    fn only_the_process_that_listed_a_directory_has_listed_it() {
        let listed = Listed::default();
        listed.note(process(1), 10);
        assert!(listed.has(process(1), 10));
        assert!(!listed.has(process(1), 11));
        assert!(!listed.has(process(2), 10));
        assert!(
            !listed.has(Process::numbered(1, 8), 10),
            "its number is used anew"
        );
    }

    #[test]
    fn who_lists_very_much_has_listed_everything() {
        let listed = Listed::default();
        for directory in 0..4 {
            listed.note_within(process(1), directory, 9, 3, |_| true);
        }
        assert!(listed.has(process(1), 99));
    }

    #[test]
    fn a_full_table_forgets_the_dead_and_then_the_oldest() {
        let listed = Listed::default();
        for pid in 1..=3 {
            listed.note_within(process(pid), 10, 3, 3, |_| true);
        }
        listed.note_within(process(4), 10, 3, 3, |p| p != process(2));
        let kept = |pid| listed.has(process(pid), 10);
        assert_eq!([1, 2, 3, 4].map(kept), [true, false, true, true]);
        listed.note_within(process(1), 11, 3, 3, |_| true);
        listed.note_within(process(5), 10, 3, 3, |_| true);
        assert_eq!([1, 3, 4, 5].map(kept), [true, false, true, true]);
    }
}
