//! Who is calling: tokens of ours and of Google's, checked by one verifier on cached public keys.

pub mod jwks;
mod key_cache;
pub mod keys;

use async_trait::async_trait;
use domain::Timestamp;
use serde::Deserialize;

/// What a Google ID token said, once everything about it was checked.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct GoogleIdentity {
    pub sub: String,
    pub email: String,
    /// Present in the full identity token of a VM.
    #[serde(default)]
    pub google: Option<GoogleClaim>,
}

/// The `google` claim.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct GoogleClaim {
    pub compute_engine: ComputeEngineClaim,
}

/// Which VM a token belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct ComputeEngineClaim {
    pub project_id: String,
    pub zone: String,
    pub instance_id: String,
    pub instance_name: String,
}

/// Why a token was refused.
#[derive(Debug, thiserror::Error)]
pub enum TokenRefused {
    #[error("the token is no JWT, or not of the kind expected here")]
    Malformed,
    #[error("no key of the issuer has signed this token")]
    BadSignature,
    #[error("the token has expired, or is not valid yet")]
    Expired,
    #[error("the token was issued by or for somebody else")]
    WrongParty,
    /// The caller may be right; ask again later.
    #[error("the issuer's keys cannot be had")]
    KeysUnavailable(#[source] anyhow::Error),
}

/// What a token of a kind must say.
#[derive(Clone, Debug)]
pub struct Expected<'a> {
    pub issuers: &'a [&'a str],
    pub audience: &'a str,
    pub now: Timestamp,
}

/// Checks tokens.
#[async_trait]
pub trait Identity: Send + Sync + std::fmt::Debug {
    /// Checks signature (by the issuer's published keys), issuer, audience and times; returns the claims.
    async fn verify(&self, token: &str, expected: Expected<'_>) -> Result<serde_json::Value, TokenRefused>;
}

/// Google's two spellings of itself.
pub const GOOGLE_ISSUERS: &[&str] = &["https://accounts.google.com", "accounts.google.com"];

/// Checks a Google ID token, the e-mail included: it must be verified, and one of `emails` where those are given.
///
/// # Errors
/// Why it was refused.
pub async fn verify_google(
    identity: &dyn Identity,
    token: &str,
    audience: &str,
    emails: Option<&[String]>,
    now: Timestamp,
) -> Result<GoogleIdentity, TokenRefused> {
    let claims = identity.verify(token, Expected { issuers: GOOGLE_ISSUERS, audience, now }).await?;
    let verified = claims.get("email_verified").and_then(serde_json::Value::as_bool) == Some(true);
    let google: GoogleIdentity = serde_json::from_value(claims).map_err(|_| TokenRefused::Malformed)?;
    let expected = emails.is_none_or(|emails| emails.contains(&google.email));
    if verified && expected { Ok(google) } else { Err(TokenRefused::WrongParty) }
}
