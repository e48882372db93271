//! Tokens: our own are signed and checked as ever. Google's are what they say: its keys are not to be had here.

use async_trait::async_trait;
use domain::Timestamp;
use platform::identity::jwks::JwksVerifier;
use platform::identity::{Expected, GOOGLE_ISSUERS, Identity, TokenRefused};
use serde_json::{Value, json};

/// Whom everybody of Google's means.
pub(crate) const AUDIENCE: &str = "https://functions.example.com";
/// The service account of everybody of Google's.
pub(crate) const EMAIL: &str = "somebody@p.iam.gserviceaccount.com";
pub(crate) const PROJECT: &str = "p";

/// Checks our own tokens, and takes Google's for what they say.
#[derive(Debug)]
pub(crate) struct Tokens(pub(crate) JwksVerifier);

#[async_trait]
impl Identity for Tokens {
    async fn verify(&self, token: &str, expected: Expected<'_>) -> Result<Value, TokenRefused> {
        match serde_json::from_str(token) {
            Ok(claims) => Ok(claims),
            Err(_) => self.0.verify(token, expected).await,
        }
    }
}

/// A token of Google's.
pub(crate) fn google(now: Timestamp) -> Value {
    json!({"iss": GOOGLE_ISSUERS[0], "aud": AUDIENCE, "sub": "1", "email": EMAIL, "email_verified": true, "exp": now.seconds() + 3600})
}

/// The same, of a VM.
pub(crate) fn of_vm(now: Timestamp, instance: &str, zone: &str, instance_id: u64) -> Value {
    let mut token = google(now);
    token["google"] = json!({"compute_engine": {
        "project_id": PROJECT, "zone": zone, "instance_id": instance_id.to_string(), "instance_name": instance,
    }});
    token
}
