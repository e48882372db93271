//! How a record and a run look as Firestore documents.
//!
//! ```text
//! workspaces/{id}                { record: {…}, due_at: timestamp?, save: "…" }
//! workspaces/{id}/runs/{number}  { number: 7, started_at: timestamp, … }
//! ```
//! Field names are those of the domain, enums are their variants' names, times are timestamps, lengths are seconds and
//! money is millionths of a dollar, as integers. What is `None` is absent, and so may be what older documents did not
//! have. The types below repeat the domain's, so that a change there that this would miss does not compile.

mod names;
mod notice;
mod walk;

use domain::{
    Action, Activity, Attempt, Boot, BootStep, BudgetTold, Call, Failure, FailureCode, FoundDry, LastStop, MicroUsd,
    Month, Notice, Phase, PhaseTimes, Price, Record, Run, Seconds, Signal, StepTime, StopReason, Timestamp, UserMonth,
    Walk, Wish,
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
    PriceFields: Price, PhaseTimesFields: PhaseTimes, UserMonthFields: UserMonth, BudgetToldFields: BudgetTold,
    ActionName: Action,
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

#[cfg(test)]
mod tests;
