//! A notice as an event, for a program that reads it: `{"type","id","timestamp","data"}`.

use domain::{Notice, NoticeKind, WorkspaceId};
use serde::Serialize;

use super::{Telling, words};
use crate::time::Rfc3339;

/// The name of an event: the same on each try, so that a receiver knows a repeat. No full stop is in it, for the
/// signature's parts are told apart by them (Standard Webhooks 1.0.0, "Signature scheme").
pub fn event_id(workspace: &WorkspaceId, notice: &Notice) -> String {
    format!("evt_{workspace}_{}_{}", notice.run, notice.sequence)
}

#[derive(Debug, Serialize)]
pub(super) struct Event<'a> {
    r#type: &'static str,
    id: String,
    /// When it came true; when it is sent stands in the header.
    timestamp: Rfc3339,
    data: Data<'a>,
}

#[derive(Debug, Serialize)]
struct Data<'a> {
    workspace: &'a str,
    title: &'a str,
    run: u64,
    page: Option<&'a str>,
    text: String,
    #[serde(flatten)]
    facts: Facts<'a>,
}

/// What belongs to one kind of event. Reasons and failures are named as in `GET …/runs`.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Facts<'a> {
    Ready {
        placement: &'a str,
        restarts: u32,
    },
    DrainingSoon {
        reason: String,
        ends_at: Rfc3339,
    },
    Stopped {
        reason: String,
        lasted_seconds: u64,
        billed_seconds: u64,
        cost_usd: f64,
        month_usd: f64,
        failure: Option<String>,
    },
    NoCapacity {
        zones: &'a [String],
        keep_trying_until: Option<Rfc3339>,
    },
    Preempted {
        zone: Option<&'a str>,
        host_error: bool,
        restarting: bool,
    },
    Budget {
        percent: u8,
        spent_usd: f64,
        monthly_usd: f64,
    },
}

/// What a program is told.
pub(super) fn event(telling: Telling<'_>) -> Event<'_> {
    let Telling { notice, workspace, page, .. } = telling;
    Event {
        r#type: kind_name(&notice.kind),
        id: event_id(&workspace.id, notice),
        timestamp: Rfc3339(notice.at),
        data: Data {
            workspace: workspace.id.as_str(),
            title: &workspace.title,
            run: notice.run,
            page,
            text: words::words(telling),
            facts: facts(&notice.kind),
        },
    }
}

fn kind_name(kind: &NoticeKind) -> &'static str {
    match kind {
        NoticeKind::Ready { .. } => "run.ready",
        NoticeKind::DrainingSoon { .. } => "run.draining_soon",
        NoticeKind::Stopped { .. } => "run.stopped",
        NoticeKind::NoCapacity { .. } => "run.no_capacity",
        NoticeKind::Preempted { .. } => "run.preempted",
        NoticeKind::Budget { .. } => "workspace.budget",
    }
}

fn facts(kind: &NoticeKind) -> Facts<'_> {
    let name = |value: &dyn std::fmt::Debug| format!("{value:?}");
    match kind {
        NoticeKind::Ready { placement, restarts } => Facts::Ready { placement, restarts: *restarts },
        NoticeKind::DrainingSoon { reason, ends_at } => {
            Facts::DrainingSoon { reason: name(reason), ends_at: Rfc3339(*ends_at) }
        }
        NoticeKind::Stopped { reason, lasted, billed, cost, month, failure } => Facts::Stopped {
            reason: name(reason),
            lasted_seconds: lasted.0,
            billed_seconds: billed.0,
            cost_usd: cost.dollars(),
            month_usd: month.dollars(),
            failure: failure.as_ref().map(|failure| name(failure)),
        },
        NoticeKind::NoCapacity { zones, until } => Facts::NoCapacity { zones, keep_trying_until: until.map(Rfc3339) },
        NoticeKind::Preempted { zone, host_error, restarting } => {
            Facts::Preempted { zone: zone.as_deref(), host_error: *host_error, restarting: *restarting }
        }
        NoticeKind::Budget { percent, spent, limit } => {
            Facts::Budget { percent: *percent, spent_usd: spent.dollars(), monthly_usd: limit.dollars() }
        }
    }
}
