//! One suite for each trait with more than one implementation: what it promises, whoever keeps the promise. The ones in
//! memory, the real ones against Google's emulators, and whatever comes next are held to the same.
//!
//! For tests only: compiled for this crate's own, and for others' under the feature `contract`.

pub mod compute;
pub mod emulator;
pub mod notify;
pub mod permissions;
pub mod queue;
pub mod records;
pub mod signin;
pub mod store;
