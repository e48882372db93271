//! Waiting by the policy's clock, and never in a hurry by the machine's.

use std::time::Duration;

use platform::clock::Clock;

/// Waits until `length` of policy time **and** `floor` of real time have passed: a pocket cloud that runs sixty times
/// faster must not ask sixty times as often as a machine can answer.
pub(crate) async fn pause(clock: &dyn Clock, length: Duration, floor: Duration) {
    tokio::join!(clock.sleep(length), tokio::time::sleep(floor));
}
