//! The gateway as a process: reads the environment, and serves until told to end.

use clap::Parser;
use gateway::Config;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let config = Config::parse();
    service::init_logs(config.log_format, &config.log_filter)?;
    gateway::start(config).await
}
