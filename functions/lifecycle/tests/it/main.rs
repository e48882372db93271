//! lifecycle as its callers see it: routes over HTTP, and the worker against a Compute Engine in memory.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod browser;
mod compute_events;
mod history;
mod machines;
mod members;
mod notices;
mod setting;
mod terms;
mod worker;
