//! What every [`WorkspaceStore`] must do, whoever keeps the records.

use std::collections::BTreeSet;
use std::sync::Arc;

use domain::{
    Action, Activity, BootStep, FailureCode, Phase, Record, Run, RunNumber, Signal, StopReason, Timestamp, WorkspaceId,
};
use futures_util::future::join_all;

use super::records::{full_record, run_numbered};
use crate::store::{DuePage, Save, SaveError, Version, WorkspaceStore};

/// Pages that a walk through what is due may take here; more is a walk that does not end.
const PAGES_MAX: usize = 100;

/// Holds a store to its contract. `empty` makes one that nobody else uses, with nothing in it.
///
/// # Panics
/// When the store breaks the contract; the message says where.
pub async fn store_contract(empty: impl AsyncFn() -> Arc<dyn WorkspaceStore>) {
    an_unknown_workspace_is_a_new_record(&*empty().await).await;
    every_field_of_a_record_and_a_run_comes_back(&*empty().await).await;
    every_variant_comes_back(&*empty().await).await;
    a_record_is_created_once(&*empty().await).await;
    a_stale_save_changes_nothing(&*empty().await).await;
    a_version_of_nothing_is_in_conflict(&*empty().await).await;
    of_racing_saves_one_wins(&*empty().await).await;
    what_is_due_comes_oldest_first_and_no_other(&*empty().await).await;
    pages_of_what_is_due_neither_repeat_nor_skip(&*empty().await).await;
    a_save_moves_when_it_is_due(&*empty().await).await;
    runs_come_newest_first_and_each_once(&*empty().await).await;
    runs_belong_to_their_workspace(&*empty().await).await;
}

fn workspace(name: &str) -> WorkspaceId {
    WorkspaceId::parse(name).expect("a workspace name of this suite")
}

fn numbered(run: RunNumber) -> Record {
    Record { run, ..Record::default() }
}

async fn save_due(store: &dyn WorkspaceStore, id: &WorkspaceId, run: RunNumber, due_second: Option<i64>) -> Version {
    let seen = store.load(id).await.expect("a load").version;
    let due_at = due_second.map(Timestamp::from_seconds);
    let save = Save { id, record: &numbered(run), seen: seen.as_ref(), due_at, ended: None };
    store.save(save).await.expect("a save from the version just read")
}

async fn an_unknown_workspace_is_a_new_record(store: &dyn WorkspaceStore) {
    let loaded = store.load(&workspace("main")).await.expect("a load");
    assert_eq!((loaded.record, loaded.version), (Record::default(), None));
    assert_eq!(store.runs(&workspace("main"), None, 10).await.expect("runs"), []);
    let due = store.due(Timestamp::from_seconds(1 << 33), None, 10).await.expect("what is due");
    assert_eq!(due, DuePage { records: Vec::new(), next: None });
}

async fn every_field_of_a_record_and_a_run_comes_back(store: &dyn WorkspaceStore) {
    let id = workspace("main");
    let (record, run) = (full_record(), run_numbered(2));
    let due_at = Some(Timestamp::from_seconds(5));
    let save = Save { id: &id, record: &record, seen: None, due_at, ended: Some(&run) };
    let version = store.save(save).await.expect("the first save");
    let loaded = store.load(&id).await.expect("a load");
    assert_eq!(loaded.record, record);
    assert_eq!(loaded.version, Some(version.clone()), "save and load name the same version");
    let due = store.due(Timestamp::from_seconds(5), None, 10).await.expect("what is due");
    assert_eq!(due.records, [(id.clone(), loaded)], "what is due is the record as a load has it");
    assert_eq!(store.runs(&id, None, 10).await.expect("runs"), [run]);

    let save = Save { id: &id, record: &Record::default(), seen: Some(&version), due_at: None, ended: None };
    store.save(save).await.expect("a save from the version that the last one gave");
    assert_eq!(store.load(&id).await.expect("a load").record, Record::default(), "what is gone is gone");
}

