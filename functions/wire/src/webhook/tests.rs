//! What is said of each kind of notice, in each shape.

use domain::{FailureCode, MicroUsd, NoticeKind, Seconds, StopReason};
use serde_json::Value;

use super::*;
use crate::config::workspaces_from_json;

/// 2026-03-01T00:00:00Z, by `date -u -d … +%s`.
const NOW: Timestamp = Timestamp::from_seconds(1_772_323_200);
const PAGE: &str = "https://pilotlight.example.com";

fn workspace(title: &str) -> Workspace {
    let place = |instance: &str, zone: &str| {
        json!({"instance": instance, "zone": zone, "machine_type": "g2-standard-4", "accelerator": "nvidia-l4",
            "usd_per_hour": 0.7068, "origin": "https://comfy.example.com"})
    };
    let list = json!([{"id": "main", "title": title, "disk": "data", "time_zone": "Europe/Berlin",
        "placements": [place("main-a", "us-central1-a"), place("main-b", "us-central1-b")]}]);
    workspaces_from_json(&list.to_string()).unwrap().remove(0)
}

fn body(kind: NoticeKind, shape: WebhookShape) -> Value {
    let (notice, workspace) = (Notice::new(7, 12, kind, NOW), workspace("ComfyUI"));
    let telling = Telling { notice: &notice, workspace: &workspace, page: Some(PAGE), now: NOW + Seconds(2) };
    serde_json::from_str(&telling.body(shape)).unwrap()
}

fn said(kind: NoticeKind) -> String {
    let (notice, workspace) = (Notice::new(7, 12, kind, NOW), workspace("ComfyUI"));
    Telling { notice: &notice, workspace: &workspace, page: None, now: NOW }.text()
}

fn ready(restarts: u32) -> NoticeKind {
    NoticeKind::Ready { placement: "main-b".into(), restarts }
}

fn draining(reason: StopReason, seconds: u64) -> NoticeKind {
    NoticeKind::DrainingSoon { reason, ends_at: NOW + Seconds(seconds) }
}

fn stopped(reason: StopReason, failure: Option<FailureCode>) -> NoticeKind {
    let (cost, month) = (MicroUsd(765_700), MicroUsd(12_300_000));
    NoticeKind::Stopped { reason, lasted: Seconds(3930), billed: Seconds(3900), cost, month, failure }
}

fn no_capacity(zones: &[&str], until: Option<Timestamp>) -> NoticeKind {
    NoticeKind::NoCapacity { zones: zones.iter().map(|&zone| zone.to_owned()).collect(), until }
}

fn budget(percent: u8) -> NoticeKind {
    NoticeKind::Budget { percent, spent: MicroUsd(41_200_000), limit: MicroUsd(50_000_000) }
}

