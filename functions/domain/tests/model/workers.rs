//! The workers of the machines' model: they look, decide, announce, call and save, and may die between any two.

use std::sync::Arc;

use domain::{Action, Event, InstanceSeen, OperationErrorKind, Record, Step, Timestamp};

use crate::breaks::Break;
use crate::google::{error, operation_outcome};
use crate::machines::{CALL_LIMIT, Deed, Machines};
use crate::world::{Answer, InFlight, Intent, Stage, Worker, World, moment, operation_name};

impl Machines {
    /// Somebody else has saved: what this worker was about to save will end in conflict.
    pub(crate) fn overtake(&self, worker: &mut Worker, before: &Arc<Record>) {
        if self.rules.breaks(Break::StepsAreSavedBlindly) {
            if worker.stage != Stage::Idle {
                worker.stale.get_or_insert_with(|| before.clone());
            }
            return;
        }
        // A call that was announced is made all the same; its answer is saved if the record still knows the call.
        if !matches!(worker.stage, Stage::Announced { .. } | Stage::Calling { .. }) {
            *worker = Worker::IDLE;
        }
    }

    pub(crate) fn look(&self, world: &mut World, worker: usize, ahead: u8) {
        world.nudged = false;
        let seen = world.seen(&self.workspace);
        world.workers[worker].ahead = ahead;
        if self.rules.breaks(Break::TheClockIsReadAfterTheLook) {
            world.workers[worker].stage = Stage::Looked(seen);
        } else {
            self.think(world, worker, &seen);
        }
    }

    /// What the worker makes of what it has seen. Waiting, or having nothing to do, leaves it idle.
    fn think(&self, world: &mut World, worker: usize, seen: &[InstanceSeen]) {
        let now = moment(world.tick + world.workers[worker].ahead);
        let intent = match self.rules.next_step(&world.record, seen, now, &self.workspace) {
            Step::Call(action) => Some(Intent::Call(action)),
            Step::Record(event) => Some(Intent::Save(event)),
            Step::Follow { operation, .. } => operation_outcome(world, &operation).map(Intent::Save),
            Step::Wait { .. } | Step::Done => None,
        };
        match intent {
            Some(intent) => world.workers[worker].stage = Stage::Decided(intent),
            None => world.workers[worker] = Worker::IDLE,
        }
    }

    pub(crate) fn act(&self, world: &mut World, worker: usize) {
        let now = moment(world.tick + world.workers[worker].ahead);
        match world.workers[worker].stage.clone() {
            Stage::Looked(seen) => self.think(world, worker, &seen),
            Stage::Decided(Intent::Save(event)) => {
                self.apply(world, event, now, Some(worker));
                world.workers[worker] = Worker::IDLE;
            }
            Stage::Decided(Intent::Call(action)) => self.announce(world, worker, action, now),
            _ => {}
        }
    }

    fn announce(&self, world: &mut World, worker: usize, action: Action, now: Timestamp) {
        let late = self.rules.breaks(Break::CallsAreMadeLate);
        let before = if late { u8::MAX } else { world.tick + CALL_LIMIT };
        let run = world.record.run;
        let announced = if self.rules.breaks(Break::CallsAreNotAnnounced) {
            let intended = Event::CallIntended(action);
            self.rules.decide(&world.record, intended, now, &self.workspace).ok().and_then(|made| made.next.call)
        } else {
            self.apply(world, Event::CallIntended(action), now, Some(worker));
            world.record.call.clone()
        };
        world.workers[worker].stage = announced.map_or(Stage::Idle, |call| Stage::Announced { call, run, before });
    }

    pub(crate) fn make_call(&self, world: &mut World, worker: usize) {
        let now = moment(world.tick + world.workers[worker].ahead);
        let Stage::Announced { call, run, before } = world.workers[worker].stage.clone() else { return };
        if !self.rules.may_call(call.announced_at, now, &self.workspace) {
            world.workers[worker] = Worker::IDLE;
            return;
        }
        world.in_flight.push(InFlight { name: (run, call.sequence), action: call.action.clone(), before });
        world.workers[worker].stage = Stage::Calling { call, run, answer: None };
    }

    pub(crate) fn save_answer(&self, world: &mut World, worker: usize) {
        let now = moment(world.tick + world.workers[worker].ahead);
        let Stage::Calling { call, run, answer: Some(answer) } = world.workers[worker].stage.clone() else { return };
        let event = match answer {
            Answer::Accepted => Event::CallAccepted { operation: operation_name((run, call.sequence)) },
            Answer::Refused => Event::OperationFailed(error(OperationErrorKind::Refused)),
            Answer::ZoneDown => Event::OperationFailed(error(OperationErrorKind::ZoneDown)),
        };
        self.apply(world, event, now, Some(worker));
        world.workers[worker] = Worker::IDLE;
    }

    pub(crate) fn worker_deeds(&self, world: &World, deeds: &mut Vec<Deed>) {
        for (index, worker) in world.workers.iter().enumerate() {
            match &worker.stage {
                Stage::Idle if self.bounds.fair && !world.nudged => {}
                // Idle workers are alike: the first will do.
                Stage::Idle if index > 0 && world.workers[index - 1].stage == Stage::Idle => {}
                Stage::Idle => deeds.extend((0..=self.bounds.ahead).map(|ahead| Deed::Look(index, ahead))),
                Stage::Looked(_) | Stage::Decided(_) => deeds.push(Deed::Act(index)),
                Stage::Announced { .. } => deeds.push(Deed::MakeCall(index)),
                Stage::Calling { answer: Some(_), .. } => deeds.push(Deed::SaveAnswer(index)),
                Stage::Calling { answer: None, .. } => {}
            }
            if worker.stage != Stage::Idle && !self.bounds.fair {
                deeds.push(Deed::Crash(index));
            }
        }
    }
}
