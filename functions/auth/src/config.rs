//! What auth is told from outside, and what is wrong with it. `main.rs` reads the environment; nothing else does.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use jsonwebtoken::jwk::JwkSet;
use platform::clock::Clock;
use platform::identity::keys::SigningKey;
use platform::signin::SigninStore;
use service::{Gate, LogFormat};

use crate::app::App;
use crate::headers::PageSettings;
use crate::keys::Keys;
use crate::password::Passwords;
use crate::users::Users;

/// What auth must know. Each field is a variable of the same name in upper case.
#[derive(clap::Args, Clone)]
pub struct Config {
    /// Port to listen on, on all addresses.
    #[arg(long, env, default_value = "8080", value_name = "PORT", value_parser = port)]
    pub port: u16,
    /// Ed25519 keys in PEM (PKCS#8), one after another: the first signs, all are published.
    #[arg(long, env, hide_env_values = true, default_value = "", hide_default_value = true)]
    pub signing_key: String,
    /// File with the same, in place of SIGNING_KEY.
    #[arg(long, env)]
    pub signing_key_file: Option<PathBuf>,
    /// More public keys to publish, as a JWK set: those of a key that has retired, or is to come.
    #[arg(long, env, default_value = "", hide_default_value = true)]
    pub verifying_keys: String,
    /// Who may sign in: `[{"name":"admin","role":"admin","hash":"$argon2id$…"}]`.
    #[arg(long, env, hide_env_values = true, default_value = "", hide_default_value = true)]
    pub users: String,
    /// File with the same, in place of USERS.
    #[arg(long, env)]
    pub users_file: Option<PathBuf>,
    /// Issuer of our own tokens.
    #[arg(long, env, default_value = "pilotlight")]
    pub issuer: String,
    /// Origin of lifecycle; empty when it is the page's own.
    #[arg(long, env, default_value = "", value_name = "LIFECYCLE_ORIGIN", value_parser = optional_origin)]
    pub lifecycle_origin: String,
    /// Origins of the gateways that the page may frame, separated by commas; `:*` for any port.
    #[arg(long, env, default_value = "", value_name = "FRAME_SOURCES", value_parser = frame_sources)]
    pub frame_sources: FrameSources,
    /// Origin of the page as people type it; with https, browsers are told to use nothing else.
    #[arg(long, env, default_value = "", value_name = "PAGE_ORIGIN", value_parser = optional_origin)]
    pub page_origin: String,
    /// Proxies in front of us that each add one address to X-Forwarded-For: 1 on Cloud Run.
    #[arg(long, env, default_value = "0", value_name = "TRUSTED_PROXIES", value_parser = trusted_proxies)]
    pub trusted_proxies: usize,
    /// Where failures and revoked tokens are remembered: `firestore`, or `memory` for a process that is alone.
    #[arg(long, env, default_value = "firestore", value_enum)]
    pub signin_store: SigninStoreKind,
    /// Google Cloud project of the database.
    #[arg(long, env, default_value = "")]
    pub project: String,
    /// `human` or `json`.
    #[arg(long, env, default_value = "json")]
    pub log_format: LogFormat,
    /// What is logged, in the syntax of RUST_LOG.
    #[arg(long, env = "RUST_LOG", default_value = "info")]
    pub log_filter: String,
    /// A clock that does not run as the machine's does; for the pocket cloud.
    #[arg(long, env = "PILOTLIGHT_CLOCK", default_value = "")]
    pub clock: String,
}

/// Where failures and revoked tokens are remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum SigninStoreKind {
    /// In Firestore: all instances know the same.
    Firestore,
    /// In this process, until it ends: only where there is one.
    Memory,
}

/// Origins of gateways.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FrameSources(pub Vec<String>);

/// A variable that is wrong, by name. Never holds what a secret was.
#[derive(Debug, thiserror::Error)]
#[error("{variable}: {problem}")]
pub struct ConfigError {
    pub variable: &'static str,
    pub problem: String,
}

/// More gateways than this do not fit the headers that name them.
const FRAME_SOURCES_MAX: usize = 50;
/// A chain of proxies longer than this is a slip of the keyboard.
const TRUSTED_PROXIES_MAX: usize = 10;
/// Longest file of users or keys: a thousand users have 200 kB.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

