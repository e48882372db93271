//! auth over HTTP: every route, and every refusal.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod house;
mod page;
mod process;
mod refusals;
mod sign_in;
mod tokens;
