//! Stops the machine, by the command it was given.

use std::time::Duration;

use anyhow::{Context, bail};
use tokio::process::Command;

/// `systemctl poweroff` returns at once.
const COMMAND_WITHIN: Duration = Duration::from_secs(60);
/// A machine that does not stop costs money: try again, and then leave it to whoever restarts us.
const TRIES_MAX: u32 = 3;
const TRY_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// Runs `command`, program and arguments separated by spaces; nothing when it is empty.
///
/// # Errors
/// When it has not gone well after some tries.
pub(crate) async fn run(command: &str) -> anyhow::Result<()> {
    let mut words = command.split_whitespace();
    let Some(program) = words.next() else {
        tracing::info!("no command to stop the machine was given; ending");
        return Ok(());
    };
    let arguments: Vec<&str> = words.collect();
    let mut last = None;
    for attempt in 1..=TRIES_MAX {
        match run_once(program, &arguments).await {
            Ok(()) => {
                tracing::info!(command, "the machine was told to stop");
                return Ok(());
            }
            Err(error) => {
                tracing::error!(
                    command,
                    attempt,
                    error = format!("{error:#}"),
                    "the machine could not be told to stop"
                );
                last = Some(error);
            }
        }
        if attempt < TRIES_MAX {
            tokio::time::sleep(TRY_AGAIN_AFTER).await;
        }
    }
    Err(last.unwrap_or_else(|| anyhow::anyhow!("it was never tried"))).context("stopping the machine")
}

async fn run_once(program: &str, arguments: &[&str]) -> anyhow::Result<()> {
    let mut child = Command::new(program).args(arguments).kill_on_drop(true).spawn().context("starting the command")?;
    let status = tokio::time::timeout(COMMAND_WITHIN, child.wait()).await.context("the command took too long")??;
    if status.success() { Ok(()) } else { bail!("the command ended with {status}") }
}
