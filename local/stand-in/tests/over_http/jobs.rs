//! Jobs over HTTP and the WebSocket: submitted, told of, interrupted, remembered.

use crate::stage::{Stage, blur_graph, long_graph, types};
use serde_json::{Value, json};
use stand_in::Options;
use uuid::Uuid;

#[tokio::test]
async fn a_job_is_told_to_its_submitter_from_start_to_end() {
    let stage = Stage::quick().await;
    let mut ear = stage.connect("me").await;
    let hello = ear.next().await.unwrap();
    assert_eq!(hello, json!({ "type": "status", "data": { "sid": "me", "status": idle() } }));

    let id = stage.submit("me", blur_graph()).await;
    let heard = ear.until(|message| message["type"] == "executing" && message["data"]["node"].is_null()).await;
    let told: Vec<_> = types(&heard).into_iter().filter(|kind| *kind != "progress_state").collect();
    let expected = "status execution_start execution_cached executing progress executing progress executing progress \
                    executed execution_success status executing";
    assert_eq!(told, expected.split_whitespace().collect::<Vec<_>>());
    let about_the_job = heard.iter().filter(|message| message["type"] != "status");
    for message in about_the_job {
        assert_eq!(message["data"]["prompt_id"], id.as_str());
    }
    let nodes: Vec<_> = heard.iter().filter(|message| message["type"] == "executing").collect();
    let nodes: Value = nodes.iter().map(|message| message["data"]["node"].clone()).collect();
    assert_eq!(nodes, json!(["1", "2", "3", null]));
}

fn idle() -> Value {
    json!({ "exec_info": { "queue_remaining": 0 } })
}

#[tokio::test]
async fn the_result_is_a_png_of_the_size_the_graph_asked_for() {
    let stage = Stage::quick().await;
    let mut ear = stage.connect("me").await;
    stage.submit("me", blur_graph()).await;
    let heard = ear.until_type("executed").await;
    let image = &heard.last().unwrap()["data"]["output"]["images"][0];
    let query = format!("filename={}&type={}", image["filename"].as_str().unwrap(), image["type"].as_str().unwrap());
    let answer = stage.get(&format!("/api/view?{query}")).await;
    assert_eq!(answer.headers()["content-type"], "image/png");
    let bytes = answer.bytes().await.unwrap();
    assert_eq!(bytes[..8], *b"\x89PNG\r\n\x1a\n");
    assert_eq!(bytes[16..24], [0, 0, 0, 64, 0, 0, 0, 48]);
}

#[tokio::test]
async fn another_client_hears_of_the_queue_and_of_nothing_else() {
    let stage = Stage::quick().await;
    let mut other = stage.connect("other").await;
    let mut mine = stage.connect("me").await;
    stage.submit("me", blur_graph()).await;
    mine.until_type("execution_success").await;
    let heard = other.until(|message| message["data"]["sid"].is_null() && message["data"]["status"] == idle()).await;
    assert_eq!(types(&heard), ["status", "status", "status"]);
}

#[tokio::test]
async fn the_queue_is_counted_and_listed_while_a_job_runs() {
    let stage = Stage::quick().await;
    let mut ear = stage.connect("me").await;
    let first = stage.submit("me", long_graph()).await;
    ear.until(|message| message["data"]["node"] == "2").await;
    let second = stage.submit("me", blur_graph()).await;

    assert_eq!(stage.json("/prompt").await, json!({ "exec_info": { "queue_remaining": 2 } }));
    let queue = stage.json("/api/queue").await;
    assert_eq!((&queue["queue_running"][0][1], &queue["queue_running"][0][0]), (&json!(first), &json!(0)));
    assert_eq!(queue["queue_running"][0][2], long_graph());
    assert_eq!(queue["queue_pending"][0][1], second.as_str());
    let jobs = stage.json("/api/jobs?limit=1").await;
    assert_eq!((&jobs["jobs"][0]["id"], &jobs["jobs"][0]["status"]), (&json!(first), &json!("in_progress")));
    assert!(jobs["jobs"][0]["execution_start_time"].as_u64().unwrap() > 1_600_000_000_000);
    assert_eq!(jobs["pagination"], json!({ "offset": 0, "limit": 1, "total": 2, "has_more": true }));
    let pending = stage.json("/jobs?status=pending,failed").await;
    assert_eq!((pending["jobs"].as_array().unwrap().len(), &pending["jobs"][0]["id"]), (1, &json!(second)));
}

