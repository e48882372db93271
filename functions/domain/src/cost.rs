//! Money: what a run cost, and what a month has cost so far. Whole micro-dollars, so that sums are exact.

use std::ops::AddAssign;

use crate::calendar::Calendar;
use crate::record::Record;
use crate::time::{Seconds, Timestamp};
use crate::workspace::{Placement, Workspace};

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

/// What an hour of an instance costs by the price list of a day.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Price {
    pub per_hour: MicroUsd,
    /// Day of the list, `2026-07-30`; `None` where nobody has said. For people: nothing is decided by it.
    pub date: Option<String>,
}

impl From<&Placement> for Price {
    fn from(placement: &Placement) -> Self {
        Self { per_hour: placement.usd_per_hour, date: placement.price_date.clone() }
    }
}

/// Google bills a started instance for a minute at least (vm-instance-pricing).
const BILLED_LEAST: Seconds = Seconds(60);

/// The time Google bills for an instance that was up from `since` to `until`.
pub(crate) fn billed(since: Timestamp, until: Timestamp) -> Seconds {
    until.since(since).max(BILLED_LEAST)
}

/// What the finished runs of one calendar month cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Month {
    /// First moment of the month.
    pub begins: Timestamp,
    pub spent: MicroUsd,
}

/// The zones of this earth tell of a month's beginning no further apart than this (UTC+14 to UTC-12).
const ZONES_APART_MOST: Seconds = Seconds::hours(26);

impl Month {
    /// The month of `calendar` that `now` lies in, as a sum: this one if it still is, else a new one from nothing.
    ///
    /// A clock that has fallen back over midnight by less than a day does not bring the month before back, and a
    /// workspace that has been given another time zone keeps what its month has cost so far.
    pub fn at(self, now: Timestamp, calendar: &Calendar) -> Self {
        let begins = calendar.month_begin(now);
        let just_begun = begins < self.begins && self.begins <= now + Seconds::hours(24);
        let apart = begins.since(self.begins).max(self.begins.since(begins));
        if apart <= ZONES_APART_MOST {
            Self { begins, ..self }
        } else if just_begun {
            self
        } else {
            Self { begins, spent: MicroUsd(0) }
        }
    }

    /// This month's sum with an instance that was up from `since` to `until` at `per_hour`: the part before the
    /// month began belongs to the months before.
    pub fn with(self, since: Timestamp, until: Timestamp, per_hour: MicroUsd, calendar: &Calendar) -> Self {
        let mut month = self.at(until, calendar);
        month.spent += share(month.begins, since, until, per_hour);
        month
    }
}

/// What an instance that was up from `since` to `until` costs a month that began at `begins` and is not over: all that
/// it has cost, but for what it had cost when the month began. So the shares of all months add up to the whole.
fn share(begins: Timestamp, since: Timestamp, until: Timestamp, per_hour: MicroUsd) -> MicroUsd {
    let cost = |until| per_hour.for_time(billed(since, until));
    let before = if since < begins { cost(begins) } else { MicroUsd(0) };
    MicroUsd(cost(until).0.saturating_sub(before.0))
}

impl Record {
    /// The price that the run is reckoned at.
    ///
    /// It is the price that was declared when Google began to bill the instance: what the page said when it was
    /// started. A price that is declared anew while a run is up holds from the next run on, and a placement that is
    /// declared no more goes on costing what it did. Where nothing is billed yet, it is the placement's price.
    pub fn price(&self, workspace: &Workspace) -> Option<Price> {
        self.price.clone().or_else(|| self.declared_price(workspace))
    }

    /// What the current run has cost up to `now`.
    pub fn run_cost(&self, now: Timestamp, workspace: &Workspace) -> MicroUsd {
        let per_hour = self.per_hour(workspace);
        self.billed_since.map_or(MicroUsd(0), |since| per_hour.for_time(billed(since, now)))
    }

    /// The part of the run's cost that was spent on no activity. A run that was never ready was not idle: it was
    /// coming up.
    pub fn idle_cost(&self, now: Timestamp, workspace: &Workspace) -> MicroUsd {
        let idle = if self.ready_at.is_some() { self.idle_time(now, &workspace.policy) } else { Seconds(0) };
        self.per_hour(workspace).for_time(idle).min(self.run_cost(now, workspace))
    }

    /// The month that `now` lies in, with what the current run has cost it.
    pub fn month_cost(&self, now: Timestamp, workspace: &Workspace) -> Month {
        self.with_this_run(self.month, now, workspace)
    }

    /// The month that `now` lies in, with what the current run has cost it and what had been spent of `month`.
    pub(crate) fn with_this_run(&self, month: Month, now: Timestamp, workspace: &Workspace) -> Month {
        let calendar = &workspace.calendar;
        match self.billed_since {
            Some(since) => month.with(since, now, self.per_hour(workspace), calendar),
            None => month.at(now, calendar),
        }
    }

    /// Google bills the placement in use from `now` on.
    pub(crate) fn begin_billing(&mut self, now: Timestamp, workspace: &Workspace) {
        self.price = self.declared_price(workspace);
        self.billed_since = Some(now);
    }

