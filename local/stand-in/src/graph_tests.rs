use super::*;
use crate::nodes::nodes;

const SECONDS: f64 = 1.6;

fn blur_graph() -> Value {
    json!({
        "1": { "class_type": "EmptyImage", "inputs": { "width": 64, "height": 32, "batch_size": 1, "color": 255 } },
        "2": { "class_type": "ImageBlur", "inputs": { "image": ["1", 0], "blur_radius": 31, "sigma": 1.0 } },
        "3": { "class_type": "PreviewImage", "inputs": { "images": ["2", 0] } }
    })
}

fn planned(graph: &Value) -> Result<Plan, Refusal> {
    plan(graph.as_object().unwrap(), None, &nodes(&[]), SECONDS)
}

/// The kind of the first fault of a node that was refused.
fn fault_of(graph: &Value, node: &str) -> String {
    let refusal = planned(graph).unwrap_err();
    assert_eq!(refusal.error["type"], "prompt_outputs_failed_validation");
    refusal.node_errors[node]["errors"][0]["type"].as_str().unwrap().to_owned()
}

#[test]
fn nodes_come_in_the_order_their_links_ask_for() {
    let mut graph = blur_graph();
    let blur = graph["2"].take();
    graph.as_object_mut().unwrap().remove("2");
    graph["0"] = blur;
    graph["3"]["inputs"]["images"] = json!(["0", 0]);
    let plan = planned(&graph).unwrap();
    let order: Vec<_> = plan.steps.iter().map(|step| step.node.as_str()).collect();
    assert_eq!(order, ["1", "0", "3"]);
    assert_eq!(plan.outputs, ["3"]);
}

#[test]
fn only_a_blur_takes_time_unless_a_node_says_otherwise() {
    let mut graph = blur_graph();
    graph["3"]["inputs"]["stand_in_seconds"] = json!(40);
    let seconds: Vec<_> = planned(&graph).unwrap().steps.iter().map(|step| step.seconds).collect();
    assert_eq!(seconds, [0.0, SECONDS, 40.0]);
}

#[test]
fn the_hidden_seconds_are_bounded() {
    let mut graph = blur_graph();
    graph["2"]["inputs"]["stand_in_seconds"] = json!(1e300);
    assert_eq!(planned(&graph).unwrap().steps[1].seconds, NODE_SECONDS_MAX);
    graph["2"]["inputs"]["stand_in_seconds"] = json!(-5);
    assert_eq!(planned(&graph).unwrap().steps[1].seconds, 0.0);
}

#[test]
fn a_picture_keeps_its_size_through_a_blur_and_changes_it_in_a_scale() {
    let mut graph = blur_graph();
    let scale = json!({ "image": ["2", 0], "upscale_method": "area", "width": 128, "height": 0, "crop": "disabled" });
    graph["4"] = json!({ "class_type": "ImageScale", "inputs": scale });
    graph["3"]["inputs"]["images"] = json!(["4", 0]);
    let plan = planned(&graph).unwrap();
    let sizes: Vec<_> = plan.steps.iter().map(|step| (step.picture.width, step.picture.height)).collect();
    assert_eq!(sizes, [(64, 32), (64, 32), (128, 64), (128, 64)]);
    assert_eq!(plan.steps[3].keep, Some(Keep::Temp));
}

#[test]
fn a_node_that_no_output_needs_is_left_out() {
    let mut graph = blur_graph();
    graph["9"] = json!({ "class_type": "LoadImage", "inputs": { "image": "example.png" } });
    assert_eq!(planned(&graph).unwrap().steps.len(), 3);
}

#[test]
fn targets_narrow_the_outputs() {
    let mut graph = blur_graph();
    graph["4"] = json!({ "class_type": "SaveImage", "inputs": { "images": ["1", 0], "filename_prefix": "kept" } });
    let targets = ["4".to_owned()];
    let plan = plan(graph.as_object().unwrap(), Some(&targets), &nodes(&[]), SECONDS).unwrap();
    assert_eq!(plan.outputs, ["4"]);
    assert_eq!(plan.steps.last().unwrap().keep, Some(Keep::Output { prefix: "kept".to_owned() }));
}

