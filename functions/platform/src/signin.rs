//! What sign-in remembers across instances: failed attempts and revoked tokens.

#[cfg(feature = "firestore")]
mod firestore;
mod memory;

use async_trait::async_trait;
use domain::{Attempts, Throttle, Timestamp};

#[cfg(feature = "firestore")]
pub use self::firestore::FirestoreSigninStore;
pub use self::memory::{KEYS_MAX, MemorySigninStore, REVOKED_MAX};

/// Failed attempts and revoked tokens; both forget by themselves.
#[async_trait]
pub trait SigninStore: Send + Sync + std::fmt::Debug {
    /// The failed attempts under `key` (an account or an address; hashed by the store where it leaves the process).
    async fn attempts(&self, key: &str) -> anyhow::Result<Attempts>;

    /// Adds a failure under `key`; kept for the throttle's window. Concurrent failures all count.
    async fn note_failure(&self, key: &str, throttle: Throttle, now: Timestamp) -> anyhow::Result<()>;

    /// Forgets the failures under `key`.
    async fn forgive(&self, key: &str) -> anyhow::Result<()>;

    /// Revokes the token with this id; kept until the token has expired by itself.
    async fn revoke(&self, token_id: &str, expires_at: Timestamp) -> anyhow::Result<()>;

    /// Whether the token with this id was revoked.
    async fn is_revoked(&self, token_id: &str) -> anyhow::Result<bool>;
}
