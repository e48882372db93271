//! Prompts as ComfyUI's queue shows them, and as they are kept. Pure.
//!
//! An entry of `/queue` is `[number, prompt_id, prompt, extra_data, outputs_to_execute]`; older versions have a sixth part.
//! A graph is never looked into: it is handed on as it came.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// Kept at most; the stand-in's queue holds as many, and a graph has some ten thousand bytes, with the workflow that made
/// it some hundred thousand.
pub(crate) const PROMPTS_MAX: usize = 1_000;
pub(crate) const BYTES_MAX: usize = 32 * 1024 * 1024;
/// What an entry costs beside what is in it.
const ENTRY_BYTES: usize = 128;
/// Keys to a person's account at comfy.org. Newer versions do not show them in `/queue`; where one does, they do not get
/// onto the disk.
const SECRETS: [&str; 2] = ["auth_token_comfy_org", "api_key_comfy_org"];

/// A prompt that waits or runs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Prompt {
    pub(crate) id: String,
    prompt: Box<RawValue>,
    extra_data: BTreeMap<String, Box<RawValue>>,
    outputs: Vec<String>,
}

/// The body of `POST /prompt`.
#[derive(Serialize)]
struct Body<'a> {
    prompt: &'a RawValue,
    prompt_id: &'a str,
    extra_data: &'a BTreeMap<String, Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<&'a RawValue>,
    /// What the first submission asked for, as far as ComfyUI found it right.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    partial_execution_targets: &'a [String],
}

impl Prompt {
    /// What to send so that ComfyUI takes it again, under the same id and for the same browser tab.
    ///
    /// # Errors
    /// When it cannot be written as JSON.
    pub(crate) fn body(&self) -> serde_json::Result<String> {
        serde_json::to_string(&Body {
            prompt: &self.prompt,
            prompt_id: &self.id,
            extra_data: &self.extra_data,
            client_id: self.extra_data.get("client_id").map(|id| &**id),
            partial_execution_targets: &self.outputs,
        })
    }

    fn bytes(&self) -> usize {
        let extra: usize = self.extra_data.iter().map(|(name, value)| name.len() + value.get().len() + 4).sum();
        let outputs: usize = self.outputs.iter().map(|output| output.len() + 4).sum();
        self.prompt.get().len() + extra + outputs + self.id.len() + ENTRY_BYTES
    }
}

/// What ComfyUI has said of its queue.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    /// What runs, then what waits, in the order in which it is its turn.
    pub(crate) prompts: Vec<Prompt>,
    /// Entries of another shape, as a custom node may make them.
    pub(crate) strange: usize,
}

#[derive(Deserialize)]
struct Answer {
    queue_running: Vec<Box<RawValue>>,
    queue_pending: Vec<Box<RawValue>>,
}

/// Reads the answer to `GET /queue`.
///
/// # Errors
/// When it is none.
pub(crate) fn read(answer: &[u8]) -> serde_json::Result<Queue> {
    let Answer { queue_running, queue_pending } = serde_json::from_slice(answer)?;
    let entries = queue_running.len() + queue_pending.len();
    let running = queue_running.iter().filter_map(|raw| entry(raw));
    let mut pending: Vec<(f64, Prompt)> = queue_pending.iter().filter_map(|raw| entry(raw)).collect();
    // What waits is shown as the heap that it is, which is in order only at its top.
    pending.sort_by(|(a, first), (b, second)| a.total_cmp(b).then_with(|| first.id.cmp(&second.id)));
    let prompts: Vec<Prompt> = running.chain(pending).map(|(_, prompt)| prompt).collect();
    Ok(Queue { strange: entries - prompts.len(), prompts })
}

fn entry(raw: &RawValue) -> Option<(f64, Prompt)> {
    let parts: Vec<&RawValue> = serde_json::from_str(raw.get()).ok()?;
    let [number, id, prompt, extra_data, outputs, ..] = parts[..] else { return None };
    let mut extra_data: BTreeMap<String, Box<RawValue>> = serde_json::from_str(extra_data.get()).ok()?;
    extra_data.retain(|name, _| !SECRETS.contains(&name.as_str()));
    let prompt = Prompt {
        id: serde_json::from_str(id.get()).ok()?,
        prompt: prompt.to_owned(),
        extra_data,
        outputs: serde_json::from_str(outputs.get()).ok()?,
    };
    Some((serde_json::from_str(number.get()).ok()?, prompt))
}

/// Those of several lists, each once and in order, as far as there is room; and how many are left out.
pub(crate) fn within_bounds(lists: impl IntoIterator<Item = Vec<Prompt>>) -> (Vec<Prompt>, usize) {
    let (mut kept, mut ids, mut bytes, mut left_out) = (Vec::new(), BTreeSet::new(), 0, 0);
    for prompt in lists.into_iter().flatten() {
        if ids.contains(&prompt.id) {
            continue;
        }
        ids.insert(prompt.id.clone());
        if kept.len() == PROMPTS_MAX || bytes + prompt.bytes() > BYTES_MAX {
            left_out += 1;
            continue;
        }
        bytes += prompt.bytes();
        kept.push(prompt);
    }
    (kept, left_out)
}

#[cfg(test)]
#[path = "queued_tests.rs"]
mod tests;
