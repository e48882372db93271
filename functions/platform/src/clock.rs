//! What time it is, and waiting. The only place, beside `main.rs`, that looks at the machine's clock.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use domain::Timestamp;
use tokio::sync::watch;

/// Time as the policy knows it.
#[async_trait]
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// The moment it is now.
    fn now(&self) -> Timestamp;

    /// Waits for `length` of policy time.
    async fn sleep(&self, length: Duration);

    /// Policy seconds that pass in one second of the machine's own clock; 1 outside the pocket cloud.
    fn rate(&self) -> f64;
}

/// The machine's own clock, at its own pace.
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemClock;

#[async_trait]
impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    async fn sleep(&self, length: Duration) {
        tokio::time::sleep(length).await;
    }

    fn rate(&self) -> f64 {
        1.0
    }
}

/// A clock that runs faster than the machine's: `now = origin + (machine's now − origin) × rate`.
///
/// Processes that are given the same origin and rate agree on the time.
#[derive(Debug, Clone)]
pub struct ScaledClock {
    origin: Timestamp,
    rate: f64,
}

impl ScaledClock {
    /// Starts at `origin` (normally the machine's time when the pocket cloud started) and runs `rate` times as fast.
    pub fn new(origin: Timestamp, rate: f64) -> Self {
        Self { origin, rate: rate.max(0.001) }
    }

    /// The moment at which this clock and the machine's agreed.
    pub fn origin(&self) -> Timestamp {
        self.origin
    }
}

#[async_trait]
impl Clock for ScaledClock {
    #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "milliseconds of a century fit")]
    fn now(&self) -> Timestamp {
        let elapsed = SystemClock.now().millis().saturating_sub(self.origin.millis());
        Timestamp::from_millis(self.origin.millis().saturating_add((elapsed as f64 * self.rate) as i64))
    }

    async fn sleep(&self, length: Duration) {
        tokio::time::sleep(length.div_f64(self.rate)).await;
    }

    fn rate(&self) -> f64 {
        self.rate
    }
}

/// The clock of a process, chosen by one setting: empty for the machine's own, `ORIGIN_MILLIS@RATE` for a scaled one.
///
/// # Errors
/// When the setting has another shape; the message says which is expected.
pub fn from_setting(setting: &str) -> anyhow::Result<Arc<dyn Clock>> {
    if setting.is_empty() {
        return Ok(Arc::new(SystemClock));
    }
    let parsed = setting.split_once('@').and_then(|(origin, rate)| {
        let rate: f64 = rate.parse().ok().filter(|rate: &f64| rate.is_finite() && *rate > 0.0)?;
        Some(ScaledClock::new(Timestamp::from_millis(origin.parse().ok()?), rate))
    });
    match parsed {
        Some(clock) => Ok(Arc::new(clock)),
        None => anyhow::bail!(
            "the clock setting is {setting:?}; expected nothing, or ORIGIN_MILLIS@RATE such as 1763800000000@60"
        ),
    }
}

/// A clock that stands still until a test moves it; sleepers wake when it passes their moment.
#[derive(Debug, Clone)]
pub struct ManualClock {
    now: watch::Sender<Timestamp>,
}

impl ManualClock {
    /// Stands at `now`.
    pub fn at(now: Timestamp) -> Self {
        Self { now: watch::Sender::new(now) }
    }

    /// Moves the clock by `length` and wakes whoever waited for less.
    pub fn advance(&self, length: Duration) {
        let millis = i64::try_from(length.as_millis()).unwrap_or(i64::MAX);
        self.now.send_modify(|now| *now = Timestamp::from_millis(now.millis().saturating_add(millis)));
    }

    /// Puts the clock to `now`, forwards or backwards.
    pub fn set(&self, now: Timestamp) {
        self.now.send_replace(now);
    }
}

#[async_trait]
impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        *self.now.borrow()
    }

    async fn sleep(&self, length: Duration) {
        let millis = i64::try_from(length.as_millis()).unwrap_or(i64::MAX);
        let wake = Timestamp::from_millis(self.now().millis().saturating_add(millis));
        let mut moves = self.now.subscribe();
        // The sender lives as long as self, so the wait can only end by the clock getting there.
        let _ = moves.wait_for(|now| *now >= wake).await;
    }

    fn rate(&self) -> f64 {
        1.0
    }
}

/// How long something took on the machine's own clock, for logs.
#[derive(Debug, Clone, Copy)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts now.
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Milliseconds since the start.
    pub fn millis(self) -> u64 {
        u64::try_from(self.0.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scaled_clock_runs_ahead_of_its_origin() {
        let origin = Timestamp::from_millis(SystemClock.now().millis() - 10_000);
        let ahead = ScaledClock::new(origin, 60.0).now().since(origin);
        assert!(ahead.0 >= 600, "ten seconds at sixty times the pace: {ahead}");
    }

    #[test]
    fn a_wrong_clock_setting_says_what_was_expected() {
        let error = from_setting("yesterday").unwrap_err().to_string();
        assert!(error.contains("yesterday") && error.contains("ORIGIN_MILLIS@RATE"), "{error}");
        assert!(from_setting("1763800000000@0").is_err());
    }

    #[tokio::test]
    async fn a_sleeper_wakes_when_the_clock_is_moved_past_its_moment() {
        let clock = ManualClock::at(Timestamp::from_seconds(0));
        // Polled by hand: a spawned sleeper might go to sleep only after the clock has moved, and then sleep on.
        let mut sleeper = clock.sleep(Duration::from_secs(60));
        assert!(futures_util::poll!(&mut sleeper).is_pending());
        clock.advance(Duration::from_secs(59));
        assert!(futures_util::poll!(&mut sleeper).is_pending(), "not yet");
        clock.advance(Duration::from_secs(2));
        tokio::time::timeout(Duration::from_secs(10), sleeper).await.unwrap();
    }
}
