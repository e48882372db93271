//! How what people are to be told looks until it is sent.

use domain::{FailureCode, MicroUsd, Notice, NoticeKind, Seconds, StopReason, Timestamp};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::stored::{self, Stored, stored_as};

stored_as! { NoticeFields: Notice, NoticeKindFields: NoticeKind }

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
