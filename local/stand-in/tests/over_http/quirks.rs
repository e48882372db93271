//! What a proxy in front of ComfyUI has to live with, how the stand-in marks itself, and how it starts and stops.

use std::time::Duration;

use crate::stage::{PATIENCE, Stage, blur_graph, long_graph};
use serde_json::json;
use stand_in::Options;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_tungstenite::{connect_async, tungstenite};

#[tokio::test]
async fn every_answer_says_that_this_is_a_stand_in() {
    let stage = Stage::quick().await;
    for path in ["/", "/page.js", "/prompt", "/api/prompt", "/no/such/path", "/view"] {
        let answer = stage.get(path).await;
        assert_eq!(answer.headers()["x-pilotlight-stand-in"], "1", "{path}");
        assert!(!answer.headers().contains_key("x-frame-options"), "{path}");
        assert!(!answer.headers().contains_key("content-security-policy"), "{path}");
    }
    assert_eq!(stage.json("/system_stats").await["system"]["comfyui_version"], "stand-in");
    let page = stage.get("/").await;
    assert_eq!(page.headers()["cache-control"], "no-cache");
    assert!(page.text().await.unwrap().contains("Stand-in for ComfyUI: not the real thing"));
}

#[tokio::test]
async fn a_cross_site_request_is_forbidden_and_a_same_origin_one_is_not() {
    let stage = Stage::quick().await;
    for (site, status) in [("cross-site", 403), ("same-site", 200), ("same-origin", 200), ("none", 200)] {
        let asked = stage.http.get(format!("{}/api/prompt", stage.url)).header("sec-fetch-site", site);
        assert_eq!(asked.send().await.unwrap().status(), status, "{site}");
    }
}

#[tokio::test]
async fn a_foreign_origin_is_forbidden_on_http_and_on_the_web_socket() {
    let stage = Stage::quick().await;
    let own = stage.url.as_str();
    for (origin, status) in [(own, 200), ("https://evil.example", 403), ("http://127.0.0.1:1", 403)] {
        let asked = stage.http.post(format!("{own}/interrupt")).header("origin", origin);
        assert_eq!(asked.send().await.unwrap().status(), status, "{origin}");
    }
    let url = format!("{}/ws", own.replace("http", "ws"));
    let mut request = tungstenite::client::IntoClientRequest::into_client_request(url).unwrap();
    request.headers_mut().insert("origin", "https://evil.example".parse().unwrap());
    let refused = connect_async(request).await.unwrap_err();
    assert!(matches!(refused, tungstenite::Error::Http(answer) if answer.status() == 403));
}

#[tokio::test]
async fn scripts_and_styles_are_marked_no_store() {
    let stage = Stage::quick().await;
    for path in ["/page.js", "/page.css", "/extensions/stand-in/stand-in.js"] {
        let answer = stage.get(path).await;
        assert_eq!((answer.status().as_u16(), &answer.headers()["cache-control"]), (200, &"no-store".parse().unwrap()));
    }
    assert!(!stage.get("/prompt").await.headers().contains_key("cache-control"));
}

#[tokio::test]
async fn the_real_page_is_served_from_its_folder_and_nothing_outside_it() {
    let folder = tempfile::tempdir().unwrap();
    let site = folder.path().join("static");
    std::fs::create_dir_all(site.join("assets")).unwrap();
    std::fs::write(site.join("index.html"), "<title>ComfyUI</title>").unwrap();
    std::fs::write(site.join("assets/app.js"), "export {}").unwrap();
    std::fs::write(folder.path().join("secret.txt"), "not for the browser").unwrap();
    let stage = Stage::open(Options { frontend: Some(site), ..Options::default() }).await;

    let page = stage.get("/").await;
    assert_eq!(page.headers()["cache-control"], "no-cache");
    assert_eq!(page.text().await.unwrap(), "<title>ComfyUI</title>");
    let script = stage.get("/assets/app.js").await;
    assert_eq!(script.headers()["cache-control"], "no-store");
    assert!(script.headers()["content-type"].to_str().unwrap().contains("javascript"));
    for outside in ["/%2e%2e/secret.txt", "/assets/..%2f..%2fsecret.txt"] {
        assert_eq!(stage.get(outside).await.status(), 404, "{outside}");
    }
    assert_eq!(stage.json("/api/extensions").await, json!(["/extensions/stand-in/stand-in.js"]));
    assert!(stage.get("/extensions/stand-in/stand-in.js").await.text().await.unwrap().contains("loadGraphData"));
}

