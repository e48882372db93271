//! Doing a job: step by step, in the time each step says it takes, telling its submitter over the WebSocket.
//!
//! No step computes anything: it waits, reports progress, and notes what to draw when the image is asked for.
//! Nothing is cached between jobs (ComfyUI would skip unchanged nodes), so the same graph takes as long again.

use std::{sync::Arc, time::Duration};

use serde_json::{Map, Value, json};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::{
    engine::{Ending, Engine, Job, Outcome, Running, now_ms},
    graph::{Keep, Step},
};

/// Progress reports of one step, at most.
const TICKS_PER_STEP_MAX: u32 = 20;
/// Steps report no more often than this.
const TICK_MIN: Duration = Duration::from_millis(50);
/// Images that one output node notes, however large the batch.
const IMAGES_PER_OUTPUT_MAX: u32 = 16;

/// Works on one job after the other until `stop`.
pub(crate) async fn work(engine: Arc<Engine>, stop: CancellationToken) {
    while let Some(running) = stop.run_until_cancelled(engine.take()).await {
        let interrupt = running.interrupt.clone();
        let outcome = perform(&engine, &running, &interrupt, &stop).await;
        let (client, id, ending) = (running.job.client.clone(), running.job.id.clone(), outcome.ending);
        engine.finish(running, outcome);
        // ComfyUI says "nothing is executing" last, after the job has left the queue.
        if let Some(client) = client {
            engine.sockets.send(&client, "executing", &json!({ "node": null, "prompt_id": id }));
        }
        tracing::debug!(job = id, ?ending, "job ended");
    }
}

async fn perform(
    engine: &Engine,
    running: &Running,
    interrupt: &CancellationToken,
    stop: &CancellationToken,
) -> Outcome {
    let mut account = Account::open(engine, &running.job);
    for step in &running.job.plan.steps {
        account.begin(step);
        if step.fails {
            return account.failed(step);
        }
        let whole = tokio::select! {
            () = pass_time(&account, step) => true,
            () = interrupt.cancelled() => false,
            () = stop.cancelled() => false,
        };
        if !whole {
            return account.interrupted(step);
        }
        account.end(step);
    }
    account.success()
}

/// Waits as long as the step takes, with progress on the way.
async fn pass_time(account: &Account<'_>, step: &Step) {
    let whole = Duration::from_secs_f64(step.seconds / account.engine.speed);
    let ticks = u32::try_from(whole.as_millis() / TICK_MIN.as_millis()).unwrap_or(u32::MAX);
    let ticks = ticks.clamp(1, TICKS_PER_STEP_MAX);
    let started = Instant::now();
    for tick in 1..=ticks {
        sleep_until(started + whole * tick / ticks).await;
        account.progress(step, tick, ticks);
    }
}

/// One job's story: sent to its submitter as it happens, kept for the history.
struct Account<'a> {
    engine: &'a Engine,
    job: &'a Job,
    outputs: Map<String, Value>,
    messages: Vec<Value>,
    executed: Vec<&'a str>,
}

impl<'a> Account<'a> {
    fn open(engine: &'a Engine, job: &'a Job) -> Self {
        let mut account = Self { engine, job, outputs: Map::new(), messages: Vec::new(), executed: Vec::new() };
        account.note("execution_start", json!({}));
        account.note("execution_cached", json!({ "nodes": [] }));
        account
    }

    fn tell(&self, kind: &str, data: &Value) {
        if let Some(client) = &self.job.client {
            self.engine.sockets.send(client, kind, data);
        }
    }

    /// Tells, and keeps for the history.
    fn note(&mut self, kind: &str, mut data: Value) {
        data["prompt_id"] = json!(self.job.id);
        data["timestamp"] = json!(now_ms());
        self.tell(kind, &data);
        self.messages.push(json!([kind, data]));
    }

    fn begin(&self, step: &Step) {
        let data = json!({ "node": step.node, "display_node": step.node, "prompt_id": self.job.id });
        self.tell("executing", &data);
        self.tell("progress_state", &self.state(step, "running", 0, 1));
    }

    fn progress(&self, step: &Step, value: u32, max: u32) {
        let data = json!({ "value": value, "max": max, "prompt_id": self.job.id, "node": step.node });
        self.tell("progress_state", &self.state(step, "running", value, max));
        self.tell("progress", &data);
    }

    fn state(&self, step: &Step, state: &str, value: u32, max: u32) -> Value {
        let id = &step.node;
        let node = json!({
            "value": value, "max": max, "state": state, "node_id": id, "prompt_id": self.job.id,
            "display_node_id": id, "parent_node_id": null, "real_node_id": id,
        });
        json!({ "prompt_id": self.job.id, "nodes": { id: node } })
    }

    fn end(&mut self, step: &'a Step) {
        self.tell("progress_state", &self.state(step, "finished", 1, 1));
        self.executed.push(&step.node);
        let Some(keep) = &step.keep else { return };
        let output = json!({ "images": self.images(step, keep) });
        let data = json!({
            "node": step.node, "display_node": step.node, "output": output, "prompt_id": self.job.id,
        });
        self.tell("executed", &data);
        self.outputs.insert(step.node.clone(), output);
    }

    fn images(&self, step: &Step, keep: &Keep) -> Vec<Value> {
        let count = step.picture.batch.min(IMAGES_PER_OUTPUT_MAX);
        (0..count).map(|_| self.engine.pictures.keep(step.picture, keep)).collect()
    }

    fn failed(mut self, step: &Step) -> Outcome {
        let data = json!({
            "node_id": step.node, "node_type": step.class, "executed": self.executed,
            "exception_message": "Asked to fail by stand_in_fails", "exception_type": "StandInFailure",
            "traceback": [], "current_inputs": {}, "current_outputs": [],
        });
        self.note("execution_error", data);
        self.close(Ending::Error)
    }

    fn interrupted(mut self, step: &Step) -> Outcome {
        let data = json!({ "node_id": step.node, "node_type": step.class, "executed": self.executed });
        self.note("execution_interrupted", data);
        self.close(Ending::Interrupted)
    }

    fn success(mut self) -> Outcome {
        self.note("execution_success", json!({}));
        self.close(Ending::Success)
    }

    fn close(self, ending: Ending) -> Outcome {
        Outcome { ending, outputs: self.outputs, messages: self.messages }
    }
}
