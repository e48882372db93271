//! The months of a time zone, from the IANA database. It is part of the program: an image from scratch has none.

use std::collections::BTreeMap;

use domain::{Calendar, Timestamp};
use jiff::civil::Date;
use jiff::tz::TimeZone;

/// The months that a table holds; before and after, the domain reckons in UTC. Zones change their rules, so nobody
/// knows the far ones anyway.
const FIRST_YEAR: i16 = 2020;
const LAST_YEAR: i16 = 2100;

/// The calendars asked for so far: workspaces of one zone share one table.
#[derive(Debug, Default)]
pub(crate) struct Calendars(BTreeMap<String, Calendar>);

impl Calendars {
    /// The months of `zone`.
    ///
    /// # Errors
    /// When there is no such zone: what was found and what was expected.
    pub(crate) fn of(&mut self, zone: &str) -> Result<Calendar, String> {
        if let Some(known) = self.0.get(zone) {
            return Ok(known.clone());
        }
        let made = calendar(zone).ok_or_else(|| {
            format!("time_zone is {zone:?}; expected a name of the IANA database such as \"Europe/Berlin\"")
        })?;
        self.0.insert(zone.to_owned(), made.clone());
        Ok(made)
    }
}

fn calendar(zone: &str) -> Option<Calendar> {
    let found = jiff::tz::TimeZoneDatabase::bundled().get(zone).ok()?;
    let name = found.iana_name().unwrap_or(zone);
    if name == Calendar::default().zone() {
        // Reckoned without a table, and for ever.
        return Some(Calendar::default());
    }
    let months = (FIRST_YEAR..=LAST_YEAR).flat_map(|year| (1..=12).map(move |month| (year, month)));
    let begins = months.map(|(year, month)| month_begin(&found, year, month)).collect::<Option<_>>()?;
    Some(Calendar::new(name, begins))
}

/// The first moment of a month: its midnight, or what comes in its place where clocks are changed just then.
fn month_begin(zone: &TimeZone, year: i16, month: i8) -> Option<Timestamp> {
    let begin = Date::new(year, month, 1).ok()?.to_zoned(zone.clone()).ok()?.start_of_day().ok()?;
    Some(Timestamp::from_millis(begin.timestamp().as_millisecond()))
}

#[cfg(test)]
mod tests {
    use std::sync::{LazyLock, Mutex};

    use domain::{MicroUsd, Month, Seconds};
    use proptest::prelude::*;

    use super::*;

    const ZONES: [&str; 8] = [
        "America/Los_Angeles",
        "Europe/Berlin",
        "Pacific/Kiritimati",
        "Asia/Kolkata",
        "America/Havana",
        "Pacific/Apia",
        "Asia/Beirut",
        "Etc/GMT+12",
    ];

    fn at(rfc3339: &str) -> Timestamp {
        Timestamp::from_millis(rfc3339.parse::<jiff::Timestamp>().unwrap().as_millisecond())
    }

    fn calendar(zone: &str) -> Calendar {
        static MADE: LazyLock<Mutex<Calendars>> = LazyLock::new(Mutex::default);
        MADE.lock().unwrap().of(zone).unwrap()
    }

    fn begin(zone: &str, now: &str) -> Timestamp {
        calendar(zone).month_begin(at(now))
    }

    /// `date -u -d 'TZ="Europe/Berlin" 2026-04-01' +%FT%TZ`, and so on.
    #[test]
    fn months_begin_at_the_owners_midnight() {
        for (zone, now, expected) in [
            ("America/Los_Angeles", "2026-03-01T07:59:59.999Z", "2026-02-01T08:00:00Z"),
            ("America/Los_Angeles", "2026-03-01T08:00:00Z", "2026-03-01T08:00:00Z"),
            // Summer time began on 8 March and 29 March.
            ("America/Los_Angeles", "2026-04-01T06:59:59Z", "2026-03-01T08:00:00Z"),
            ("America/Los_Angeles", "2026-04-01T07:00:00Z", "2026-04-01T07:00:00Z"),
            ("Europe/Berlin", "2026-03-31T21:59:59Z", "2026-02-28T23:00:00Z"),
            ("Europe/Berlin", "2026-03-31T22:00:00Z", "2026-03-31T22:00:00Z"),
            ("Europe/Berlin", "2027-01-31T22:59:59Z", "2026-12-31T23:00:00Z"),
            // The last day of February, in a leap year and not.
            ("Europe/Berlin", "2024-02-29T22:59:59Z", "2024-01-31T23:00:00Z"),
            ("Europe/Berlin", "2024-02-29T23:00:00Z", "2024-02-29T23:00:00Z"),
            ("Asia/Kolkata", "2026-02-28T18:29:59Z", "2026-01-31T18:30:00Z"),
            ("Asia/Kolkata", "2026-02-28T18:30:00Z", "2026-02-28T18:30:00Z"),
            ("Pacific/Kiritimati", "2026-05-31T09:59:59Z", "2026-04-30T10:00:00Z"),
            ("Pacific/Kiritimati", "2026-05-31T10:00:00Z", "2026-05-31T10:00:00Z"),
            ("UTC", "2026-06-30T23:59:59Z", "2026-06-01T00:00:00Z"),
        ] {
            assert_eq!(begin(zone, now), at(expected), "{zone} at {now}");
        }
    }

