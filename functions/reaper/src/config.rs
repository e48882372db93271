//! The configuration of reaper, from its environment.

use domain::Workspace;
use service::LogFormat;

/// What reaper must know. Each field is a variable of the same name in upper case.
#[derive(clap::Parser, Clone)]
#[command(name = "reaper", about = "Stops what is idle and repairs what is not as it should be", version)]
pub struct Config {
    /// Port to listen on, on all addresses.
    #[arg(long, env, default_value_t = 8080)]
    pub port: u16,
    /// Google Cloud project of instances, topics and database.
    #[arg(long, env)]
    pub project: String,
    /// The declared workspaces: a JSON list, as Terraform writes it.
    #[arg(long, env, value_parser = parse_workspaces)]
    pub workspaces: Workspaces,
    /// Where Google publishes its keys.
    #[arg(long, env, default_value = "https://www.googleapis.com/oauth2/v3/certs")]
    pub google_jwks_url: String,
    /// Audience that Cloud Scheduler names.
    #[arg(long, env)]
    pub sweep_audience: String,
    /// Service accounts that may ask for a sweep, separated by commas.
    #[arg(long, env, value_delimiter = ',', required = true)]
    pub sweep_emails: Vec<String>,
    /// Topic of the nudges, `projects/P/topics/T`.
    #[arg(long, env)]
    pub nudge_topic: String,
    /// Pub/Sub's address, where it is an emulator: `host:port`.
    #[arg(long, env = "PUBSUB_EMULATOR_HOST")]
    pub pubsub_emulator: Option<String>,
    /// Compute Engine's address, where it is an emulator; no credentials are sent there.
    #[arg(long, env)]
    pub compute_endpoint: Option<String>,
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

/// The declared workspaces.
#[derive(Clone, Debug)]
pub struct Workspaces(pub Vec<Workspace>);

fn parse_workspaces(json: &str) -> Result<Workspaces, wire::ConfigError> {
    wire::workspaces_from_json(json).map(Workspaces)
}
