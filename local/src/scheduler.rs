//! Cloud Scheduler's part: asks the reaper for a sweep, signed, never two at once.

use std::sync::Arc;
use std::time::Duration;

use compute_emulator::Emulator;
use domain::Seconds;
use platform::clock::Clock;

use crate::names;

/// Longest wait for a sweep's answer, of the machine's own time.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// Asks for a sweep every `every`, for as long as it is polled.
pub(crate) async fn run(base: String, every: Seconds, emulator: Arc<Emulator>, clock: Arc<dyn Clock>) {
    let client = reqwest::Client::new();
    let url = format!("{base}/sweep");
    loop {
        clock.sleep(every.duration()).await;
        if let Err(error) = sweep(&client, &url, &base, &emulator).await {
            tracing::warn!(error = format!("{error:#}"), "a sweep was not answered; the next one follows");
        }
    }
}

async fn sweep(client: &reqwest::Client, url: &str, audience: &str, emulator: &Emulator) -> anyhow::Result<()> {
    let token = emulator.identity().mint(names::SCHEDULER_ACCOUNT, audience)?;
    client.post(url).bearer_auth(token).timeout(ANSWER_WITHIN).send().await?.error_for_status()?;
    Ok(())
}
