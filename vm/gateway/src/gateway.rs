//! What all parts of the gateway share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use domain::{Reading, RunNumber, Timestamp};
use platform::clock::Clock;
use platform::identity::Identity;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;
use wire::{HeartbeatBody, HeartbeatReply, ReadingBody};

use crate::boot::Boot;
use crate::config::Config;
use crate::evidence::{Evidence, Read};
use crate::kept_queue::KeptQueue;
use crate::orders::{Asked, Orders};
use crate::pages::Pages;
use crate::sessions::Sessions;
use crate::upstream::Upstream;

/// WebSockets at once: a tab has one.
const SOCKETS_MAX: usize = 512;

/// The gateway.
#[derive(Debug)]
pub(crate) struct Gateway {
    pub(crate) config: Config,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) identity: Arc<dyn Identity>,
    pub(crate) sessions: Sessions,
    pub(crate) evidence: Arc<Evidence>,
    pub(crate) upstream: Upstream,
    pub(crate) boot: Boot,
    pub(crate) pages: Pages,
    /// One for each WebSocket that may still be opened.
    pub(crate) sockets: Arc<Semaphore>,
    pub(crate) stop: CancellationToken,
    pub(crate) kept: KeptQueue,
    preempted: AtomicBool,
    orders: watch::Sender<Orders>,
    comfyui_came_up: AtomicBool,
    replies: AtomicU64,
    started_at: Timestamp,
}

impl Gateway {
    pub(crate) fn new(config: Config, clock: Arc<dyn Clock>, identity: Arc<dyn Identity>) -> anyhow::Result<Self> {
        Ok(Self {
            sessions: Sessions::default(),
            evidence: Arc::new(Evidence::new(Arc::clone(&clock))),
            upstream: Upstream::new(config.upstream.clone()),
            boot: Boot::new(config.boot_file(), clock.now()),
            pages: Pages::new(&config.page_origin, clock.rate())?,
            sockets: Arc::new(Semaphore::new(SOCKETS_MAX)),
            stop: CancellationToken::new(),
            kept: KeptQueue::new(config.kept_queue_dir()),
            preempted: AtomicBool::new(false),
            orders: watch::Sender::default(),
            comfyui_came_up: AtomicBool::new(false),
            replies: AtomicU64::new(0),
            started_at: clock.now(),
            config,
            clock,
            identity,
        })
    }

    /// The last word of the control plane.
    pub(crate) fn orders(&self) -> Orders {
        self.orders.borrow().clone()
    }

    /// The run that this machine serves, as soon as it is known; `None` when it is over.
    pub(crate) async fn run(&self) -> Option<RunNumber> {
        let mut orders = self.orders.subscribe();
        // The sender lives as long as self.
        let orders = orders.wait_for(|orders| orders.ending || orders.run.is_some()).await.ok()?;
        if orders.ending { None } else { orders.run }
    }

    /// The control plane has spoken.
    pub(crate) fn take_reply(&self, reply: &HeartbeatReply) -> Asked {
        let before = self.orders.borrow().run;
        let mut asked = Asked::GoOn;
        self.orders.send_modify(|orders| asked = orders.take(reply));
        if before.is_some_and(|run| run != reply.run) {
            self.sessions.end_all();
        }
        self.replies.fetch_add(1, Ordering::Relaxed);
        asked
    }

    /// The control plane has said that the run we named is over.
    pub(crate) fn forget_run(&self) {
        self.orders.send_modify(Orders::forget_run);
        self.sessions.end_all();
    }

    /// Replies of the control plane so far.
    pub(crate) fn replies(&self) -> u64 {
        self.replies.load(Ordering::Relaxed)
    }

    /// ComfyUI has answered at least once since the gateway runs.
    pub(crate) fn comfyui_came_up(&self) -> bool {
        self.comfyui_came_up.load(Ordering::Relaxed)
    }

    /// ComfyUI has answered.
    pub(crate) fn note_comfyui_up(&self) {
        if !self.comfyui_came_up.swap(true, Ordering::Relaxed) {
            tracing::info!("ComfyUI answers");
        }
    }

    /// The boot is over: ComfyUI has answered, and browsers can reach it.
    pub(crate) fn is_up(&self) -> bool {
        self.comfyui_came_up() && self.boot.lets_in()
    }

    /// Google takes this machine back.
    pub(crate) fn preempted(&self) -> bool {
        self.preempted.load(Ordering::Relaxed)
    }

    /// Google has said so. True when that is new.
    pub(crate) fn note_preempted(&self) -> bool {
        let new = !self.preempted.swap(true, Ordering::Relaxed);
        if new {
            self.kept.wake();
            self.evidence.announce_urgent_news();
        }
        new
    }

    /// Policy seconds since the gateway began.
    pub(crate) fn uptime_seconds(&self) -> u64 {
        self.clock.now().since(self.started_at).0
    }

    /// What to tell the control plane.
    pub(crate) fn heartbeat(&self, read: &Read) -> HeartbeatBody {
        let run = self.orders.borrow().run;
        HeartbeatBody {
            workspace: self.config.workspace.as_str().to_owned(),
            run,
            comfyui_up: read.comfyui_answers && self.boot.lets_in(),
            reading: reading_body(read.reading, read.now),
            boot: (!self.is_up()).then(|| self.boot.report(run, read.now)),
            preempted: self.preempted(),
            kept_prompts: self.kept.told(),
        }
    }
}

fn reading_body(reading: Reading, now: Timestamp) -> ReadingBody {
    match reading {
        Reading::Unknown => ReadingBody::Unknown,
        Reading::Busy(signal) => ReadingBody::Busy { signal: format!("{signal:?}") },
        Reading::Idle { last } => ReadingBody::Idle {
            last_signal: last.map(|last| format!("{:?}", last.signal)),
            last_seconds_ago: last.map(|last| now.since(last.at).0),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_activity_goes_out_with_its_age() {
        let now = Timestamp::from_seconds(1000);
        let last = domain::Activity { at: Timestamp::from_seconds(940), signal: domain::Signal::Person };
        let body = reading_body(Reading::Idle { last: Some(last) }, now);
        assert_eq!(body.reading(now), Ok(Reading::Idle { last: Some(last) }));
    }
}
