//! Tokens, really signed and really verified: ours by Ed25519, Google's by RSA.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use anyhow::Context as _;
use async_trait::async_trait;
use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::{Role, SESSION_LIFE, Seconds, Session, Timestamp};
use jsonwebtoken::jwk::{Jwk, JwkSet};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use platform::identity::jwks::{JwksSources, JwksVerifier};
use platform::identity::keys::{SigningKey, jwks};
use platform::identity::{Expected, GOOGLE_ISSUERS, Identity, TokenRefused};
use serde_json::{Value, json};
use wire::SessionClaims;

use crate::stage::locked;

pub(crate) const ISSUER: &str = "pilotlight";
pub(crate) const AUDIENCE: &str = "https://functions.example.com";
pub(crate) const PROJECT: &str = "p";
pub(crate) const VM_EMAIL: &str = "vm@p.iam.gserviceaccount.com";
pub(crate) const PUSH_EMAIL: &str = "push@p.iam.gserviceaccount.com";
pub(crate) const SCHEDULER_EMAIL: &str = "scheduler@p.iam.gserviceaccount.com";
const GOOGLE_KEY: &str = "google";
/// Google's tokens hold for an hour; whoever speaks more often gets the same one.
const TOKEN_LIFE: Seconds = Seconds::hours(1);

/// The keys of both issuers. No seed depends on them: what is signed is never shown.
pub struct Keys {
    pub(crate) ours: Arc<SigningKey>,
    google: EncodingKey,
    pub(crate) verifier: Arc<Verifier>,
    /// Tokens that hold still, by whom they are of; all seeds have the same times.
    minted: Mutex<BTreeMap<(String, i64), String>>,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keys").finish_non_exhaustive()
    }
}

impl Keys {
    /// New keys. Takes a moment, so that one pair serves all seeds of a process.
    ///
    /// # Errors
    /// When the machine has no randomness to give.
    pub fn generate() -> anyhow::Result<Arc<Self>> {
        let (ours, _) = SigningKey::generate()?;
        let pair = KeyPair::generate(KeySize::Rsa2048).context("generating an RSA key")?;
        let der: Pkcs8V1Der<'_> = pair.as_der().context("writing an RSA key")?;
        let pem =
            format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(der.as_ref()));
        let google = EncodingKey::from_rsa_pem(pem.as_bytes()).context("reading back an RSA key")?;
        let mut public = Jwk::from_encoding_key(&google, Algorithm::RS256)?;
        public.common.key_id = Some(GOOGLE_KEY.to_owned());
        let sources = JwksSources::none()
            .with_ours(ISSUER, &jwks(std::slice::from_ref(&ours)))
            .with_google(&JwkSet { keys: vec![public] });
        let verifier = Arc::new(Verifier { real: JwksVerifier::new(sources), known: Mutex::default() });
        Ok(Arc::new(Self { ours: Arc::new(ours), google, verifier, minted: Mutex::default() }))
    }

    fn minted(&self, of: String, now: Timestamp, sign: impl FnOnce(Timestamp) -> anyhow::Result<String>) -> String {
        // Half an hour old at most, so that none runs out on its way.
        let life = i64::try_from(TOKEN_LIFE.0).unwrap_or(3600);
        let begun = now.seconds().div_euclid(life / 2) * (life / 2);
        let mut minted = locked(&self.minted);
        let token =
            minted.entry((of, begun)).or_insert_with(|| sign(Timestamp::from_seconds(begun)).unwrap_or_default());
        token.clone()
    }

    /// A token of Google's: for one of our service accounts, with what else is claimed.
    fn google(&self, of: String, email: &str, now: Timestamp, google: &Value) -> String {
        self.minted(of, now, |begun| {
            let claims = json!({
                "iss": GOOGLE_ISSUERS[0], "aud": AUDIENCE, "sub": "1", "email": email, "email_verified": true,
                "iat": begun.seconds(), "exp": (begun + TOKEN_LIFE).seconds(), "google": google,
            });
            let header = Header { kid: Some(GOOGLE_KEY.to_owned()), ..Header::new(Algorithm::RS256) };
            Ok(encode(&header, &claims, &self.google)?)
        })
    }

    /// The token of a service of Google's that calls us.
    pub(crate) fn service(&self, email: &str, now: Timestamp) -> String {
        self.google(email.to_owned(), email, now, &Value::Null)
    }

    /// The full identity token of a VM.
    pub(crate) fn vm(&self, instance: &str, zone: &str, number: u64, now: Timestamp) -> String {
        let claim = json!({"compute_engine": {
            "project_id": PROJECT, "zone": zone, "instance_id": number.to_string(), "instance_name": instance,
        }});
        self.google(instance.to_owned(), VM_EMAIL, now, &claim)
    }

    /// The sign-in of a person.
    pub(crate) fn person(&self, user: &str, now: Timestamp) -> String {
        self.minted(format!("person {user}"), now, |issued_at| {
            let session = Session {
                id: user.to_owned(),
                user: user.to_owned(),
                role: Role::User,
                issued_at,
                expires_at: issued_at + SESSION_LIFE,
            };
            self.ours.sign(&SessionClaims::of(&session, ISSUER))
        })
    }
}

/// Verifies each token once by the real verifier. The same token again is good as long as it holds: a signature takes
/// more time than all the rest of a request, and would tell nothing new.
#[derive(Debug)]
pub(crate) struct Verifier {
    real: JwksVerifier,
    known: Mutex<BTreeMap<String, Value>>,
}

#[async_trait]
impl Identity for Verifier {
    async fn verify(&self, token: &str, expected: Expected<'_>) -> Result<Value, TokenRefused> {
        let holds = |claims: &&Value| {
            let says = |name: &str| claims[name].as_str().unwrap_or_default();
            claims["exp"].as_i64().is_some_and(|exp| exp > expected.now.seconds())
                && says("aud") == expected.audience
                && expected.issuers.contains(&says("iss"))
        };
        if let Some(claims) = locked(&self.known).get(token).filter(holds) {
            return Ok(claims.clone());
        }
        let claims = self.real.verify(token, expected).await?;
        locked(&self.known).insert(token.to_owned(), claims.clone());
        Ok(claims)
    }
}
