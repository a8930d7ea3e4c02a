//! What to fetch before it is asked for.
//!
//! [`Plan`] says per open handle how far ahead of a reader to fetch; [`Siblings`] says per version
//! which files to fetch before they are opened; [`Pace`] says per content how much of it to have under
//! way. All are pure state machines: where a read or an open fell, or how an answer came, goes in,
//! what to fetch comes out. No clock, lock or socket, so their properties are
//! tested without a runtime; the body of a file (`body`) and the store's `ahead` clip the plans to
//! what is missing and pay for it from the memory budget.

mod bits;
mod pace;
mod plan;
mod siblings;

pub(crate) use pace::Pace;
pub(crate) use plan::{PART, Plan, Wish};
pub(crate) use siblings::{Order, Siblings, Tag};

#[cfg(test)]
mod tests;
