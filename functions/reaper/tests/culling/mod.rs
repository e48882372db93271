//! Runs that are idle when a sweep lists them, and become active before it has stopped them: the race that every stopper
//! of idle machines has to win. Played on any store, with any number of runs.

mod interloper;
mod moments;

use std::sync::Arc;
use std::time::Duration;

use domain::{Event, Heartbeat, Phase, Policy, Reading, Seconds, Timestamp, Workspace, decide};
use futures_util::{StreamExt as _, stream};
use platform::clock::{Clock as _, ManualClock};
use platform::store::{Save, SaveError, WorkspaceStore, save_decision};

use self::interloper::Interloper;
pub(crate) use self::moments::{Moment, moments};
use crate::ground::{INSTANCE_ID, Nudges, ready, reaper, workspace};

/// When the first sweep lists them.
const BEGIN: Timestamp = Timestamp::from_seconds(1_800_000_000);
/// Between two sweeps.
const SWEEP_EVERY: Seconds = Seconds(60);
/// How long before a sweep the VMs speak.
const HEARD_BEFORE: Seconds = Seconds(5);
/// Sweeps of one play: through the announcement, and two more in which nothing may happen any more.
const SWEEPS: u64 = 6;
/// Records worked on at once.
const AT_ONCE: usize = 32;
/// A record that others change is decided anew this often.
const ATTEMPTS_MAX: usize = 16;

/// How a play ended.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// Stops that were announced.
    pub(crate) announced: usize,
    /// Runs that became active, as their users were told.
    pub(crate) became_active: usize,
    /// Runs that were stopped in the end.
    pub(crate) stopped: usize,
    /// Stops saved although the run had become active within its idle limit: there must be none, ever.
    pub(crate) stopped_while_active: usize,
    /// Workers asked to take a machine down.
    pub(crate) nudges: usize,
}

/// Plays with one run for each of `moments`: `None` stays idle.
pub(crate) async fn play(store: Arc<dyn WorkspaceStore>, moments: &[Option<Moment>]) -> Outcome {
    let clock = ManualClock::at(BEGIN);
    let workspaces: Vec<_> = (0..moments.len()).map(workspace).collect();
    fill(&*store, &workspaces).await;
    let interloper = Arc::new(Interloper::new(Arc::clone(&store), clock.clone(), &workspaces, moments));
    let nudges = Arc::new(Nudges::default());
    let behind = Arc::clone(&interloper) as Arc<dyn WorkspaceStore>;
    let app = reaper(&workspaces, &workspaces, behind, Arc::new(clock.clone()), Arc::clone(&nudges));
    let mut outcome = Outcome::default();
    for sweep in 0..SWEEPS {
        let (report, ()) =
            tokio::join!(app.sweep(), interloper.strike(|moment| sweep == 0 && moment == Moment::Meanwhile));
        assert_eq!(report.failed, [], "sweep {sweep}");
        outcome.announced += report.drained;
        let over = sweep + 2 >= SWEEPS;
        assert!(!over || (report.drained, report.stopped) == (0, 0), "nothing happens any more: {report:?}");
        let next = BEGIN + Seconds(SWEEP_EVERY.0 * (sweep + 1));
        wait_until(next, &clock, &interloper, &workspaces).await;
    }
    assert_eq!(interloper.awaiting(), 0, "each had its moment");
    outcome.became_active = interloper.became_active();
    outcome.stopped_while_active = interloper.stopped_while_active();
    outcome.nudges = nudges.count();
    for (workspace, moment) in workspaces.iter().zip(moments) {
        let phase = store.load(&workspace.id).await.unwrap().record.phase;
        outcome.stopped += usize::from(phase == Phase::Stopping);
        assert!(matches!(phase, Phase::Ready | Phase::Stopping), "{} ({moment:?}) is left {phase:?}", workspace.id);
    }
    outcome
}

/// Every run is ready, idle and due.
async fn fill(store: &dyn WorkspaceStore, workspaces: &[Workspace]) {
    let saved = stream::iter(workspaces).map(async |workspace| {
        let record = ready(workspace, BEGIN - workspace.policy.arrival_limit, BEGIN);
        let due_at = domain::due_at(&record, &workspace.policy);
        assert_eq!(due_at, Some(BEGIN));
        store.save(Save { id: &workspace.id, record: &record, seen: None, due_at, ended: None }).await.unwrap();
    });
    saved.buffer_unordered(AT_ONCE).collect::<Vec<()>>().await;
}

/// Lets time pass: whoever is to become active in it does, second by second, and shortly before the end every VM says
/// that nothing is going on.
async fn wait_until(end: Timestamp, clock: &ManualClock, interloper: &Interloper, workspaces: &[Workspace]) {
    let idle = Reading::Idle { last: None };
    while clock.now() < end {
        let since = clock.now().since(BEGIN);
        interloper.strike(|moment| moment == Moment::Announced(since)).await;
        if end.since(clock.now()) == HEARD_BEFORE {
            let store = interloper.inner();
            let beats =
                stream::iter(workspaces).map(|workspace| happen(store, workspace, beat(workspace, idle), clock));
            beats.buffer_unordered(AT_ONCE).collect::<Vec<Phase>>().await;
        }
        clock.advance(Duration::from_secs(1));
    }
}

/// A heartbeat of the workspace's VM.
fn beat(workspace: &Workspace, reading: Reading) -> Event {
    let instance = workspace.placements[0].instance.clone();
    Event::Heartbeat(Heartbeat {
        instance,
        instance_id: INSTANCE_ID,
        run: Some(1),
        comfyui_up: true,
        reading,
        boot: None,
        kept_prompts: None,
    })
}

/// What lifecycle does with an event: load, decide, save on condition, and again while others are faster. The phase that
/// it leads to.
async fn happen(store: &dyn WorkspaceStore, workspace: &Workspace, event: Event, clock: &ManualClock) -> Phase {
    for _ in 0..ATTEMPTS_MAX {
        let current = store.load(&workspace.id).await.unwrap();
        let decision = decide(&current.record, event.clone(), clock.now(), workspace).unwrap();
        if !decision.save {
            return decision.next.phase;
        }
        match save_decision(store, workspace, current.version.as_ref(), &decision).await {
            Ok(_) => return decision.next.phase,
            Err(SaveError::Conflict | SaveError::Contended(_)) => {}
            Err(error) => panic!("{}: {error:?}", workspace.id),
        }
    }
    panic!("{} was changed by others {ATTEMPTS_MAX} times in a row", workspace.id);
}

/// How long a stop is announced.
fn announcement() -> Seconds {
    Policy::default().drain
}
