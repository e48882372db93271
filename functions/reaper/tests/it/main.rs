//! reaper as Cloud Scheduler sees it, and what a sweep does to records and machines in memory.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod faults;
mod idle;
mod interloper;
mod repairs;
mod route;
mod setting;
