//! The emulator as seen over HTTP, on a clock that the tests set.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod disks;
mod events;
mod faults;
mod happenings;
mod lists;
mod metadata;
mod operations;
mod power;
mod settings;
mod world;
mod zones;
