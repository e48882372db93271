//! JSON bodies and what is wrong with them.

use axum::Router;
use axum::http::Request;
use axum::routing::post;
use serde::Deserialize;
use service::{Body, Limits, protect};

use crate::answer::{Answer, ask};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    pizzas: u8,
}

async fn send(kind: Option<&str>, body: impl Into<axum::body::Body>) -> Answer {
    let handler = |Body(order): Body<Order>| async move { order.pizzas.to_string() };
    let router = protect(Router::new().route("/", post(handler)), Limits { body_bytes: 100, ..Limits::default() });
    let request = Request::post("/");
    let request = match kind {
        Some(kind) => request.header("content-type", kind),
        None => request,
    };
    ask(&router, request.body(body.into()).unwrap()).await
}

#[tokio::test]
async fn a_good_body_is_taken_however_its_kind_is_written() {
    for kind in ["application/json", "application/json; charset=utf-8", "Application/JSON"] {
        assert_eq!(send(Some(kind), " {\"pizzas\": 3}\n").await.text(), "3", "{kind}");
    }
}

#[tokio::test]
async fn each_way_to_be_wrong_has_its_code() {
    let wrongs = [
        ("{\"pizzas\": 3, \"olives\": 1}", 400, "invalid_body", "olives"),
        ("{\"pizzas\": \"three\"}", 400, "invalid_body", "invalid type"),
        ("{\"pizzas\": 300}", 400, "invalid_body", "300"),
        ("{\"pizzas\": -1}", 400, "invalid_body", "-1"),
        ("{\"pizzas\": 1, \"pizzas\": 2}", 400, "invalid_body", "duplicate"),
        ("{}", 400, "invalid_body", "missing field `pizzas`"),
        ("[3]", 400, "invalid_body", "expected an object"),
        ("3", 400, "invalid_body", "invalid type"),
        ("{\"pizzas\": 3", 400, "malformed_json", "EOF"),
        ("{\"pizzas\": 3}}", 400, "malformed_json", "trailing"),
        ("", 400, "malformed_json", "EOF"),
    ];
    for (body, status, code, told) in wrongs {
        let problem = send(Some("application/json"), body).await.problem(status, code);
        assert!(problem["detail"].as_str().unwrap().contains(told), "{body}: {problem}");
    }
}

#[tokio::test]
async fn a_body_that_is_not_called_json_is_not_looked_at() {
    for kind in
        [None, Some("text/plain"), Some("application/x-www-form-urlencoded"), Some("application/jsonp"), Some("")]
    {
        send(kind, "{\"pizzas\": 3}").await.problem(415, "not_json");
    }
}

#[tokio::test]
async fn a_body_too_large_is_refused_and_one_just_small_enough_is_read() {
    let padded = |length: usize| format!("{:<length$}", "{\"pizzas\": 3}");
    send(Some("application/json"), padded(101)).await.problem(413, "body_too_large");
    assert_eq!(send(Some("application/json"), padded(100)).await.text(), "3");
}
