//! Restarting a function at any moment loses nothing: the three as processes on Google's emulators, killed with SIGKILL
//! while a workspace starts, runs and stops.
//!
//! Needs Java and the Google Cloud SDK with its components `cloud-firestore-emulator` and `pubsub-emulator`; says so
//! where they are missing, and fails there when `CI=true`. The programs `auth`, `lifecycle` and `reaper` are built when
//! they are missing, or older than what they were built from.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod by_hand;
mod front;
mod life;
#[path = "../cloud/processes.rs"]
mod processes;
mod programs;
mod pushes;
mod world;
