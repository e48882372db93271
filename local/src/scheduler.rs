//! Cloud Scheduler's part: asks the reaper for a sweep, signed, never two at once.

use std::sync::Arc;
use std::time::Duration;

use compute_emulator::Emulator;
use domain::Seconds;
use platform::clock::Clock;
use reaper::SweepReport;

use crate::names;

/// Longest wait for a sweep's answer, of the machine's own time.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// Asks for a sweep every `every`, for as long as it is polled.
pub async fn run(base: String, every: Seconds, emulator: Arc<Emulator>, clock: Arc<dyn Clock>) {
    let client = reqwest::Client::new();
    loop {
        clock.sleep(every.duration()).await;
        if let Err(error) = sweep(&client, &base, &emulator).await {
            tracing::warn!(error = format!("{error:#}"), "a sweep was not answered; the next one follows");
        }
    }
}

/// Asks for one sweep; gives what it did.
///
/// # Errors
/// When it is not answered, or not well.
pub async fn sweep(client: &reqwest::Client, base: &str, emulator: &Emulator) -> anyhow::Result<SweepReport> {
    let token = emulator.identity().mint(names::SCHEDULER_ACCOUNT, base)?;
    let request = client.post(format!("{base}/sweep")).bearer_auth(token).timeout(ANSWER_WITHIN);
    Ok(request.send().await?.error_for_status()?.json().await?)
}
