//! Hashing of passwords: slow and heavy on purpose, so only a few at once, and never on a thread that serves requests.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use argon2::password_hash::{PasswordHashString, PasswordHasher as _, PasswordVerifier as _, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use axum::http::StatusCode;
use domain::Seconds;
use service::{ApiError, Result};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Hashes worked on at once: 4 × 19 MiB leave room in the smallest instance of Cloud Run.
pub const HASHES_AT_ONCE: usize = 4;
/// How long a sign-in waits for its turn; at 40 ms a hash, five hundred others are then before it.
const TURN_WAIT_MAX: Duration = Duration::from_secs(5);
/// When somebody whose turn did not come may try again.
const BUSY_RETRY_AFTER: Seconds = Seconds(5);
/// Longest password, in bytes. Argon2 takes any length; the limit keeps requests small.
pub const PASSWORD_BYTES_MAX: usize = 1024;

/// OWASP Password Storage Cheat Sheet: Argon2id with 19 MiB, two rounds, one lane.
const MEMORY_KIB: u32 = 19 * 1024;
const ROUNDS: u32 = 2;
const LANES: u32 = 1;
/// RFC 9106 §3.1 recommends 16 bytes.
const SALT_BYTES: usize = 16;

/// Hashes passwords, a few at once.
#[derive(Clone, Debug)]
pub struct Passwords {
    turns: Arc<Semaphore>,
}

/// The right to hash one password. Held until everything that follows from the answer has been noted, so that attempts
/// side by side cannot outrun the count of failures.
#[derive(Debug)]
pub(crate) struct Turn {
    _permit: OwnedSemaphorePermit,
    /// Others were before us: what was read before may have changed.
    pub(crate) waited: bool,
}

impl Default for Passwords {
    fn default() -> Self {
        Self { turns: Arc::new(Semaphore::new(HASHES_AT_ONCE)) }
    }
}

impl Passwords {
    /// Waits for a turn.
    ///
    /// # Errors
    /// 503 when it does not come in time.
    pub(crate) async fn turn(&self) -> Result<Turn> {
        if let Ok(permit) = Arc::clone(&self.turns).try_acquire_owned() {
            return Ok(Turn { _permit: permit, waited: false });
        }
        match tokio::time::timeout(TURN_WAIT_MAX, Arc::clone(&self.turns).acquire_owned()).await {
            Ok(Ok(permit)) => Ok(Turn { _permit: permit, waited: true }),
            Ok(Err(_)) | Err(_) => {
                Err(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "signin_busy", "Too many people sign in at once")
                    .hint("Try again in a moment; this attempt was not counted.")
                    .retry_after(BUSY_RETRY_AFTER))
            }
        }
    }

    /// Whether `password` is the one that was hashed.
    ///
    /// # Errors
    /// When the hash cannot be computed: a fault of ours.
    pub(crate) async fn fits(&self, _turn: &Turn, hash: PasswordHashString, password: String) -> anyhow::Result<bool> {
        let check = move || match Argon2::default().verify_password(password.as_bytes(), &hash.password_hash()) {
            Ok(()) => Ok(true),
            Err(argon2::password_hash::Error::Password) => Ok(false),
            Err(error) => Err(anyhow::anyhow!("checking a password: {error}")),
        };
        tokio::task::spawn_blocking(check).await.context("checking a password")?
    }
}

/// The hash of a password, for the list of users.
///
/// # Errors
/// When the password is empty or too long, or the machine has no randomness to give.
pub fn hash_password(password: &str) -> anyhow::Result<String> {
    ensure!(
        (1..=PASSWORD_BYTES_MAX).contains(&password.len()),
        "the password has {} bytes; expected 1 to {PASSWORD_BYTES_MAX}",
        password.len()
    );
    let mut salt = [0; SALT_BYTES];
    getrandom::fill(&mut salt).map_err(|error| anyhow::anyhow!("making a salt: {error}"))?;
    let salt = SaltString::encode_b64(&salt).map_err(|error| anyhow::anyhow!("making a salt: {error}"))?;
    let params = Params::new(MEMORY_KIB, ROUNDS, LANES, None).map_err(|error| anyhow::anyhow!("{error}"))?;
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password(password.as_bytes(), &salt)
        .map(|hash| hash.to_string())
        .map_err(|error| anyhow::anyhow!("hashing a password: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_fits_its_own_hash_and_no_other() {
        let passwords = Passwords::default();
        let turn = passwords.turn().await.unwrap();
        let text = hash_password("correct horse").unwrap();
        assert!(text.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{text}");
        let hash = PasswordHashString::new(&text).unwrap();
        assert!(passwords.fits(&turn, hash.clone(), "correct horse".into()).await.unwrap());
        assert!(!passwords.fits(&turn, hash, "correct horse ".into()).await.unwrap());
    }

    #[test]
    fn equal_passwords_have_different_hashes_and_lengths_are_bounded() {
        assert_ne!(hash_password("x").unwrap(), hash_password("x").unwrap());
        assert!(hash_password("").is_err());
        assert!(hash_password(&"x".repeat(PASSWORD_BYTES_MAX + 1)).is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn whose_turn_does_not_come_is_told_when_to_try_again() {
        let passwords = Passwords::default();
        let mut held = Vec::new();
        for _ in 0..HASHES_AT_ONCE {
            held.push(passwords.turn().await.unwrap());
        }
        assert!(held.iter().all(|turn| !turn.waited));
        let refused = passwords.turn().await.unwrap_err();
        assert_eq!((refused.status(), refused.code()), (StatusCode::SERVICE_UNAVAILABLE, "signin_busy"));
        let waiting = tokio::spawn({
            let passwords = passwords.clone();
            async move { passwords.turn().await }
        });
        tokio::task::yield_now().await;
        held.pop();
        assert!(waiting.await.unwrap().unwrap().waited);
    }
}
