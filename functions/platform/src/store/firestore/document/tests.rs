use serde_json::{Value, json};

use super::*;
use crate::contract::records::{full_record, run_numbered};

fn documents() -> (Value, Value) {
    let due_at = None;
    let workspace = WorkspaceDocument { record: full_record(), due_at, save: "1".to_owned() };
    (serde_json::to_value(workspace).unwrap(), serde_json::to_value(RunDocument(run_numbered(3))).unwrap())
}

#[test]
fn documents_from_before_prices_and_phases_were_kept_are_read() {
    let (mut workspace, mut run) = documents();
    for fields in [&mut workspace["record"], &mut run] {
        for young in ["price", "in_phases"] {
            assert!(fields.as_object_mut().unwrap().remove(young).is_some(), "{young}");
        }
    }
    let read: WorkspaceDocument = serde_json::from_value(workspace).unwrap();
    assert_eq!(read.record, Record { price: None, in_phases: PhaseTimes::default(), ..full_record() });
    let RunDocument(read) = serde_json::from_value(run).unwrap();
    assert_eq!(read, Run { price: None, in_phases: PhaseTimes::default(), ..run_numbered(3) });
}

#[test]
fn documents_from_before_boots_could_move_and_fail_are_read() {
    let (mut workspace, _) = documents();
    let record = &mut workspace["record"];
    assert!(record["boot"].as_object_mut().unwrap().remove("moved_at").is_some());
    assert!(record["failure"].as_object_mut().unwrap().remove("step").is_some());
    let mut expected = full_record();
    expected.boot.as_mut().unwrap().moved_at = Timestamp::default();
    expected.failure.as_mut().unwrap().step = None;
    let read: WorkspaceDocument = serde_json::from_value(workspace).unwrap();
    assert_eq!(read.record, expected);
}

#[test]
fn documents_from_before_walks_budgets_and_notices_were_kept_are_read() {
    let (mut workspace, mut run) = documents();
    let old = json!(["comfyui-main-b"]);
    let young = [
        "walk",
        "dry_lately",
        "lost_zone",
        "started_by",
        "restarts",
        "restart_of",
        "allowance",
        "beyond_budget",
        "by_user",
        "budget_told",
        "restore_queue",
        "interrupted_run",
        "kept_prompts",
        "notices",
        "notices_made",
    ];
    let record = workspace["record"].as_object_mut().unwrap();
    for field in young {
        assert!(record.remove(field).is_some(), "{field}");
    }
    assert!(record["call"].as_object_mut().unwrap().remove("repeats").is_some());
    // What the walk was in those days.
    record.insert("dry".to_owned(), old);
    for field in ["walk", "started_by", "restart_of"] {
        assert!(run.as_object_mut().unwrap().remove(field).is_some(), "{field}");
    }
    let read: WorkspaceDocument = serde_json::from_value(workspace).unwrap();
    let none = Record::default();
    assert_eq!((read.record.walk, read.record.notices), (none.walk, none.notices));
    assert_eq!((read.record.phase, read.record.month), (full_record().phase, full_record().month));
    let RunDocument(read) = serde_json::from_value(run).unwrap();
    let expected = Run { walk: Vec::new(), started_by: None, restart_of: None, ..run_numbered(3) };
    assert_eq!(read, expected);
}

#[test]
fn a_price_and_the_time_in_each_phase_look_as_one_would_expect() {
    let (workspace, run) = documents();
    assert_eq!(run["price"], json!({"per_hour": 706_800, "date": "2026-07-30"}));
    let phases = json!({"placing": 29, "booting": 41, "ready": 3700, "draining": 180, "stopping": 50});
    assert_eq!(run["in_phases"], phases);
    assert_eq!(workspace["record"]["in_phases"]["stopping"], 5);
}