#[test]
fn a_graph_without_outputs_is_refused() {
    let graph = json!({ "1": blur_graph()["1"] });
    assert_eq!(planned(&graph).unwrap_err().error["type"], "prompt_no_outputs");
}

#[test]
fn a_node_without_or_of_unknown_class_is_refused() {
    let mut graph = blur_graph();
    graph["2"]["class_type"] = json!("KSampler");
    let refusal = planned(&graph).unwrap_err();
    assert_eq!(refusal.error["type"], "missing_node_type");
    assert!(refusal.error["message"].as_str().unwrap().contains("KSampler"));
    graph["2"] = json!({ "inputs": {} });
    assert!(planned(&graph).unwrap_err().error["message"].as_str().unwrap().contains("class_type"));
}

#[test]
fn each_wrong_input_is_told_by_its_own_kind() {
    let cases = [
        ("width", Value::Null, "required_input_missing"),
        ("width", json!("wide"), "invalid_input_type"),
        ("width", json!(0), "value_smaller_than_min"),
        ("width", json!(4097), "value_bigger_than_max"),
        ("width", json!(["nowhere", 0]), "bad_linked_input"),
        ("width", json!(["2", 0]), "return_type_mismatch"),
    ];
    for (input, value, kind) in cases {
        let mut graph = blur_graph();
        graph["1"]["inputs"][input] = value;
        assert_eq!(fault_of(&graph, "1"), kind);
    }
}

#[test]
fn an_image_input_needs_a_link_and_a_choice_must_be_on_the_list() {
    let mut graph = blur_graph();
    graph["3"]["inputs"]["images"] = json!("1");
    assert_eq!(fault_of(&graph, "3"), "invalid_input_type");
    let mut graph = blur_graph();
    graph["1"] = json!({ "class_type": "LoadImage", "inputs": { "image": "missing.png" } });
    assert_eq!(fault_of(&graph, "1"), "value_not_in_list");
}

#[test]
fn a_faulty_branch_is_told_and_the_sound_one_still_goes() {
    let mut graph = blur_graph();
    graph["4"] = json!({ "class_type": "SaveImage", "inputs": { "images": ["1", 0], "filename_prefix": "x" } });
    graph["2"]["inputs"]["sigma"] = json!(99.0);
    let plan = planned(&graph).unwrap();
    assert_eq!(plan.outputs, ["4"]);
    assert_eq!(plan.node_errors["2"]["dependent_outputs"], json!(["3"]));
    assert_eq!(plan.node_errors["2"]["class_type"], "ImageBlur");
}

#[test]
fn a_cycle_is_refused_by_name() {
    let mut graph = blur_graph();
    graph["1"] = json!({ "class_type": "ImageBlur", "inputs": { "image": ["2", 0], "blur_radius": 1, "sigma": 1.0 } });
    let refusal = planned(&graph).unwrap_err();
    assert_eq!(refusal.error["type"], "dependency_cycle");
    assert_eq!(refusal.error["extra_info"]["nodes"], json!(["1", "2", "3"]));
}

#[test]
fn a_graph_of_too_many_nodes_is_refused() {
    let node = blur_graph()["1"].clone();
    let graph: Map<String, Value> = (0..=NODES_PER_PROMPT_MAX).map(|id| (id.to_string(), node.clone())).collect();
    assert_eq!(planned(&Value::Object(graph)).unwrap_err().error["type"], "invalid_prompt");
}

#[test]
fn a_long_chain_is_ordered_without_recursion() {
    let mut graph = blur_graph();
    for id in 4..900 {
        let before = if id == 4 { "2".to_owned() } else { format!("{}", id - 1) };
        let inputs = json!({ "image": [before, 0], "blur_radius": 1, "sigma": 1.0 });
        graph[id.to_string()] = json!({ "class_type": "ImageBlur", "inputs": inputs });
    }
    graph["3"]["inputs"]["images"] = json!(["899", 0]);
    assert_eq!(planned(&graph).unwrap().steps.len(), 899);
}
