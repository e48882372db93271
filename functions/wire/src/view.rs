//! The view: a workspace as its page shows it.

use domain::{BootStep, Phase, Placement, Price, Record, StepTime, Timestamp, WhenUsedUp, Workspace};
use serde::{Deserialize, Serialize};

use crate::failure::{FailureView, failure_view};
use crate::heartbeat::{boot_step_name, phase_name, wish_name};
use crate::run_view::AttemptView;
use crate::time::Rfc3339;

/// `GET /api/workspaces/{id}`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WorkspaceView {
    pub id: String,
    pub title: String,
    pub wish: String,
    pub phase: String,
    pub run: u64,
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub now: Rfc3339,
    pub placement: Option<PlacementView>,
    pub boot: Option<BootView>,
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub started_at: Option<Rfc3339>,
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub ready_at: Option<Rfc3339>,
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub last_active_at: Option<Rfc3339>,
    pub active_because: Option<String>,
    /// What is going on by the VM's last word, whatever else keeps it on: `Queue` while a job runs or waits.
    pub working: Option<String>,
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub stop_at: Option<Rfc3339>,
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub hard_stop_at: Option<Rfc3339>,
    /// End of the announcement, while one runs.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub drain_ends_at: Option<Rfc3339>,
    /// Why it is draining or stopping.
    pub ending: Option<String>,
    /// Somebody, or something, has used this run.
    pub opened: bool,
    pub cost: CostView,
    pub last_stop: Option<LastStopView>,
    pub failure: Option<FailureView>,
    /// The placements that this run, or the last, has tried, oldest first.
    pub walk: Vec<AttemptView>,
    /// While it is tried again and again.
    pub keep_trying: Option<KeepTryingView>,
    /// Restarts after interruptions in a row, this run being the last of them.
    pub restarts: u32,
    /// What an interruption leaves in ComfyUI's queue is put back: the users have agreed.
    pub restore_queue: bool,
    /// Prompts of an interrupted run that wait to be put back, by the VM's last word.
    pub kept_prompts: u32,
    pub disk: DiskView,
    pub budget: Option<BudgetView>,
    pub limits: LimitsView,
    /// When to ask again, in milliseconds of the browser's own clock.
    pub poll_after_ms: u64,
    /// Policy seconds in one second of the browser's clock; 1 outside the pocket cloud.
    pub clock_rate: f64,
}

/// The placement in use, or the one that a start would try first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PlacementView {
    pub instance: String,
    pub zone: String,
    pub spot: bool,
    pub machine_type: String,
    pub accelerator: String,
    /// While a run is up, the price that it is reckoned at.
    pub usd_per_hour: f64,
    /// Day of the price list, `2026-07-30`; null where it is not known.
    pub price_date: Option<String>,
}

/// How far a boot is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BootView {
    pub step: String,
    pub percent: u8,
    pub detail: String,
    /// How long the whole boot took last time.
    pub usual_seconds: Option<u64>,
    /// The steps that are over, and the current one.
    pub steps: Vec<BootStepView>,
}

/// One step of a boot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BootStepView {
    pub step: String,
    /// So far, for the current one.
    pub seconds: u64,
    /// How long it took last time.
    pub usual_seconds: Option<u64>,
}

/// Dollars.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CostView {
    pub run_usd: f64,
    pub month_usd: f64,
    /// The part of `run_usd` spent on no activity.
    pub idle_usd: f64,
}

/// A start that goes on while no placement has a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct KeepTryingView {
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub until: Rfc3339,
    /// While it waits between two rounds.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub next_at: Option<Rfc3339>,
    /// Rounds in which no placement had a machine.
    pub rounds: u32,
}

/// Where the data disk can be used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DiskView {
    /// It moves between the zones; else it is in one.
    pub regional: bool,
    pub zones: Vec<String>,
}

/// What this month may cost, and has cost.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BudgetView {
    pub monthly_usd: f64,
    pub spent_usd: f64,
    /// Whole percent, rounded down.
    pub percent: u8,
    pub used_up: bool,
    /// `next_idle` or `hard_limit`.
    pub when_used_up: String,
}

/// How the last run ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LastStopView {
    pub reason: String,
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub at: Rfc3339,
    pub signal: Option<String>,
    pub run: u64,
    pub cost_usd: f64,
    pub seconds: u64,
}

/// The limits that hold for this workspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LimitsView {
    pub idle_minutes: u64,
    pub arrival_minutes: u64,
    pub hard_minutes: u64,
}

/// `GET /api/workspaces`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WorkspacesReply {
    pub workspaces: Vec<WorkspaceView>,
}

/// The page asks this often while something is under way, and while all is at rest (milliseconds).
const POLL_IN_TRANSITION_MS: u64 = 1500;
const POLL_AT_REST_MS: u64 = 20_000;
/// Never more often than this, whatever the clock's rate.
const POLL_LEAST_MS: u64 = 500;