#[tokio::test]
async fn until_it_has_started_everything_is_unavailable() {
    let options = Options { startup_delay: Duration::from_secs(3_600), ..Options::default() };
    let stage = Stage::open(options).await;
    for path in ["/", "/prompt", "/ws"] {
        let answer = stage.get(path).await;
        assert_eq!(answer.status(), 503, "{path}");
        let wait: u64 = answer.headers()["retry-after"].to_str().unwrap().parse().unwrap();
        assert!((1..=3_600).contains(&wait));
    }
}

#[tokio::test]
async fn options_that_make_no_sense_stop_the_start_by_name() {
    let cases = [
        ("speed", Options { speed: 0.0, ..Options::default() }),
        ("speed", Options { speed: f64::NAN, ..Options::default() }),
        ("seconds_per_node", Options { seconds_per_node: -1.0, ..Options::default() }),
        ("startup_delay", Options { startup_delay: Duration::MAX, ..Options::default() }),
        ("frontend", Options { frontend: Some("/no/such/folder".into()), ..Options::default() }),
    ];
    for (name, options) in cases {
        let error = Stage::open(options).await.close().await.unwrap_err().to_string();
        assert!(error.starts_with(name), "{error}");
    }
}

#[tokio::test]
async fn a_shutdown_interrupts_the_job_and_closes_web_sockets() {
    let mut stage = Stage::quick().await;
    let mut ear = stage.connect("me").await;
    stage.submit("me", long_graph()).await;
    ear.until(|message| message["data"]["node"] == "2").await;
    stage.close().await.unwrap();
    let mut last = ear.next().await;
    while last.is_some() {
        last = ear.next().await;
    }
    assert!(stage.http.get(format!("{}/prompt", stage.url)).send().await.is_err());
}

#[tokio::test]
async fn an_upload_that_never_ends_does_not_hold_up_a_shutdown() {
    let mut stage = Stage::quick().await;
    let address = stage.url.strip_prefix("http://").unwrap();
    let mut upload = TcpStream::connect(address).await.unwrap();
    let head = format!(
        "POST /upload/image?filename=a HTTP/1.1\r\nhost: {address}\r\ncontent-length: 9000\r\n\
         expect: 100-continue\r\n\r\n"
    );
    upload.write_all(head.as_bytes()).await.unwrap();
    // Asked to continue: the body is being waited for.
    let mut asked = [0; 12];
    upload.read_exact(&mut asked).await.unwrap();
    assert_eq!(&asked, b"HTTP/1.1 100");
    stage.close().await.unwrap();
    let mut rest = Vec::new();
    timeout(PATIENCE, upload.read_to_end(&mut rest)).await.unwrap().unwrap();
    assert!(String::from_utf8(rest).unwrap().contains("HTTP/1.1 503"));
}

#[tokio::test]
async fn feature_flags_are_answered_and_other_words_ignored() {
    let stage = Stage::quick().await;
    let mut ear = stage.connect("me").await;
    ear.say(&json!({ "type": "gossip" })).await;
    ear.say(&json!({ "type": "feature_flags", "data": { "supports_preview_metadata": true } })).await;
    let heard = ear.until_type("feature_flags").await;
    assert_eq!(heard.len(), 2);
    assert_eq!(heard[1]["data"]["supports_preview_metadata"], false);
}

#[tokio::test]
async fn a_plain_request_for_the_web_socket_is_refused() {
    let stage = Stage::quick().await;
    assert_eq!(stage.get("/ws?clientId=me").await.status(), 400);
}

#[tokio::test]
async fn a_second_socket_with_the_same_id_takes_the_messages() {
    let stage = Stage::quick().await;
    let mut first = stage.connect("twin").await;
    first.next().await.unwrap();
    let mut second = stage.connect("twin").await;
    second.next().await.unwrap();
    stage.submit("twin", blur_graph()).await;
    second.until_type("execution_success").await;
    assert_eq!(first.next().await, None);
}
