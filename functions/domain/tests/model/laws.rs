//! The laws that the machines' model is held to.

use domain::{Action, FailureCode, InstanceStatus, Outcome, Phase, Record, RunNumber, StopReason, Wish};
use stateright::Property;

use crate::machines::{BOOTING_LIMIT, Bounds, Machines, STOPPING_LIMIT};
use crate::world::{CallName, SWEEP_EVERY, Vm, World, index_of, moment, ticks};

/// We have started it and can ask for it, and it is not down.
fn is_ours_and_up(vm: &Vm) -> bool {
    vm.reachable && vm.status != InstanceStatus::Down && vm.woken_by.is_some()
}

/// The law that a call breaks by arriving now.
pub(crate) fn broken_by_arrival(world: &World, (run, _): CallName, action: &Action) -> Option<&'static str> {
    let target = index_of(action.instance());
    let vm = &world.vms[target];
    let others_down = world.vms.iter().enumerate().all(|(index, vm)| index == target || !is_ours_and_up(vm));
    match action {
        Action::StartInstance { .. } if vm.status != InstanceStatus::Down => None,
        Action::StartInstance { .. } if run < world.record.run => Some("law 3: a start outlives its run"),
        Action::StartInstance { .. } if !world.record.phase.expects_machine() => {
            Some("law 3: a start wakes a machine that its user has stopped")
        }
        Action::StartInstance { .. } if !others_down => Some("law 4: a second placement is started"),
        Action::StopInstance { .. } if vm.status.is_up() && stops_a_later_run(world, run, target) => {
            Some("law 3: a stop of one run stops the next")
        }
        Action::DetachDisk { .. } if vm.status != InstanceStatus::Down && vm.woken_by.is_some() => {
            Some("law 4: the disk is pulled from a machine that runs")
        }
        Action::AttachDisk { .. } if world.vms.iter().any(|vm| vm.has_disk && vm.reachable) => {
            Some("law 4: the disk is attached while it is attached")
        }
        Action::ForceAttachDisk { .. } if world.vms.iter().any(|vm| vm.has_disk && vm.reachable) => {
            Some("law 4: the disk is taken by force from a machine that can be asked")
        }
        Action::ForceAttachDisk { .. } if world.consented.is_none_or(|index| world.vms[index].reachable) => {
            Some("law 4: the disk is taken by force though nobody has said that its zone is gone")
        }
        _ => None,
    }
}

/// The law that is broken by saving that the run of `before` is over.
pub(crate) fn broken_by_ending(world: &World, before: &Record) -> Option<&'static str> {
    // A stop that comes before anything was asked of Google waits for no machine of the run before.
    let its = |vm: &Vm| before.phase == Phase::Stopping || vm.woken_by == Some(before.run);
    let up = world.vms.iter().any(|vm| is_ours_and_up(vm) && its(vm));
    // A stop that has taken too long ends the run with its machine up, and says so.
    let told = world.record.failure.as_ref().is_some_and(|failure| failure.code == FailureCode::StopTimedOut);
    (up && !told).then_some("law 3: a run is said to be over while its machine is up")
}

fn stops_a_later_run(world: &World, run: RunNumber, target: usize) -> bool {
    let record = &world.record;
    let carries = record.placement.as_deref() == Some(crate::world::INSTANCES[target]);
    let serves = matches!(record.phase, Phase::Booting | Phase::Ready | Phase::Draining) && record.run > run;
    world.vms[target].woken_by.is_some_and(|woken_by| woken_by > run) || (carries && serves)
}

fn in_booting_for_more_than(world: &World, limit: u64) -> bool {
    world.record.phase == Phase::Booting && moment(world.tick).since(world.record.phase_since) > ticks(limit)
}

/// The walk comes further within its limit, and an attempt is given up where there is another placement to try.
fn walks_for_at_most(model: &Machines, world: &World) -> bool {
    let record = &world.record;
    let (now, sweep) = (moment(world.tick), ticks(u64::from(SWEEP_EVERY)));
    let asked_at = record.walk.attempts.last().map(|last| last.at);
    let moved = asked_at.max(Some(record.phase_since.max(record.walk.since))).unwrap_or_default();
    let tried = record.walk.tried.len() + 1;
    let attempt = record.walk.attempts.last().filter(|last| last.outcome == Outcome::Trying);
    let overdue =
        |limit: u64| attempt.is_some_and(|last| now.since(last.at.max(record.walk.since)) > ticks(limit) + sweep);
    // Given up after a look alone: where nobody may ever look, the placing limit ends it.
    let given_up = |limit| tried >= model.bounds.placements || !overdue(limit);
    let gives_up = !model.bounds.fair || model.bounds.attempt.is_none_or(given_up);
    record.phase != Phase::Placing || (now.since(moved) <= ticks(model.bounds.placing) + sweep && gives_up)
}

