//! What every request goes through.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Path;
use axum::http::{HeaderValue, Request, StatusCode, header};
use axum::routing::{get as on_get, post};
use service::{ApiError, Limits, protect, protect_for_page};
use tokio::sync::Notify;

use crate::answer::{WITHIN, ask, get};

#[expect(clippy::panic, reason = "that is what is tested")]
async fn panics() -> &'static str {
    panic!("the key is hunter2")
}

#[tokio::test]
async fn a_panic_is_a_problem_that_does_not_repeat_it() {
    let router = protect(Router::new().route("/", on_get(panics)), Limits::default());
    for _ in 0..2 {
        let answer = ask(&router, get("/")).await;
        let problem = answer.problem(500, "internal");
        assert!(!answer.text().contains("hunter2") && problem["hint"].as_str().unwrap().contains("id"), "{problem}");
        assert_eq!(answer.header("x-request-id").len(), 36);
    }
}

#[tokio::test]
async fn what_went_wrong_on_our_side_is_not_told() {
    async fn fails() -> Result<(), ApiError> {
        Err(ApiError::unavailable(anyhow::anyhow!("no route to db-7").context("loading a workspace")))
    }
    let answer = ask(&protect(Router::new().route("/", on_get(fails)), Limits::default()), get("/")).await;
    answer.problem(503, "unavailable");
    assert!(!answer.text().contains("db-7") && !answer.text().contains("loading"), "{}", answer.text());
    assert_eq!(answer.header("retry-after"), "2");
}

#[tokio::test]
async fn one_request_more_than_there_are_places_is_told_to_come_back() {
    let (entered, leave) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let slow = {
        let (entered, leave) = (Arc::clone(&entered), Arc::clone(&leave));
        move || async move {
            entered.notify_one();
            leave.notified().await;
            "done"
        }
    };
    let router = protect(Router::new().route("/slow", on_get(slow)), Limits { concurrency: 1, ..Limits::default() });
    let first = tokio::spawn({
        let router = router.clone();
        async move { ask(&router, get("/slow")).await }
    });
    tokio::time::timeout(WITHIN, entered.notified()).await.unwrap();
    let second = ask(&router, get("/slow")).await;
    second.problem(503, "too_busy");
    assert_eq!(second.header("retry-after"), "1");
    assert_eq!(second.header("x-request-id").len(), 36);
    ask(&router, get("/nothing")).await.problem(503, "too_busy");

    leave.notify_one();
    assert_eq!(first.await.unwrap().text(), "done");
    ask(&router, get("/nothing")).await.problem(404, "no_such_route");
}

#[tokio::test(start_paused = true)]
async fn what_takes_too_long_is_cut_off_and_its_place_is_free_again() {
    let never = || std::future::pending::<&'static str>();
    let limits = Limits {
        time: Duration::from_secs(30),
        patient: &["/patient/{id}"],
        patience: Duration::from_secs(600),
        concurrency: 1,
        ..Limits::default()
    };
    let router = protect(Router::new().route("/", on_get(never)).route("/patient/{id}", post(never)), limits);
    for _ in 0..2 {
        let begun = tokio::time::Instant::now();
        let answer = ask(&router, get("/")).await;
        let problem = answer.problem(504, "timed_out");
        assert!(problem["hint"].as_str().unwrap().contains("not lost"));
        assert_eq!(begun.elapsed().as_secs(), 30);
        assert_eq!(answer.header("x-request-id").len(), 36);
    }
    let begun = tokio::time::Instant::now();
    let patient = Request::post("/patient/1").body(Body::empty()).unwrap();
    ask(&router, patient).await.problem(504, "timed_out");
    assert_eq!(begun.elapsed().as_secs(), 600);
}

