//! What waits in ComfyUI's queue is kept on the data disk, for ComfyUI has it in memory only and a Spot machine is taken
//! away within half a minute. The next run puts it back, once, when somebody has agreed.
//!
//! ```text
//!  rounds: how many wait ──► woken ──► follow: GET /queue ─► shelf     what this run has
//!  Google takes the machine back ──┘     settle: what another run had is kept
//!                                        put_back: what is kept goes to ComfyUI   (put_back.rs)
//! ```
//!
//! One task does it all, one thing after the other, beside the rounds: a disk that hangs keeps nobody else waiting.
//! A prompt that ends between two looks is still in the file; if the machine goes down just then, it is made again.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use domain::{RunNumber, Seconds, Timestamp};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::gateway::Gateway;
use crate::put_back::PuttingBack;
use crate::queued::{self, Prompt, within_bounds};
use crate::shelf::{Found, Kept, Shelf};

/// What nobody has agreed to put back is kept so long after the interruption. Policy time.
const KEPT_FOR: Seconds = Seconds::hours(7 * 24);
/// What is too old is looked for this often. Policy time.
const OLD_LOOKED_FOR_EVERY: Seconds = Seconds::hours(1);
/// ComfyUI does nothing else while it writes its queue out (65 ms a megabyte on two busy cores), and the data disk is
/// ComfyUI's too: after either, they have this many times as long for themselves.
const REST_FACTOR: u32 = 20;
const REST_MAX: Duration = Duration::from_secs(60);
/// The machine goes down all the same, whatever the disk does.
const END_WITHIN: Duration = Duration::from_secs(3);

/// What the parts of the gateway share of it.
#[derive(Debug)]
pub(crate) struct KeptQueue {
    /// Taken away when the run has ended in order: a write under way then comes first or not at all.
    shelf: Option<Arc<Mutex<Option<Shelf>>>>,
    shared: Mutex<Shared>,
    wake: Notify,
}

#[derive(Debug, Default)]
struct Shared {
    /// ComfyUI's last answer.
    remaining: Option<u64>,
    told: Option<u32>,
}

impl KeptQueue {
    /// Without a folder, nothing is kept.
    pub(crate) fn new(folder: Option<PathBuf>) -> Self {
        let shelf = folder.map(|folder| Arc::new(Mutex::new(Some(Shelf::new(folder)))));
        Self { shelf, shared: Mutex::default(), wake: Notify::new() }
    }

    /// ComfyUI's answer to a poll; `None` when there was none.
    pub(crate) fn note_queue(&self, remaining: Option<u64>) {
        self.shared(|shared| shared.remaining = remaining);
        self.wake();
    }

    /// There is something to look at.
    pub(crate) fn wake(&self) {
        self.wake.notify_one();
    }

    /// How many prompts can be put back; unknown while there is no data disk.
    pub(crate) fn told(&self) -> Option<u32> {
        self.shared(|shared| shared.told)
    }

    /// The run ends in order: nothing is left of its queue.
    pub(crate) async fn end_in_order(&self) {
        let Some(shelf) = self.shelf.clone() else { return };
        let ended = tokio::task::spawn_blocking(move || match lock(&shelf).take() {
            Some(shelf) if shelf.is_there() => shelf.end_in_order(),
            _ => Ok(()),
        });
        match tokio::time::timeout(END_WITHIN, ended).await {
            Ok(Ok(Ok(()))) => {}
            Ok(Ok(Err(error))) => {
                tracing::warn!(error = format!("{error:#}"), "the kept queue of this run is not removed")
            }
            Ok(Err(error)) => tracing::error!(%error, "removing the kept queue of this run"),
            Err(_) => tracing::warn!("the data disk does not answer; the kept queue of this run is not removed"),
        }
    }