impl Config {
    /// Puts the service together.
    ///
    /// # Errors
    /// The first variable that is wrong, with what was found and what was expected.
    pub fn app(&self, clock: Arc<dyn Clock>, signin: Arc<dyn SigninStore>) -> Result<App, ConfigError> {
        let keys = self.keys()?;
        let users = Users::from_json(&given(("USERS", &self.users), ("USERS_FILE", self.users_file.as_ref()))?)
            .map_err(|error| wrong("USERS", &error))?;
        let page_origin = Some(self.page_origin.clone()).filter(|origin| !origin.is_empty());
        let page = PageSettings {
            lifecycle_origin: self.lifecycle_origin.clone(),
            frame_sources: self.frame_sources.0.clone(),
            https_only: self.page_origin.starts_with("https://"),
        };
        let identity = Arc::new(keys.verifier(&self.issuer));
        Ok(App {
            gate: Gate { identity, signin, clock, issuer: self.issuer.clone(), page_origin },
            users: Arc::new(users),
            keys: Arc::new(keys),
            passwords: Passwords::default(),
            page: Arc::new(page),
            trusted_proxies: self.trusted_proxies,
        })
    }

    fn keys(&self) -> Result<Keys, ConfigError> {
        let pem = given(("SIGNING_KEY", &self.signing_key), ("SIGNING_KEY_FILE", self.signing_key_file.as_ref()))?;
        let own = SigningKey::all_from_pem(&pem).map_err(|error| wrong("SIGNING_KEY", &error))?;
        let others = match self.verifying_keys.as_str() {
            "" => JwkSet { keys: Vec::new() },
            json => serde_json::from_str(json)
                .context("expected a JWK set, {\"keys\":[…]}, of public Ed25519 keys")
                .map_err(|error| wrong("VERIFYING_KEYS", &error))?,
        };
        Keys::new(&own, others).map_err(|error| wrong("VERIFYING_KEYS", &error))
    }
}

fn wrong(variable: &'static str, error: &anyhow::Error) -> ConfigError {
    ConfigError { variable, problem: format!("{error:#}") }
}

