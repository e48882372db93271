//! Names that stand for themselves.

use domain::{BootStep, FailureCode, Phase, Signal, StopReason, Wish};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::stored::{Stored, stored_as};

stored_as! {
    WishName: Wish, PhaseName: Phase, SignalName: Signal, StopReasonName: StopReason, BootStepName: BootStep,
    FailureCodeName: FailureCode,
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
