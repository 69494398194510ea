//! Starting point.
fn main() {}
