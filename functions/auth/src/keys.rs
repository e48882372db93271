//! The keys that sign our tokens and tickets, and the public ones that let others check them.

use anyhow::{Context as _, ensure};
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use bytes::Bytes;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, JwkSet};
use platform::identity::jwks::{JwksSources, JwksVerifier};
use platform::identity::keys::{SigningKey, jwks};

use crate::app::App;

/// Others may keep the keys this long; a new key is published for longer than that before it signs.
const JWKS_CACHE_CONTROL: &str = "public, max-age=300";
/// More keys than this are no rotation but a mistake.
const PUBLISHED_KEYS_MAX: usize = 16;

/// One key that signs; all the public keys whose tokens are good.
#[derive(Debug)]
pub struct Keys {
    signing: SigningKey,
    published: JwkSet,
    document: Bytes,
}

impl Keys {
    /// The first of `own` signs; all of `own` and `others` are published.
    ///
    /// # Errors
    /// When there is no key of our own, there are too many, or one of `others` is no named Ed25519 key.
    pub fn new(own: &[SigningKey], others: JwkSet) -> anyhow::Result<Self> {
        let signing = own.first().context("expected a key to sign with, found none")?.clone();
        let mut published = jwks(own);
        for (at, key) in others.keys.into_iter().enumerate() {
            let is_ed25519 = matches!(&key.algorithm, AlgorithmParameters::OctetKeyPair(pair) if pair.curve == EllipticCurve::Ed25519);
            ensure!(is_ed25519, "key {}: expected an Ed25519 key (kty OKP)", at + 1);
            ensure!(key.common.key_id.is_some(), "key {}: expected a kid", at + 1);
            if !published.keys.iter().any(|known| known.common.key_id == key.common.key_id) {
                published.keys.push(key);
            }
        }
        let count = published.keys.len();
        ensure!(count <= PUBLISHED_KEYS_MAX, "found {count} keys; expected at most {PUBLISHED_KEYS_MAX}");
        let document = serde_json::to_vec(&published).context("writing the key set")?.into();
        Ok(Self { signing, published, document })
    }

    /// The key that signs.
    pub fn signing(&self) -> &SigningKey {
        &self.signing
    }

    /// All public keys.
    pub fn published(&self) -> &JwkSet {
        &self.published
    }

    /// Checks our own tokens by our own keys, without asking ourselves over HTTP.
    pub fn verifier(&self, issuer: &str) -> JwksVerifier {
        JwksVerifier::new(JwksSources::none().with_ours(issuer, &self.published))
    }
}

/// The public keys, for whoever checks our tokens.
#[utoipa::path(get, path = "/.well-known/jwks.json", tag = "keys", operation_id = "jwks",
    responses((status = 200, description = "A JWK set (RFC 7517)", body = serde_json::Value)))]
pub(crate) async fn serve_jwks(State(app): State<App>) -> impl IntoResponse {
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, JWKS_CACHE_CONTROL)];
    (headers, app.keys.document.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_key_signs_and_all_are_published_once() {
        let (first, _) = SigningKey::generate().unwrap();
        let (second, _) = SigningKey::generate().unwrap();
        let (retired, _) = SigningKey::generate().unwrap();
        let others = JwkSet { keys: vec![retired.public().clone(), first.public().clone()] };
        let keys = Keys::new(&[first.clone(), second.clone()], others).unwrap();
        let ids: Vec<_> = keys.published().keys.iter().filter_map(|key| key.common.key_id.as_deref()).collect();
        assert_eq!(ids, [first.key_id(), second.key_id(), retired.key_id()]);
        assert_eq!(keys.signing().key_id(), first.key_id());
    }

    #[test]
    fn a_key_that_cannot_be_ours_is_refused() {
        let (own, _) = SigningKey::generate().unwrap();
        let refused = |json: serde_json::Value| {
            let others = serde_json::from_value(serde_json::json!({"keys": [json]})).unwrap();
            Keys::new(std::slice::from_ref(&own), others).unwrap_err().to_string()
        };
        let secret = refused(serde_json::json!({"kty": "oct", "k": "c2VjcmV0", "kid": "x"}));
        assert!(secret.contains("key 1: expected an Ed25519 key") && !secret.contains("c2Vj"), "{secret}");
        let mut nameless = serde_json::to_value(own.public()).unwrap();
        nameless.as_object_mut().unwrap().remove("kid");
        assert!(refused(nameless).contains("expected a kid"));
        assert!(Keys::new(&[], JwkSet { keys: Vec::new() }).is_err());
    }
}
