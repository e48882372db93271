//! What happens to an instance without anybody asking for it.

use std::fmt;
use std::time::Duration;

use domain::Timestamp;

use super::Cloud;
use super::power::Change;
use crate::happening::Happening;
use crate::instance::Status;
use crate::moments::after;

/// Why something could not be made to happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultRefused {
    /// No instance has this name.
    UnknownInstance,
    /// No zone has this name.
    UnknownZone,
    /// It happens only to a RUNNING instance.
    NotRunning,
}

impl fmt::Display for FaultRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnknownInstance => "no instance has this name",
            Self::UnknownZone => "no zone has this name",
            Self::NotRunning => "this happens only to a running instance",
        })
    }
}

impl std::error::Error for FaultRefused {}

impl Cloud {
    /// Compute Engine wants the machine back: `preempted` turns TRUE now, the instance stops when the window is over.
    ///
    /// Not only for Spot, although only Spot is preempted: what follows is the same, and it is what one wants to see.
    pub(crate) fn preempt(&mut self, name: &str, now: Timestamp) -> Result<(), FaultRefused> {
        self.check_running(name)?;
        if let Some(instance) = self.instances.get_mut(name) {
            instance.preempted = true;
        }
        self.note(Happening::Announced { instance: name.to_owned() }, now);
        self.write_down(name, after(now, self.config.timings.preempt_window), Change::IsPreempted);
        Ok(())
    }

    /// The guest switched itself off.
    pub(crate) fn guest_powers_off(&mut self, name: &str, now: Timestamp) -> Result<(), FaultRefused> {
        self.check_running(name)?;
        let message = Some("Instance terminated by guest OS shutdown.");
        self.system_stops(name, "compute.instances.guestTerminate", message, Duration::ZERO, now);
        Ok(())
    }

    /// The host broke: no grace for the guest, and, if it may, the instance is started again.
    pub(crate) fn host_fails(&mut self, name: &str, now: Timestamp) -> Result<(), FaultRefused> {
        self.check_running(name)?;
        let message = Some("Instance terminated by Compute Engine.");
        self.system_stops(name, "compute.instances.hostError", message, Duration::ZERO, now);
        if let Some(instance) = self.instances.get_mut(name).filter(|instance| instance.scheduling.automatic_restart) {
            instance.restart_due = true;
            let timings = &self.config.timings;
            let at = after(now, timings.stopping + timings.automatic_restart_after);
            self.write_down(name, at, Change::Restarts);
        }
        Ok(())
    }

    /// Shows another word than the instance's true status, until told otherwise.
    pub(crate) fn show_status(&mut self, name: &str, word: Option<String>) -> Result<(), FaultRefused> {
        self.version += 1;
        let instance = self.instances.get_mut(name).ok_or(FaultRefused::UnknownInstance)?;
        instance.shown_status = word;
        Ok(())
    }

    fn check_running(&mut self, name: &str) -> Result<(), FaultRefused> {
        let instance = self.instances.get(name).ok_or(FaultRefused::UnknownInstance)?;
        self.version += 1;
        if instance.status == Status::Running { Ok(()) } else { Err(FaultRefused::NotRunning) }
    }
}
