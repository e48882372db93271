//! lifecycle: starts, stops and opens workspaces, for browsers, VMs and the queue.
//!
//! Handlers translate; `domain` decides; `App::apply` saves; `worker.rs` makes reality follow.

mod app;
mod browser;
mod change;
mod compute_events;
pub mod config;
mod log_entry;
mod notices;
mod openapi;
#[cfg(feature = "cloud")]
pub mod process;
mod push;
mod refusal;
mod routes;
mod vm;
mod worker;

pub use app::{App, Parts};
pub use routes::{PATIENT, router, routes};
pub use worker::{Attended, Worker};
