//! The rules as they are, or with one of them broken on purpose.
//!
//! Each break is put around the real functions, so that a model that finds nothing wrong with a break would show that
//! it cannot see that law being broken.

use domain::{
    BootReport, Decision, Denied, Event, Heartbeat, InstanceSeen, InstanceStatus, Phase, Reading, Record, Seconds,
    Step, StopReason, Timestamp, Wish, Workspace, decide, next_step,
};

/// A rule broken on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Break {
    /// Law 1: activity does not take an announced stop back.
    ActivityInDrainingIsIgnored,
    /// Law 1: an announced stop happens at once.
    NothingIsAnnounced,
    /// Law 2: a silent VM is presumed busy for ever.
    NoSilenceLimit,
    /// Law 2: the reaper looks at records only, never at machines.
    SweepsSeeNoMachines,
    /// Law 3: the worker calls without announcing it in the record.
    CallsAreNotAnnounced,
    /// Law 3: the worker saves over whatever was saved since it looked.
    StepsAreSavedBlindly,
    /// Law 3: a new run forgets the call that the one before has announced.
    ANewRunForgetsTheCall,
    /// Law 3: the worker makes an announced call however late it is.
    CallsAreMadeLate,
    /// Law 3: the worker reads the clock after it has looked, not before.
    TheClockIsReadAfterTheLook,
    /// Law 3: a heartbeat alone makes a machine the run's, though a call may still arrive.
    AHeartbeatClaimsTheMachine,
    /// Law 3: the word of a preemption alone stops the run.
    PreemptionStopsByWordAlone,
    /// Law 4: the worker starts a machine without looking at the others.
    OthersAreNotLookedAt,
    /// Law 4: the worker attaches the disk without looking where it is.
    TheDiskIsNotLookedFor,
    /// Law 4: the next placement is started while the start of the one before may still come up.
    GivenUpStartsAreForgotten,
    /// Law 4: whatever an unreachable zone holds is taken by force.
    NobodyIsAskedForTheDisk,
    /// Law 2: a machine that is up looks at no other.
    WatchersLookAtTheirOwnAlone,
    /// Law 3: a machine that was taken away is followed by a restart though its user has stopped it.
    RestartsIgnoreTheStop,
    /// Law 3: the word of a preemption alone begins the next run.
    RestartsComeByWordAlone,
    /// Law 7: a walk that is kept up knows no end.
    PatienceIsEndless,
    /// Law 7: an attempt is waited for however long it takes.
    NoAttemptLimit,
    /// Law 5: the deadline follows the last activity, wherever it goes.
    TheDeadlineFollowsActivity,
    /// Law 5: nothing bounds a run.
    NoHardEnd,
    /// Law 6: a VM that does not know counts as idle.
    UnknownIsIdle,
    /// Law 7: a boot that says that it has failed is let go on.
    FailedBootsGoOn,
    /// Law 7: a boot that moves is let go on past the hard end.
    BootsOutlastTheHardEnd,
    /// Law 7: no phase has a limit.
    NoPhaseLimits,
}

/// The rules that a model runs by.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rules {
    pub(crate) broken: Option<Break>,
}

/// A limit that is never reached within a model.
const NEVER: Seconds = Seconds::hours(1000);

impl Rules {
    pub(crate) fn without(broken: Break) -> Self {
        Self { broken: Some(broken) }
    }

    pub(crate) fn breaks(self, rule: Break) -> bool {
        self.broken == Some(rule)
    }

    /// The workspace as these rules see it.
    pub(crate) fn workspace(self, mut workspace: Workspace) -> Workspace {
        let policy = &mut workspace.policy;
        match self.broken {
            Some(Break::NoSilenceLimit) => policy.silence_limit = NEVER,
            Some(Break::NoAttemptLimit) => policy.attempt_limit = NEVER,
            Some(Break::NoPhaseLimits) => {
                (policy.placing_limit, policy.booting_limit, policy.stopping_limit) = (NEVER, NEVER, NEVER);
            }
            _ => {}
        }
        workspace
    }

