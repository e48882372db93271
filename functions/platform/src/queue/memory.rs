//! A topic in memory with one push subscription behind it, as Pub/Sub has them: for the pocket cloud and tests.
//!
//! What was taken is pushed over HTTP, in Pub/Sub's envelope and with an OIDC token, at least once and in no particular
//! order: until the endpoint acknowledges it, or the attempts are used up and it becomes a dead letter. Nothing
//! survives the process.
//!
//! ```text
//!  publish ──► waiting ──push──► acknowledged
//!                ▲   └─ refused, late ─┐
//!                └───── back-off ──────┤
//!                                      └─ attempts used up ──► dead letter
//! ```

mod faults;
mod push;

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use domain::WorkspaceId;
use futures_util::StreamExt as _;
use serde::Serialize;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::faults::Chance;
pub use self::faults::{QueueFaults, REORDER_SPREAD, REPEAT_MAX};
use self::push::{Message, Pusher};
pub use self::push::{Subscription, TokenMint};
use super::Queue;
use crate::clock::Clock;

/// Messages that may wait in a topic; the next one is refused to its publisher.
pub const WAITING_MAX: usize = 10_000;
/// Dead letters kept to be looked at; the oldest is forgotten first.
pub const DEAD_LETTERS_MAX: usize = 1000;
/// Largest payload, as Pub/Sub has it.
pub const DATA_BYTES_MAX: usize = 10_000_000;
/// Pushes under way at once.
const PUSHES_AT_ONCE: usize = 32;
/// Of those, how many the repeats of one message may take.
const REPEATS_AT_ONCE: usize = 8;

/// Why a message was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    #[error("the topic is full: {WAITING_MAX} messages wait")]
    Full,
    #[error("the message is larger than {DATA_BYTES_MAX} bytes")]
    TooLarge,
    #[error("the topic is closed")]
    Closed,
}

/// What a topic has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TopicSnapshot {
    /// Messages taken.
    pub published: u64,
    /// Messages that are neither acknowledged, nor lost, nor dead; or whose repeats are under way.
    pub waiting: usize,
    /// Messages acknowledged.
    pub delivered: u64,
    /// Pushes that were not acknowledged.
    pub refused: u64,
    /// Pushes of messages that had been acknowledged before: a fault.
    pub repeated: u64,
    /// Messages taken and never pushed: a fault.
    pub lost: u64,
    /// Messages that were refused until the attempts were used up.
    pub dead: u64,
}

/// A message that nobody would take.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DeadLetter {
    pub message_id: String,
    /// The payload, as far as it is text.
    pub data: String,
    pub attributes: BTreeMap<String, String>,
    pub attempts: u32,
    /// How the last push failed.
    pub refusal: String,
}

/// A topic and its subscription. Cheap to clone; all clones are the same topic.
#[derive(Clone, Debug)]
pub struct MemoryTopic {
    shared: Arc<Shared>,
}

struct Shared {
    clock: Arc<dyn Clock>,
    pusher: Pusher,
    pushes: Semaphore,
    counts: watch::Sender<TopicSnapshot>,
    state: Mutex<State>,
    deliveries: TaskTracker,
    closing: CancellationToken,
}

struct State {
    faults: QueueFaults,
    chance: Chance,
    dead_letters: VecDeque<DeadLetter>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryTopic").field("to", self.pusher.subscription()).finish_non_exhaustive()
    }
}

