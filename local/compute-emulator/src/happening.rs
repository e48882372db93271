//! What happens in the cloud, for whoever judges it afterwards: exact, complete, and in the order in which it happens.
//!
//! The audit log tells what a sink would publish; this tells everything, with the moment of the emulator's clock.

use domain::Timestamp;
use serde::{Deserialize, Serialize};

/// Something that has happened, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Happened {
    /// Milliseconds of the emulator's clock.
    pub at_ms: i64,
    pub what: Happening,
}

/// Something that has happened. What a call changes at once is told before the call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Happening {
    /// A call was accepted: its operation has begun.
    Accepted {
        operation: String,
        verb: String,
        instance: String,
        request_id: Option<String>,
    },
    /// An operation is over, well or with this code.
    Ended {
        operation: String,
        verb: String,
        instance: String,
        error: Option<String>,
    },
    /// An instance has another status.
    Status {
        instance: String,
        status: String,
    },
    /// Compute Engine did something by itself, such as `compute.instances.preempted`.
    System {
        instance: String,
        event: String,
    },
    /// An instance has been told in its metadata that Google takes it back.
    Announced {
        instance: String,
    },
    Attached {
        disk: String,
        instance: String,
    },
    Detached {
        disk: String,
        instance: String,
    },
}

impl Happening {
    pub(crate) fn at(self, moment: Timestamp) -> Happened {
        Happened { at_ms: moment.millis(), what: self }
    }
}