    pub(crate) fn decide(
        self,
        record: &Record,
        event: Event,
        now: Timestamp,
        workspace: &Workspace,
    ) -> Result<Decision, Denied> {
        let event = match (self.broken, event) {
            (Some(Break::UnknownIsIdle), Event::Heartbeat(beat)) if beat.reading == Reading::Unknown => {
                Event::Heartbeat(Heartbeat { reading: Reading::Idle { last: None }, ..beat })
            }
            (Some(Break::FailedBootsGoOn), Event::Heartbeat(beat)) => {
                Event::Heartbeat(Heartbeat { boot: beat.boot.map(|boot| BootReport { failed: false, ..boot }), ..beat })
            }
            (_, event) => event,
        };
        let mut decision = decide(record, event.clone(), now, workspace)?;
        let real = decision.next.clone();
        let next = &mut decision.next;
        match self.broken {
            Some(Break::ActivityInDrainingIsIgnored)
                if record.phase == Phase::Draining && next.phase == Phase::Ready =>
            {
                *next = record.clone();
            }
            Some(Break::ANewRunForgetsTheCall) if next.run > record.run => next.call = None,
            Some(Break::AHeartbeatClaimsTheMachine) => claim_by_heartbeat(record, &event, now, next),
            Some(Break::PreemptionStopsByWordAlone) if matches!(event, Event::Preempted { .. }) && decision.nudge => {
                next.phase = Phase::Stopping;
                next.phase_since = now;
            }
            Some(Break::TheDeadlineFollowsActivity) => {
                if let (Some(last), Some(_)) = (next.last_active, next.stop_at) {
                    next.stop_at = Some(last.at + workspace.policy.idle_limit);
                }
            }
            Some(Break::NothingIsAnnounced)
                if record.phase == Phase::Ready && next.ending != Some(StopReason::HardLimit) =>
            {
                next.drain_ends_at = next.drain_ends_at.map(|_| now);
            }
            Some(Break::BootsOutlastTheHardEnd)
                if record.phase == Phase::Booting && next.ending == Some(StopReason::HardLimit) =>
            {
                *next = record.clone();
            }
            Some(Break::NoHardEnd) => next.hard_stop_at = None,
            Some(Break::PatienceIsEndless) => {
                next.walk.keep_trying_until = next.walk.keep_trying_until.map(|until| until + NEVER);
            }
            Some(Break::RestartsIgnoreTheStop) if record.phase == Phase::Stopping && next.phase == Phase::Stopped => {
                let ending = Some(StopReason::Preempted);
                let ready = Record { phase: Phase::Ready, wish: Wish::Running, ending, ..record.clone() };
                return decide(&ready, event, now, workspace);
            }
            Some(Break::RestartsComeByWordAlone) if matches!(event, Event::Preempted { .. }) && decision.nudge => {
                let (instance, instance_id) = (record.placement.clone().unwrap_or_default(), 0);
                let down = InstanceSeen { instance, instance_id, status: InstanceStatus::Down, has_disk: false };
                return decide(&real, Event::InstanceSeen(down), now, workspace);
            }
            _ => {}
        }
        decision.save |= *next != real;
        Ok(decision)
    }

    pub(crate) fn next_step(
        self,
        record: &Record,
        seen: &[InstanceSeen],
        now: Timestamp,
        workspace: &Workspace,
    ) -> Step {
        let mut seen = seen.to_vec();
        let mut record = record.clone();
        let ours = record.placement.clone();
        let others = |seen: &&mut InstanceSeen| ours.as_ref() != Some(&seen.instance);
        match self.broken {
            Some(Break::OthersAreNotLookedAt) => seen.retain(|seen| ours.as_ref() == Some(&seen.instance)),
            Some(Break::WatchersLookAtTheirOwnAlone) if record.phase != Phase::Placing => {
                seen.retain(|seen| ours.as_ref() == Some(&seen.instance));
            }
            Some(Break::GivenUpStartsAreForgotten)
                if record.phase == Phase::Placing
                    && record.call.as_ref().is_some_and(|call| Some(call.action.instance()) != ours.as_deref()) =>
            {
                record.call = None;
                seen.retain(|seen| ours.as_ref() == Some(&seen.instance));
            }
            Some(Break::NobodyIsAskedForTheDisk) => {
                let silent = seen.iter().find(|seen| seen.status == InstanceStatus::Unreachable);
                record.lost_zone =
                    silent.and_then(|seen| workspace.placement(&seen.instance)).map(|at| at.zone.clone());
            }
            Some(Break::TheDiskIsNotLookedFor) => {
                seen.iter_mut().filter(others).for_each(|other| other.has_disk = false);
            }
            _ => {}
        }
        next_step(&record, &seen, now, workspace)
    }

    /// Whether the worker may make this call still: not when it was announced too long ago.
    pub(crate) fn may_call(self, announced_at: Timestamp, now: Timestamp, workspace: &Workspace) -> bool {
        self.breaks(Break::CallsAreMadeLate) || now < announced_at + workspace.policy.call_limit
    }
}

/// What this code did before it was mended: Placing ended on the VM's own word, and its call was forgotten.
fn claim_by_heartbeat(record: &Record, event: &Event, now: Timestamp, next: &mut Record) {
    if let (Phase::Placing, Event::Heartbeat(Heartbeat { run: Some(_), instance_id, .. })) = (record.phase, event) {
        next.phase = Phase::Booting;
        next.phase_since = now;
        next.instance_id = Some(*instance_id);
        next.call = None;
    }
}
