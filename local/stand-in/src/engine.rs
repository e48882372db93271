//! The queue of jobs: what waits, what is being worked on, what has ended.
//!
//! Everything is in memory and lost with the process, as in ComfyUI. One job is worked on at a time, by `work`.
//!
//! ```text
//!  submit ──► pending ──take──► running ──finish──► history (success · error · interrupted)
//!                │ delete, clear
//!                └────────────► gone, as in ComfyUI
//! ```

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use axum::http::StatusCode;
use serde_json::{Map, Value, json};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::{graph::Plan, pictures::Pictures, refusal::Refusal, socket::Sockets};

/// More waiting jobs than this are refused; ComfyUI itself has no limit.
pub(crate) const PENDING_MAX: usize = 1_000;
/// Ended jobs remembered; the page asks for at most 200.
pub(crate) const HISTORY_MAX: usize = 256;
/// The bodies of all waiting prompts together, and of all remembered ones.
pub(crate) const PROMPT_BYTES_MAX: usize = 128 * 1024 * 1024;

/// A prompt that was accepted.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) id: String,
    /// Place in the queue: lower goes first; negative for "at the front".
    pub(crate) number: i64,
    pub(crate) prompt: Value,
    pub(crate) extra_data: Value,
    /// The WebSocket that is told of the job's progress.
    pub(crate) client: Option<String>,
    pub(crate) plan: Plan,
    /// Of the prompt as it came.
    pub(crate) bytes: usize,
    pub(crate) created_ms: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Success,
    Error,
    Interrupted,
}

/// What a job came to.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    pub(crate) ending: Ending,
    /// By output node: `{"images": […]}`.
    pub(crate) outputs: Map<String, Value>,
    /// The messages about the job, `[type, data]` each, as `/history` tells them.
    pub(crate) messages: Vec<Value>,
}

#[derive(Clone, Debug)]
pub(crate) struct Ended {
    pub(crate) job: Arc<Job>,
    pub(crate) outcome: Outcome,
    pub(crate) started_ms: u64,
    pub(crate) ended_ms: u64,
}

/// The job being worked on, and the switch that interrupts it.
#[derive(Clone, Debug)]
pub(crate) struct Running {
    pub(crate) job: Arc<Job>,
    pub(crate) started_ms: u64,
    pub(crate) interrupt: CancellationToken,
}

#[derive(Debug, Default)]
struct Queue {
    counter: i64,
    pending: VecDeque<Arc<Job>>,
    running: Option<Running>,
    history: VecDeque<Ended>,
}

impl Queue {
    /// Forgets the oldest; the newest is always remembered.
    fn trim_history(&mut self) {
        let mut bytes: usize = self.history.iter().map(|ended| ended.job.bytes).sum();
        while self.history.len() > HISTORY_MAX || (self.history.len() > 1 && bytes > PROMPT_BYTES_MAX) {
            let Some(oldest) = self.history.pop_front() else { return };
            bytes -= oldest.job.bytes;
        }
    }
}

/// A copy of the queue at one moment, to make answers from.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) running: Option<Running>,
    pub(crate) pending: Vec<Arc<Job>>,
    pub(crate) history: Vec<Ended>,
}

#[derive(Debug)]
pub(crate) struct Engine {
    queue: Mutex<Queue>,
    work: Notify,
    pub(crate) sockets: Sockets,
    pub(crate) pictures: Pictures,
    pub(crate) speed: f64,
}

/// A prompt that has been checked, on its way into the queue.
#[derive(Debug)]
pub(crate) struct Submission {
    pub(crate) id: String,
    pub(crate) prompt: Value,
    pub(crate) extra_data: Value,
    pub(crate) client: Option<String>,
    pub(crate) plan: Plan,
    pub(crate) bytes: usize,
    pub(crate) number: Option<i64>,
    pub(crate) front: bool,
}

impl Engine {
    pub(crate) fn new(speed: f64) -> Self {
        Self {
            queue: Mutex::default(),
            work: Notify::new(),
            sockets: Sockets::default(),
            pictures: Pictures::default(),
            speed,
        }
    }

