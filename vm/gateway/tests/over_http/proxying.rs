//! What ComfyUI gets to see of a request, and browsers of its answer.

use std::time::Duration;

use futures_util::stream;
use reqwest::{Body, Method};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::comfyui::PAGE;
use crate::world::{NOW, PAGE_ORIGIN, SOON, Setup, World, code_of, ready, ready_with, while_time_passes};
use platform::clock::ManualClock;

/// Names of the headers that reached ComfyUI, and the value of one.
fn reached(echo: &serde_json::Value, name: &str) -> Option<String> {
    let headers = echo["headers"].as_array().unwrap();
    headers.iter().find(|pair| pair[0] == name).map(|pair| pair[1].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn comfyui_does_not_learn_who_asks_or_from_where() {
    let world = ready().await;
    let cookie = world.enter().await;
    let request = world
        .ask(Method::POST, "/prompt?client=1&x=%2F%20", &format!("a=b; {cookie}"))
        .header("origin", &world.origin)
        .header("sec-fetch-site", "same-origin")
        .header("sec-fetch-mode", "cors")
        .header("authorization", "Bearer x")
        .header("x-auth-token", "x")
        .header("x-custom", "kept")
        .body("{\"prompt\":1}");
    let echo: serde_json::Value = request.send().await.unwrap().json().await.unwrap();
    for name in ["origin", "sec-fetch-site", "sec-fetch-mode", "cookie", "authorization", "x-auth-token", "connection"]
    {
        assert_eq!(reached(&echo, name), None, "{name}");
    }
    assert_eq!(reached(&echo, "host").unwrap(), world.comfyui.address.to_string());
    assert_eq!(reached(&echo, "x-custom").unwrap(), "kept");
    assert_eq!(reached(&echo, "content-length").unwrap(), "12");
    assert_eq!(echo["method"], "POST");
    assert_eq!(echo["uri"], "/prompt?client=1&x=%2F%20");
    assert_eq!(echo["body"], "{\"prompt\":1}");
}

#[tokio::test]
async fn a_request_from_another_origin_does_not_reach_comfyui() {
    let world = ready().await;
    let cookie = world.enter().await;
    for origin in ["https://evil.example", "null", PAGE_ORIGIN, "http://127.0.0.1:1"] {
        let request = world.ask(Method::POST, "/api/interrupt", &cookie).header("origin", origin);
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 403, "{origin}");
        assert_eq!(code_of(response).await, "foreign_origin");
    }
    let image = world.ask(Method::GET, "/view", &cookie).header("sec-fetch-site", "same-site");
    assert_eq!(image.header("sec-fetch-mode", "no-cors").send().await.unwrap().status(), 403);
}

#[tokio::test]
async fn only_the_page_may_frame_comfyui_and_no_referrer_leaves_it() {
    let world = ready().await;
    let cookie = world.enter().await;
    let response = world.get("/framed", &cookie).await;
    let headers = response.headers();
    assert!(headers.get("x-frame-options").is_none() && headers.get("set-cookie").is_none());
    let policies: Vec<_> = headers.get_all("content-security-policy").iter().collect();
    assert_eq!(policies, [&format!("frame-ancestors {PAGE_ORIGIN}")]);
    assert_eq!(headers["referrer-policy"], "no-referrer");
    assert_eq!(headers["x-own"], "kept");
    assert!(headers.get("x-content-type-options").is_none(), "nosniff breaks ComfyUI's user.css");
}

#[tokio::test]
async fn assets_named_for_their_content_may_be_kept_and_others_not() {
    let world = ready().await;
    let cookie = world.enter().await;
    let kept = world.get("/assets/index-BX3hk2Pq.js", &cookie).await;
    assert_eq!(kept.headers()["cache-control"], "private, max-age=31536000, immutable");
    let other = world.get("/assets/user.css", &cookie).await;
    assert_eq!(other.headers()["cache-control"], "no-store");
}

#[tokio::test]
async fn comfyui_s_page_gets_the_script_and_nothing_else_does() {
    let world = ready().await;
    let cookie = world.enter().await;
    let request = world.ask(Method::GET, "/", &cookie).header("if-none-match", "\"1\"");
    let page = request.header("accept-encoding", "gzip, br").send().await.unwrap();
    assert_eq!(page.status(), 200);
    assert_eq!(page.headers()["cache-control"], "no-cache");
    assert!(page.headers().get("etag").is_none() && page.headers().get("content-length").is_none());
    let tag = r#"<script src="/_pilotlight/activity.js" defer></script></head>"#;
    assert_eq!(page.text().await.unwrap(), PAGE.replace("</head>", tag));
    assert!(!world.get("/framed", &cookie).await.text().await.unwrap().contains("script"));
}

#[tokio::test]
async fn an_endless_answer_arrives_piece_by_piece() {
    let world = ready().await;
    let cookie = world.enter().await;
    world.comfyui.endless.send("first").unwrap();
    let mut response = world.get("/endless", &cookie).await;
    assert_eq!(response.chunk().await.unwrap().unwrap(), "first");
    world.comfyui.endless.send("second").unwrap();
    assert_eq!(response.chunk().await.unwrap().unwrap(), "second");
}

#[tokio::test]
async fn an_upload_reaches_comfyui_while_it_is_still_being_sent() {
    const PIECES: usize = 512;
    let world = ready().await;
    let cookie = world.enter().await;
    let (send, receive) = tokio::sync::mpsc::channel::<Vec<u8>>(1);
    let body = stream::unfold(receive, |mut receive| async {
        Some((Ok::<_, std::io::Error>(receive.recv().await?), receive))
    });
    let sending = tokio::spawn(world.ask(Method::POST, "/upload/image", &cookie).body(Body::wrap_stream(body)).send());
    send.send(vec![1; 64 * 1024]).await.unwrap();
    let mut uploads = world.comfyui.uploads.lock().await;
    let mut arrived = tokio::time::timeout(SOON, uploads.recv()).await.unwrap().unwrap();
    assert!(arrived > 0, "the first piece is there although the upload goes on");
    let rest = tokio::spawn(async move {
        for _ in 1..PIECES {
            send.send(vec![1; 64 * 1024]).await.unwrap();
        }
    });
    loop {
        match tokio::time::timeout(SOON, uploads.recv()).await.unwrap().unwrap() {
            0 => break,
            piece => arrived += piece,
        }
    }
    rest.await.unwrap();
    assert_eq!(arrived, PIECES * 64 * 1024);
    let answer: serde_json::Value = sending.await.unwrap().unwrap().json().await.unwrap();
    assert_eq!(answer["bytes"], PIECES * 64 * 1024);
}

#[tokio::test]
async fn an_answer_under_way_is_cut_when_the_session_ends() {
    let clock = ManualClock::at(NOW);
    let world = ready_with(World::manual_clock(&clock)).await;
    let cookie = world.enter_until(NOW + domain::Seconds(60)).await;
    world.comfyui.endless.send("first").unwrap();
    let mut response = world.get("/endless", &cookie).await;
    assert_eq!(response.chunk().await.unwrap().unwrap(), "first");
    let cut = while_time_passes(&clock, Duration::from_secs(5), response.chunk()).await;
    assert!(cut.is_err(), "{cut:?}");
    assert_eq!(world.get("/view", &cookie).await.status(), 401);
}

#[tokio::test]
async fn a_reader_who_does_not_read_is_cut_with_the_session_too() {
    let clock = ManualClock::at(NOW);
    let world = ready_with(World::manual_clock(&clock)).await;
    let cookie = world.enter_until(NOW + domain::Seconds(60)).await;
    let mut socket = TcpStream::connect(world.origin.strip_prefix("http://").unwrap()).await.unwrap();
    let request = format!("GET /flood HTTP/1.1\r\nhost: a\r\ncookie: {cookie}\r\n\r\n");
    socket.write_all(request.as_bytes()).await.unwrap();
    assert_eq!(socket.read_u8().await.unwrap(), b'H', "the answer has begun");
    let mut floods_over = world.comfyui.floods_over.clone();
    while_time_passes(&clock, Duration::from_secs(5), floods_over.wait_for(|over| *over == 1)).await.unwrap();
}

#[tokio::test]
async fn when_comfyui_falls_a_person_sees_the_boot_page_and_a_program_a_problem() {
    let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let setup = Setup { upstream: Some(format!("http://{gone}")), ..Setup::default() };
    let world = crate::world::begin(setup).await;
    world.control.beat_where(0, |beat| beat.body.run == Some(3)).await;
    let cookie = world.enter().await;
    let page = world.ask(Method::GET, "/", &cookie).header("accept", "text/html").send().await.unwrap();
    assert_eq!(page.status(), 503);
    assert!(page.headers().contains_key("retry-after"));
    assert!(page.text().await.unwrap().contains("/_pilotlight/boot.js"));
    let problem = world.get("/queue", &cookie).await;
    assert_eq!(problem.status(), 503);
    assert!(problem.headers().contains_key("retry-after"));
    assert_eq!(code_of(problem).await, "comfyui_starting");
    let boot: serde_json::Value = world.get("/_pilotlight/boot.json", &cookie).await.json().await.unwrap();
    assert_eq!(boot["up"], false);
}

/// Sends bytes as they are; what comes back until the gateway closes, or says nothing more.
async fn raw(world: &World, bytes: &str) -> String {
    let mut socket = TcpStream::connect(world.origin.strip_prefix("http://").unwrap()).await.unwrap();
    // The gateway may close before all of it is sent.
    let _ = socket.write_all(bytes.as_bytes()).await;
    let mut answer = vec![0; 16 * 1024];
    let read = tokio::time::timeout(SOON, socket.read(&mut answer)).await.unwrap().unwrap_or(0);
    String::from_utf8_lossy(&answer[..read]).into_owned()
}

#[tokio::test]
async fn wrong_requests_are_refused_and_the_next_one_is_served() {
    let world = ready().await;
    let cookie = world.enter().await;
    let fields = "x: y\r\n".repeat(200);
    let cases = [
        (format!("GET / HTTP/1.1\r\ncookie: {cookie}\r\nx: {}\r\n\r\n", "y".repeat(100_000)), "HTTP/1.1 431"),
        (format!("GET / HTTP/1.1\r\ncookie: {cookie}\r\n{fields}\r\n"), "HTTP/1.1 431"),
        ("nonsense\r\n\r\n".to_owned(), "HTTP/1.1 400"),
        (format!("OPTIONS * HTTP/1.1\r\nhost: a\r\ncookie: {cookie}\r\n\r\n"), "HTTP/1.1 400"),
        (format!("CONNECT a:1 HTTP/1.1\r\nhost: a\r\ncookie: {cookie}\r\n\r\n"), "HTTP/1.1 400"),
    ];
    for (request, wanted) in cases {
        let answer = raw(&world, &request).await;
        assert!(answer.starts_with(wanted), "{wanted}: {answer}");
    }
    assert_eq!(world.get("/view", &cookie).await.status(), 200);
}

#[tokio::test]
async fn a_whole_address_in_the_request_line_still_goes_to_comfyui() {
    let world = ready().await;
    let cookie = world.enter().await;
    let request = format!(
        "GET http://evil.example/object_info HTTP/1.1\r\nhost: evil.example\r\nconnection: close\r\ncookie: {cookie}\r\n\r\n"
    );
    let answer = raw(&world, &request).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("/object_info"), "{answer}");
    assert!(answer.contains(&world.comfyui.address.to_string()), "{answer}");
}
