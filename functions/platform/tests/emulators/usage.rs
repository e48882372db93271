//! What each operation costs, as Firestore bills, which calls it makes, and what has expired but is not deleted yet.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use domain::{Record, Seconds, THROTTLE, Timestamp, WorkspaceId};
use platform::contract::emulator::{Emulator, project};
use platform::contract::permissions;
use platform::contract::records::run_numbered;
use platform::firestore::{Firestore, FirestoreConfig, Usage};
use platform::signin::{FirestoreSigninStore, SigninStore};
use platform::store::{DueCursor, FirestoreStore, Save, WorkspaceStore};

use crate::cut_wire::CutWire;

const NOTHING: Usage = Usage { reads: 0, writes: 0, deletes: 0, tries_again: 0 };

/// What `work` uses of the database.
async fn used<T>(database: &Firestore, work: impl Future<Output = T>) -> (T, Usage) {
    let before = database.usage();
    let done = work.await;
    (done, database.usage() - before)
}

fn reads(reads: u64) -> Usage {
    Usage { reads, ..NOTHING }
}

fn writes(writes: u64) -> Usage {
    Usage { writes, ..NOTHING }
}

#[tokio::test]
async fn each_operation_on_records_costs_what_it_should() {
    let Some(emulator) = Emulator::firestore().await else { return };
    let database = emulator.database();
    let store = FirestoreStore::new(Arc::clone(&database));
    let (id, record) = (WorkspaceId::parse("main").unwrap(), Record::default());
    assert_eq!(database.usage(), NOTHING, "nothing is asked before it must be");

    let (loaded, used_up) = used(&database, store.load(&id)).await;
    assert_eq!((loaded.unwrap().version, used_up), (None, reads(1)), "looking for nothing");
    let first = Save { id: &id, record: &record, seen: None, due_at: None, ended: None };
    let (saved, used_up) = used(&database, store.save(first)).await;
    assert_eq!(used_up, writes(1));
    let (run, seen) = (run_numbered(1), saved.unwrap());
    let with_run = Save { id: &id, record: &record, seen: Some(&seen), due_at: None, ended: Some(&run) };
    let (saved, used_up) = used(&database, store.save(with_run)).await;
    assert_eq!((saved.is_ok(), used_up), (true, writes(2)), "the record, and the run that ended");
    assert_eq!(used(&database, store.load(&id)).await.1, reads(1));
    assert_eq!(used(&database, store.runs(&id, None, 20)).await.1, reads(1));
    let (none, used_up) = used(&database, store.runs(&id, Some(1), 20)).await;
    assert_eq!((none.unwrap(), used_up), (vec![], reads(1)), "a query that finds nothing");
    assert_eq!(used(&database, store.due(Timestamp::from_seconds(0), None, 20)).await.1, reads(1));
}

