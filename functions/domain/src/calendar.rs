//! When months begin. Which zone's months is for whoever makes a [`Calendar`] to know; here they are moments.

use std::sync::Arc;

use crate::time::Timestamp;

/// The months that an owner reckons in: those of UTC, or those of a time zone.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Calendar {
    zone: Arc<str>,
    /// First moments of successive months, ascending; the last ends the table.
    begins: Arc<[Timestamp]>,
}

impl Default for Calendar {
    fn default() -> Self {
        Self { zone: "UTC".into(), begins: Arc::default() }
    }
}

impl Calendar {
    /// The months of `zone`, of which `begins` are the first moments. Before the first of them, and from the last on,
    /// months are UTC's.
    pub fn new(zone: &str, mut begins: Vec<Timestamp>) -> Self {
        begins.sort_unstable();
        Self { zone: zone.into(), begins: begins.into() }
    }

    /// The name of the zone, for people.
    pub fn zone(&self) -> &str {
        &self.zone
    }

    /// The first moment of the month that `now` lies in.
    pub fn month_begin(&self, now: Timestamp) -> Timestamp {
        let begun = self.begins.partition_point(|begins| *begins <= now);
        match begun.checked_sub(1).and_then(|at| self.begins.get(at)) {
            Some(begins) if begun < self.begins.len() => *begins,
            _ => month_begin_utc(now),
        }
    }
}

const DAY_SECONDS: i64 = 86_400;

/// The first moment of the calendar month (UTC, proleptic Gregorian) that `now` lies in.
fn month_begin_utc(now: Timestamp) -> Timestamp {
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
    use crate::time::Seconds;

    /// 2026-03-01T00:00:00Z and 2024-02-29T12:00:00Z, by `date -u -d … +%s`.
    const MARCH_2026: i64 = 1_772_323_200;
    const LEAP_DAY_NOON_2024: i64 = 1_709_208_000;

    fn begin(calendar: &Calendar, second: i64) -> i64 {
        calendar.month_begin(Timestamp::from_seconds(second)).seconds()
    }

    #[test]
    fn a_month_begins_at_midnight_of_its_first_day() {
        let utc = Calendar::default();
        assert_eq!(begin(&utc, MARCH_2026), MARCH_2026);
        assert_eq!(begin(&utc, MARCH_2026 - 1), 1_769_904_000);
        assert_eq!(begin(&utc, LEAP_DAY_NOON_2024), 1_706_745_600);
        assert_eq!(begin(&utc, 0), 0);
    }

    #[test]
    fn a_month_of_a_zone_begins_when_the_table_says() {
        let west = Seconds::hours(8);
        let march = Timestamp::from_seconds(MARCH_2026) + west;
        let april = march + Seconds::hours(31 * 24);
        let calendar = Calendar::new("somewhere", vec![march, april]);
        assert_eq!(calendar.month_begin(march), march);
        assert_eq!(calendar.month_begin(april - Seconds(1)), march);
        assert_eq!(calendar.zone(), "somewhere");
    }

    #[test]
    fn outside_of_the_table_months_are_utcs() {
        let march = Timestamp::from_seconds(MARCH_2026) + Seconds::hours(8);
        let april = march + Seconds::hours(31 * 24);
        let calendar = Calendar::new("somewhere", vec![april, march]);
        assert_eq!(begin(&calendar, march.seconds() - 1), MARCH_2026);
        assert_eq!(begin(&calendar, april.seconds()), april.seconds() - 8 * 3600);
        assert_eq!(Calendar::new("nowhere", Vec::new()).month_begin(march), Timestamp::from_seconds(MARCH_2026));
    }
}