    #[test]
    fn a_midnight_that_comes_twice_begins_the_month_once() {
        // In Havana, 1 November 2026 had its first hour twice: from 04:00 and from 05:00 UTC.
        for (now, expected) in [
            ("2026-11-01T03:59:59Z", "2026-10-01T04:00:00Z"),
            ("2026-11-01T04:00:00Z", "2026-11-01T04:00:00Z"),
            ("2026-11-01T05:30:00Z", "2026-11-01T04:00:00Z"),
            ("2026-11-30T12:00:00Z", "2026-11-01T04:00:00Z"),
        ] {
            assert_eq!(begin("America/Havana", now), at(expected), "{now}");
        }
    }

    #[test]
    fn beyond_the_table_months_are_utcs() {
        assert_eq!(begin("Asia/Kolkata", "2019-12-15T00:00:00Z"), at("2019-12-01T00:00:00Z"));
        assert_eq!(begin("Asia/Kolkata", "2150-05-15T00:00:00Z"), at("2150-05-01T00:00:00Z"));
    }

    #[test]
    fn a_name_in_other_letters_is_the_same_zone_and_one_table_serves_all() {
        let mut calendars = Calendars::default();
        let berlin = calendars.of("europe/berlin").unwrap();
        assert_eq!((berlin.zone(), &berlin), ("Europe/Berlin", &calendars.of("Europe/Berlin").unwrap()));
        assert_eq!(calendars.of("utc").unwrap(), Calendar::default());
    }

    #[test]
    fn a_run_of_three_months_is_split_at_each_of_the_owners_midnights() {
        let calendar = calendar("Europe/Berlin");
        let (since, until) = (at("2026-01-31T22:00:00Z"), at("2026-04-01T00:00:00Z"));
        let dollar = MicroUsd(1_000_000);
        let hours = |now: &str| Month::default().with(since, at(now), dollar, &calendar).spent.dollars();
        assert_eq!(hours("2026-01-31T23:00:00Z"), 0.0, "the hour before midnight was January's");
        assert_eq!(hours("2026-02-28T22:00:00Z"), 28.0 * 24.0 - 1.0);
        // March had an hour less.
        assert_eq!(hours("2026-03-31T21:00:00Z"), 31.0 * 24.0 - 2.0);
        let april = Month::default().with(since, until, dollar, &calendar);
        assert_eq!((april.begins, april.spent.dollars()), (at("2026-03-31T22:00:00Z"), 2.0));
    }

    proptest! {
        #[test]
        fn a_moment_lies_in_the_month_that_a_calendar_on_the_wall_shows(
            zone in prop::sample::select(&ZONES[..]), second in 1_577_900_000_i64..4_102_400_000,
        ) {
            let calendar = calendar(zone);
            let now = Timestamp::from_seconds(second);
            let wall = |at: Timestamp| {
                let zone = TimeZone::get(zone).unwrap();
                let date = jiff::Timestamp::from_second(at.seconds()).unwrap().to_zoned(zone).date();
                (date.year(), date.month())
            };
            let begins = calendar.month_begin(now);
            prop_assert!(begins <= now && wall(begins) == wall(now));
            prop_assert_ne!(wall(begins - Seconds(1)), wall(now));
        }

        #[test]
        fn what_each_month_got_by_its_last_second_is_what_the_run_cost(
            zone in prop::sample::select(&ZONES[..]), second in 1_700_000_000_i64..1_900_000_000, lasted in 60_u64..(200 * 86_400),
        ) {
            let calendar = calendar(zone);
            let since = Timestamp::from_seconds(second);
            let until = since + Seconds(lasted);
            // A dollar a second: a month's last second is then told from the one before.
            let price = MicroUsd(3_600_000_000);
            let mut got = 0;
            let mut begins = calendar.month_begin(since);
            while begins <= until {
                let next = calendar.month_begin(begins + Seconds::hours(32 * 24));
                let (last, missing) = if next <= until { (next - Seconds(1), 1) } else { (until, 0) };
                if last > since + Seconds(59) {
                    let month = Month::default().with(since, last, price, &calendar);
                    prop_assert_eq!(month.begins, begins);
                    got += month.spent.0 / 1_000_000 + missing;
                } else {
                    // Not a minute yet: the least that is billed is this month's.
                    got += 60;
                }
                begins = next;
            }
            prop_assert_eq!(got, lasted);
        }
    }
}
