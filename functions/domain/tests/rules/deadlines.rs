//! The arithmetic of deadlines, for any history, and any clock.

use domain::{
    Calendar, Decision, Event, MicroUsd, Month, Phase, Policy, Reading, Record, Seconds, Signal, StopReason, Timestamp,
    decide, due_at, write_threshold,
};
use proptest::prelude::*;

use crate::fixture::{at, beat, ready, sight, workspace};

/// Something that happens to a run, so many seconds after the last thing; a clock may also fall back or leap.
#[derive(Clone, Debug)]
struct Happening {
    later: i64,
    what: What,
}

#[derive(Clone, Copy, Debug)]
enum What {
    Heartbeat(Reading),
    Person { ago: u64 },
    ForgottenTab,
    KeepRunning,
    Extend { by: u64 },
    Sweep,
    Gone,
}

fn what() -> impl Strategy<Value = What> {
    let signal = prop_oneof![Just(Signal::Queue), Just(Signal::Traffic), Just(Signal::Gpu)];
    prop_oneof![
        4 => Just(What::Heartbeat(Reading::Idle { last: None })),
        2 => signal.prop_map(|signal| What::Heartbeat(Reading::Busy(signal))),
        2 => Just(What::Heartbeat(Reading::Unknown)),
        2 => (0_u64..3600).prop_map(|ago| What::Person { ago }),
        1 => Just(What::ForgottenTab),
        1 => Just(What::KeepRunning),
        1 => (0_u64..50_000).prop_map(|by| What::Extend { by }),
        4 => Just(What::Sweep),
    ]
}

fn history(later: impl Strategy<Value = i64>) -> impl Strategy<Value = Vec<Happening>> {
    prop::collection::vec((later, what()).prop_map(|(later, what)| Happening { later, what }), 1..120)
}

/// The usual passing of time: mostly heartbeats apart, sometimes long silences.
fn passing() -> impl Strategy<Value = i64> {
    prop_oneof![8 => 0_i64..60, 2 => 60_i64..900, 1 => 900_i64..8000]
}

/// Any clock: back, forward, and out of this world.
fn any_clock() -> impl Strategy<Value = i64> {
    prop_oneof![4 => -5000_i64..5000, 1 => any::<i64>()]
}

impl What {
    fn event(self, now: Timestamp) -> Event {
        match self {
            Self::Heartbeat(reading) => beat(1, reading),
            Self::Person { ago } => Event::KeepAlive { person_at: Some(now - Seconds(ago)) },
            Self::ForgottenTab => Event::KeepAlive { person_at: None },
            Self::KeepRunning => Event::StartRequested(Default::default()),
            Self::Extend { by } => Event::ExtendRequested { by: Seconds(by) },
            Self::Sweep => Event::SweepDue,
            Self::Gone => sight("a", domain::InstanceStatus::Down),
        }
    }

    /// The activity that this tells of.
    fn activity(self, now: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Heartbeat(Reading::Busy(_)) | Self::KeepRunning => Some(now),
            Self::Person { ago } => Some(now - Seconds(ago)),
            _ => None,
        }
    }
}

fn shifted(now: Timestamp, seconds: i64) -> Timestamp {
    Timestamp::from_millis(now.millis().saturating_add(seconds.saturating_mul(1000)))
}

/// Plays a history to a run that is ready, saving only what is worth a write, while the run lasts.
fn play(history: &[Happening], mut look: impl FnMut(&Record, &Happening, Timestamp, &Decision)) {
    let workspace = workspace();
    let (mut record, mut now) = (ready(), at(90));
    for happening in history {
        now = shifted(now, happening.later);
        let Ok(decision) = decide(&record, happening.what.event(now), now, &workspace) else { continue };
        look(&record, happening, now, &decision);
        if decision.save {
            record = decision.next;
        }
        if !record.phase.is_open() {
            break;
        }
    }
}

