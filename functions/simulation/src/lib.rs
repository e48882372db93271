//! Whole lives of workspaces under one seeded clock: the real handlers, the real worker and the real reaper, among
//! people, machines and a Compute Engine that do what the seed says, and a judge that knows the laws.
//!
//! Nothing here waits, listens or looks at the machine's clock. A seed is one history, the same each time: `stage.rs` polls
//! one task after another, and lets time leap. `cargo run -p simulation -- --seed 42` prints one.
//!
//! | where | what |
//! |---|---|
//! | `play.rs`, `setting.rs` | one seed from its beginning to its end, and what its world is like |
//! | `people.rs`, `guest.rs`, `mishaps.rs` | who does what: people, VMs, chance |
//! | `cloud.rs`, `operations.rs`, `compute.rs` | Compute Engine, and the way to it |
//! | `store.rs`, `queue.rs`, `notices.rs`, `functions.rs` | the ways to everything else; the processes |
//! | `laws.rs`, `laws/` | the judge |
//! | `breaks.rs` | rules that are broken on purpose, to see the judge find it |

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
mod operations;
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
pub use laws::{Broken, Judge, LAWS, Law};
pub use play::{Outcome, Stage as Play, play};
pub use setting::{Setting, Storm};
pub use world::Tally;
