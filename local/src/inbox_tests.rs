use platform::clock::ManualClock;
use platform::notify::sign;

use super::*;

const NOW: Timestamp = Timestamp::from_seconds(1_772_323_200);
const BODY: &str = r#"{"type":"run.ready","id":"evt_main_1_1","timestamp":"2026-03-01T00:00:00Z","data":{"run":1}}"#;

fn inbox() -> Inbox {
    Inbox::new("http://localhost:8080", Arc::new(ManualClock::at(NOW))).unwrap()
}

/// The headers that lifecycle would send with `body`.
fn headers(inbox: &Inbox, at: Timestamp, body: &str) -> HeaderMap {
    let webhooks = wire::webhooks_from_json(&inbox.declared()).unwrap();
    let signature = sign(webhooks.values().next().unwrap().key(), "evt_main_1_1", at, body);
    let sent_at = at.seconds().to_string();
    let pairs = [(ID_HEADER, "evt_main_1_1"), (TIMESTAMP_HEADER, &sent_at), (SIGNATURE_HEADER, &signature)];
    pairs.into_iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
}

#[test]
fn what_lifecycle_signs_is_taken_and_shown() {
    let inbox = inbox();
    inbox.take(&headers(&inbox, NOW, BODY), BODY.as_bytes()).unwrap();
    let shown = serde_json::to_value(inbox.arrived()).unwrap();
    let wanted = serde_json::json!([{
        "id": "evt_main_1_1", "type": "run.ready", "at": "2026-03-01T00:00:00Z", "data": {"run": 1}
    }]);
    assert_eq!(shown, wanted);
}

#[test]
fn one_signature_of_several_is_enough() {
    let inbox = inbox();
    let mut headers = headers(&inbox, NOW, BODY);
    let several = format!("v1,AAAA v2,BBBB {}", headers[SIGNATURE_HEADER].to_str().unwrap());
    headers.insert(SIGNATURE_HEADER, several.parse().unwrap());
    assert!(inbox.take(&headers, BODY.as_bytes()).is_ok());
}

#[test]
fn what_is_not_signed_as_it_arrives_is_refused() {
    let inbox = inbox();
    let signed = headers(&inbox, NOW, BODY);
    let with = |name: &'static str, value: &str| {
        let mut changed = signed.clone();
        changed.insert(name, value.parse().unwrap());
        changed
    };
    let other_key = self::inbox();
    for (what, headers, body) in [
        ("another body", signed.clone(), "{}"),
        ("another id", with(ID_HEADER, "evt_main_1_2"), BODY),
        ("another time", with(TIMESTAMP_HEADER, &(NOW.seconds() + 1).to_string()), BODY),
        ("no signature", with(SIGNATURE_HEADER, "v1,"), BODY),
        ("another scheme", with(SIGNATURE_HEADER, "v1a,AAAA"), BODY),
        ("nothing at all", HeaderMap::new(), BODY),
        ("another key", self::headers(&other_key, NOW, BODY), BODY),
    ] {
        let refused = inbox.take(&headers, body.as_bytes()).unwrap_err();
        assert_eq!(refused.status(), StatusCode::UNAUTHORIZED, "{what}");
    }
    assert_eq!(inbox.arrived(), []);
}

#[test]
fn what_was_signed_long_ago_or_will_be_is_refused() {
    let inbox = inbox();
    let judged =
        |at: Timestamp| inbox.take(&headers(&inbox, at, BODY), BODY.as_bytes()).map_err(|error| error.status());
    let (fresh, stale) = (domain::Seconds(300), domain::Seconds(301));
    assert_eq!((judged(NOW - fresh), judged(NOW + fresh)), (Ok(()), Ok(())));
    assert_eq!(judged(NOW - stale), Err(StatusCode::UNAUTHORIZED));
    assert_eq!(judged(NOW + stale), Err(StatusCode::UNAUTHORIZED));
}

#[test]
fn a_signed_body_that_is_no_notice_is_told_of() {
    let inbox = inbox();
    let refused = inbox.take(&headers(&inbox, NOW, "{}"), b"{}").unwrap_err();
    assert_eq!(refused.status(), StatusCode::BAD_REQUEST);
}

#[test]
fn the_last_hundred_are_kept() {
    let inbox = inbox();
    for run in 0..=KEPT_MAX {
        let body = BODY.replace("\"run\":1", &format!("\"run\":{run}"));
        inbox.take(&headers(&inbox, NOW, &body), body.as_bytes()).unwrap();
    }
    let runs: Vec<Value> = inbox.arrived().into_iter().map(|arrived| arrived.data["run"].clone()).collect();
    assert_eq!((runs.len(), &runs[0], &runs[KEPT_MAX - 1]), (KEPT_MAX, &1.into(), &KEPT_MAX.into()));
}
