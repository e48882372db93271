//! What reaper is told from outside. How it is read, and what others must know too, stands in `service::config`.

use service::config::{CloudConfig, Configuration, Emails, ProcessConfig, audience};

/// What reaper must know.
#[derive(clap::Args, Clone, Debug)]
pub struct Config {
    #[command(flatten)]
    pub process: ProcessConfig,
    #[command(flatten)]
    pub cloud: CloudConfig,
    /// Audience that Cloud Scheduler names.
    #[arg(long, value_parser = audience)]
    pub sweep_audience: String,
    /// Service accounts that may ask for a sweep, separated by commas.
    #[arg(long)]
    pub sweep_emails: Emails,
}

impl Configuration for Config {
    const NAME: &'static str = "reaper";
    const ABOUT: &'static str = "Stops what is idle and repairs what is not as it should be";

    fn process(&self) -> &ProcessConfig {
        &self.process
    }

    fn summary(&self, variable: &str) -> Option<String> {
        (variable == "WORKSPACES").then(|| self.cloud.workspaces.to_string())
    }
}
