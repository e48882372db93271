//! Values of variables: what they look like, and what was expected where they look otherwise.

use std::fmt;
use std::sync::Arc;

use domain::Workspace;
use platform::clock::{self, Clock};
use platform::identity::keys::SigningKey;
use url::Url;

use crate::logs::{LogFormat, is_log_filter};

/// More callers than this are no list but a mistake.
const EMAILS_MAX: usize = 50;
/// Longest e-mail address (RFC 5321 §4.5.3.1.3), and longest audience that anybody needs.
const NAME_BYTES_MAX: usize = 256;
/// Longest id of a project (Resource Manager's limit).
const PROJECT_BYTES_MAX: usize = 30;
/// Shortest and longest name of a topic (Pub/Sub's limits).
const TOPIC_BYTES: std::ops::RangeInclusive<usize> = 3..=255;

/// What a value should have been; whoever reads it says what was found.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {0}")]
pub struct Expected(pub String);

type Parsed<T> = Result<T, Expected>;

fn expected<T>(what: &str) -> Parsed<T> {
    Err(Expected(what.to_owned()))
}

pub(super) fn port(text: &str) -> Parsed<u16> {
    text.parse().or_else(|_| expected("a number from 0 to 65535"))
}

pub(super) fn log_format(text: &str) -> Parsed<LogFormat> {
    text.parse().or_else(|_| expected("`human` or `json`"))
}

pub(super) fn log_filter(text: &str) -> Parsed<String> {
    if is_log_filter(text) {
        return Ok(text.to_owned());
    }
    expected("a log filter such as info or info,hyper=warn")
}

pub(super) fn clock(text: &str) -> Parsed<Arc<dyn Clock>> {
    clock::from_setting(text).or_else(|_| expected("nothing, or ORIGIN_MILLIS@RATE such as 1763800000000@60"))
}

/// The declared workspaces.
#[derive(Clone, Debug)]
pub struct Workspaces(pub Vec<Workspace>);

impl fmt::Display for Workspaces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({} workspace{}", self.0.len(), if self.0.len() == 1 { "" } else { "s" })?;
        for (at, workspace) in self.0.iter().enumerate() {
            let instances: Vec<&str> = workspace.placements.iter().map(|place| place.instance.as_str()).collect();
            write!(f, "{} {} on {}", if at == 0 { ":" } else { ";" }, workspace.id, instances.join(", "))?;
        }
        f.write_str(")")
    }
}

pub(super) fn workspaces(json: &str) -> Result<Workspaces, wire::ConfigError> {
    wire::workspaces_from_json(json).map(Workspaces)
}

/// Keys of our own: the first signs, what the others have signed stays good. Never empty.
#[derive(Clone, Debug)]
pub struct SigningKeys {
    signing: SigningKey,
    all: Vec<SigningKey>,
}

impl SigningKeys {
    /// Reads Ed25519 keys in PEM, one after another.
    ///
    /// # Errors
    /// What was expected; never repeats the text.
    pub fn from_pem(pem: &str) -> Result<Self, String> {
        let all = SigningKey::all_from_pem(pem).map_err(|error| format!("{error:#}"))?;
        let signing = all.first().ok_or("expected a key, found none")?.clone();
        Ok(Self { signing, all })
    }

    /// The key that signs.
    pub fn signing(&self) -> &SigningKey {
        &self.signing
    }

    /// All of them, the one that signs first.
    pub fn all(&self) -> &[SigningKey] {
        &self.all
    }
}

impl fmt::Display for SigningKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids: Vec<&str> = self.all.iter().map(SigningKey::key_id).collect();
        write!(f, "({} key{}, kid {})", ids.len(), if ids.len() == 1 { "" } else { "s" }, ids.join(", "))
    }
}

/// Service accounts that may call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Emails(pub Vec<String>);

impl std::str::FromStr for Emails {
    type Err = Expected;

    fn from_str(text: &str) -> Parsed<Self> {
        let emails: Vec<String> = text.split(',').map(|email| email.trim().to_owned()).collect();
        if emails.len() <= EMAILS_MAX && emails.iter().all(|email| is_email(email)) {
            return Ok(Self(emails));
        }
        let what = "e-mail addresses such as push@project.iam.gserviceaccount.com, separated by commas";
        Err(Expected(format!("1 to {EMAILS_MAX} {what}")))
    }
}

