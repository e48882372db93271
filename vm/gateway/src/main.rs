//! The gateway as a process: reads the environment, and serves until told to end, or answers one question and ends.

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser;
use gateway::{Config, Finding, GpuCheck, check_control, check_gpu};
use platform::clock::{Clock as _, SystemClock};

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    // Asked on machines of which nothing else is known yet.
    if std::env::args_os().any(|argument| argument == "--check-gpu") {
        return tell(&check_gpu(&GpuCheck::parse().nvml_library));
    }
    let config = Config::parse();
    if config.check_control {
        return tell(&check_control(&config, SystemClock.now()).await);
    }
    service::init_logs(config.log_format, &config.log_filter)?;
    gateway::start(config).await?;
    Ok(ExitCode::SUCCESS)
}

fn tell(finding: &Finding) -> anyhow::Result<ExitCode> {
    writeln!(std::io::stdout(), "{}", finding.words)?;
    Ok(if finding.well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
