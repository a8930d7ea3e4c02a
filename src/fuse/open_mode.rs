//! How an inode is open: one mode until its last release.
//!
//! | already open | wanted | given |
//! |---|---|---|
//! | nothing | anything | what is wanted |
//! | cached | cached, passthrough | cached: the kernel refuses passthrough beside a cached open |
//! | cached | direct | cached, pages dropped at the open |
//! | direct | anything | direct |
//! | passthrough | anything | passthrough with the same backing file |
//!
//! Pure: what the kernel gives for a backing file is a parameter.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

/// What an open would like best.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// Page cache; kept from earlier opens if `keep`.
    Cached {
        /// Whether pages of earlier opens are still right.
        keep: bool,
    },
    /// Past the page cache.
    Direct,
    /// Served by the kernel from a verified file; cached and kept where that cannot be.
    Passthrough,
}

/// What an open gets.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Mode<B> {
    /// Page cache.
    Cached {
        /// Whether pages of earlier opens are kept.
        keep: bool,
    },
    /// Past the page cache.
    Direct,
    /// Served by the kernel from this backing file.
    Passthrough(Arc<B>),
}

#[derive(Debug)]
enum Held<B> {
    Cached,
    Direct,
    Passthrough(Arc<B>),
}

/// The table: one record per open inode.
#[derive(Debug)]
pub(crate) struct OpenModes<B> {
    open: HashMap<u64, (Held<B>, u32)>,
}

impl<B> Default for OpenModes<B> {
    fn default() -> Self {
        Self {
            open: HashMap::new(),
        }
    }
}

impl<B> OpenModes<B> {
    /// Counts an open and says how it is to be made. `back` registers the backing file; it is
    /// called only for a first passthrough open, and its `None` falls back to the page cache.
    pub(crate) fn open(
        &mut self,
        ino: u64,
        wanted: Wanted,
        back: impl FnOnce() -> Option<B>,
    ) -> Mode<B> {
        let keep = !matches!(wanted, Wanted::Cached { keep: false } | Wanted::Direct);
        let (held, count) = match self.open.entry(ino) {
            Entry::Occupied(held) => held.into_mut(),
            Entry::Vacant(free) => {
                let held = match wanted {
                    Wanted::Cached { .. } => Held::Cached,
                    Wanted::Direct => Held::Direct,
                    Wanted::Passthrough => {
                        back().map_or(Held::Cached, |id| Held::Passthrough(Arc::new(id)))
                    }
                };
                free.insert((held, 0))
            }
        };
        *count += 1;
        match held {
            Held::Cached => Mode::Cached { keep },
            Held::Direct => Mode::Direct,
            Held::Passthrough(id) => Mode::Passthrough(Arc::clone(id)),
        }
    }

    /// Counts a release; the last one of an inode drops its backing file.
    pub(crate) fn release(&mut self, ino: u64) {
        if let Entry::Occupied(mut held) = self.open.entry(ino) {
            held.get_mut().1 -= 1;
            if held.get().1 == 0 {
                held.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INO: u64 = 7;

    fn modes(first: Wanted, second: Wanted) -> (Mode<u32>, Mode<u32>) {
        let mut table = OpenModes::default();
        let first = table.open(INO, first, || Some(1));
        let second = table.open(INO, second, || Some(2));
        (first, second)
    }

    #[test]
    fn the_first_open_gets_what_it_wants() {
        let mut table = OpenModes::default();
        let wanted = [
            (Wanted::Cached { keep: true }, Mode::Cached { keep: true }),
            (Wanted::Cached { keep: false }, Mode::Cached { keep: false }),
            (Wanted::Direct, Mode::Direct),
            (Wanted::Passthrough, Mode::Passthrough(Arc::new(5))),
        ];
        for (ino, (wanted, mode)) in (0..).zip(wanted) {
            assert_eq!(table.open(ino, wanted, || Some(5)), mode);
        }
    }

    #[test]
    fn an_inode_keeps_its_mode_until_the_last_release() {
        let cached = Wanted::Cached { keep: true };
        assert_eq!(
            modes(cached, Wanted::Passthrough).1,
            Mode::Cached { keep: true }
        );
        assert_eq!(
            modes(cached, Wanted::Direct).1,
            Mode::Cached { keep: false }
        );
        assert_eq!(modes(Wanted::Direct, Wanted::Passthrough).1, Mode::Direct);
        let (first, second) = modes(Wanted::Passthrough, Wanted::Direct);
        assert_eq!(first, second);
    }

    #[test]
    fn after_the_last_release_the_next_open_chooses_anew() {
        let mut table = OpenModes::default();
        table.open(INO, Wanted::Direct, || None::<u32>);
        table.open(INO, Wanted::Direct, || None);
        table.release(INO);
        assert_eq!(
            table.open(INO, Wanted::Passthrough, || Some(1)),
            Mode::Direct
        );
        table.release(INO);
        table.release(INO);
        let mode = table.open(INO, Wanted::Passthrough, || Some(1));
        assert_eq!(mode, Mode::Passthrough(Arc::new(1)));
    }

    #[test]
    fn a_refused_backing_file_falls_back_to_kept_pages() {
        let mut table = OpenModes::<u32>::default();
        let mode = table.open(INO, Wanted::Passthrough, || None);
        assert_eq!(mode, Mode::Cached { keep: true });
    }
}
