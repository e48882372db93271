//! Names of what the pocket cloud holds.

pub(crate) const PROJECT: &str = "local";
pub(crate) const PROJECT_NUMBER: u64 = 100_000_000_001;
pub(crate) const REGION: &str = "us-central1";
pub(crate) const WORKSPACE: &str = "main";
pub(crate) const DISK: &str = "comfyui-main-data";
pub(crate) const ISSUER: &str = "pilotlight";
pub(crate) const VM_ACCOUNT: &str = "comfyui-vm@local.iam.gserviceaccount.com";
pub(crate) const PUSH_ACCOUNT: &str = "push@local.iam.gserviceaccount.com";
pub(crate) const SCHEDULER_ACCOUNT: &str = "scheduler@local.iam.gserviceaccount.com";
/// The two zones of the region that hold the disk, in the order of placements.
pub(crate) const ZONE_LETTERS: [&str; 2] = ["a", "b"];
