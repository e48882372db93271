//! The programs that these tests start, and whether they can.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::SystemTime;

const FUNCTIONS: [&str; 3] = ["auth", "lifecycle", "reaper"];

/// The program `pilotlight`.
pub(crate) fn pilotlight() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_pilotlight"))
}

/// The program of a function, as it is now: built again when it is older than its sources.
pub(crate) fn function(name: &str) -> PathBuf {
    static BUILT: OnceLock<()> = OnceLock::new();
    BUILT.get_or_init(|| {
        if FUNCTIONS.iter().any(|name| is_stale(&pilotlight().with_file_name(name))) {
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

/// Whether Java and Google's emulators are there; says so aloud where they are not.
pub(crate) fn emulators_are_installed() -> bool {
    let java = Command::new("java").arg("-version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    let installed = java.is_ok_and(|status| status.success())
        && sdk().is_some_and(|sdk| {
            sdk.join("platform/cloud-firestore-emulator").is_dir() && sdk.join("platform/pubsub-emulator").is_dir()
        });
    if !installed {
        let test = std::thread::current().name().unwrap_or("a test").to_owned();
        let said = format!(
            "NOT RUN: {test}\n  It needs Java and Google's emulators: install a JRE (17 or later) and the Google Cloud SDK, \
             then\n  `gcloud components install cloud-firestore-emulator pubsub-emulator`, or Debian's packages \
             google-cloud-cli-….\n"
        );
        assert!(std::env::var("CI").as_deref() != Ok("true"), "{said}");
        // Past the test harness, which keeps what a passing test prints to itself.
        let _ = std::io::stderr().write_all(said.as_bytes());
    }
    installed
}

fn sdk() -> Option<PathBuf> {
    if let Some(root) = std::env::var_os("CLOUDSDK_ROOT") {
        return Some(PathBuf::from(root));
    }
    let path = std::env::var_os("PATH")?;
    let gcloud = std::env::split_paths(&path).map(|folder| folder.join("gcloud")).find(|gcloud| gcloud.exists())?;
    Some(gcloud.canonicalize().ok()?.parent()?.parent()?.to_owned())
}
