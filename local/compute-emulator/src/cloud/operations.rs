//! Operations from their beginning to the day they are forgotten, and repeated requests.

use std::time::Duration;

use domain::Timestamp;
use uuid::Uuid;

use super::{Caller, Cloud, Due, Effect};
use crate::audit::{self, Part};
use crate::error::CallError;
use crate::happening::Happening;
use crate::links::path;
use crate::moments::after;
use crate::operation::{Operation, OperationStatus, Outcome};

/// Finished operations beyond this many are forgotten, the oldest first.
const OPERATIONS_KEPT_MAX: usize = 5_000;

/// Calls by verb that the audit log's activity entries are written for.
const LOGGED_KINDS: [&str; 3] = ["start", "stop", "reset"];

/// An operation about to begin.
pub(super) struct Begin<'a> {
    pub(super) kind: &'static str,
    pub(super) instance: &'a str,
    pub(super) caller: &'a Caller,
    /// Changes of settings are RUNNING in their first answer, power and disks are PENDING.
    pub(super) pending: bool,
    pub(super) takes: Duration,
    pub(super) outcome: Outcome,
}

impl Cloud {
    /// The operation that a repeated request already has. Refuses ids that are no ids, or stand for another call.
    pub(super) fn replayed(&self, kind: &str, instance: &str, caller: &Caller) -> Result<Option<Operation>, CallError> {
        let Some(given) = caller.request_id.as_deref().filter(|id| !id.is_empty()) else { return Ok(None) };
        let id = Uuid::parse_str(given)
            .ok()
            .filter(|id| !id.is_nil())
            .ok_or_else(|| CallError::invalid_field("requestId", given, "The request id must be a non-zero UUID."))?;
        let Some((call, operation)) = self.requests.get(&id) else { return Ok(None) };
        if *call != call_of(kind, instance) {
            let why = "The request id was already used for another request.";
            return Err(CallError::invalid_field("requestId", given, why));
        }
        Ok(self.operations.get(operation).cloned())
    }

    pub(super) fn begin(&mut self, begin: Begin<'_>, now: Timestamp) -> Operation {
        let Begin { kind, instance, caller, pending, takes, outcome } = begin;
        let name = self.operation_name("operation", now);
        let (zone, instance_id) =
            self.instances.get(instance).map_or((String::new(), 0), |found| (found.spec.zone.clone(), found.id));
        let operation = Operation {
            id: self.chance.id(),
            kind,
            zone,
            instance: instance.to_owned(),
            instance_id,
            client_operation_id: caller.request_id.clone().filter(|id| !id.is_empty()),
            user: format!("caller@{}.iam.gserviceaccount.com", self.config.project),
            status: if pending { OperationStatus::Pending } else { OperationStatus::Running },
            inserted: now,
            started: (!pending).then_some(now),
            ended: None,
            outcome,
            name: name.clone(),
        };
        if let Some(id) = operation.client_operation_id.as_deref().and_then(|id| Uuid::parse_str(id).ok()) {
            self.requests.insert(id, (call_of(kind, instance), name.clone()));
        }
        let accepted = Happening::Accepted {
            operation: name.clone(),
            verb: kind.to_owned(),
            instance: instance.to_owned(),
            request_id: operation.client_operation_id.clone(),
        };
        self.note(accepted, now);
        if LOGGED_KINDS.contains(&kind) {
            let entry = audit::activity(&self.config.project, &operation, Part::First, now);
            self.outbox.push(Effect::Logged(entry));
        }
        if pending {
            self.agenda
                .add(after(now, self.config.timings.operation_pending.min(takes)), Due::OperationRuns(name.clone()));
        }
        self.agenda.add(after(now, takes + self.faults.operation_delay), Due::OperationEnds(name.clone()));
        self.keep(operation.clone());
        operation
    }

