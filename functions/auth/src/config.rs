//! What auth is told from outside, and what is wrong with it. How it is read, and what others must know too, stands in
//! `service::config`.

use std::path::PathBuf;
use std::sync::Arc;

use jsonwebtoken::jwk::JwkSet;
use platform::clock::Clock;
use platform::signin::SigninStore;
use service::Gate;
use service::config::{
    Configuration, Expected, ProcessConfig, SigningKeys, Wrong, emulator, is_origin, origin, project,
};

use crate::app::App;
use crate::headers::PageSettings;
use crate::keys::Keys;
use crate::password::Passwords;
use crate::users::Users;

/// What auth must know.
#[derive(clap::Args, Clone)]
pub struct Config {
    #[command(flatten)]
    pub process: ProcessConfig,
    /// Ed25519 keys in PEM (PKCS#8), one after another: the first signs, all are published.
    #[arg(long, value_parser = SigningKeys::from_pem)]
    pub signing_key: SigningKeys,
    /// File with the same, in place of SIGNING_KEY.
    #[arg(long)]
    pub signing_key_file: Option<PathBuf>,
    /// More public keys to publish, as a JWK set: those of a key that has retired, or is to come.
    #[arg(long, value_parser = verifying_keys)]
    pub verifying_keys: Option<JwkSet>,
    /// File with the same, in place of VERIFYING_KEYS.
    #[arg(long)]
    pub verifying_keys_file: Option<PathBuf>,
    /// Who may sign in: `[{"name":"admin","role":"admin","hash":"$argon2id$…"}]`.
    #[arg(long, value_parser = users)]
    pub users: Arc<Users>,
    /// File with the same, in place of USERS.
    #[arg(long)]
    pub users_file: Option<PathBuf>,
    /// Issuer of our own tokens.
    #[arg(long, default_value = "pilotlight")]
    pub issuer: String,
    /// Origin of lifecycle, where it is not the page's own.
    #[arg(long, value_parser = origin)]
    pub lifecycle_origin: Option<String>,
    /// Origins of the gateways that the page may frame, separated by commas; `:*` for any port.
    #[arg(long, value_parser = frame_sources)]
    pub frame_sources: Option<FrameSources>,
    /// Origin of the page as people type it; with https, browsers are told to use nothing else.
    #[arg(long, value_parser = origin)]
    pub page_origin: Option<String>,
    /// Proxies in front of us that each add one address to X-Forwarded-For: 1 on Cloud Run.
    #[arg(long, default_value = "0", value_parser = trusted_proxies)]
    pub trusted_proxies: usize,
    /// Where failures and revoked tokens are remembered: `firestore`, or `memory` for a process that is alone.
    #[arg(long, default_value = "firestore", value_enum)]
    pub signin_store: SigninStoreKind,
    /// Google Cloud project of the database.
    #[arg(long, value_parser = project)]
    pub project: Option<String>,
    /// Firestore's address, where it is an emulator: `host:port`; no credentials are sent there.
    #[arg(long, value_name = "FIRESTORE_EMULATOR_HOST", value_parser = emulator)]
    pub firestore_emulator: Option<String>,
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

/// More gateways than this do not fit the headers that name them.
const FRAME_SOURCES_MAX: usize = 50;
/// A chain of proxies longer than this is a slip of the keyboard.
const TRUSTED_PROXIES_MAX: usize = 10;

impl Configuration for Config {
    const NAME: &'static str = "auth";
    const ABOUT: &'static str = "Signs people in, publishes the keys that check our tokens, and serves the page. \
        `auth hash-password` and `auth new-key` make what it must be told";

    fn process(&self) -> &ProcessConfig {
        &self.process
    }

    fn summary(&self, variable: &str) -> Option<String> {
        match variable {
            "SIGNING_KEY" => Some(self.signing_key.to_string()),
            "VERIFYING_KEYS" => {
                let ids =
                    self.verifying_keys.iter().flat_map(|set| &set.keys).filter_map(|key| key.common.key_id.as_deref());
                Some(format!("(kid {})", ids.collect::<Vec<_>>().join(", ")))
            }
            "USERS" => Some(self.users.to_string()),
            _ => None,
        }
    }

