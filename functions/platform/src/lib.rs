//! All input and output beyond the process: a file for each outside system, with the trait where a test stands in, the
//! real one, and the one in memory. Nothing here decides.

pub mod clock;
pub mod compute;
#[cfg(any(test, feature = "contract"))]
pub mod contract;
#[cfg(feature = "firestore")]
pub mod firestore;
pub mod identity;
pub mod notify;
pub mod queue;
pub mod signin;
pub mod store;
