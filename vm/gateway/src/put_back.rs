//! Puts kept prompts back into ComfyUI's queue, in order and each once.
//!
//! Before one is sent, the data disk says so. Whoever comes after a fall then knows which one is in doubt, and asks ComfyUI
//! for its id: among those that wait or run, then among those that have ended.

use std::collections::BTreeSet;
use std::time::Duration;

use domain::RunNumber;

use crate::kept_queue::Keeper;
use crate::queued::Prompt;
use crate::shelf::Sent;
use crate::upstream::Submitted;

/// One in doubt may still be on its way into the queue, while ComfyUI looks it through. It is looked for so often, so far
/// apart in real time, before it counts as never received.
const LOOKS: u32 = 3;
const LOOKS_APART: Duration = Duration::from_secs(1);
/// A prompt that ComfyUI so often neither takes nor refuses keeps the others waiting no longer.
const TRIES_MAX: u32 = 5;

/// What is being put back.
#[derive(Debug)]
pub(crate) struct PuttingBack {
    prompts: Vec<Prompt>,
    next: usize,
    /// The next one may have been sent.
    in_doubt: bool,
    tries: u32,
}

/// What became of one.
enum Outcome {
    InTheQueue,
    Refused(String),
    /// ComfyUI does not say what it has.
    NoAnswer,
    Unclear(String),
}

impl PuttingBack {
    fn new(prompts: Vec<Prompt>) -> Self {
        Self { prompts, next: 0, in_doubt: false, tries: 0 }
    }

    /// As the gateway before this one left it.
    pub(crate) fn again(prompts: Vec<Prompt>, next: usize) -> Self {
        Self { in_doubt: true, next, ..Self::new(prompts) }
    }

    /// How many are still to be sent.
    pub(crate) fn waiting(&self) -> usize {
        self.prompts.len().saturating_sub(self.next)
    }

    fn go_on(&mut self) {
        *self = Self { next: self.next + 1, in_doubt: false, tries: 0, prompts: std::mem::take(&mut self.prompts) };
    }
}

impl Keeper<'_> {
    /// Puts back what is kept, if somebody has agreed, or goes on with it.
    pub(crate) async fn put_back(&mut self, run: RunNumber) -> anyhow::Result<()> {
        if !self.may_send(run) || !self.is_followed() || !self.begin().await? {
            return Ok(());
        }
        let Some(mut known) = self.known().await? else { return Ok(()) };
        // As many turns as there are prompts.
        while let Some(next) = self.next() {
            if !self.may_send(run) {
                return Ok(());
            }
            self.gateway.kept.on_shelf(move |shelf| shelf.will_send(Sent { run, next })).await?;
            let outcome = self.send(&mut known).await?;
            let Some(putting_back) = &mut self.putting_back else { return Ok(()) };
            match outcome {
                Outcome::InTheQueue => putting_back.go_on(),
                Outcome::Refused(reason) => self.set_aside(run, &reason).await?,
                Outcome::NoAnswer => return Ok(()),
                Outcome::Unclear(reason) if putting_back.tries + 1 < TRIES_MAX => {
                    tracing::warn!(reason, "it is not clear whether ComfyUI has taken a prompt back");
                    (putting_back.in_doubt, putting_back.tries) = (true, putting_back.tries + 1);
                    return Ok(());
                }
                Outcome::Unclear(reason) => self.set_aside(run, &reason).await?,
            }
        }
        self.end(run).await
    }

    fn may_send(&self, run: RunNumber) -> bool {
        let orders = self.gateway.orders();
        // What is sent to a machine that goes down is lost.
        orders.run == Some(run) && !orders.ending && !self.gateway.preempted() && self.gateway.is_up()
    }

    /// Whether there is something to put back.
    async fn begin(&mut self) -> anyhow::Result<bool> {
        if self.putting_back.is_none() {
            if self.kept == 0 || !self.gateway.orders().restore_queue {
                return Ok(false);
            }
            let begun = self.gateway.kept.on_shelf(crate::shelf::Shelf::begin_putting_back).await?;
            self.kept = 0;
            self.putting_back = begun.map(|kept| {
                tracing::info!(prompts = kept.prompts.len(), "putting back what an interrupted run has left");
                PuttingBack::new(kept.prompts)
            });
        }
        Ok(self.putting_back.is_some())
    }

    fn next(&self) -> Option<usize> {
        self.putting_back
            .as_ref()
            .filter(|putting_back| putting_back.waiting() > 0)
            .map(|putting_back| putting_back.next)
    }

    async fn known(&mut self) -> anyhow::Result<Option<BTreeSet<String>>> {
        Ok(self.queue().await?.map(|prompts| prompts.into_iter().map(|prompt| prompt.id).collect()))
    }

    async fn send(&mut self, known: &mut BTreeSet<String>) -> anyhow::Result<Outcome> {
        let Some(putting_back) = &self.putting_back else { return Ok(Outcome::NoAnswer) };
        let prompt = &putting_back.prompts[putting_back.next];
        let (id, body, in_doubt) = (prompt.id.clone(), prompt.body()?, putting_back.in_doubt);
        for look in 1.. {
            if known.contains(&id) {
                return Ok(Outcome::InTheQueue);
            }
            match self.gateway.upstream.has_ended(&id).await {
                Some(true) => return Ok(Outcome::InTheQueue),
                Some(false) => {}
                None => return Ok(Outcome::NoAnswer),
            }
            if !in_doubt || look >= LOOKS {
                break;
            }
            tokio::time::sleep(LOOKS_APART).await;
            let Some(now) = self.known().await? else { return Ok(Outcome::NoAnswer) };
            *known = now;
        }
        Ok(match self.gateway.upstream.submit(body).await {
            Submitted::Taken => Outcome::InTheQueue,
            Submitted::Refused(reason) => Outcome::Refused(reason),
            Submitted::Unclear(reason) => Outcome::Unclear(reason),
        })
    }

    async fn set_aside(&mut self, run: RunNumber, reason: &str) -> anyhow::Result<()> {
        let Some(putting_back) = &mut self.putting_back else { return Ok(()) };
        let prompt = putting_back.prompts[putting_back.next].clone();
        tracing::warn!(id = prompt.id, reason, "ComfyUI does not take a prompt back; it is set aside");
        let now = self.gateway.clock.now();
        self.gateway.kept.on_shelf(move |shelf| shelf.keep_refused(run, now, prompt)).await?;
        putting_back.go_on();
        Ok(())
    }

    /// All are sent. They are this run's queue now; only when the data disk says so are they no longer to be put back.
    async fn end(&mut self, run: RunNumber) -> anyhow::Result<()> {
        let Some(prompts) = self.queue().await? else { return Ok(()) };
        self.keep_queue(run, prompts).await?;
        self.gateway.kept.on_shelf(crate::shelf::Shelf::end_putting_back).await?;
        self.putting_back = None;
        tracing::info!("all is put back");
        self.tell(true);
        Ok(())
    }
}
