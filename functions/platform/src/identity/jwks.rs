//! The verifier: whose keys may sign for an issuer, and what a token must say. How keys are had is in `key_cache`.
//!
//! ```text
//! token ─► header: alg as pinned for the issuer, kid ─► key (cache, or one fetch) ─► signature ─► iss, aud ─► exp, nbf, iat
//! ```
//!
//! A source belongs to issuers and to one algorithm. A token that claims our issuer is checked with our keys and no
//! others, whatever its header says, so neither Google's keys nor a public key taken for an HMAC secret can forge it.

use async_trait::async_trait;
use domain::{Seconds, Timestamp};
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::Value;

use super::key_cache::{KeyCache, Keys};
use super::{Expected, GOOGLE_ISSUERS, Identity, TokenRefused};

/// Where Google publishes the keys of its ID tokens.
pub const GOOGLE_JWKS_URL: &str = "https://www.googleapis.com/oauth2/v3/certs";

/// How far the clocks of issuer and verifier may differ.
pub const CLOCK_LEEWAY: Seconds = Seconds(10);

/// A longer token is none of ours nor of Google's: a VM's full token has about 1,500 characters.
const TOKEN_LENGTH_MAX: usize = 8 * 1024;

/// Which keys sign for which issuers.
#[derive(Debug, Default)]
pub struct JwksSources {
    sources: Vec<Source>,
}

#[derive(Debug)]
struct Source {
    issuers: Vec<String>,
    algorithm: Algorithm,
    keys: Origin,
}

#[derive(Debug)]
enum Origin {
    Given(Keys),
    Cached(KeyCache),
}

impl JwksSources {
    /// No issuer is trusted yet.
    pub fn none() -> Self {
        Self::default()
    }

    /// Our own tokens, by the keys that `url` publishes.
    #[must_use]
    pub fn with_ours_at(self, issuer: &str, url: &str) -> Self {
        self.with(&[issuer], Algorithm::EdDSA, |algorithm| Origin::Cached(KeyCache::new(url, algorithm)))
    }

    /// Our own tokens, by keys held in this process.
    #[must_use]
    pub fn with_ours(self, issuer: &str, keys: &JwkSet) -> Self {
        self.with(&[issuer], Algorithm::EdDSA, |algorithm| Origin::Given(Keys::from_set(keys, algorithm)))
    }

    /// Google's ID tokens, by the keys that `url` publishes: [`GOOGLE_JWKS_URL`], or the pocket cloud's.
    #[must_use]
    pub fn with_google_at(self, url: &str) -> Self {
        self.with(GOOGLE_ISSUERS, Algorithm::RS256, |algorithm| Origin::Cached(KeyCache::new(url, algorithm)))
    }

    /// Google's ID tokens, by keys held in this process: where there is no network to fetch any.
    #[must_use]
    pub fn with_google(self, keys: &JwkSet) -> Self {
        self.with(GOOGLE_ISSUERS, Algorithm::RS256, |algorithm| Origin::Given(Keys::from_set(keys, algorithm)))
    }

    fn with(mut self, issuers: &[&str], algorithm: Algorithm, keys: impl FnOnce(Algorithm) -> Origin) -> Self {
        let issuers = issuers.iter().map(|&issuer| issuer.to_owned()).collect();
        self.sources.push(Source { issuers, algorithm, keys: keys(algorithm) });
        self
    }
}

/// Checks tokens by the published keys of their issuers.
#[derive(Debug)]
pub struct JwksVerifier {
    sources: JwksSources,
}

impl JwksVerifier {
    /// Nothing is fetched before the first token comes.
    pub fn new(sources: JwksSources) -> Self {
        Self { sources }
    }

    /// The one source that speaks for all the issuers expected.
    fn source(&self, issuers: &[&str]) -> Option<&Source> {
        let speaks = |source: &&Source| issuers.iter().all(|issuer| source.issuers.iter().any(|own| own == issuer));
        if issuers.is_empty() { None } else { self.sources.sources.iter().find(speaks) }
    }
}