fn in_phase_for_at_most(world: &World, phase: Phase, limit: u64) -> bool {
    let most = ticks(limit + u64::from(SWEEP_EVERY));
    world.record.phase != phase || moment(world.tick).since(world.record.phase_since) <= most
}

/// A boot ends when it has said nothing new for its limit, and at the hard end.
fn boots_for_at_most(world: &World) -> bool {
    let moved = world.moved.map(moment).max(Some(world.record.phase_since)).unwrap_or_default();
    let now = moment(world.tick);
    let sweep = ticks(u64::from(SWEEP_EVERY));
    world.record.phase != Phase::Booting
        || (now.since(moved) <= ticks(BOOTING_LIMIT) + sweep
            && world.record.hard_stop_at.is_some_and(|hard| now.since(hard) <= sweep))
}

/// Longest time, in ticks, that a machine is up against the record's wish where the reaper's nudges arrive: the worker
/// looks when the phase has lasted a while, or when the reaper has seen the machine; then one call, and its answer.
const UNWANTED_MOST: u8 = 5 + SWEEP_EVERY;

pub(crate) fn properties(bounds: &Bounds) -> Vec<Property<Machines>> {
    let mut properties = vec![
        Property::always("no call breaks a law by arriving", |_, world: &World| world.broken.is_none()),
        Property::always("law 4: at most one placement runs", |_, world: &World| {
            world.vms.iter().filter(|vm| is_ours_and_up(vm)).count() <= 1
        }),
        Property::always("law 4: the disk is attached to at most one instance", |_, world: &World| {
            world.vms.iter().filter(|vm| vm.has_disk && vm.reachable).count() <= 1
        }),
        Property::always("law 7: no phase outlasts its limit", |model: &Machines, world: &World| {
            walks_for_at_most(model, world)
                && boots_for_at_most(world)
                && in_phase_for_at_most(world, Phase::Stopping, STOPPING_LIMIT)
        }),
        Property::always("law 7: a walk that is kept up ends at the chosen time", |_, world: &World| {
            let walk = &world.record.walk;
            world.record.phase != Phase::Placing || world.patience.is_none_or(|until| walk.since <= until)
        }),
        Property::always("law 3: what its user has stopped stays stopped", |_, world: &World| {
            !world.put_to_rest || world.record.wish == Wish::Stopped
        }),
        Property::always("law 7: a boot that has failed ends at once", |_, world: &World| {
            let record = &world.record;
            world.boot_failed_in != Some(record.run) || !matches!(record.phase, Phase::Booting | Phase::Ready)
        }),
        Property::always("law 7: a run ends with a reason", |_, world: &World| {
            let record = &world.record;
            let over = record.run > 0 && !record.phase.expects_machine();
            let failed = record.phase == Phase::Failed;
            (!over || record.last_stop.as_ref().is_some_and(|last| last.run == record.run))
                && failed == (failed && record.failure.is_some())
        }),
        Property::always("law 1: Google's word alone stops nothing", |_, world: &World| {
            let record = &world.record;
            let says_so = record.phase == Phase::Stopping && record.ending == Some(StopReason::Preempted);
            !says_so || world.vms.iter().any(|vm| vm.preempted_in == Some(record.run))
        }),
    ];
    properties.extend(possible(bounds));
    if bounds.fair {
        properties.push(Property::always("law 2: a machine that nobody wants is stopped", |_, world: &World| {
            world.vms.iter().all(|vm| vm.unwanted_since.is_none_or(|since| world.tick - since <= UNWANTED_MOST))
        }));
        properties.push(Property::sometimes("a machine is up that nobody wants", |_, world: &World| {
            world.vms.iter().any(|vm| vm.unwanted_since.is_some())
        }));
    }
    properties
}

