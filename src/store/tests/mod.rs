//! The store against a server that can fail in every way, and a hub that counts.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod ahead;
mod double;
mod faults;
mod keeping;
mod machine;
mod reading;
mod references;
mod stress;
mod urls;

/// So many cases of a property that costs milliseconds or more; `PROPTEST_CASES` overrides it, as it
/// does for the cheap ones.
pub(super) fn cases(usual: u32) -> proptest::test_runner::Config {
    let asked = std::env::var("PROPTEST_CASES").ok();
    let asked = asked.and_then(|text| text.parse().ok());
    proptest::test_runner::Config {
        cases: asked.unwrap_or(usual),
        ..Default::default()
    }
}