async fn every_variant_comes_back(store: &dyn WorkspaceStore) {
    use Phase::{Booting, Draining, Failed, Placing, Ready, Stopped, Stopping};
    let id = workspace("main");
    let mut seen = None;
    let phases = [Stopped, Placing, Booting, Ready, Draining, Stopping, Failed];
    for (turn, failure) in EVERY_FAILURE.into_iter().enumerate() {
        let reason = EVERY_REASON[turn % EVERY_REASON.len()];
        let mut record = full_record();
        record.phase = phases[turn % phases.len()];
        record.ending = Some(reason);
        if let Some(kept) = &mut record.failure {
            kept.code = failure;
        }
        if let Some(boot) = &mut record.boot {
            boot.step = EVERY_STEP[turn % EVERY_STEP.len()];
        }
        if let Some(call) = &mut record.call {
            call.action = action(turn);
        }
        record.last_active = Some(Activity { at: record.phase_since, signal: EVERY_SIGNAL[turn % EVERY_SIGNAL.len()] });
        let run = Run { reason, failure: Some(failure), ..run_numbered(1) };
        let save = Save { id: &id, record: &record, seen: seen.as_ref(), due_at: None, ended: Some(&run) };
        seen = Some(store.save(save).await.expect("a save from the version before"));
        assert_eq!(store.load(&id).await.expect("a load").record, record);
        assert_eq!(store.runs(&id, None, 1).await.expect("runs"), [run]);
    }
}

const EVERY_REASON: [StopReason; 10] = [
    StopReason::Idle,
    StopReason::NeverOpened,
    StopReason::User,
    StopReason::HardLimit,
    StopReason::Silent,
    StopReason::Preempted,
    StopReason::HostError,
    StopReason::Budget,
    StopReason::MachineStopped,
    StopReason::StartFailed,
];

const EVERY_FAILURE: [FailureCode; 11] = [
    FailureCode::StockOut,
    FailureCode::Quota,
    FailureCode::Permission,
    FailureCode::NotFound,
    FailureCode::Refused,
    FailureCode::PlacingTimedOut,
    FailureCode::ZoneGone,
    FailureCode::Interrupted,
    FailureCode::BootTimedOut,
    FailureCode::BootFailed,
    FailureCode::StopTimedOut,
];

const EVERY_STEP: [BootStep; 6] = [
    BootStep::Placing,
    BootStep::Booting,
    BootStep::MountingDisk,
    BootStep::Installing,
    BootStep::GettingCertificate,
    BootStep::StartingComfyui,
];

const EVERY_SIGNAL: [Signal; 4] = [Signal::Queue, Signal::Traffic, Signal::Gpu, Signal::Person];

fn action(turn: usize) -> Action {
    let instance = format!("instance-{turn}");
    match turn % 5 {
        0 => Action::StartInstance { instance },
        1 => Action::StopInstance { instance },
        2 => Action::DetachDisk { instance },
        3 => Action::ForceAttachDisk { instance },
        _ => Action::AttachDisk { instance },
    }
}

async fn a_record_is_created_once(store: &dyn WorkspaceStore) {
    let id = workspace("main");
    save_due(store, &id, 1, None).await;
    let again = Save { id: &id, record: &numbered(9), seen: None, due_at: None, ended: None };
    assert!(matches!(store.save(again).await, Err(SaveError::Conflict)), "it is there already");
    assert_eq!(store.load(&id).await.expect("a load").record, numbered(1));
}

async fn a_stale_save_changes_nothing(store: &dyn WorkspaceStore) {
    let id = workspace("main");
    let stale = save_due(store, &id, 1, Some(10)).await;
    let fresh = save_due(store, &id, 2, Some(20)).await;
    assert_ne!(stale, fresh);
    let run = run_numbered(1);
    let due_at = Some(Timestamp::from_seconds(1));
    let save = Save { id: &id, record: &numbered(9), seen: Some(&stale), due_at, ended: Some(&run) };
    assert!(matches!(store.save(save).await, Err(SaveError::Conflict)), "somebody was faster");
    let loaded = store.load(&id).await.expect("a load");
    assert_eq!((loaded.record, loaded.version), (numbered(2), Some(fresh)));
    assert_eq!(store.runs(&id, None, 10).await.expect("runs"), [], "the run is saved with its record, or not at all");
    assert_eq!(due_at_or_before(store, 19).await, Vec::<String>::new(), "it is due when the last good save said");
}

async fn a_version_of_nothing_is_in_conflict(store: &dyn WorkspaceStore) {
    let elsewhere = save_due(store, &workspace("other"), 1, None).await;
    let id = workspace("main");
    let save = Save { id: &id, record: &numbered(1), seen: Some(&elsewhere), due_at: None, ended: None };
    assert!(matches!(store.save(save).await, Err(SaveError::Conflict)));
    assert_eq!(store.load(&id).await.expect("a load").version, None);
}

