//! `POST /local/webhook`: where the workspace's notices arrive. It reads them as a receiver of somebody else's would: only
//! what is signed as the Standard Webhooks scheme says (1.0.0, standardwebhooks.com) and fresh. The panel shows them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_lc_rs::hmac;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::Timestamp;
use platform::clock::Clock;
use platform::notify::{ID_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use service::{ApiError, Result};

use crate::names;

/// Notices that are kept; the oldest goes first.
const KEPT_MAX: usize = 100;
/// What was sent longer ago, or will be sent later, is refused (the scheme's own libraries take five minutes). In the
/// machine's own time: how long a request is on its way does not depend on how fast the policy's clock runs.
const AGE_MAX: Duration = Duration::from_secs(300);
/// Signatures in one header that are tried.
const SIGNATURES_MAX: usize = 8;
const KEY_BYTES: usize = 32;

/// A notice as it arrived.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Arrived {
    id: String,
    r#type: String,
    #[serde(rename(deserialize = "timestamp"))]
    at: String,
    data: Value,
}

/// The receiver of notices.
pub(crate) struct Inbox {
    url: String,
    secret: String,
    key: hmac::Key,
    clock: Arc<dyn Clock>,
    /// Oldest first.
    arrived: Mutex<VecDeque<Arrived>>,
}

impl Inbox {
    /// With a key of its own, at the page whose address is `base`.
    ///
    /// # Errors
    /// When there is no randomness.
    pub(crate) fn new(base: &str, clock: Arc<dyn Clock>) -> anyhow::Result<Self> {
        let mut key = [0_u8; KEY_BYTES];
        getrandom::fill(&mut key).map_err(|error| anyhow::anyhow!("no randomness to be had: {error}"))?;
        Ok(Self {
            url: format!("{base}/local/webhook"),
            secret: format!("whsec_{}", STANDARD.encode(key)),
            key: hmac::Key::new(hmac::HMAC_SHA256, &key),
            clock,
            arrived: Mutex::default(),
        })
    }

    /// Where notices go, as lifecycle is told of it. A secret.
    pub(crate) fn declared(&self) -> String {
        let to = serde_json::json!({ "url": self.url, "shape": "json", "secret": self.secret });
        serde_json::json!({ names::WORKSPACE: to }).to_string()
    }

    /// What has arrived, oldest first.
    pub(crate) fn arrived(&self) -> Vec<Arrived> {
        self.arrived.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    fn take(&self, headers: &HeaderMap, body: &[u8]) -> Result<()> {
        self.check(headers, body)?;
        let arrived: Arrived = serde_json::from_slice(body)
            .map_err(|error| ApiError::bad_request("invalid_body", format!("This is no notice: {error}.")))?;
        let mut all = self.arrived.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= KEPT_MAX {
            all.pop_front();
        }
        all.push_back(arrived);
        Ok(())
    }

    fn check(&self, headers: &HeaderMap, body: &[u8]) -> Result<()> {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let (id, sent_at) = (text(ID_HEADER), text(TIMESTAMP_HEADER));
        let signed = [id.as_bytes(), b".", sent_at.as_bytes(), b".", body].concat();
        let fits = |signature: &str| {
            let tag = signature.strip_prefix("v1,").and_then(|encoded| STANDARD.decode(encoded).ok());
            // Compares in a time that does not depend on where the two differ.
            tag.is_some_and(|tag| hmac::verify(&self.key, &signed, &tag).is_ok())
        };
        if !text(SIGNATURE_HEADER).split(' ').take(SIGNATURES_MAX).any(fits) {
            return Err(refused("The signature is not that of this body, its id and its time."));
        }
        let sent_at = sent_at.parse().map(Timestamp::from_seconds).map_err(|_| refused("The time is no number."))?;
        let now = self.clock.now();
        let age = now.since(sent_at).max(sent_at.since(now)).duration();
        if age > AGE_MAX.mul_f64(self.clock.rate().max(1.0)) {
            return Err(refused("It was not sent just now."));
        }
        Ok(())
    }
}

fn refused(detail: &str) -> ApiError {
    ApiError::new(StatusCode::UNAUTHORIZED, "bad_signature", "This notice is not believed").detail(detail)
}

/// Takes notices.
pub(crate) fn routes(inbox: Arc<Inbox>) -> Router {
    let take = async |State(inbox): State<Arc<Inbox>>, headers: HeaderMap, body: Bytes| {
        inbox.take(&headers, &body).map(|()| StatusCode::NO_CONTENT)
    };
    Router::new().route("/local/webhook", post(take)).with_state(inbox)
}

#[cfg(test)]
#[path = "inbox_tests.rs"]
mod tests;
