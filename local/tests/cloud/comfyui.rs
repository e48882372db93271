//! What is behind the door: ComfyUI with a ticket, a job that keeps the machine alive, and a ComfyUI that is not there.

use reqwest::Method;
use reqwest::header::{COOKIE, LOCATION, SET_COOKIE};
use serde_json::{Value, json};

use crate::pilotlight::{Answer, Pilotlight};

/// A picture whose blur takes an hour.
pub(crate) fn long_job() -> Value {
    let blur = json!({"image": ["1", 0], "blur_radius": 31, "sigma": 1.0, "stand_in_seconds": 3600});
    json!({"client_id": "a-test", "prompt": {
        "1": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 48, "batch_size": 1, "color": 255}},
        "2": {"class_type": "ImageBlur", "inputs": blur},
        "3": {"class_type": "PreviewImage", "inputs": {"images": ["2", 0]}},
    }})
}

/// Somebody whom a ticket has let in.
pub(crate) struct Guest<'p> {
    pilotlight: &'p Pilotlight,
    gateway: String,
    cookie: String,
}

impl<'p> Guest<'p> {
    /// Shows a ticket at the door, and shows it again.
    pub(crate) async fn enter(pilotlight: &'p Pilotlight) -> Self {
        let ticket = pilotlight.press("ticket").await;
        assert_eq!(ticket.status.as_u16(), 200, "{ticket:?}");
        let url = ticket.body["url"].as_str().unwrap();
        let entered = pilotlight.get(url).await;
        assert_eq!((entered.status.as_u16(), &entered.headers[LOCATION]), (303, &"/".parse().unwrap()), "{entered:?}");
        let again = pilotlight.get(url).await;
        assert!(again.status.is_client_error(), "a ticket is good for once: {again:?}");
        let cookie = entered.headers[SET_COOKIE].to_str().unwrap().split(';').next().unwrap().to_owned();
        let gateway = url.split("/_enter").next().unwrap().to_owned();
        Self { pilotlight, gateway, cookie }
    }

    pub(crate) async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        let request = self.pilotlight.request(method, &format!("{}{path}", self.gateway)).header(COOKIE, &self.cookie);
        self.pilotlight
            .send(match body {
                Some(body) => request.json(&body),
                None => request,
            })
            .await
    }
}

#[tokio::test]
async fn a_job_in_the_queue_keeps_the_machine_alive_and_its_end_lets_it_stop() {
    let pilotlight = Pilotlight::start(&["--idle-limit", "1m"]).await;
    pilotlight.ready().await;
    let guest = Guest::enter(&pilotlight).await;
    let submitted = guest.ask(Method::POST, "/prompt", Some(long_job())).await;
    assert!(submitted.body["prompt_id"].is_string(), "{submitted:?}");
    let busy = pilotlight.until("the queue keeps it alive", |view| view["active_because"] == "Queue").await;

    // Past where it would have ended without the job, and the announcement of that.
    let end = busy["drain_ends_at"].as_str().or(busy["stop_at"].as_str()).unwrap().to_owned();
    let later = pilotlight
        .until("that end is long past", |view| {
            assert_eq!(view["phase"], "Ready", "{view}");
            view["now"].as_str().unwrap() > end.as_str() && view["stop_at"].as_str().unwrap() > end.as_str()
        })
        .await;
    assert_eq!((&later["run"], &later["active_because"]), (&json!(1), &json!("Queue")), "{later}");

    assert_eq!(guest.ask(Method::POST, "/interrupt", Some(json!({}))).await.status.as_u16(), 200);
    let over = pilotlight.until_phase("Stopped").await;
    assert_eq!(over["last_stop"]["reason"], "Idle", "{over}");
}

#[tokio::test]
async fn nobody_gets_to_comfyui_without_a_ticket_and_no_ticket_is_given_for_a_machine_that_is_down() {
    let pilotlight = Pilotlight::start(&[]).await;
    pilotlight.press("ticket").await.refused(409, "not_ready");
    pilotlight.ready().await;
    let guest = Guest::enter(&pilotlight).await;
    assert_eq!(guest.ask(Method::GET, "/queue", None).await.status.as_u16(), 200);

    let stranger = Guest { pilotlight: &pilotlight, gateway: guest.gateway.clone(), cookie: "x=y".to_owned() };
    for path in ["/queue", "/history", "/_enter", "/_enter?ticket=e30.e30.e30"] {
        let answer = stranger.ask(Method::GET, path, None).await;
        assert!(matches!(answer.status.as_u16(), 401 | 403), "{path}: {answer:?}");
    }
    let answer = stranger.ask(Method::POST, "/prompt", Some(long_job())).await;
    assert!(matches!(answer.status.as_u16(), 401 | 403), "{answer:?}");
    let queue = guest.ask(Method::GET, "/queue", None).await.body;
    assert_eq!(queue, json!({"queue_running": [], "queue_pending": []}));
}

#[tokio::test]
async fn a_comfyui_that_never_answers_ends_the_run_with_a_failure_that_says_so() {
    // Nothing listens there.
    let pilotlight = Pilotlight::start(&["--comfyui", "http://127.0.0.1:1", "--speed", "300"]).await;
    pilotlight.press("start").await;
    pilotlight.until_phase("Booting").await;
    let failed = pilotlight.until_phase("Failed").await;
    assert_eq!(failed["failure"]["code"], "boot_timed_out", "{failed}");
    assert!(!failed["failure"]["hint"].as_str().unwrap().is_empty(), "{failed}");
    assert_eq!(failed["last_stop"]["reason"], "StartFailed");
    assert_eq!(pilotlight.up().await, [""; 0], "and costs nothing more");
}
