//! auth: who somebody is, and the page they see. Passwords are checked here, tokens are signed here, and the public keys
//! that let everybody else check them are published here. What a role may do is decided in `domain`.
//!
//! | question | answered in |
//! |---|---|
//! | which addresses are there? | `routes.rs` |
//! | may this attempt be made, and does it succeed? | `sign_in.rs`, `password.rs`, `users.rs` |
//! | from which address does a request come? | `caller.rs` |
//! | how does a sign-in begin, go on and end? | `sessions.rs` |
//! | which keys sign, and which are published? | `keys.rs` |
//! | what may the page do in a browser? | `page.rs`, `headers.rs` |
//! | what is auth told from outside? | `config.rs` |
//! | how does it run on Cloud Run, and how are its secrets made? | `process.rs` |

mod app;
mod caller;
mod config;
mod headers;
mod keys;
mod openapi;
mod page;
mod password;
#[cfg(feature = "cloud")]
pub mod process;
mod routes;
mod sessions;
mod sign_in;
mod users;

pub use app::App;
pub use config::{Config, FrameSources, SigninStoreKind};
pub use headers::PageSettings;
pub use keys::Keys;
pub use openapi::openapi;
pub use password::{HASHES_AT_ONCE, PASSWORD_BYTES_MAX, Passwords, hash_password};
pub use routes::{router, routes};
pub use users::{User, Users};
