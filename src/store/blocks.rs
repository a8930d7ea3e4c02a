//! Memory for received bytes, used again and again.
//!
//! A gigabyte passes through a hundred megabytes of blocks. Left to the allocator, each of them is
//! mapped, cleared page by page, and given back, which costs as much as copying it; and what several
//! threads have freed stays resident beyond every budget.

use std::collections::VecDeque;

use bytes::BytesMut;
use parking_lot::Mutex;

/// Received bytes are handed on in blocks of this size, at multiples of it: the largest request of
/// the kernel, which is then answered with a slice of one block. What a socket hands over at once is
/// a tenth of it, in buffers that are mostly empty and would be held until they are on disk.
pub(crate) const BLOCK: u64 = 1 << 20;

/// Blocks kept: as many MiB, about what is in memory at once for a fast reader. All go when a content
/// is complete.
const KEPT: usize = 32;

/// Smallest piece worth a whole block.
const LEAST: usize = 256 << 10;

/// Blocks that were used, in the order in which they became full. Some are still read from.
#[derive(Debug, Default)]
pub(crate) struct Blocks(Mutex<VecDeque<BytesMut>>);

impl Blocks {
    /// Room for `size` bytes (at most [`BLOCK`]), and whether to give it back.
    pub(crate) fn take(&self, size: usize) -> (BytesMut, bool) {
        if size < LEAST {
            return (BytesMut::with_capacity(size), false);
        }
        let whole = BLOCK as usize;
        let mut kept = self.0.lock();
        for _ in 0..kept.len() {
            let Some(mut block) = kept.pop_front() else {
                break;
            };
            if block.try_reclaim(whole) {
                return (block, true);
            }
            kept.push_back(block);
        }
        drop(kept);
        (BytesMut::with_capacity(whole), true)
    }

    /// Takes back a block whose bytes were split off. It is used again once nobody reads them.
    pub(crate) fn give_back(&self, block: BytesMut) {
        let mut kept = self.0.lock();
        if kept.len() < KEPT {
            kept.push_back(block);
        }
    }

    /// Lets go of all blocks.
    pub(crate) fn clear(&self) {
        let kept = std::mem::take(&mut *self.0.lock());
        drop(kept);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_used_again_once_nobody_reads_its_bytes() {
        let blocks = Blocks::default();
        let (mut block, lent) = blocks.take(BLOCK as usize);
        assert!(lent);
        block.extend_from_slice(&[1; 1000]);
        let bytes = block.split().freeze();
        let address = bytes.as_ptr();
        blocks.give_back(block);
        let (other, _) = blocks.take(BLOCK as usize);
        assert_ne!(other.as_ptr(), address, "still read");
        drop(bytes);
        let (again, _) = blocks.take(BLOCK as usize);
        assert_eq!((again.as_ptr(), again.len()), (address, 0));
        assert!(!blocks.take(4096).1, "a page is not worth a block");
    }
}
