//! Public keys of one issuer, fetched when they are needed and kept while they are good.
//!
//! ```text
//! key known and fresh ──► it                      (no lock but a read of the cache)
//! key unknown, or keys expired ──► one fetch at a time; whoever waited takes what it brought
//!    a fetch failed lately, or an unknown key was looked for lately ──► no fetch
//!    fetch failed, key known ──► it, up to KEYS_KEPT_MAX old
//! ```
//!
//! Moments are the caller's: the cache knows no clock. Where the clock was put back, keys from the future are expired.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock, RwLock};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use domain::{Seconds, Timestamp};
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use reqwest::header::{AGE, CACHE_CONTROL, HeaderMap};
use serde::Deserialize;
use tokio::sync::Mutex;

use super::TokenRefused;
use super::jwks::CLOCK_LEEWAY;

/// Keys are used at least this long without a fetch, whatever the endpoint says: it is asked at most once a minute.
pub(super) const KEYS_FRESH_MIN: Seconds = Seconds(60);
/// Keys are asked for again after this time at the latest, so that a withdrawn key goes within it.
pub(super) const KEYS_FRESH_MAX: Seconds = Seconds::hours(6);
/// How long keys are fresh when the endpoint says nothing.
pub(super) const KEYS_FRESH_DEFAULT: Seconds = Seconds::minutes(5);
/// While the endpoint is down, keys are trusted up to this age: Google rotates its own about weekly.
pub(super) const KEYS_KEPT_MAX: Seconds = Seconds::hours(24);
/// A key that we do not have is looked for at most this often: anybody can invent a key's name.
pub(super) const UNKNOWN_KEY_EVERY: Seconds = Seconds(10);
/// After a fetch that failed, the next one waits this long.
pub(super) const FAILED_FETCH_EVERY: Seconds = Seconds(5);

/// One fetch takes no longer than this, connecting included.
const FETCH_LIMIT: Duration = Duration::from_secs(5);
const CONNECT_LIMIT: Duration = Duration::from_secs(2);
/// Google's set has about 3 kB.
const SET_BYTES_MAX: usize = 64 * 1024;
/// Keys looked at in one set.
const SET_KEYS_MAX: usize = 64;

/// Public keys by their names.
#[derive(Debug, Default, Clone)]
pub(super) struct Keys(HashMap<String, Arc<DecodingKey>>);

impl Keys {
    pub(super) fn from_set(set: &JwkSet, algorithm: Algorithm) -> Self {
        let named = |jwk: &Jwk| Some((jwk.common.key_id.clone()?, Arc::new(usable(jwk, algorithm)?)));
        Self(set.keys.iter().take(SET_KEYS_MAX).filter_map(named).collect())
    }

    pub(super) fn get(&self, key_id: &str) -> Option<Arc<DecodingKey>> {
        self.0.get(key_id).cloned()
    }
}

/// The key, if it verifies signatures of this algorithm. A set may hold others, which are not our business.
fn usable(jwk: &Jwk, algorithm: Algorithm) -> Option<DecodingKey> {
    let (kind, name) = match (algorithm, &jwk.algorithm) {
        (Algorithm::EdDSA, AlgorithmParameters::OctetKeyPair(pair)) => {
            (pair.curve == EllipticCurve::Ed25519, KeyAlgorithm::EdDSA)
        }
        (Algorithm::RS256, AlgorithmParameters::RSA(_)) => (true, KeyAlgorithm::RS256),
        _ => return None,
    };
    let signs = jwk.common.public_key_use.as_ref().is_none_or(|purpose| *purpose == PublicKeyUse::Signature);
    let named = jwk.common.key_algorithm.is_none_or(|said| said == name);
    if kind && signs && named { DecodingKey::from_jwk(jwk).ok() } else { None }
}

/// What a fetch brought.
#[derive(Debug)]
struct Fetched {
    keys: Keys,
    at: Timestamp,
    fresh_until: Timestamp,
}

impl Fetched {
    fn is_fresh(&self, now: Timestamp) -> bool {
        self.at <= now + CLOCK_LEEWAY && now < self.fresh_until
    }

    fn is_trusted(&self, now: Timestamp) -> bool {
        now < self.at + KEYS_KEPT_MAX
    }
}

/// The last fetch, whatever came of it.
#[derive(Debug, Clone, Copy)]
struct Attempt {
    at: Timestamp,
    failed: bool,
}