#[tokio::test]
async fn what_is_due_costs_what_is_due_and_not_what_there_is() {
    const KNOWN: usize = 200;
    const DUE: usize = 5;
    const PAGE: usize = 2;
    let Some(emulator) = Emulator::firestore().await else { return };
    let database = emulator.database();
    let store = FirestoreStore::new(Arc::clone(&database));
    let now = Timestamp::from_seconds(1_800_000_000);
    let known = (0..KNOWN).map(|at| {
        let due_at = if at < DUE { now } else { now + Seconds(1) };
        (WorkspaceId::parse(&format!("w{at}")).unwrap(), Record::default(), Some(due_at))
    });
    store.put_all(&known.collect::<Vec<_>>()).await.unwrap();

    let (page, used_up) = used(&database, store.due(now, None, 500)).await;
    assert_eq!((page.unwrap().records.len(), used_up), (DUE, reads(DUE as u64)));
    let all = async {
        let mut after: Option<DueCursor> = None;
        let mut found = 0;
        for _ in 0..KNOWN {
            let page = store.due(now, after.as_ref(), PAGE).await.unwrap();
            found += page.records.len();
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        found
    };
    assert_eq!(used(&database, all).await, (DUE, reads(DUE as u64)), "the same, page by page");
}

#[tokio::test]
async fn each_operation_of_signing_in_costs_what_it_should() {
    let Some(emulator) = Emulator::firestore().await else { return };
    let database = emulator.database();
    let store = FirestoreSigninStore::new(Arc::clone(&database));
    let now = Timestamp::from_seconds(1_800_000_000);
    assert_eq!(used(&database, store.attempts("account:admin")).await.1, reads(1));
    let failure = store.note_failure("account:admin", THROTTLE, now);
    assert_eq!(used(&database, failure).await.1, Usage { reads: 1, writes: 1, ..NOTHING });
    assert_eq!(used(&database, store.forgive("account:admin")).await.1, Usage { deletes: 1, ..NOTHING });
    assert_eq!(used(&database, store.is_revoked("token")).await.1, reads(1));
    assert_eq!(used(&database, store.revoke("token", now)).await.1, writes(1));
}

#[tokio::test]
async fn what_has_expired_counts_for_nothing_though_it_is_not_deleted_yet() {
    let Some(emulator) = Emulator::firestore().await else { return };
    let database = emulator.database();
    let store = FirestoreSigninStore::new(Arc::clone(&database));
    let begin = Timestamp::from_seconds(1_800_000_000);
    for _ in 0..THROTTLE.failures_max {
        store.note_failure("account:admin", THROTTLE, begin).await.unwrap();
    }
    let (old, used_up) = used(&database, store.attempts("account:admin")).await;
    assert_eq!((old.as_ref().unwrap().failed_at.len(), used_up), (THROTTLE.failures_max, reads(1)), "still there");
    let old = old.unwrap();
    assert!(THROTTLE.retry_after(&old, begin + Seconds(1)).is_some());
    let after = begin + THROTTLE.window;
    assert_eq!(THROTTLE.retry_after(&old, after), None, "what has expired keeps nobody out");
    store.note_failure("account:admin", THROTTLE, after).await.unwrap();
    assert_eq!(store.attempts("account:admin").await.unwrap().failed_at, [after], "nor does it add to what is new");
}

#[tokio::test]
async fn each_operation_makes_the_calls_that_its_rights_are_reckoned_by() {
    let Some(emulator) = Emulator::firestore().await else { return };
    let wire = CutWire::to(emulator.address()).await;
    let mut made = BTreeMap::new();
    let fresh = || {
        let config = FirestoreConfig { endpoint: Some(wire.url()), ..FirestoreConfig::new(project()) };
        Arc::new(Firestore::new(config))
    };
    let mut note = |method: &str, database: &Firestore| {
        let called: BTreeSet<String> = database.called().into_iter().map(str::to_owned).collect();
        made.insert(method.to_owned(), called);
    };

    let (id, record, now) = (WorkspaceId::parse("main").unwrap(), Record::default(), Timestamp::from_seconds(0));
    let (database, run) = (fresh(), run_numbered(1));
    let store = FirestoreStore::new(Arc::clone(&database));
    let save = Save { id: &id, record: &record, seen: None, due_at: None, ended: Some(&run) };
    // Its longest way: the answer is lost, and the store looks whether the save is its own.
    wire.cut_at_next_answer();
    store.save(save).await.unwrap();
    assert!(wire.has_struck());
    note("WorkspaceStore::save", &database);
    for method in ["load", "due", "runs"] {
        let database = fresh();
        let store = FirestoreStore::new(Arc::clone(&database));
        match method {
            "load" => drop(store.load(&id).await.unwrap()),
            "due" => drop(store.due(now, None, 1).await.unwrap()),
            _ => drop(store.runs(&id, None, 1).await.unwrap()),
        }
        note(&format!("WorkspaceStore::{method}"), &database);
    }
    for method in ["attempts", "note_failure", "forgive", "revoke", "is_revoked"] {
        let database = fresh();
        let store = FirestoreSigninStore::new(Arc::clone(&database));
        match method {
            "attempts" => drop(store.attempts("key").await.unwrap()),
            "note_failure" => store.note_failure("key", THROTTLE, now).await.unwrap(),
            "forgive" => store.forgive("key").await.unwrap(),
            "revoke" => store.revoke("token", now).await.unwrap(),
            _ => drop(store.is_revoked("token").await.unwrap()),
        }
        note(&format!("SigninStore::{method}"), &database);
    }
    assert_eq!(made, permissions::of_traits(&["WorkspaceStore", "SigninStore"]));
}
