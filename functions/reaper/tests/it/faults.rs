//! What goes wrong in a sweep stays with its item, is told of, and is made good by the next.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use domain::{InstanceStatus, Phase, Policy, Reading, Run, RunNumber, Seconds, Timestamp, WorkspaceId};
use platform::store::{
    DueCursor, DuePage, FaultyStore, MemoryStore, Operation, Save, SaveError, StoreFault, Version, Versioned,
    WorkspaceStore,
};

use crate::setting::{Setting, drained, less, names, nudged, stopped};

fn faulty(names: &[impl AsRef<str>]) -> (Setting, Arc<FaultyStore>) {
    let mut faulty = None;
    let setting = Setting::behind(names, |records, _| {
        faulty = Some(Arc::new(FaultyStore::new(records)));
        faulty.clone().unwrap()
    });
    (setting, faulty.unwrap())
}

#[tokio::test]
async fn one_workspace_that_fails_does_not_keep_the_others() {
    let names = ["one", "three", "two"];
    let (setting, faulty) = faulty(&names);
    setting.idle(&names).await;
    faulty.set_failing(Some(setting.workspace("two").id.clone()));
    let report = setting.sweep().await;
    assert_eq!(report.items, [drained("one"), drained("three")]);
    assert_eq!((report.drained, report.failed.len()), (2, 1));
    assert!(report.failed[0].item.contains("two"), "{:?}", report.failed);
    assert_eq!(report.failed[0].error, "saving a workspace");
    assert_eq!(setting.record("two").await.phase, Phase::Ready);

    faulty.set_failing(None);
    assert_eq!(setting.swept().await, [drained("two")]);
}

#[tokio::test]
async fn a_nudge_that_the_queue_does_not_take_is_made_good() {
    let setting = Setting::new(&["one", "two"]);
    setting.idle(&["one", "two"]).await;
    setting.swept().await;
    setting.leap(less(Policy::default().drain, Seconds(5)));
    setting.beat("one", Reading::Idle { last: None }).await;
    setting.beat("two", Reading::Idle { last: None }).await;
    setting.leap(Seconds(5));
    setting.nudges.refuse(&setting.workspace("one").id);
    let report = setting.sweep().await;
    assert_eq!(report.items, [stopped("two")]);
    assert_eq!(report.failed.iter().map(|failed| failed.error.as_str()).collect::<Vec<_>>(), ["nudging"]);
    assert_eq!(setting.record("one").await.phase, Phase::Stopping, "what is saved is saved");

    setting.nudges.accept_all();
    setting.nudges.take();
    setting.leap(Seconds(60));
    assert_eq!(setting.swept().await, [nudged("one"), nudged("two")]);
    assert_eq!(setting.nudges.take(), ["one", "two"]);
}

#[tokio::test]
async fn what_is_due_is_settled_though_compute_engine_does_not_answer() {
    let setting = Setting::new(&["main"]);
    setting.idle(&["main"]).await;
    setting.machines.fail_looks(1);
    let report = setting.sweep().await;
    assert_eq!(report.items, [drained("main")]);
    assert_eq!(report.failed.iter().map(|failed| failed.item.as_str()).collect::<Vec<_>>(), ["instances"]);
}

#[tokio::test]
async fn machines_are_looked_at_though_the_list_of_what_is_due_cannot_be_had() {
    let (setting, faulty) = faulty(&["idle", "main"]);
    setting.idle(&["idle"]).await;
    setting.machines.set_status("main-a", InstanceStatus::Running);
    faulty.fail_next(Operation::Due, StoreFault::Unavailable);
    let report = setting.sweep().await;
    assert_eq!(report.items, [nudged("main")], "and the machine that is wanted runs on");
    assert_eq!(report.failed.iter().map(|failed| failed.item.as_str()).collect::<Vec<_>>(), ["due records"]);
    assert_eq!(setting.swept().await, [drained("idle"), nudged("main")]);
}

/// More than two pages of the reaper's.
const PAGES: usize = 1203;

