//! The rules of the domain, one sentence each: every event in every phase that matters, with what exactly follows.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod budgets;
mod calls;
mod counterexamples;
mod deadlines;
mod disks;
mod fixture;
mod idleness;
mod interruptions;
mod life;
mod notices;
mod phases;
mod plans;
mod receipts;
mod steps;
mod walks;
