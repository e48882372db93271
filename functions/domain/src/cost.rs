//! Money: what a run cost, and what a month has cost so far. Whole micro-dollars, so that sums are exact.

use std::ops::AddAssign;

use crate::time::{Seconds, Timestamp};

/// Millionths of a US dollar.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MicroUsd(pub u64);

impl MicroUsd {
    /// In dollars, for showing.
    #[expect(clippy::cast_precision_loss, reason = "shown to a cent; exact below nine billion dollars")]
    pub fn dollars(self) -> f64 {
        self.0 as f64 / 1e6
    }

    /// What `time` costs at this price per hour.
    pub fn for_time(self, time: Seconds) -> Self {
        let cost = u128::from(self.0) * u128::from(time.0) / 3600;
        Self(u64::try_from(cost).unwrap_or(u64::MAX))
    }
}

impl AddAssign for MicroUsd {
    fn add_assign(&mut self, other: Self) {
        self.0 = self.0.saturating_add(other.0);
    }
}

/// Google bills a started instance for a minute at least (vm-instance-pricing).
const BILLED_LEAST: Seconds = Seconds(60);

/// The time Google bills for an instance that was up from `since` to `until`.
pub(crate) fn billed(since: Timestamp, until: Timestamp) -> Seconds {
    until.since(since).max(BILLED_LEAST)
}

/// What the finished runs of one calendar month (UTC) cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Month {
    /// First moment of the month.
    pub begins: Timestamp,
    pub spent: MicroUsd,
}

impl Month {
    /// The month that `now` lies in, as a sum: this one if it still is, else a new one from nothing.
    ///
    /// A clock that has fallen back over midnight by less than a day does not bring the month before back.
    pub fn at(self, now: Timestamp) -> Self {
        let begins = month_begin(now);
        let just_begun = begins < self.begins && self.begins <= now + Seconds::hours(24);
        if begins == self.begins || just_begun { self } else { Self { begins, spent: MicroUsd(0) } }
    }

    /// This month's sum with an instance that was up from `since` to `until` at `per_hour`: the part before the
    /// month began belongs to the month before.
    pub fn with(self, since: Timestamp, until: Timestamp, per_hour: MicroUsd) -> Self {
        let mut month = self.at(until);
        let time = if since < month.begins { until.since(month.begins) } else { billed(since, until) };
        month.spent += per_hour.for_time(time);
        month
    }
}

const DAY_SECONDS: i64 = 86_400;

/// The first moment of the calendar month (UTC, proleptic Gregorian) that `now` lies in.
fn month_begin(now: Timestamp) -> Timestamp {
    let day = now.seconds().div_euclid(DAY_SECONDS);
    Timestamp::from_seconds((day - i64::from(day_of_month(day)) + 1) * DAY_SECONDS)
}

/// Day of the month (1–31) of the day `day` days after 1970-01-01.
/// The count begins each year in March, so that the leap day comes last (Howard Hinnant, "chrono-compatible
/// low-level date algorithms").
fn day_of_month(day: i64) -> u32 {
    let shifted = day + 719_468;
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    u32::try_from(day_of_year - (153 * month + 2) / 5 + 1).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-03-01T00:00:00Z and 2024-02-29T12:00:00Z, by `date -u -d … +%s`.
    const MARCH_2026: i64 = 1_772_323_200;
    const LEAP_DAY_NOON_2024: i64 = 1_709_208_000;

    #[test]
    fn a_month_begins_at_midnight_of_its_first_day() {
        assert_eq!(month_begin(Timestamp::from_seconds(MARCH_2026)), Timestamp::from_seconds(MARCH_2026));
        assert_eq!(month_begin(Timestamp::from_seconds(MARCH_2026 - 1)).seconds(), 1_769_904_000);
        assert_eq!(month_begin(Timestamp::from_seconds(LEAP_DAY_NOON_2024)).seconds(), 1_706_745_600);
        assert_eq!(month_begin(Timestamp::from_seconds(0)).seconds(), 0);
    }

    #[test]
    fn a_run_over_midnight_of_the_last_day_is_split_between_the_months() {
        let begins = Timestamp::from_seconds(MARCH_2026);
        let month = Month::default().with(begins - Seconds::hours(3), begins + Seconds::hours(1), MicroUsd(700_000));
        assert_eq!(month, Month { begins, spent: MicroUsd(700_000) });
    }

    #[test]
    fn a_minute_is_the_least_that_is_billed() {
        let since = Timestamp::from_seconds(MARCH_2026 + 100);
        let month = Month::default().with(since, since + Seconds(5), MicroUsd(3_600_000));
        assert_eq!(month.spent, MicroUsd(60_000));
    }
}
