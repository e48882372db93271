//! The world that the machines' model walks through: one record, its machines, its workers, and calls on their way.

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::sync::Arc;

use domain::{
    Action, Boot, Calendar, Call, Event, InstanceSeen, InstanceStatus, LastStop, MicroUsd, Month, Phase, PhaseTimes,
    Placement, Policy, Record, RunNumber, Seconds, Timestamp, Wish, Workspace, WorkspaceId,
};

/// One tick of a model's clock. The domain allows clocks to differ by just this much.
pub(crate) const TICK: Seconds = Seconds(10);

/// The reaper sweeps at least this often, in ticks.
pub(crate) const SWEEP_EVERY: u8 = 1;

/// A number of ticks, as a length of time.
pub(crate) const fn ticks(count: u64) -> Seconds {
    Seconds(TICK.0 * count)
}

/// The moment of a tick.
pub(crate) fn moment(tick: u8) -> Timestamp {
    Timestamp::from_seconds(1_000_000) + ticks(u64::from(tick))
}

/// A call is named by the run that announced it and its number therein.
pub(crate) type CallName = (RunNumber, u32);

pub(crate) fn operation_name((run, sequence): CallName) -> String {
    format!("operation-{run}-{sequence}")
}

/// A machine as it truly is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Vm {
    pub(crate) status: InstanceStatus,
    pub(crate) has_disk: bool,
    /// The run whose start woke it; `None` for somebody's hand.
    pub(crate) woken_by: Option<RunNumber>,
    /// The start that is bringing it up.
    pub(crate) starting: Option<CallName>,
    /// The run in which Google took it back last.
    pub(crate) preempted_in: Option<RunNumber>,
    /// Since which tick it has been up though the record does not want it.
    pub(crate) unwanted_since: Option<u8>,
    /// Google has said that there is no machine, and one may come up all the same.
    pub(crate) may_come_late: bool,
    /// Its zone answers.
    pub(crate) reachable: bool,
}

/// A call on its way to Compute Engine.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct InFlight {
    pub(crate) name: CallName,
    pub(crate) action: Action,
    /// It arrives before this tick, or never.
    pub(crate) before: u8,
}

/// How Compute Engine answered a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Answer {
    Accepted,
    Refused,
    /// Nobody answers for the zone.
    ZoneDown,
}

/// Where a worker is. It may die anywhere, which makes it idle.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Stage {
    Idle,
    /// It has looked, and read the clock only now: only where that rule is broken.
    Looked(Vec<InstanceSeen>),
    /// It has loaded, read the clock, looked, and knows its step.
    Decided(Intent),
    /// It has announced a call and not made it yet.
    Announced {
        call: Call,
        run: RunNumber,
        before: u8,
    },
    /// It has made the call and waits for the answer, which it saves if the record still knows the call.
    Calling {
        call: Call,
        run: RunNumber,
        answer: Option<Answer>,
    },
}

/// The step that a worker is about to take.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Intent {
    Call(Action),
    Save(Event),
}

/// A worker, and how far its clock is ahead.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Worker {
    pub(crate) stage: Stage,
    pub(crate) ahead: u8,
    /// The record that it looked at, where others have saved since and it does not care.
    pub(crate) stale: Option<Arc<Record>>,
}

impl Worker {
    pub(crate) const IDLE: Self = Self { stage: Stage::Idle, ahead: 0, stale: None };
}

/// What a model may still do, each so many times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Budget {
    pub(crate) starts: u8,
    pub(crate) stops: u8,
    pub(crate) stock_outs: u8,
    pub(crate) by_hand: u8,
    pub(crate) deaths: u8,
    pub(crate) preemptions: u8,
    /// Calls that Compute Engine refuses at once.
    pub(crate) refusals: u8,
    /// Words of a machine that its boot has come further.
    pub(crate) moves: u8,
    /// Words of a machine that its boot has failed.
    pub(crate) failures: u8,
    /// Stock-outs that were none: the machine comes up later.
    pub(crate) lates: u8,
    /// Zones that fall silent, and words of an admin that one is gone.
    pub(crate) gone: u8,
    pub(crate) consents: u8,
}

/// Everything there is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct World {
    pub(crate) tick: u8,
    pub(crate) unswept: u8,
    pub(crate) record: Arc<Record>,
    pub(crate) vms: Vec<Vm>,
    pub(crate) workers: Vec<Worker>,
    pub(crate) in_flight: Vec<InFlight>,
    /// Operations that went wrong, and that somebody may still ask about.
    pub(crate) failed: Vec<(CallName, domain::OperationErrorKind)>,
    pub(crate) budget: Budget,
    /// A sweep has nudged, and nobody has looked yet. Only in a fair world.
    pub(crate) nudged: bool,
    /// When a boot has last said that it came further, and the run whose boot has said that it failed.
    pub(crate) moved: Option<u8>,
    pub(crate) boot_failed_in: Option<RunNumber>,
    /// Its user has pressed Stop last, not Start.
    pub(crate) put_to_rest: bool,
    /// Until when its user wants it tried.
    pub(crate) patience: Option<Timestamp>,
    /// The machine whose zone an admin has said is gone, for the run under way.
    pub(crate) consented: Option<usize>,
    /// The law that a call has broken by arriving.
    pub(crate) broken: Option<&'static str>,
}

