//! Stops the machine, by the command it was given.

use std::time::Duration;

use anyhow::{Context, bail};
use platform::clock::Clock;
use tokio::process::Command;

/// A command to stop a machine returns at once.
const COMMAND_WITHIN: Duration = Duration::from_secs(60);
/// A machine that does not stop costs money: try again, and then leave it to whoever restarts us.
const TRIES_MAX: u32 = 3;
const TRY_AGAIN_AFTER: Duration = Duration::from_secs(1);
/// A machine that was told to stop ends us within seconds; one that is up so much later has not listened. Policy time.
const STILL_UP_AFTER: Duration = Duration::from_secs(30);

/// Runs `command`, program and arguments separated by spaces, until it ends us with the machine; nothing when it is
/// empty.
///
/// # Errors
/// When the machine is still up after some tries.
pub(crate) async fn run(command: &str, clock: &dyn Clock) -> anyhow::Result<()> {
    let mut words = command.split_whitespace();
    let Some(program) = words.next() else { return Ok(()) };
    let arguments: Vec<&str> = words.collect();
    let mut last = None;
    for attempt in 1..=TRIES_MAX {
        match run_once(program, &arguments).await {
            Ok(()) => {
                tracing::info!(command, attempt, "the machine was told to stop");
                clock.sleep(STILL_UP_AFTER).await;
                last = Some(anyhow::anyhow!("it was told to, and is still up"));
            }
            Err(error) => {
                let told = format!("{error:#}");
                tracing::error!(command, attempt, error = told, "the machine could not be told to stop");
                last = Some(error);
                tokio::time::sleep(TRY_AGAIN_AFTER).await;
            }
        }
    }
    Err(last.unwrap_or_else(|| anyhow::anyhow!("it was never tried"))).context("stopping the machine")
}

async fn run_once(program: &str, arguments: &[&str]) -> anyhow::Result<()> {
    let mut child = Command::new(program).args(arguments).kill_on_drop(true).spawn().context("starting the command")?;
    let status = tokio::time::timeout(COMMAND_WITHIN, child.wait()).await.context("the command took too long")??;
    if status.success() { Ok(()) } else { bail!("the command ended with {status}") }
}
