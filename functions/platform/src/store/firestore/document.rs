//! How a record and a run look as Firestore documents.
//!
//! ```text
//! workspaces/{id}                { record: {…}, due_at: timestamp?, save: "…" }
//! workspaces/{id}/runs/{number}  { number: 7, started_at: timestamp, … }
//! ```
//! Field names are those of the domain, enums are their variants' names, times are timestamps, lengths are seconds and
//! money is millionths of a dollar, as integers. What is `None` is absent, and so may be what older documents did not
//! have. The types below repeat the domain's, so that a change there that this would miss does not compile.

use domain::{
    Action, Activity, Attempt, Boot, BootStep, BudgetTold, Call, Failure, FailureCode, FoundDry, LastStop, MicroUsd,
    Month, Notice, NoticeKind, Outcome, Phase, PhaseTimes, Price, Record, Run, Seconds, Signal, StepTime, StopReason,
    Timestamp, UserMonth, Walk, Wish,
};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::stored::{self, Stored, stored_as};

/// `workspaces/{id}`
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct WorkspaceDocument {
    #[serde(with = "stored")]
    pub(super) record: Record,
    /// The sweep's query: absent when nothing is due.
    #[serde(default, with = "stored")]
    pub(super) due_at: Option<Timestamp>,
    /// Another one at each save. Firestore leaves `updateTime` alone when a write changes nothing, and two that save
    /// the same from the same state would both believe that they were first.
    pub(super) save: String,
}

/// `workspaces/{id}/runs/{number}`
#[derive(Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct RunDocument(#[serde(with = "stored")] pub(super) Run);

/// Compute Engine's number of an instance uses all 64 bits, so it is a text.
mod instance_id {
    use super::{Deserialize as _, Deserializer, Serialize as _, Serializer};
    use serde::de::Error as _;

    #[expect(clippy::ref_option, reason = "the signature that serde calls")]
    pub(super) fn serialize<S: Serializer>(number: &Option<u64>, serializer: S) -> Result<S::Ok, S::Error> {
        number.map(|number| number.to_string()).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        text.map(|text| text.parse().map_err(D::Error::custom)).transpose()
    }
}

