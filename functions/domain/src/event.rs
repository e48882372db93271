//! What can happen to a workspace.

use crate::budget::StartRequest;
use crate::notice::Notice;
use crate::record::{Activity, BootReport, RunNumber, Signal};
use crate::step::{Action, InstanceSeen};
use crate::time::{Seconds, Timestamp};

/// Something that happened to a workspace.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// A user pressed Start, or Keep running.
    StartRequested(StartRequest),
    /// A user pressed Stop.
    StopRequested,
    /// The page is open; `person_at` is its user's own last input while it was visible.
    KeepAlive { person_at: Option<Timestamp> },
    /// A user asked that idleness stop nothing for so long.
    ExtendRequested { by: Seconds },
    /// The VM spoke.
    Heartbeat(Heartbeat),
    /// Compute Engine told how an instance of the workspace is.
    InstanceSeen(InstanceSeen),
    /// The worker is about to make a call.
    CallIntended(Action),
    /// Compute Engine accepted the announced call.
    CallAccepted { operation: String },
    /// The accepted operation is over and went well.
    OperationDone,
    /// The announced call was refused, or its operation is over and went wrong.
    OperationFailed(OperationError),
    /// Google has said, at that moment of its own clock, that it takes the machine back.
    Preempted { instance_id: u64, at: Timestamp },
    /// Google has said that the host under the machine broke at that moment.
    HostError { instance_id: u64, at: Timestamp },
    /// Somebody has said whether the queue of an interrupted run is put back.
    QueueAgreed { restore: bool },
    /// An admin has said that this zone is gone, and wants the workspace started without it.
    ZoneLost { zone: String, request: StartRequest },
    /// This notice is about to be sent.
    NoticeTaken { sequence: u64 },
    /// This notice has surely not arrived; its receiver wants to be left alone for `at_least`.
    NoticeReturned { notice: Notice, at_least: Seconds },
    /// The start that is under way is overdue, and its machine was looked at: it is not up.
    AttemptOverdue,
    /// Time has passed.
    SweepDue,
}

/// The VM's word on what it is doing.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Heartbeat {
    pub instance: String,
    pub instance_id: u64,
    /// The run the VM believes it serves; `None` before it has been told.
    pub run: Option<RunNumber>,
    /// ComfyUI answers.
    pub comfyui_up: bool,
    pub reading: Reading,
    pub boot: Option<BootReport>,
    /// Prompts of an interrupted run that lie on the data disk; `None` where it does not say.
    pub kept_prompts: Option<u32>,
}

/// What a VM knows of its own use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reading {
    /// ComfyUI did not answer when it was asked.
    Unknown,
    /// Nothing is going on; the last thing that was.
    Idle { last: Option<Activity> },
    /// Something is going on at this moment.
    Busy(Signal),
}

/// How a call to Compute Engine went wrong, sorted by what can be done about it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OperationError {
    pub kind: OperationErrorKind,
    /// Google's own words.
    pub detail: String,
    /// Zones in which Google says there are machines, in its order.
    pub zones: Vec<String>,
}

/// See [`OperationError::kind`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OperationErrorKind {
    /// The zone has no such machine at the moment: try another placement.
    StockOut,
    /// The zone does not answer: try another placement.
    ZoneDown,
    /// The disk may be held in a zone that does not answer; the error's `zones` name it.
    DiskOutOfReach,
    Quota,
    Permission,
    NotFound,
    /// The resource is in transition, or the API is over its rate: try the same again.
    Transient,
    /// Anything else: trying elsewhere would not help.
    Refused,
}