#[async_trait]
impl Identity for JwksVerifier {
    async fn verify(&self, token: &str, expected: Expected<'_>) -> Result<Value, TokenRefused> {
        let source = self.source(expected.issuers).ok_or_else(|| {
            TokenRefused::KeysUnavailable(anyhow::anyhow!(
                "no keys are configured for the issuers {:?}",
                expected.issuers
            ))
        })?;
        let key_id = key_id(token, source.algorithm)?;
        let key = match &source.keys {
            Origin::Given(keys) => keys.get(&key_id).ok_or(TokenRefused::BadSignature)?,
            Origin::Cached(cache) => cache.key(&key_id, expected.now).await?,
        };
        let claims = signed_claims(token, &key, source.algorithm)?;
        check_parties(&claims, &expected)?;
        check_times(&claims, expected.now)?;
        Ok(claims)
    }
}

/// The key that the header names, if the header is of the one kind that the source signs.
fn key_id(token: &str, algorithm: Algorithm) -> Result<String, TokenRefused> {
    if token.len() > TOKEN_LENGTH_MAX {
        return Err(TokenRefused::Malformed);
    }
    let header = jsonwebtoken::decode_header(token).map_err(|_| TokenRefused::Malformed)?;
    // RFC 7515 §4.1.11: extensions that must be understood, and are not, make a token invalid.
    if header.alg != algorithm || header.crit.is_some() {
        return Err(TokenRefused::Malformed);
    }
    header.kid.ok_or(TokenRefused::Malformed)
}

/// The claims, if `key` has signed them. They are judged by the caller: the library knows only the machine's clock.
fn signed_claims(token: &str, key: &DecodingKey, algorithm: Algorithm) -> Result<Value, TokenRefused> {
    let mut signature_only = Validation::new(algorithm);
    signature_only.required_spec_claims.clear();
    signature_only.validate_exp = false;
    signature_only.validate_nbf = false;
    signature_only.validate_aud = false;
    match jsonwebtoken::decode::<Value>(token, key, &signature_only) {
        Ok(data) if data.claims.is_object() => Ok(data.claims),
        Ok(_) => Err(TokenRefused::Malformed),
        Err(error) if matches!(error.kind(), ErrorKind::InvalidSignature) => Err(TokenRefused::BadSignature),
        Err(_) => Err(TokenRefused::Malformed),
    }
}

/// Issuer and audience must be one text each, exactly as expected.
fn check_parties(claims: &Value, expected: &Expected<'_>) -> Result<(), TokenRefused> {
    let claim = |name: &str| claims.get(name).and_then(Value::as_str);
    let issued = claim("iss").is_some_and(|issuer| expected.issuers.contains(&issuer));
    if issued && claim("aud") == Some(expected.audience) { Ok(()) } else { Err(TokenRefused::WrongParty) }
}

fn check_times(claims: &Value, now: Timestamp) -> Result<(), TokenRefused> {
    let expires = moment(claims, "exp")?.ok_or(TokenRefused::Malformed)?;
    let begins = [moment(claims, "nbf")?, moment(claims, "iat")?];
    let over = now >= expires + CLOCK_LEEWAY;
    let ahead = begins.into_iter().flatten().any(|begin| begin > now + CLOCK_LEEWAY);
    if over || ahead { Err(TokenRefused::Expired) } else { Ok(()) }
}

/// A `NumericDate` (RFC 7519 §2): whole seconds in all tokens that we know of.
fn moment(claims: &Value, name: &str) -> Result<Option<Timestamp>, TokenRefused> {
    match claims.get(name) {
        None => Ok(None),
        Some(value) => value.as_i64().map(Timestamp::from_seconds).map(Some).ok_or(TokenRefused::Malformed),
    }
}

#[cfg(test)]
#[path = "jwks_tests.rs"]
mod tests;
