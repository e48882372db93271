//! What is wrong at one node's inputs, in ComfyUI's words. Pure; `graph` says what follows from it.

use serde_json::{Map, Value, json};

use crate::{
    nodes::{Nodes, inputs},
    refusal::fault,
};

/// Faults of every declared input of `node`; inputs that the node does not declare are let through, as ComfyUI does.
pub(crate) fn input_faults(node: &Value, prompt: &Map<String, Value>, nodes: &Nodes) -> Vec<Value> {
    let class = node["class_type"].as_str().unwrap_or_default();
    let Some(known) = nodes.get(class) else { return Vec::new() };
    inputs(known).filter_map(|(name, spec)| input_fault(name, spec, &node["inputs"], prompt, nodes)).collect()
}

fn input_fault(name: &str, spec: &Value, given: &Value, prompt: &Map<String, Value>, nodes: &Nodes) -> Option<Value> {
    let value = match &given[name] {
        Value::Null => {
            return Some(told("required_input_missing", "Required input is missing", name, name));
        }
        value => value,
    };
    match value {
        Value::Array(link) => link_fault(name, spec, link, prompt, nodes),
        value => value_fault(name, spec, value),
    }
}

fn link_fault(name: &str, spec: &Value, link: &[Value], prompt: &Map<String, Value>, nodes: &Nodes) -> Option<Value> {
    let target = || {
        let [id, slot] = link else { return None };
        let source = prompt.get(id.as_str()?)?;
        let outputs = nodes.get(source["class_type"].as_str()?)?;
        outputs["output"].get(usize::try_from(slot.as_u64()?).ok()?)
    };
    let Some(gives) = target() else {
        let message = "Bad linked input, must be a length-2 list of [node_id, slot_index]";
        return Some(told("bad_linked_input", message, name, name));
    };
    let wants = if spec[0].is_array() { &Value::Null } else { &spec[0] };
    (gives != wants).then(|| {
        let details = format!("{name}, received_type({gives}) mismatch input_type({wants})");
        told("return_type_mismatch", "Return type mismatch between linked nodes", &details, name)
    })
}

fn value_fault(name: &str, spec: &Value, value: &Value) -> Option<Value> {
    if let Some(choices) = spec[0].as_array() {
        return (!choices.contains(value)).then(|| {
            let details = format!("{name}: {value} not in {}", spec[0]);
            told("value_not_in_list", "Value not in list", &details, name)
        });
    }
    match spec[0].as_str() {
        Some("INT") => number_fault(name, &spec[1], value.as_i64().map(|number| number as f64)),
        Some("FLOAT") => number_fault(name, &spec[1], value.as_f64()),
        Some("STRING") if value.is_string() => None,
        _ => Some(not_convertible(name, value)),
    }
}

fn number_fault(name: &str, limits: &Value, number: Option<f64>) -> Option<Value> {
    let Some(number) = number else { return Some(not_convertible(name, &Value::Null)) };
    if let Some(min) = limits["min"].as_f64().filter(|min| number < *min) {
        let message = format!("Value {number} smaller than min of {min}");
        return Some(told("value_smaller_than_min", &message, name, name));
    }
    let max = limits["max"].as_f64().filter(|max| number > *max)?;
    Some(told("value_bigger_than_max", &format!("Value {number} bigger than max of {max}"), name, name))
}

fn not_convertible(name: &str, value: &Value) -> Value {
    let details = format!("{name}, {value}");
    told("invalid_input_type", "Failed to convert an input value to the declared type", &details, name)
}

fn told(kind: &str, message: &str, details: &str, input: &str) -> Value {
    fault(kind, message, details, json!({ "input_name": input }))
}
