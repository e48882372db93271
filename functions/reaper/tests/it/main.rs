//! reaper as Cloud Scheduler sees it, and what a sweep does to records and machines in memory.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[path = "../culling/mod.rs"]
mod culling;
mod faults;
#[path = "../ground/mod.rs"]
mod ground;
mod idle;
mod race;
mod repairs;
mod route;
mod setting;
