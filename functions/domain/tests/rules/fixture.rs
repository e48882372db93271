//! One workspace of two placements, and records brought to each phase by the real rules.

use domain::{
    Action, BootReport, BootStep, Calendar, Decision, Event, Heartbeat, InstanceSeen, InstanceStatus, MicroUsd,
    OperationError, OperationErrorKind, Phase, Placement, Policy, Reading, Record, Seconds, Signal, Timestamp,
    Workspace, WorkspaceId, decide,
};

/// 2026-11-22T18:00:00Z, a moment like any other.
pub(crate) const START: Timestamp = Timestamp::from_seconds(1_795_370_400);

/// Instance numbers of the placements `a` and `b`.
pub(crate) const ID_A: u64 = 101;
pub(crate) const ID_B: u64 = 102;

pub(crate) fn at(seconds: u64) -> Timestamp {
    START + Seconds(seconds)
}

pub(crate) fn workspace() -> Workspace {
    let placement = |name: &str| Placement {
        instance: name.to_owned(),
        zone: format!("zone-{name}"),
        spot: false,
        machine_type: "g2-standard-4".to_owned(),
        accelerator: "nvidia-l4".to_owned(),
        usd_per_hour: MicroUsd(720_000),
        price_date: None,
        origin: format!("https://{name}.example.com"),
    };
    Workspace {
        id: WorkspaceId::parse("main").unwrap(),
        title: "ComfyUI".to_owned(),
        members: None,
        placements: vec![placement("a"), placement("b")],
        disk: Some("data".to_owned()),
        calendar: Calendar::default(),
        policy: Policy::default(),
    }
}

/// Takes in an event that must be allowed.
pub(crate) fn take(record: &Record, event: Event, now: Timestamp) -> Decision {
    decide(record, event, now, &workspace()).unwrap()
}

/// The record after an event that must be allowed.
pub(crate) fn after(record: &Record, event: Event, now: Timestamp) -> Record {
    take(record, event, now).next
}

pub(crate) fn seen(instance: &str, status: InstanceStatus) -> InstanceSeen {
    let instance_id = if instance == "a" { ID_A } else { ID_B };
    InstanceSeen { instance: instance.to_owned(), status, instance_id, has_disk: instance == "a" }
}

pub(crate) fn sight(instance: &str, status: InstanceStatus) -> Event {
    Event::InstanceSeen(seen(instance, status))
}

pub(crate) fn beat(run: u64, reading: Reading) -> Event {
    Event::Heartbeat(heartbeat(run, reading))
}

pub(crate) fn heartbeat(run: u64, reading: Reading) -> Heartbeat {
    Heartbeat {
        instance: "a".to_owned(),
        instance_id: ID_A,
        run: Some(run),
        comfyui_up: true,
        reading,
        boot: None,
        kept_prompts: None,
    }
}

/// Word of a boot under way.
pub(crate) fn boot_report(step: BootStep, percent: u8, detail: &str) -> BootReport {
    BootReport { step, percent, detail: detail.to_owned(), failed: false }
}

/// What a machine says that is not up yet.
pub(crate) fn told(run: u64, report: BootReport) -> Event {
    Event::Heartbeat(Heartbeat { comfyui_up: false, boot: Some(report), ..heartbeat(run, Reading::Unknown) })
}

pub(crate) const IDLE: Reading = Reading::Idle { last: None };
pub(crate) const BUSY: Reading = Reading::Busy(Signal::Queue);

pub(crate) fn failed(kind: OperationErrorKind) -> Event {
    Event::OperationFailed(OperationError { kind, detail: "Google's words".to_owned(), zones: Vec::new() })
}

pub(crate) fn start_of(instance: &str) -> Action {
    Action::StartInstance { instance: instance.to_owned() }
}

pub(crate) fn stop_of(instance: &str) -> Action {
    Action::StopInstance { instance: instance.to_owned() }
}

/// Accepted at second 0; nothing asked of Google yet.
pub(crate) fn placing() -> Record {
    after(&Record::default(), Event::StartRequested(Default::default()), at(0))
}

/// The start of `a` was announced at second 1.
pub(crate) fn announced() -> Record {
    after(&placing(), Event::CallIntended(start_of("a")), at(1))
}

/// The start of `a` was accepted at second 2.
pub(crate) fn accepted() -> Record {
    after(&announced(), Event::CallAccepted { operation: "op-1".to_owned() }, at(2))
}

/// `a` was seen running at second 30.
pub(crate) fn booting() -> Record {
    let done = after(&accepted(), Event::OperationDone, at(29));
    after(&done, sight("a", InstanceStatus::Running), at(30))
}

/// ComfyUI answered at second 90; nobody has come yet.
pub(crate) fn ready() -> Record {
    after(&booting(), beat(1, IDLE), at(90))
}

/// Somebody was there at second 100.
pub(crate) fn used() -> Record {
    after(&ready(), Event::KeepAlive { person_at: Some(at(100)) }, at(100))
}

/// Used at second 100, heard idle 30 minutes later: announced at second 1900, to end at 2080.
pub(crate) fn draining() -> Record {
    let record = after(&used(), beat(1, IDLE), at(1900));
    assert_eq!(record.phase, Phase::Draining);
    record
}

/// Its user pressed Stop at second 200.
pub(crate) fn stopping() -> Record {
    after(&used(), Event::StopRequested, at(200))
}

/// All was seen down at second 240.
pub(crate) fn stopped() -> Record {
    after(&stopping(), sight("a", InstanceStatus::Down), at(240))
}

/// Refused for want of quota at second 3.
pub(crate) fn out_of_quota() -> Record {
    after(&accepted(), failed(OperationErrorKind::Quota), at(3))
}
