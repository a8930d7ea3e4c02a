//! How far ahead of a reader to fetch.
//!
//! [`plan`] is a pure state machine per open handle: where a read fell goes in, which range to
//! fetch comes out. No clock, lock or socket, so its properties are tested without a runtime; the
//! body of a file (`body`) clips the plan to what is missing and pays for it from the memory
//! budget.

mod plan;

pub(crate) use plan::{Plan, Wish};
