//! Compute Engine, as far as the machines' model needs it: what becomes of calls, and what befalls machines by themselves.

use domain::{Action, Event, InstanceStatus, OperationError, OperationErrorKind};

use crate::laws;
use crate::machines::Deed;
use crate::world::{Answer, CallName, InFlight, Stage, World, index_of, operation_name};

pub(crate) fn error(kind: OperationErrorKind) -> OperationError {
    OperationError { kind, detail: String::new(), zones: Vec::new() }
}

/// How an operation is doing: over as soon as it is accepted, but for a start that is still coming up.
pub(crate) fn operation_outcome(world: &World, operation: &str) -> Option<Event> {
    let is = |name: &CallName| operation_name(*name) == operation;
    if world.vms.iter().any(|vm| vm.starting.as_ref().is_some_and(is)) {
        return None;
    }
    let failed = world.failed.iter().find(|(name, _)| is(name));
    Some(failed.map_or(Event::OperationDone, |(_, kind)| Event::OperationFailed(error(*kind))))
}

/// A call arrives: what Compute Engine makes of it, and the laws it breaks by arriving.
pub(crate) fn arrive(world: &mut World, index: usize, has_disk_to_move: bool) {
    let InFlight { name, action, .. } = world.in_flight.remove(index);
    world.broken = world.broken.or(laws::broken_by_arrival(world, name, &action));
    let target = index_of(action.instance());
    let elsewhere = world.vms.iter().enumerate().any(|(other, vm)| other != target && vm.has_disk);
    if !world.vms[target].reachable {
        return give_answer(world, name, Answer::ZoneDown);
    }
    if matches!(action, Action::ForceAttachDisk { .. }) {
        world.vms.iter_mut().for_each(|vm| vm.has_disk = false);
    }
    let vm = &mut world.vms[target];
    let mut answer = Answer::Accepted;
    match (&action, vm.status) {
        (Action::StartInstance { .. }, InstanceStatus::Down) if has_disk_to_move && !vm.has_disk => {
            world.broken = Some("law 4: a machine is started without its disk");
        }
        (Action::StartInstance { .. }, InstanceStatus::Down) => {
            vm.status = InstanceStatus::ComingUp;
            vm.starting = Some(name);
            vm.woken_by = Some(name.0);
            vm.may_come_late = false;
        }
        (Action::StartInstance { .. }, InstanceStatus::InTransition) => {
            world.failed.push((name, OperationErrorKind::Transient));
        }
        (Action::StopInstance { .. }, status) if status.is_up() => {
            vm.status = InstanceStatus::InTransition;
            vm.starting = None;
        }
        (Action::DetachDisk { .. }, _) => vm.has_disk = false,
        (Action::AttachDisk { .. }, _) if elsewhere => answer = Answer::Refused,
        (Action::AttachDisk { .. } | Action::ForceAttachDisk { .. }, _) => vm.has_disk = true,
        _ => {}
    }
    give_answer(world, name, answer);
}

/// The call arrives and is refused: nothing happens to any machine.
pub(crate) fn refuse(world: &mut World, index: usize) {
    world.budget.refusals -= 1;
    let name = world.in_flight.remove(index).name;
    give_answer(world, name, Answer::Refused);
}

fn give_answer(world: &mut World, name: CallName, given: Answer) {
    for worker in world.workers.iter_mut().filter(|worker| worker.call_name() == Some(name)) {
        if let Stage::Calling { answer, .. } = &mut worker.stage {
            *answer = Some(given);
        }
    }
}

fn run_dry(world: &mut World, index: usize) {
    let vm = &mut world.vms[index];
    vm.status = InstanceStatus::Down;
    world.failed.extend(vm.starting.take().map(|name| (name, OperationErrorKind::StockOut)));
    world.budget.stock_outs -= 1;
}

/// What happens to a machine, or its zone, without our doing.
pub(crate) fn befall(world: &mut World, deed: &Deed) {
    match *deed {
        Deed::ComeUp(index) => {
            world.vms[index].status = InstanceStatus::Running;
            world.vms[index].starting = None;
        }
        Deed::RunDry(index) => run_dry(world, index),
        Deed::RunDryForNow(index) => {
            world.budget.lates -= 1;
            world.budget.stock_outs += 1;
            run_dry(world, index);
            world.vms[index].may_come_late = true;
        }
        Deed::ComeUpLate(index) => {
            // Nobody can know that it is ours: it is as if somebody had started it by hand.
            let vm = &mut world.vms[index];
            (vm.status, vm.woken_by, vm.may_come_late) = (InstanceStatus::Running, None, false);
        }
        Deed::FallSilent(index) => {
            world.budget.gone -= 1;
            world.vms[index].reachable = false;
        }
        Deed::GoDown(index) => world.vms[index].status = InstanceStatus::Down,
        Deed::Die(index) => {
            world.budget.deaths -= 1;
            world.vms[index].status = InstanceStatus::Down;
        }
        Deed::ByHand(index) => {
            world.budget.by_hand -= 1;
            world.vms[index].status = InstanceStatus::Running;
            world.vms[index].woken_by = None;
        }
        Deed::Preempt(index) => {
            world.budget.preemptions -= 1;
            world.vms[index].status = InstanceStatus::InTransition;
            world.vms[index].preempted_in = Some(world.record.run);
        }
        _ => {}
    }
}
