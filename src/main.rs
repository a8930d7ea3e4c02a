//! wandbfs
fn main() {}
