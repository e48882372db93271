//! The history: a finished run as its page shows it, and the placements that it has tried.

use domain::{Attempt, Outcome, PhaseTimes, Run};
use serde::{Deserialize, Serialize};

use crate::time::Rfc3339;
use crate::view::name;

/// One run of the history.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RunView {
    pub run: u64,
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub started_at: Rfc3339,
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub ready_at: Option<Rfc3339>,
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub ended_at: Rfc3339,
    pub reason: String,
    pub signal: Option<String>,
    pub failure: Option<String>,
    pub started_by: Option<String>,
    /// The interrupted run in whose place it began.
    pub restart_of: Option<u64>,
    pub walk: Vec<AttemptView>,
    pub instance: Option<String>,
    pub zone: Option<String>,
    pub seconds: PhaseSecondsView,
    pub billed_seconds: u64,
    /// What it was reckoned at, and the day of that price list; null where it is not known.
    pub usd_per_hour: Option<f64>,
    pub price_date: Option<String>,
    pub cost_usd: f64,
    /// The part of `cost_usd` spent on no activity.
    pub idle_usd: f64,
}

/// How long a run was in each phase: together, from its start to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PhaseSecondsView {
    pub placing: u64,
    pub booting: u64,
    pub ready: u64,
    pub draining: u64,
    pub stopping: u64,
}

/// `GET /api/workspaces/{id}/runs`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RunsReply {
    pub runs: Vec<RunView>,
    /// What to give as `before` for the page after this one.
    pub next: Option<u64>,
}

/// One try of a placement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AttemptView {
    pub instance: String,
    pub zone: String,
    pub spot: bool,
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub at: Rfc3339,
    /// `trying`, `dry`, `timed_out`, `up`, `preempted`, `refused` or `given_up`.
    pub outcome: String,
}

impl AttemptView {
    pub(crate) fn of(attempt: &Attempt) -> Self {
        let outcome = match attempt.outcome {
            Outcome::Trying => "trying",
            Outcome::Dry => "dry",
            Outcome::TimedOut => "timed_out",
            Outcome::Up => "up",
            Outcome::Interrupted => "preempted",
            Outcome::Refused => "refused",
            Outcome::GivenUp => "given_up",
        };
        let Attempt { instance, zone, spot, at, .. } = attempt;
        let (instance, zone) = (instance.clone(), zone.clone());
        Self { instance, zone, spot: *spot, at: Rfc3339(*at), outcome: outcome.to_owned() }
    }
}

impl From<Run> for RunView {
    fn from(run: Run) -> Self {
        Self {
            run: run.number,
            started_at: Rfc3339(run.started_at),
            ready_at: run.ready_at.map(Rfc3339),
            ended_at: Rfc3339(run.ended_at),
            reason: name(run.reason),
            signal: run.signal.map(name),
            failure: run.failure.map(name),
            started_by: run.started_by,
            restart_of: run.restart_of,
            walk: run.walk.iter().map(AttemptView::of).collect(),
            instance: run.instance,
            zone: run.zone,
            seconds: run.in_phases.into(),
            billed_seconds: run.billed.0,
            usd_per_hour: run.price.as_ref().map(|price| price.per_hour.dollars()),
            price_date: run.price.and_then(|price| price.date),
            cost_usd: run.cost.dollars(),
            idle_usd: run.idle_cost.dollars(),
        }
    }
}

impl From<PhaseTimes> for PhaseSecondsView {
    fn from(times: PhaseTimes) -> Self {
        Self {
            placing: times.placing.0,
            booting: times.booting.0,
            ready: times.ready.0,
            draining: times.draining.0,
            stopping: times.stopping.0,
        }
    }
}