/// A secret, from its variable or from the file that another variable names.
fn given(
    (variable, text): (&'static str, &str),
    (file_variable, file): (&'static str, Option<&PathBuf>),
) -> Result<String, ConfigError> {
    match (text, file.filter(|file| !file.as_os_str().is_empty())) {
        ("", None) => Err(ConfigError { variable, problem: format!("found nothing; expected it, or {file_variable}") }),
        (text, None) => Ok(text.to_owned()),
        ("", Some(file)) => {
            let too_long = || anyhow::anyhow!("{}: expected at most {FILE_BYTES_MAX} bytes", file.display());
            fs::metadata(file)
                .map_err(anyhow::Error::new)
                .and_then(|about| if about.len() > FILE_BYTES_MAX { Err(too_long()) } else { Ok(()) })
                .and_then(|()| Ok(fs::read_to_string(file)?))
                .with_context(|| format!("found {}; expected a file that can be read", file.display()))
                .map_err(|error| wrong(file_variable, &error))
        }
        (_, Some(_)) => Err(ConfigError { variable, problem: format!("found beside {file_variable}; expected one") }),
    }
}

fn port(text: &str) -> Result<u16, String> {
    text.parse().map_err(|_| "expected a number from 0 to 65535".to_owned())
}

fn trusted_proxies(text: &str) -> Result<usize, String> {
    let count = text.parse().ok().filter(|count| *count <= TRUSTED_PROXIES_MAX);
    count.ok_or_else(|| format!("expected a number from 0 to {TRUSTED_PROXIES_MAX}"))
}

fn optional_origin(text: &str) -> Result<String, String> {
    if text.is_empty() || is_origin(text, false) {
        return Ok(text.to_owned());
    }
    Err("expected scheme and host, such as https://pilotlight.example.com, or nothing".to_owned())
}

fn frame_sources(text: &str) -> Result<FrameSources, String> {
    let sources: Vec<String> = text.split([',', ' ']).filter(|source| !source.is_empty()).map(str::to_owned).collect();
    if let Some(wrong) = sources.iter().find(|source| !is_origin(source, true)) {
        return Err(format!("{wrong:?}: expected origins such as https://comfy.example.com, separated by commas"));
    }
    if sources.len() > FRAME_SOURCES_MAX {
        return Err(format!("found {} origins; expected at most {FRAME_SOURCES_MAX}", sources.len()));
    }
    Ok(FrameSources(sources))
}

/// Scheme, host and perhaps port; nothing that could end a directive of a header and begin another.
fn is_origin(text: &str, any_port: bool) -> bool {
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
    use std::io::Write as _;

    use clap::Parser as _;
    use domain::Timestamp;
    use platform::clock::ManualClock;
    use platform::signin::MemorySigninStore;

    use super::*;

    #[derive(clap::Parser)]
    struct Cli {
        #[command(flatten)]
        config: Config,
    }

    const USERS: &str = r#"[{"name":"admin","role":"admin","hash":"$argon2id$v=19$m=19456,t=2,p=1$6mqEEOstjbb4ONPT00FkVg$2NRbo7Td0vy0jKK6H+FzlrUBLgvY9Spohbp6xsQ/1hA"}]"#;

    fn app(config: &Config) -> Result<App, ConfigError> {
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(Timestamp::from_seconds(0)));
        let signin = Arc::new(MemorySigninStore::new(Arc::clone(&clock)));
        config.app(clock, signin)
    }

    fn config(args: &[&str]) -> Config {
        Cli::try_parse_from([&["auth"], args].concat()).map(|cli| cli.config).unwrap()
    }

    fn refusal(args: &[&str]) -> String {
        let Err(error) = Cli::try_parse_from([&["auth"], args].concat()) else { panic!("{args:?} was taken") };
        error.to_string()
    }

    #[test]
    fn what_is_wrong_names_the_variable_what_was_found_and_what_was_expected() {
        let wrongs = [
            (["--port", "http"], "http", "<PORT>", "expected a number from 0 to 65535"),
            (["--lifecycle-origin", "example.com"], "example.com", "<LIFECYCLE_ORIGIN>", "expected scheme and host"),
            (["--page-origin", "https://a/b"], "https://a/b", "<PAGE_ORIGIN>", "expected scheme and host"),
            (
                ["--frame-sources", "https://a;script-src"],
                "https://a;script-src",
                "<FRAME_SOURCES>",
                "expected origins",
            ),
            (["--trusted-proxies", "99"], "99", "<TRUSTED_PROXIES>", "expected a number from 0 to 10"),
            (["--log-format", "xml"], "xml", "<LOG_FORMAT>", "expected `human` or `json`"),
            (["--signin-store", "disk"], "disk", "<SIGNIN_STORE>", "firestore, memory"),
        ];
        for (args, found, variable, expected) in wrongs {
            let told = refusal(&args);
            assert!(told.contains(found) && told.contains(variable) && told.contains(expected), "{args:?}: {told}");
        }
    }

    #[test]
    fn a_wrong_secret_is_named_and_not_repeated() {
        let (_, pem) = SigningKey::generate().unwrap();
        let middle = pem.lines().nth(1).unwrap();
        let broken = pem.replace(middle, "hunter2hunter2");
        // A key begins with dashes: each value is tied to its flag.
        let told = |args: &[&str]| {
            let tied: Vec<String> = args.chunks(2).map(|pair| pair.join("=")).collect();
            app(&config(&tied.iter().map(String::as_str).collect::<Vec<_>>())).unwrap_err().to_string()
        };
        assert!(told(&[]).starts_with("SIGNING_KEY: found nothing; expected it, or SIGNING_KEY_FILE"));
        let key = told(&["--signing-key", &broken, "--users", USERS]);
        assert!(key.starts_with("SIGNING_KEY: ") && !key.contains("hunter2"), "{key}");
        let users = told(&["--signing-key", &pem, "--users", "hunter2"]);
        assert!(users.starts_with("USERS: expected a JSON list") && !users.contains("hunter2"), "{users}");
        let file = told(&["--signing-key", &pem, "--users-file", "/nowhere/users.json"]);
        assert!(file.starts_with("USERS_FILE: found /nowhere/users.json; expected a file"), "{file}");
        let both = told(&["--signing-key", &pem, "--users", USERS, "--users-file", "/nowhere"]);
        assert!(both.starts_with("USERS: found beside USERS_FILE"), "{both}");
        let keys = told(&["--signing-key", &pem, "--users", USERS, "--verifying-keys", "[]"]);
        assert!(keys.starts_with("VERIFYING_KEYS: expected a JWK set"), "{keys}");
    }

    #[test]
    fn secrets_come_from_files_too_and_the_page_is_told_where_the_others_are() {
        let (key, pem) = SigningKey::generate().unwrap();
        let (older, _) = SigningKey::generate().unwrap();
        let file = |text: &str| {
            let mut file = tempfile::NamedTempFile::new().unwrap();
            file.write_all(text.as_bytes()).unwrap();
            file
        };
        let (key_file, users_file) = (file(&pem), file(USERS));
        let older_set = serde_json::json!({"keys": [older.public()]}).to_string();
        let app = app(&config(&[
            "--signing-key-file",
            key_file.path().to_str().unwrap(),
            "--users-file",
            users_file.path().to_str().unwrap(),
            "--verifying-keys",
            &older_set,
            "--page-origin",
            "https://pilotlight.example.com",
            "--frame-sources",
            "https://a.example.com, http://127.0.0.1:*",
        ]))
        .unwrap();
        let ids: Vec<_> = app.keys.published().keys.iter().map(|key| key.common.key_id.as_deref().unwrap()).collect();
        assert_eq!(ids, [key.key_id(), older.key_id()]);
        assert!(app.page.https_only && app.users.find("admin").is_some());
        assert_eq!(app.page.frame_sources, ["https://a.example.com", "http://127.0.0.1:*"]);
    }

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
}
