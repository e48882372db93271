//! What a prompt asks for: checks a graph as ComfyUI does, and turns it into steps in order.
//!
//! Pure: no clock, no I/O, no queue. Which nodes exist comes from `nodes`; doing the steps is `work`'s.
//!
//! Two hidden inputs, on any node, belong to the stand-in: `stand_in_seconds` (the node takes that long) and
//! `stand_in_fails` (the node ends in an execution error).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use crate::{
    checks::input_faults,
    nodes::{Nodes, is_output},
    refusal::{Refusal, fault},
};

/// A graph with more nodes than this is refused; large real ones have a few hundred.
pub(crate) const NODES_PER_PROMPT_MAX: usize = 1_000;
/// The longest that `stand_in_seconds` may ask one node to take.
pub(crate) const NODE_SECONDS_MAX: f64 = 86_400.0;
/// What a node without an image at its input works on, pixels each way.
const DEFAULT_SIDE: u32 = 512;
/// No picture is larger than this each way, whatever it was scaled to.
pub(crate) const SIDE_MAX: u32 = 4_096;

/// What to draw when an image is asked for: no pixels are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Picture {
    pub(crate) width: u32,
    pub(crate) height: u32,
    /// 0xRRGGBB
    pub(crate) color: u32,
    pub(crate) batch: u32,
}

impl Picture {
    pub(crate) const EXAMPLE: Self = Self { width: DEFAULT_SIDE, height: DEFAULT_SIDE, color: 0x002D_6CDF, batch: 1 };
}

/// Where an output node puts its images.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Keep {
    Temp,
    Output { prefix: String },
}

/// One node to work on.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Step {
    pub(crate) node: String,
    pub(crate) class: String,
    /// How long it takes at speed 1.
    pub(crate) seconds: f64,
    pub(crate) fails: bool,
    pub(crate) picture: Picture,
    pub(crate) keep: Option<Keep>,
}

/// A prompt that may be queued.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) steps: Vec<Step>,
    /// Output nodes that will be worked on.
    pub(crate) outputs: Vec<String>,
    /// Faults of outputs that will not be.
    pub(crate) node_errors: Value,
}

/// Checks `prompt` and orders the nodes that its outputs need. `targets`, when given, narrows the outputs.
pub(crate) fn plan(
    prompt: &Map<String, Value>,
    targets: Option<&[String]>,
    nodes: &Nodes,
    seconds_per_node: f64,
) -> Result<Plan, Refusal> {
    if prompt.len() > NODES_PER_PROMPT_MAX {
        let details = format!("{} nodes; at most {NODES_PER_PROMPT_MAX}", prompt.len());
        return Err(Refusal::of_prompt("invalid_prompt", "Prompt has too many nodes", &details));
    }
    let roots = outputs(prompt, targets, nodes)?;
    let faulty = faults(prompt, nodes);
    let (good, bad): (Vec<_>, Vec<_>) =
        roots.into_iter().partition(|root| ancestors(prompt, root).is_disjoint(&faulty.keys().cloned().collect()));
    let node_errors = node_errors(prompt, &faulty, &bad);
    if good.is_empty() {
        return Err(Refusal {
            node_errors,
            ..Refusal::of_prompt("prompt_outputs_failed_validation", "Prompt outputs failed validation", "")
        });
    }
    let steps = steps(prompt, &good, nodes, seconds_per_node)?;
    Ok(Plan { steps, outputs: good, node_errors })
}

/// The output nodes asked for; a node of no or unknown class anywhere refuses the whole prompt, as in ComfyUI.
fn outputs(prompt: &Map<String, Value>, targets: Option<&[String]>, nodes: &Nodes) -> Result<Vec<String>, Refusal> {
    let mut outputs = Vec::new();
    for (id, node) in prompt {
        let details = format!("Node ID '#{id}'");
        let Some(class) = node["class_type"].as_str() else {
            let message = "Cannot execute because a node is missing the class_type property.";
            return Err(Refusal::of_prompt("missing_node_type", message, &details));
        };
        let Some(known) = nodes.get(class) else {
            let message = format!("Node '{class}' not found. The stand-in knows only a few nodes.");
            return Err(Refusal::of_prompt("missing_node_type", &message, &details));
        };
        if is_output(known) && targets.is_none_or(|targets| targets.contains(id)) {
            outputs.push(id.clone());
        }
    }
    if outputs.is_empty() {
        return Err(Refusal::of_prompt("prompt_no_outputs", "Prompt has no outputs", ""));
    }
    Ok(outputs)
}

/// Every node with something wrong at its inputs.
fn faults(prompt: &Map<String, Value>, nodes: &Nodes) -> BTreeMap<String, Vec<Value>> {
    prompt
        .iter()
        .map(|(id, node)| (id.clone(), input_faults(node, prompt, nodes)))
        .filter(|(_, faults)| !faults.is_empty())
        .collect()
}

