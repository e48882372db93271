//! What a function is told from outside, and what is wrong with it.
//!
//! A configuration is a struct of options for clap, one of which is a variable of the environment too: the name of its
//! value (`--log-filter <RUST_LOG>`). Nothing here looks at the environment: `main.rs` does, and hands on what it found
//! ([`Told`]). What several functions must know stands here once; what one must know, in its own crate.

mod reading;
mod values;

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use platform::clock::{Clock, SystemClock};
use platform::identity::jwks::GOOGLE_JWKS_URL;

use crate::logs::LogFormat;

pub use reading::{Asked, Refused, Setting, read};
pub use values::{
    Emails, Expected, SigningKeys, Workspaces, audience, emulator, http_url, is_origin, origin, project, topic,
};

/// The configuration of one function.
pub trait Configuration: clap::Args {
    /// Name of the function.
    const NAME: &'static str;
    /// What it does, in one line.
    const ABOUT: &'static str;

    /// What it must know as a process.
    fn process(&self) -> &ProcessConfig;

    /// What is shown in place of a value that is long or secret.
    fn summary(&self, variable: &str) -> Option<String>;

    /// What is wrong though each value by itself is right.
    fn wrongs(&self) -> Vec<Wrong> {
        Vec::new()
    }
}

/// What every function must know as a process.
#[derive(clap::Args, Clone, Debug)]
pub struct ProcessConfig {
    /// Port to listen on, on all addresses.
    #[arg(long, default_value = "8080", value_parser = values::port)]
    pub port: u16,
    /// Shape of the log: `human` or `json`.
    #[arg(long, default_value = "json", value_parser = values::log_format)]
    pub log_format: LogFormat,
    /// What is logged, in the syntax of RUST_LOG.
    #[arg(long, value_name = "RUST_LOG", default_value = "info", value_parser = values::log_filter)]
    pub log_filter: String,
    /// A clock that does not run as the machine's does; for the pocket cloud.
    #[arg(long, value_name = "PILOTLIGHT_CLOCK", value_parser = values::clock)]
    clock: Option<Arc<dyn Clock>>,
}

impl ProcessConfig {
    /// The clock that the process lives by.
    pub fn clock(&self) -> Arc<dyn Clock> {
        self.clock.clone().unwrap_or_else(|| Arc::new(SystemClock))
    }
}

/// What the functions must know that look after workspaces.
#[derive(clap::Args, Clone, Debug)]
pub struct CloudConfig {
    /// Google Cloud project of instances, topics and database.
    #[arg(long, value_parser = project)]
    pub project: String,
    /// The declared workspaces: a JSON list, as Terraform writes it.
    #[arg(long, value_parser = values::workspaces)]
    pub workspaces: Workspaces,
    /// File with the same, in place of WORKSPACES.
    #[arg(long)]
    pub workspaces_file: Option<PathBuf>,
    /// Topic of the nudges, `projects/P/topics/T`.
    #[arg(long, value_parser = topic)]
    pub nudge_topic: String,
    /// Where Google publishes its keys.
    #[arg(long, default_value = GOOGLE_JWKS_URL, value_parser = http_url)]
    pub google_jwks_url: String,
    /// Firestore's address, where it is an emulator: `host:port`; no credentials are sent there.
    #[arg(long, value_name = "FIRESTORE_EMULATOR_HOST", value_parser = emulator)]
    pub firestore_emulator: Option<String>,
    /// Pub/Sub's address, where it is an emulator: `host:port`; no credentials are sent there.
    #[arg(long, value_name = "PUBSUB_EMULATOR_HOST", value_parser = emulator)]
    pub pubsub_emulator: Option<String>,
    /// Compute Engine's address, where it is an emulator; no credentials are sent there.
    #[arg(long, value_parser = http_url)]
    pub compute_endpoint: Option<String>,
}

/// What a program found when it was started. Shows nothing of it: there are secrets among it.
#[derive(Clone, Default)]
pub struct Told {
    program: OsString,
    line: Vec<OsString>,
    variables: BTreeMap<OsString, OsString>,
}

impl Told {
    /// The command line, the program's own name first, and the environment.
    pub fn new(
        line: impl IntoIterator<Item = OsString>,
        variables: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Self {
        let mut line = line.into_iter();
        let program = line.next().unwrap_or_default();
        Self { program, line: line.collect(), variables: variables.into_iter().collect() }
    }

    /// The name under which the program was started, without its folder.
    pub fn program(&self) -> &str {
        Path::new(&self.program).file_name().and_then(OsStr::to_str).unwrap_or_default()
    }

    /// The first word behind the program's name.
    pub fn first(&self) -> Option<&str> {
        self.line.first().and_then(|word| word.to_str())
    }

    /// The same, without the first word.
    #[must_use]
    pub fn rest(&self) -> Self {
        Self { line: self.line.iter().skip(1).cloned().collect(), ..self.clone() }
    }

    /// The same, with one word before the others.
    #[must_use]
    pub fn with_first(&self, word: &str) -> Self {
        Self { line: std::iter::once(word.into()).chain(self.line.iter().cloned()).collect(), ..self.clone() }
    }

    /// The words behind the program's name.
    pub fn line(&self) -> &[OsString] {
        &self.line
    }

    fn variable(&self, name: &str) -> Option<&OsString> {
        self.variables.get(OsStr::new(name))
    }
}

/// A variable that is wrong, what was found, unless it is secret, and what was expected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{variable}: {problem}")]
pub struct Wrong {
    variable: String,
    problem: String,
}

impl Wrong {
    /// `problem` says what was found and what was expected.
    pub fn new(variable: impl Into<String>, problem: impl fmt::Display) -> Self {
        Self { variable: variable.into(), problem: problem.to_string() }
    }
}

#[cfg(test)]
mod tests;
