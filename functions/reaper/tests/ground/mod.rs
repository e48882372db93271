//! What sweeps over many workspaces stand on, in tests and benches.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use domain::{
    Calendar, InstanceStatus, MicroUsd, Phase, Placement, Policy, Record, Seconds, Timestamp, UpInstance, Wish,
    Workspace, WorkspaceId,
};
use platform::clock::Clock;
use platform::compute::fake::FakeCompute;
use platform::identity::jwks::{JwksSources, JwksVerifier};
use platform::queue::Queue;
use platform::store::WorkspaceStore;
use reaper::{App, Parts};
use service::OidcGate;

/// The number of every instance, as Compute Engine would have given it.
pub(crate) const INSTANCE_ID: u64 = 7;

/// Counts nudges.
#[derive(Debug, Default)]
pub(crate) struct Nudges(AtomicUsize);

impl Nudges {
    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl Queue for Nudges {
    async fn nudge(&self, _: &WorkspaceId) -> anyhow::Result<()> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

/// A workspace with one placement.
pub(crate) fn workspace(number: usize) -> Workspace {
    Workspace {
        id: WorkspaceId::parse(&format!("w{number}")).unwrap(),
        title: String::new(),
        members: None,
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

/// A run that has been ready since `since`, that nobody has come for, and whose VM has just said so.
pub(crate) fn ready(workspace: &Workspace, since: Timestamp, now: Timestamp) -> Record {
    Record {
        wish: Wish::Running,
        phase: Phase::Ready,
        run: 1,
        phase_since: since,
        placement: Some(workspace.placements[0].instance.clone()),
        instance_id: Some(INSTANCE_ID),
        started_at: Some(since),
        ready_at: Some(since),
        heard_at: Some(now),
        idle_heard_at: Some(now - Seconds(5)),
        stop_at: Some(since + workspace.policy.arrival_limit),
        hard_stop_at: Some(since + workspace.policy.hard_limit),
        ..Record::default()
    }
}

/// A reaper over all of `workspaces`, where the machines of `up` are up.
pub(crate) fn reaper(
    workspaces: &[Workspace],
    up: &[Workspace],
    store: Arc<dyn WorkspaceStore>,
    clock: Arc<dyn Clock>,
    queue: Arc<Nudges>,
) -> App {
    let compute = FakeCompute::default();
    for workspace in up {
        let place = &workspace.placements[0];
        let (instance, zone) = (place.instance.clone(), place.zone.clone());
        compute.add_stray(&UpInstance { workspace: workspace.id.to_string(), instance, zone }, InstanceStatus::Running);
    }
    let scheduler = OidcGate {
        identity: Arc::new(JwksVerifier::new(JwksSources::none())),
        clock: Arc::clone(&clock),
        audience: String::new(),
        emails: Vec::new(),
    };
    App::new(Parts { workspaces: workspaces.to_vec(), store, queue, compute: Arc::new(compute), clock, scheduler })
}
