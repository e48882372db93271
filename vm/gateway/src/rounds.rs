//! What the gateway does by itself, round after round: asks ComfyUI for its queue, reads how the boot goes and the GPU,
//! ends sessions, and looks whether the last resort has come.

use std::sync::Arc;
use std::time::Duration;

use crate::gateway::Gateway;
use crate::gpu::{GpuReading, Sampler};
use crate::last_resort::{CutOff, LastResort, Sight};
use crate::pace::pause;

/// ComfyUI is asked this often; more often while somebody waits for it to come up. Policy time.
const POLL_EVERY: Duration = Duration::from_secs(5);
const POLL_EVERY_WHILE_STARTING: Duration = Duration::from_secs(1);
/// Sessions are looked at this often. Policy time.
const SESSIONS_EVERY: Duration = Duration::from_secs(5);
/// However fast the policy's clock runs. Real time.
const ROUND_MIN: Duration = Duration::from_millis(200);

/// Watches until the machine must stop itself; says why.
pub(crate) async fn watch(gateway: &Gateway, gpu: Arc<dyn GpuReading>) -> CutOff {
    let config = &gateway.config;
    let mut resort = LastResort::new(config.silence_seconds, config.hard_seconds, gateway.clock.now());
    let mut replies = gateway.replies();
    let mut gpu = Sampler::new(gpu);
    // Ends when cut off; the caller ends it otherwise.
    loop {
        let remaining = gateway.upstream.queue_remaining().await;
        if remaining.is_some() {
            gateway.note_comfyui_up();
        }
        gateway.evidence.note_queue(remaining);
        gateway.kept.note_queue(remaining);
        if gateway.boot.look(gateway.clock.now()) {
            gateway.evidence.announce_news();
        }
        if let Some(percent) = gpu.sample().await {
            gateway.evidence.note_gpu(percent);
        }
        let heard = std::mem::replace(&mut replies, gateway.replies()) != replies;
        if let Some(cut_off) = look(gateway, &mut resort, heard) {
            return cut_off;
        }
        let every = if gateway.is_up() { POLL_EVERY } else { POLL_EVERY_WHILE_STARTING };
        pause(&*gateway.clock, every, ROUND_MIN).await;
    }
}

fn look(gateway: &Gateway, resort: &mut LastResort, heard: bool) -> Option<CutOff> {
    let read = gateway.evidence.read();
    let orders = gateway.orders();
    let sight = Sight {
        heard,
        reading: read.reading,
        last: read.last,
        idle_limit: orders.idle_limit,
        hard_stop_at: orders.hard_stop_at,
    };
    resort.look(sight, read.now)
}

/// Ends sessions whose sign-in is over. Never ends itself.
pub(crate) async fn end_sessions(gateway: &Gateway) {
    loop {
        gateway.sessions.end_expired(gateway.clock.now());
        pause(&*gateway.clock, SESSIONS_EVERY, ROUND_MIN).await;
    }
}
