//! Before the machine goes down, ComfyUI is let to finish what it writes.
//!
//! Whoever is told of a stop has been told before; a job that runs all the same would be cut in the middle of a file.
//! Interrupted, ComfyUI ends it between two of its steps and is done with its files. What waits in its queue is dropped
//! first, or the next job would begin; it would be lost with the machine anyway.

use std::time::Duration;

use crate::gateway::Gateway;
use crate::pace::pause;

/// Longest that the machine waits for ComfyUI. A step takes a second or two; the write of a big video, some more.
const WITHIN: Duration = Duration::from_secs(20);
/// The same when Google takes the machine back: it gives half a minute in all, from the notice to the end.
const WITHIN_PREEMPTED: Duration = Duration::from_secs(5);
const ASK_EVERY: Duration = Duration::from_millis(250);
/// ComfyUI that has left so many questions unanswered has fallen, and writes no more.
const UNANSWERED_MAX: u32 = 3;

/// Ready when ComfyUI is at rest, or does not come to it in time.
pub(crate) async fn let_comfyui_finish(gateway: &Gateway) {
    let within = if gateway.preempted() { WITHIN_PREEMPTED } else { WITHIN };
    let at_rest = tokio::select! {
        at_rest = come_to_rest(gateway) => at_rest,
        () = pause(&*gateway.clock, within, Duration::ZERO) => false,
    };
    if !at_rest {
        tracing::warn!("ComfyUI had not come to rest when the machine was stopped");
    }
}

async fn come_to_rest(gateway: &Gateway) -> bool {
    let (mut asked_to, mut unanswered) = (false, 0);
    // Ends by the caller's limit.
    loop {
        match gateway.upstream.queue_remaining().await {
            Some(0) => return true,
            Some(jobs) if !asked_to => {
                tracing::info!(jobs, "ComfyUI is asked to come to rest");
                asked_to = gateway.upstream.drop_waiting_jobs().await && gateway.upstream.interrupt().await;
            }
            Some(_) => unanswered = 0,
            None => unanswered += 1,
        }
        if unanswered >= UNANSWERED_MAX {
            return false;
        }
        pause(&*gateway.clock, ASK_EVERY, ASK_EVERY).await;
    }
}