    /// Something the system did: an operation that is DONE at once, and its log entry.
    pub(super) fn system_did(&mut self, kind: &'static str, instance: &str, message: Option<&str>, at: Timestamp) {
        let Some(found) = self.instances.get(instance) else { return };
        let (zone, instance_id) = (found.spec.zone.clone(), found.id);
        let operation = Operation {
            name: self.operation_name("systemevent", at),
            id: self.chance.id(),
            kind,
            zone,
            instance: instance.to_owned(),
            instance_id,
            client_operation_id: None,
            user: "system".into(),
            status: OperationStatus::Done,
            inserted: at,
            started: Some(at),
            ended: Some(at),
            outcome: Outcome::Succeeds,
        };
        let entry = audit::system_event(&self.config.project, &operation, message, at);
        self.outbox.push(Effect::Logged(entry));
        self.note(Happening::System { instance: instance.to_owned(), event: kind.to_owned() }, at);
        self.keep(operation);
    }

    pub(super) fn operation_runs(&mut self, name: &str, at: Timestamp) {
        if let Some(operation) = self.operations.get_mut(name)
            && operation.status == OperationStatus::Pending
        {
            operation.status = OperationStatus::Running;
            operation.started = Some(at);
        }
    }

    pub(super) fn operation_ends(&mut self, name: &str, at: Timestamp) {
        let Some(operation) = self.operations.get(name) else { return };
        let (instance, outcome) = (operation.instance.clone(), operation.outcome.clone());
        let outcome = match outcome {
            Outcome::AttachesDisk { disk, device, read_only, force } => {
                self.attach(&instance, &disk, device, read_only, force, at)
            }
            Outcome::DetachesDisk { device } => self.detach(&instance, &device, at),
            told @ (Outcome::Succeeds | Outcome::Fails(_)) => told,
        };
        let Some(operation) = self.operations.get_mut(name) else { return };
        operation.outcome = outcome;
        operation.status = OperationStatus::Done;
        operation.started.get_or_insert(at);
        operation.ended = Some(at);
        let ended = Happening::Ended {
            operation: name.to_owned(),
            verb: operation.kind.to_owned(),
            instance,
            error: operation.error().map(|error| error.code.to_owned()),
        };
        self.outbox.push(Effect::Happened(ended.at(at)));
        if LOGGED_KINDS.contains(&operation.kind) {
            let entry = audit::activity(&self.config.project, operation, Part::Last, at);
            self.outbox.push(Effect::Logged(entry));
        }
    }

    pub(crate) fn operation_in(&self, zone: &str, name: &str) -> Result<&Operation, CallError> {
        self.check_zone(zone)?;
        let found = self.operations.get(name).filter(|operation| operation.zone == zone);
        found.ok_or_else(|| {
            CallError::not_found(&path(&self.config.project, &format!("zones/{zone}/operations/{name}")))
        })
    }

    pub(crate) fn operations(&self) -> impl Iterator<Item = &Operation> {
        self.operations.values()
    }

    pub(super) fn forget_old_operations(&mut self, now: Timestamp) {
        while let Some(oldest) = self.operation_order.front() {
            let ended = self.operations.get(oldest).map(|operation| operation.ended);
            let too_old = match ended {
                None => true,
                Some(None) => false,
                Some(Some(at)) => {
                    after(at, self.config.timings.operations_kept) < now
                        || self.operation_order.len() > OPERATIONS_KEPT_MAX
                }
            };
            if !too_old {
                break;
            }
            let Some(name) = self.operation_order.pop_front() else { break };
            self.operations.remove(&name);
            self.requests.retain(|_, (_, operation)| *operation != name);
        }
    }

    fn keep(&mut self, operation: Operation) {
        self.version += 1;
        self.operation_order.push_back(operation.name.clone());
        self.operations.insert(operation.name.clone(), operation);
    }

    /// `operation-1541671482827-57a245d1820f9-2973d419-0ab6aceb`
    fn operation_name(&mut self, prefix: &str, now: Timestamp) -> String {
        let (long, short, last) = (self.chance.hex(13), self.chance.hex(8), self.chance.hex(8));
        format!("{prefix}-{}-{long}-{short}-{last}", now.millis())
    }
}

fn call_of(kind: &str, instance: &str) -> String {
    format!("{kind} {instance}")
}