    // A panic elsewhere leaves the queue usable: each change below is whole or not begun.
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a prompt into the queue and answers its number there.
    pub(crate) fn submit(&self, submission: Submission) -> Result<Arc<Job>, Refusal> {
        let job = {
            let mut queue = self.queue();
            let bytes = queue.pending.iter().map(|job| job.bytes).sum::<usize>() + submission.bytes;
            if queue.pending.len() >= PENDING_MAX || bytes > PROMPT_BYTES_MAX {
                let details = format!("at most {PENDING_MAX} jobs wait, of {PROMPT_BYTES_MAX} bytes together");
                let refusal = Refusal::of_prompt("queue_full", "The queue is full", &details);
                return Err(Refusal { status: StatusCode::TOO_MANY_REQUESTS, ..refusal });
            }
            let counted = queue.counter;
            queue.counter += 1;
            let number = submission.number.unwrap_or(if submission.front { -counted } else { counted });
            let job = Arc::new(job(submission, number));
            let place = queue.pending.partition_point(|other| other.number <= number);
            queue.pending.insert(place, Arc::clone(&job));
            job
        };
        self.work.notify_one();
        self.tell_remaining();
        Ok(job)
    }

    /// Jobs waiting or being worked on.
    pub(crate) fn remaining(&self) -> usize {
        let queue = self.queue();
        queue.pending.len() + usize::from(queue.running.is_some())
    }

    pub(crate) fn seen(&self) -> Seen {
        let queue = self.queue();
        Seen {
            running: queue.running.clone(),
            pending: queue.pending.iter().cloned().collect(),
            history: queue.history.iter().cloned().collect(),
        }
    }

    /// Takes waiting jobs out of the queue: those named, or all.
    pub(crate) fn forget_pending(&self, ids: Option<&[String]>) {
        self.queue().pending.retain(|job| ids.is_some_and(|ids| !ids.contains(&job.id)));
        self.tell_remaining();
    }

    /// Takes ended jobs out of the history: those named, or all.
    pub(crate) fn forget_history(&self, ids: Option<&[String]>) {
        self.queue().history.retain(|ended| ids.is_some_and(|ids| !ids.contains(&ended.job.id)));
    }

    /// Interrupts the running job; with an id, only if it is that one.
    pub(crate) fn interrupt(&self, id: Option<&str>) {
        if let Some(running) = &self.queue().running
            && id.is_none_or(|id| id == running.job.id)
        {
            running.interrupt.cancel();
        }
    }

    /// The next job, once there is one.
    pub(crate) async fn take(&self) -> Running {
        loop {
            // One permit is kept, so a job submitted between the look and the wait is not missed.
            if let Some(running) = self.begin() {
                return running;
            }
            self.work.notified().await;
        }
    }

    fn begin(&self) -> Option<Running> {
        let mut queue = self.queue();
        let job = queue.pending.pop_front()?;
        let running = Running { job, started_ms: now_ms(), interrupt: CancellationToken::new() };
        queue.running = Some(running.clone());
        Some(running)
    }

    /// Moves the running job into the history.
    pub(crate) fn finish(&self, running: Running, outcome: Outcome) {
        {
            let mut queue = self.queue();
            queue.running = None;
            let Running { job, started_ms, .. } = running;
            queue.history.push_back(Ended { job, outcome, started_ms, ended_ms: now_ms() });
            queue.trim_history();
        }
        self.tell_remaining();
    }

    /// ComfyUI broadcasts this to every client whenever the queue changes, and nothing else.
    fn tell_remaining(&self) {
        self.sockets.broadcast("status", &self.status());
    }

    pub(crate) fn status(&self) -> Value {
        json!({ "status": { "exec_info": { "queue_remaining": self.remaining() } } })
    }
}

fn job(submission: Submission, number: i64) -> Job {
    let Submission { id, prompt, extra_data, client, plan, bytes, .. } = submission;
    Job { id, number, prompt, extra_data, client, plan, bytes, created_ms: now_ms() }
}