    fn wrongs(&self) -> Vec<Wrong> {
        let keys = self.keys().err().map(|error| Wrong::new("VERIFYING_KEYS", format!("{error:#}")));
        let needs_project = self.signin_store == SigninStoreKind::Firestore && self.project.is_none();
        let nothing = "found nothing; expected the project of the database, or SIGNIN_STORE=memory";
        keys.into_iter().chain(needs_project.then(|| Wrong::new("PROJECT", nothing))).collect()
    }
}

impl Config {
    /// Puts the service together.
    ///
    /// # Errors
    /// When the keys cannot be published together.
    pub fn app(&self, clock: Arc<dyn Clock>, signin: Arc<dyn SigninStore>) -> anyhow::Result<App> {
        let keys = self.keys()?;
        let page = PageSettings {
            lifecycle_origin: self.lifecycle_origin.clone().unwrap_or_default(),
            frame_sources: self.frame_sources.clone().unwrap_or_default().0,
            https_only: self.page_origin.as_ref().is_some_and(|origin| origin.starts_with("https://")),
        };
        let identity = Arc::new(keys.verifier(&self.issuer));
        let page_origin = self.page_origin.clone();
        Ok(App {
            gate: Gate { identity, signin, clock, issuer: self.issuer.clone(), page_origin },
            users: Arc::clone(&self.users),
            keys: Arc::new(keys),
            passwords: Passwords::default(),
            page: Arc::new(page),
            trusted_proxies: self.trusted_proxies,
        })
    }