impl World {
    pub(crate) fn seen(&self, workspace: &Workspace) -> Vec<InstanceSeen> {
        let see = |(index, (vm, placement)): (usize, (&Vm, &Placement))| InstanceSeen {
            instance: placement.instance.clone(),
            status: if vm.reachable { vm.status } else { InstanceStatus::Unreachable },
            instance_id: instance_id(index),
            has_disk: vm.reachable && vm.has_disk,
        };
        self.vms.iter().zip(&workspace.placements).enumerate().map(see).collect()
    }

    /// The record wants this machine up.
    pub(crate) fn wants(&self, index: usize) -> bool {
        self.record.wish == Wish::Running && self.record.placement.as_deref() == Some(INSTANCES[index])
    }

    /// What was true of a run that is over matters no more.
    pub(crate) fn forget(&mut self) {
        if !self.record.phase.expects_machine() {
            (self.patience, self.consented) = (None, None);
        }
    }

    /// Brings states that differ in nothing that matters together.
    pub(crate) fn settle(&mut self) {
        let tick = self.tick;
        self.in_flight.retain(|call| tick < call.before);
        for worker in &mut self.workers {
            let over = match &worker.stage {
                Stage::Announced { before, .. } => tick >= *before,
                // An answer that will not come, or that nobody wants to know any more.
                Stage::Calling { answer: None, .. } => {
                    let name = worker.call_name();
                    !self.in_flight.iter().any(|call| Some(call.name) == name)
                }
                Stage::Calling { call, answer: Some(_), .. } => {
                    worker.stale.is_none() && self.record.call.as_ref() != Some(call)
                }
                _ => false,
            };
            if over {
                *worker = Worker::IDLE;
            }
        }
        // Workers are alike: which is which does not matter.
        let hash = BuildHasherDefault::<DefaultHasher>::new();
        self.workers.sort_by_cached_key(|worker| hash.hash_one(worker));
        self.in_flight.sort();
        let asked = self.record.call.as_ref().and_then(|call| call.operation.clone());
        let calling: Vec<CallName> = self.workers.iter().filter_map(Worker::call_name).collect();
        self.failed.retain(|(name, _)| asked == Some(operation_name(*name)) || calling.contains(name));
    }
}

impl Worker {
    pub(crate) fn call_name(&self) -> Option<CallName> {
        match &self.stage {
            Stage::Calling { call, run, .. } => Some((*run, call.sequence)),
            _ => None,
        }
    }
}

pub(crate) const INSTANCES: [&str; 2] = ["a", "b"];

pub(crate) fn instance_id(index: usize) -> u64 {
    [101, 102][index]
}

pub(crate) fn index_of(instance: &str) -> usize {
    usize::from(instance == INSTANCES[1])
}

pub(crate) fn workspace(placements: usize, disk: bool, policy: Policy) -> Workspace {
    let placement = |name: &&str| Placement {
        instance: (*name).to_owned(),
        zone: format!("zone-{name}"),
        spot: false,
        machine_type: "g2-standard-4".to_owned(),
        accelerator: "nvidia-l4".to_owned(),
        usd_per_hour: MicroUsd(700_000),
        price_date: None,
        origin: format!("https://{name}.example.com"),
    };
    Workspace {
        id: WorkspaceId::parse("main").unwrap(),
        title: "ComfyUI".to_owned(),
        members: None,
        placements: INSTANCES.iter().take(placements).map(placement).collect(),
        disk: disk.then(|| "data".to_owned()),
        calendar: Calendar::default(),
        policy,
    }
}

/// The record without what no decision reads: receipts, prices, words. Fewer states that differ in nothing.
pub(crate) fn without_receipts(mut record: Record) -> Record {
    // Of a boot, only that it moves; a step that is told is always a later one.
    record.boot = match record.phase {
        Phase::Placing => Some(Boot::default()),
        Phase::Booting => record.boot.map(|boot| Boot { moved_at: boot.moved_at, ..Boot::default() }),
        _ => None,
    };
    // It bears on the order of the next run alone, and on a restart, which begins in the save that notes it.
    record.dry_lately = Vec::new();
    // Of the tries, only that one is under way, and since when.
    let last = record.walk.attempts.pop().filter(|_| record.phase == Phase::Placing);
    record.walk.attempts = last.into_iter().collect();
    record.usual = Vec::new();
    record.month = Month::default();
    record.billed_since = None;
    record.price = None;
    record.in_phases = PhaseTimes::default();
    record.idle = Seconds(0);
    record.last_stop = record.last_stop.map(|last| LastStop {
        at: Timestamp::default(),
        cost: MicroUsd(0),
        lasted: Seconds(0),
        signal: None,
        ..last
    });
    if let Some(failure) = record.failure.as_mut() {
        failure.detail = String::new();
        failure.retry_at = None;
        failure.step = None;
    }
    record
}
