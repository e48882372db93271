//! The sender against receivers on loopback. No time is asserted: what must not be waited for never comes.

use reqwest::header::HeaderValue;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;
use crate::contract::notify::{
    Answer, Arrived, NOTIFY_CONTRACT_NOW, NotifierHarness, Receiver, SECRET_PATH, delivery, notifier_contract,
};

/// Long enough for an answer on a busy machine.
const SHORT: Duration = Duration::from_secs(2);
/// A test that waits for an answer which never comes is over before this.
const LONG: Duration = Duration::from_secs(600);
const WAIT_MAX: Duration = Duration::from_secs(30);

struct OverHttp {
    notifier: WebhookNotifier,
    receiver: Receiver,
}

impl OverHttp {
    async fn answered_within(limit: Duration) -> Self {
        Self { notifier: WebhookNotifier::answered_within(limit), receiver: Receiver::listening().await }
    }

    async fn send(&self) -> Result<(), NotifyError> {
        send(&self.notifier, &self.receiver.url()).await
    }
}

impl NotifierHarness for OverHttp {
    fn notifier(&self) -> &dyn Notifier {
        &self.notifier
    }

    fn url(&self) -> String {
        self.receiver.url()
    }

    fn answer_next(&self, answer: Answer) {
        self.receiver.answer_next(answer);
    }

    fn arrived(&self) -> Vec<Arrived> {
        self.receiver.arrived()
    }
}

async fn send(notifier: &WebhookNotifier, url: &str) -> Result<(), NotifyError> {
    tokio::time::timeout(WAIT_MAX, notifier.send(&delivery(url, "evt_main_1_1"))).await.expect("an end in time")
}

/// Why it failed, of which nothing may be secret.
fn why(failed: &Result<(), NotifyError>) -> String {
    let told = format!("{} {failed:?}", failed.as_ref().unwrap_err());
    assert!(!told.contains(SECRET_PATH) && !told.contains("hidden"), "{told}");
    told
}

#[tokio::test]
async fn it_keeps_the_contract() {
    notifier_contract(async || OverHttp::answered_within(SHORT).await).await;
}

#[tokio::test]
async fn where_nobody_listens_it_is_not_delivered() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}{SECRET_PATH}", listener.local_addr().unwrap());
    drop(listener);
    let failed = send(&WebhookNotifier::answered_within(LONG), &url).await;
    assert!(matches!(failed, Err(NotifyError::NotDelivered { retry_after: None, .. })), "{failed:?}");
    assert!(why(&failed).contains("refused"), "{failed:?}");
}

#[tokio::test]
async fn where_there_is_no_tls_it_is_not_delivered() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}{SECRET_PATH}", listener.local_addr().unwrap());
    // Connected, and no word of a handshake: that is over with the limit of connecting, not with the whole one.
    let failed = send(&WebhookNotifier::answered_within(LONG), &url).await;
    assert!(matches!(failed, Err(NotifyError::NotDelivered { .. })), "{failed:?}");
    why(&failed);
}

#[tokio::test]
async fn a_connection_that_is_closed_without_an_answer_leaves_a_doubt() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}{SECRET_PATH}", listener.local_addr().unwrap());
    let receiver = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let read = socket.read(&mut [0; 4096]).await.unwrap();
        drop(socket);
        // A second request is one too many.
        let again = tokio::time::timeout(Duration::from_millis(200), listener.accept()).await;
        (read > 0, again.is_ok())
    });
    let failed = send(&WebhookNotifier::answered_within(LONG), &url).await;
    assert!(matches!(failed, Err(NotifyError::InDoubt { .. })), "{failed:?}");
    why(&failed);
    assert_eq!(receiver.await.unwrap(), (true, false));
}

#[tokio::test]
async fn each_try_has_a_connection_of_its_own() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}{SECRET_PATH}", listener.local_addr().unwrap());
    let receiver = tokio::spawn(async move {
        let mut kept_open = Vec::new();
        while kept_open.len() < 2 {
            let (mut socket, _) = listener.accept().await.unwrap();
            let _ = socket.read(&mut [0; 4096]).await.unwrap();
            socket.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
            kept_open.push(socket);
        }
        kept_open
    });
    let notifier = WebhookNotifier::answered_within(SHORT);
    assert_eq!((send(&notifier, &url).await, send(&notifier, &url).await), (Ok(()), Ok(())));
    let both = tokio::time::timeout(WAIT_MAX, receiver).await;
    assert_eq!(both.expect("two connections").unwrap().len(), 2);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let world = OverHttp::answered_within(LONG).await;
    world.answer_next(Answer::Redirect);
    let failed = world.send().await;
    assert!(matches!(failed, Err(NotifyError::Refused { .. })), "{failed:?}");
    assert!(why(&failed).contains("redirects are not followed"), "{failed:?}");
    assert_eq!(world.arrived().len(), 1);
}

#[tokio::test]
async fn an_answer_without_end_is_as_good_as_its_head() {
    let world = OverHttp::answered_within(LONG).await;
    for (status, taken) in [(200, true), (500, false)] {
        world.answer_next(Answer::Endless(status));
        assert_eq!(world.send().await.is_ok(), taken, "{status}");
    }
}

#[tokio::test]
async fn an_answer_that_repeats_the_address_is_not_repeated() {
    let world = OverHttp::answered_within(LONG).await;
    world.answer_next(Answer::Status(404, None));
    assert!(why(&world.send().await).contains("answered 404 Not Found"));
}

#[test]
fn a_status_says_whether_it_may_be_sent_again() {
    let judged = |status| judge(StatusCode::from_u16(status).unwrap(), &HeaderMap::new(), NOTIFY_CONTRACT_NOW);
    for taken in [200, 201, 202, 204] {
        assert_eq!(judged(taken), Ok(()), "{taken}");
    }
    for again in [408, 429, 500, 503, 599] {
        assert!(matches!(judged(again), Err(NotifyError::NotDelivered { .. })), "{again}");
    }
    for doubt in [502, 504] {
        assert!(matches!(judged(doubt), Err(NotifyError::InDoubt { .. })), "{doubt}");
    }
    for never in [300, 304, 308, 400, 401, 404, 409, 410, 422, 431, 499] {
        assert!(matches!(judged(never), Err(NotifyError::Refused { .. })), "{never}");
    }
}

#[test]
fn a_receiver_is_left_alone_as_long_as_it_asks_within_bounds() {
    // 2026-03-01T00:00:00.900Z
    let asked = |text: &'static str| {
        let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static(text))]);
        retry_after(&headers, NOTIFY_CONTRACT_NOW)
    };
    assert_eq!(asked("30"), Some(Seconds(30)));
    assert_eq!(asked(" 0 "), Some(Seconds(0)));
    assert_eq!(asked("999999999"), Some(RETRY_AFTER_MAX));
    assert_eq!(asked("Sun, 01 Mar 2026 00:02:01 GMT"), Some(Seconds(120)));
    assert_eq!(asked("Sun, 01 Mar 2026 23:00:00 GMT"), Some(RETRY_AFTER_MAX));
    assert_eq!(asked("Sat, 28 Feb 2026 00:00:00 GMT"), Some(Seconds(0)));
    for wrong in ["soon", "-5", "", "1e3", "99999999999999999999999"] {
        assert_eq!(asked(wrong), None, "{wrong:?}");
    }
    assert_eq!(retry_after(&HeaderMap::new(), NOTIFY_CONTRACT_NOW), None);
}
