//! Taking turns: of long work on one row, only one at a time.

use std::collections::HashSet;

use parking_lot::{Condvar, Mutex};

/// The rows whose long work is under way.
#[derive(Default)]
pub(super) struct Turns {
    taken: Mutex<HashSet<i64>>,
    ended: Condvar,
}

impl Turns {
    /// Waits for the turn of `row`, which lasts until the answer is dropped.
    pub(super) fn enter(&self, row: i64) -> Turn<'_> {
        let mut taken = self.taken.lock();
        while !taken.insert(row) {
            self.ended.wait(&mut taken);
        }
        Turn { turns: self, row }
    }
}

/// The one turn of a row.
pub(super) struct Turn<'a> {
    turns: &'a Turns,
    row: i64,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.turns.taken.lock().remove(&self.row);
        self.turns.ended.notify_all();
    }
}
