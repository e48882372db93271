//! What the reaper repairs.

use domain::{Record, Repair, Timestamp, UpInstance, WorkspaceId, due_at, plan};

use crate::fixture::{at, booting, draining, placing, ready, stopped, stopping, used, workspace};

fn up(workspace: &str, instance: &str) -> UpInstance {
    UpInstance { workspace: workspace.to_owned(), instance: instance.to_owned(), zone: format!("zone-{instance}") }
}

fn plan_for(record: &Record, up: &[UpInstance], now: Timestamp) -> Vec<Repair> {
    let workspace = workspace();
    let id = &workspace.id;
    plan([(id, record, &workspace.policy)], up, |name| (name == id.as_str()).then_some((id, record)), now)
}

fn main_id() -> WorkspaceId {
    workspace().id
}

#[test]
fn what_is_due_is_settled_and_what_is_not_is_left() {
    let record = placing();
    assert_eq!(plan_for(&record, &[], at(59)), []);
    assert_eq!(plan_for(&record, &[], at(60)), [Repair::Settle { workspace: main_id() }]);
    assert_eq!(plan_for(&stopped(), &[], at(100_000)), []);
}

#[test]
fn a_machine_where_its_record_wants_it_is_left() {
    for record in [placing(), booting(), ready(), draining(), stopping()] {
        assert_eq!(plan_for(&record, &[up("main", "a")], at(31)), [], "{:?}", record.phase);
    }
}

#[test]
fn a_machine_where_its_record_does_not_want_it_is_looked_at() {
    let look = |instance: &str| Repair::Nudge { workspace: main_id(), instance: instance.to_owned() };
    assert_eq!(plan_for(&stopped(), &[up("main", "a")], at(500)), [look("a")]);
    assert_eq!(plan_for(&Record::default(), &[up("main", "b")], at(0)), [look("b")]);
    assert_eq!(plan_for(&ready(), &[up("main", "a"), up("main", "b")], at(95)), [look("b")]);
}

#[test]
fn a_machine_of_no_workspace_is_stopped() {
    let unknown = Repair::StopUnknown { instance: "x".to_owned(), zone: "zone-x".to_owned() };
    assert_eq!(plan_for(&ready(), &[up("main", "a"), up("gone", "x")], at(95)), [unknown]);
}

#[test]
fn every_phase_is_due_when_something_must_happen_in_it() {
    let policy = workspace().policy;
    let hard = 12 * 3600;
    let cases = [
        (placing(), Some(60)),
        (booting(), Some(30 + 60)),
        // Silent from second 780; idle at 1900; the hard end much later.
        (used(), Some(780)),
        (draining(), Some(2080)),
        (stopping(), Some(200 + 60)),
        (stopped(), None),
        (Record::default(), None),
    ];
    for (record, due) in cases {
        assert_eq!(due_at(&record, &policy), due.map(at), "{:?}", record.phase);
    }
    let mut extended = used();
    (extended.heard_at, extended.stop_at) = (Some(at(hard)), Some(at(hard)));
    assert_eq!(due_at(&extended, &policy), Some(at(hard - 180)), "the hard end is announced before it comes");
}

#[test]
fn a_call_that_has_outlived_its_run_is_due_when_it_can_no_longer_arrive() {
    let called = crate::fixture::after(&stopped(), domain::Event::CallIntended(crate::fixture::stop_of("b")), at(250));
    assert_eq!(due_at(&called, &workspace().policy), Some(at(250 + 40)));
}
