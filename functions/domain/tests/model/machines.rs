//! The model of the machines: whoever may do what, when, in any order.
//!
//! Nudges are no part of the state: a worker may look at any moment, so a nudge that is lost, late, repeated or
//! overtaken is covered by when, and how often, workers choose to look. A load and the look after it are one step: where
//! the record changes between the two, the save can only end in conflict, which is a worker that gives up.

use std::sync::Arc;

use domain::{
    BootReport, BootStep, Event, Heartbeat, InstanceStatus, Phase, Policy, Reading, Record, Repair, Seconds,
    StartRequest, Timestamp, UpInstance, Workspace, plan,
};
use stateright::{Model, Property};

use crate::breaks::{Break, Rules};
use crate::google::{arrive, befall, refuse};
use crate::laws;
use crate::world::{
    Budget, INSTANCES, SWEEP_EVERY, Stage, Vm, Worker, World, instance_id, moment, ticks, without_receipts, workspace,
};

/// What bounds a model of the machines.
#[derive(Clone, Debug)]
pub(crate) struct Bounds {
    pub(crate) placements: usize,
    /// There is a data disk, which must be where the machine starts.
    pub(crate) disk: bool,
    pub(crate) workers: usize,
    pub(crate) ticks: u8,
    /// Longest time in `Placing`, in ticks.
    pub(crate) placing: u64,
    /// Longest life of a run, in ticks, where the model comes to that.
    pub(crate) hard: Option<u64>,
    /// A start that takes longer is given up, in ticks; machines then take as long as they like.
    pub(crate) attempt: Option<u64>,
    /// Every start asks for so many ticks of patience.
    pub(crate) patience: Option<u64>,
    /// A worker's clock may be ahead of the others by so many ticks.
    pub(crate) ahead: u8,
    /// Nothing but the reaper's own nudges arrives, but those do, and workers live until they are done.
    pub(crate) fair: bool,
    pub(crate) budget: Budget,
}

/// The machines under some rules, within some bounds.
#[derive(Clone, Debug)]
pub(crate) struct Machines {
    pub(crate) bounds: Bounds,
    pub(crate) rules: Rules,
    pub(crate) workspace: Workspace,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Deed {
    Tick,
    Start,
    Stop,
    /// This machine speaks, naming the run that it has been told of.
    Heartbeat(usize),
    /// This machine says that its boot has come further, or has failed.
    Move(usize),
    Fail(usize),
    Sweep,
    /// Worker of this number, with a clock so far ahead.
    Look(usize, u8),
    Act(usize),
    MakeCall(usize),
    SaveAnswer(usize),
    Crash(usize),
    Arrive(usize),
    Refuse(usize),
    ComeUp(usize),
    RunDry(usize),
    /// Told as dry, this one comes up later all the same.
    RunDryForNow(usize),
    ComeUpLate(usize),
    /// The zone of this machine falls silent; an admin says that it is gone.
    FallSilent(usize),
    Consent(usize),
    GoDown(usize),
    Die(usize),
    ByHand(usize),
    Preempt(usize),
    /// The word of a preemption, perhaps of long ago.
    TellPreempted(usize),
}

/// Ticks of the limits: as small as they can be and still differ.
pub(crate) const CALL_LIMIT: u8 = 1;
pub(crate) const BOOTING_LIMIT: u64 = 3;
pub(crate) const STOPPING_LIMIT: u64 = 3;

fn policy(Bounds { placing, hard, attempt, .. }: &Bounds) -> Policy {
    let never = Seconds::hours(24 * 7);
    Policy {
        idle_limit: never,
        arrival_limit: never,
        hard_limit: hard.map_or(never, ticks),
        silence_limit: never,
        drain: ticks(1),
        heartbeat_every: ticks(1),
        placing_limit: ticks(*placing),
        booting_limit: ticks(BOOTING_LIMIT),
        stopping_limit: ticks(STOPPING_LIMIT),
        call_limit: ticks(u64::from(CALL_LIMIT)),
        stock_out_retry: ticks(1),
        attempt_limit: attempt.map_or(never, ticks),
        dry_for: never,
        zone_silence_limit: Seconds(0),
        ..Policy::default()
    }
}

impl Machines {
    pub(crate) fn new(bounds: Bounds, rules: Rules) -> Self {
        let workspace = rules.workspace(workspace(bounds.placements, bounds.disk, policy(&bounds)));
        Self { bounds, rules, workspace }
    }

    /// Saves what an event makes of the record; false when it may not happen or changes nothing.
    pub(crate) fn apply(&self, world: &mut World, event: Event, now: Timestamp, saver: Option<usize>) -> bool {
        let from = saver.and_then(|worker| world.workers[worker].stale.clone()).unwrap_or(world.record.clone());
        let Ok(decision) = self.rules.decide(&from, event, now, &self.workspace) else { return false };
        let ended = decision.ended.is_some();
        let next = without_receipts(decision.next);
        if !decision.save || next == *world.record {
            return false;
        }
        let before = std::mem::replace(&mut world.record, Arc::new(next));
        // In a fair world a worker that has saved looks again, as it does.
        world.nudged |= self.bounds.fair && saver.is_some();
        world.broken = world.broken.or_else(|| ended.then(|| laws::broken_by_ending(world, &before)).flatten());
        world.forget();
        for (index, worker) in world.workers.iter_mut().enumerate() {
            if saver == Some(index) {
                worker.stale = None;
            } else {
                self.overtake(worker, &before);
            }
        }
        true
    }