#[test]
fn people_are_told_what_matters_in_a_sentence_or_two() {
    let preempted = |zone: Option<&str>, host_error, restarting| NoticeKind::Preempted {
        zone: zone.map(str::to_owned),
        host_error,
        restarting,
    };
    let seven: Vec<String> = "abcdefgh".chars().map(|zone| format!("z-{zone}")).collect();
    let seven: Vec<&str> = seven.iter().map(String::as_str).collect();
    let receipt = "It took 1 h 5 min and cost $0.77; this month comes to $12.30 so far.";
    for (kind, told) in [
        (ready(0), "ComfyUI is ready on main-b."),
        (ready(1), "ComfyUI is ready again on main-b, after 1 restart."),
        (ready(2), "ComfyUI is ready again on main-b, after 2 restarts."),
        (
            draining(StopReason::Idle, 180),
            "ComfyUI stops in 3 minutes: no activity for 30 min. Press Keep running on its page to keep it.",
        ),
        (
            draining(StopReason::HardLimit, 60),
            "ComfyUI stops in 1 minute: the longest time of a run is over. Press Extend on its page to keep it longer.",
        ),
        (draining(StopReason::User, 61), "ComfyUI stops in 2 minutes: somebody pressed Stop."),
        (draining(StopReason::User, 0), "ComfyUI stops now: somebody pressed Stop."),
        (stopped(StopReason::Idle, None), &format!("ComfyUI has stopped: no activity for 30 min. {receipt}")),
        (
            stopped(StopReason::StartFailed, Some(FailureCode::Quota)),
            &format!("ComfyUI did not start: The project's quota does not allow this NVIDIA L4. {receipt}"),
        ),
        (
            stopped(StopReason::StartFailed, Some(FailureCode::StockOut)),
            &format!("ComfyUI did not start: no zone has a machine for it just now. {receipt}"),
        ),
        (
            stopped(StopReason::User, Some(FailureCode::StopTimedOut)),
            &format!("ComfyUI has stopped: somebody pressed Stop. {receipt}"),
        ),
        (
            // Berlin is an hour ahead of UTC in winter: the day is another.
            no_capacity(&["us-central1-a", "us-central1-b"], Some(NOW - Seconds(60))),
            "No machine to be had for ComfyUI in us-central1-a, us-central1-b. \
             It goes on trying until 00:59 on 1 March (Europe/Berlin).",
        ),
        (
            no_capacity(&seven, None),
            "No machine to be had for ComfyUI in z-a, z-b, z-c, z-d, z-e, z-f and 2 more. \
             Nothing goes on trying: start it again in a few minutes, or let it keep trying.",
        ),
        (
            preempted(Some("us-central1-a"), false, true),
            "Google took the machine of ComfyUI in us-central1-a back; it is being started on another placement.",
        ),
        (preempted(None, true, false), "Google's host under ComfyUI broke down; it stays stopped."),
        (budget(82), "ComfyUI has used 82% of this month's budget: $41.20 of $50.00."),
        (
            budget(100),
            "ComfyUI has used 100% of this month's budget: $41.20 of $50.00. \
             Until the month is over, only an admin can start it.",
        ),
    ] {
        assert_eq!(said(kind), told);
    }
}

#[test]
fn small_sums_and_short_times_are_not_told_as_nothing() {
    let run = |lasted, cost| NoticeKind::Stopped {
        reason: StopReason::MachineStopped,
        lasted: Seconds(lasted),
        billed: Seconds(60),
        cost: MicroUsd(cost),
        month: MicroUsd(0),
        failure: None,
    };
    assert!(said(run(45, 9_999)).contains("It took 45 s and cost less than $0.01; this month comes to $0.00 so far."));
    assert!(said(run(7200, 10_000)).contains("It took 2 h and cost $0.01;"));
    assert!(said(run(3599, 0)).contains("It took 59 min and cost $0.00;"));
}

#[test]
fn a_program_gets_the_event() {
    let told = body(stopped(StopReason::Idle, None), WebhookShape::Json);
    let expected = json!({
        "type": "run.stopped", "id": "evt_main_12_7", "timestamp": "2026-03-01T00:00:00.000Z",
        "data": {
            "workspace": "main", "title": "ComfyUI", "run": 12, "page": PAGE,
            "text": "ComfyUI has stopped: no activity for 30 min. It took 1 h 5 min and cost $0.77; \
                     this month comes to $12.30 so far.",
            "reason": "Idle", "lasted_seconds": 3930, "billed_seconds": 3900, "cost_usd": 0.7657, "month_usd": 12.3,
            "failure": null,
        },
    });
    assert_eq!(told, expected);
}

