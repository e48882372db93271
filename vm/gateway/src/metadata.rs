//! The metadata server of the machine: who we are, and whether Google takes the machine back.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use anyhow::{Context, ensure};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use domain::{Seconds, Timestamp};
use serde::Deserialize;
use url::Url;

/// The metadata server is on the same host as the machine.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// How long we ask it to hold a question about a change, and how long we wait for that.
const CHANGE_WITHIN_SECONDS: u64 = 60;
const CHANGE_ANSWER_WITHIN: Duration = Duration::from_secs(CHANGE_WITHIN_SECONDS + 15);
/// An identity token has some 1,500 characters.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// A token is asked for anew this long before it expires.
const TOKEN_SPARE: Seconds = Seconds::minutes(5);

/// A client of the metadata server.
#[derive(Debug)]
pub(crate) struct Metadata {
    http: reqwest::Client,
    base: Url,
    token: Mutex<Option<Token>>,
}

#[derive(Clone, Debug)]
struct Token {
    text: String,
    fresh_until: Timestamp,
}

#[derive(Deserialize)]
struct Expiry {
    exp: i64,
}

/// An answer, and the mark by which to ask for the next one.
#[derive(Debug)]
pub(crate) struct Value {
    pub(crate) text: String,
    pub(crate) etag: Option<String>,
}

impl Metadata {
    pub(crate) fn new(http: reqwest::Client, base: Url) -> Self {
        Self { http, base, token: Mutex::new(None) }
    }

    /// The machine's identity token for `audience`, with everything that lifecycle checks in it.
    pub(crate) async fn identity_token(&self, audience: &str, now: Timestamp) -> anyhow::Result<String> {
        let held = self.token.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(token) = held.filter(|token| now < token.fresh_until) {
            return Ok(token.text);
        }
        let query = [("audience", audience), ("format", "full")];
        let answer = self.get("instance/service-accounts/default/identity", &query, ANSWER_WITHIN).await;
        let text = answer.context("asking the metadata server for an identity token")?.text;
        // A token whose end cannot be read is used once.
        if let Some(expires) = expiry(&text) {
            let token = Token { text: text.clone(), fresh_until: expires - TOKEN_SPARE };
            *self.token.lock().unwrap_or_else(PoisonError::into_inner) = Some(token);
        }
        Ok(text)
    }

    /// The token was refused: the next one is asked for anew.
    pub(crate) fn forget_token(&self) {
        *self.token.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Whether Google takes the machine back. With the mark of an earlier answer, answers when that has changed, or
    /// after a minute.
    pub(crate) async fn preempted(&self, since: Option<&str>) -> anyhow::Result<Value> {
        let seconds = CHANGE_WITHIN_SECONDS.to_string();
        let change = [("wait_for_change", "true"), ("timeout_sec", &seconds), ("last_etag", since.unwrap_or_default())];
        let query: &[(&str, &str)] = if since.is_some() { &change } else { &[] };
        self.get("instance/preempted", query, CHANGE_ANSWER_WITHIN).await
    }

    async fn get(&self, path: &str, query: &[(&str, &str)], within: Duration) -> anyhow::Result<Value> {
        let mut url = self.base.join("/computeMetadata/v1/").and_then(|root| root.join(path))?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let request = self.http.get(url).header("metadata-flavor", "Google").timeout(within);
        let response = request.send().await?;
        ensure!(response.status().is_success(), "the metadata server answered {} to {path}", response.status());
        let etag = response.headers().get("etag").and_then(|etag| etag.to_str().ok()).map(str::to_owned);
        let bytes = bounded(response, ANSWER_BYTES_MAX).await?;
        let text = String::from_utf8(bytes).context("the metadata server answered no text")?;
        Ok(Value { text: text.trim().to_owned(), etag })
    }
}

/// The body of an answer, if it is no longer than `limit`.
pub(crate) async fn bounded(mut response: reqwest::Response, limit: usize) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    while let Some(piece) = response.chunk().await? {
        ensure!(bytes.len() + piece.len() <= limit, "an answer was longer than {limit} bytes");
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes)
}

/// When a token expires. Its signature is for whoever gets it to check.
fn expiry(token: &str) -> Option<Timestamp> {
    let claims = BASE64_URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    let expiry: Expiry = serde_json::from_slice(&claims).ok()?;
    Some(Timestamp::from_seconds(expiry.exp))
}