    /// One round of the reaper, by the real plan.
    fn sweep(&self, world: &mut World) {
        let now = moment(world.tick);
        let up = |(index, vm): (usize, &Vm)| {
            (vm.status.is_up() && vm.reachable).then(|| UpInstance {
                workspace: self.workspace.id.to_string(),
                instance: INSTANCES[index].to_owned(),
                zone: format!("zone-{}", INSTANCES[index]),
            })
        };
        let mut up: Vec<UpInstance> = world.vms.iter().enumerate().filter_map(up).collect();
        if self.rules.breaks(Break::SweepsSeeNoMachines) {
            up.clear();
        }
        let id = &self.workspace.id;
        let record = world.record.clone();
        let known = |name: &str| (name == id.as_str()).then_some((id, &*record));
        for repair in plan([(id, &*record, &self.workspace.policy)], &up, known, now) {
            match repair {
                Repair::Settle { .. } => {
                    let nudges = self.rules.decide(&world.record, Event::SweepDue, now, &self.workspace);
                    world.nudged |= nudges.is_ok_and(|decision| decision.nudge);
                    self.apply(world, Event::SweepDue, now, None);
                }
                Repair::Nudge { .. } => world.nudged = true,
                Repair::StopUnknown { .. } => world.broken = Some("the reaper does not know its own workspace"),
            }
        }
        world.nudged &= self.bounds.fair;
        world.unswept = 0;
    }

    fn heartbeat(&self, world: &mut World, index: usize, boot: Option<BootReport>) -> bool {
        let beat = Heartbeat {
            instance: INSTANCES[index].to_owned(),
            instance_id: instance_id(index),
            run: Some(world.record.run),
            comfyui_up: boot.is_none(),
            reading: Reading::Unknown,
            boot,
            kept_prompts: None,
        };
        self.apply(world, Event::Heartbeat(beat), moment(world.tick), None)
    }

    /// A boot says that it has come further, or that it has failed. Only where it is listened to.
    fn report(&self, world: &mut World, index: usize, failed: bool) -> bool {
        let report = BootReport { step: BootStep::Installing, percent: 0, detail: String::new(), failed };
        let (booting, run) = (world.record.phase == Phase::Booting, world.record.run);
        if !self.heartbeat(world, index, Some(report)) || !booting {
            return false;
        }
        if failed {
            world.boot_failed_in = Some(run);
        } else {
            world.moved = Some(world.tick);
        }
        true
    }

    /// A user starts it, or an admin without the zone of this machine.
    fn start(&self, world: &mut World, without: Option<usize>) -> bool {
        let now = moment(world.tick);
        let keep_trying = self.bounds.patience.map(ticks);
        let request = StartRequest { keep_trying, ..StartRequest::default() };
        let event = match without {
            Some(index) => Event::ZoneLost { zone: format!("zone-{}", INSTANCES[index]), request },
            None => Event::StartRequested(request),
        };
        if !self.apply(world, event, now, None) {
            return false;
        }
        world.put_to_rest = false;
        world.consented = without.or(world.consented);
        world.patience = keep_trying.map(|length| now + length);
        true
    }

    fn tick(&self, world: &mut World) {
        world.tick += 1;
        world.unswept += 1;
    }

    fn may_tick(&self, world: &World) -> bool {
        let busy = world.nudged
            || !world.in_flight.is_empty()
            || world.workers.iter().any(|worker| worker.stage != Stage::Idle)
            || world.vms.iter().any(|vm| vm.status == InstanceStatus::InTransition)
            || (self.bounds.attempt.is_none() && world.vms.iter().any(|vm| vm.status == InstanceStatus::ComingUp));
        world.tick < self.bounds.ticks && world.unswept < SWEEP_EVERY && !(self.bounds.fair && busy)
    }

