//! How the walk from placement to placement looks.

use domain::{Attempt, FoundDry, Outcome, Timestamp, Walk};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::stored::{self, Stored, stored_as};

stored_as! { WalkFields: Walk, AttemptFields: Attempt, OutcomeName: Outcome, FoundDryFields: FoundDry }

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
