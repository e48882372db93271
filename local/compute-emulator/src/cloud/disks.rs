//! Attaching and detaching regional disks. Both take effect when their operation ends, and are judged then.

use domain::Timestamp;

use super::operations::Begin;
use super::{Caller, Cloud};
use crate::error::CallError;
use crate::happening::Happening;
use crate::instance::{AttachedDisk, BOOT_DEVICE, Instance, Status};
use crate::links::{DiskRef, disk_ref, path};
use crate::operation::{Operation, OperationError, Outcome};

/// What `attachDisk` was given.
#[derive(Debug, Clone, Default)]
pub(crate) struct AttachRequest {
    pub(crate) source: String,
    pub(crate) device: Option<String>,
    pub(crate) read_only: bool,
    pub(crate) force: bool,
}

impl Cloud {
    pub(crate) fn attach_disk(
        &mut self,
        (zone, name): (&str, &str),
        request: AttachRequest,
        caller: &Caller,
        now: Timestamp,
    ) -> Result<Operation, CallError> {
        let instance = self.instance_in(zone, name)?;
        if let Some(operation) = self.replayed("attachDisk", name, caller)? {
            return Ok(operation);
        }
        self.check_changeable(instance)?;
        let disk = self.attachable(&request, zone)?;
        let device = request.device.unwrap_or_else(|| format!("persistent-disk-{}", instance.disks.len() + 1));
        let taken = |attached: &AttachedDisk| attached.device == device && attached.disk != disk;
        if device == BOOT_DEVICE || instance.disks.iter().any(taken) {
            let why = "Another disk has this device name.";
            return Err(CallError::invalid_field("resource.deviceName", &device, why));
        }
        let outcome = Outcome::AttachesDisk { disk, device, read_only: request.read_only, force: request.force };
        let takes = self.config.timings.disk_change;
        Ok(self.begin(Begin { kind: "attachDisk", instance: name, caller, pending: true, takes, outcome }, now))
    }

    pub(crate) fn detach_disk(
        &mut self,
        (zone, name): (&str, &str),
        device: &str,
        caller: &Caller,
        now: Timestamp,
    ) -> Result<Operation, CallError> {
        let instance = self.instance_in(zone, name)?;
        if let Some(operation) = self.replayed("detachDisk", name, caller)? {
            return Ok(operation);
        }
        self.check_changeable(instance)?;
        if !instance.disks.iter().any(|attached| attached.device == device) {
            let message = OperationError::device_not_found(device).message;
            return Err(CallError::invalid(message));
        }
        let outcome = Outcome::DetachesDisk { device: device.to_owned() };
        let takes = self.config.timings.disk_change;
        Ok(self.begin(Begin { kind: "detachDisk", instance: name, caller, pending: true, takes, outcome }, now))
    }

    fn check_changeable(&self, instance: &Instance) -> Result<(), CallError> {
        match instance.status {
            Status::Running | Status::Terminated => Ok(()),
            _ => Err(self.refused_not_ready(instance)),
        }
    }

    /// The disk's name, if an instance in `zone` could have it at all.
    fn attachable(&self, request: &AttachRequest, zone: &str) -> Result<String, CallError> {
        let project = &self.config.project;
        let (region, name) = match disk_ref(&request.source) {
            Some(DiskRef::Regional { region, name }) => (region, name),
            Some(DiskRef::Zonal { .. }) if request.force => {
                let why = "Only regional disks can be attached by force.";
                return Err(CallError::invalid_field("forceAttach", "true", why));
            }
            Some(DiskRef::Zonal { zone, name }) => {
                return Err(CallError::not_found(&path(project, &format!("zones/{zone}/disks/{name}"))));
            }
            None => {
                let why = "The URL is malformed.";
                return Err(CallError::invalid_field("resource.source", &request.source, why));
            }
        };
        let found = self.disks.get(name).filter(|disk| disk.spec.region == region);
        let disk =
            found.ok_or_else(|| CallError::not_found(&path(project, &format!("regions/{region}/disks/{name}"))))?;
        if !disk.spec.zones.iter().any(|copy| copy == zone) {
            let why = format!("The disk has no replica in zone '{zone}'.");
            return Err(CallError::invalid_field("resource.source", &request.source, &why));
        }
        Ok(name.to_owned())
    }

    /// The end of an attach. Forced, the disk is taken from whoever has it.
    pub(super) fn attach(
        &mut self,
        instance: &str,
        name: &str,
        device: String,
        read_only: bool,
        force: bool,
        at: Timestamp,
    ) -> Outcome {
        let Some(disk) = self.disks.get_mut(name) else { return Outcome::Succeeds };
        let conflict = disk.users.iter().find(|(user, theirs)| user.as_str() == instance || !(read_only && **theirs));
        if let Some((user, _)) = conflict.filter(|(user, _)| !force || user.as_str() == instance) {
            let user_zone = self.instances.get(user).map_or("", |user| user.spec.zone.as_str());
            let user = path(&self.config.project, &format!("zones/{user_zone}/instances/{user}"));
            return Outcome::Fails(OperationError::disk_in_use(&path(&self.config.project, &disk.rest()), &user));
        }
        let mut told = Vec::new();
        if conflict.is_some() {
            for user in std::mem::take(&mut disk.users).into_keys() {
                told.push(Happening::Detached { disk: name.to_owned(), instance: user.clone() });
                if let Some(previous) = self.instances.get_mut(&user) {
                    previous.disks.retain(|attached| attached.disk != name);
                    previous.fingerprint = self.chance.fingerprint();
                }
            }
        }
        disk.users.insert(instance.to_owned(), read_only);
        disk.attached = Some(at);
        let attached =
            AttachedDisk { disk: name.to_owned(), rest: disk.rest(), device, size_gb: disk.spec.size_gb, read_only };
        if let Some(found) = self.instances.get_mut(instance) {
            found.disks.push(attached);
            found.fingerprint = self.chance.fingerprint();
        }
        told.push(Happening::Attached { disk: name.to_owned(), instance: instance.to_owned() });
        told.into_iter().for_each(|told| self.note(told, at));
        Outcome::Succeeds
    }

    pub(super) fn detach(&mut self, instance: &str, device: &str, at: Timestamp) -> Outcome {
        let Some(found) = self.instances.get_mut(instance) else { return Outcome::Succeeds };
        let Some(position) = found.disks.iter().position(|attached| attached.device == device) else {
            return Outcome::Fails(OperationError::device_not_found(device));
        };
        let attached = found.disks.remove(position);
        found.fingerprint = self.chance.fingerprint();
        if let Some(disk) = self.disks.get_mut(&attached.disk) {
            disk.users.remove(instance);
            disk.detached = Some(at);
        }
        self.note(Happening::Detached { disk: attached.disk, instance: instance.to_owned() }, at);
        Outcome::Succeeds
    }
}
