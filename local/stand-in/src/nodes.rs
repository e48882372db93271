//! Which nodes the stand-in knows, in the shape of ComfyUI's `/object_info`.
//!
//! The table is data (`nodes.json`): what the page is told and what a prompt is checked against are the same lines.
//! What a node does is decided in `graph`.

use serde_json::{Map, Value, json};

/// Node name to description, as `/object_info` answers.
pub(crate) type Nodes = Map<String, Value>;

/// The nodes, with the names uploaded so far among the choices of `LoadImage`.
pub(crate) fn nodes(uploaded: &[String]) -> Nodes {
    let mut nodes: Nodes =
        serde_json::from_str(include_str!("nodes.json")).expect("nodes.json is JSON: a test reads it");
    let choices = &mut nodes["LoadImage"]["input"]["required"]["image"][0];
    if let Some(choices) = choices.as_array_mut() {
        choices.extend(uploaded.iter().map(|name| json!(name)));
    }
    nodes
}

/// The declared inputs of a node: name and specification (`[type, options]`).
pub(crate) fn inputs(node: &Value) -> impl Iterator<Item = (&str, &Value)> {
    node["input"]["required"].as_object().into_iter().flatten().map(|(name, spec)| (name.as_str(), spec))
}

pub(crate) fn is_output(node: &Value) -> bool {
    node["output_node"] == true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_node_orders_exactly_the_inputs_it_declares() {
        for (name, node) in nodes(&[]) {
            let mut declared: Vec<_> = inputs(&node).map(|(input, _)| input.to_owned()).collect();
            let mut ordered: Vec<String> = serde_json::from_value(node["input_order"]["required"].clone()).unwrap();
            declared.sort();
            ordered.sort();
            assert_eq!(declared, ordered, "{name}");
            assert_eq!(node["name"], name.as_str());
        }
    }

    #[test]
    fn an_uploaded_name_becomes_a_choice_of_load_image() {
        let nodes = nodes(&["cat.png".to_owned()]);
        assert_eq!(nodes["LoadImage"]["input"]["required"]["image"][0], json!(["example.png", "cat.png"]));
    }
}
