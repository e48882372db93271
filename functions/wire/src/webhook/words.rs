//! What a person reads: what has happened, and what can be done about it, in a sentence or two.

use domain::{Failure, FailureCode, MicroUsd, NoticeKind, Seconds, StopReason, Timestamp, Workspace};
use jiff::tz::{TimeZone, TimeZoneDatabase};

use super::Telling;
use crate::failure::failure_view;

/// A longer title is shown so far.
const TITLE_LENGTH_MAX: usize = 100;
/// More zones are counted, not named.
const ZONES_NAMED_MAX: usize = 6;

/// The sentences.
pub(super) fn words(telling: Telling<'_>) -> String {
    let Telling { notice, workspace, now, .. } = telling;
    let title: String = workspace.title.chars().take(TITLE_LENGTH_MAX).collect();
    match &notice.kind {
        NoticeKind::Ready { placement, restarts: 0 } => format!("{title} is ready on {placement}."),
        NoticeKind::Ready { placement, restarts } => {
            format!("{title} is ready again on {placement}, after {}.", counted(u64::from(*restarts), "restart"))
        }
        NoticeKind::DrainingSoon { reason, ends_at } => {
            let (why, keep) = (why(*reason, workspace), how_to_keep(*reason));
            format!("{title} stops {}: {why}.{keep}", soon(*ends_at, now))
        }
        NoticeKind::Stopped { reason, lasted, cost, month, failure, .. } => {
            let ended = if *reason == StopReason::StartFailed { "did not start" } else { "has stopped" };
            let why = match failure {
                Some(code) if *reason == StopReason::StartFailed => why_it_failed(*code, workspace),
                _ => why(*reason, workspace),
            };
            let (lasted, cost, month) = (length(*lasted), dollars(*cost), dollars(*month));
            format!("{title} {ended}: {why}. It took {lasted} and cost {cost}; this month comes to {month} so far.")
        }
        NoticeKind::NoCapacity { zones, until } => {
            let then = match until {
                Some(until) => format!("It goes on trying until {}", moment(*until, workspace)),
                None => "Nothing goes on trying: start it again in a few minutes, or let it keep trying".to_owned(),
            };
            format!("No machine to be had for {title} in {}. {then}.", listed(zones))
        }
        NoticeKind::Preempted { zone, host_error, restarting } => {
            let place = zone.as_deref().map(|zone| format!(" in {zone}")).unwrap_or_default();
            let what = if *host_error {
                format!("Google's host under {title}{place} broke down")
            } else {
                format!("Google took the machine of {title}{place} back")
            };
            let then = if *restarting { "it is being started on another placement" } else { "it stays stopped" };
            format!("{what}; {then}.")
        }
        NoticeKind::Budget { percent, spent, limit } => {
            let then = if *percent >= 100 { " Until the month is over, only an admin can start it." } else { "" };
            let (spent, limit) = (dollars(*spent), dollars(*limit));
            format!("{title} has used {percent}% of this month's budget: {spent} of {limit}.{then}")
        }
    }
}

/// Why it stops, or has stopped.
fn why(reason: StopReason, workspace: &Workspace) -> String {
    let policy = &workspace.policy;
    match reason {
        StopReason::Idle => format!("no activity for {}", length(policy.idle_limit)),
        StopReason::NeverOpened => format!("nobody opened it within {}", length(policy.arrival_limit)),
        StopReason::User => "somebody pressed Stop".into(),
        StopReason::HardLimit => "the longest time of a run is over".into(),
        StopReason::Silent => format!("nothing heard of its machine for {}", length(policy.silence_limit)),
        StopReason::Preempted => "Google took the Spot machine back".into(),
        StopReason::HostError => "the host under the machine broke".into(),
        StopReason::Budget => "this month's budget is used up and nobody used it".into(),
        StopReason::MachineStopped => "the machine stopped without being asked to".into(),
        StopReason::StartFailed => "it did not come up".into(),
    }
}

/// How a stop that is announced is put off, by the names of the page's buttons.
fn how_to_keep(reason: StopReason) -> &'static str {
    match reason {
        StopReason::Idle | StopReason::NeverOpened | StopReason::Silent => {
            " Press Keep running on its page to keep it."
        }
        StopReason::HardLimit => " Press Extend on its page to keep it longer.",
        _ => "",
    }
}

fn why_it_failed(code: FailureCode, workspace: &Workspace) -> String {
    if code == FailureCode::StockOut {
        return "no zone has a machine for it just now".to_owned();
    }
    let failure = Failure { code, detail: String::new(), zone: None, retry_at: None, step: None };
    // No project: of the whole view, only the title is told.
    failure_view(&failure, workspace, "").title
}

/// When it stops; begun minutes count.
fn soon(ends_at: Timestamp, now: Timestamp) -> String {
    match ends_at.since(now).0.div_ceil(60) {
        0 => "now".to_owned(),
        minutes => format!("in {}", counted(minutes, "minute")),
    }
}

fn counted(count: u64, what: &str) -> String {
    if count == 1 { format!("{count} {what}") } else { format!("{count} {what}s") }
}

fn length(time: Seconds) -> String {
    match (time.0 / 3600, time.0 / 60 % 60) {
        (0, 0) => time.to_string(),
        (0, minutes) => format!("{minutes} min"),
        (hours, 0) => format!("{hours} h"),
        (hours, minutes) => format!("{hours} h {minutes} min"),
    }
}

fn dollars(money: MicroUsd) -> String {
    match money.0 {
        1..10_000 => "less than $0.01".to_owned(),
        _ => format!("${:.2}", money.dollars()),
    }
}

fn listed(zones: &[String]) -> String {
    let named = zones.iter().take(ZONES_NAMED_MAX).map(String::as_str).collect::<Vec<_>>().join(", ");
    match zones.len().saturating_sub(ZONES_NAMED_MAX) {
        _ if zones.is_empty() => "any zone".to_owned(),
        0 => named,
        more => format!("{named} and {more} more"),
    }
}

/// A moment by the clocks of the workspace's time zone.
fn moment(at: Timestamp, workspace: &Workspace) -> String {
    let zone = workspace.calendar.zone();
    let (zone, name) = match TimeZoneDatabase::bundled().get(zone) {
        Ok(known) => (known, zone),
        Err(_) => (TimeZone::UTC, "UTC"),
    };
    let at = jiff::Timestamp::from_millisecond(at.millis()).unwrap_or(jiff::Timestamp::MAX);
    format!("{} ({name})", at.to_zoned(zone).strftime("%H:%M on %-d %B"))
}
