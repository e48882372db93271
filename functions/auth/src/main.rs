//! The process: reads the environment, puts the service together, serves until it is asked to end.

use std::io::{Read as _, Write as _};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use auth::{Config, PASSWORD_BYTES_MAX, SigninStoreKind, hash_password, router};
use clap::{Parser, Subcommand};
use platform::clock::{self, Clock};
use platform::identity::keys::SigningKey;
use platform::signin::MemorySigninStore;
use platform::signin::SigninStore;
use service::{Limits, init_logs, serve, terminated};
use tokio::net::TcpListener;

/// Signs people in, publishes the keys that check our tokens, and serves the page.
#[derive(Parser)]
#[command(name = "auth", version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    tool: Option<Tool>,
    #[command(flatten)]
    config: Config,
}

#[derive(Subcommand)]
enum Tool {
    /// Reads a password from standard input and prints its hash, for USERS.
    HashPassword,
    /// Prints a new signing key as PEM, for SIGNING_KEY.
    NewKey,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match cli.tool {
        Some(Tool::HashPassword) => print_hash(),
        Some(Tool::NewKey) => SigningKey::generate().and_then(|(_, pem)| print(&pem)),
        None => run(&cli.config),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if tracing::enabled!(tracing::Level::ERROR) {
                tracing::error!(error = format!("{error:#}"), "auth ends");
            } else {
                // The log was not started, or was told to be silent.
                let _ = writeln!(std::io::stderr(), "auth: {error:#}");
            }
            ExitCode::FAILURE
        }
    }
}

fn print_hash() -> anyhow::Result<()> {
    let mut password = String::new();
    // One more than is allowed, with a line's end, so that a password too long is refused and not cut.
    let limit = u64::try_from(PASSWORD_BYTES_MAX)? + 3;
    std::io::stdin().take(limit).read_to_string(&mut password).context("reading the password from standard input")?;
    print(&(hash_password(password.trim_end_matches(['\r', '\n']))? + "\n"))
}

fn print(text: &str) -> anyhow::Result<()> {
    std::io::stdout().write_all(text.as_bytes()).context("writing to standard output")
}

#[tokio::main]
async fn run(config: &Config) -> anyhow::Result<()> {
    init_logs(config.log_format, &config.log_filter)?;
    let clock = clock::from_setting(&config.clock).context("PILOTLIGHT_CLOCK")?;
    let app = config.app(Arc::clone(&clock), signin_store(config, clock)?)?;
    let router = router(app, Limits::default())?;
    let listener = TcpListener::bind(("0.0.0.0", config.port))
        .await
        .with_context(|| format!("PORT: found {}; expected a port that is free", config.port))?;
    tracing::info!(address = %listener.local_addr()?, "auth listens");
    serve(listener, router, terminated()).await
}

fn signin_store(config: &Config, clock: Arc<dyn Clock>) -> anyhow::Result<Arc<dyn SigninStore>> {
    match config.signin_store {
        SigninStoreKind::Memory => {
            tracing::warn!("failures and revoked tokens are remembered in this process alone, until it ends");
            Ok(Arc::new(MemorySigninStore::new(clock)))
        }
        SigninStoreKind::Firestore => {
            ensure!(!config.project.is_empty(), "PROJECT: found nothing; expected the project of the database");
            firestore(&config.project)
        }
    }
}

#[cfg(feature = "cloud")]
fn firestore(project: &str) -> anyhow::Result<Arc<dyn SigninStore>> {
    use platform::firestore::{Firestore, FirestoreConfig};
    use platform::signin::FirestoreSigninStore;
    // Connects at the first sign-in, not before: a function that starts is there for the page at once.
    let database = Arc::new(Firestore::new(FirestoreConfig::new(project)));
    Ok(Arc::new(FirestoreSigninStore::new(database)))
}

#[cfg(not(feature = "cloud"))]
fn firestore(_project: &str) -> anyhow::Result<Arc<dyn SigninStore>> {
    anyhow::bail!("SIGNIN_STORE: found firestore; this build knows only memory (feature `cloud` is off)")
}
