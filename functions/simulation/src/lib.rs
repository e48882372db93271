//! Whole lives of workspaces under one seeded clock: the real handlers, the real worker and the real reaper, among
//! people, machines and a Compute Engine that do what the seed says, and a judge that knows the laws.
//!
//! Nothing here waits, listens or looks at the machine's clock: a seed is one history, the same each time
//! (`docs/adr` has no part in it; `stage.rs` says how). `cargo run -p simulation -- --seed 42` prints one.

mod breaks;
mod chance;
mod cloud;
mod compute;
mod functions;
mod guest;
mod history;
mod identity;
mod laws;
mod mishaps;
mod notices;
mod people;
mod play;
mod queue;
mod setting;
mod stage;
mod store;
mod world;

pub use breaks::Break;
pub use history::{Ask, BEGIN, Entry, Status, What, Why};
pub use identity::Keys;
pub use laws::{Broken, Judge, LAWS, Law, OPEN};
pub use play::{Outcome, Stage as Play, play};
pub use setting::{Setting, Storm};
pub use world::Tally;