async fn of_racing_saves_one_wins(store: &dyn WorkspaceStore) {
    let id = workspace("main");
    let seen = save_due(store, &id, 1, None).await;
    // All alike: a save that changes nothing must count as one too, else two workers would both believe that they
    // have announced the same call.
    let record = numbered(2);
    let race = (0..6).map(|_| Save { id: &id, record: &record, seen: Some(&seen), due_at: None, ended: None });
    let results = join_all(race.map(|save| store.save(save))).await;
    let won = results.iter().filter(|result| result.is_ok()).count();
    let lost = results.iter().filter(|result| matches!(result, Err(SaveError::Conflict))).count();
    assert_eq!((won, lost), (1, 5), "{results:?}");
}

async fn due_at_or_before(store: &dyn WorkspaceStore, second: i64) -> Vec<String> {
    let page = store.due(Timestamp::from_seconds(second), None, 100).await.expect("what is due");
    page.records.iter().map(|(id, _)| id.to_string()).collect()
}

async fn what_is_due_comes_oldest_first_and_no_other(store: &dyn WorkspaceStore) {
    for (name, due) in [("late", Some(30)), ("early", Some(10)), ("never", None), ("middle", Some(20))] {
        save_due(store, &workspace(name), 1, due).await;
    }
    assert_eq!(due_at_or_before(store, 9).await, Vec::<String>::new());
    assert_eq!(due_at_or_before(store, 10).await, ["early"], "due at this very moment is due");
    assert_eq!(due_at_or_before(store, 29).await, ["early", "middle"]);
    assert_eq!(due_at_or_before(store, 1000).await, ["early", "middle", "late"]);
}

async fn pages_of_what_is_due_neither_repeat_nor_skip(store: &dyn WorkspaceStore) {
    // Several share a moment, so that a page ends between two of them.
    let due = [("a", 10), ("b", 10), ("c", 10), ("d", 20), ("e", 20), ("f", 30), ("g", 40)];
    for (name, second) in due {
        save_due(store, &workspace(name), 1, Some(second)).await;
    }
    for limit in 1..=7 {
        let (mut names, mut cursor) = (Vec::new(), None);
        for _ in 0..PAGES_MAX {
            let page = store.due(Timestamp::from_seconds(30), cursor.as_ref(), limit).await.expect("a page");
            assert!(page.records.len() <= limit, "{} records in a page of {limit}", page.records.len());
            names.extend(page.records.into_iter().map(|(id, _)| id.to_string()));
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(names, ["a", "b", "c", "d", "e", "f"], "in pages of {limit}");
    }
}

async fn a_save_moves_when_it_is_due(store: &dyn WorkspaceStore) {
    let id = workspace("main");
    save_due(store, &id, 1, Some(10)).await;
    save_due(store, &id, 2, Some(20)).await;
    assert_eq!(due_at_or_before(store, 10).await, Vec::<String>::new());
    assert_eq!(due_at_or_before(store, 20).await, ["main"], "once");
    save_due(store, &id, 3, None).await;
    assert_eq!(due_at_or_before(store, 1000).await, Vec::<String>::new());
}

async fn runs_come_newest_first_and_each_once(store: &dyn WorkspaceStore) {
    let id = workspace("main");
    let mut seen = None;
    // 9 to 11 tell numbers in order from texts in order; 10 is told twice, as after a lost answer.
    for number in [8, 9, 10, 10, 11] {
        let run = run_numbered(number);
        let record = numbered(number + 1);
        let save = Save { id: &id, record: &record, seen: seen.as_ref(), due_at: None, ended: Some(&run) };
        seen = Some(store.save(save).await.expect("a save"));
    }
    let numbers = async |before, limit| {
        let runs = store.runs(&id, before, limit).await.expect("runs");
        runs.iter().map(|run| run.number).collect::<Vec<_>>()
    };
    assert_eq!(numbers(None, 10).await, [11, 10, 9, 8]);
    assert_eq!(numbers(None, 2).await, [11, 10]);
    assert_eq!(numbers(Some(10), 2).await, [9, 8]);
    assert_eq!(numbers(Some(8), 2).await, Vec::<RunNumber>::new());
}

async fn runs_belong_to_their_workspace(store: &dyn WorkspaceStore) {
    let (main, other) = (workspace("main"), workspace("other"));
    for (id, number) in [(&main, 1), (&other, 2)] {
        let run = run_numbered(number);
        let save = Save { id, record: &numbered(number), seen: None, due_at: None, ended: Some(&run) };
        store.save(save).await.expect("a first save");
    }
    assert_eq!(store.runs(&main, None, 10).await.expect("runs"), [run_numbered(1)]);
    let due: BTreeSet<_> = due_at_or_before(store, 1000).await.into_iter().collect();
    assert_eq!(due, BTreeSet::new(), "a finished run is no workspace");
}