#[tokio::test]
async fn waiting_jobs_can_be_deleted_and_cleared_but_the_running_one_stays() {
    let stage = Stage::quick().await;
    let mut ear = stage.connect("me").await;
    stage.submit("me", long_graph()).await;
    ear.until(|message| message["data"]["node"] == "2").await;
    let gone = stage.submit("me", blur_graph()).await;
    let kept = stage.submit("me", blur_graph()).await;

    assert_eq!(stage.post("/queue", &json!({ "delete": [gone] })).await.status(), 200);
    let queue = stage.json("/queue").await;
    assert_eq!(queue["queue_pending"].as_array().unwrap().len(), 1);
    assert_eq!(queue["queue_pending"][0][1], kept.as_str());
    stage.post("/api/queue", &json!({ "clear": true })).await;
    assert_eq!(stage.json("/prompt").await["exec_info"]["queue_remaining"], 1);
}

#[tokio::test]
async fn an_interrupted_job_says_so_and_the_next_one_runs() {
    let stage = Stage::quick().await;
    let mut ear = stage.connect("me").await;
    let long = stage.submit("me", long_graph()).await;
    ear.until(|message| message["data"]["node"] == "2").await;
    let next = stage.submit("me", blur_graph()).await;

    stage.post("/interrupt", &json!({ "prompt_id": "another" })).await;
    stage.post("/api/interrupt", &json!({ "prompt_id": long })).await;
    let heard = ear.until_type("execution_interrupted").await;
    let told = &heard.last().unwrap()["data"];
    assert_eq!((&told["prompt_id"], &told["node_id"]), (&json!(long), &json!("2")));
    assert_eq!(told["executed"], json!(["1"]));
    let heard = ear.until_type("execution_success").await;
    assert_eq!(heard.last().unwrap()["data"]["prompt_id"], next.as_str());
    assert_eq!(stage.json(&format!("/api/jobs/{long}")).await["status"], "cancelled");
}

#[tokio::test]
async fn a_job_is_cancelled_by_its_id_running_or_waiting() {
    let stage = Stage::quick().await;
    let mut ear = stage.connect("me").await;
    let running = stage.submit("me", long_graph()).await;
    let waiting = stage.submit("me", blur_graph()).await;
    ear.until(|message| message["data"]["node"] == "2").await;
    stage.post(&format!("/api/jobs/{waiting}/cancel"), &json!({})).await;
    assert_eq!(stage.json("/prompt").await["exec_info"]["queue_remaining"], 1);
    stage.post("/api/jobs/cancel", &json!({ "job_ids": [running] })).await;
    ear.until_type("execution_interrupted").await;
    assert_eq!(stage.get(&format!("/jobs/{waiting}")).await.status(), 404);
}

#[tokio::test]
async fn history_tells_what_a_job_came_to() {
    let stage = Stage::quick().await;
    let mut ear = stage.connect("me").await;
    let id = stage.submit("me", blur_graph()).await;
    let heard = ear.until(|message| message["type"] == "executing" && message["data"]["node"].is_null()).await;
    let executed = heard.iter().find(|message| message["type"] == "executed").unwrap();

    let past = &stage.json(&format!("/history/{id}")).await[&id];
    assert_eq!(past["outputs"]["3"], executed["data"]["output"]);
    assert_eq!((&past["status"]["status_str"], &past["status"]["completed"]), (&json!("success"), &json!(true)));
    assert_eq!(past["prompt"][1], id.as_str());
    let job = stage.json(&format!("/api/jobs/{id}")).await;
    assert_eq!((&job["status"], &job["outputs_count"]), (&json!("completed"), &json!(1)));
    assert_eq!(job["preview_output"]["nodeId"], "3");
    assert_eq!(job["workflow"]["prompt"], blur_graph());

    let newest = stage.submit("me", blur_graph()).await;
    ear.until(|message| message["type"] == "executing" && message["data"]["node"].is_null()).await;
    let history = stage.json("/history?max_items=1").await;
    assert_eq!(history.as_object().unwrap().keys().collect::<Vec<_>>(), [&newest]);
    stage.post("/history", &json!({ "delete": [newest] })).await;
    assert_eq!(stage.json("/history").await.as_object().unwrap().keys().collect::<Vec<_>>(), [&id]);
    stage.post("/history", &json!({ "clear": true })).await;
    assert_eq!(stage.json("/history").await, json!({}));
}

#[tokio::test]
async fn a_job_asked_to_fail_ends_in_an_execution_error() {
    let stage = Stage::quick().await;
    let mut ear = stage.connect("me").await;
    let mut graph = blur_graph();
    graph["2"]["inputs"]["stand_in_fails"] = json!(true);
    let id = stage.submit("me", graph).await;
    let heard = ear.until(|message| message["type"] == "executing" && message["data"]["node"].is_null()).await;
    let error = heard.iter().find(|message| message["type"] == "execution_error").unwrap();
    assert_eq!((&error["data"]["node_id"], &error["data"]["node_type"]), (&json!("2"), &json!("ImageBlur")));
    let job = stage.json(&format!("/api/jobs/{id}")).await;
    assert_eq!(job["status"], "failed");
    assert_eq!(job["execution_error"]["exception_type"], "StandInFailure");
}