fn is_email(text: &str) -> bool {
    let Some((name, domain)) = text.split_once('@') else { return false };
    let is_plain = |c: char| c.is_ascii_graphic() && !matches!(c, '@' | '<' | '>' | '"' | ';' | ',');
    text.len() <= NAME_BYTES_MAX
        && !name.is_empty()
        && domain.split('.').count() > 1
        && domain.split('.').all(|label| !label.is_empty())
        && name.chars().chain(domain.chars()).all(is_plain)
}

/// What a token must be made out to: a URL as a rule, and one word at any rate.
///
/// # Errors
/// What was expected.
pub fn audience(text: &str) -> Parsed<String> {
    if text.len() <= NAME_BYTES_MAX && text.chars().all(|c| c.is_ascii_graphic()) {
        return Ok(text.to_owned());
    }
    expected("one word, such as https://lifecycle.example.com")
}

/// Id of a Google Cloud project. Google's own have six characters or more, emulators take fewer.
///
/// # Errors
/// What was expected.
pub fn project(text: &str) -> Parsed<String> {
    // Old ones carry their organisation's domain: `example.com:project`.
    let (domain, id) = text.rsplit_once(':').map_or((None, text), |(domain, id)| (Some(domain), id));
    let is_word = |word: &str| {
        word.starts_with(|c: char| c.is_ascii_lowercase())
            && !word.ends_with('-')
            && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
    };
    if id.len() <= PROJECT_BYTES_MAX && is_word(id) && domain.is_none_or(|domain| domain.split('.').all(is_word)) {
        return Ok(text.to_owned());
    }
    expected("the id of a project: up to 30 lower-case letters, digits and hyphens, a letter first")
}

/// Full name of a Pub/Sub topic.
///
/// # Errors
/// What was expected.
pub fn topic(text: &str) -> Parsed<String> {
    let is_name = |name: &str| {
        TOPIC_BYTES.contains(&name.len())
            && name.starts_with(|c: char| c.is_ascii_alphabetic())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.~+%".contains(c))
    };
    let parts: Vec<&str> = text.split('/').collect();
    match parts[..] {
        ["projects", owner, "topics", name] if project(owner).is_ok() && is_name(name) => Ok(text.to_owned()),
        _ => expected("projects/PROJECT/topics/TOPIC, the topic's name of 3 to 255 characters"),
    }
}

/// An address to ask over HTTP.
///
/// # Errors
/// What was expected.
pub fn http_url(text: &str) -> Parsed<String> {
    match Url::parse(text) {
        Ok(url)
            if matches!(url.scheme(), "http" | "https") && url.username().is_empty() && url.password().is_none() =>
        {
            Ok(text.to_owned())
        }
        _ => expected("a URL that begins with https:// or http://"),
    }
}

/// Address of an emulator, as a URL; the scheme may be missing, as it is in Google's own variables.
///
/// # Errors
/// What was expected.
pub fn emulator(text: &str) -> Parsed<String> {
    let url = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    match Url::parse(&url) {
        Ok(parsed) if parsed.scheme() == "http" && parsed.port().is_some() && parsed.path() == "/" => Ok(url),
        _ => expected("host and port, such as 127.0.0.1:8080"),
    }
}

/// Scheme, host and perhaps port of a page.
///
/// # Errors
/// What was expected.
pub fn origin(text: &str) -> Parsed<String> {
    if is_origin(text, false) {
        return Ok(text.to_owned());
    }
    expected("scheme and host, such as https://pilotlight.example.com")
}

