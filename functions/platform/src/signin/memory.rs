//! Failed attempts and revoked tokens in memory: for the pocket cloud and tests. Bounded, and forgets what has expired.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use domain::{Attempts, Throttle, Timestamp};

use super::SigninStore;
use crate::clock::Clock;

/// Accounts and addresses whose failures are remembered. When a guesser uses up more, what would expire first is
/// forgotten first: the others stay throttled.
pub const KEYS_MAX: usize = 10_000;

/// Revoked tokens remembered. When there are more, revoking fails: a token is never silently valid again.
pub const REVOKED_MAX: usize = 100_000;

/// What sign-in remembers, in memory.
#[derive(Debug)]
pub struct MemorySigninStore {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    attempts: Expiring<Attempts>,
    revoked: Expiring<()>,
}

impl MemorySigninStore {
    /// Remembers nothing yet; forgets by `clock`.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, state: Mutex::default() }
    }

    /// The state, without what has expired.
    fn state(&self) -> MutexGuard<'_, State> {
        let now = self.clock.now();
        // Each change below is whole before anything can panic, so a poisoned state is still good.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.attempts.forget_expired(now);
        state.revoked.forget_expired(now);
        state
    }
}

#[async_trait]
impl SigninStore for MemorySigninStore {
    async fn attempts(&self, key: &str) -> anyhow::Result<Attempts> {
        Ok(self.state().attempts.get(key).cloned().unwrap_or_default())
    }

    async fn note_failure(&self, key: &str, throttle: Throttle, now: Timestamp) -> anyhow::Result<()> {
        let mut state = self.state();
        let before = state.attempts.get(key).cloned().unwrap_or_default();
        let attempts = throttle.with_failure(&before, now);
        if state.attempts.len() >= KEYS_MAX && state.attempts.get(key).is_none() {
            state.attempts.forget_first();
        }
        state.attempts.put(key, attempts, now + throttle.window);
        Ok(())
    }

    async fn forgive(&self, key: &str) -> anyhow::Result<()> {
        self.state().attempts.remove(key);
        Ok(())
    }

    async fn revoke(&self, token_id: &str, expires_at: Timestamp) -> anyhow::Result<()> {
        let mut state = self.state();
        let fits = state.revoked.len() < REVOKED_MAX || state.revoked.get(token_id).is_some();
        anyhow::ensure!(fits, "{REVOKED_MAX} tokens are revoked already");
        state.revoked.put(token_id, (), expires_at);
        Ok(())
    }

    async fn is_revoked(&self, token_id: &str) -> anyhow::Result<bool> {
        Ok(self.state().revoked.get(token_id).is_some())
    }
}

/// A map whose entries expire, with an index of when: forgetting costs what is forgotten, not what is kept.
#[derive(Debug)]
struct Expiring<T> {
    entries: HashMap<Arc<str>, (T, Timestamp)>,
    by_expiry: BTreeSet<(Timestamp, Arc<str>)>,
}

impl<T> Default for Expiring<T> {
    fn default() -> Self {
        Self { entries: HashMap::new(), by_expiry: BTreeSet::new() }
    }
}

impl<T> Expiring<T> {
    fn len(&self) -> usize {
        self.entries.len()
    }

    fn get(&self, key: &str) -> Option<&T> {
        self.entries.get(key).map(|(value, _)| value)
    }

    fn put(&mut self, key: &str, value: T, expires_at: Timestamp) {
        self.remove(key);
        let key: Arc<str> = key.into();
        self.by_expiry.insert((expires_at, Arc::clone(&key)));
        self.entries.insert(key, (value, expires_at));
    }

    fn remove(&mut self, key: &str) {
        if let Some((key, (_, expires_at))) = self.entries.remove_entry(key) {
            self.by_expiry.remove(&(expires_at, key));
        }
    }

    fn forget_first(&mut self) {
        if let Some((_, key)) = self.by_expiry.pop_first() {
            self.entries.remove(&key);
        }
    }

    fn forget_expired(&mut self, now: Timestamp) {
        while self.by_expiry.first().is_some_and(|(expires_at, _)| *expires_at <= now) {
            self.forget_first();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use domain::{Seconds, THROTTLE};

    use super::*;
    use crate::clock::ManualClock;
    use crate::contract::signin::{SIGNIN_CONTRACT_NOW, signin_contract};

    const NOW: Timestamp = Timestamp::from_seconds(1000);

    fn store() -> (ManualClock, MemorySigninStore) {
        let clock = ManualClock::at(NOW);
        (clock.clone(), MemorySigninStore::new(Arc::new(clock)))
    }

    #[tokio::test]
    async fn memory_keeps_the_contract_of_a_signin_store() {
        signin_contract(async || {
            let clock = ManualClock::at(SIGNIN_CONTRACT_NOW);
            Arc::new(MemorySigninStore::new(Arc::new(clock))) as Arc<dyn SigninStore>
        })
        .await;
    }

    #[tokio::test]
    async fn what_has_expired_takes_no_room() {
        let (clock, store) = store();
        store.note_failure("user:admin", THROTTLE, NOW).await.unwrap();
        store.revoke("token", NOW + Seconds(60)).await.unwrap();
        clock.advance(Duration::from_secs(60));
        assert!(!store.is_revoked("token").await.unwrap(), "it has expired by itself");
        assert_eq!(store.attempts("user:admin").await.unwrap().failed_at, [NOW]);
        clock.advance(THROTTLE.window.duration());
        let state = store.state();
        assert_eq!((state.attempts.len(), state.revoked.len()), (0, 0));
        assert_eq!((state.attempts.by_expiry.len(), state.revoked.by_expiry.len()), (0, 0));
    }

    #[tokio::test]
    async fn a_guesser_with_many_names_pushes_out_only_what_expires_first() {
        let (_, store) = store();
        store.note_failure("user:early", THROTTLE, NOW).await.unwrap();
        store.note_failure("user:admin", THROTTLE, NOW + Seconds(60)).await.unwrap();
        for name in 0..KEYS_MAX - 1 {
            store.note_failure(&format!("user:{name}"), THROTTLE, NOW + Seconds(90)).await.unwrap();
        }
        assert_eq!(store.attempts("user:early").await.unwrap(), Attempts::default());
        assert_eq!(store.attempts("user:admin").await.unwrap().failed_at, [NOW + Seconds(60)]);
        assert_eq!(store.state().attempts.len(), KEYS_MAX);
    }

    #[tokio::test]
    async fn revoking_too_many_fails_loudly_and_forgets_none() {
        let (_, store) = store();
        for token in 0..REVOKED_MAX {
            store.revoke(&token.to_string(), NOW + Seconds(60)).await.unwrap();
        }
        let error = store.revoke("one more", NOW + Seconds(60)).await.unwrap_err();
        assert!(error.to_string().contains("100000 tokens"), "{error}");
        assert!(store.is_revoked("0").await.unwrap());
    }
}