#[tokio::test]
async fn all_pages_of_what_is_due_are_settled_in_one_sweep() {
    let names = names(PAGES);
    let setting = Setting::new(&names);
    for name in &names {
        setting.placing(name).await;
    }
    setting.leap(Seconds(60));
    let report = setting.sweep().await;
    assert_eq!((report.looked_at, report.repaired, report.failed), (PAGES, PAGES, vec![]));
    assert_eq!(setting.nudges.take(), names);
}

/// Gives the first page of what is due, and no other.
#[derive(Debug)]
struct OnePage(Arc<MemoryStore>);

#[async_trait]
impl WorkspaceStore for OnePage {
    async fn load(&self, id: &WorkspaceId) -> anyhow::Result<Versioned> {
        self.0.load(id).await
    }
    async fn save(&self, save: Save<'_>) -> Result<Version, SaveError> {
        self.0.save(save).await
    }
    async fn due(&self, now: Timestamp, after: Option<&DueCursor>, limit: usize) -> anyhow::Result<DuePage> {
        anyhow::ensure!(after.is_none(), "the test gives one page");
        self.0.due(now, after, limit).await
    }
    async fn runs(&self, id: &WorkspaceId, before: Option<RunNumber>, limit: usize) -> anyhow::Result<Vec<Run>> {
        self.0.runs(id, before, limit).await
    }
}

#[tokio::test]
async fn a_page_that_cannot_be_read_keeps_only_what_follows_it() {
    let names = names(PAGES);
    let setting = Setting::behind(&names, |records, _| Arc::new(OnePage(records)));
    for name in &names {
        setting.placing(name).await;
    }
    setting.leap(Seconds(60));
    let report = setting.sweep().await;
    assert_eq!(report.failed.iter().map(|failed| failed.item.as_str()).collect::<Vec<_>>(), ["due records"]);
    assert_eq!(setting.nudges.take(), names[..500]);
}

#[tokio::test]
async fn a_record_that_changed_meanwhile_is_looked_at_again() {
    let (setting, faulty) = faulty(&["main"]);
    setting.idle(&["main"]).await;
    faulty.fail_next(Operation::Save, StoreFault::Conflict);
    assert_eq!(setting.swept().await, [drained("main")], "the change was beside the point");
    assert!(faulty.is_spent());
}

#[tokio::test]
async fn a_record_that_changes_all_the_time_is_left_to_the_next_sweep() {
    let (setting, faulty) = faulty(&["main"]);
    setting.idle(&["main"]).await;
    let before = setting.record("main").await;
    for _ in 0..4 {
        faulty.fail_next(Operation::Save, StoreFault::Conflict);
    }
    let report = setting.sweep().await;
    assert_eq!((report.items.len(), report.failed.len()), (0, 1));
    assert!(report.failed[0].error.contains("changed by others 4 times"), "{:?}", report.failed);
    assert_eq!(setting.record("main").await, before);
    assert_eq!(setting.swept().await, [drained("main")]);
}

#[tokio::test]
async fn a_save_whose_answer_was_lost_is_carried_on_from() {
    let (setting, faulty) = faulty(&["main"]);
    setting.idle(&["main"]).await;
    faulty.fail_next(Operation::Save, StoreFault::AnswerLost);
    let report = setting.sweep().await;
    assert_eq!((report.items.len(), report.failed.len()), (0, 1));
    setting.leap(less(Policy::default().drain, Seconds(5)));
    setting.beat("main", Reading::Idle { last: None }).await;
    setting.leap(Seconds(5));
    assert_eq!(setting.swept().await, [stopped("main")]);
}

#[tokio::test]
async fn two_sweeps_at_once_drain_each_run_once() {
    let names = names(50);
    let setting = Setting::new(&names);
    setting.idle(&names).await;
    let (one, other) = tokio::join!(setting.sweep(), setting.sweep());
    assert_eq!((one.failed, other.failed), (vec![], vec![]));
    assert_eq!(one.drained + other.drained, 50);
    let told: BTreeSet<_> = one.items.into_iter().chain(other.items).collect();
    assert_eq!(told, names.iter().map(|name| drained(name)).collect());
}