    fn vm_deeds(&self, world: &World, deeds: &mut Vec<Deed>) {
        let budget = &world.budget;
        for (index, vm) in world.vms.iter().enumerate() {
            deeds.extend((budget.gone > 0 && vm.reachable).then_some(Deed::FallSilent(index)));
            deeds.extend((budget.consents > 0 && !vm.reachable).then_some(Deed::Consent(index)));
            match vm.status {
                InstanceStatus::ComingUp => {
                    deeds.push(Deed::ComeUp(index));
                    deeds.extend((budget.stock_outs > 0).then_some(Deed::RunDry(index)));
                    deeds.extend((budget.lates > 0).then_some(Deed::RunDryForNow(index)));
                }
                InstanceStatus::Running => {
                    deeds.push(Deed::Heartbeat(index));
                    deeds.extend((budget.moves > 0).then_some(Deed::Move(index)));
                    deeds.extend((budget.failures > 0).then_some(Deed::Fail(index)));
                    deeds.extend((budget.deaths > 0).then_some(Deed::Die(index)));
                    deeds.extend((budget.preemptions > 0).then_some(Deed::Preempt(index)));
                }
                InstanceStatus::InTransition => deeds.extend([Deed::Heartbeat(index), Deed::GoDown(index)]),
                InstanceStatus::Down => {
                    deeds.extend((budget.by_hand > 0).then_some(Deed::ByHand(index)));
                    deeds.extend(vm.may_come_late.then_some(Deed::ComeUpLate(index)));
                }
                InstanceStatus::Missing | InstanceStatus::Unreachable => {}
            }
            deeds.extend(vm.preempted_in.is_some().then_some(Deed::TellPreempted(index)));
        }
    }
}

impl Model for Machines {
    type State = World;
    type Action = Deed;

    fn init_states(&self) -> Vec<World> {
        let vm = |index| Vm {
            status: InstanceStatus::Down,
            // The disk lies at the second placement, so that it has to be moved.
            has_disk: self.workspace.disk.is_some() && index == 1,
            woken_by: None,
            starting: None,
            preempted_in: None,
            unwanted_since: None,
            may_come_late: false,
            reachable: true,
        };
        vec![World {
            tick: 0,
            unswept: 0,
            record: Arc::new(Record::default()),
            vms: (0..self.bounds.placements).map(vm).collect(),
            workers: vec![Worker::IDLE; self.bounds.workers],
            in_flight: Vec::new(),
            failed: Vec::new(),
            budget: self.bounds.budget,
            nudged: false,
            moved: None,
            boot_failed_in: None,
            put_to_rest: false,
            patience: None,
            consented: None,
            broken: None,
        }]
    }

    fn actions(&self, world: &World, deeds: &mut Vec<Deed>) {
        deeds.extend(self.may_tick(world).then_some(Deed::Tick));
        deeds.extend((world.unswept > 0).then_some(Deed::Sweep));
        deeds.extend((world.budget.starts > 0).then_some(Deed::Start));
        deeds.extend((world.budget.stops > 0 && world.record.phase != Phase::Stopped).then_some(Deed::Stop));
        deeds.extend((0..world.in_flight.len()).map(Deed::Arrive));
        if world.budget.refusals > 0 {
            deeds.extend((0..world.in_flight.len()).map(Deed::Refuse));
        }
        self.worker_deeds(world, deeds);
        self.vm_deeds(world, deeds);
    }

    fn next_state(&self, last: &World, deed: Deed) -> Option<World> {
        let mut world = last.clone();
        let now = moment(world.tick);
        match deed {
            Deed::Tick => self.tick(&mut world),
            Deed::Start => {
                world.budget.starts -= 1;
                self.start(&mut world, None).then_some(())?;
            }
            Deed::Consent(index) => {
                world.budget.consents -= 1;
                self.start(&mut world, Some(index)).then_some(())?;
            }
            Deed::Stop => {
                world.budget.stops -= 1;
                self.apply(&mut world, Event::StopRequested, now, None).then_some(())?;
                world.put_to_rest = true;
            }
            Deed::Heartbeat(index) => self.heartbeat(&mut world, index, None).then_some(())?,
            Deed::Move(index) => {
                world.budget.moves -= 1;
                self.report(&mut world, index, false).then_some(())?;
            }
            Deed::Fail(index) => {
                world.budget.failures -= 1;
                self.report(&mut world, index, true).then_some(())?;
            }
            Deed::Sweep => self.sweep(&mut world),
            Deed::Look(worker, ahead) => self.look(&mut world, worker, ahead),
            Deed::Act(worker) => self.act(&mut world, worker),
            Deed::MakeCall(worker) => self.make_call(&mut world, worker),
            Deed::SaveAnswer(worker) => self.save_answer(&mut world, worker),
            Deed::Crash(worker) => world.workers[worker] = Worker::IDLE,
            Deed::Arrive(call) => arrive(&mut world, call, self.workspace.disk.is_some()),
            Deed::Refuse(call) => refuse(&mut world, call),
            Deed::TellPreempted(index) => {
                // The worst case: however old, it passes for new.
                let event = Event::Preempted { instance_id: instance_id(index), at: now };
                self.apply(&mut world, event, now, None).then_some(())?;
            }
            of_google => befall(&mut world, &of_google),
        }
        self.note_unwanted(&mut world);
        world.settle();
        (world != *last).then_some(world)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        laws::properties(&self.bounds)
    }
}

impl Machines {
    /// Remembers since when a machine is up that the record does not want. Only in a fair world, where it is bounded.
    fn note_unwanted(&self, world: &mut World) {
        if !self.bounds.fair {
            return;
        }
        for index in 0..world.vms.len() {
            let unwanted = world.vms[index].status.is_up() && !world.wants(index);
            let tick = world.tick;
            let since = &mut world.vms[index].unwanted_since;
            *since = unwanted.then(|| since.unwrap_or(tick));
        }
    }
}
