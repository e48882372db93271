//! Our own signing keys: read from a secret, used to sign, published as a JWK set. What is signed is not decided here.

use std::fmt;

use anyhow::{Context as _, bail, ensure};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::jwk::{Jwk, JwkSet, PublicKeyUse, ThumbprintHash};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header};
use serde::Serialize;

/// More keys than this at once is no rotation but a mistake: one that signs, one that retires, one to come.
pub const SIGNING_KEYS_MAX: usize = 8;

/// Characters on a line of PEM.
const PEM_LINE: usize = 64;
const PEM_BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const PEM_END: &str = "-----END PRIVATE KEY-----";

/// An Ed25519 key that signs tokens. Its private half shows nowhere, `Debug` included.
#[derive(Clone)]
pub struct SigningKey {
    key_id: String,
    encoding: EncodingKey,
    public: Jwk,
}

impl SigningKey {
    /// Reads a key from PKCS#8 PEM (`openssl genpkey -algorithm ed25519`).
    ///
    /// # Errors
    /// When there is not exactly one such key in the text. The text itself is never repeated.
    pub fn from_pem(pem: &str) -> anyhow::Result<Self> {
        let mut keys = Self::all_from_pem(pem)?;
        match keys.pop() {
            Some(key) if keys.is_empty() => Ok(key),
            _ => bail!("expected one private key, found {}", keys.len() + 1),
        }
    }

    /// Reads one key after another: the first signs, the others are published so that what they signed stays good.
    ///
    /// # Errors
    /// When a block is no Ed25519 key, or when there are none, or more than [`SIGNING_KEYS_MAX`].
    pub fn all_from_pem(pem: &str) -> anyhow::Result<Vec<Self>> {
        let blocks: Vec<&str> = pem.split(PEM_BEGIN).skip(1).collect();
        ensure!(
            (1..=SIGNING_KEYS_MAX).contains(&blocks.len()),
            "expected 1 to {SIGNING_KEYS_MAX} blocks of {PEM_BEGIN}, found {}",
            blocks.len()
        );
        blocks
            .into_iter()
            .enumerate()
            .map(|(at, block)| Self::from_block(block).with_context(|| format!("private key {}", at + 1)))
            .collect()
    }

    /// A new key of its own, and the PEM that brings it back.
    ///
    /// # Errors
    /// When the machine has no randomness to give.
    pub fn generate() -> anyhow::Result<(Self, String)> {
        let der = Ed25519KeyPair::generate_pkcs8v1(&SystemRandom::new()).context("generating an Ed25519 key")?;
        let mut pem = format!("{PEM_BEGIN}\n");
        let text = STANDARD.encode(der.as_ref());
        for line in text.as_bytes().chunks(PEM_LINE) {
            pem.push_str(std::str::from_utf8(line)?);
            pem.push('\n');
        }
        pem.push_str(PEM_END);
        pem.push('\n');
        Ok((Self::from_der(der.as_ref())?, pem))
    }

    /// Name of the key: its JWK thumbprint (RFC 7638), so that equal keys have equal names everywhere.
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// The public half.
    pub fn public(&self) -> &Jwk {
        &self.public
    }

    /// Signs claims as a JWT that names this key.
    ///
    /// # Errors
    /// When the claims cannot be written as JSON.
    pub fn sign(&self, claims: &impl Serialize) -> anyhow::Result<String> {
        let header = Header { kid: Some(self.key_id.clone()), ..Header::new(Algorithm::EdDSA) };
        jsonwebtoken::encode(&header, claims, &self.encoding).context("signing a token")
    }

    fn from_block(block: &str) -> anyhow::Result<Self> {
        let (body, _) = block.split_once(PEM_END).with_context(|| format!("a block does not end in {PEM_END}"))?;
        let text: String = body.split_whitespace().collect();
        // The decoder's error would repeat a character of the secret.
        let der = STANDARD.decode(text).ok().context("a block is not Base64")?;
        Self::from_der(&der)
    }