/// What a model must have seen for its laws to mean anything.
fn possible(bounds: &Bounds) -> Vec<Property<Machines>> {
    let mut properties = vec![
        Property::sometimes("Placing", |_, world: &World| world.record.phase == Phase::Placing),
        Property::sometimes("Booting", |_, world: &World| world.record.phase == Phase::Booting),
        Property::sometimes("Ready", |_, world: &World| world.record.phase == Phase::Ready),
        Property::sometimes("Stopping", |_, world: &World| world.record.phase == Phase::Stopping),
        Property::sometimes("Failed", |_, world: &World| world.record.phase == Phase::Failed),
        Property::sometimes("stopped after a run", |_, world: &World| {
            world.record.phase == Phase::Stopped && world.record.run > 0
        }),
    ];
    if bounds.budget.starts > 1 {
        properties.push(Property::sometimes("the second run is ready", |_, world: &World| {
            world.record.phase == Phase::Ready && world.record.run == 2
        }));
    }
    if bounds.placements > 1 && bounds.budget.stock_outs > 0 {
        properties.push(Property::sometimes("the second placement is ready", |_, world: &World| {
            world.record.phase == Phase::Ready && world.record.placement.as_deref() == Some("b")
        }));
    }
    if bounds.budget.moves > 0 {
        properties.push(Property::sometimes("a boot that moves outlasts the limit", |_, world: &World| {
            in_booting_for_more_than(world, BOOTING_LIMIT + u64::from(SWEEP_EVERY))
        }));
        properties.push(Property::sometimes("a boot that moves comes to the hard end", |_, world: &World| {
            let record = &world.record;
            record.phase == Phase::Stopping && record.ending == Some(StopReason::HardLimit) && world.moved.is_some()
        }));
    }
    if bounds.budget.failures > 0 {
        properties.push(Property::sometimes("a run ends because its boot failed", |_, world: &World| {
            world.record.failure.as_ref().is_some_and(|failure| failure.code == FailureCode::BootFailed)
        }));
    }
    if bounds.budget.stock_outs > 1 {
        properties.push(Property::sometimes("all placements are dry", |_, world: &World| {
            world.record.failure.as_ref().is_some_and(|failure| failure.code == FailureCode::StockOut)
        }));
    }
    properties.extend(possible_of_walks(bounds));
    properties
}

fn possible_of_walks(bounds: &Bounds) -> Vec<Property<Machines>> {
    let mut properties = Vec::new();
    if bounds.attempt.is_some() {
        properties.push(Property::sometimes("a start that was given up is still under way", |_, world: &World| {
            let record = &world.record;
            let given_up = |action: &Action| record.placement.as_deref() != Some(action.instance());
            let starts = |action: &Action| matches!(action, Action::StartInstance { .. });
            let call = record.call.as_ref().map(|call| &call.action);
            record.phase == Phase::Placing && call.is_some_and(|action| starts(action) && given_up(action))
        }));
    }
    if bounds.patience.is_some() {
        properties.push(Property::sometimes("a later round finds a machine", |_, world: &World| {
            world.record.phase == Phase::Booting && world.record.walk.rounds > 0
        }));
    }
    if bounds.budget.preemptions > 0 && bounds.placements > 1 {
        properties.push(Property::sometimes("the run after an interruption is ready elsewhere", |_, world: &World| {
            let record = &world.record;
            record.phase == Phase::Ready && record.restarts > 0 && record.placement.as_deref() == Some("b")
        }));
    }
    if bounds.budget.lates > 0 {
        properties.push(Property::sometimes("a machine has come up late beside the one in use", |_, world: &World| {
            let late = |vm: &Vm| vm.status.is_up() && vm.woken_by.is_none();
            world.record.phase == Phase::Booting && world.vms.iter().any(late)
        }));
    }
    if bounds.budget.gone > 0 {
        properties.push(Property::sometimes("the disk is out of reach", |_, world: &World| {
            world.record.failure.as_ref().is_some_and(|failure| failure.code == FailureCode::ZoneGone)
        }));
    }
    if bounds.budget.consents > 0 {
        properties.push(Property::sometimes("a run is ready without the zone that is gone", |_, world: &World| {
            world.record.phase == Phase::Ready && world.record.lost_zone.is_some()
        }));
    }
    properties
}
