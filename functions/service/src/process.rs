//! A function as a process: reads what it is told, serves until it is asked to end, and says why where it cannot.

use std::fmt::Display;
use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Context as _;
use axum::Router;
use tokio::net::TcpListener;

use crate::config::{Asked, Configuration, ProcessConfig, Refused, Setting, Told, read};
use crate::logs::init_logs;
use crate::server::{serve, terminated};

/// Does what the function was asked to do; `router` puts it together, and asks nobody.
pub fn run<C: Configuration>(told: &Told, router: impl FnOnce(&C) -> anyhow::Result<Router>) -> ExitCode {
    let done = match read::<C>(told) {
        Ok(Asked::Serve(config)) => start::<C>(&config, router),
        Ok(Asked::Check(config, settings)) => router(&config).and_then(|_| tell(&config, &settings)),
        Ok(Asked::Say(text)) => say(&text),
        Err(Refused::Line(error)) => {
            complain(C::NAME, error.render());
            return ExitCode::FAILURE;
        }
        Err(Refused::Wrong(wrongs)) => {
            wrongs.iter().for_each(|wrong| complain(C::NAME, wrong));
            return ExitCode::FAILURE;
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if tracing::enabled!(tracing::Level::ERROR) {
                tracing::error!(error = format!("{error:#}"), "{} ends", C::NAME);
            } else {
                // The log was not started, or was told to be silent.
                complain(C::NAME, format!("{error:#}"));
            }
            ExitCode::FAILURE
        }
    }
}

/// Writes to standard output.
///
/// # Errors
/// When nobody can read it.
pub fn say(text: &str) -> anyhow::Result<()> {
    std::io::stdout().write_all(text.as_bytes()).context("writing to standard output")
}

/// Writes a line to standard error.
pub fn complain(name: &str, words: impl Display) {
    // Whoever closed it does not want to know.
    let _ = writeln!(std::io::stderr(), "{name}: {words}");
}

fn start<C: Configuration>(config: &C, router: impl FnOnce(&C) -> anyhow::Result<Router>) -> anyhow::Result<()> {
    let ProcessConfig { port, log_format, log_filter, .. } = config.process();
    init_logs(*log_format, log_filter)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("starting the runtime")?;
    runtime.block_on(async {
        let router = router(config)?;
        let listener = TcpListener::bind(("0.0.0.0", *port))
            .await
            .with_context(|| format!("PORT: found {port}; expected a port that is free"))?;
        tracing::info!(address = %listener.local_addr()?, "{} listens", C::NAME);
        serve(listener, router, terminated()).await
    })
}

fn tell<C: Configuration>(config: &C, settings: &[Setting]) -> anyhow::Result<()> {
    let line = |setting: &Setting| setting.told(config.summary(setting.variable())) + "\n";
    say(&settings.iter().map(line).collect::<String>())
}
