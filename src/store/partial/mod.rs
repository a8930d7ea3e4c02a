//! What is here of a file that is not complete.
//!
//! What makes it hard, and the answer:
//! 1. Bytes are wanted before they are on disk: a [`Fill`] knows both the pieces still in memory
//!    and the ranges already written, and gives a reader a mix of the two.
//! 2. Two readers must not fetch the same byte: `busy` holds what is here or under way.
//! 3. A content that turns out wrong must leave nothing: a new [`Fill`] replaces the old one as a
//!    whole, and whoever still writes for the old one writes into a file without a name.

mod fill;
mod postponed;
mod ranges;

pub(crate) use fill::{Fill, Part, Piece, Segment};
#[cfg(test)]
pub(crate) use ranges::RangeSet;
