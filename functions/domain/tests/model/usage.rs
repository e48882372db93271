//! The model of a run in use: work, silence, tabs, and the deadlines, against the passing of time.
//!
//! It begins with a run that has just become ready, brought there by the real rules, and ends where the run does. The
//! VM speaks when it likes: a heartbeat that is lost is one that it has not sent.

use std::sync::Arc;

use domain::{
    Activity, Event, Heartbeat, InstanceSeen, InstanceStatus, Phase, Policy, Reading, Record, Repair, Seconds, Signal,
    StopReason, Timestamp, Workspace, plan, write_threshold,
};
use stateright::{Model, Property};

use crate::breaks::Rules;
use crate::usage_laws;
use crate::world::{INSTANCES, instance_id, moment, ticks, without_receipts, workspace};

/// What bounds a model of use. Lengths are in ticks.
#[derive(Clone, Debug)]
pub(crate) struct Bounds {
    pub(crate) ticks: u8,
    pub(crate) idle: u64,
    pub(crate) arrival: u64,
    pub(crate) silence: u64,
    pub(crate) drain: u64,
    pub(crate) hard: u64,
    pub(crate) sweep_every: u8,
    /// So often work begins, a person is there, a user extends, a heartbeat comes late.
    pub(crate) works: u8,
    pub(crate) persons: u8,
    pub(crate) extends: u8,
    pub(crate) lates: u8,
}

/// A run in use under some rules, within some bounds.
#[derive(Clone, Debug)]
pub(crate) struct Usage {
    pub(crate) bounds: Bounds,
    pub(crate) rules: Rules,
    /// As the rules see it.
    pub(crate) workspace: Workspace,
    /// As it was declared: what the laws are measured by.
    pub(crate) policy: Policy,
}

/// A run in use, and what is true of it beside its record.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct InUse {
    pub(crate) tick: u8,
    pub(crate) unswept: u8,
    pub(crate) record: Arc<Record>,
    /// ComfyUI works, since this tick.
    pub(crate) busy_since: Option<u8>,
    /// ComfyUI worked last.
    pub(crate) worked_at: Option<u8>,
    /// A heartbeat that is still on its way, and when it was sent.
    pub(crate) late: Option<(Reading, u8)>,
    /// Youngest activity that the rules have been told of.
    pub(crate) told_active: Option<Timestamp>,
    /// Nobody may stop it for idleness before: the arrival limit, or an extension.
    pub(crate) kept_until: Timestamp,
    /// Last tick at which the VM was heard, and knew.
    pub(crate) heard: u8,
    /// Last tick at which it was heard to be idle.
    pub(crate) heard_idle: Option<u8>,
    /// Since which tick it has been heard idle in time, or silent for long enough, without a gap.
    pub(crate) sure_since: Option<u8>,
    pub(crate) works: u8,
    pub(crate) persons: u8,
    pub(crate) extends: u8,
    pub(crate) lates: u8,
    pub(crate) broken: Option<&'static str>,
    pub(crate) hasty: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Deed {
    Tick,
    Sweep,
    BeginWork,
    EndWork,
    /// The VM says what is true.
    Heartbeat,
    /// The VM does not know: ComfyUI has not answered.
    HeartbeatUnknown,
    /// A heartbeat leaves and does not arrive yet.
    SendLate,
    /// It arrives, perhaps again.
    ArriveLate,
    /// A person's own input, so many ticks ago, told by a visible tab.
    Person(u8),
    /// A tab that is open, and forgotten.
    ForgottenTab,
    KeepRunning,
    Extend,
}

/// A heartbeat is late by at most so many ticks: it is one request.
const LATE_MOST: u8 = 1;

/// What a user adds: the least that may be asked for.
pub(crate) const EXTENSION: Seconds = Seconds(60);

impl Usage {
    pub(crate) fn new(bounds: Bounds, rules: Rules) -> Self {
        let policy = Policy {
            idle_limit: ticks(bounds.idle),
            arrival_limit: ticks(bounds.arrival),
            hard_limit: ticks(bounds.hard),
            drain: ticks(bounds.drain),
            silence_limit: ticks(bounds.silence),
            heartbeat_every: ticks(1),
            ..Policy::default()
        };
        let workspace = rules.workspace(workspace(1, false, policy.clone()));
        Self { bounds, rules, workspace, policy }
    }

