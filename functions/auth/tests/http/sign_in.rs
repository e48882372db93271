//! Signing in: who gets in, who waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use auth::HASHES_AT_ONCE;
use axum::http::StatusCode;
use domain::{Attempts, THROTTLE, Throttle, Timestamp};
use platform::clock::ScaledClock;
use platform::signin::{MemorySigninStore, SigninStore};
use serde_json::json;

use crate::house::{Answer, Ask, BrokenStore, HOME, House, NOW, PASSWORD, login};

fn wrong(user: &str) -> Ask {
    login(&json!({"user": user, "password": "wrong horse"}))
}

fn right(user: &str) -> Ask {
    login(&json!({"user": user, "password": PASSWORD}))
}

/// Fails `times` times as `user` from `address`.
async fn fail(house: &House, user: &str, address: &str, times: usize) {
    for attempt in 0..times {
        let answer = house.ask(wrong(user).from(address)).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "attempt {attempt}: {}", answer.text());
    }
}

#[tokio::test]
async fn a_right_password_gives_a_token_for_a_day() {
    let house = House::new();
    let answer = house.ask(right("ada")).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.header("cache-control"), "no-store");
    let reply = answer.json();
    assert_eq!(reply["user"], json!({"name": "ada", "role": "user"}));
    assert_eq!(reply["expires_at"], "2025-11-23T08:26:40.000Z");
    let session = house.session(reply["token"].as_str().unwrap()).await;
    assert_eq!(session.status, StatusCode::OK);
    assert_eq!(
        session.json(),
        json!({"user": {"name": "ada", "role": "user"}, "expires_at": "2025-11-23T08:26:40.000Z"})
    );
    assert_eq!(session.header("cache-control"), "no-store");
}