impl WorkspaceView {
    /// How `record` looks `now`, in the project of this name.
    pub fn of(record: &Record, workspace: &Workspace, project: &str, now: Timestamp, clock_rate: f64) -> Self {
        let placement = record
            .placement
            .as_deref()
            .and_then(|instance| workspace.placement(instance))
            .or_else(|| workspace.placements.first());
        let policy = &workspace.policy;
        let moment = |at: Option<Timestamp>| at.map(Rfc3339);
        Self {
            id: workspace.id.as_str().to_owned(),
            title: workspace.title.clone(),
            wish: wish_name(record.wish),
            phase: phase_name(record.phase),
            run: record.run,
            now: Rfc3339(now),
            placement: placement.map(|placement| placement_view(placement, record.price.as_ref())),
            boot: boot_view(record, now),
            started_at: moment(record.started_at),
            ready_at: moment(record.ready_at),
            last_active_at: moment(record.last_active.map(|last| last.at)),
            active_because: record.last_active.map(|last| name(last.signal)),
            working: record.working.map(name),
            stop_at: moment(record.stop_at),
            hard_stop_at: moment(record.hard_stop_at),
            drain_ends_at: moment(record.drain_ends_at),
            ending: record.ending.map(name),
            opened: record.last_active.is_some(),
            cost: cost_view(record, workspace, now),
            last_stop: record.last_stop.as_ref().map(|stop| LastStopView {
                reason: name(stop.reason),
                at: Rfc3339(stop.at),
                signal: stop.signal.map(name),
                run: stop.run,
                cost_usd: stop.cost.dollars(),
                seconds: stop.lasted.0,
            }),
            failure: record.failure.as_ref().map(|failure| failure_view(failure, workspace, project)),
            walk: record.walk.attempts.iter().map(AttemptView::of).collect(),
            keep_trying: keep_trying_view(record, now),
            restarts: record.restarts,
            restore_queue: record.restore_queue,
            kept_prompts: record.kept_prompts,
            disk: disk_view(workspace),
            budget: budget_view(record, workspace, now),
            limits: LimitsView {
                idle_minutes: policy.idle_limit.0 / 60,
                arrival_minutes: policy.arrival_limit.0 / 60,
                hard_minutes: policy.hard_limit.0 / 60,
            },
            poll_after_ms: poll_after_ms(record, now, clock_rate),
            clock_rate,
        }
    }
}

fn keep_trying_view(record: &Record, now: Timestamp) -> Option<KeepTryingView> {
    let until = record.walk.keep_trying_until.filter(|_| record.phase == Phase::Placing)?;
    let next_at = record.walk.not_before.filter(|at| now < *at);
    Some(KeepTryingView { until: Rfc3339(until), next_at: next_at.map(Rfc3339), rounds: record.walk.rounds })
}

fn disk_view(workspace: &Workspace) -> DiskView {
    let mut zones: Vec<String> = Vec::new();
    for placement in &workspace.placements {
        if !zones.contains(&placement.zone) {
            zones.push(placement.zone.clone());
        }
    }
    DiskView { regional: workspace.disk.is_some(), zones }
}

fn budget_view(record: &Record, workspace: &Workspace, now: Timestamp) -> Option<BudgetView> {
    let budget = workspace.policy.budget;
    let percent = record.budget_percent(now, workspace)?;
    let when_used_up = match budget.when_used_up {
        WhenUsedUp::NextIdle => "next_idle",
        WhenUsedUp::HardLimit => "hard_limit",
    };
    Some(BudgetView {
        monthly_usd: budget.monthly?.dollars(),
        spent_usd: record.month_cost(now, workspace).spent.dollars(),
        percent,
        used_up: record.budget_is_used_up(now, workspace),
        when_used_up: when_used_up.to_owned(),
    })
}

/// The name of a variant on the wire.
pub(crate) fn name(value: impl std::fmt::Debug) -> String {
    format!("{value:?}")
}

/// Quick while something is under way, slow at rest, and never later than the next thing that will happen.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "clamped")]
fn poll_after_ms(record: &Record, now: Timestamp, clock_rate: f64) -> u64 {
    let rest = match record.phase {
        Phase::Stopped | Phase::Failed | Phase::Ready => POLL_AT_REST_MS,
        Phase::Placing | Phase::Booting | Phase::Draining | Phase::Stopping => POLL_IN_TRANSITION_MS,
    };
    let next = match record.phase {
        Phase::Ready => record.stop_at,
        _ => None,
    };
    let until_next = next.map_or(u64::MAX, |at| (at.since(now).0 as f64 * 1000.0 / clock_rate) as u64 + POLL_LEAST_MS);
    // A faster clock wants quicker looks, within reason.
    let paced = (rest as f64 / clock_rate.clamp(1.0, 10.0)) as u64;
    paced.min(until_next).max(POLL_LEAST_MS)
}

/// A placement, at the price that a run which is up is reckoned at, else at what is declared.
fn placement_view(placement: &Placement, run_price: Option<&Price>) -> PlacementView {
    let Price { per_hour, date } = run_price.cloned().unwrap_or_else(|| placement.into());
    PlacementView {
        instance: placement.instance.clone(),
        zone: placement.zone.clone(),
        spot: placement.spot,
        machine_type: placement.machine_type.clone(),
        accelerator: placement.accelerator.clone(),
        usd_per_hour: per_hour.dollars(),
        price_date: date,
    }
}

fn boot_view(record: &Record, now: Timestamp) -> Option<BootView> {
    let boot = record.boot.as_ref()?;
    let usual = |step: BootStep| record.usual.iter().find(|usual| usual.step == step).map(|usual| usual.took.0);
    let current = StepTime { step: boot.step, took: now.since(boot.since) };
    let steps = boot.done.iter().chain([&current]);
    let total: u64 = record.usual.iter().map(|usual| usual.took.0).sum();
    Some(BootView {
        step: boot_step_name(boot.step).to_owned(),
        percent: boot.percent,
        detail: boot.detail.clone(),
        usual_seconds: (total > 0).then_some(total),
        steps: steps
            .map(|time| BootStepView {
                step: boot_step_name(time.step).to_owned(),
                seconds: time.took.0,
                usual_seconds: usual(time.step),
            })
            .collect(),
    })
}

fn cost_view(record: &Record, workspace: &Workspace, now: Timestamp) -> CostView {
    CostView {
        run_usd: record.run_cost(now, workspace).dollars(),
        month_usd: record.month_cost(now, workspace).spent.dollars(),
        idle_usd: record.idle_cost(now, workspace).dollars(),
    }
}