    fn keys(&self) -> anyhow::Result<Keys> {
        let others = self.verifying_keys.clone().unwrap_or(JwkSet { keys: Vec::new() });
        Keys::new(self.signing_key.all(), others)
    }
}

fn users(json: &str) -> Result<Arc<Users>, String> {
    Users::from_json(json).map(Arc::new).map_err(|error| format!("{error:#}"))
}

fn verifying_keys(json: &str) -> Result<JwkSet, String> {
    serde_json::from_str(json)
        .map_err(|error| format!("expected a JWK set, {{\"keys\":[…]}}, of public Ed25519 keys: {error}"))
}

fn trusted_proxies(text: &str) -> Result<usize, Expected> {
    let count = text.parse().ok().filter(|count| *count <= TRUSTED_PROXIES_MAX);
    count.ok_or_else(|| Expected(format!("a number from 0 to {TRUSTED_PROXIES_MAX}")))
}

fn frame_sources(text: &str) -> Result<FrameSources, Expected> {
    let sources: Vec<String> = text.split([',', ' ']).filter(|source| !source.is_empty()).map(str::to_owned).collect();
    if sources.len() <= FRAME_SOURCES_MAX && sources.iter().all(|source| is_origin(source, true)) {
        return Ok(FrameSources(sources));
    }
    let what = "origins such as https://comfy.example.com, separated by commas";
    Err(Expected(format!("up to {FRAME_SOURCES_MAX} {what}")))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use domain::Timestamp;
    use platform::clock::ManualClock;
    use platform::identity::keys::SigningKey;
    use platform::signin::MemorySigninStore;
    use service::config::{Asked, Refused, Told, read};

    use super::*;

    const USERS: &str = r#"[{"name":"admin","role":"admin","hash":"$argon2id$v=19$m=19456,t=2,p=1$6mqEEOstjbb4ONPT00FkVg$2NRbo7Td0vy0jKK6H+FzlrUBLgvY9Spohbp6xsQ/1hA"}]"#;

    fn told(variables: &[(&str, &str)]) -> Told {
        Told::new(["auth".into()], variables.iter().map(|(name, value)| (name.into(), value.into())))
    }

    fn config(variables: &[(&str, &str)]) -> Config {
        match read(&told(variables)) {
            Ok(Asked::Serve(config)) => config,
            Err(Refused::Wrong(wrongs)) => panic!("{wrongs:?}"),
            _ => panic!("it was asked to serve"),
        }
    }

    /// What is wrong with an environment that would be right, but for `changes`.
    fn wrongs(changes: &[(&str, &str)]) -> Vec<String> {
        let (_, pem) = SigningKey::generate().unwrap();
        let good = [("SIGNING_KEY", pem.as_str()), ("USERS", USERS), ("PROJECT", "p")];
        match read::<Config>(&told(&[&good, changes].concat())) {
            Err(Refused::Wrong(wrongs)) => wrongs.iter().map(ToString::to_string).collect(),
            _ => panic!("{changes:?} was taken"),
        }
    }

    #[test]
    fn what_is_wrong_names_the_variable_what_was_found_and_what_was_expected() {
        let wrong = wrongs(&[
            ("PORT", "http"),
            ("LIFECYCLE_ORIGIN", "example.com"),
            ("PAGE_ORIGIN", "https://a/b"),
            ("FRAME_SOURCES", "https://a;script-src"),
            ("TRUSTED_PROXIES", "99"),
            ("LOG_FORMAT", "xml"),
            ("SIGNIN_STORE", "disk"),
        ]);
        let an_origin = "expected scheme and host, such as https://pilotlight.example.com";
        assert_eq!(
            wrong,
            [
                "PORT: found \"http\"; expected a number from 0 to 65535".to_owned(),
                "LOG_FORMAT: found \"xml\"; expected `human` or `json`".to_owned(),
                format!("LIFECYCLE_ORIGIN: found \"example.com\"; {an_origin}"),
                "FRAME_SOURCES: found \"https://a;script-src\"; expected up to 50 origins such as \
                 https://comfy.example.com, separated by commas"
                    .to_owned(),
                format!("PAGE_ORIGIN: found \"https://a/b\"; {an_origin}"),
                "TRUSTED_PROXIES: found \"99\"; expected a number from 0 to 10".to_owned(),
                "SIGNIN_STORE: found \"disk\"; expected firestore or memory".to_owned(),
            ]
        );
    }

    #[test]
    fn a_wrong_secret_is_named_and_not_repeated() {
        let (_, pem) = SigningKey::generate().unwrap();
        let broken = pem.replace(pem.lines().nth(1).unwrap(), "hunter2hunter2");
        let nothing = wrongs(&[("SIGNING_KEY", ""), ("USERS", "")]);
        assert!(nothing[0].starts_with("SIGNING_KEY: found nothing; expected: Ed25519 keys in PEM"), "{nothing:?}");
        assert!(nothing[1].starts_with("USERS: found nothing; expected: Who may sign in"), "{nothing:?}");
        let secrets = wrongs(&[("SIGNING_KEY", &broken), ("USERS", "hunter2")]);
        assert!(secrets[0].starts_with("SIGNING_KEY: private key 1: a block is not Base64"), "{secrets:?}");
        assert!(secrets[1].starts_with("USERS: expected a JSON list of"), "{secrets:?}");
        assert!(!secrets.concat().contains("hunter2"), "{secrets:?}");
        let file = wrongs(&[("USERS", ""), ("USERS_FILE", "/nowhere/users.json")]);
        assert!(file[0].starts_with("USERS_FILE: found \"/nowhere/users.json\"; expected a file"), "{file:?}");
        assert_eq!(wrongs(&[("USERS_FILE", "/nowhere")]), ["USERS: found it beside USERS_FILE; expected one of them"]);
    }

    #[test]
    fn what_is_wrong_together_is_told_too() {
        let keys = wrongs(&[("VERIFYING_KEYS", "[]")]);
        assert!(keys[0].starts_with("VERIFYING_KEYS: expected a JWK set"), "{keys:?}");
        let nameless = wrongs(&[("VERIFYING_KEYS", r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"AA"}]}"#)]);
        assert_eq!(nameless, ["VERIFYING_KEYS: key 1: expected a kid"]);
        let project = "PROJECT: found nothing; expected the project of the database, or SIGNIN_STORE=memory";
        assert_eq!(wrongs(&[("PROJECT", "")]), [project]);
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
        let config = config(&[
            ("SIGNING_KEY_FILE", key_file.path().to_str().unwrap()),
            ("USERS_FILE", users_file.path().to_str().unwrap()),
            ("VERIFYING_KEYS", &older_set),
            ("PAGE_ORIGIN", "https://pilotlight.example.com"),
            ("FRAME_SOURCES", "https://a.example.com, http://127.0.0.1:*"),
            ("SIGNIN_STORE", "memory"),
        ]);
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(Timestamp::from_seconds(0)));
        let app = config.app(Arc::clone(&clock), Arc::new(MemorySigninStore::new(clock))).unwrap();
        let ids: Vec<_> = app.keys.published().keys.iter().map(|key| key.common.key_id.as_deref().unwrap()).collect();
        assert_eq!(ids, [key.key_id(), older.key_id()]);
        assert!(app.page.https_only && app.users.find("admin").is_some());
        assert_eq!(app.page.frame_sources, ["https://a.example.com", "http://127.0.0.1:*"]);
        assert_eq!(config.summary("VERIFYING_KEYS").unwrap(), format!("(kid {})", older.key_id()));
        assert_eq!(config.summary("USERS").unwrap(), "(1 user: admin admin)");
    }
}