    fn apply(&self, state: &mut InUse, event: Event) -> bool {
        let now = moment(state.tick);
        let Ok(decision) = self.rules.decide(&state.record, event, now, &self.workspace) else { return false };
        let next = without_receipts(decision.next);
        if !decision.save || next == *state.record {
            return false;
        }
        let before = std::mem::replace(&mut state.record, Arc::new(next));
        state.broken = state.broken.or(usage_laws::broken_by_saving(self, state, &before));
        state.hasty |= usage_laws::is_hasty(self, state, &before);
        true
    }

    fn beat(&self, state: &mut InUse, reading: Reading) {
        let now = moment(state.tick);
        let activity = match reading {
            Reading::Unknown => None,
            Reading::Idle { last } => last.map(|last| last.at),
            Reading::Busy(_) => Some(now),
        };
        self.tell(state, activity);
        if reading != Reading::Unknown {
            state.heard = state.tick;
        }
        if matches!(reading, Reading::Idle { .. }) {
            state.heard_idle = Some(state.tick);
        }
        self.apply(state, Event::Heartbeat(heartbeat(state.record.run, reading)));
    }

    /// The rules are told of activity, whether or not they find it worth a write.
    fn tell(&self, state: &mut InUse, activity: Option<Timestamp>) {
        if state.record.phase == Phase::Ready || state.record.phase == Phase::Draining {
            state.told_active = state.told_active.max(activity.map(|at| at.min(moment(state.tick))));
        }
    }

    fn sweep(&self, state: &mut InUse) {
        let now = moment(state.tick);
        let id = &self.workspace.id;
        let record = state.record.clone();
        let repairs = plan([(id, &*record, &self.workspace.policy)], &[], |_| None, now);
        if repairs == [(Repair::Settle { workspace: id.clone() })] {
            self.apply(state, Event::SweepDue);
        }
        state.unswept = 0;
    }

    fn reading(state: &InUse) -> Reading {
        match (state.busy_since, state.worked_at) {
            (Some(_), _) => Reading::Busy(Signal::Queue),
            (None, at) => Reading::Idle { last: at.map(|tick| Activity { at: moment(tick), signal: Signal::Queue }) },
        }
    }

    fn tick(&self, state: &mut InUse) {
        state.tick += 1;
        state.unswept += 1;
        if state.busy_since.is_some() {
            state.worked_at = Some(state.tick);
        }
        state.late = state.late.filter(|(_, sent)| state.tick - sent <= LATE_MOST);
    }

    /// Keeps the truth that the second law is measured by.
    fn note_sureness(&self, state: &mut InUse) {
        let idle = state.heard_idle.is_some_and(|at| state.tick - at <= 2);
        let silence = self.policy.silence_limit + write_threshold(&self.policy);
        let silent = moment(state.tick) >= moment(state.heard) + silence;
        state.sure_since = (idle || silent).then(|| state.sure_since.unwrap_or(state.tick));
    }

    fn person(&self, state: &mut InUse, ago: u8) -> bool {
        state.persons -= 1;
        let at = moment(state.tick.saturating_sub(ago));
        self.tell(state, Some(at));
        self.apply(state, Event::KeepAlive { person_at: Some(at) })
    }

    fn keep_running(&self, state: &mut InUse) -> bool {
        state.persons -= 1;
        let now = moment(state.tick);
        let allowed =
            self.rules.decide(&state.record, Event::StartRequested(Default::default()), now, &self.workspace).is_ok();
        if allowed {
            self.tell(state, Some(now));
            self.apply(state, Event::StartRequested(Default::default()));
        }
        allowed
    }

    fn extend(&self, state: &mut InUse) -> bool {
        state.extends -= 1;
        let event = Event::ExtendRequested { by: EXTENSION };
        let now = moment(state.tick);
        let allowed = self.rules.decide(&state.record, event.clone(), now, &self.workspace).is_ok();
        if allowed {
            state.kept_until = state.kept_until.max(now + EXTENSION);
            self.apply(state, event);
        }
        allowed
    }
}

