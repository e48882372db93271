//! Moments as Compute Engine writes them, and arithmetic on them.

use std::time::Duration;

use domain::Timestamp;
use jiff::tz::TimeZone;

/// Compute Engine's timestamps are in Google's home zone, with milliseconds and that zone's offset, never `Z`.
const GOOGLE_HOME_ZONE: &str = "America/Los_Angeles";

pub(crate) fn after(moment: Timestamp, length: Duration) -> Timestamp {
    let millis = i64::try_from(length.as_millis()).unwrap_or(i64::MAX);
    Timestamp::from_millis(moment.millis().saturating_add(millis))
}

/// How long from `now` until `due`; nothing when it is past.
pub(crate) fn until(now: Timestamp, due: Timestamp) -> Duration {
    Duration::from_millis(u64::try_from(due.millis().saturating_sub(now.millis())).unwrap_or(0))
}

/// `2026-07-07T13:56:24.855-07:00`
pub(crate) fn pacific(moment: Timestamp) -> String {
    let zone = TimeZone::get(GOOGLE_HOME_ZONE).unwrap_or(TimeZone::UTC);
    let zoned = instant(moment).to_zoned(zone);
    zoned.strftime("%Y-%m-%dT%H:%M:%S%.3f%:z").to_string()
}

/// `2026-07-07T20:56:24.855Z`, as log entries have it.
pub(crate) fn utc(moment: Timestamp) -> String {
    instant(moment).strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

fn instant(moment: Timestamp) -> jiff::Timestamp {
    jiff::Timestamp::from_millisecond(moment.millis()).unwrap_or(jiff::Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_pacific_with_milliseconds_in_summer_and_winter() {
        assert_eq!(pacific(Timestamp::from_millis(1_783_457_784_855)), "2026-07-07T13:56:24.855-07:00");
        assert_eq!(pacific(Timestamp::from_millis(1_541_671_484_145)), "2018-11-08T02:04:44.145-08:00");
        assert_eq!(utc(Timestamp::from_millis(1_783_457_784_050)), "2026-07-07T20:56:24.050Z");
    }

    #[test]
    fn what_is_past_is_due_now() {
        let now = Timestamp::from_seconds(100);
        assert_eq!(until(now, Timestamp::from_seconds(99)), Duration::ZERO);
        assert_eq!(until(now, after(now, Duration::from_millis(1500))), Duration::from_millis(1500));
    }
}
