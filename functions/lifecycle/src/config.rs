//! What lifecycle is told from outside. How it is read, and what others must know too, stands in `service::config`.

use std::fmt;
use std::path::PathBuf;

use domain::WorkspaceId;
use service::config::{
    CloudConfig, Configuration, Emails, ProcessConfig, SigningKeys, Wrong, audience, http_url, origin,
};
use wire::{WebhookConfigError, WebhooksConfig, webhooks_from_json};

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
    /// Where notices go: a JSON object of webhooks by workspace, for each that is declared with `notify`.
    #[arg(long, default_value = "{}", value_parser = Webhooks::from_json)]
    pub webhooks: Webhooks,
    /// File with the same, in place of WEBHOOKS.
    #[arg(long)]
    pub webhooks_file: Option<PathBuf>,
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
            "WEBHOOKS" => Some(self.webhooks.to_string()),
            "WORKSPACES" => Some(self.cloud.workspaces.to_string()),
            _ => None,
        }
    }

    fn wrongs(&self) -> Vec<Wrong> {
        let declared = || self.cloud.workspaces.0.iter();
        let without =
            declared().filter(|workspace| workspace.policy.notify && !self.webhooks.0.contains_key(&workspace.id));
        let without =
            without.map(|workspace| format!("found none for {}, which is declared with notify", workspace.id));
        let is_notified = |id: &WorkspaceId| declared().any(|workspace| workspace.policy.notify && workspace.id == *id);
        let beside = self.webhooks.0.keys().filter(|id| !is_notified(id));
        let beside =
            beside.map(|id| format!("found one for {id}; expected only workspaces that are declared with notify"));
        without.chain(beside).map(|problem| Wrong::new("WEBHOOKS", problem)).collect()
    }
}

/// Where notices go, by workspace.
#[derive(Clone, Debug)]
pub struct Webhooks(pub WebhooksConfig);

impl Webhooks {
    fn from_json(json: &str) -> Result<Self, WebhookConfigError> {
        webhooks_from_json(json).map(Self)
    }
}

/// Where to, without the parts that are secret.
impl fmt::Display for Webhooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let told: Vec<String> = self.0.iter().map(|(id, webhook)| format!("{id} to {}", webhook.origin())).collect();
        if told.is_empty() { f.write_str("(none)") } else { write!(f, "({})", told.join(", ")) }
    }
}
