//! What lifecycle is told from outside. How it is read, and what others must know too, stands in `service::config`.

use std::path::PathBuf;

use service::config::{CloudConfig, Configuration, Emails, ProcessConfig, SigningKeys, audience, http_url, origin};

/// What lifecycle must know.
#[derive(clap::Args, Clone, Debug)]
pub struct Config {
    #[command(flatten)]
    pub process: ProcessConfig,
    #[command(flatten)]
    pub cloud: CloudConfig,
    /// Ed25519 keys in PEM (PKCS#8), as auth has them: the first signs tickets, and auth publishes its public half.
    #[arg(long, value_parser = SigningKeys::from_pem)]
    pub signing_key: SigningKeys,
    /// File with the same, in place of SIGNING_KEY.
    #[arg(long)]
    pub signing_key_file: Option<PathBuf>,
    /// Issuer of our own tokens.
    #[arg(long, default_value = "pilotlight")]
    pub issuer: String,
    /// Where auth publishes the keys that sign-ins are checked by.
    #[arg(long, value_parser = http_url)]
    pub jwks_url: String,
    /// Audience that VMs must name in their identity tokens.
    #[arg(long, value_parser = audience)]
    pub vm_audience: String,
    /// Service accounts of VMs, separated by commas.
    #[arg(long)]
    pub vm_emails: Emails,
    /// Audience that the push subscriptions name.
    #[arg(long, value_parser = audience)]
    pub push_audience: String,
    /// Service accounts of the push subscriptions, separated by commas.
    #[arg(long)]
    pub push_emails: Emails,
    /// Origin of the page, where it is not served from here.
    #[arg(long, value_parser = origin)]
    pub page_origin: Option<String>,
}

impl Configuration for Config {
    const NAME: &'static str = "lifecycle";
    const ABOUT: &'static str = "Starts, stops and opens workspaces";

    fn process(&self) -> &ProcessConfig {
        &self.process
    }

    fn summary(&self, variable: &str) -> Option<String> {
        match variable {
            "SIGNING_KEY" => Some(self.signing_key.to_string()),
            "WORKSPACES" => Some(self.cloud.workspaces.to_string()),
            _ => None,
        }
    }
}
