//! How long a run was in each of its phases.

use crate::record::Phase;
use crate::time::Seconds;

/// Time of a run by phase. The parts add up to what the run has lasted, to the second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct PhaseTimes {
    pub placing: Seconds,
    pub booting: Seconds,
    pub ready: Seconds,
    pub draining: Seconds,
    pub stopping: Seconds,
}

impl PhaseTimes {
    /// The sum of the parts.
    pub fn total(self) -> Seconds {
        self.placing + self.booting + self.ready + self.draining + self.stopping
    }

    /// The same times when the run has lasted `lasted`, what is new of it in `phase`.
    ///
    /// Reckoned from the whole and not from when the phase began, so that no part of a second is lost at a turn.
    pub(crate) fn until(mut self, lasted: Seconds, phase: Phase) -> Self {
        let known = self.total();
        if let Some(part) = self.part(phase) {
            *part += Seconds(lasted.0.saturating_sub(known.0));
        }
        // A clock behind the one that told of the last turn: what was told too much is taken back, the latest first.
        let mut excess = known.0.saturating_sub(lasted.0);
        for part in [&mut self.stopping, &mut self.draining, &mut self.ready, &mut self.booting, &mut self.placing] {
            let back = part.0.min(excess);
            part.0 -= back;
            excess -= back;
        }
        self
    }

    fn part(&mut self, phase: Phase) -> Option<&mut Seconds> {
        match phase {
            Phase::Placing => Some(&mut self.placing),
            Phase::Booting => Some(&mut self.booting),
            Phase::Ready => Some(&mut self.ready),
            Phase::Draining => Some(&mut self.draining),
            Phase::Stopping => Some(&mut self.stopping),
            Phase::Stopped | Phase::Failed => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_behind_takes_back_what_was_told_last() {
        let told = PhaseTimes { placing: Seconds(30), booting: Seconds(5), ..PhaseTimes::default() };
        let told = told.until(Seconds(28), Phase::Ready);
        assert_eq!(told, PhaseTimes { placing: Seconds(28), ..PhaseTimes::default() });
        let on = told.until(Seconds(40), Phase::Ready);
        assert_eq!(on, PhaseTimes { placing: Seconds(28), ready: Seconds(12), ..PhaseTimes::default() });
    }
}
