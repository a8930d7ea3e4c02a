//! A place in a directory that an open handle holds.
//!
//! Offsets are positions: 1 and 2 follow `.` and `..`, `n + 3` follows child `n`. The cursor holds
//! one page and the listing behind it, so a walk is linear however long, and the memory is a page.
//! An offset within the held page is found again without asking; an earlier one restarts the
//! listing and skips forward (`rewinddir` thus sees the directory anew, as POSIX wants; `seekdir`
//! far back costs a walk).

use std::sync::Arc;

use crate::model::Error;
use crate::tree::{Child, Listing};

/// Entries before the first child: `.` and `..`.
pub(crate) const DOTS: u64 = 2;

/// The place.
pub(crate) struct Cursor {
    listing: Box<dyn Listing>,
    page: Arc<[Child]>,
    /// Number of the first child of `page`.
    page_start: u64,
    ended: bool,
}

impl Cursor {
    /// At the beginning of a listing.
    pub(crate) fn new(listing: Box<dyn Listing>) -> Self {
        Self {
            listing,
            page: Arc::from([]),
            page_start: 0,
            ended: false,
        }
    }

    /// Whether child `number` lies before what is held, so that a new listing is needed. Reading
    /// from the beginning after anything else was read is such a case as well.
    pub(crate) fn is_behind(&self, number: u64) -> bool {
        number < self.page_start
    }

    /// Whether a walk has begun.
    pub(crate) fn has_begun(&self) -> bool {
        self.ended || self.page_start > 0 || !self.page.is_empty()
    }

    /// The page that holds child `number` and the position of that child in it; `None` at the end
    /// of the directory. Must not be called for what [`Cursor::is_behind`].
    ///
    /// A failed page keeps the place: the next call asks for it again.
    pub(crate) async fn page_of(
        &mut self,
        number: u64,
    ) -> Result<Option<(Arc<[Child]>, usize)>, Error> {
        loop {
            let position = usize::try_from(number - self.page_start).unwrap_or(usize::MAX);
            if position < self.page.len() {
                return Ok(Some((self.page.clone(), position)));
            }
            if self.ended {
                return Ok(None);
            }
            match self.listing.next_page().await? {
                Some(page) => {
                    self.page_start += self.page.len() as u64;
                    self.page = page;
                }
                None => self.ended = true,
            }
        }
    }
}
