//! What the three functions have in common as HTTP services: how a wrong request is answered, who is asking, limits,
//! logs, what they are told from outside, and an orderly end. What they *do* is theirs.

mod body;
#[cfg(feature = "cloud")]
pub mod cloud;
pub mod config;
mod drained;
mod error;
mod gate;
mod layers;
mod logs;
mod oidc;
pub mod process;
mod server;

pub use body::{Body, OptionalBody};
pub use error::{ApiError, Result};
pub use gate::{Gate, SignedIn, TOKEN_COOKIE, TOKEN_HEADER};
pub use layers::{Limits, protect, protect_for_page};
pub use logs::{LogFormat, init_logs, log_turn};
pub use oidc::OidcGate;
pub use server::{serve, terminated};
