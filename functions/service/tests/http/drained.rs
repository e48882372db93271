//! Who sends more than is read still gets the answer, and not a broken connection.

use axum::Router;
use axum::body::Bytes;
use axum::http::StatusCode;
use axum::routing::post;
use service::{ApiError, Limits, protect, serve};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::answer::WITHIN;

/// More than a connection holds between two who do not read.
const BODY_BYTES: usize = 1024 * 1024;

async fn takes_little(_: Bytes) {}

async fn refuses() -> ApiError {
    ApiError::new(StatusCode::FORBIDDEN, "not_for_you", "This is not for you")
}

/// Sends everything first, and only then looks for an answer: what is answered, from its first line on.
async fn answer_to_all_of_it(path: &str) -> String {
    let routes = Router::new().route("/little", post(takes_little)).route("/refuses", post(refuses));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = tokio::spawn(serve(listener, protect(routes, Limits::default()), std::future::pending()));
    let mut socket = TcpStream::connect(address).await.unwrap();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: {BODY_BYTES}\r\n\r\n"
    );
    let mut answer = Vec::new();
    let talk = async {
        socket.write_all(head.as_bytes()).await.expect("the head is taken");
        for piece in vec![b'x'; BODY_BYTES].chunks(16 * 1024) {
            socket.write_all(piece).await.expect("every piece is taken");
            // Lets whoever answers early do so.
            tokio::task::yield_now().await;
        }
        socket.read_to_end(&mut answer).await.expect("the answer comes, and then the end");
    };
    timeout(WITHIN, talk).await.unwrap();
    serving.abort();
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn a_body_that_is_too_large_is_told_so() {
    let answer = answer_to_all_of_it("/little").await;
    assert!(answer.starts_with("HTTP/1.1 413 ") && answer.contains("body_too_large"), "{answer}");
}

#[tokio::test]
async fn a_body_that_nobody_wants_is_answered_all_the_same() {
    for (path, status, code) in [("/refuses", 403, "not_for_you"), ("/nowhere", 404, "no_such_route")] {
        let answer = answer_to_all_of_it(path).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")) && answer.contains(code), "{answer}");
    }
}
