//! Google Compute Engine on loopback, for the pocket cloud and for tests.
//!
//! Three things in one process: the `compute/v1` REST API (so that the production client, Google's own client crates
//! and the `gcloud` command work unchanged), a metadata server for each instance, and an identity provider that signs
//! tokens as Google's. What runs *on* an instance is not here: whoever starts the emulator gives it [`Machines`], which
//! is told when an instance gets and loses power.
//!
//! Time is an argument: everything that takes time is written down as due at a moment of the given clock, and done
//! when somebody looks (or the clock gets there), so a test that sets the clock by hand sees exact states.

mod agenda;
mod api;
mod audit;
mod chance;
mod cloud;
mod config;
mod disk;
mod emulator;
mod error;
mod filter;
mod happening;
mod identity;
mod instance;
mod links;
mod listen;
mod machines;
mod metadata;
mod moments;
mod operation;
mod page;

pub use cloud::{FaultRefused, ZoneFaults};
pub use config::{ApiFaults, Config, InstanceSpec, RegionalDiskSpec, Timings};
pub use emulator::{Emulator, InstanceSnapshot};
pub use happening::{Happened, Happening};
pub use identity::IdentityProvider;
pub use machines::{InstanceFacts, Machines, PowerChange, RecordingMachines};
