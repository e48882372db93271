//! One sweep of 10,000 due among 1,000,000 known, the store in memory.
//!
//! `cargo bench -p reaper`. Prints how long the sweep took and the memory it needed over the store's own.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a bench prints, and may panic")]

use std::sync::Arc;
use std::time::Instant;

use domain::{
    Calendar, MicroUsd, Phase, Placement, Policy, Record, Seconds, Timestamp, UpInstance, Wish, Workspace, WorkspaceId,
    due_at,
};
use platform::clock::{Clock, SystemClock};
use platform::compute::fake::FakeCompute;
use platform::identity::jwks::{JwksSources, JwksVerifier};
use platform::queue::Queue;
use platform::store::{MemoryStore, Save, WorkspaceStore};
use reaper::{App, Parts};
use service::OidcGate;

const KNOWN: usize = 1_000_000;
const DUE: usize = 10_000;

#[derive(Debug)]
struct NoQueue;

#[async_trait::async_trait]
impl Queue for NoQueue {
    async fn nudge(&self, _: &WorkspaceId) -> anyhow::Result<()> {
        Ok(())
    }
}

fn workspace(number: usize) -> Workspace {
    Workspace {
        id: WorkspaceId::parse(&format!("w{number}")).unwrap(),
        title: String::new(),
        placements: vec![Placement {
            instance: format!("i{number}"),
            zone: "us-central1-a".into(),
            spot: false,
            machine_type: "g2-standard-4".into(),
            accelerator: "nvidia-l4".into(),
            usd_per_hour: MicroUsd(706_800),
            price_date: None,
            origin: "https://a.example.com".into(),
        }],
        disk: None,
        calendar: Calendar::default(),
        policy: Policy::default(),
    }
}

/// A run that has been ready since `ready`; idle, and heard to be.
fn ready(number: usize, ready: Timestamp, now: Timestamp) -> Record {
    Record {
        wish: Wish::Running,
        phase: Phase::Ready,
        run: 1,
        phase_since: ready,
        placement: Some(format!("i{number}")),
        started_at: Some(ready),
        ready_at: Some(ready),
        heard_at: Some(now),
        idle_heard_at: Some(now),
        stop_at: Some(ready + Policy::default().arrival_limit),
        hard_stop_at: Some(ready + Policy::default().hard_limit),
        ..Record::default()
    }
}

/// Resident memory of this process, in KiB: now, and the most there was.
fn memory() -> (u64, u64) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let field = |name: &str| -> u64 {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    (field("VmRSS:"), field("VmHWM:"))
}

async fn filled(now: Timestamp) -> (Arc<MemoryStore>, Vec<Workspace>) {
    let store = Arc::new(MemoryStore::new());
    let mut workspaces = Vec::with_capacity(KNOWN);
    for number in 0..KNOWN {
        let workspace = workspace(number);
        let due = number < DUE;
        let since = if due { now - Seconds::hours(1) } else { now };
        let record = ready(number, since, now);
        let due_at = due_at(&record, &workspace.policy);
        store.save(Save { id: &workspace.id, record: &record, seen: None, due_at, ended: None }).await.unwrap();
        workspaces.push(workspace);
    }
    (store, workspaces)
}

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let (store, workspaces) = filled(clock.now()).await;
        let compute = FakeCompute::default();
        for workspace in &workspaces[..DUE] {
            let place = &workspace.placements[0];
            let up = UpInstance {
                workspace: workspace.id.to_string(),
                instance: place.instance.clone(),
                zone: place.zone.clone(),
            };
            compute.add_stray(&up, domain::InstanceStatus::Running);
        }
        let scheduler = OidcGate {
            identity: Arc::new(JwksVerifier::new(JwksSources::none())),
            clock: Arc::clone(&clock),
            audience: String::new(),
            emails: Vec::new(),
        };
        let parts = Parts { workspaces, store, queue: Arc::new(NoQueue), compute: Arc::new(compute), clock, scheduler };
        let app = App::new(parts);
        let (before, _) = memory();
        let begin = Instant::now();
        let report = app.sweep().await;
        let took = begin.elapsed();
        let (_, most) = memory();
        assert_eq!((report.drained, report.failed.len()), (DUE, 0));
        println!(
            "sweep, {DUE} due of {KNOWN} known: {took:?}, {} MiB over what was there",
            most.saturating_sub(before) / 1024
        );
    });
}
