//! Start, stop and reset, and the instance's way from state to state.

use std::time::Duration;

use domain::Timestamp;

use super::operations::Begin;
use super::{Caller, Cloud, Due, Effect};
use crate::error::CallError;
use crate::happening::Happening;
use crate::instance::{Instance, Status};
use crate::moments::after;
use crate::operation::{Operation, OperationError, Outcome};

/// A step of an instance that takes no further decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    Stages,
    Runs,
    /// A start in a dry zone is being taken back.
    GivesUp,
    /// What was told as a stock-out has found a machine after all.
    ComesLate,
    Terminates,
    /// The window after the preemption notice is over.
    IsPreempted,
    /// `maxRunDuration` is used up.
    RunsOut,
    /// Compute Engine starts it again after a host error.
    Restarts,
}

/// How a start will go: how long its operation takes, and how that ends.
struct StartPlan {
    takes: Duration,
    outcome: Outcome,
}

impl Cloud {
    /// Starts a TERMINATED instance. One that is up or on its way up is left alone; one that is stopping refuses.
    pub(crate) fn start(
        &mut self,
        zone: &str,
        name: &str,
        caller: &Caller,
        now: Timestamp,
    ) -> Result<Operation, CallError> {
        let status = self.instance_in(zone, name)?.status;
        if let Some(operation) = self.replayed("start", name, caller)? {
            return Ok(operation);
        }
        let plan = match status {
            Status::Terminated => self.set_going(name, now),
            Status::Running | Status::Staging | Status::Provisioning => self.nothing_to_do(),
            Status::Stopping => return Err(self.refused_not_ready(self.instance_in(zone, name)?)),
        };
        let StartPlan { takes, outcome } = plan;
        Ok(self.begin(Begin { kind: "start", instance: name, caller, pending: true, takes, outcome }, now))
    }

    /// Stops an instance that is up or on its way up; otherwise nothing is to do, and that is no error.
    pub(crate) fn stop(
        &mut self,
        zone: &str,
        name: &str,
        caller: &Caller,
        now: Timestamp,
    ) -> Result<Operation, CallError> {
        let instance = self.instance_in(zone, name)?;
        let (status, grace) = (instance.status, self.shutdown_grace(instance));
        if let Some(operation) = self.replayed("stop", name, caller)? {
            return Ok(operation);
        }
        let takes = match status {
            Status::Running | Status::Staging | Status::Provisioning => {
                self.let_stop(name, grace, now);
                let timings = &self.config.timings;
                timings.stopping.saturating_sub(timings.stop_told_early)
            }
            Status::Stopping | Status::Terminated => self.config.timings.settings_change,
        };
        self.instance_mut(zone, name)?.restart_due = false;
        let outcome = Outcome::Succeeds;
        Ok(self.begin(Begin { kind: "stop", instance: name, caller, pending: true, takes, outcome }, now))
    }

    /// Pulls the plug and puts it in again; the instance reads RUNNING all the while.
    pub(crate) fn reset(
        &mut self,
        zone: &str,
        name: &str,
        caller: &Caller,
        now: Timestamp,
    ) -> Result<Operation, CallError> {
        let instance = self.instance_in(zone, name)?;
        let status = instance.status;
        if let Some(operation) = self.replayed("reset", name, caller)? {
            return Ok(operation);
        }
        if status != Status::Running {
            return Err(self.refused_not_ready(self.instance_in(zone, name)?));
        }
        let instance = self.instance_mut(zone, name)?;
        instance.boot += 1;
        instance.guest_attributes.clear();
        self.outbox.push(Effect::PowerOn { instance: name.to_owned() });
        let (takes, outcome) = (self.config.timings.settings_change, Outcome::Succeeds);
        Ok(self.begin(Begin { kind: "reset", instance: name, caller, pending: true, takes, outcome }, now))
    }

    fn nothing_to_do(&self) -> StartPlan {
        StartPlan { takes: self.config.timings.settings_change, outcome: Outcome::Succeeds }
    }

    /// Takes a TERMINATED instance to PROVISIONING and writes down how it goes on.
    fn set_going(&mut self, name: &str, now: Timestamp) -> StartPlan {
        let timings = self.config.timings.clone();
        if self.faults.quota_exceeded {
            return StartPlan {
                takes: timings.settings_change,
                outcome: Outcome::Fails(OperationError::quota_exceeded()),
            };
        }
        let Some(instance) = self.instances.get_mut(name) else { return self.nothing_to_do() };
        instance.epoch += 1;
        instance.preempted = false;
        instance.restart_due = false;
        let zone = instance.spec.zone.clone();
        self.turn(name, Status::Provisioning, now);
        let staged = after(now, timings.provisioning);
        let rise = timings.provisioning + timings.staging;
        let faults = self.zone_faults(&zone);
        if !faults.is_told_dry() {
            self.write_down(name, staged, Change::Stages);
            self.write_down(name, after(staged, timings.staging), Change::Runs);
            return StartPlan { takes: rise, outcome: Outcome::Succeeds };
        }
        let told = faults.told_after.unwrap_or(timings.stockout_told_after);
        self.write_down(name, after(now, told.saturating_sub(timings.stockout_teardown)), Change::GivesUp);
        self.write_down(name, after(now, told), Change::Terminates);
        if let Some(late) = faults.late_success {
            self.write_down(name, after(now, told + late.saturating_sub(rise)), Change::ComesLate);
        }
        StartPlan { takes: told, outcome: Outcome::Fails(self.stock_out(name, &zone)) }
    }

