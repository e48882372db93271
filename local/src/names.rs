//! Names of what the pocket cloud holds.

pub const PROJECT: &str = "local";
pub const PROJECT_NUMBER: u64 = 100_000_000_001;
pub const REGION: &str = "us-central1";
pub const WORKSPACE: &str = "main";
pub const DISK: &str = "comfyui-main-data";
pub const ISSUER: &str = "pilotlight";
pub const VM_ACCOUNT: &str = "comfyui-vm@local.iam.gserviceaccount.com";
pub const PUSH_ACCOUNT: &str = "push@local.iam.gserviceaccount.com";
pub const SCHEDULER_ACCOUNT: &str = "scheduler@local.iam.gserviceaccount.com";
/// The two zones of the region that hold the disk, in the order of placements.
pub const ZONE_LETTERS: [&str; 2] = ["a", "b"];
