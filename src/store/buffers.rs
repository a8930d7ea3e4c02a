//! Buffers for what is read from disk.
//!
//! A fresh megabyte costs more than what is read into it: the kernel hands out zeroed pages one by
//! one and takes them back at the end. So a few are kept and used again while they are still in the
//! processor's cache.

use bytes::Bytes;
use parking_lot::Mutex;

/// Largest buffer that is kept: the largest read of the kernel.
const LARGE: usize = 1 << 20;

/// Below, a fresh one costs next to nothing.
const SMALL: usize = 64 << 10;

/// Buffers kept: one for each read that is answered on the spot by as many session threads. 4 MiB.
const KEPT: usize = 4;

static FREE: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

/// A buffer; kept again when it, or what became of it, is dropped.
pub(super) struct Buffer {
    /// Of [`LARGE`] bytes where it is to be kept.
    space: Vec<u8>,
    length: usize,
}

/// A buffer of this length. What it holds is arbitrary.
pub(super) fn of(length: usize) -> Buffer {
    let is_kept = (SMALL..=LARGE).contains(&length);
    let free = is_kept.then(|| FREE.lock().pop()).flatten();
    let size = if is_kept { LARGE } else { length };
    Buffer {
        space: free.unwrap_or_else(|| vec![0; size]),
        length,
    }
}

impl Buffer {
    /// All of it.
    pub(super) fn bytes(&mut self) -> &mut [u8] {
        &mut self.space[..self.length]
    }

    /// The first `filled` bytes, for reading; nothing is copied.
    pub(super) fn freeze(mut self, filled: usize) -> Bytes {
        self.length = filled.min(self.length);
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.space[..self.length]
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if self.space.len() == LARGE {
            let mut free = FREE.lock();
            if free.len() < KEPT {
                free.push(std::mem::take(&mut self.space));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_as_long_as_what_was_filled_and_buffers_are_as_long_as_asked() {
        for length in [0, 1, SMALL - 1, SMALL, SMALL + 1, LARGE, LARGE + 1] {
            let mut buffer = of(length);
            assert_eq!(buffer.bytes().len(), length);
            buffer.bytes().fill(7);
            let filled = length / 2;
            assert_eq!(buffer.freeze(filled), vec![7; filled]);
        }
    }

    #[test]
    fn bytes_that_are_held_are_nobody_elses() {
        let filled = |byte| {
            let mut buffer = of(LARGE);
            buffer.bytes().fill(byte);
            buffer.freeze(LARGE)
        };
        let held = filled(1).slice(5..10);
        for byte in 2..20 {
            drop(filled(byte));
        }
        assert_eq!(held, vec![1; 5]);
    }

    #[test]
    fn few_are_kept() {
        let many: Vec<Buffer> = (0..20).map(|_| of(LARGE)).collect();
        drop(many);
        assert!(FREE.lock().len() <= KEPT);
    }
}