    fn stock_out(&self, name: &str, zone: &str) -> OperationError {
        let elsewhere = self.zones_that_have(zone);
        let spec = self.instances.get(name).map(|instance| &instance.spec);
        let machine = spec.map_or("", |spec| spec.machine_type.as_str());
        let accelerator = spec.and_then(|spec| spec.accelerator.as_deref());
        OperationError::stock_out(&self.config.project, zone, machine, accelerator, &elsewhere)
    }

    /// Takes an instance to STOPPING, whoever wanted it, and tells its machine.
    pub(super) fn let_stop(&mut self, name: &str, grace: Duration, now: Timestamp) {
        let Some(instance) = self.instances.get_mut(name) else { return };
        instance.epoch += 1;
        instance.ends = None;
        self.turn(name, Status::Stopping, now);
        self.outbox.push(Effect::PowerOff { instance: name.to_owned(), grace });
        self.write_down(name, after(now, self.config.timings.stopping), Change::Terminates);
    }

    /// What a guest gets to shut down in: never more than the time until TERMINATED.
    pub(super) fn shutdown_grace(&self, instance: &Instance) -> Duration {
        let timings = &self.config.timings;
        let soft = if instance.scheduling.spot { timings.shutdown_grace_spot } else { timings.shutdown_grace };
        soft.min(timings.stopping)
    }

    /// Due under the instance's present epoch.
    pub(super) fn write_down(&mut self, name: &str, at: Timestamp, change: Change) {
        self.version += 1;
        let epoch = self.instances.get(name).map_or(0, |instance| instance.epoch);
        self.agenda.add(at, Due::Instance { name: name.to_owned(), epoch, change });
    }

    pub(super) fn change(&mut self, name: &str, epoch: u64, change: Change, at: Timestamp) {
        let Some(instance) = self.instances.get_mut(name).filter(|instance| instance.epoch == epoch) else { return };
        match change {
            Change::Stages => self.turn(name, Status::Staging, at),
            Change::Runs => self.runs(name, at),
            Change::GivesUp => self.turn(name, Status::Stopping, at),
            Change::ComesLate => {
                let staged = after(at, self.config.timings.provisioning);
                self.turn(name, Status::Provisioning, at);
                self.write_down(name, staged, Change::Stages);
                self.write_down(name, after(staged, self.config.timings.staging), Change::Runs);
            }
            Change::Terminates => {
                instance.last_stop = Some(at);
                instance.guest_attributes.clear();
                self.turn(name, Status::Terminated, at);
            }
            Change::IsPreempted => {
                let grace = self.config.timings.shutdown_grace_spot.min(self.config.timings.stopping);
                self.system_stops(name, "compute.instances.preempted", Some("Instance was preempted."), grace, at);
            }
            Change::RunsOut => {
                let grace = self.config.timings.shutdown_grace.min(self.config.timings.stopping);
                self.system_stops(name, "compute.instances.deferredStop", None, grace, at);
            }
            Change::Restarts if !instance.restart_due => {}
            Change::Restarts => {
                self.system_did("compute.instances.automaticRestart", name, None, at);
                self.set_going(name, at);
            }
        }
    }

    /// Gives an instance another status.
    fn turn(&mut self, name: &str, status: Status, at: Timestamp) {
        let Some(instance) = self.instances.get_mut(name) else { return };
        instance.status = status;
        self.note(Happening::Status { instance: name.to_owned(), status: status.name().to_owned() }, at);
    }

    fn runs(&mut self, name: &str, at: Timestamp) {
        let Some(instance) = self.instances.get_mut(name) else { return };
        instance.boot += 1;
        instance.last_start = Some(at);
        instance.ends = instance.scheduling.max_run_duration.map(|length| after(at, length));
        let ends = instance.ends;
        self.turn(name, Status::Running, at);
        self.outbox.push(Effect::PowerOn { instance: name.to_owned() });
        if let Some(ends) = ends {
            self.write_down(name, ends, Change::RunsOut);
        }
    }

    pub(super) fn system_stops(
        &mut self,
        name: &str,
        kind: &'static str,
        message: Option<&str>,
        grace: Duration,
        at: Timestamp,
    ) {
        self.system_did(kind, name, message, at);
        self.let_stop(name, grace, at);
    }
}
