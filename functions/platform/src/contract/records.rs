//! A record and a run with every field set, for whoever keeps them.

use domain::{
    Action, Activity, Attempt, Boot, BootStep, BudgetTold, Call, Failure, FailureCode, FoundDry, LastStop, MicroUsd,
    Month, Notice, NoticeKind, Outcome, Phase, PhaseTimes, Price, Record, Run, RunNumber, Seconds, Signal, StepTime,
    StopReason, Timestamp, UserMonth, Walk, Wish,
};

/// A run with every field set, told apart by its number.
pub fn run_numbered(number: RunNumber) -> Run {
    let at = |second: i64| Timestamp::from_millis(1_772_323_200_123 + second * 1000);
    Run {
        number,
        started_at: at(0),
        ready_at: Some(at(70)),
        ended_at: at(4000),
        reason: StopReason::Idle,
        signal: Some(Signal::Queue),
        failure: None,
        started_by: Some("ada".to_owned()),
        restart_of: Some(1),
        walk: attempts(),
        instance: Some("comfyui-main-a".to_owned()),
        zone: Some("us-central1-a".to_owned()),
        in_phases: phase_times([29, 41, 3700, 180, 50]),
        billed: Seconds(3990),
        price: Some(price()),
        cost: MicroUsd(784_000 + number),
        idle_cost: MicroUsd(12_345),
    }
}

fn price() -> Price {
    Price { per_hour: MicroUsd(706_800), date: Some("2026-07-30".to_owned()) }
}

fn phase_times(seconds: [u64; 5]) -> PhaseTimes {
    let [placing, booting, ready, draining, stopping] = seconds.map(Seconds);
    PhaseTimes { placing, booting, ready, draining, stopping }
}

/// A record with every field set.
#[expect(clippy::too_many_lines, reason = "it has a line for every field")]
pub fn full_record() -> Record {
    let at = |second: i64| Timestamp::from_millis(1_772_323_200_456 + second * 1000);
    Record {
        wish: Wish::Running,
        phase: Phase::Draining,
        run: 3,
        phase_since: at(1),
        placement: Some("comfyui-main-a".to_owned()),
        walk: Walk {
            since: at(17),
            tried: vec!["comfyui-main-b".to_owned(), "comfyui-main-c".to_owned()],
            attempts: attempts(),
            named: vec!["us-central1-f".to_owned()],
            not_before: Some(at(18)),
            rounds: 2,
            keep_trying_until: Some(at(19)),
        },
        dry_lately: vec![FoundDry { instance: "comfyui-main-b".to_owned(), at: at(20) }],
        lost_zone: Some("us-central1-c".to_owned()),
        call: Some(Call {
            action: Action::StopInstance { instance: "comfyui-main-a".to_owned() },
            sequence: 4,
            announced_at: at(2),
            until: at(3),
            operation: Some("operation-1".to_owned()),
            repeats: true,
        }),
        calls: 4,
        // Above the signed range: Compute Engine's numbers use all 64 bits.
        instance_id: Some(u64::MAX - 5),
        started_at: Some(at(4)),
        started_by: Some("ada".to_owned()),
        restarts: 2,
        restart_of: Some(2),
        allowance: Some(MicroUsd(5_000_000)),
        beyond_budget: true,
        ready_at: Some(at(5)),
        billed_since: Some(at(6)),
        price: Some(price()),
        in_phases: phase_times([1, 2, 3, 4, 5]),
        last_active: Some(Activity { at: at(7), signal: Signal::Person }),
        working: Some(Signal::Queue),
        heard_at: Some(at(8)),
        idle_heard_at: Some(at(9)),
        stop_at: Some(at(10)),
        hard_stop_at: Some(at(11)),
        drain_ends_at: Some(at(12)),
        ending: Some(StopReason::Idle),
        boot: Some(Boot {
            step: BootStep::StartingComfyui,
            since: at(13),
            percent: 80,
            detail: "Loading “custom nodes”\n…".to_owned(),
            done: vec![StepTime { step: BootStep::Placing, took: Seconds(9) }],
            moved_at: at(16),
        }),
        usual: vec![StepTime { step: BootStep::Booting, took: Seconds(40) }],
        idle: Seconds(77),
        last_stop: Some(LastStop {
            run: 2,
            reason: StopReason::User,
            at: at(14),
            signal: Some(Signal::Gpu),
            cost: MicroUsd(123_456),
            lasted: Seconds(3600),
        }),
        failure: Some(Failure {
            code: FailureCode::StockOut,
            detail: "ZONE_RESOURCE_POOL_EXHAUSTED".to_owned(),
            zone: Some("us-central1-a".to_owned()),
            retry_at: Some(at(15)),
            step: Some(BootStep::Installing),
        }),
        month: MONTH,
        by_user: vec![UserMonth { user: "ada".to_owned(), month: MONTH }],
        budget_told: Some(BudgetTold { month: MONTH.begins, percent: 80 }),
        restore_queue: true,
        interrupted_run: Some(1),
        kept_prompts: 3,
        notices: notices(at),
        notices_made: 9,
    }
}

const MONTH: Month = Month { begins: Timestamp::from_seconds(1_772_323_200), spent: MicroUsd(12_400_000) };

/// A try of each outcome.
fn attempts() -> Vec<Attempt> {
    use Outcome::{Dry, GivenUp, Interrupted, Refused, TimedOut, Trying, Up};
    let outcomes = [Trying, Dry, TimedOut, Up, Interrupted, Refused, GivenUp];
    let attempt = |(second, outcome)| Attempt {
        instance: "comfyui-main-b".to_owned(),
        zone: "us-central1-b".to_owned(),
        spot: second == 0,
        at: Timestamp::from_seconds(1_772_323_200 + second),
        outcome,
    };
    (0_i64..).zip(outcomes).map(attempt).collect()
}

/// A notice of each kind.
fn notices(at: impl Fn(i64) -> Timestamp) -> Vec<Notice> {
    let zone = || "us-central1-b".to_owned();
    let kinds = [
        NoticeKind::Ready { placement: "comfyui-main-a".to_owned(), restarts: 1 },
        NoticeKind::DrainingSoon { reason: StopReason::Budget, ends_at: at(30) },
        NoticeKind::Stopped {
            reason: StopReason::HostError,
            lasted: Seconds(3600),
            billed: Seconds(3500),
            cost: MicroUsd(700_000),
            month: MicroUsd(12_400_000),
            failure: Some(FailureCode::ZoneGone),
        },
        NoticeKind::NoCapacity { zones: vec![zone()], until: Some(at(31)) },
        NoticeKind::Preempted { zone: Some(zone()), host_error: false, restarting: true },
        NoticeKind::Budget { percent: 80, spent: MicroUsd(40_000_000), limit: MicroUsd(50_000_000) },
    ];
    let notice = |(sequence, kind)| Notice { sequence, run: 3, kind, at: at(32), tries: 2, not_before: at(33) };
    (1..).zip(kinds).map(notice).collect()
}
