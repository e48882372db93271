//! auth as a process, and the tools that make its secrets.

use std::io::Read as _;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use axum::Router;
use platform::clock::Clock;
use platform::identity::keys::SigningKey;
use platform::signin::{FirestoreSigninStore, MemorySigninStore, SigninStore};
use service::Limits;
use service::cloud::database;
use service::config::Told;
use service::process::{complain, run, say};

use crate::config::{Config, SigninStoreKind};
use crate::password::{PASSWORD_BYTES_MAX, hash_password};

/// The tools, in place of the service, by the first word of the command line.
pub const TOOLS: [(&str, &str); 2] = [
    ("hash-password", "Read a password from standard input and print its hash, for USERS"),
    ("new-key", "Print a new signing key as PEM, for SIGNING_KEY"),
];

/// Serves, or does what a tool does.
pub fn main(told: &Told) -> ExitCode {
    let done = match told.first() {
        Some("hash-password") => print_hash(),
        Some("new-key") => SigningKey::generate().and_then(|(_, pem)| say(&pem)),
        _ => return run(told, router),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain("auth", format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn print_hash() -> anyhow::Result<()> {
    let mut password = String::new();
    // One more than is allowed, with a line's end, so that a password too long is refused and not cut.
    let limit = u64::try_from(PASSWORD_BYTES_MAX)? + 3;
    std::io::stdin().take(limit).read_to_string(&mut password).context("reading the password from standard input")?;
    say(&(hash_password(password.trim_end_matches(['\r', '\n']))? + "\n"))
}

fn router(config: &Config) -> anyhow::Result<Router> {
    let clock = config.process.clock();
    let signin = signin_store(config, Arc::clone(&clock));
    crate::router(config.app(clock, signin)?, Limits::default())
}

fn signin_store(config: &Config, clock: Arc<dyn Clock>) -> Arc<dyn SigninStore> {
    match (config.signin_store, &config.project) {
        (SigninStoreKind::Firestore, Some(project)) => {
            Arc::new(FirestoreSigninStore::new(database(project, config.firestore_emulator.as_deref())))
        }
        // Firestore without a project was refused when the configuration was read.
        (SigninStoreKind::Memory, _) | (SigninStoreKind::Firestore, None) => {
            tracing::warn!("failures and revoked tokens are remembered in this process alone, until it ends");
            Arc::new(MemorySigninStore::new(clock))
        }
    }
}