    fn declared_price(&self, workspace: &Workspace) -> Option<Price> {
        self.placement.as_deref().and_then(|instance| workspace.placement(instance)).map(Price::from)
    }

    fn per_hour(&self, workspace: &Workspace) -> MicroUsd {
        self.price(workspace).unwrap_or_default().per_hour
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// 2026-03-01T00:00:00Z, by `date -u -d … +%s`.
    const MARCH_2026: Timestamp = Timestamp::from_seconds(1_772_323_200);
    const PRICE: MicroUsd = MicroUsd(700_000);

    fn utc() -> Calendar {
        Calendar::default()
    }

    #[test]
    fn a_run_over_midnight_of_the_last_day_is_split_between_the_months() {
        let (since, until) = (MARCH_2026 - Seconds::hours(3), MARCH_2026 + Seconds::hours(1));
        let month = Month::default().with(since, until, PRICE, &utc());
        assert_eq!(month, Month { begins: MARCH_2026, spent: PRICE });
        let february = Timestamp::from_millis(MARCH_2026.millis() - 1);
        let month = Month::default().with(since, february, PRICE, &utc());
        assert_eq!(month.spent, PRICE.for_time(Seconds(3 * 3600 - 1)), "to the last whole second");
    }

    #[test]
    fn a_minute_is_the_least_that_is_billed() {
        let since = MARCH_2026 + Seconds(100);
        let month = Month::default().with(since, since + Seconds(5), MicroUsd(3_600_000), &utc());
        assert_eq!(month.spent, MicroUsd(60_000));
    }

    #[test]
    fn the_least_is_billed_once_for_a_run_over_midnight() {
        let dollar_a_second = MicroUsd(3_600_000_000);
        let since = MARCH_2026 - Seconds(10);
        assert_eq!(share(Timestamp::default(), since, MARCH_2026, dollar_a_second).dollars(), 60.0);
        assert_eq!(share(MARCH_2026, since, MARCH_2026 + Seconds(20), dollar_a_second).dollars(), 0.0);
        assert_eq!(share(MARCH_2026, since, MARCH_2026 + Seconds(55), dollar_a_second).dollars(), 5.0);
    }

    #[test]
    fn a_month_falls_to_nothing_when_it_turns() {
        let february = Month { begins: MARCH_2026 - Seconds::hours(28 * 24), spent: MicroUsd(5) };
        assert_eq!(february.at(Timestamp::from_millis(MARCH_2026.millis() - 1), &utc()), february);
        assert_eq!(february.at(MARCH_2026, &utc()), Month { begins: MARCH_2026, spent: MicroUsd(0) });
    }

    #[test]
    fn another_time_zone_keeps_what_the_month_has_cost() {
        let mid_march = MARCH_2026 + Seconds::hours(15 * 24);
        let spent = Month { begins: MARCH_2026, spent: MicroUsd(5) };
        for hours in [-14_i64, -1, 8, 12] {
            let begins = Timestamp::from_seconds(MARCH_2026.seconds() + hours * 3600);
            let april = begins + Seconds::hours(31 * 24);
            let elsewhere = Calendar::new("elsewhere", vec![begins, april]);
            assert_eq!(spent.at(mid_march, &elsewhere), Month { begins, spent: MicroUsd(5) }, "{hours} h from UTC");
            assert_eq!(spent.at(mid_march, &elsewhere).at(mid_march, &utc()), spent, "and back");
        }
    }

    /// A calendar of months from 2026-03 on that begin at any time of a day, and a run that begins in it.
    fn calendar_and_run() -> impl Strategy<Value = (Vec<Timestamp>, Timestamp, Timestamp)> {
        let lengths = prop::collection::vec(27 * 86_400_u64..32 * 86_400, 1..8);
        let run = (0_u64..300 * 86_400_000, 0_u64..200 * 86_400_000);
        (lengths, run).prop_map(|(lengths, (since, lasted))| {
            let begins = lengths.iter().scan(MARCH_2026, |at, length| {
                let begins = *at;
                *at = *at + Seconds(*length);
                Some(begins)
            });
            let later =
                |from: Timestamp, millis: u64| Timestamp::from_millis(from.millis() + i64::try_from(millis).unwrap());
            let since = later(MARCH_2026, since);
            (begins.collect(), since, later(since, lasted))
        })
    }

    proptest! {
        #[test]
        fn what_the_months_get_is_what_the_run_cost((begins, since, until) in calendar_and_run(), price in 0_u64..50_000_000) {
            let price = MicroUsd(price);
            let ends = begins.iter().skip(1).copied().chain([Timestamp::from_millis(i64::MAX)]);
            let shares = begins.iter().zip(ends).filter(|(begins, ends)| since < *ends && **begins <= until);
            let got: u64 = shares.map(|(begins, ends)| share(*begins, since, until.min(ends), price).0).sum();
            prop_assert_eq!(MicroUsd(got), price.for_time(billed(since, until)));
        }
    }
}