/// Milliseconds since 1970.
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn submission(id: &str, front: bool) -> Submission {
        let plan = Plan { steps: Vec::new(), outputs: Vec::new(), node_errors: json!({}) };
        Submission {
            id: id.to_owned(),
            prompt: json!({}),
            extra_data: json!({}),
            client: None,
            plan,
            bytes: 100,
            number: None,
            front,
        }
    }

    fn waiting(engine: &Engine) -> Vec<String> {
        engine.seen().pending.iter().map(|job| job.id.clone()).collect()
    }

    #[test]
    fn jobs_wait_in_order_and_the_front_is_the_front() {
        let engine = Engine::new(1.0);
        for (id, front) in [("a", false), ("b", false), ("c", true), ("d", true)] {
            engine.submit(submission(id, front)).unwrap();
        }
        assert_eq!(waiting(&engine), ["d", "c", "a", "b"]);
    }

    #[test]
    fn a_running_job_still_counts_as_remaining() {
        let engine = Engine::new(1.0);
        engine.submit(submission("a", false)).unwrap();
        engine.submit(submission("b", false)).unwrap();
        let running = engine.begin().unwrap();
        assert_eq!((running.job.id.as_str(), engine.remaining()), ("a", 2));
        let outcome = Outcome { ending: Ending::Success, outputs: Map::new(), messages: Vec::new() };
        engine.finish(running, outcome);
        assert_eq!(engine.remaining(), 1);
        assert_eq!(engine.seen().history[0].job.id, "a");
    }

    #[test]
    fn forgetting_named_jobs_leaves_the_others() {
        let engine = Engine::new(1.0);
        for id in ["a", "b", "c"] {
            engine.submit(submission(id, false)).unwrap();
        }
        engine.forget_pending(Some(&["b".to_owned()]));
        assert_eq!(waiting(&engine), ["a", "c"]);
        engine.forget_pending(None);
        assert_eq!(engine.remaining(), 0);
    }

    #[test]
    fn an_interrupt_for_another_job_does_nothing() {
        let engine = Engine::new(1.0);
        engine.submit(submission("a", false)).unwrap();
        let running = engine.begin().unwrap();
        engine.interrupt(Some("b"));
        assert!(!running.interrupt.is_cancelled());
        engine.interrupt(Some("a"));
        assert!(running.interrupt.is_cancelled());
    }

    #[test]
    fn a_full_queue_refuses() {
        let engine = Engine::new(1.0);
        for id in 0..PENDING_MAX {
            engine.submit(submission(&id.to_string(), false)).unwrap();
        }
        let refusal = engine.submit(submission("one more", false)).unwrap_err();
        assert_eq!(refusal.status, StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(engine.remaining(), PENDING_MAX);
    }

    #[test]
    fn large_prompts_fill_the_queue_and_push_each_other_out_of_the_history() {
        let engine = Engine::new(1.0);
        let half = |id| Submission { bytes: PROMPT_BYTES_MAX / 2, ..submission(id, false) };
        engine.submit(half("a")).unwrap();
        engine.submit(half("b")).unwrap();
        assert_eq!(engine.submit(submission("c", false)).unwrap_err().status, StatusCode::TOO_MANY_REQUESTS);
        for next in ["c", "d"] {
            let running = engine.begin().unwrap();
            let outcome = Outcome { ending: Ending::Success, outputs: Map::new(), messages: Vec::new() };
            engine.finish(running, outcome);
            engine.submit(half(next)).unwrap();
        }
        let running = engine.begin().unwrap();
        engine.finish(running, Outcome { ending: Ending::Error, outputs: Map::new(), messages: Vec::new() });
        let remembered: Vec<_> = engine.seen().history.iter().map(|ended| ended.job.id.clone()).collect();
        assert_eq!(remembered, ["b", "c"]);
    }

    #[test]
    fn the_history_forgets_the_oldest() {
        let engine = Engine::new(1.0);
        for id in 0..=HISTORY_MAX {
            engine.submit(submission(&id.to_string(), false)).unwrap();
            let running = engine.begin().unwrap();
            let outcome = Outcome { ending: Ending::Success, outputs: Map::new(), messages: Vec::new() };
            engine.finish(running, outcome);
        }
        let history = engine.seen().history;
        assert_eq!((history.len(), history[0].job.id.as_str()), (HISTORY_MAX, "1"));
    }
}