#[tokio::test]
async fn what_axum_refuses_by_itself_is_a_problem_too() {
    let router = Router::new()
        .route("/number/{n}", on_get(|Path(n): Path<u32>| async move { n.to_string() }))
        .route("/bytes", post(|bytes: Bytes| async move { bytes.len().to_string() }))
        .route("/teapot", on_get(|| async { (StatusCode::IM_A_TEAPOT, "short and stout") }))
        .route("/own", on_get(|| async { ApiError::forbidden("own_code", "as it said").hint("its hint") }));
    let router = protect(router, Limits { body_bytes: 10, ..Limits::default() });
    assert_eq!(ask(&router, get("/number/7")).await.text(), "7");
    ask(&router, get("/number/seven")).await.problem(400, "bad_request");
    let large = Request::post("/bytes").body(Body::from("x".repeat(11))).unwrap();
    ask(&router, large).await.problem(413, "body_too_large");
    let fits = Request::post("/bytes").body(Body::from("x".repeat(10))).unwrap();
    assert_eq!(ask(&router, fits).await.text(), "10");
    let wrong_method = ask(&router, get("/bytes")).await;
    wrong_method.problem(405, "method_not_allowed");
    assert_eq!(wrong_method.headers[header::ALLOW], "POST");
    ask(&router, get("/teapot")).await.problem(418, "refused");
    let own = ask(&router, get("/own")).await.problem(403, "own_code");
    assert_eq!((&own["detail"], &own["hint"]), (&"as it said".into(), &"its hint".into()));
    ask(&router, get("/nothing")).await.problem(404, "no_such_route");
}

#[tokio::test]
async fn every_answer_has_an_id_and_only_a_plain_one_of_the_callers_is_kept() {
    let router = protect(Router::new().route("/", on_get(|| async { "ok" })), Limits::default());
    let long = "x".repeat(65);
    for (given, kept) in [("abc-123", true), ("a b", false), ("\"quoted\"", false), ("", false), (long.as_str(), false)]
    {
        let request = Request::get("/").header("x-request-id", given).body(Body::empty()).unwrap();
        let answer = ask(&router, request).await;
        assert_eq!(answer.header("x-request-id") == given, kept, "{given:?}");
        assert!(kept || answer.header("x-request-id").len() == 36, "{given:?}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
    }
}

const PAGE: &str = "https://page.example.com";
/// The header by which a browser lets a page read an answer.
const MAY_READ: &str = "access-control-allow-origin";

#[tokio::test(start_paused = true)]
async fn the_page_on_another_origin_may_read_what_the_limits_answer_too() {
    async fn panics() -> &'static str {
        panic!("that is what is tested")
    }
    let never = || std::future::pending::<&'static str>();
    let routes = Router::new().route("/slow", on_get(never)).route("/panic", on_get(panics));
    let limits = Limits { concurrency: 1, body_bytes: 10, ..Limits::default() };
    let router = protect_for_page(routes, limits, HeaderValue::from_static(PAGE));
    let from = |path: &str, origin: &'static str| {
        Request::get(path).header(header::ORIGIN, origin).body(Body::empty()).unwrap()
    };
    let first = tokio::spawn({
        let (router, request) = (router.clone(), from("/slow", PAGE));
        async move { ask(&router, request).await }
    });
    tokio::task::yield_now().await;
    let busy = ask(&router, from("/panic", PAGE)).await;
    busy.problem(503, "too_busy");
    let late = first.await.unwrap();
    late.problem(504, "timed_out");
    let panicked = ask(&router, from("/panic", PAGE)).await;
    panicked.problem(500, "internal");
    let lost = ask(&router, from("/nothing", PAGE)).await;
    lost.problem(404, "no_such_route");
    for answer in [busy, late, panicked, lost] {
        assert_eq!(answer.headers[MAY_READ], PAGE);
        assert_eq!(answer.header("access-control-expose-headers"), "x-request-id,etag,retry-after");
        assert_eq!(answer.header("x-request-id").len(), 36);
    }
    let stranger = ask(&router, from("/nothing", "https://evil.example.com")).await;
    assert_eq!(stranger.headers[MAY_READ], PAGE, "only ever the page is named, so a stranger may not read");
}

#[tokio::test]
async fn what_the_browser_asks_before_the_page_may_has_an_id_as_well() {
    let routes = Router::new().route("/", post(|| async { "ok" }));
    let router =
        protect_for_page(routes, Limits { concurrency: 0, ..Limits::default() }, HeaderValue::from_static(PAGE));
    let preflight = Request::options("/")
        .header(header::ORIGIN, PAGE)
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "content-type,x-auth-token,if-none-match")
        .body(Body::empty())
        .unwrap();
    let allowed = ask(&router, preflight).await;
    assert_eq!((allowed.status, &allowed.headers[MAY_READ]), (StatusCode::OK, &HeaderValue::from_static(PAGE)));
    assert!(allowed.header("access-control-allow-headers").contains("x-auth-token"));
    assert_eq!(allowed.header("access-control-allow-credentials"), "", "cookies are not invited");
    assert_eq!(allowed.header("x-request-id").len(), 36);
}
