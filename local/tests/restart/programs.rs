//! The programs that these tests start, and whether they can.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::SystemTime;

const FUNCTIONS: [&str; 3] = ["auth", "lifecycle", "reaper"];

/// The program `pilotlight`.
pub(crate) fn pilotlight() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_pilotlight"))
}

/// Says that the functions' programs were built together with these tests, as `cargo test --workspace` does.
const BUILT_TOGETHER: &str = "FUNCTIONS_BUILT_TOGETHER";

/// The program of a function, as it is now: built again when it is older than its sources.
pub(crate) fn function(name: &str) -> PathBuf {
    static BUILT: OnceLock<()> = OnceLock::new();
    BUILT.get_or_init(|| {
        let together = std::env::var(BUILT_TOGETHER).as_deref() == Ok("true");
        if !together && FUNCTIONS.iter().any(|name| is_stale(&pilotlight().with_file_name(name))) {
            build();
        }
    });
    pilotlight().with_file_name(name)
}

fn build() {
    let packages = FUNCTIONS.iter().flat_map(|name| ["-p", name]);
    let built =
        Command::new(env!("CARGO")).current_dir(env!("CARGO_MANIFEST_DIR")).arg("build").args(packages).status();
    assert!(built.unwrap().success(), "cargo build -p auth -p lifecycle -p reaper");
}

/// Whether a program is missing, or older than a source that cargo notes beside it (`NAME.d`).
fn is_stale(program: &Path) -> bool {
    let changed = |file: &Path| fs::metadata(file).and_then(|about| about.modified()).ok();
    let (Some(built), Ok(noted)) = (changed(program), fs::read_to_string(program.with_extension("d"))) else {
        return true;
    };
    let sources = noted.split_once(": ").map_or("", |(_, sources)| sources).split_whitespace();
    // A source that is gone has been renamed, which is a change too.
    let is_newer = |source: &str| changed(Path::new(source)).is_none_or(|changed: SystemTime| changed > built);
    sources.into_iter().any(is_newer)
}