#[test]
fn each_kind_has_its_type_and_its_facts() {
    let preempted = NoticeKind::Preempted { zone: Some("us-central1-a".into()), host_error: true, restarting: false };
    let until = Some(NOW + Seconds::hours(4));
    for (kind, name, facts) in [
        (ready(1), "run.ready", json!({"placement": "main-b", "restarts": 1})),
        (
            draining(StopReason::HardLimit, 180),
            "run.draining_soon",
            json!({"reason": "HardLimit", "ends_at": "2026-03-01T00:03:00.000Z"}),
        ),
        (
            stopped(StopReason::StartFailed, Some(FailureCode::StockOut)),
            "run.stopped",
            json!({"reason": "StartFailed", "failure": "StockOut"}),
        ),
        (
            no_capacity(&["us-central1-a"], until),
            "run.no_capacity",
            json!({"zones": ["us-central1-a"], "keep_trying_until": "2026-03-01T04:00:00.000Z"}),
        ),
        (preempted, "run.preempted", json!({"zone": "us-central1-a", "host_error": true, "restarting": false})),
        (budget(82), "workspace.budget", json!({"percent": 82, "spent_usd": 41.2, "monthly_usd": 50.0})),
    ] {
        let told = body(kind, WebhookShape::Json);
        assert_eq!(told["type"], name);
        for (fact, value) in facts.as_object().unwrap() {
            assert_eq!(told["data"][fact], *value, "{name}: {fact}");
        }
    }
}

#[test]
fn a_chat_gets_the_words_and_the_page() {
    let words = format!("ComfyUI is ready on main-b. {PAGE}");
    assert_eq!(body(ready(0), WebhookShape::Slack), json!({"text": words}));
    let expected = json!({"content": words, "allowed_mentions": {"parse": []}});
    assert_eq!(body(ready(0), WebhookShape::Discord), expected);
}

#[test]
fn a_title_gives_no_orders_to_slack_and_is_not_shown_for_ever() {
    let notice = Notice::new(1, 1, ready(0), NOW);
    let workspace = workspace(&format!("<!channel> & {}", "ä".repeat(200)));
    let telling = Telling { notice: &notice, workspace: &workspace, page: Some("https://a.example/?b=1&c"), now: NOW };
    let slack: Value = serde_json::from_str(&telling.body(WebhookShape::Slack)).unwrap();
    let title = format!("&lt;!channel&gt; &amp; {}", "ä".repeat(87));
    assert_eq!(slack["text"], format!("{title} is ready on main-b. https://a.example/?b=1&amp;c"));
}

#[test]
fn discord_gets_no_more_than_it_takes() {
    let length = |text: &str| text.encode_utf16().count();
    assert_eq!(clipped("x".repeat(2000), 2000), "x".repeat(2000));
    assert_eq!(clipped("x".repeat(2001), 2000), format!("{}…", "x".repeat(1999)));
    // A fox takes two: there is no half of one.
    let foxes = clipped("🦊".repeat(1001), 2000);
    assert_eq!((foxes.chars().count(), length(&foxes)), (1000, 1999));
    let page = format!("https://a.example/{}", "x".repeat(3000));
    let (notice, workspace) = (Notice::new(1, 1, ready(0), NOW), workspace("ComfyUI"));
    let telling = Telling { notice: &notice, workspace: &workspace, page: Some(&page), now: NOW };
    let discord: Value = serde_json::from_str(&telling.body(WebhookShape::Discord)).unwrap();
    assert_eq!(length(discord["content"].as_str().unwrap()), DISCORD_LENGTH_MAX);
}

#[test]
fn an_event_keeps_its_name_on_each_try_and_shares_it_with_no_other() {
    let notice = |sequence, run| Notice::new(sequence, run, ready(0), NOW);
    let name = |id: &str, notice: &Notice| event_id(&domain::WorkspaceId::parse(id).unwrap(), notice);
    let again = notice(7, 12).again(NOW, Seconds(30)).unwrap();
    assert_eq!(name("main", &notice(7, 12)), name("main", &again));
    let others = [name("main", &notice(8, 12)), name("main", &notice(7, 13)), name("main-1", &notice(7, 12))];
    assert!(!others.contains(&name("main", &again)), "{others:?}");
}
