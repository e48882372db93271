//! The identity provider: signs tokens as Google's and publishes the keys to check them with.

use std::sync::{Arc, PoisonError, RwLock};

use anyhow::Context as _;
use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::jwk::{Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use platform::clock::Clock;
use serde_json::{Value, json};

use crate::chance::number_of;

/// Google's issuer.
const ISSUER: &str = "https://accounts.google.com";
/// An identity token lives for an hour.
const TOKEN_SECONDS: i64 = 3600;
/// The newest key signs; tokens of the ones before it still pass.
const KEYS_KEPT_MAX: usize = 2;

/// What a token says about the instance it was given to (`format=full`).
#[derive(Debug, Clone)]
pub(crate) struct InstanceClaims {
    pub(crate) project: String,
    pub(crate) project_number: u64,
    pub(crate) zone: String,
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) created_seconds: i64,
}

struct SigningKey {
    kid: String,
    private: EncodingKey,
    public: Jwk,
}

/// Signs identity tokens with RS256 keys of its own.
pub struct IdentityProvider {
    clock: Arc<dyn Clock>,
    /// The newest first.
    keys: RwLock<Vec<SigningKey>>,
}

impl std::fmt::Debug for IdentityProvider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IdentityProvider").finish_non_exhaustive()
    }
}

impl IdentityProvider {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> anyhow::Result<Self> {
        Ok(Self { clock, keys: RwLock::new(vec![SigningKey::generate()?]) })
    }

    /// A token for a service account, as Pub/Sub and Cloud Scheduler send it along.
    ///
    /// # Errors
    /// When it cannot be signed.
    pub fn mint(&self, email: &str, audience: &str) -> anyhow::Result<String> {
        let mut claims = self.claims(email, audience);
        claims["email"] = json!(email);
        claims["email_verified"] = json!(true);
        self.sign(&claims)
    }

    /// A token from an instance's metadata server. Only the full format says who and which instance it is.
    pub(crate) fn mint_for_instance(
        &self,
        email: &str,
        audience: &str,
        full: Option<&InstanceClaims>,
    ) -> anyhow::Result<String> {
        let mut claims = self.claims(email, audience);
        if let Some(instance) = full {
            claims["email"] = json!(email);
            claims["email_verified"] = json!(true);
            claims["google"] = json!({"compute_engine": {
                "project_id": instance.project,
                "project_number": instance.project_number,
                "zone": instance.zone,
                "instance_id": instance.id.to_string(),
                "instance_name": instance.name,
                "instance_creation_timestamp": instance.created_seconds,
            }});
        }
        self.sign(&claims)
    }

    /// Signs with a new key from now on. Tokens signed with the one before stay good, those of older ones do not.
    ///
    /// # Errors
    /// When no key can be made.
    pub fn rotate(&self) -> anyhow::Result<()> {
        let fresh = SigningKey::generate()?;
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        keys.insert(0, fresh);
        keys.truncate(KEYS_KEPT_MAX);
        Ok(())
    }

    /// The public keys, as the JWKS endpoint gives them out.
    pub fn jwks(&self) -> Value {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        json!({"keys": keys.iter().map(|key| &key.public).collect::<Vec<_>>()})
    }

    fn claims(&self, email: &str, audience: &str) -> Value {
        let now = self.clock.now().seconds();
        let account = unique_id(email);
        json!({"iss": ISSUER, "aud": audience, "azp": account, "sub": account, "iat": now, "exp": now + TOKEN_SECONDS})
    }

    fn sign(&self, claims: &Value) -> anyhow::Result<String> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        let key = keys.first().context("the identity provider has no key")?;
        let header = Header { kid: Some(key.kid.clone()), ..Header::new(Algorithm::RS256) };
        encode(&header, claims, &key.private).context("signing an identity token")
    }
}

impl SigningKey {
    fn generate() -> anyhow::Result<Self> {
        let pair = KeyPair::generate(KeySize::Rsa2048).ok().context("generating an RSA key")?;
        let der: Pkcs8V1Der<'static> = pair.as_der().ok().context("writing out an RSA key")?;
        let pem = format!(
            "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
            lines(&STANDARD.encode(der.as_ref()))
        );
        let private = EncodingKey::from_rsa_pem(pem.as_bytes()).context("reading back an RSA key")?;
        let mut public = Jwk::from_encoding_key(&private, Algorithm::RS256).context("deriving a public key")?;
        let mut kid = [0u8; 20];
        getrandom::fill(&mut kid).map_err(|error| anyhow::anyhow!("the system has no randomness: {error}"))?;
        let kid: String = kid.iter().map(|byte| format!("{byte:02x}")).collect();
        public.common.key_id = Some(kid.clone());
        public.common.public_key_use = Some(PublicKeyUse::Signature);
        Ok(Self { kid, private, public })
    }
}

/// PEM has lines of 64 characters.
fn lines(base64: &str) -> String {
    let chunks: Vec<&str> = base64.as_bytes().chunks(64).filter_map(|line| std::str::from_utf8(line).ok()).collect();
    chunks.join("\n")
}

/// A service account's numeric id: 21 digits, the same for the same e-mail.
fn unique_id(email: &str) -> String {
    format!("1{:020}", number_of(email))
}

#[cfg(test)]
mod tests {
    use domain::Timestamp;
    use jsonwebtoken::jwk::JwkSet;
    use jsonwebtoken::{DecodingKey, Validation, decode, decode_header};
    use platform::clock::ManualClock;

    use super::*;

    fn provider() -> IdentityProvider {
        IdentityProvider::new(Arc::new(ManualClock::at(Timestamp::from_seconds(1_800_000_000)))).unwrap()
    }

    fn check(provider: &IdentityProvider, token: &str) -> Option<Value> {
        let keys: JwkSet = serde_json::from_value(provider.jwks()).unwrap();
        let key = keys.find(&decode_header(token).unwrap().kid.unwrap())?.clone();
        let mut validation = Validation::new(Algorithm::RS256);
        validation.validate_exp = false;
        validation.set_audience(&["https://lifecycle"]);
        validation.set_issuer(&[ISSUER]);
        Some(decode::<Value>(token, &DecodingKey::from_jwk(&key).unwrap(), &validation).unwrap().claims)
    }

    #[test]
    fn a_token_is_googles_in_every_claim() {
        let provider = provider();
        let claims = check(&provider, &provider.mint("push@p.iam", "https://lifecycle").unwrap()).unwrap();
        assert_eq!(claims["iss"], "https://accounts.google.com");
        assert_eq!(claims["email"], "push@p.iam");
        assert_eq!(claims["email_verified"], true);
        assert_eq!(claims["exp"], 1_800_003_600);
        assert_eq!(claims["azp"], claims["sub"]);
        assert_eq!(claims["sub"].as_str().unwrap().len(), 21);
    }

    #[test]
    fn a_rotated_key_still_checks_and_a_twice_rotated_one_does_not() {
        let provider = provider();
        let token = provider.mint("push@p.iam", "https://lifecycle").unwrap();
        provider.rotate().unwrap();
        assert!(check(&provider, &token).is_some());
        let newer = provider.mint("push@p.iam", "https://lifecycle").unwrap();
        assert_ne!(decode_header(&newer).unwrap().kid, decode_header(&token).unwrap().kid);
        provider.rotate().unwrap();
        assert!(check(&provider, &token).is_none());
        assert!(check(&provider, &newer).is_some());
    }
}
