//! The services' common ground, over HTTP: limits, refusals, who is asking, an orderly end.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod answer;
mod bodies;
mod drained;
mod ending;
mod gate;
mod limits;