    /// Does something with the folder, where waiting for a disk holds nobody up.
    pub(crate) async fn on_shelf<T: Send + 'static>(
        &self,
        act: impl FnOnce(&Shelf) -> anyhow::Result<T> + Send + 'static,
    ) -> anyhow::Result<T> {
        let shelf = self.shelf.clone().context("nothing is kept")?;
        let act = move || act(lock(&shelf).as_ref().context("the run has ended")?);
        tokio::task::spawn_blocking(act).await.context("using the folder of kept prompts")?
    }

    fn shared<T>(&self, look: impl FnOnce(&mut Shared) -> T) -> T {
        look(&mut self.shared.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn lock(shelf: &Mutex<Option<Shelf>>) -> std::sync::MutexGuard<'_, Option<Shelf>> {
    // What a panic leaves behind is a file that is whole.
    shelf.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Keeps, and puts back. Never ends.
pub(crate) async fn keep(gateway: &Gateway) {
    let mut keeper = Keeper::new(gateway);
    let mut trouble = None;
    // Woken by each round; the caller ends this.
    loop {
        gateway.kept.wake.notified().await;
        if gateway.kept.shelf.is_none() {
            continue;
        }
        let now = keeper.turn().await.err().map(|error| format!("{error:#}"));
        if now != trouble {
            match &now {
                Some(trouble) => {
                    tracing::warn!(trouble, "ComfyUI's queue cannot be kept for an interruption, or put back")
                }
                None => tracing::info!("ComfyUI's queue is kept again"),
            }
            trouble = now;
        }
    }
}

/// The task that keeps.
#[derive(Debug)]
pub(crate) struct Keeper<'a> {
    pub(crate) gateway: &'a Gateway,
    /// What was found on the data disk, until it is clear which run this is.
    found: Option<Found>,
    looked_at: Option<Timestamp>,
    settled: bool,
    /// The run and the prompts that the file of the queue names.
    file: Option<(RunNumber, Vec<String>)>,
    /// How many lie there until somebody agrees.
    pub(crate) kept: usize,
    pub(crate) putting_back: Option<PuttingBack>,
    rest_until: Option<Instant>,
    preemption_seen: bool,
    left_out: usize,
}

impl<'a> Keeper<'a> {
    fn new(gateway: &'a Gateway) -> Self {
        Self {
            gateway,
            found: None,
            looked_at: None,
            settled: false,
            file: None,
            kept: 0,
            putting_back: None,
            rest_until: None,
            preemption_seen: false,
            left_out: 0,
        }
    }

    async fn turn(&mut self) -> anyhow::Result<()> {
        if !self.gateway.kept.on_shelf(|shelf| Ok(shelf.is_there())).await? {
            return Ok(());
        }
        // For a moment it may be unknown which run this is; the file's goes on.
        let run = self.gateway.orders().run.or_else(|| self.file.as_ref().map(|(run, _)| *run));
        self.look(run).await?;
        let remaining = self.gateway.kept.shared(|shared| shared.remaining);
        let news = self.gateway.preempted() && !self.preemption_seen;
        let Some(run) = run.filter(|_| remaining.is_some() || news) else { return Ok(()) };
        if !self.settled && !self.settle(run).await? {
            return Ok(());
        }
        self.follow(run, remaining, news).await?;
        self.put_back(run).await
    }

    /// What is there, at first, and whether it has become too old.
    async fn look(&mut self, run: Option<RunNumber>) -> anyhow::Result<()> {
        let now = self.gateway.clock.now();
        let oldest = now - KEPT_FOR;
        if self.looked_at.is_none() {
            self.found = Some(self.gateway.kept.on_shelf(move |shelf| shelf.look(oldest)).await?);
            self.looked_at = Some(now);
        } else if self.settled && self.looked_at.is_some_and(|at| now.since(at) >= OLD_LOOKED_FOR_EVERY) {
            self.kept = self.gateway.kept.on_shelf(move |shelf| shelf.remove_old(oldest)).await?;
            self.looked_at = Some(now);
        }
        let interrupted = self.gateway.orders().interrupted_run;
        if let (Some(found), Some(run)) = (&self.found, run) {
            self.kept =
                left(found, run, interrupted).flat_map(|kept| ids(&kept.prompts)).collect::<BTreeSet<_>>().len();
        }
        self.tell(run.is_some());
        Ok(())
    }

    /// What was found of this run goes on; what was found of others is kept. False when ComfyUI does not say what it has.
    async fn settle(&mut self, run: RunNumber) -> anyhow::Result<bool> {
        let Some(found) = &self.found else { return Ok(true) };
        let interrupted = self.gateway.orders().interrupted_run;
        let (queue, putting_back) =
            (queue_of_another(found, run, interrupted).is_some(), put_back_by_another(found, run).is_some());
        if queue || putting_back {
            let Some(left) = self.left(found, run).await? else { return Ok(false) };
            tracing::info!(prompts = left.prompts.len(), first_run = left.run, "an interrupted run has left prompts");
            self.kept = left.prompts.len();
            self.gateway.kept.on_shelf(move |shelf| shelf.keep_left(&left, putting_back)).await?;
        }
        let Found { queue, putting_back, sent, .. } = self.found.take().unwrap_or_default();
        self.file = queue.filter(|queue| queue.run == run).map(|queue| (run, ids(&queue.prompts)));
        let sent = sent.filter(|sent| sent.run == run);
        self.putting_back = putting_back.zip(sent).map(|(kept, sent)| PuttingBack::again(kept.prompts, sent.next));
        self.tell(true);
        Ok(true)
    }

    /// What others have left, but for what ComfyUI knows: a machine may go on from one run to the next, and then nothing
    /// was interrupted.
    async fn left(&self, found: &Found, run: RunNumber) -> anyhow::Result<Option<Kept>> {
        let interrupted = self.gateway.orders().interrupted_run;
        let Some(queue) = self.gateway.upstream.queue().await? else { return Ok(None) };
        let waiting = ids(&queued::read(&queue).context("reading ComfyUI's queue")?.prompts);
        let mut prompts = Vec::new();
        for prompt in left(found, run, interrupted).flat_map(|kept| &kept.prompts) {
            let known = waiting.contains(&prompt.id) || self.gateway.upstream.has_ended(&prompt.id).await == Some(true);
            if !known {
                prompts.push(prompt.clone());
            }
        }
        let (prompts, left_out) = within_bounds([prompts]);
        if left_out > 0 {
            tracing::warn!(left_out, "not all that interrupted runs have left is kept");
        }
        let first_run = left(found, run, interrupted).map(|kept| kept.run).min().unwrap_or(run);
        let at = left(found, run, interrupted).map(Kept::at).max().unwrap_or_default();
        Ok(Some(Kept::new(first_run, at, prompts)))
    }

    /// The file of the queue says what ComfyUI's says.
    async fn follow(&mut self, run: RunNumber, remaining: Option<u64>, news: bool) -> anyhow::Result<()> {
        // At Google's notice there may be no later: whatever the last answer was, ComfyUI is asked.
        if remaining == Some(0) && !news {
            return self.keep_queue(run, Vec::new()).await;
        }
        if !news && self.rest_until.is_some_and(|until| Instant::now() < until) {
            return Ok(());
        }
        if let Some(prompts) = self.queue().await? {
            self.keep_queue(run, prompts).await?;
            self.preemption_seen |= news;
        }
        Ok(())
    }

    fn rest(&mut self, took: Duration) {
        let until = Instant::now() + took.saturating_mul(REST_FACTOR).min(REST_MAX);
        self.rest_until = self.rest_until.max(Some(until));
    }

    /// The file of the queue is this run's, and no longer what another has left.
    pub(crate) fn is_followed(&self) -> bool {
        self.file.is_some()
    }

    /// What ComfyUI has in its queue; `None` when it does not say.
    pub(crate) async fn queue(&mut self) -> anyhow::Result<Option<Vec<Prompt>>> {
        let asked = Instant::now();
        let answer = self.gateway.upstream.queue().await;
        self.rest(asked.elapsed());
        let Some(answer) = answer? else { return Ok(None) };
        // Megabytes of it may take longer than others should wait.
        let read =
            tokio::task::spawn_blocking(move || queued::read(&answer)).await.context("reading ComfyUI's queue")?;
        let queue = read.context("reading ComfyUI's queue")?;
        let (prompts, left_out) = within_bounds([queue.prompts]);
        let left_out = left_out + queue.strange;
        if left_out != self.left_out {
            tracing::warn!(
                left_out,
                kept = prompts.len(),
                strange = queue.strange,
                "not all of ComfyUI's queue is kept"
            );
            self.left_out = left_out;
        }
        Ok(Some(prompts))
    }

    pub(crate) async fn keep_queue(&mut self, run: RunNumber, prompts: Vec<Prompt>) -> anyhow::Result<()> {
        // On a machine that is taken back, the next run may begin before it is gone; its queue is not that run's.
        let run = self.file.as_ref().filter(|_| self.gateway.preempted()).map_or(run, |(run, _)| *run);
        let ids = ids(&prompts);
        let (same, nothing) = match &self.file {
            Some((of, before)) => (*of == run && *before == ids, before.is_empty()),
            None => (false, false),
        };
        if same || (nothing && ids.is_empty()) {
            return Ok(());
        }
        let queue = Kept::new(run, self.gateway.clock.now(), prompts);
        let begun = Instant::now();
        self.gateway.kept.on_shelf(move |shelf| shelf.keep_queue(&queue)).await?;
        self.rest(begun.elapsed());
        self.file = Some((run, ids));
        Ok(())
    }

    /// How many can be put back, to whoever asks next; at once when that is news.
    pub(crate) fn tell(&self, known: bool) {
        let waiting = self.kept + self.putting_back.as_ref().map_or(0, PuttingBack::waiting);
        let told = known.then(|| u32::try_from(waiting).unwrap_or(u32::MAX));
        let before = self.gateway.kept.shared(|shared| std::mem::replace(&mut shared.told, told));
        if before.unwrap_or(0) != told.unwrap_or(0) {
            self.gateway.evidence.announce_news();
        }
    }
}

/// What other runs than `run` have left, the oldest first, each prompt perhaps more than once.
fn left(found: &Found, run: RunNumber, interrupted: Option<RunNumber>) -> impl Iterator<Item = &Kept> {
    found.kept.iter().chain(queue_of_another(found, run, interrupted)).chain(put_back_by_another(found, run))
}

/// What waited when the run before ended. One that was ended in order, by whomever, has left nothing: its gateway may
/// have been too late to say so.
fn queue_of_another(found: &Found, run: RunNumber, interrupted: Option<RunNumber>) -> Option<&Kept> {
    found.queue.as_ref().filter(|queue| queue.run != run && Some(queue.run) == interrupted)
}

/// What another run was putting back is lost again with its machine, even what had been sent. Where nothing had been
/// sent yet, nothing has begun.
fn put_back_by_another(found: &Found, run: RunNumber) -> Option<&Kept> {
    found.putting_back.as_ref().filter(|_| found.sent.is_none_or(|sent| sent.run != run))
}

fn ids(prompts: &[Prompt]) -> Vec<String> {
    prompts.iter().map(|prompt| prompt.id.clone()).collect()
}
