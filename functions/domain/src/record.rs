//! The record of a workspace: everything Pilotlight remembers of it, and what each part means.
//!
//! ```text
//!            start                 running               comfyui up
//!  Stopped ─────────► Placing ───────────────► Booting ─────────────► Ready ◄─────┐ activity,
//!     ▲                  │ all dry, quota         │ failed, stands still │ idle    │ keep running
//!     │                  ▼                        │                      ▼         │
//!     │               Failed ◄──── failure ───┐   │        stop      Draining ─────┘
//!     │                                       │   ▼                      │ announced long enough
//!     └────────────── all terminated ───── Stopping ◄────────────────────┘
//! ```

use crate::budget::{BudgetTold, UserMonth};
use crate::cost::{MicroUsd, Month, Price};
use crate::notice::Notice;
use crate::phase_times::PhaseTimes;
use crate::step::Action;
use crate::time::{Seconds, Timestamp};
use crate::walk::{Attempt, FoundDry, Walk};
use crate::workspace::Policy;

/// The number of a run; 0 before the first. It fences late messages.
pub type RunNumber = u64;

/// What the user last asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Wish {
    #[default]
    Stopped,
    Running,
}

/// Where the workspace is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    #[default]
    Stopped,
    Placing,
    Booting,
    Ready,
    Draining,
    Stopping,
    Failed,
}

impl Phase {
    /// A machine of this workspace is wanted, or on its way out under our eyes.
    pub fn expects_machine(self) -> bool {
        !matches!(self, Self::Stopped | Self::Failed)
    }

    /// ComfyUI can be opened.
    pub fn is_open(self) -> bool {
        matches!(self, Self::Ready | Self::Draining)
    }
}

/// What showed that somebody, or something, is at work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Signal {
    /// ComfyUI's queue runs or holds a job.
    Queue,
    /// Requests or WebSocket messages that a person caused.
    Traffic,
    /// The GPU computes.
    Gpu,
    /// A person's own pointer, key or wheel.
    Person,
}

/// Evidence of use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Activity {
    pub at: Timestamp,
    pub signal: Signal,
}

/// Why a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StopReason {
    /// No activity for the idle limit.
    Idle,
    /// Ready, but nobody came within the arrival limit.
    NeverOpened,
    /// Its user asked.
    User,
    /// The longest life of a run was over.
    HardLimit,
    /// The VM had not been heard for the silence limit.
    Silent,
    /// Google took the Spot machine back.
    Preempted,
    /// The host under the machine broke.
    HostError,
    /// The month's budget was used up, and nobody used the machine.
    Budget,
    /// The machine stopped without our asking.
    MachineStopped,
    /// It never came up; the failure says why.
    StartFailed,
}

impl StopReason {
    /// Google took the machine away under the run.
    pub(crate) fn is_interruption(self) -> bool {
        matches!(self, Self::Preempted | Self::HostError)
    }
}

/// What a boot is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BootStep {
    #[default]
    Placing,
    Booting,
    MountingDisk,
    Installing,
    GettingCertificate,
    StartingComfyui,
}

/// A boot step and how long it took, or has taken so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StepTime {
    pub step: BootStep,
    pub took: Seconds,
}

/// How far a boot is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Boot {
    pub step: BootStep,
    pub since: Timestamp,
    /// 0 to 100, of the whole boot as far as the VM tells.
    pub percent: u8,
    /// A line for the person who waits.
    pub detail: String,
    /// Steps that are over, in order.
    pub done: Vec<StepTime>,
    /// When it last came further. A boot that moves is let go on, and one that stands still is not.
    pub moved_at: Timestamp,
}

impl Boot {
    /// The same boot at `step`; the step before it is over if it is another.
    pub(crate) fn at(mut self, report: BootReport, now: Timestamp) -> Self {
        if self.moves(&report) {
            self.moved_at = now;
        }
        if report.step > self.step {
            self.done.push(StepTime { step: self.step, took: now.since(self.since) });
            self.step = report.step;
            self.since = now;
        } else if report.step < self.step {
            // Reports may overtake each other; a boot does not go backwards.
            return self;
        }
        self.percent = self.percent.max(report.percent.min(100));
        self.detail = report.detail;
        self
    }

