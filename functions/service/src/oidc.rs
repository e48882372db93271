//! Who is calling, where Google's own services and our VMs call: their Google ID token, really verified.

use std::sync::Arc;

use axum::http::HeaderMap;
use platform::clock::Clock;
use platform::identity::{GoogleIdentity, Identity, TokenRefused, verify_google};

use crate::error::{ApiError, Result};
use crate::gate::bearer;

/// What the check of a Google ID token needs.
#[derive(Clone, Debug)]
pub struct OidcGate {
    pub identity: Arc<dyn Identity>,
    pub clock: Arc<dyn Clock>,
    /// Audience that the caller was told to ask for.
    pub audience: String,
    /// Service accounts that may call.
    pub emails: Vec<String>,
}

impl OidcGate {
    /// The caller behind `Authorization: Bearer`.
    ///
    /// # Errors
    /// 401 without a good token, 403 with somebody else's, 503 when Google's keys cannot be had.
    pub async fn check(&self, headers: &HeaderMap) -> Result<GoogleIdentity> {
        let token = bearer(headers)
            .ok_or_else(|| ApiError::unauthorized("no_identity", "The request carries no Google ID token."))?;
        verify_google(&*self.identity, token, &self.audience, Some(&self.emails), self.clock.now()).await.map_err(
            |refused| match refused {
                TokenRefused::KeysUnavailable(source) => ApiError::unavailable(source),
                TokenRefused::WrongParty => ApiError::forbidden("wrong_caller", format!("Refused: {refused}.")),
                other => ApiError::unauthorized("invalid_identity", format!("Refused: {other}.")),
            },
        )
    }
}