/// Scheme, host and perhaps port; nothing that could end a directive of a header and begin another.
pub fn is_origin(text: &str, any_port: bool) -> bool {
    let Some(authority) = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")) else { return false };
    let bracket_end = authority.rfind(']').map_or(0, |end| end + 1);
    let (host, port) = match authority[bracket_end..].split_once(':') {
        Some((rest, port)) => (&authority[..bracket_end + rest.len()], Some(port)),
        None => (authority, None),
    };
    let in_brackets = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let host_is_good = match in_brackets {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            !host.is_empty()
                && host.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '-'))
        }
    };
    host_is_good && port.is_none_or(|port| (any_port && port == "*") || port.parse::<u16>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_scheme_and_host_and_perhaps_port() {
        for good in ["https://a.example.com", "http://127.0.0.1:8080", "http://[::1]:80", "https://[2001:db8::1]"] {
            assert!(is_origin(good, false), "{good}");
        }
        for wrong in [
            "",
            "https://",
            "ftp://a",
            "https://a/",
            "https://a b",
            "https://a:x",
            "https://a'",
            "https://[x]",
            "https://*",
            "https://a:*",
            "//a",
            "https://A",
            "https://u@a",
            "https://a\n",
        ] {
            assert!(!is_origin(wrong, false), "{wrong:?}");
        }
        assert!(is_origin("https://a:*", true) && !is_origin("https://*:*", true));
    }

    #[test]
    fn a_topic_is_named_with_its_project() {
        for good in
            ["projects/p/topics/nudges", "projects/example.com:old/topics/a.b", "projects/my-project-1/topics/N_1"]
        {
            assert_eq!(topic(good).as_deref(), Ok(good));
        }
        for wrong in [
            "nudges",
            "projects/p/topics/",
            "projects/p/topics/no",
            "projects//topics/nudges",
            "projects/p/subscriptions/nudges",
            "projects/p/topics/nudges/more",
            "projects/P/topics/nudges",
            "projects/p/topics/1nudges",
            "projects/p/topics/nud ges",
        ] {
            assert!(topic(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_project_is_named_by_its_id_and_not_by_number_or_title() {
        for good in ["p", "my-project-1", "example.com:old"] {
            assert_eq!(project(good).as_deref(), Ok(good));
        }
        for wrong in ["123456789012", "My Project", "projects/p", "p-", "a:b:c", "p123456789012345678901234567890"] {
            assert!(project(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn addresses_are_urls_and_emulators_are_host_and_port() {
        for good in ["https://a.example.com/keys", "http://127.0.0.1:9", "http://[::1]:4000/"] {
            assert_eq!(http_url(good).as_deref(), Ok(good));
        }
        for wrong in ["a.example.com", "ftp://a", "https://", "file:///etc/passwd", "https://user:word@a"] {
            assert!(http_url(wrong).is_err(), "{wrong}");
        }
        assert_eq!(emulator("127.0.0.1:8080").as_deref(), Ok("http://127.0.0.1:8080"));
        assert_eq!(emulator("http://localhost:8080").as_deref(), Ok("http://localhost:8080"));
        for wrong in ["localhost", "https://localhost:8080", "localhost:port", "localhost:8080/v1"] {
            assert!(emulator(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn callers_are_a_list_of_whole_addresses() {
        let two: Emails = "a@p.iam.gserviceaccount.com, b@example.com".parse().unwrap();
        assert_eq!(two.0, ["a@p.iam.gserviceaccount.com", "b@example.com"]);
        for wrong in ["a", "@example.com", "a@", "a@b", "a@b.c,", "a b@c.d", "a@b@c.d", "Ada <a@b.c>"] {
            assert!(wrong.parse::<Emails>().is_err(), "{wrong}");
        }
        let many = vec!["a@b.c"; EMAILS_MAX + 1].join(",");
        assert!(many.parse::<Emails>().is_err());
    }

    #[test]
    fn an_audience_is_one_word() {
        assert!(audience("https://lifecycle.example.com").is_ok() && audience("sweeps").is_ok());
        for wrong in ["two words", "a\nb", "ä", &"a".repeat(NAME_BYTES_MAX + 1)] {
            assert!(audience(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn keys_are_shown_by_their_names_alone() {
        let ((first, one), (second, two)) = (SigningKey::generate().unwrap(), SigningKey::generate().unwrap());
        let keys = SigningKeys::from_pem(&format!("{one}{two}")).unwrap();
        assert_eq!(keys.to_string(), format!("(2 keys, kid {}, {})", first.key_id(), second.key_id()));
        assert_eq!((keys.signing().key_id(), keys.all().len()), (first.key_id(), 2));
        let error = SigningKeys::from_pem("hunter2").unwrap_err();
        assert!(error.starts_with("expected 1 to 8 blocks") && !error.contains("hunter2"), "{error}");
    }
}
