//! The queue and its history in the shapes ComfyUI answers: `/queue`, `/history`, `/api/jobs`. Pure.

use std::{cmp::Reverse, collections::BinaryHeap, sync::Arc};

use serde_json::{Map, Value, json};

use crate::engine::{Ended, Ending, Job, Running, Seen};

/// `[number, id, graph, extra_data, outputs]`
fn tuple(job: &Job) -> Value {
    json!([job.number, job.id, job.prompt, job.extra_data, job.plan.outputs])
}

pub(crate) fn queue(seen: &Seen) -> Value {
    let running: Vec<_> = seen.running.iter().map(|running| tuple(&running.job)).collect();
    let pending: Vec<_> = as_heap(&seen.pending).into_iter().map(tuple).collect();
    json!({ "queue_running": running, "queue_pending": pending })
}

/// ComfyUI shows its heap as it is once the running job was taken off: in order only at its top.
fn as_heap(pending: &[Arc<Job>]) -> Vec<&Job> {
    let taken = std::iter::once(Reverse(0));
    let mut heap: BinaryHeap<_> = taken.chain((1..=pending.len()).map(Reverse)).collect();
    heap.pop();
    heap.into_vec().into_iter().map(|Reverse(place)| &*pending[place - 1]).collect()
}

/// Ended jobs by id, oldest first.
pub(crate) fn history<'a>(ended: impl Iterator<Item = &'a Ended>) -> Value {
    ended.map(|ended| (ended.job.id.clone(), past(ended))).collect::<Map<_, _>>().into()
}

fn past(ended: &Ended) -> Value {
    let outcome = &ended.outcome;
    let success = outcome.ending == Ending::Success;
    let meta: Map<_, _> = outcome
        .outputs
        .keys()
        .map(|id| (id.clone(), json!({ "node_id": id, "display_node": id, "parent_node": null, "real_node_id": id })))
        .collect();
    json!({
        "prompt": tuple(&ended.job),
        "outputs": outcome.outputs,
        "status": {
            "status_str": if success { "success" } else { "error" },
            "completed": success,
            "messages": outcome.messages,
        },
        "meta": meta,
    })
}

/// A job's line in `/api/jobs`; times in milliseconds, priority as its number in the queue.
struct Line<'a> {
    job: &'a Job,
    status: &'static str,
    started_ms: Option<u64>,
    ended: Option<&'a Ended>,
}

impl Line<'_> {
    fn told(&self) -> Value {
        let outputs = self.ended.map(|ended| &ended.outcome.outputs);
        let images = outputs
            .into_iter()
            .flatten()
            .flat_map(|(id, output)| output["images"].as_array().into_iter().flatten().map(move |image| (id, image)));
        let count = images.clone().count();
        let preview = images.last().map(|(id, image)| {
            let mut preview = image.clone();
            preview["nodeId"] = json!(id);
            preview["mediaType"] = json!("images");
            preview
        });
        json!({
            "id": self.job.id,
            "status": self.status,
            "priority": self.job.number,
            "create_time": self.job.created_ms,
            "execution_start_time": self.started_ms,
            "execution_end_time": self.ended.map(|ended| ended.ended_ms),
            "execution_error": self.ended.and_then(execution_error),
            "outputs_count": count,
            "preview_output": preview,
            "workflow_id": self.job.extra_data["extra_pnginfo"]["workflow"]["id"].as_str(),
        })
    }

    fn detail(&self) -> Value {
        let mut told = self.told();
        told["workflow"] = json!({ "prompt": self.job.prompt, "extra_data": self.job.extra_data });
        told["outputs"] = json!(self.ended.map(|ended| &ended.outcome.outputs).unwrap_or(&Map::new()));
        told["update_time"] = json!(self.ended.map(|ended| ended.ended_ms).or(self.started_ms));
        told
    }
}

fn execution_error(ended: &Ended) -> Option<Value> {
    let said = ended.outcome.messages.iter().find(|message| message[0] == "execution_error")?;
    Some(said[1].clone())
}

fn status_of(ending: Ending) -> &'static str {
    match ending {
        Ending::Success => "completed",
        Ending::Error => "failed",
        Ending::Interrupted => "cancelled",
    }
}

/// Every job: the running one, the waiting, the ended with the newest first.
fn lines(seen: &Seen) -> impl Iterator<Item = Line<'_>> {
    let running = seen.running.iter().map(|Running { job, started_ms, .. }| Line {
        job,
        status: "in_progress",
        started_ms: Some(*started_ms),
        ended: None,
    });
    let pending = seen.pending.iter().map(|job| Line { job, status: "pending", started_ms: None, ended: None });
    let ended = seen.history.iter().rev().map(|ended| Line {
        job: &ended.job,
        status: status_of(ended.outcome.ending),
        started_ms: Some(ended.started_ms),
        ended: Some(ended),
    });
    running.chain(pending).chain(ended)
}

/// One page of `/api/jobs`. `statuses` empty: all.
pub(crate) fn jobs(seen: &Seen, statuses: &[&str], offset: usize, limit: usize) -> Value {
    let wanted: Vec<_> = lines(seen).filter(|line| statuses.is_empty() || statuses.contains(&line.status)).collect();
    let page: Vec<_> = wanted.iter().skip(offset).take(limit).map(Line::told).collect();
    let has_more = offset.saturating_add(page.len()) < wanted.len();
    json!({
        "jobs": page,
        "pagination": { "offset": offset, "limit": limit, "total": wanted.len(), "has_more": has_more },
    })
}

pub(crate) fn job(seen: &Seen, id: &str) -> Option<Value> {
    lines(seen).find(|line| line.job.id == id).map(|line| line.detail())
}
