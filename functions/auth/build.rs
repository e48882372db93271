//! Builds auth again when the page changes: cargo does not see the files that are embedded.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // A debug build reads the page from the disk at each request, and need not be built again for it.
    if std::env::var("PROFILE").is_ok_and(|profile| profile == "release") {
        println!("cargo::rerun-if-changed=../../static");
    }
}
