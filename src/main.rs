//! The `accesspoint` program.
fn main() {}
