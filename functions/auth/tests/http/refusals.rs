//! Every wrong request gets a problem document, an id, and nothing else.

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::house::{Ask, House, PASSWORD, login};

#[tokio::test]
async fn a_sign_in_that_cannot_be_understood_is_told_why() {
    let house = House::new();
    let long = "x".repeat(1025);
    let wrongs: [(&str, Value, &str); 11] = [
        ("unknown field", json!({"password": PASSWORD, "remember": true}), "remember"),
        ("missing password", json!({"user": "admin"}), "password"),
        ("number", json!({"password": 5}), "invalid type"),
        ("list", json!(["admin", PASSWORD]), "found a list"),
        ("text", json!("password"), "invalid type"),
        ("null", Value::Null, "invalid type"),
        ("empty password", json!({"password": ""}), "1 to 1024 bytes"),
        ("long password", json!({"password": long}), "1 to 1024 bytes"),
        ("empty user", json!({"user": "", "password": PASSWORD}), "1 to 64 bytes"),
        ("long user", json!({"user": "x".repeat(65), "password": PASSWORD}), "1 to 64 bytes"),
        ("control character", json!({"user": "a\u{0}b", "password": PASSWORD}), "control characters"),
    ];
    for (what, body, told) in wrongs {
        let answer = house.ask(login(&body)).await;
        answer.is_problem(400, "invalid_body");
        let detail = answer.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains(told), "{what}: {detail}");
    }
    for broken in ["", "{", "{\"password\":\"x\"", "password=x", "\u{feff}{}", "{\"password\":\"\u{1}\"}"] {
        let answer = house.ask(login(&json!(null)).body(broken)).await;
        answer.is_problem(400, "malformed_json");
    }
    let not_text = house.ask(login(&json!(null)).body(*b"{\"password\":\"\xff\"}")).await;
    not_text.is_problem(400, "malformed_json");
    let twice = house.ask(login(&json!(null)).body(r#"{"password":"a","password":"b"}"#)).await;
    twice.is_problem(400, "invalid_body");
    let deep = house.ask(login(&json!(null)).body("[".repeat(5000))).await;
    deep.is_problem(400, "invalid_body");
}

#[tokio::test]
async fn a_body_that_is_not_called_json_is_refused() {
    let house = House::new();
    let body = json!({"password": PASSWORD}).to_string();
    house.ask(Ask::post("/api/login").body(body.clone())).await.is_problem(415, "not_json");
    let form = Ask::post("/api/login").header("content-type", "application/x-www-form-urlencoded").body(body.clone());
    house.ask(form).await.is_problem(415, "not_json");
    let text = Ask::post("/api/login").header("content-type", "text/plain").body(body);
    house.ask(text).await.is_problem(415, "not_json");
}

#[tokio::test]
async fn a_body_too_large_is_refused_whether_it_says_so_or_not() {
    let house = House::new();
    let body = json!({"password": "x".repeat(9000)});
    house.ask(login(&body)).await.is_problem(413, "body_too_large");
    let said = login(&body).header("content-length", &body.to_string().len().to_string());
    house.ask(said).await.is_problem(413, "body_too_large");
}

#[tokio::test]
async fn an_address_that_is_not_there_is_a_problem_too() {
    let house = House::new();
    for path in ["/nothing", "/api", "/api/login/", "/api/nothing", "/index.php", "/%00", "/healthz/x"] {
        house.ask(Ask::get(path)).await.is_problem(404, "no_such_route");
        house.ask(Ask::post(path)).await.is_problem(404, "no_such_route");
    }
}

#[tokio::test]
async fn another_method_is_told_which_one_is_taken() {
    let house = House::new();
    let wrongs = [
        (Method::GET, "/api/login", "POST"),
        (Method::GET, "/api/logout", "POST"),
        (Method::POST, "/api/session", "GET,HEAD"),
        (Method::DELETE, "/api/session", "GET,HEAD"),
        (Method::GET, "/api/session/refresh", "POST"),
        (Method::POST, "/.well-known/jwks.json", "GET,HEAD"),
        (Method::PUT, "/config.json", "GET,HEAD"),
        (Method::POST, "/api/auth/openapi.json", "GET,HEAD"),
        (Method::POST, "/healthz", "GET,HEAD"),
        (Method::POST, "/", "GET,HEAD"),
    ];
    for (method, path, allow) in wrongs {
        let answer = house.ask(Ask::new(method, path)).await;
        answer.is_problem(405, "method_not_allowed");
        assert_eq!(answer.header("allow"), allow, "{path}");
    }
}

#[tokio::test]
async fn every_answer_has_an_id_and_a_plain_one_of_the_callers_is_kept() {
    let house = House::new();
    for path in ["/healthz", "/", "/config.json", "/.well-known/jwks.json", "/api/session", "/nothing"] {
        let answer = house.ask(Ask::get(path)).await;
        assert_eq!(answer.header("x-request-id").len(), 36, "{path}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
    }
    let kept = house.ask(Ask::get("/healthz").header("x-request-id", "abc-123")).await;
    assert_eq!(kept.header("x-request-id"), "abc-123");
    let odd = house.ask(Ask::get("/healthz").header("x-request-id", "a b<script>")).await;
    assert_eq!(odd.header("x-request-id").len(), 36);
    assert_eq!(kept.text(), "ok");
}

#[tokio::test]
async fn what_is_described_is_answered_and_by_that_method_alone() {
    let house = House::new();
    let answer = house.ask(Ask::get("/api/auth/openapi.json")).await;
    assert_eq!(answer.status, StatusCode::OK);
    let document = answer.json();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    let methods = ["get", "post", "put", "delete", "patch"];
    for (path, item) in document["paths"].as_object().unwrap() {
        let described: Vec<_> = methods.iter().filter(|method| item.get(**method).is_some()).collect();
        assert_eq!(described.len(), 1, "{path}");
        for method in methods {
            let asked = Ask::new(method.to_uppercase().parse().unwrap(), path);
            let taken = house.ask(asked).await.status != StatusCode::METHOD_NOT_ALLOWED;
            assert_eq!(taken, *described[0] == method, "{method} {path}");
        }
        for (status, response) in item[*described[0]]["responses"].as_object().unwrap() {
            let has_body = response.get("content").is_some();
            assert_eq!(has_body, status != "204", "{path} {status}");
        }
    }
    let login = &document["components"]["schemas"]["LoginBody"];
    assert_eq!(login["required"], json!(["password"]));
    assert!(document["components"]["schemas"]["Problem"].is_object());
    let known: Vec<_> = document["components"]["securitySchemes"].as_object().unwrap().keys().collect();
    assert_eq!(known, ["bearer", "cookie", "header"]);
    for (path, method) in [("/api/session", "get"), ("/api/session/refresh", "post"), ("/api/logout", "post")] {
        assert_eq!(document["paths"][path][method]["security"].as_array().unwrap().len(), 3, "{path}");
    }
}
