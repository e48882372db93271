//! What is kept and what is only counted: settings, user files, uploads; and what the page asks for when it boots.

use crate::stage::{Stage, blur_graph};
use serde_json::{Value, json};
use stand_in::Options;

#[tokio::test]
async fn whatever_the_page_asks_for_at_boot_is_there_under_both_paths() {
    let stage = Stage::quick().await;
    let asked = "features users system_stats settings i18n extensions object_info object_info/ImageBlur jobs history \
                 queue prompt embeddings models models/vae experiment/models experiment/models/vae workflow_templates \
                 global_subgraphs node_replacements";
    for path in asked.split_whitespace() {
        let plain = stage.json(&format!("/{path}")).await;
        assert_eq!(stage.json(&format!("/api/{path}")).await, plain, "{path}");
    }
    for path in ["/internal/logs", "/internal/logs/raw", "/internal/folder_paths", "/templates/index.json"] {
        stage.json(path).await;
    }
    assert_eq!(stage.json("/users").await["storage"], "server");
    assert_eq!(stage.get("/api/no/such/route").await.status(), 404);
}

#[tokio::test]
async fn settings_are_kept_one_by_one_and_together() {
    let stage = Stage::quick().await;
    assert_eq!(stage.json("/settings/Comfy.TutorialCompleted").await, json!(true));
    assert_eq!(stage.json("/settings/Comfy.Unknown").await, Value::Null);
    assert_eq!(stage.post("/api/settings/Comfy.ColorPalette", &json!("light")).await.status(), 200);
    assert_eq!(stage.post("/api/settings", &json!({ "a": 1, "b": [2] })).await.status(), 200);
    let settings = stage.json("/settings").await;
    assert_eq!(
        (&settings["Comfy.ColorPalette"], &settings["a"], &settings["b"]),
        (&json!("light"), &json!(1), &json!([2]))
    );
    assert_eq!(stage.post("/settings", &json!("not a dictionary")).await.status(), 400);
    let big = "x".repeat(2 * 1024 * 1024);
    assert_eq!(stage.post("/settings/big", &json!(big)).await.status(), 507);
    assert_eq!(stage.json("/settings").await, settings);
}

#[tokio::test]
async fn a_user_file_is_written_listed_read_moved_and_deleted() {
    let stage = Stage::quick().await;
    assert_eq!(stage.get("/userdata?dir=workflows").await.status(), 404);
    let graph = blur_graph();
    let path = "/api/userdata/workflows%2Fmine.json";
    let told: Value = stage.post(&format!("{path}?full_info=true"), &graph).await.json().await.unwrap();
    assert_eq!(told["path"], "workflows/mine.json");
    assert_eq!(told["size"].as_u64().unwrap(), graph.to_string().len() as u64);
    assert_eq!(stage.post(&format!("{path}?overwrite=false"), &graph).await.status(), 409);
    assert_eq!(stage.get(path).await.headers()["content-type"], "application/json");
    assert_eq!(stage.json(path).await, graph);

    let full = stage.json("/api/userdata?dir=workflows&recurse=true&split=false&full_info=true").await;
    assert_eq!((full[0]["path"].as_str(), full.as_array().unwrap().len()), (Some("mine.json"), 1));
    assert_eq!(stage.json("/userdata?dir=workflows&split=true").await, json!([["mine.json", "mine.json"]]));
    let moved = stage.post(&format!("{path}/move/workflows%2Fyours.json?overwrite=false"), &json!(null)).await;
    assert_eq!(moved.json::<Value>().await.unwrap(), "workflows/yours.json");
    assert_eq!(stage.get(path).await.status(), 404);

    let yours = format!("{}/userdata/workflows%2Fyours.json", stage.url);
    assert_eq!(stage.http.delete(&yours).send().await.unwrap().status(), 204);
    assert_eq!(stage.http.delete(&yours).send().await.unwrap().status(), 404);
}

#[tokio::test]
async fn a_user_file_cannot_leave_its_folder() {
    let stage = Stage::quick().await;
    for path in ["..%2Fsecret", "a%2F..%2F..%2Fsecret", "%2Fetc%2Fpasswd", "..%5Csecret"] {
        assert_eq!(stage.post(&format!("/userdata/{path}"), &json!(1)).await.status(), 403, "{path}");
    }
    assert_eq!(stage.get("/userdata").await.status(), 400);
}

/// A multipart body with one image of `bytes` zeroes.
fn form(name: &str, bytes: usize) -> (String, Vec<u8>) {
    let mut body = format!(
        "--edge\r\nContent-Disposition: form-data; name=\"image\"; filename=\"{name}\"\r\n\
         Content-Type: image/png\r\n\r\n"
    )
    .into_bytes();
    body.resize(body.len() + bytes, 0);
    body.extend_from_slice(b"\r\n--edge\r\nContent-Disposition: form-data; name=\"type\"\r\n\r\ninput\r\n--edge--\r\n");
    ("multipart/form-data; boundary=edge".to_owned(), body)
}

async fn upload(stage: &Stage, path: &str, (kind, body): (String, Vec<u8>)) -> reqwest::Response {
    let asked = stage.http.post(format!("{}{path}", stage.url)).header("content-type", kind).body(body);
    asked.send().await.unwrap()
}

#[tokio::test]
async fn an_upload_is_counted_and_its_name_can_be_loaded_and_seen() {
    let stage = Stage::quick().await;
    let answer = upload(&stage, "/api/upload/image", form("cat.png", 5_000_000)).await;
    assert_eq!(answer.status(), 200);
    let told: Value = answer.json().await.unwrap();
    assert_eq!(told, json!({ "name": "cat.png", "subfolder": "", "type": "input", "bytes": 5_000_000 }));
    assert_eq!(stage.get("/view?filename=cat.png&type=input").await.headers()["content-type"], "image/png");
    assert_eq!(stage.get("/view?filename=dog.png&type=input").await.status(), 404);

    let mut graph = blur_graph();
    graph["1"] = json!({ "class_type": "LoadImage", "inputs": { "image": "cat.png" } });
    stage.submit("me", graph).await;
}

#[tokio::test]
async fn a_raw_upload_is_counted_too() {
    let stage = Stage::quick().await;
    let raw = ("application/octet-stream".to_owned(), vec![7; 123_456]);
    let told: Value = upload(&stage, "/upload/image?filename=raw.bin", raw).await.json().await.unwrap();
    assert_eq!((&told["name"], &told["bytes"]), (&json!("raw.bin"), &json!(123_456)));
}

#[tokio::test]
async fn an_upload_that_is_too_large_or_makes_no_sense_is_refused() {
    let stage = Stage::open(Options { max_upload_bytes: 1_000, ..Options::default() }).await;
    assert_eq!(upload(&stage, "/upload/image", form("fits.png", 1_000)).await.status(), 200);
    assert_eq!(upload(&stage, "/upload/image", form("big.png", 1_001)).await.status(), 413);
    assert_eq!(upload(&stage, "/upload/image", form("../up.png", 10)).await.status(), 400);
    let empty = ("multipart/form-data; boundary=edge".to_owned(), b"--edge--\r\n".to_vec());
    assert_eq!(upload(&stage, "/upload/image", empty).await.status(), 400);
    let nameless = ("image/png".to_owned(), vec![0; 10]);
    assert_eq!(upload(&stage, "/upload/image", nameless).await.status(), 400);
    assert_eq!(stage.json("/features").await["max_upload_size"], 1_000);
}
