//! What the gateway has seen of use, and what it says about it. Pure: a plain value, with times as arguments.
//!
//! ```text
//!  queue poll ──┐
//!  requests  ───┤                      Busy(signal)  something is going on at this moment
//!  sockets   ───┼──► Activity ──► reading: Idle{last}    nothing is; the last thing that was
//!  gpu       ───┤                      Unknown       ComfyUI does not answer, and nothing else tells
//!  beacon    ───┘
//! ```
//!
//! Which requests count is in `traffic`, which WebSocket messages in `frames`. What follows from a reading is decided
//! by `domain`, at the other end of a heartbeat, or by `last_resort` when that end is out of reach.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use domain::{Reading, Seconds, Signal, Timestamp};

/// ComfyUI that has left so many polls unanswered is unknown. One render can make it miss one.
const POLLS_MISSED_MAX: u32 = 3;
/// A request counts as under way once it has lasted this long: the three failures a second of a page that has lost
/// its ComfyUI must not look like work to whoever looks at the right moment.
const IN_FLIGHT_COUNTS_AFTER: Seconds = Seconds(2);
/// A request that has moved no byte for this long is a sleeping laptop's, not work.
const IN_FLIGHT_STALLED_AFTER: Seconds = Seconds::minutes(15);
/// GPU samples are looked at over this time.
const GPU_WINDOW: Seconds = Seconds(60);
/// Below this a desktop compositor, or a driver at rest, may show.
const GPU_BUSY_ABOVE_PERCENT: u8 = 10;
/// One busy sample in a minute is a blip.
const GPU_BUSY_SAMPLES: usize = 3;
/// More samples than a minute holds are not kept.
const GPU_SAMPLES_MAX: usize = 64;
/// Activity is worth a heartbeat of its own when the last that was told is this old.
const TELL_AT_ONCE_AFTER: Seconds = Seconds(60);
/// While ComfyUI does not answer, other evidence speaks for it only while it is fresh.
const EVIDENCE_FRESH: Seconds = Seconds(30);

/// Evidence of use, as far as this machine has it.
#[derive(Debug, Default)]
pub(crate) struct Activity {
    last: Option<domain::Activity>,
    queue: Queue,
    in_flight: BTreeMap<u64, Arc<Flight>>,
    requests: u64,
    gpu: VecDeque<(Timestamp, u8)>,
    /// Activity up to this moment has been told.
    told_until: Option<Timestamp>,
    /// A stop is announced: whatever happens is news.
    on_notice: bool,
}

#[derive(Debug, Default)]
struct Queue {
    ever_answered: bool,
    missed: u32,
    remaining: u64,
}

/// A person's request under way.
#[derive(Debug)]
pub(crate) struct Flight {
    number: u64,
    since: Timestamp,
    moved_millis: AtomicI64,
}

impl Flight {
    /// Bytes moved, in either direction.
    pub(crate) fn moved(&self, now: Timestamp) {
        self.moved_millis.store(now.millis(), Ordering::Relaxed);
    }

    fn counts(&self, now: Timestamp) -> bool {
        let moved = Timestamp::from_millis(self.moved_millis.load(Ordering::Relaxed));
        now.since(self.since) >= IN_FLIGHT_COUNTS_AFTER && now.since(moved) < IN_FLIGHT_STALLED_AFTER
    }
}

impl Activity {
    /// Something happened that shows use. True when it is worth a heartbeat at once.
    pub(crate) fn note(&mut self, signal: Signal, now: Timestamp) -> bool {
        if self.last.is_none_or(|last| now >= last.at) {
            self.last = Some(domain::Activity { at: now, signal });
        }
        let untold_for = self.told_until.map(|told| now.since(told));
        self.on_notice || untold_for.is_none_or(|untold| untold >= TELL_AT_ONCE_AFTER)
    }

    /// ComfyUI said how many jobs run or wait. True when that is worth a heartbeat at once.
    pub(crate) fn note_queue(&mut self, remaining: u64, now: Timestamp) -> bool {
        let came_up = !self.comfyui_answers();
        self.queue = Queue { ever_answered: true, missed: 0, remaining };
        let busy = remaining > 0 && self.note(Signal::Queue, now);
        came_up || busy
    }

    /// ComfyUI did not answer.
    pub(crate) fn note_queue_missed(&mut self) {
        self.queue.missed = self.queue.missed.saturating_add(1);
    }

    /// A sample of the GPU. True when it is worth a heartbeat at once.
    pub(crate) fn note_gpu(&mut self, percent: u8, now: Timestamp) -> bool {
        self.gpu.retain(|(at, _)| now.since(*at) < GPU_WINDOW);
        if self.gpu.len() == GPU_SAMPLES_MAX {
            self.gpu.pop_front();
        }
        self.gpu.push_back((now, percent));
        self.gpu_is_busy(now) && self.note(Signal::Gpu, now)
    }

    /// A person's request begins. It is activity while it lasts, and after it only if it went well.
    pub(crate) fn begin_request(&mut self, now: Timestamp) -> Arc<Flight> {
        self.requests += 1;
        let flight = Arc::new(Flight { number: self.requests, since: now, moved_millis: AtomicI64::new(now.millis()) });
        self.in_flight.insert(flight.number, Arc::clone(&flight));
        flight
    }

    /// The request is over. True when that is worth a heartbeat at once.
    pub(crate) fn end_request(&mut self, flight: &Flight, went_well: bool, now: Timestamp) -> bool {
        self.in_flight.remove(&flight.number);
        went_well && self.note(Signal::Traffic, now)
    }

    /// `reading`, taken at `at`, has reached the control plane, which has announced a stop or has not.
    pub(crate) fn told(&mut self, reading: Reading, at: Timestamp, stop_announced: bool) {
        let until = match reading {
            Reading::Busy(_) => Some(at),
            Reading::Idle { last } => last.map(|last| last.at),
            Reading::Unknown => None,
        };
        self.told_until = self.told_until.max(until);
        self.on_notice = stop_announced;
    }

    /// ComfyUI has answered lately.
    pub(crate) fn comfyui_answers(&self) -> bool {
        self.queue.ever_answered && self.queue.missed < POLLS_MISSED_MAX
    }

    /// The last thing that showed use.
    pub(crate) fn last(&self) -> Option<domain::Activity> {
        self.last
    }

    /// What to say about it all.
    pub(crate) fn reading(&self, now: Timestamp) -> Reading {
        if let Some(signal) = self.busy(now) {
            return Reading::Busy(signal);
        }
        if self.comfyui_answers() {
            return Reading::Idle { last: self.last };
        }
        match self.last {
            Some(last) if now.since(last.at) < EVIDENCE_FRESH => Reading::Busy(last.signal),
            _ => Reading::Unknown,
        }
    }

    fn busy(&self, now: Timestamp) -> Option<Signal> {
        if self.comfyui_answers() && self.queue.remaining > 0 {
            return Some(Signal::Queue);
        }
        if self.in_flight.values().any(|flight| flight.counts(now)) {
            return Some(Signal::Traffic);
        }
        self.gpu_is_busy(now).then_some(Signal::Gpu)
    }

    fn gpu_is_busy(&self, now: Timestamp) -> bool {
        let busy = |(at, percent): &&(Timestamp, u8)| now.since(*at) < GPU_WINDOW && *percent > GPU_BUSY_ABOVE_PERCENT;
        self.gpu.iter().filter(busy).count() >= GPU_BUSY_SAMPLES
    }
}

#[cfg(test)]
#[path = "activity_tests.rs"]
mod tests;