    /// Whether the report shows that the boot has come further.
    ///
    /// While ComfyUI starts, the percent is reckoned from the time that has passed, and shows nothing.
    fn moves(&self, report: &BootReport) -> bool {
        let further = report.percent > self.percent && self.step != BootStep::StartingComfyui;
        report.step > self.step || (report.step == self.step && (further || report.detail != self.detail))
    }
}

/// The VM's word on how far its boot is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BootReport {
    pub step: BootStep,
    pub percent: u8,
    pub detail: String,
    /// The boot has ended here, without ComfyUI; the detail says why.
    pub failed: bool,
}

/// A call to Compute Engine that was announced in the record before it was made.
///
/// Until it is answered or `until` has passed, nobody makes another: the call may still arrive.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Call {
    pub action: Action,
    /// Counts the calls of a run: with workspace and run it makes the `requestId`, so that a repeat is one.
    pub sequence: u32,
    pub announced_at: Timestamp,
    pub until: Timestamp,
    /// Name of the accepted operation.
    pub operation: Option<String>,
    /// The same was announced before and never answered: it may have been done already.
    pub repeats: bool,
}

impl Call {
    /// It may still arrive, or its operation may still fail.
    pub fn is_outstanding(&self, now: Timestamp) -> bool {
        self.operation.is_some() || now < self.until
    }
}

/// Why a workspace cannot run, as a stable code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FailureCode {
    /// No placement has the machine at this moment.
    StockOut,
    /// The project's quota does not allow it.
    Quota,
    /// The service may not do what it must.
    Permission,
    /// A declared instance or disk does not exist.
    NotFound,
    /// Compute Engine refused for another reason.
    Refused,
    /// No machine within the placing limit.
    PlacingTimedOut,
    /// A machine, but its boot had not come any further for the booting limit.
    BootTimedOut,
    /// The machine has said that it could not set itself up.
    BootFailed,
    /// The machine did not stop within the stopping limit.
    StopTimedOut,
    /// The disk may be held in a zone that does not answer.
    ZoneGone,
    /// Google took the machine back too often in a row.
    Interrupted,
}

/// Why a workspace cannot run, and from when it is worth another try.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Failure {
    pub code: FailureCode,
    /// What Google or the VM said, for the owner.
    pub detail: String,
    /// Where; for [`FailureCode::ZoneGone`] the zone that does not answer.
    pub zone: Option<String>,
    pub retry_at: Option<Timestamp>,
    /// How far the boot had come, where that is what failed.
    pub step: Option<BootStep>,
}

/// How the last run ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LastStop {
    pub run: RunNumber,
    pub reason: StopReason,
    pub at: Timestamp,
    /// The signal that had kept it alive last.
    pub signal: Option<Signal>,
    pub cost: MicroUsd,
    /// From accepted start to stopped.
    pub lasted: Seconds,
}

/// One life of a workspace, for the history.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Run {
    pub number: RunNumber,
    pub started_at: Timestamp,
    pub ready_at: Option<Timestamp>,
    pub ended_at: Timestamp,
    pub reason: StopReason,
    pub signal: Option<Signal>,
    pub failure: Option<FailureCode>,
    /// Who started it, or the run that it follows after an interruption.
    pub started_by: Option<String>,
    /// The interrupted run in whose place it began.
    pub restart_of: Option<RunNumber>,
    /// The last placements tried, oldest first.
    pub walk: Vec<Attempt>,
    /// The instance that carried it, if any did.
    pub instance: Option<String>,
    pub zone: Option<String>,
    /// How long it was in each phase: together, from `started_at` to `ended_at`.
    pub in_phases: PhaseTimes,
    /// Time billed.
    pub billed: Seconds,
    /// What it was reckoned at; `None` where its placement was declared no more.
    pub price: Option<Price>,
    pub cost: MicroUsd,
    /// The part of the cost that was spent on no activity.
    pub idle_cost: MicroUsd,
}