fn node_errors(prompt: &Map<String, Value>, faulty: &BTreeMap<String, Vec<Value>>, bad: &[String]) -> Value {
    let reached: Vec<(&String, BTreeSet<String>)> = bad.iter().map(|root| (root, ancestors(prompt, root))).collect();
    let mut errors = Map::new();
    for (id, faults) in faulty {
        let dependent: Vec<_> = reached.iter().filter(|(_, seen)| seen.contains(id)).map(|(root, _)| root).collect();
        if !dependent.is_empty() {
            let class = &prompt[id]["class_type"];
            errors.insert(id.clone(), json!({ "errors": faults, "dependent_outputs": dependent, "class_type": class }));
        }
    }
    Value::Object(errors)
}

/// The ids a node's inputs link to.
fn links(node: &Value) -> impl Iterator<Item = &str> {
    node["inputs"].as_object().into_iter().flatten().filter_map(|(_, value)| value.as_array()?.first()?.as_str())
}

/// `root` and everything it needs. Each node is visited once, so a cycle ends too.
fn ancestors(prompt: &Map<String, Value>, root: &str) -> BTreeSet<String> {
    let mut seen = BTreeSet::new();
    let mut ahead = vec![root.to_owned()];
    while let Some(id) = ahead.pop() {
        let Some(node) = prompt.get(&id) else { continue };
        if seen.insert(id) {
            ahead.extend(links(node).map(str::to_owned));
        }
    }
    seen
}

/// Needed nodes, each after what it needs. At most one round per node.
fn steps(
    prompt: &Map<String, Value>,
    outputs: &[String],
    nodes: &Nodes,
    seconds_per_node: f64,
) -> Result<Vec<Step>, Refusal> {
    let mut waiting: BTreeSet<String> = outputs.iter().flat_map(|root| ancestors(prompt, root)).collect();
    let mut pictures: BTreeMap<String, Picture> = BTreeMap::new();
    let mut steps = Vec::with_capacity(waiting.len());
    while !waiting.is_empty() {
        // A link from an undeclared input may lead nowhere: that holds nothing up.
        let settled = |link: &str| pictures.contains_key(link) || !prompt.contains_key(link);
        let ready: Vec<String> = waiting.iter().filter(|id| links(&prompt[*id]).all(settled)).cloned().collect();
        if ready.is_empty() {
            let stuck: Vec<_> = waiting.into_iter().collect();
            let error = fault(
                "dependency_cycle",
                "Dependency cycle detected",
                &format!("Nodes {}", stuck.join(", ")),
                json!({ "nodes": stuck }),
            );
            return Err(Refusal { error, ..Refusal::of_prompt("", "", "") });
        }
        for id in ready {
            waiting.remove(&id);
            let step = step(&id, &prompt[&id], &pictures, nodes, seconds_per_node);
            pictures.insert(id, step.picture);
            steps.push(step);
        }
    }
    Ok(steps)
}

fn step(id: &str, node: &Value, pictures: &BTreeMap<String, Picture>, nodes: &Nodes, seconds_per_node: f64) -> Step {
    let class = node["class_type"].as_str().unwrap_or_default();
    let inputs = &node["inputs"];
    let upstream = links(node).find_map(|link| pictures.get(link)).copied().unwrap_or(Picture::EXAMPLE);
    let asked = inputs["stand_in_seconds"].as_f64().map(|seconds| seconds.clamp(0.0, NODE_SECONDS_MAX));
    let usual = if class == "ImageBlur" { seconds_per_node } else { 0.0 };
    Step {
        node: id.to_owned(),
        class: class.to_owned(),
        seconds: asked.unwrap_or(usual),
        fails: inputs["stand_in_fails"] == true,
        picture: picture(class, inputs, upstream),
        keep: nodes.get(class).is_some_and(is_output).then(|| keep(class, inputs)),
    }
}

fn picture(class: &str, inputs: &Value, upstream: Picture) -> Picture {
    let number = |name: &str, default: u32| {
        let value = inputs[name].as_u64().unwrap_or_default();
        u32::try_from(value).ok().filter(|value| *value > 0).unwrap_or(default)
    };
    match class {
        "EmptyImage" => Picture {
            width: number("width", DEFAULT_SIDE).min(SIDE_MAX),
            height: number("height", DEFAULT_SIDE).min(SIDE_MAX),
            color: number("color", 0),
            batch: number("batch_size", 1),
        },
        "ImageScale" => scaled(upstream, number("width", 0), number("height", 0)),
        _ => upstream,
    }
}

/// Zero means "in proportion to the other side", as in ComfyUI.
fn scaled(from: Picture, width: u32, height: u32) -> Picture {
    let in_proportion = |side: u32, of: u32, to: u32| {
        let length = u64::from(side) * u64::from(to) / u64::from(of.max(1));
        u32::try_from(length).unwrap_or(SIDE_MAX)
    };
    let (width, height) = match (width, height) {
        (0, 0) => (from.width, from.height),
        (0, height) => (in_proportion(from.width, from.height, height), height),
        (width, 0) => (width, in_proportion(from.height, from.width, width)),
        both => both,
    };
    Picture { width: width.clamp(1, SIDE_MAX), height: height.clamp(1, SIDE_MAX), ..from }
}

fn keep(class: &str, inputs: &Value) -> Keep {
    match class {
        "SaveImage" => Keep::Output { prefix: inputs["filename_prefix"].as_str().unwrap_or("ComfyUI").to_owned() },
        _ => Keep::Temp,
    }
}

#[cfg(test)]
#[path = "graph_tests.rs"]
mod tests;
