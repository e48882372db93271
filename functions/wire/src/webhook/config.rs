//! Which workspace's notices go where: the JSON of `WEBHOOKS`.
//!
//! An address's path and the key are secrets: whoever knows Slack's address can write there. No error and no `Debug` of
//! this file shows them, nor anything that might be one of them in the wrong place.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::WorkspaceId;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use url::{Host, Url};

/// Webhooks by workspace.
pub type WebhooksConfig = BTreeMap<WorkspaceId, WebhookConfig>;

/// How the body of a request is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WebhookShape {
    /// A message for Slack's incoming webhooks.
    Slack,
    /// A message for Discord's webhooks.
    Discord,
    /// The event, for a program.
    Json,
}

/// Where the notices of one workspace are sent.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookConfig {
    url: Url,
    shape: WebhookShape,
    key: Vec<u8>,
}

impl fmt::Debug for WebhookConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookConfig")
            .field("origin", &self.origin())
            .field("shape", &self.shape)
            .finish_non_exhaustive()
    }
}

/// What is wrong with the webhooks, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookConfigError(String);

impl fmt::Display for WebhookConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for WebhookConfigError {}

/// Slack's address has 81 characters, Discord's 121; the longest that a server need understand (RFC 9110 §4.1) has 8000.
const URL_LENGTH_MAX: usize = 2000;
/// What a key is told by.
const KEY_PREFIX: &str = "whsec_";
/// Bytes of a key (Standard Webhooks 1.0.0, "Signature scheme").
const KEY_BYTES: std::ops::RangeInclusive<usize> = 24..=64;
/// A name of more characters is none of ours, and may be a secret in the wrong place. A key has at least 32.
const SHOWN_LENGTH_MAX: usize = 30;

impl WebhookConfig {
    /// Checks the parts.
    ///
    /// # Errors
    /// Says which field is wrong, what was found, unless it may be secret, and what was expected.
    pub fn new(url: &str, shape: WebhookShape, secret: &str) -> Result<Self, WebhookConfigError> {
        let parts = || Ok(Self { url: checked_url(url)?, shape, key: checked_key(secret)? });
        parts().map_err(WebhookConfigError)
    }

    /// The whole address: a secret.
    pub fn url(&self) -> &str {
        self.url.as_str()
    }

    /// Scheme, host and port of the address: fit to be shown.
    pub fn origin(&self) -> String {
        self.url.origin().ascii_serialization()
    }

    /// How the body is made.
    pub fn shape(&self) -> WebhookShape {
        self.shape
    }

    /// What requests are signed with: a secret.
    pub fn key(&self) -> &[u8] {
        &self.key
    }
}

/// Reads `{"main":{"url":"https://…","shape":"slack","secret":"whsec_…"}}`.
///
/// # Errors
/// Says which workspace and which field is wrong, what was found, unless it may be secret, and what was expected.
pub fn webhooks_from_json(json: &str) -> Result<WebhooksConfig, WebhookConfigError> {
    // The parser's own words may quote what it found.
    let Pairs(entries) = serde_json::from_str::<Pairs<Entry>>(json).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        WebhookConfigError(format!("expected a JSON object of webhooks by workspace: line {line}, column {column}"))
    })?;
    let mut webhooks = WebhooksConfig::new();
    for (name, entry) in entries {
        let Ok(id) = WorkspaceId::parse(&name) else {
            let expected = "expected 1 to 30 of a-z, 0-9 and -, beginning with a letter";
            return Err(WebhookConfigError(format!("{} is no workspace name: {expected}", shown(&name))));
        };
        let wrong = |what: String| WebhookConfigError(format!("webhook of workspace {id}: {what}"));
        let webhook = entry.webhook().map_err(wrong)?;
        if webhooks.contains_key(&id) {
            return Err(wrong("it is declared twice".into()));
        }
        webhooks.insert(id, webhook);
    }
    Ok(webhooks)
}