impl Attempt {
    /// It was so short a time ago that another must wait. A clock put back does not make anybody wait, but who read
    /// it just before the fetch did must.
    fn holds_back(self, now: Timestamp) -> bool {
        let every = if self.failed { FAILED_FETCH_EVERY } else { UNKNOWN_KEY_EVERY };
        self.at <= now + CLOCK_LEEWAY && now < self.at + every
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct KeyCache {
    url: String,
    algorithm: Algorithm,
    client: OnceLock<reqwest::Client>,
    fetched: RwLock<Option<Arc<Fetched>>>,
    /// Held while fetching: one fetch at a time.
    last_attempt: Mutex<Option<Attempt>>,
}

impl KeyCache {
    pub(super) fn new(url: &str, algorithm: Algorithm) -> Self {
        Self {
            url: url.to_owned(),
            algorithm,
            client: OnceLock::new(),
            fetched: RwLock::default(),
            last_attempt: Mutex::default(),
        }
    }

    /// The key of that name.
    pub(super) async fn key(&self, key_id: &str, now: Timestamp) -> Result<Arc<DecodingKey>, TokenRefused> {
        if let Some(fetched) = self.fetched()
            && fetched.is_fresh(now)
            && let Some(key) = fetched.keys.get(key_id)
        {
            return Ok(key);
        }
        // Keys that have only just expired need not wait for whoever is fetching newer ones.
        let mut last_attempt = match (self.last_attempt.try_lock(), self.trusted(key_id, now)) {
            (Ok(lock), _) => lock,
            (Err(_), Some(key)) => return Ok(key),
            (Err(_), None) => self.last_attempt.lock().await,
        };
        let fetched = self.fetched();
        // Somebody may have fetched while we waited.
        let satisfied = fetched.is_some_and(|fetched| fetched.is_fresh(now) && fetched.keys.get(key_id).is_some());
        if !satisfied && !last_attempt.is_some_and(|attempt| attempt.holds_back(now)) {
            let failed = match self.fetch(now).await {
                Ok(fetched) => {
                    self.keep(fetched);
                    false
                }
                Err(error) => {
                    tracing::warn!(error = format!("{error:#}"), url = self.url, "public keys could not be fetched");
                    true
                }
            };
            *last_attempt = Some(Attempt { at: now, failed });
        }
        let failed = last_attempt.is_some_and(|attempt| attempt.failed);
        drop(last_attempt);
        match self.trusted(key_id, now) {
            Some(key) => Ok(key),
            None if failed => {
                Err(TokenRefused::KeysUnavailable(anyhow::anyhow!("the last fetch of {} failed", self.url)))
            }
            None => Err(TokenRefused::BadSignature),
        }
    }

    fn trusted(&self, key_id: &str, now: Timestamp) -> Option<Arc<DecodingKey>> {
        self.fetched().filter(|fetched| fetched.is_trusted(now))?.keys.get(key_id)
    }

    fn fetched(&self) -> Option<Arc<Fetched>> {
        // Nothing that holds this lock can panic; if it did, what is inside would still be whole.
        self.fetched.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    fn keep(&self, fetched: Fetched) {
        *self.fetched.write().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(Arc::new(fetched));
    }

    async fn fetch(&self, now: Timestamp) -> anyhow::Result<Fetched> {
        let response = self.client()?.get(&self.url).send().await.context("asking for the keys")?;
        let status = response.status();
        ensure!(status.is_success(), "the answer was {status}");
        let fresh_for = fresh_for(response.headers());
        let set = read_set(response).await?;
        let keys = Keys::from_set(&set, self.algorithm);
        ensure!(!keys.0.is_empty(), "the answer holds no key for {:?}", self.algorithm);
        Ok(Fetched { keys, at: now, fresh_until: now + fresh_for })
    }

    /// Built at the first fetch: reading the certificate store takes longer than the rest of a cold start.
    fn client(&self) -> anyhow::Result<&reqwest::Client> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let builder = reqwest::Client::builder()
            .timeout(FETCH_LIMIT)
            .connect_timeout(CONNECT_LIMIT)
            // Keys come from where the configuration says, and from nowhere it points to.
            .redirect(reqwest::redirect::Policy::none());
        let client = builder.build().context("building the client that fetches keys")?;
        Ok(self.client.get_or_init(|| client))
    }
}

/// A set whose members are read one by one: a key of a kind we cannot read does not spoil the others.
#[derive(Deserialize)]
struct LooseSet {
    keys: Vec<serde_json::Value>,
}

async fn read_set(mut response: reqwest::Response) -> anyhow::Result<JwkSet> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.context("reading the keys")? {
        ensure!(body.len() + chunk.len() <= SET_BYTES_MAX, "the answer is longer than {SET_BYTES_MAX} bytes");
        body.extend_from_slice(&chunk);
    }
    let set: LooseSet = serde_json::from_slice(&body).context("the answer is no JWK set")?;
    Ok(JwkSet { keys: set.keys.into_iter().filter_map(|key| serde_json::from_value(key).ok()).collect() })
}

/// How long the answer says that it is good, within our bounds.
fn fresh_for(headers: &HeaderMap) -> Seconds {
    let text = |name| headers.get(name).and_then(|value: &reqwest::header::HeaderValue| value.to_str().ok());
    let control = text(CACHE_CONTROL).unwrap_or_default().to_ascii_lowercase();
    let directives = || control.split(',').map(str::trim);
    if directives().any(|directive| directive == "no-store" || directive == "no-cache") {
        return KEYS_FRESH_MIN;
    }
    let max_age = directives().find_map(|directive| directive.strip_prefix("max-age=")?.trim_matches('"').parse().ok());
    let age: u64 = text(AGE).and_then(|age| age.trim().parse().ok()).unwrap_or(0);
    let said = max_age.map_or(KEYS_FRESH_DEFAULT, |max_age: u64| Seconds(max_age.saturating_sub(age)));
    said.clamp(KEYS_FRESH_MIN, KEYS_FRESH_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(pairs: &[(reqwest::header::HeaderName, &str)]) -> Seconds {
        fresh_for(&pairs.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect())
    }

    #[test]
    fn keys_are_fresh_for_as_long_as_the_endpoint_says_within_bounds() {
        assert_eq!(told(&[(CACHE_CONTROL, "public, max-age=20000, must-revalidate")]), Seconds(20_000));
        assert_eq!(told(&[(CACHE_CONTROL, "Max-Age=20000"), (AGE, "5000")]), Seconds(15_000));
        assert_eq!(told(&[(CACHE_CONTROL, "max-age=1")]), KEYS_FRESH_MIN);
        assert_eq!(told(&[(CACHE_CONTROL, "no-store, max-age=9999")]), KEYS_FRESH_MIN);
        assert_eq!(told(&[(CACHE_CONTROL, "max-age=99999999")]), KEYS_FRESH_MAX);
        assert_eq!(told(&[(CACHE_CONTROL, "max-age=soon")]), KEYS_FRESH_DEFAULT);
        assert_eq!(told(&[]), KEYS_FRESH_DEFAULT);
    }
}