stored_as! {
    RecordFields: Record, RunFields: Run, CallFields: Call, BootFields: Boot, FailureFields: Failure,
    LastStopFields: LastStop, ActivityFields: Activity, StepTimeFields: StepTime, MonthFields: Month,
    PriceFields: Price, PhaseTimesFields: PhaseTimes, WalkFields: Walk, AttemptFields: Attempt, FoundDryFields: FoundDry,
    UserMonthFields: UserMonth, NoticeFields: Notice, NoticeKindFields: NoticeKind, OutcomeName: Outcome,
    WishName: Wish, PhaseName: Phase, SignalName: Signal, StopReasonName: StopReason, BootStepName: BootStep,
    FailureCodeName: FailureCode, ActionName: Action, BudgetToldFields: BudgetTold,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Record")]
struct RecordFields {
    #[serde(with = "stored")]
    wish: Wish,
    #[serde(with = "stored")]
    phase: Phase,
    #[serde(with = "stored")]
    run: u64,
    #[serde(with = "stored")]
    phase_since: Timestamp,
    placement: Option<String>,
    #[serde(default, with = "stored")]
    walk: Walk,
    #[serde(default, with = "stored")]
    dry_lately: Vec<FoundDry>,
    lost_zone: Option<String>,
    #[serde(default, with = "stored")]
    call: Option<Call>,
    calls: u32,
    #[serde(default, with = "instance_id")]
    instance_id: Option<u64>,
    #[serde(default, with = "stored")]
    started_at: Option<Timestamp>,
    started_by: Option<String>,
    #[serde(default)]
    restarts: u32,
    #[serde(default, with = "stored")]
    restart_of: Option<u64>,
    #[serde(default, with = "stored")]
    allowance: Option<MicroUsd>,
    #[serde(default)]
    beyond_budget: bool,
    #[serde(default, with = "stored")]
    ready_at: Option<Timestamp>,
    #[serde(default, with = "stored")]
    billed_since: Option<Timestamp>,
    #[serde(default, with = "stored")]
    price: Option<Price>,
    #[serde(default, with = "stored")]
    in_phases: PhaseTimes,
    #[serde(default, with = "stored")]
    last_active: Option<Activity>,
    #[serde(default, with = "stored")]
    working: Option<Signal>,
    #[serde(default, with = "stored")]
    heard_at: Option<Timestamp>,
    #[serde(default, with = "stored")]
    idle_heard_at: Option<Timestamp>,
    #[serde(default, with = "stored")]
    stop_at: Option<Timestamp>,
    #[serde(default, with = "stored")]
    hard_stop_at: Option<Timestamp>,
    #[serde(default, with = "stored")]
    drain_ends_at: Option<Timestamp>,
    #[serde(default, with = "stored")]
    ending: Option<StopReason>,
    #[serde(default, with = "stored")]
    boot: Option<Boot>,
    #[serde(default, with = "stored")]
    usual: Vec<StepTime>,
    #[serde(with = "stored")]
    idle: Seconds,
    #[serde(default, with = "stored")]
    last_stop: Option<LastStop>,
    #[serde(default, with = "stored")]
    failure: Option<Failure>,
    #[serde(with = "stored")]
    month: Month,
    #[serde(default, with = "stored")]
    by_user: Vec<UserMonth>,
    #[serde(default, with = "stored")]
    budget_told: Option<BudgetTold>,
    #[serde(default)]
    restore_queue: bool,
    #[serde(default, with = "stored")]
    interrupted_run: Option<u64>,
    #[serde(default)]
    kept_prompts: u32,
    #[serde(default, with = "stored")]
    notices: Vec<Notice>,
    #[serde(default, with = "stored")]
    notices_made: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Run")]
struct RunFields {
    #[serde(with = "stored")]
    number: u64,
    #[serde(with = "stored")]
    started_at: Timestamp,
    #[serde(default, with = "stored")]
    ready_at: Option<Timestamp>,
    #[serde(with = "stored")]
    ended_at: Timestamp,
    #[serde(with = "stored")]
    reason: StopReason,
    #[serde(default, with = "stored")]
    signal: Option<Signal>,
    #[serde(default, with = "stored")]
    failure: Option<FailureCode>,
    started_by: Option<String>,
    #[serde(default, with = "stored")]
    restart_of: Option<u64>,
    #[serde(default, with = "stored")]
    walk: Vec<Attempt>,
    instance: Option<String>,
    zone: Option<String>,
    #[serde(default, with = "stored")]
    in_phases: PhaseTimes,
    #[serde(with = "stored")]
    billed: Seconds,
    #[serde(default, with = "stored")]
    price: Option<Price>,
    #[serde(with = "stored")]
    cost: MicroUsd,
    #[serde(with = "stored")]
    idle_cost: MicroUsd,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Call")]
struct CallFields {
    #[serde(with = "stored")]
    action: Action,
    sequence: u32,
    #[serde(with = "stored")]
    announced_at: Timestamp,
    #[serde(with = "stored")]
    until: Timestamp,
    operation: Option<String>,
    #[serde(default)]
    repeats: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Action", tag = "kind")]
enum ActionName {
    StartInstance { instance: String },
    StopInstance { instance: String },
    DetachDisk { instance: String },
    AttachDisk { instance: String },
    ForceAttachDisk { instance: String },
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Boot")]
struct BootFields {
    #[serde(with = "stored")]
    step: BootStep,
    #[serde(with = "stored")]
    since: Timestamp,
    percent: u8,
    detail: String,
    #[serde(default, with = "stored")]
    done: Vec<StepTime>,
    // Before this was kept, a boot was judged by when its phase began, which is later than the beginning of time.
    #[serde(default, with = "stored")]
    moved_at: Timestamp,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Failure")]
struct FailureFields {
    #[serde(with = "stored")]
    code: FailureCode,
    detail: String,
    zone: Option<String>,
    #[serde(default, with = "stored")]
    retry_at: Option<Timestamp>,
    #[serde(default, with = "stored")]
    step: Option<BootStep>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "LastStop")]
struct LastStopFields {
    #[serde(with = "stored")]
    run: u64,
    #[serde(with = "stored")]
    reason: StopReason,
    #[serde(with = "stored")]
    at: Timestamp,
    #[serde(default, with = "stored")]
    signal: Option<Signal>,
    #[serde(with = "stored")]
    cost: MicroUsd,
    #[serde(with = "stored")]
    lasted: Seconds,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Activity")]
struct ActivityFields {
    #[serde(with = "stored")]
    at: Timestamp,
    #[serde(with = "stored")]
    signal: Signal,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "StepTime")]
struct StepTimeFields {
    #[serde(with = "stored")]
    step: BootStep,
    #[serde(with = "stored")]
    took: Seconds,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Month")]
struct MonthFields {
    #[serde(with = "stored")]
    begins: Timestamp,
    #[serde(with = "stored")]
    spent: MicroUsd,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Price")]
struct PriceFields {
    #[serde(with = "stored")]
    per_hour: MicroUsd,
    date: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "PhaseTimes")]
struct PhaseTimesFields {
    #[serde(with = "stored")]
    placing: Seconds,
    #[serde(with = "stored")]
    booting: Seconds,
    #[serde(with = "stored")]
    ready: Seconds,
    #[serde(with = "stored")]
    draining: Seconds,
    #[serde(with = "stored")]
    stopping: Seconds,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Walk")]
struct WalkFields {
    #[serde(with = "stored")]
    since: Timestamp,
    #[serde(default)]
    tried: Vec<String>,
    #[serde(default, with = "stored")]
    attempts: Vec<Attempt>,
    #[serde(default)]
    named: Vec<String>,
    #[serde(default, with = "stored")]
    not_before: Option<Timestamp>,
    rounds: u32,
    #[serde(default, with = "stored")]
    keep_trying_until: Option<Timestamp>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Attempt")]
struct AttemptFields {
    instance: String,
    zone: String,
    spot: bool,
    #[serde(with = "stored")]
    at: Timestamp,
    #[serde(with = "stored")]
    outcome: Outcome,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Outcome")]
enum OutcomeName {
    Trying,
    Dry,
    TimedOut,
    Up,
    Interrupted,
    Refused,
    GivenUp,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "FoundDry")]
struct FoundDryFields {
    instance: String,
    #[serde(with = "stored")]
    at: Timestamp,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "UserMonth")]
struct UserMonthFields {
    user: String,
    #[serde(with = "stored")]
    month: Month,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "BudgetTold")]
struct BudgetToldFields {
    #[serde(with = "stored")]
    month: Timestamp,
    percent: u8,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Notice")]
struct NoticeFields {
    #[serde(with = "stored")]
    sequence: u64,
    #[serde(with = "stored")]
    run: u64,
    #[serde(with = "stored")]
    kind: NoticeKind,
    #[serde(with = "stored")]
    at: Timestamp,
    tries: u8,
    #[serde(with = "stored")]
    not_before: Timestamp,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "NoticeKind", tag = "kind")]
enum NoticeKindFields {
    Ready {
        placement: String,
        restarts: u32,
    },
    DrainingSoon {
        #[serde(with = "stored")]
        reason: StopReason,
        #[serde(with = "stored")]
        ends_at: Timestamp,
    },
    Stopped {
        #[serde(with = "stored")]
        reason: StopReason,
        #[serde(with = "stored")]
        lasted: Seconds,
        #[serde(with = "stored")]
        billed: Seconds,
        #[serde(with = "stored")]
        cost: MicroUsd,
        #[serde(with = "stored")]
        month: MicroUsd,
        #[serde(default, with = "stored")]
        failure: Option<FailureCode>,
    },
    NoCapacity {
        zones: Vec<String>,
        #[serde(default, with = "stored")]
        until: Option<Timestamp>,
    },
    Preempted {
        zone: Option<String>,
        host_error: bool,
        restarting: bool,
    },
    Budget {
        percent: u8,
        #[serde(with = "stored")]
        spent: MicroUsd,
        #[serde(with = "stored")]
        limit: MicroUsd,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Wish")]
enum WishName {
    Stopped,
    Running,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Phase")]
enum PhaseName {
    Stopped,
    Placing,
    Booting,
    Ready,
    Draining,
    Stopping,
    Failed,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Signal")]
enum SignalName {
    Queue,
    Traffic,
    Gpu,
    Person,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "StopReason")]
enum StopReasonName {
    Idle,
    NeverOpened,
    User,
    HardLimit,
    Silent,
    Preempted,
    HostError,
    Budget,
    MachineStopped,
    StartFailed,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "BootStep")]
enum BootStepName {
    Placing,
    Booting,
    MountingDisk,
    Installing,
    GettingCertificate,
    StartingComfyui,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "FailureCode")]
enum FailureCodeName {
    StockOut,
    Quota,
    Permission,
    NotFound,
    Refused,
    PlacingTimedOut,
    BootTimedOut,
    BootFailed,
    StopTimedOut,
    ZoneGone,
    Interrupted,
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::contract::store::{full_record, run_numbered};

    fn documents() -> (Value, Value) {
        let due_at = None;
        let workspace = WorkspaceDocument { record: full_record(), due_at, save: "1".to_owned() };
        (serde_json::to_value(workspace).unwrap(), serde_json::to_value(RunDocument(run_numbered(3))).unwrap())
    }

    #[test]
    fn documents_from_before_prices_and_phases_were_kept_are_read() {
        let (mut workspace, mut run) = documents();
        for fields in [&mut workspace["record"], &mut run] {
            for young in ["price", "in_phases"] {
                assert!(fields.as_object_mut().unwrap().remove(young).is_some(), "{young}");
            }
        }
        let read: WorkspaceDocument = serde_json::from_value(workspace).unwrap();
        assert_eq!(read.record, Record { price: None, in_phases: PhaseTimes::default(), ..full_record() });
        let RunDocument(read) = serde_json::from_value(run).unwrap();
        assert_eq!(read, Run { price: None, in_phases: PhaseTimes::default(), ..run_numbered(3) });
    }

    #[test]
    fn documents_from_before_boots_could_move_and_fail_are_read() {
        let (mut workspace, _) = documents();
        let record = &mut workspace["record"];
        assert!(record["boot"].as_object_mut().unwrap().remove("moved_at").is_some());
        assert!(record["failure"].as_object_mut().unwrap().remove("step").is_some());
        let mut expected = full_record();
        expected.boot.as_mut().unwrap().moved_at = Timestamp::default();
        expected.failure.as_mut().unwrap().step = None;
        let read: WorkspaceDocument = serde_json::from_value(workspace).unwrap();
        assert_eq!(read.record, expected);
    }

    #[test]
    fn documents_from_before_walks_budgets_and_notices_were_kept_are_read() {
        let (mut workspace, mut run) = documents();
        let old = json!(["comfyui-main-b"]);
        let young = [
            "walk",
            "dry_lately",
            "lost_zone",
            "started_by",
            "restarts",
            "restart_of",
            "allowance",
            "beyond_budget",
            "by_user",
            "budget_told",
            "restore_queue",
            "interrupted_run",
            "kept_prompts",
            "notices",
            "notices_made",
        ];
        let record = workspace["record"].as_object_mut().unwrap();
        for field in young {
            assert!(record.remove(field).is_some(), "{field}");
        }
        assert!(record["call"].as_object_mut().unwrap().remove("repeats").is_some());
        // What the walk was in those days.
        record.insert("dry".to_owned(), old);
        for field in ["walk", "started_by", "restart_of"] {
            assert!(run.as_object_mut().unwrap().remove(field).is_some(), "{field}");
        }
        let read: WorkspaceDocument = serde_json::from_value(workspace).unwrap();
        let none = Record::default();
        assert_eq!((read.record.walk, read.record.notices), (none.walk, none.notices));
        assert_eq!((read.record.phase, read.record.month), (full_record().phase, full_record().month));
        let RunDocument(read) = serde_json::from_value(run).unwrap();
        let expected = Run { walk: Vec::new(), started_by: None, restart_of: None, ..run_numbered(3) };
        assert_eq!(read, expected);
    }

    #[test]
    fn a_price_and_the_time_in_each_phase_look_as_one_would_expect() {
        let (workspace, run) = documents();
        assert_eq!(run["price"], json!({"per_hour": 706_800, "date": "2026-07-30"}));
        let phases = json!({"placing": 29, "booting": 41, "ready": 3700, "draining": 180, "stopping": 50});
        assert_eq!(run["in_phases"], phases);
        assert_eq!(workspace["record"]["in_phases"]["stopping"], 5);
    }
}