    fn from_der(der: &[u8]) -> anyhow::Result<Self> {
        let pair = Ed25519KeyPair::from_pkcs8(der).context("expected an Ed25519 key in PKCS#8")?;
        let public = DecodingKey::from_ed_der(pair.public_key().as_ref());
        let mut public = Jwk::from_decoding_key(&public, Some(Algorithm::EdDSA))?;
        let key_id = public.thumbprint(ThumbprintHash::SHA256)?;
        public.common.key_id = Some(key_id.clone());
        public.common.public_key_use = Some(PublicKeyUse::Signature);
        Ok(Self { key_id, encoding: EncodingKey::from_ed_der(der), public })
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("key_id", &self.key_id).finish_non_exhaustive()
    }
}

/// The public halves, as they are published at `/.well-known/jwks.json`.
pub fn jwks(keys: &[SigningKey]) -> JwkSet {
    JwkSet { keys: keys.iter().map(|key| key.public.clone()).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made for this test by `openssl genpkey -algorithm ed25519`; it protects nothing.
    const OPENSSL: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIFu6kzuHcccxl79544FDFJnP7Wz4lgrNndpSHEQrcdtv
-----END PRIVATE KEY-----
";

    #[test]
    fn a_generated_key_comes_back_from_its_pem_under_the_same_name() {
        let (key, pem) = SigningKey::generate().unwrap();
        assert_eq!(SigningKey::from_pem(&pem).unwrap().key_id(), key.key_id());
        assert_ne!(SigningKey::generate().unwrap().0.key_id(), key.key_id());
    }

    #[test]
    fn a_key_of_openssl_is_read_and_named_by_its_thumbprint() {
        let key = SigningKey::from_pem(OPENSSL).unwrap();
        assert_eq!(key.key_id(), key.public().thumbprint(ThumbprintHash::SHA256).unwrap());
        assert_eq!(key.key_id().len(), 43, "a SHA-256 in Base64: {}", key.key_id());
    }

    #[test]
    fn a_key_in_the_newer_pkcs8_form_is_read_too() {
        let der = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        let pem = format!("{PEM_BEGIN}\n{}\n{PEM_END}", STANDARD.encode(der.as_ref()));
        let key = SigningKey::from_pem(&pem).unwrap();
        assert!(key.sign(&serde_json::json!({"sub": "admin"})).is_ok());
    }

    #[test]
    fn what_is_published_holds_every_key_and_nothing_private() {
        let (first, _) = SigningKey::generate().unwrap();
        let second = SigningKey::from_pem(OPENSSL).unwrap();
        let published = serde_json::to_value(jwks(&[first.clone(), second.clone()])).unwrap();
        let keys = published["keys"].as_array().unwrap();
        assert_eq!(
            keys.iter().map(|key| key["kid"].as_str().unwrap()).collect::<Vec<_>>(),
            [first.key_id(), second.key_id()]
        );
        for key in keys {
            let mut fields: Vec<&str> = key.as_object().unwrap().keys().map(String::as_str).collect();
            fields.sort_unstable();
            assert_eq!(fields, ["alg", "crv", "kid", "kty", "use", "x"]);
        }
    }

    #[test]
    fn the_private_half_shows_neither_in_debug_nor_in_errors() {
        let shown = format!("{:?}", SigningKey::from_pem(OPENSSL).unwrap());
        assert!(!shown.contains("Fu6kzuH") && shown.contains("key_id"), "{shown}");
        let broken = OPENSSL.replace("MC4C", "M!4C");
        let error = format!("{:?}", SigningKey::from_pem(&broken).unwrap_err());
        assert!(!error.contains("kzuH") && error.contains("private key 1"), "{error}");
    }

    #[test]
    fn keys_after_one_another_are_read_in_order_and_within_bounds() {
        let (_, newer) = SigningKey::generate().unwrap();
        let both = SigningKey::all_from_pem(&format!("{newer}{OPENSSL}")).unwrap();
        assert_eq!(both[1].key_id(), SigningKey::from_pem(OPENSSL).unwrap().key_id());
        assert!(SigningKey::from_pem(&format!("{newer}{OPENSSL}")).is_err(), "one key was asked for");
        assert!(SigningKey::all_from_pem("").is_err());
        assert!(SigningKey::all_from_pem(&OPENSSL.repeat(SIGNING_KEYS_MAX + 1)).is_err());
    }
}
