//! Where the descriptions of Temporal's services are, as the crate of the protobuf messages has compiled them.
#![allow(clippy::expect_used, clippy::print_stdout, reason = "a build script speaks to cargo, or cannot go on")]

fn main() {
    let path = std::env::var("DEP_TEMPORALIO_PROTOS_DESCRIPTOR_PATH").expect("temporalio-protos says where they are");
    println!("cargo:rustc-env=TEMPORAL_DESCRIPTORS={path}");
    println!("cargo:rerun-if-changed=build.rs");
}
