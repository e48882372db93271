//! What Pilotlight decides, and nothing else.
//!
//! Pure: no runtime, no serialisation, no clock, no environment, no chance. Whoever calls loads a [`Record`], asks
//! [`decide`] or [`next_step`], and saves the answer; a repeated, late or lost call is harmless because every answer
//! follows from the record and what is seen of the machines alone.
//!
//! | question | answered in |
//! |---|---|
//! | may this happen, and what follows from it? | [`decide`] (`decide.rs`) |
//! | what do the worker's calls leave behind? | `calls.rs` |
//! | what does the VM's word leave behind? | `heartbeat.rs` |
//! | is this run in use; when does it stop? | `idleness.rs` |
//! | which limit is over; is a stop announced? | `passing.rs` |
//! | what must be done to the machines next? | [`next_step`] (`step.rs`) |
//! | what must the reaper repair? | [`plan`] (`plan.rs`) |
//! | who may do what, for how long? | `session.rs`, `ticket.rs`, `throttle.rs` |
//! | which placement is tried next? | `walk.rs` |
//! | what follows an interruption? | `interruption.rs` |
//! | what did it cost; is the budget used up? | `cost.rs`, `budget.rs`, `calendar.rs` |
//! | what are people told, and how often is it tried? | `telling.rs`, `notice.rs` |
//! | how long was it in each phase? | `phase_times.rs` |

mod budget;
mod calendar;
mod calls;
mod cost;
mod decide;
mod ending;
mod event;
mod heartbeat;
mod idleness;
mod interruption;
mod notice;
mod passing;
mod phase_times;
mod plan;
mod record;
mod session;
mod step;
mod telling;
mod throttle;
mod ticket;
mod time;
mod walk;
mod workspace;

pub use budget::{Budget, BudgetOf, BudgetTold, StartRequest, UserMonth, WhenUsedUp};
pub use calendar::Calendar;
pub use cost::{MicroUsd, Month, Price};
pub use decide::{Decision, Denied, decide};
pub use event::{Event, Heartbeat, OperationError, OperationErrorKind, Reading};
pub use idleness::{due_at, write_threshold};
pub use notice::{NOTICE_TRIES_MAX, NOTICES_MAX, Notice, NoticeKind, again_after};
pub use phase_times::PhaseTimes;
pub use plan::{Repair, UpInstance, plan};
pub use record::{
    Activity, Boot, BootReport, BootStep, Call, Failure, FailureCode, LastStop, Phase, Record, Run, RunNumber, Signal,
    StepTime, StopReason, Wish,
};
pub use session::{Act, Role, SESSION_LIFE, Session, SessionRefused};
pub use step::{Action, InstanceSeen, InstanceStatus, Step, next_step};
pub use throttle::{Attempts, THROTTLE, Throttle};
pub use ticket::{TICKET_LIFE, Ticket, TicketRefused};
pub use time::{Seconds, Timestamp};
pub use walk::{ATTEMPTS_KEPT_MAX, Attempt, FoundDry, Outcome, Walk};
pub use workspace::{Placement, Policy, PolicyError, SpotOrder, Workspace, WorkspaceId, WorkspaceIdError};
