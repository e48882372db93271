//! reaper: finds what is due and what is up that should not be, and repairs it.
//!
//! It reads both sides, the records that are due and the machines that are up, lets `domain` plan, and repairs item by
//! item: one that fails is told of and left to the next sweep.

mod app;
pub mod config;
#[cfg(feature = "cloud")]
pub mod process;
mod routes;
mod sweep;

pub use app::{App, Parts};
pub use routes::{router, routes};
pub use sweep::{FailedItem, SweepReport, Swept};
