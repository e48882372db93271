use serde_json::{Value, json};

use super::*;

fn entry(number: f64, id: &str) -> Value {
    json!([number, id, {"1": {"class_type": "EmptyImage"}}, {"client_id": "tab", "create_time": 5}, ["1"]])
}

fn queue(running: &[Value], pending: &[Value]) -> Queue {
    read(json!({ "queue_running": running, "queue_pending": pending }).to_string().as_bytes()).unwrap()
}

fn ids(prompts: &[Prompt]) -> Vec<&str> {
    prompts.iter().map(|prompt| prompt.id.as_str()).collect()
}

#[test]
fn what_runs_comes_first_and_what_waits_by_its_turn_not_as_the_heap_lies() {
    let pending = [entry(-3.0, "front"), entry(4.0, "d"), entry(1.5, "c"), entry(7.0, "f"), entry(4.0, "b")];
    let queue = queue(&[entry(9.0, "runs")], &pending);
    assert_eq!(ids(&queue.prompts), ["runs", "front", "c", "b", "d", "f"]);
    assert_eq!(queue.strange, 0);
}

#[test]
fn a_prompt_is_sent_as_it_was_taken() {
    let graph = json!({"1": {"class_type": "X", "inputs": {"seed": 18_446_744_073_709_551_615_u64}}});
    let taken =
        json!([2, "an-id", graph, {"client_id": "tab", "extra_pnginfo": {"workflow": {"id": 1}}}, ["9", "3"], {}]);
    let queue = queue(&[taken], &[]);
    // Through a file and back.
    let kept: Prompt = serde_json::from_str(&serde_json::to_string(&queue.prompts[0]).unwrap()).unwrap();
    let body: Value = serde_json::from_str(&kept.body().unwrap()).unwrap();
    let expected = json!({
        "prompt": graph,
        "prompt_id": "an-id",
        "extra_data": {"client_id": "tab", "extra_pnginfo": {"workflow": {"id": 1}}},
        "client_id": "tab",
        "partial_execution_targets": ["9", "3"],
    });
    assert_eq!(body, expected);
}

#[test]
fn a_key_to_an_account_is_not_kept() {
    let data = json!({"api_key_comfy_org": "secret", "auth_token_comfy_org": "secret", "client_id": "tab"});
    let queue = queue(&[json!([1, "a", {}, data, []])], &[]);
    assert!(!serde_json::to_string(&queue.prompts).unwrap().contains("secret"));
    assert!(queue.prompts[0].body().unwrap().contains("tab"));
}

#[test]
fn an_entry_of_another_shape_is_counted_and_the_others_are_read() {
    let strange =
        [json!({"prompt": []}), json!([1, "short"]), json!([1, 2, {}, {}, []]), json!(["x", "a", {}, {}, []])];
    let queue = queue(&strange, &[entry(1.0, "well")]);
    assert_eq!((ids(&queue.prompts), queue.strange), (vec!["well"], 4));
    for wrong in ["", "[]", r#"{"queue_running": []}"#, r#"{"queue_running": [NaN], "queue_pending": []}"#] {
        assert!(read(wrong.as_bytes()).is_err(), "{wrong}");
    }
}

#[test]
fn the_first_of_many_are_kept_each_once() {
    let many: Vec<Value> = (0..PROMPTS_MAX + 3).map(|number| entry(number as f64, &format!("p{number}"))).collect();
    let (kept, left_out) = within_bounds([queue(&[], &many).prompts, queue(&many[..2], &[]).prompts]);
    assert_eq!((kept.len(), left_out), (PROMPTS_MAX, 3));
    assert_eq!(kept[PROMPTS_MAX - 1].id, format!("p{}", PROMPTS_MAX - 1));
}

#[test]
fn a_prompt_for_which_there_is_no_room_makes_room_for_a_smaller_one() {
    let big = json!([1, "big", {"1": "x".repeat(BYTES_MAX)}, {}, []]);
    let (kept, left_out) = within_bounds([queue(&[big], &[entry(2.0, "small")]).prompts]);
    assert_eq!((ids(&kept), left_out), (vec!["small"], 1));
}
