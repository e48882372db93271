//! [`Activity`] as the tasks of the gateway share it: behind a lock, with the clock, and with word of news.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use domain::{Reading, Signal, Timestamp};
use platform::clock::Clock;
use tokio::sync::Notify;

use crate::activity::{Activity, Flight};

/// What has been seen of use so far.
#[derive(Debug)]
pub(crate) struct Evidence {
    activity: Mutex<Activity>,
    news: Notify,
    urgent: Notify,
    clock: Arc<dyn Clock>,
}

impl Evidence {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { activity: Mutex::default(), news: Notify::new(), urgent: Notify::new(), clock }
    }

    /// Something happened that shows use.
    pub(crate) fn note(&self, signal: Signal) {
        self.change(|activity, now| activity.note(signal, now));
    }

    /// ComfyUI's answer to a poll; `None` when there was none.
    pub(crate) fn note_queue(&self, remaining: Option<u64>) {
        self.change(|activity, now| match remaining {
            Some(remaining) => activity.note_queue(remaining, now),
            None => {
                activity.note_queue_missed();
                false
            }
        });
    }

    /// A sample of the GPU.
    pub(crate) fn note_gpu(&self, percent: u8) {
        self.change(|activity, now| activity.note_gpu(percent, now));
    }

    /// What was read at `at` has been told.
    pub(crate) fn told(&self, reading: Reading, at: Timestamp, stop_announced: bool) {
        self.activity().told(reading, at, stop_announced);
    }

    /// What to say now, when that is, and the last thing that showed use.
    pub(crate) fn read(&self) -> Read {
        let now = self.clock.now();
        let activity = self.activity();
        Read { now, reading: activity.reading(now), last: activity.last(), comfyui_answers: activity.comfyui_answers() }
    }

    /// Waits for something that is worth a heartbeat at once.
    pub(crate) async fn news(&self) {
        self.news.notified().await;
    }

    /// Something else than activity is worth a heartbeat at once.
    pub(crate) fn announce_news(&self) {
        self.news.notify_one();
    }

    /// The same, even where the control plane has not answered lately: there may be no later.
    pub(crate) fn announce_urgent_news(&self) {
        self.news.notify_one();
        self.urgent.notify_one();
    }

    /// Waits for news of that kind.
    pub(crate) async fn urgent_news(&self) {
        self.urgent.notified().await;
    }

    fn change(&self, change: impl FnOnce(&mut Activity, Timestamp) -> bool) {
        let now = self.clock.now();
        if change(&mut self.activity(), now) {
            self.news.notify_one();
        }
    }

    fn activity(&self) -> MutexGuard<'_, Activity> {
        // Nothing in it panics half-way through a change.
        self.activity.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// See [`Evidence::read`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Read {
    pub(crate) now: Timestamp,
    pub(crate) reading: Reading,
    pub(crate) last: Option<domain::Activity>,
    pub(crate) comfyui_answers: bool,
}

/// A person's request under way; activity while it is held, and after that if it went well.
#[derive(Debug)]
pub(crate) struct InFlight {
    evidence: Arc<Evidence>,
    flight: Arc<Flight>,
    went_well: bool,
}

impl InFlight {
    pub(crate) fn begin(evidence: &Arc<Evidence>) -> Self {
        let flight = evidence.activity().begin_request(evidence.clock.now());
        Self { evidence: Arc::clone(evidence), flight, went_well: false }
    }

    /// ComfyUI has accepted the request.
    pub(crate) fn goes_well(&mut self) {
        self.went_well = true;
    }

    /// Something to tell of bytes that move, wherever they do.
    pub(crate) fn movement(&self) -> Movement {
        Movement { flight: Arc::clone(&self.flight), clock: Arc::clone(&self.evidence.clock) }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.evidence.change(|activity, now| activity.end_request(&self.flight, self.went_well, now));
    }
}

/// Told of bytes that move.
#[derive(Debug)]
pub(crate) struct Movement {
    flight: Arc<Flight>,
    clock: Arc<dyn Clock>,
}

impl Movement {
    pub(crate) fn moved(&self) {
        self.flight.moved(self.clock.now());
    }
}