#[tokio::test]
async fn a_wrong_prompt_is_refused_in_comfyuis_shape() {
    let stage = Stage::quick().await;
    let refused = [
        (json!({}), "no_prompt"),
        (json!({ "prompt": "text" }), "no_prompt"),
        (json!({ "prompt": {} }), "prompt_no_outputs"),
        (json!({ "prompt": { "1": {} } }), "missing_node_type"),
        (json!({ "prompt": { "1": { "class_type": "PreviewImage" } } }), "prompt_outputs_failed_validation"),
        (json!({ "prompt": blur_graph(), "prompt_id": 7 }), "invalid_prompt_id"),
        (json!({ "prompt": blur_graph(), "prompt_id": "6F9619FF-8B86-D011-B42D-00CF4FC964FF" }), "invalid_prompt_id"),
        (json!({ "prompt": blur_graph(), "partial_execution_targets": "3" }), "invalid_prompt"),
    ];
    for (body, kind) in refused {
        let answer = stage.post("/api/prompt", &body).await;
        assert_eq!(answer.status(), 400, "{body}");
        let told: Value = answer.json().await.unwrap();
        assert_eq!(told["error"]["type"], kind, "{body}");
        assert!(told["node_errors"].is_object());
    }
    let broken = stage.http.post(format!("{}/prompt", stage.url)).body("{").send().await.unwrap();
    assert_eq!(broken.status(), 400);
    assert_eq!(broken.json::<Value>().await.unwrap()["error"]["type"], "invalid_json");
    assert_eq!(stage.json("/prompt").await["exec_info"]["queue_remaining"], 0);
}

#[tokio::test]
async fn speed_divides_the_time_of_a_job() {
    let stage = Stage::open(Options { seconds_per_node: 3_600.0, speed: 36_000.0, ..Options::default() }).await;
    let mut ear = stage.connect("me").await;
    let id = stage.submit("me", blur_graph()).await;
    ear.until(|message| message["type"] == "executing" && message["data"]["node"].is_null()).await;
    let job = stage.json(&format!("/jobs/{id}")).await;
    let took = job["execution_end_time"].as_u64().unwrap() - job["execution_start_time"].as_u64().unwrap();
    assert!((95..15_000).contains(&took), "{took} ms");
}

#[tokio::test]
async fn a_prompt_at_the_front_goes_before_those_that_wait() {
    let stage = Stage::quick().await;
    let mut ear = stage.connect("me").await;
    stage.submit("me", long_graph()).await;
    ear.until(|message| message["data"]["node"] == "2").await;
    stage.submit("me", blur_graph()).await;
    let told = stage.post("/prompt", &json!({ "prompt": blur_graph(), "front": true })).await;
    let front: Value = told.json().await.unwrap();
    assert_eq!(front["number"], -2);
    assert_eq!(stage.json("/queue").await["queue_pending"][0][1], front["prompt_id"]);
}

#[tokio::test]
async fn what_waits_is_shown_as_a_heap_with_the_id_and_the_data_that_were_given() {
    let stage = Stage::quick().await;
    let mut ear = stage.connect("me").await;
    stage.submit("me", long_graph()).await;
    ear.until(|message| message["data"]["node"] == "2").await;
    for _ in 0..3 {
        let id = Uuid::new_v4().to_string();
        let data = json!({ "client_id": "me", "extra_pnginfo": { "workflow": {} }, "api_key_comfy_org": "secret" });
        let asked = json!({ "prompt": blur_graph(), "prompt_id": id, "extra_data": data });
        let told: Value = stage.post("/prompt", &asked).await.json().await.unwrap();
        assert_eq!(told["prompt_id"], id.as_str());
    }
    let queue = stage.json("/queue").await;
    let numbers: Vec<_> = queue["queue_pending"].as_array().unwrap().iter().map(|entry| entry[0].clone()).collect();
    assert_eq!(numbers, [1, 3, 2]);
    let entry = queue["queue_pending"][1].as_array().unwrap();
    assert_eq!((entry.len(), &entry[4]), (5, &json!(["3"])));
    let data = entry[3].as_object().unwrap();
    assert_eq!(data.keys().collect::<Vec<_>>(), ["client_id", "create_time", "extra_pnginfo"]);
}
