//! The rules of the domain, one sentence each: every event in every phase that matters, with what exactly follows.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod calls;
mod counterexamples;
mod deadlines;
mod fixture;
mod idleness;
mod phases;
mod plans;
mod receipts;
mod steps;