impl MemoryTopic {
    /// A topic whose messages are pushed to `subscription`, with tokens of `mint`. Back-off and faults wait by `clock`;
    /// `seed` decides what chance there is in the faults.
    ///
    /// # Errors
    /// When the HTTP client cannot be made.
    pub fn new(subscription: Subscription, mint: TokenMint, clock: Arc<dyn Clock>, seed: u64) -> anyhow::Result<Self> {
        let state =
            State { faults: QueueFaults::default(), chance: Chance::from_seed(seed), dead_letters: VecDeque::new() };
        let shared = Shared {
            pusher: Pusher::new(subscription, mint)?,
            clock,
            pushes: Semaphore::new(PUSHES_AT_ONCE),
            counts: watch::Sender::default(),
            state: Mutex::new(state),
            deliveries: TaskTracker::new(),
            closing: CancellationToken::new(),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Takes a message and returns its number; it is pushed in the background.
    ///
    /// # Errors
    /// When the topic is full or closed, or the message too large.
    pub fn publish(&self, data: &[u8], attributes: BTreeMap<String, String>) -> Result<String, PublishError> {
        if data.len() > DATA_BYTES_MAX {
            return Err(PublishError::TooLarge);
        }
        let shared = &self.shared;
        if shared.closing.is_cancelled() {
            return Err(PublishError::Closed);
        }
        let mut taken = None;
        shared.counts.send_if_modified(|counts| {
            if counts.waiting < WAITING_MAX {
                counts.waiting += 1;
                counts.published += 1;
                taken = Some(counts.published);
            }
            taken.is_some()
        });
        let number = taken.ok_or(PublishError::Full)?;
        let message = Message::new(data, attributes, shared.clock.now(), number);
        let id = message.id().to_owned();
        if shared.is_lost() {
            shared.count(|counts| {
                counts.lost += 1;
                counts.waiting -= 1;
            });
        } else {
            shared.deliveries.spawn(Arc::clone(shared).deliver(message));
        }
        Ok(id)
    }

    /// What goes wrong from now on.
    pub fn set_faults(&self, faults: QueueFaults) {
        self.shared.state().faults = faults.bounded();
    }

    /// What goes wrong at present.
    pub fn faults(&self) -> QueueFaults {
        self.shared.state().faults
    }

    /// What the topic has done so far.
    pub fn snapshot(&self) -> TopicSnapshot {
        *self.shared.counts.borrow()
    }

    /// Waits until the topic has done what `condition` asks for. The caller bounds the wait.
    pub async fn reached(&self, condition: impl FnMut(&TopicSnapshot) -> bool) -> TopicSnapshot {
        let mut counts = self.shared.counts.subscribe();
        // The sender lives as long as self, so that the wait cannot fail.
        counts.wait_for(condition).await.map_or_else(|_| self.snapshot(), |counts| *counts)
    }

    /// The dead letters, oldest first.
    pub fn dead_letters(&self) -> Vec<DeadLetter> {
        self.shared.state().dead_letters.iter().cloned().collect()
    }

    /// Takes no more, lets the pushes under way end (each within the acknowledgement deadline), drops what waits.
    pub async fn close(&self) -> TopicSnapshot {
        self.shared.closing.cancel();
        self.shared.deliveries.close();
        self.shared.deliveries.wait().await;
        self.snapshot()
    }
}

#[async_trait]
impl Queue for MemoryTopic {
    async fn nudge(&self, workspace: &WorkspaceId) -> anyhow::Result<()> {
        self.publish(&super::nudge_data(workspace)?, BTreeMap::new())?;
        Ok(())
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing below panics while it holds the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, change: impl FnOnce(&mut TopicSnapshot)) {
        self.counts.send_modify(change);
    }

    fn is_lost(&self) -> bool {
        let mut state = self.state();
        let lose = state.faults.lose;
        state.chance.strikes(lose)
    }

    /// Sees one message through: pushed until it is acknowledged, or dead.
    async fn deliver(self: Arc<Self>, message: Message) {
        // Only closing interrupts; what waits then stays counted as waiting.
        let Some(()) = self.closing.run_until_cancelled(self.hold_back()).await else { return };
        if self.see_through(&message).await.is_some() {
            self.count(|counts| counts.waiting -= 1);
        }
    }

    /// `None` when the topic closed before it was over.
    async fn see_through(&self, message: &Message) -> Option<()> {
        let subscription = self.pusher.subscription();
        let mut refusal = String::new();
        for attempt in 1..=subscription.max_delivery_attempts {
            match self.push(message, attempt).await? {
                Ok(()) => {
                    self.count(|counts| counts.delivered += 1);
                    return self.repeat(message, attempt).await;
                }
                Err(refused) => {
                    tracing::debug!(message = message.id(), attempt, %refused, "a push was not acknowledged");
                    self.count(|counts| counts.refused += 1);
                    refusal = refused;
                }
            }
            if attempt < subscription.max_delivery_attempts {
                let wait = subscription.backoff(attempt);
                self.closing.run_until_cancelled(self.clock.sleep(wait)).await?;
            }
        }
        self.bury(message, refusal);
        Some(())
    }

    /// One push, late if such a fault is on. `None` when the topic closed before it began.
    async fn push(&self, message: &Message, attempt: u32) -> Option<Result<(), String>> {
        let permit = async {
            let delay = self.state().faults.delay();
            if !delay.is_zero() {
                self.clock.sleep(delay).await;
            }
            self.pushes.acquire().await.ok()
        };
        let _permit = self.closing.run_until_cancelled(permit).await??;
        Some(self.pusher.push(message, attempt).await)
    }

    /// The fault of being pushed again although it was acknowledged.
    async fn repeat(&self, message: &Message, attempt: u32) -> Option<()> {
        let repeat = self.state().faults.repeat;
        let pushes = futures_util::stream::iter(1..=repeat).map(async |nth| {
            let pushed = self.push(message, attempt.saturating_add(nth)).await;
            if pushed.is_some() {
                self.count(|counts| counts.repeated += 1);
            }
            pushed.map(|_| ())
        });
        let results: Vec<Option<()>> = pushes.buffer_unordered(REPEATS_AT_ONCE).collect().await;
        results.into_iter().collect()
    }

    /// The fault of being overtaken by messages that were published later.
    async fn hold_back(&self) {
        let wait = {
            let mut state = self.state();
            if state.faults.reorder { state.chance.within(REORDER_SPREAD) } else { Duration::ZERO }
        };
        if !wait.is_zero() {
            self.clock.sleep(wait).await;
        }
    }

    fn bury(&self, message: &Message, refusal: String) {
        let attempts = self.pusher.subscription().max_delivery_attempts;
        tracing::warn!(message = message.id(), attempts, refusal, "a message nobody would take: dead letter");
        {
            let mut state = self.state();
            if state.dead_letters.len() >= DEAD_LETTERS_MAX {
                state.dead_letters.pop_front();
            }
            state.dead_letters.push_back(message.dead_letter(attempts, refusal));
        }
        self.count(|counts| counts.dead += 1);
    }
}

#[cfg(test)]
mod tests;
