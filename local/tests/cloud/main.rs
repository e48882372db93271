//! `cargo run` as a person and a machine meet it: the program itself, over HTTP, with real processes for VMs.
//!
//! Every test starts a pocket cloud of its own on a port of its own, and ends all of it.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod budget;
mod comfyui;
mod command_line;
mod endings;
mod faults;
mod identities;
mod interruptions;
mod life;
mod panel;
mod pilotlight;
mod placements;
mod processes;