/// Everything that is remembered of a workspace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Record {
    pub wish: Wish,
    pub phase: Phase,
    pub run: RunNumber,
    pub phase_since: Timestamp,
    /// Instance name of the placement in use, or being tried.
    pub placement: Option<String>,
    /// How far the walk from placement to placement is.
    pub walk: Walk,
    /// Placements that were dry a short while ago, perhaps in a run before.
    pub dry_lately: Vec<FoundDry>,
    /// The zone that an admin has said is gone: the disk is taken from whatever holds it there.
    pub lost_zone: Option<String>,
    pub call: Option<Call>,
    /// Calls announced in this run.
    pub calls: u32,
    /// Compute Engine's own number of the instance in use.
    pub instance_id: Option<u64>,
    pub started_at: Option<Timestamp>,
    pub started_by: Option<String>,
    /// Restarts after interruptions in a row, this run being the last of them.
    pub restarts: u32,
    /// The interrupted run in whose place this one began.
    pub restart_of: Option<RunNumber>,
    /// What this run may cost before its user's budget is used up; `None` where nothing bounds it.
    pub allowance: Option<MicroUsd>,
    /// An admin has started it though the budget was used up.
    pub beyond_budget: bool,
    pub ready_at: Option<Timestamp>,
    /// Since when Google bills the instance.
    pub billed_since: Option<Timestamp>,
    /// What it was declared to cost then; see [`Record::price`].
    pub price: Option<Price>,
    /// Time of this run in the phases before the one it is in.
    pub in_phases: PhaseTimes,
    pub last_active: Option<Activity>,
    /// What the VM's last heartbeat that knew said is going on.
    pub working: Option<Signal>,
    /// Last heartbeat that knew whether ComfyUI works.
    pub heard_at: Option<Timestamp>,
    /// Last heartbeat that said: nothing going on.
    pub idle_heard_at: Option<Timestamp>,
    pub stop_at: Option<Timestamp>,
    pub hard_stop_at: Option<Timestamp>,
    pub drain_ends_at: Option<Timestamp>,
    /// Why it is draining or stopping; in `Booting` and `Ready`, that Google has said it takes the machine back.
    pub ending: Option<StopReason>,
    pub boot: Option<Boot>,
    /// How long each step of the last complete boot took.
    pub usual: Vec<StepTime>,
    /// Time of this run spent on no activity, up to the last one.
    pub idle: Seconds,
    pub last_stop: Option<LastStop>,
    pub failure: Option<Failure>,
    pub month: Month,
    /// What the users have spent on it in this month.
    pub by_user: Vec<UserMonth>,
    /// What has been told of the budget.
    pub budget_told: Option<BudgetTold>,
    /// Put back into ComfyUI's queue what an interruption has left in it: its users have agreed.
    pub restore_queue: bool,
    /// The last run that was interrupted.
    pub interrupted_run: Option<RunNumber>,
    /// Prompts of an interrupted run that lie on the data disk, by the VM's last word.
    pub kept_prompts: u32,
    /// What is still to be told.
    pub notices: Vec<Notice>,
    /// Notices made so far, which numbers them.
    pub notices_made: u64,
}

impl Record {
    /// Whether the boot under way has stood still for the booting limit. One that moves ends at the hard end.
    pub(crate) fn boot_stands_still(&self, now: Timestamp, policy: &Policy) -> bool {
        let moved_at = self.boot.as_ref().map(|boot| boot.moved_at).max(Some(self.phase_since)).unwrap_or_default();
        self.phase == Phase::Booting && now.since(moved_at) >= policy.booting_limit
    }

    /// How long this run has been in each phase up to `now`; nothing where none is under way.
    pub(crate) fn phase_times(&self, now: Timestamp) -> PhaseTimes {
        self.started_at.map_or_else(PhaseTimes::default, |started| self.in_phases.until(now.since(started), self.phase))
    }
}
