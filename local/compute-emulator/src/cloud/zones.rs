//! Zones that have no machine to give, that give it late, or that nobody answers for.

use std::time::Duration;

use super::Cloud;
use super::faults::FaultRefused;
use crate::error::CallError;
use crate::links::region_of;

/// What is wrong with a zone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ZoneFaults {
    /// Nothing is left for a start.
    pub stock_out: bool,
    /// A stock-out here is told so long after the start; [`crate::Timings::stockout_told_after`] where nothing is said.
    pub told_after: Option<Duration>,
    /// A start here is told as a stock-out, and its instance is RUNNING so long after that was told.
    pub late_success: Option<Duration>,
    /// Every call about the zone is answered with 503. What is in it goes on as it was.
    pub gone: bool,
}

impl ZoneFaults {
    /// A start here is told as a stock-out.
    pub(crate) fn is_told_dry(&self) -> bool {
        self.stock_out || self.late_success.is_some()
    }
}

impl Cloud {
    pub(crate) fn zone_faults(&self, zone: &str) -> ZoneFaults {
        self.zone_faults.get(zone).cloned().unwrap_or_default()
    }

    /// Changes what is wrong with a zone of the project.
    pub(crate) fn change_zone(&mut self, zone: &str, change: impl FnOnce(&mut ZoneFaults)) -> Result<(), FaultRefused> {
        self.check_zone(zone).map_err(|_| FaultRefused::UnknownZone)?;
        self.version += 1;
        change(self.zone_faults.entry(zone.to_owned()).or_default());
        Ok(())
    }

    /// Zones of which `fits` is true, by name.
    pub(crate) fn zones_where(&self, fits: impl Fn(&ZoneFaults) -> bool) -> Vec<String> {
        self.zone_faults.iter().filter(|(_, faults)| fits(faults)).map(|(zone, _)| zone.clone()).collect()
    }

    /// Zones of the same region that have machines, as far as Google would say.
    pub(super) fn zones_that_have(&self, zone: &str) -> Vec<String> {
        let has = |faults: &ZoneFaults| !faults.is_told_dry() && !faults.gone;
        let zones = self.config.zones.iter().filter(|other| region_of(other) == region_of(zone) && *other != zone);
        zones.filter(|other| has(&self.zone_faults(other))).cloned().collect()
    }

    /// Refuses a call about a zone that is gone. `path` is what follows the project: `/zones/Z/…`.
    pub(crate) fn check_reachable(&self, path: &str) -> Result<(), CallError> {
        let zone = path.strip_prefix("/zones/").and_then(|rest| rest.split('/').next());
        match zone {
            Some(zone) if self.is_gone(zone) => Err(CallError::unavailable()),
            _ => Ok(()),
        }
    }

    pub(crate) fn is_gone(&self, zone: &str) -> bool {
        self.zone_faults.get(zone).is_some_and(|faults| faults.gone)
    }
}