#[tokio::test]
async fn who_names_no_user_is_admin() {
    let house = House::new();
    let answer = house.ask(login(&json!({"password": PASSWORD}))).await;
    assert_eq!(answer.json()["user"], json!({"name": "admin", "role": "admin"}));
    let null = house.ask(login(&json!({"user": null, "password": PASSWORD}))).await;
    assert_eq!(null.json()["user"]["name"], "admin");
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_user_are_answered_alike() {
    let house = House::new();
    let known = house.ask(wrong("admin")).await;
    let unknown = house.ask(wrong("nobody")).await;
    known.is_problem(401, "wrong_credentials");
    assert_eq!(known.body, unknown.body);
    assert_eq!(known.status, unknown.status);
}

#[tokio::test]
async fn the_eleventh_attempt_on_an_account_waits_from_wherever_it_comes() {
    let house = House::new();
    for address in ["198.51.100.1", "198.51.100.2"] {
        fail(&house, "ada", address, 5).await;
        house.clock.advance(Duration::from_secs(60));
    }
    let refused = house.ask(right("ada").from("198.51.100.3")).await;
    refused.is_problem(429, "too_many_attempts");
    assert_eq!(refused.header("retry-after"), "780", "until the first failure is a quarter of an hour old");
    assert!(refused.json()["hint"].as_str().unwrap().contains("Wait"));
    assert_eq!(house.ask(right("admin").from("198.51.100.3")).await.status, StatusCode::OK, "others are not held up");

    house.clock.advance(Duration::from_secs(779));
    assert_eq!(house.ask(right("ada").from("198.51.100.3")).await.header("retry-after"), "1");
    house.clock.advance(Duration::from_secs(1));
    assert_eq!(house.ask(right("ada").from("198.51.100.3")).await.status, StatusCode::OK);
}

#[tokio::test]
async fn the_eleventh_failure_from_an_address_waits_whoever_it_claims_to_be() {
    let house = House::new();
    for name in 0..10 {
        fail(&house, &format!("name{name}"), "203.0.113.7", 1).await;
    }
    house.ask(right("ada").from("203.0.113.7")).await.is_problem(429, "too_many_attempts");
    assert_eq!(house.ask(right("ada").from("203.0.113.8")).await.status, StatusCode::OK);
}

#[tokio::test]
async fn behind_a_proxy_the_address_is_the_one_that_the_proxy_added() {
    let house = House::with(|app| app.trusted_proxies = 1);
    for attempt in 0..10 {
        let invented = format!("10.0.0.{attempt}, 203.0.113.7");
        let answer = house.ask(wrong(&format!("name{attempt}")).header("x-forwarded-for", &invented)).await;
        answer.is_problem(401, "wrong_credentials");
    }
    let from = |address: &str| right("ada").header("x-forwarded-for", address);
    house.ask(from("192.0.2.99, 203.0.113.7")).await.is_problem(429, "too_many_attempts");
    assert_eq!(house.ask(from("203.0.113.7, 192.0.2.99")).await.status, StatusCode::OK);
}

#[tokio::test]
async fn signing_in_forgives_the_accounts_failures_and_not_the_addresss() {
    let house = House::new();
    fail(&house, "ada", "203.0.113.7", 9).await;
    assert_eq!(house.ask(right("ada").from("203.0.113.7")).await.status, StatusCode::OK);
    let store = &house.app.gate.signin;
    assert_eq!(store.attempts("account:ada").await.unwrap(), Attempts::default());
    assert_eq!(store.attempts("address:203.0.113.7").await.unwrap().failed_at.len(), 9);
    fail(&house, "ada", "203.0.113.8", 9).await;
    assert_eq!(house.ask(right("ada").from("203.0.113.8")).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_throttled_attempt_is_refused_unseen_and_not_counted() {
    let house = House::new();
    let store = Arc::clone(&house.app.gate.signin);
    for _ in 0..10 {
        store.note_failure("account:ada", THROTTLE, NOW).await.unwrap();
    }
    for _ in 0..3 {
        house.ask(wrong("ada")).await.is_problem(429, "too_many_attempts");
    }
    assert_eq!(store.attempts(&format!("address:{HOME}")).await.unwrap(), Attempts::default());
}

#[tokio::test]
async fn the_wait_is_told_by_the_callers_clock_where_ours_runs_faster() {
    let fast = Arc::new(ScaledClock::new(platform::clock::Clock::now(&platform::clock::SystemClock), 60.0));
    let house = House::with(|app| {
        app.gate.signin = Arc::new(MemorySigninStore::new(fast.clone()));
        app.gate.clock = fast.clone();
    });
    fail(&house, "ada", HOME, 10).await;
    let wait: u64 = house.ask(right("ada")).await.header("retry-after").parse().unwrap();
    assert!((1..=15).contains(&wait), "a quarter of an hour at sixty times the pace: {wait}");
}

/// Counts who fails at one moment, and lets attempts be made side by side.
#[derive(Debug)]
struct CountingStore {
    inner: MemorySigninStore,
    failures: AtomicUsize,
}

#[async_trait::async_trait]
impl SigninStore for CountingStore {
    async fn attempts(&self, key: &str) -> anyhow::Result<Attempts> {
        self.inner.attempts(key).await
    }
    async fn note_failure(&self, key: &str, throttle: Throttle, now: Timestamp) -> anyhow::Result<()> {
        if key.starts_with("account:") {
            self.failures.fetch_add(1, Ordering::SeqCst);
        }
        self.inner.note_failure(key, throttle, now).await
    }
    async fn forgive(&self, key: &str) -> anyhow::Result<()> {
        self.inner.forgive(key).await
    }
    async fn revoke(&self, token_id: &str, expires_at: Timestamp) -> anyhow::Result<()> {
        self.inner.revoke(token_id, expires_at).await
    }
    async fn is_revoked(&self, token_id: &str) -> anyhow::Result<bool> {
        self.inner.is_revoked(token_id).await
    }
}

fn counting(house: &House) -> Arc<CountingStore> {
    let inner = MemorySigninStore::new(Arc::new(house.clock.clone()));
    Arc::new(CountingStore { inner, failures: AtomicUsize::new(0) })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn forty_attempts_side_by_side_do_not_outrun_the_throttle() {
    let outer = House::new();
    let store = counting(&outer);
    let house = Arc::new(House::with(|app| {
        app.gate.signin = store.clone();
        app.gate.clock = Arc::new(outer.clock.clone());
    }));
    let attempts: Vec<_> = (0..40)
        .map(|_| {
            let house = Arc::clone(&house);
            tokio::spawn(async move { house.ask(wrong("ada")).await.status })
        })
        .collect();
    let mut statuses = Vec::new();
    for attempt in attempts {
        statuses.push(attempt.await.unwrap());
    }
    let hashed = store.failures.load(Ordering::SeqCst);
    let most = THROTTLE.failures_max + HASHES_AT_ONCE - 1;
    assert!((THROTTLE.failures_max..=most).contains(&hashed), "{hashed} hashed; those under way finish, no more begin");
    let throttled = statuses.iter().filter(|status| **status == StatusCode::TOO_MANY_REQUESTS).count();
    assert_eq!(throttled, 40 - hashed);
}

#[tokio::test]
async fn who_hangs_up_before_the_answer_is_counted_all_the_same() {
    let outer = House::new();
    let store = counting(&outer);
    let house = House::with(|app| app.gate.signin = store.clone());
    let hung_up = tokio::time::timeout(Duration::ZERO, house.ask(wrong("ada"))).await;
    assert!(hung_up.is_err(), "a hash takes longer than no time");
    let noted = async {
        while store.failures.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), noted).await.unwrap();
    assert_eq!(store.failures.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn when_the_store_is_away_nobody_gets_in_and_nobody_is_told_where_it_is() {
    let house = House::with(|app| app.gate.signin = Arc::new(BrokenStore));
    let refused = |answer: Answer| {
        answer.is_problem(503, "unavailable");
        assert!(!answer.text().contains("secret-host"), "{}", answer.text());
        assert_eq!(answer.header("retry-after"), "2");
    };
    refused(house.ask(right("ada")).await);
    let sound = House::new();
    let token = sound.sign_in("ada").await;
    let away = House::with(|app| {
        app.gate.identity = Arc::clone(&sound.app.gate.identity);
        app.gate.signin = Arc::new(BrokenStore);
    });
    refused(away.session(&token).await);
    refused(away.ask(Ask::post("/api/logout").header("x-auth-token", &token)).await);
}
