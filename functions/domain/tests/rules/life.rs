//! A workspace of any placements, led through its life by the real rules: who is asked, what Google says, when.

use domain::{
    Action, Decision, Denied, Event, Heartbeat, InstanceSeen, InstanceStatus, MicroUsd, OperationError,
    OperationErrorKind, Outcome, Phase, Placement, Reading, Record, Run, Seconds, StartRequest, Step, Workspace,
    decide, next_step,
};

use crate::fixture::{at, start_of, workspace};

/// `a-spot` is the Spot placement of `zone-a`, `b` the standard one of `zone-b`.
pub(crate) fn placement(name: &str) -> Placement {
    let usual = workspace().placements.swap_remove(0);
    let zone = format!("zone-{}", &name[..1]);
    Placement { instance: name.to_owned(), zone, spot: name.ends_with("-spot"), ..usual }
}

#[derive(Clone, Debug)]
pub(crate) struct Life {
    pub(crate) workspace: Workspace,
    pub(crate) record: Record,
}

/// One hour at $0.72, which is 200 micro-dollars a second.
pub(crate) const PER_SECOND: u64 = 200;

impl Life {
    pub(crate) fn of(placements: &[&str]) -> Self {
        let placements = placements.iter().map(|name| placement(name)).collect();
        Self { workspace: Workspace { placements, ..workspace() }, record: Record::default() }
    }

    /// Its people are told.
    pub(crate) fn told(mut self) -> Self {
        self.workspace.policy.notify = true;
        self
    }

    pub(crate) fn try_take(&mut self, second: u64, event: Event) -> Result<Decision, Denied> {
        let decision = decide(&self.record, event, at(second), &self.workspace)?;
        self.record = decision.next.clone();
        Ok(decision)
    }

    pub(crate) fn take(&mut self, second: u64, event: Event) -> Decision {
        self.try_take(second, event).unwrap()
    }

    pub(crate) fn start(&mut self, second: u64) {
        self.take(second, Event::StartRequested(StartRequest::default()));
    }

    pub(crate) fn keep_trying(&mut self, second: u64, minutes: u64) {
        let keep_trying = Some(Seconds::minutes(minutes));
        self.take(second, Event::StartRequested(StartRequest { keep_trying, ..StartRequest::default() }));
    }

    pub(crate) fn placement(&self) -> &str {
        self.record.placement.as_deref().unwrap()
    }

    pub(crate) fn phase(&self) -> Phase {
        self.record.phase
    }

    /// Google is asked for the placement in use, and has accepted.
    pub(crate) fn ask(&mut self, second: u64) -> String {
        let instance = self.placement().to_owned();
        self.take(second, Event::CallIntended(start_of(&instance)));
        self.take(second, Event::CallAccepted { operation: format!("start-{instance}") });
        instance
    }

    pub(crate) fn fail(&mut self, second: u64, kind: OperationErrorKind, zones: &[&str]) -> Decision {
        let zones = zones.iter().map(|zone| (*zone).to_owned()).collect();
        self.take(second, Event::OperationFailed(OperationError { kind, detail: "Google's words".to_owned(), zones }))
    }

    /// The placement in use is asked for and is dry, all in one second: which one it was.
    pub(crate) fn find_dry(&mut self, second: u64) -> String {
        let asked = self.ask(second);
        self.fail(second, OperationErrorKind::StockOut, &[]);
        asked
    }

    /// Tries and finds dry until the walk is over, or waits: the placements in their order.
    pub(crate) fn walk_dry(&mut self, second: u64) -> Vec<String> {
        let mut asked = Vec::new();
        let rounds = self.record.walk.rounds;
        while self.phase() == Phase::Placing && self.record.walk.rounds == rounds && asked.len() < 64 {
            asked.push(self.find_dry(second));
        }
        asked
    }

    pub(crate) fn seen(&self, instance: &str, status: InstanceStatus) -> InstanceSeen {
        let index = self.workspace.placements.iter().position(|place| place.instance == instance).unwrap();
        InstanceSeen { instance: instance.to_owned(), status, instance_id: id(index), has_disk: false }
    }

    /// All are down but those named, and the disk is at one of them.
    pub(crate) fn look(&self, disk_at: &str, but: &[(&str, InstanceStatus)]) -> Vec<InstanceSeen> {
        let see = |place: &Placement| {
            let told = but.iter().find(|(name, _)| *name == place.instance);
            let status = told.map_or(InstanceStatus::Down, |(_, status)| *status);
            let has_disk = place.instance == disk_at && status != InstanceStatus::Unreachable;
            InstanceSeen { has_disk, ..self.seen(&place.instance, status) }
        };
        self.workspace.placements.iter().map(see).collect()
    }

    pub(crate) fn step(&self, second: u64, disk_at: &str, but: &[(&str, InstanceStatus)]) -> Step {
        next_step(&self.record, &self.look(disk_at, but), at(second), &self.workspace)
    }

    /// The placement in use is asked for and comes up.
    pub(crate) fn come_up(&mut self, second: u64) {
        let instance = self.ask(second);
        self.take(second, Event::OperationDone);
        self.take(second, Event::InstanceSeen(self.seen(&instance, InstanceStatus::Running)));
        assert_eq!(self.phase(), Phase::Booting);
    }

    pub(crate) fn beat(&mut self, second: u64, reading: Reading) -> Decision {
        let instance = self.placement().to_owned();
        let instance_id = self.seen(&instance, InstanceStatus::Running).instance_id;
        let run = Some(self.record.run);
        let beat = Heartbeat { instance, instance_id, run, comfyui_up: true, reading, boot: None, kept_prompts: None };
        self.take(second, Event::Heartbeat(beat))
    }

    /// The placement in use is asked for, comes up, and somebody works there.
    pub(crate) fn get_ready(&mut self, second: u64) {
        self.come_up(second);
        self.beat(second, crate::fixture::BUSY);
        assert_eq!(self.phase(), Phase::Ready);
    }

    pub(crate) fn tell_preempted(&mut self, second: u64) -> Decision {
        let instance_id = self.seen(self.placement(), InstanceStatus::Running).instance_id;
        self.take(second, Event::Preempted { instance_id, at: at(second) })
    }

    pub(crate) fn go_down(&mut self, second: u64) -> Decision {
        let instance = self.placement().to_owned();
        self.take(second, Event::InstanceSeen(self.seen(&instance, InstanceStatus::Down)))
    }

    /// Google takes the machine back: the run that has ended.
    pub(crate) fn preempt(&mut self, second: u64) -> Run {
        self.tell_preempted(second);
        self.go_down(second).ended.unwrap()
    }

    pub(crate) fn outcomes(&self) -> Vec<(&str, Outcome)> {
        self.record.walk.attempts.iter().map(|try_of| (try_of.instance.as_str(), try_of.outcome)).collect()
    }
}

pub(crate) fn id(index: usize) -> u64 {
    101 + u64::try_from(index).unwrap()
}

pub(crate) fn attach(instance: &str) -> Step {
    Step::Call(Action::AttachDisk { instance: instance.to_owned() })
}

pub(crate) fn detach(instance: &str) -> Step {
    Step::Call(Action::DetachDisk { instance: instance.to_owned() })
}

pub(crate) fn usd(seconds: u64) -> MicroUsd {
    MicroUsd(seconds * PER_SECOND)
}