fn heartbeat(run: u64, reading: Reading) -> Heartbeat {
    Heartbeat {
        instance: INSTANCES[0].to_owned(),
        instance_id: instance_id(0),
        run: Some(run),
        comfyui_up: true,
        reading,
        boot: None,
        kept_prompts: None,
    }
}

impl Model for Usage {
    type State = InUse;
    type Action = Deed;

    fn init_states(&self) -> Vec<InUse> {
        let seen = InstanceSeen {
            instance: INSTANCES[0].to_owned(),
            status: InstanceStatus::Running,
            instance_id: instance_id(0),
            has_disk: false,
        };
        let events = [
            Event::StartRequested(Default::default()),
            Event::InstanceSeen(seen),
            Event::Heartbeat(heartbeat(1, Reading::Unknown)),
        ];
        let ready = events.into_iter().fold(Record::default(), |record, event| {
            without_receipts(self.rules.decide(&record, event, moment(0), &self.workspace).unwrap().next)
        });
        assert_eq!(ready.phase, Phase::Ready);
        vec![InUse {
            tick: 0,
            unswept: 0,
            record: Arc::new(ready),
            busy_since: None,
            worked_at: None,
            late: None,
            told_active: None,
            kept_until: moment(0) + self.policy.arrival_limit,
            heard: 0,
            heard_idle: None,
            sure_since: None,
            works: self.bounds.works,
            persons: self.bounds.persons,
            extends: self.bounds.extends,
            lates: self.bounds.lates,
            broken: None,
            hasty: false,
        }]
    }

    fn actions(&self, state: &InUse, deeds: &mut Vec<Deed>) {
        if !state.record.phase.is_open() {
            return;
        }
        let may_tick = state.tick < self.bounds.ticks && state.unswept < self.bounds.sweep_every;
        deeds.extend(may_tick.then_some(Deed::Tick));
        deeds.extend((state.unswept > 0).then_some(Deed::Sweep));
        deeds.extend((state.works > 0 && state.busy_since.is_none()).then_some(Deed::BeginWork));
        deeds.extend(state.busy_since.is_some().then_some(Deed::EndWork));
        deeds.extend([Deed::Heartbeat, Deed::HeartbeatUnknown, Deed::ForgottenTab]);
        deeds.extend((state.lates > 0 && state.late.is_none()).then_some(Deed::SendLate));
        deeds.extend(state.late.is_some().then_some(Deed::ArriveLate));
        if state.persons > 0 {
            deeds.extend([Deed::Person(0), Deed::Person(2), Deed::KeepRunning]);
        }
        deeds.extend((state.extends > 0).then_some(Deed::Extend));
    }

    fn next_state(&self, last: &InUse, deed: Deed) -> Option<InUse> {
        let mut state = last.clone();
        match deed {
            Deed::Tick => self.tick(&mut state),
            Deed::Sweep => self.sweep(&mut state),
            Deed::BeginWork => {
                state.works -= 1;
                state.busy_since = Some(state.tick);
                state.worked_at = Some(state.tick);
            }
            Deed::EndWork => state.busy_since = None,
            Deed::Heartbeat => self.beat(&mut state, Self::reading(last)),
            Deed::HeartbeatUnknown => self.beat(&mut state, Reading::Unknown),
            Deed::SendLate => {
                state.lates -= 1;
                state.late = Some((Self::reading(last), state.tick));
            }
            Deed::ArriveLate => self.beat(&mut state, last.late?.0),
            Deed::Person(ago) => self.person(&mut state, ago).then_some(())?,
            Deed::ForgottenTab if self.apply(&mut state, Event::KeepAlive { person_at: None }) => {
                state.broken = Some("law 2: a forgotten tab changes the record");
            }
            Deed::ForgottenTab => return None,
            Deed::KeepRunning => self.keep_running(&mut state).then_some(())?,
            Deed::Extend => self.extend(&mut state).then_some(())?,
        }
        self.note_sureness(&mut state);
        (state != *last).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        usage_laws::properties(&self.bounds)
    }
}

/// Reasons that are about use, not about the user's or the owner's will.
pub(crate) fn is_about_use(reason: StopReason) -> bool {
    matches!(reason, StopReason::Idle | StopReason::NeverOpened | StopReason::Silent)
}
