//! NVIDIA's management library, by a stand-in that is built from C: what each of its answers leads to.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use gateway::{GpuReading as _, Nvml};
use tempfile::TempDir;

/// Result codes of nvml.h.
const NOT_SUPPORTED: u32 = 3;
const DRIVER_NOT_LOADED: u32 = 9;
const GPU_IS_LOST: u32 = 15;

/// A library, and the folder that it goes with.
struct StandIn {
    folder: TempDir,
}

impl StandIn {
    fn none() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn of(defines: &[&str]) -> Self {
        let stand_in = Self::none();
        stand_in.build(defines);
        stand_in
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("libnvidia-ml.so.1")
    }

    /// Builds it beside its place and then puts it there, as a package manager does.
    fn build(&self, defines: &[&str]) {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/gpu/nvml.c");
        let new = self.folder.path().join("new.so");
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-Wall", "-Werror", "-o"]).arg(&new).arg(source);
        compiler.args(defines.iter().map(|define| format!("-D{define}")));
        assert!(compiler.status().unwrap().success(), "{defines:?}");
        std::fs::rename(new, self.path()).unwrap();
    }

    /// Why it gives no reading.
    fn trouble(&self) -> String {
        let nvml = self.nvml();
        assert_eq!(nvml.utilisation_percent(), None);
        nvml.read().unwrap_err()
    }

    fn nvml(&self) -> Nvml {
        Nvml::new(self.path()).try_again_after(Duration::ZERO)
    }
}

/// What the gateway's own check says of it.
fn check(library: &Path) -> Output {
    let gateway = Command::new(env!("CARGO_BIN_EXE_gateway"))
        .arg("--check-gpu")
        .env_clear()
        .env("NVML_LIBRARY", library)
        .output();
    gateway.unwrap()
}

#[test]
fn a_gpu_tells_how_busy_it_is() {
    for percent in [0, 7, 100] {
        let stand_in = StandIn::of(&[&format!("PERCENTS={percent}")]);
        let nvml = stand_in.nvml();
        for _ in 0..3 {
            assert_eq!(nvml.utilisation_percent(), Some(percent));
        }
    }
    assert_eq!(StandIn::of(&["PERCENTS=4000000000u"]).nvml().utilisation_percent(), Some(100));
}

#[test]
fn of_several_gpus_the_busiest_counts_wherever_it_is() {
    assert_eq!(StandIn::of(&["PERCENTS=97,3"]).nvml().utilisation_percent(), Some(97));
    assert_eq!(StandIn::of(&["PERCENTS=3,97"]).nvml().utilisation_percent(), Some(97));
}

#[test]
fn a_gpu_that_does_not_tell_is_passed_over_unless_none_does() {
    let lost = |results: [u32; 2]| {
        let [first, second] = results;
        StandIn::of(&["PERCENTS=97,3", &format!("RESULTS={first},{second}")])
    };
    assert_eq!(lost([GPU_IS_LOST, 0]).nvml().utilisation_percent(), Some(3));
    assert_eq!(lost([0, GPU_IS_LOST]).nvml().utilisation_percent(), Some(97));
    let why = lost([GPU_IS_LOST, NOT_SUPPORTED]).trouble();
    assert!(why.contains("GPU 1"), "{why}");
}

#[test]
fn a_gpu_that_is_shared_out_by_mig_tells_nothing() {
    let why = StandIn::of(&["PERCENTS=97", &format!("RESULTS={NOT_SUPPORTED}")]).trouble();
    assert!(why.contains("not available"), "{why}");
}

#[test]
fn a_library_without_the_function_or_without_a_gpu_tells_nothing() {
    let why = StandIn::of(&["PERCENTS=97", "WITHOUT_UTILIZATION"]).trouble();
    assert!(why.contains("nvmlDeviceGetUtilizationRates"), "{why}");
    assert_eq!(StandIn::of(&["PERCENTS=97", "NO_GPU"]).trouble(), "the driver knows of no GPU");
}

#[test]
fn a_driver_that_comes_later_is_found_and_one_that_is_replaced_too() {
    let stand_in = StandIn::none();
    let nvml = stand_in.nvml();
    assert_eq!(nvml.utilisation_percent(), None);
    assert!(nvml.read().unwrap_err().starts_with("opening the library"), "{:?}", nvml.read());
    stand_in.build(&["PERCENTS=50", &format!("INIT={DRIVER_NOT_LOADED}")]);
    assert_eq!(nvml.utilisation_percent(), None);
    stand_in.build(&["PERCENTS=50", &format!("RESULTS={GPU_IS_LOST}")]);
    assert_eq!(nvml.utilisation_percent(), None);
    stand_in.build(&["PERCENTS=50"]);
    assert_eq!(nvml.utilisation_percent(), Some(50));
}

#[test]
fn what_gives_no_reading_is_left_alone_for_a_while() {
    let stand_in = StandIn::none();
    let nvml = Nvml::new(stand_in.path()).try_again_after(Duration::from_secs(3600));
    assert_eq!(nvml.utilisation_percent(), None);
    stand_in.build(&["PERCENTS=50"]);
    assert_eq!(nvml.utilisation_percent(), None);
}

#[test]
fn the_gateway_s_own_check_needs_nothing_but_the_library() {
    let good = check(&StandIn::of(&["PERCENTS=42"]).path());
    let said = String::from_utf8(good.stdout).unwrap();
    assert!(good.status.success() && said.contains("42 %"), "{said}");
    let none = check(&StandIn::none().path());
    let said = String::from_utf8(none.stdout).unwrap();
    assert!(none.status.code() == Some(1) && said.contains("opening the library"), "{said}");
}
