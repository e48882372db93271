//! The one route: who may ask for a sweep, and how it is answered.

use axum::body::Body;
use axum::http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use platform::clock::Clock;
use platform::compute::fake::Trouble;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::setting::{AUDIENCE, KEYS_AWAY, SCHEDULER_EMAIL, Setting};

struct Answer {
    response: Response<()>,
    body: Value,
}

impl Answer {
    #[track_caller]
    fn refused(&self, status: u16, code: &str) {
        assert_eq!((self.response.status().as_u16(), &self.body["code"]), (status, &json!(code)), "{:?}", self.body);
        assert_eq!(self.response.headers()["content-type"], "application/problem+json");
        assert_eq!(self.body["status"], status);
        assert!(!self.body["title"].as_str().unwrap().is_empty());
    }
}

impl Setting {
    async fn send(&self, request: Request<Body>) -> Answer {
        let (parts, body) = self.router.clone().oneshot(request).await.unwrap().into_parts();
        assert!(parts.headers.contains_key("x-request-id"), "every answer has a request id");
        let bytes = body.collect().await.unwrap().to_bytes();
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        Answer { response: Response::from_parts(parts, ()), body }
    }

    async fn ask(&self, token: impl ToString) -> Answer {
        let request = Request::post("/sweep").header("authorization", format!("Bearer {}", token.to_string()));
        self.send(request.body(Body::empty()).unwrap()).await
    }

    /// A sweep as Cloud Scheduler asks for it.
    async fn ask_as_scheduler(&self) -> Answer {
        self.ask(self.token(SCHEDULER_EMAIL, AUDIENCE)).await
    }
}

#[tokio::test]
async fn a_sweep_is_answered_item_by_item() {
    let setting = Setting::new(&["idle", "work"]);
    setting.idle(&["idle"]).await;
    setting.ready("work").await;
    let answer = setting.ask_as_scheduler().await;
    assert_eq!(answer.response.status(), StatusCode::OK);
    let items = json!([{"did": "drained", "workspace": "idle"}]);
    // One record is due, and two machines are up.
    let told = json!({"looked_at": 3, "drained": 1, "stopped": 0, "repaired": 0, "failed": [], "items": items});
    assert_eq!(answer.body, told);
}

#[tokio::test]
async fn a_sweep_that_fails_in_part_answers_what_failed() {
    let setting = Setting::new(&["main"]);
    setting.machines.fail_looks(1);
    let answer = setting.ask_as_scheduler().await;
    assert_eq!(answer.response.status(), StatusCode::OK, "what failed is due again in the next sweep");
    let failed = json!([{"item": "instances", "error": "listing the instances that are up"}]);
    assert_eq!(answer.body["failed"], failed, "what went wrong inside is for the log");
}

#[tokio::test]
async fn nobody_but_cloud_scheduler_gets_a_sweep() {
    let setting = Setting::new(&["main"]);
    setting.idle(&["main"]).await;
    let before = setting.record("main").await;
    let with = |name: &str, value: Value| {
        let mut token = setting.token(SCHEDULER_EMAIL, AUDIENCE);
        token[name] = value;
        token
    };

    let bare = Request::post("/sweep").body(Body::empty()).unwrap();
    setting.send(bare).await.refused(401, "no_identity");
    let basic = Request::post("/sweep").header("authorization", "Basic c2NoZWR1bGVyOg==").body(Body::empty()).unwrap();
    setting.send(basic).await.refused(401, "no_identity");
    setting.ask("garbage").await.refused(401, "invalid_identity");
    setting.ask(with("exp", json!(setting.clock.now().seconds()))).await.refused(401, "invalid_identity");
    setting.ask(with("email", json!("stranger@example.com"))).await.refused(403, "wrong_caller");
    setting.ask(with("email_verified", json!(false))).await.refused(403, "wrong_caller");
    setting.ask(with("aud", json!("https://lifecycle.example.com"))).await.refused(403, "wrong_caller");
    // A person who is signed in is not Google.
    setting.ask(with("iss", json!("pilotlight"))).await.refused(403, "wrong_caller");

    assert_eq!(setting.record("main").await, before, "nothing of it was a sweep");
    assert_eq!((setting.nudges.take(), setting.machines.actions()), (vec![], vec![]));
}

#[tokio::test]
async fn without_googles_keys_the_caller_is_told_to_come_back() {
    let setting = Setting::new(&["main"]);
    let answer = setting.ask(KEYS_AWAY).await;
    answer.refused(503, "unavailable");
    assert!(answer.response.headers().contains_key("retry-after"));
}

#[tokio::test]
async fn another_method_and_another_address_are_told_what_there_is() {
    let setting = Setting::new(&["main"]);
    let get = setting.send(Request::get("/sweep").body(Body::empty()).unwrap()).await;
    get.refused(405, "method_not_allowed");
    assert_eq!(get.response.headers()["allow"], "POST");
    setting.send(Request::post("/reap").body(Body::empty()).unwrap()).await.refused(404, "no_such_route");
    let alive = setting.send(Request::get("/healthz").body(Body::empty()).unwrap()).await;
    assert_eq!(alive.response.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_refusal_of_google_is_told_by_its_item_and_not_in_its_words() {
    let setting = Setting::new(&["main"]);
    let stray =
        domain::UpInstance { workspace: "gone".into(), instance: "gone-a".into(), zone: "us-central1-a".into() };
    setting.machines.add_stray(&stray, domain::InstanceStatus::Running);
    setting.machines.trouble_next_call(Trouble::LoseRequest);
    let answer = setting.ask_as_scheduler().await;
    let failed = answer.body["failed"].as_array().unwrap();
    assert_eq!(failed.len(), 1);
    assert!(failed[0]["item"].as_str().unwrap().contains("gone-a"), "{failed:?}");
    assert_eq!(failed[0]["error"], "stopping an unknown instance");
}
