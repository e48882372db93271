//! What every [`SigninStore`] must do, wherever it remembers.

use std::sync::Arc;

use domain::{Attempts, Seconds, Throttle, Timestamp};
use futures_util::future::join_all;

use crate::signin::SigninStore;

/// The moment at which this suite happens; a store with a clock of its own should stand there.
pub const SIGNIN_CONTRACT_NOW: Timestamp = Timestamp::from_seconds(1_772_323_200);

const THROTTLE: Throttle = Throttle { window: Seconds::minutes(15), failures_max: 10 };

/// Holds a sign-in store to its contract. `empty` makes one that nobody else uses, with nothing in it.
///
/// # Panics
/// When the store breaks the contract; the message says where.
pub async fn signin_contract(empty: impl AsyncFn() -> Arc<dyn SigninStore>) {
    failures_are_remembered_by_key(&*empty().await).await;
    failures_outside_the_window_are_forgotten(&*empty().await).await;
    concurrent_failures_all_count(&*empty().await).await;
    a_key_may_be_any_text(&*empty().await).await;
    a_revoked_token_stays_revoked(&*empty().await).await;
}

async fn failed_at(store: &dyn SigninStore, key: &str) -> Vec<Timestamp> {
    store.attempts(key).await.expect("the attempts").failed_at
}

async fn failures_are_remembered_by_key(store: &dyn SigninStore) {
    let now = SIGNIN_CONTRACT_NOW;
    assert_eq!(store.attempts("user:admin").await.expect("the attempts"), Attempts::default());
    store.note_failure("user:admin", THROTTLE, now).await.expect("a failure");
    store.note_failure("user:admin", THROTTLE, now + Seconds(2)).await.expect("a failure");
    store.note_failure("user:guest", THROTTLE, now + Seconds(3)).await.expect("a failure");
    assert_eq!(failed_at(store, "user:admin").await, [now, now + Seconds(2)], "oldest first");
    store.forgive("user:admin").await.expect("to be forgiven");
    assert_eq!(failed_at(store, "user:admin").await, []);
    assert_eq!(failed_at(store, "user:guest").await, [now + Seconds(3)], "others are not forgiven with it");
    store.forgive("user:nobody").await.expect("forgiving what never failed");
}

async fn failures_outside_the_window_are_forgotten(store: &dyn SigninStore) {
    let now = SIGNIN_CONTRACT_NOW;
    store.note_failure("user:admin", THROTTLE, now).await.expect("a failure");
    let later = now + THROTTLE.window + Seconds(1);
    for _ in 0..=THROTTLE.failures_max {
        store.note_failure("user:admin", THROTTLE, later).await.expect("a failure");
    }
    assert_eq!(failed_at(store, "user:admin").await, vec![later; THROTTLE.failures_max]);
}

async fn concurrent_failures_all_count(store: &dyn SigninStore) {
    let notes = (0..5).map(|_| store.note_failure("user:admin", THROTTLE, SIGNIN_CONTRACT_NOW));
    for noted in join_all(notes).await {
        noted.expect("a failure among others");
    }
    assert_eq!(failed_at(store, "user:admin").await, [SIGNIN_CONTRACT_NOW; 5]);
}

async fn a_key_may_be_any_text(store: &dyn SigninStore) {
    let long = "x".repeat(5000);
    for key in ["../a/b", "__x__", "2001:db8::1", "Ünïcödé 🔥", ".", "", long.as_str()] {
        store.note_failure(key, THROTTLE, SIGNIN_CONTRACT_NOW).await.expect("a failure");
        assert_eq!(failed_at(store, key).await, [SIGNIN_CONTRACT_NOW], "{key:?}");
    }
}

async fn a_revoked_token_stays_revoked(store: &dyn SigninStore) {
    let expires_at = SIGNIN_CONTRACT_NOW + Seconds::hours(24);
    assert!(!store.is_revoked("token-1").await.expect("an answer"));
    store.revoke("token-1", expires_at).await.expect("to be revoked");
    store.revoke("token-1", expires_at).await.expect("to be revoked again");
    assert!(store.is_revoked("token-1").await.expect("an answer"));
    assert!(!store.is_revoked("token-2").await.expect("an answer"));
    assert!(!store.is_revoked("token-1/a").await.expect("an answer"));
}
