//! Open files and directories by the number that the kernel brings back.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use parking_lot::Mutex;

use super::errno::Errno;

/// Handles of one kind. Numbers are never used twice, so that a late request for a closed handle
/// cannot reach another file.
#[derive(Debug)]
pub(crate) struct Handles<T> {
    last: AtomicU64,
    open: Mutex<HashMap<u64, Arc<T>>>,
}

impl<T> Default for Handles<T> {
    fn default() -> Self {
        Self {
            last: AtomicU64::new(0),
            open: Mutex::new(HashMap::new()),
        }
    }
}

impl<T> Handles<T> {
    /// Keeps something open and gives its number.
    pub(crate) fn insert(&self, item: T) -> u64 {
        let number = self.last.fetch_add(1, Relaxed) + 1;
        self.open.lock().insert(number, Arc::new(item));
        number
    }

    /// What is open under a number; `EBADF` if nothing is.
    pub(crate) fn get(&self, number: u64) -> Result<Arc<T>, Errno> {
        self.open.lock().get(&number).cloned().ok_or(Errno::EBADF)
    }

    /// Closes a number; requests that still run keep the thing alive.
    pub(crate) fn remove(&self, number: u64) -> Result<Arc<T>, Errno> {
        self.open.lock().remove(&number).ok_or(Errno::EBADF)
    }

    /// How many are open.
    pub(crate) fn len(&self) -> usize {
        self.open.lock().len()
    }
}