proptest! {
    #[test]
    fn deadlines_only_move_forward_and_never_past_the_hard_end(history in history(passing())) {
        play(&history, |before, _, _, decision| {
            assert!(decision.next.stop_at >= before.stop_at);
            assert!(decision.next.stop_at <= before.hard_stop_at);
            assert_eq!(decision.next.hard_stop_at, before.hard_stop_at);
        });
    }

    #[test]
    fn no_clock_makes_a_deadline_move_back_or_a_rule_panic(history in history(any_clock())) {
        play(&history, |before, _, now, decision| {
            assert!(decision.next.stop_at >= before.stop_at && decision.next.stop_at <= before.hard_stop_at);
            assert_eq!(decision.next.hard_stop_at, before.hard_stop_at);
            let policy = workspace().policy;
            assert!(due_at(&decision.next, &policy).is_some());
            // Costs and ends at such moments too.
            let cost = decision.next.run_cost(now, &workspace());
            assert!(decision.next.idle_cost(now, &workspace()) <= cost);
            let over = decide(&decision.next, What::Gone.event(now), now, &workspace()).unwrap();
            assert_eq!(over.ended.map(|run| run.number), Some(1).filter(|_| decision.next.phase.is_open()).or(over_run(&decision.next)));
        });
    }

    #[test]
    fn a_run_with_activity_younger_than_the_idle_limit_is_never_stopped_for_want_of_use(history in history(passing())) {
        let policy = workspace().policy;
        let mut told = None;
        play(&history, |before, happening, now, decision| {
            told = told.max(happening.what.activity(now).filter(|at| before.started_at.is_some_and(|from| *at >= from)));
            if decision.next.phase == Phase::Stopping && decision.next.ending != Some(StopReason::HardLimit) {
                assert!(told.is_none_or(|at| now >= at + policy.idle_limit), "{told:?} at {now:?}");
                assert_eq!(before.phase, Phase::Draining);
            }
        });
    }

    #[test]
    fn the_hard_limit_stops_at_the_hard_end_and_not_before(history in history(passing())) {
        play(&history, |before, _, now, decision| {
            if decision.next.phase == Phase::Stopping && decision.next.ending == Some(StopReason::HardLimit) {
                assert!(before.hard_stop_at.is_some_and(|hard| now >= hard));
            }
        });
    }

    #[test]
    fn nothing_that_a_sweep_would_do_is_due_later(history in history(passing()), later in 0_u64..50_000) {
        let workspace = workspace();
        play(&history, |_, _, now, decision| {
            let then = now + Seconds(later);
            let swept = decide(&decision.next, Event::SweepDue, then, &workspace).unwrap();
            if swept.next.phase != decision.next.phase {
                assert!(due_at(&decision.next, &workspace.policy).is_some_and(|due| due <= then));
            }
        });
    }

    #[test]
    fn what_goes_unwritten_is_less_than_the_threshold(history in history(passing())) {
        let threshold = write_threshold(&workspace().policy);
        play(&history, |before, _, _, decision| {
            if !decision.save {
                let moved = |from: Option<Timestamp>, to: Option<Timestamp>| {
                    from.zip(to).is_none_or(|(from, to)| to.since(from) <= threshold)
                };
                assert_eq!(decision.next.phase, before.phase);
                assert!(moved(before.stop_at, decision.next.stop_at) && moved(before.heard_at, decision.next.heard_at));
            }
        });
    }

    #[test]
    fn the_threshold_is_covered_by_the_announcement_whatever_the_policy(
        idle in 60_u64..86_400, drain in 10_u64..3600, silence in 15_u64..86_400,
    ) {
        let policy = Policy {
            idle_limit: Seconds(idle), drain: Seconds(drain), silence_limit: Seconds(silence), ..Policy::default()
        };
        let threshold = write_threshold(&policy);
        prop_assert!(threshold <= policy.drain && threshold.0 <= idle / 20 && threshold.0 <= silence / 4);
    }

    #[test]
    fn a_clock_that_falls_back_over_midnight_loses_no_month(seconds_back in 1_i64..86_400) {
        let begins = Timestamp::from_seconds(1_772_323_200);
        let march = Month { begins, spent: MicroUsd(5) };
        let utc = Calendar::default();
        prop_assert_eq!(march.at(shifted(begins, -seconds_back), &utc), march);
        prop_assert_eq!(march.at(shifted(begins, -86_401), &utc).spent, MicroUsd(0));
    }

    #[test]
    fn activity_is_never_younger_than_now(ago in -100_000_i64..100_000) {
        let told = shifted(at(1000), -ago);
        let event = Event::KeepAlive { person_at: Some(told) };
        let next = decide(&ready(), event, at(1000), &workspace()).unwrap().next;
        prop_assert!(next.last_active.map(|last| last.at) <= Some(at(1000)));
    }
}

/// The run that ends when the machine of this record is seen down, if one does.
fn over_run(record: &Record) -> Option<u64> {
    (record.phase == Phase::Stopping).then_some(record.run)
}
