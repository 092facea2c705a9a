//! dixmgr's binary.
fn main() {}
