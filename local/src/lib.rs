//! Pilotlight on one machine. The page, the three functions and a pocket Google Cloud, all on loopback.
//!
//! Everything here stands in for Google's side, or puts the parts together. Nothing here runs on Cloud Run or on a VM.
//! The program `pilotlight` is [`pocket::run`]; what is public beside it lets a test build a world of its own from the
//! same parts.

pub mod args;
pub mod children;
mod cloud;
pub mod emulators;
pub mod environment;
pub mod front;
mod functions;
mod inbox;
mod machines;
pub mod names;
mod panel;
pub mod pocket;
pub mod ports;
pub mod process_group;
pub mod processes;
pub mod pubsub;
pub mod scheduler;
mod switches;
mod three_processes;
pub mod users;