/// An object's members as they stand: none overwrites another.
struct Pairs<T>(Vec<(String, T)>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Pairs<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members<T>(std::marker::PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Members<T> {
            type Value = Pairs<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs<T>, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(Members(std::marker::PhantomData))
    }
}

#[derive(serde::Deserialize)]
#[serde(untagged)]
enum Entry {
    Fields(Pairs<Field>),
    Other(IgnoredAny),
}

#[derive(serde::Deserialize)]
#[serde(untagged)]
enum Field {
    Text(String),
    Other(IgnoredAny),
}

impl Entry {
    fn webhook(self) -> Result<WebhookConfig, String> {
        let Self::Fields(Pairs(pairs)) = self else {
            return Err("expected an object of url, shape and secret".into());
        };
        let (mut url, mut shape, mut secret) = (None, None, None);
        for (name, value) in pairs {
            let field = match name.as_str() {
                "url" => &mut url,
                "shape" => &mut shape,
                "secret" => &mut secret,
                _ => return Err(format!("{} is no field of a webhook; expected url, shape, secret", shown(&name))),
            };
            let Field::Text(text) = value else { return Err(format!("{name} is no text")) };
            if field.replace(text).is_some() {
                return Err(format!("{name} is there twice"));
            }
        }
        let required = |field: Option<String>, name| field.ok_or_else(|| format!("{name} is missing"));
        let (url, shape, secret) = (required(url, "url")?, required(shape, "shape")?, required(secret, "secret")?);
        let shape = checked_shape(&shape)?;
        WebhookConfig::new(&url, shape, &secret).map_err(|error| error.0)
    }
}

/// A name in quotes, if it can be no secret.
fn shown(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let harmless = name.len() <= SHOWN_LENGTH_MAX && name.chars().all(plain) && !name.starts_with(KEY_PREFIX);
    if harmless { format!("{name:?}") } else { format!("a name of {} bytes (not shown)", name.len()) }
}

fn checked_shape(text: &str) -> Result<WebhookShape, String> {
    match text {
        "slack" => Ok(WebhookShape::Slack),
        "discord" => Ok(WebhookShape::Discord),
        "json" => Ok(WebhookShape::Json),
        _ => Err(format!("shape is {}; expected slack, discord or json", shown(text))),
    }
}

fn checked_url(text: &str) -> Result<Url, String> {
    const EXPECTED: &str = "expected an address such as https://hooks.example.com/…";
    if text.len() > URL_LENGTH_MAX {
        return Err(format!("url has {} characters; expected {URL_LENGTH_MAX} at most", text.len()));
    }
    let url = Url::parse(text).map_err(|error| format!("url is none ({error}); {EXPECTED}"))?;
    let loopback = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address == std::net::Ipv4Addr::LOCALHOST,
        Some(Host::Ipv6(address)) => address == std::net::Ipv6Addr::LOCALHOST,
        None => return Err(format!("url has no host; {EXPECTED}")),
    };
    if !(url.scheme() == "https" || (url.scheme() == "http" && loopback)) {
        let host = url.host_str().unwrap_or_default();
        return Err(format!("url goes to {host} without https; only 127.0.0.1, [::1] and localhost may do without"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("url has a user's name or password, which would not be sent; expected none".into());
    }
    Ok(url)
}

fn checked_key(text: &str) -> Result<Vec<u8>, String> {
    let (least, most) = (KEY_BYTES.start(), KEY_BYTES.end());
    let expected = format!("expected {KEY_PREFIX} and base64 of {least} to {most} bytes");
    let encoded = text.strip_prefix(KEY_PREFIX).ok_or_else(|| format!("secret does not begin so; {expected}"))?;
    let key = STANDARD.decode(encoded).map_err(|_| format!("secret is no base64; {expected}"))?;
    if !KEY_BYTES.contains(&key.len()) {
        return Err(format!("secret has {} bytes; {expected}", key.len()));
    }
    Ok(key)
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;
