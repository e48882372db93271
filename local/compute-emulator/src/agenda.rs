//! What is due, and when: the emulator's only notion of passing time.

use std::collections::BTreeMap;

use domain::Timestamp;

/// Things to do, in the order of their moments; things of one moment in the order they were written down.
#[derive(Debug)]
pub(crate) struct Agenda<T> {
    due: BTreeMap<(Timestamp, u64), T>,
    written: u64,
}

impl<T> Agenda<T> {
    pub(crate) fn new() -> Self {
        Self { due: BTreeMap::new(), written: 0 }
    }

    pub(crate) fn add(&mut self, at: Timestamp, what: T) {
        self.written += 1;
        self.due.insert((at, self.written), what);
    }

    /// The earliest moment at which something is due.
    pub(crate) fn next(&self) -> Option<Timestamp> {
        self.due.first_key_value().map(|((at, _), _)| *at)
    }

    /// Takes the earliest thing that is due by `now`, with the moment it was due at.
    pub(crate) fn take_due(&mut self, now: Timestamp) -> Option<(Timestamp, T)> {
        let entry = self.due.first_entry().filter(|entry| entry.key().0 <= now)?;
        let ((at, _), what) = entry.remove_entry();
        Some((at, what))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn things_come_in_order_and_not_before_they_are_due() {
        let mut agenda = Agenda::new();
        agenda.add(Timestamp::from_seconds(20), "late");
        agenda.add(Timestamp::from_seconds(10), "first");
        agenda.add(Timestamp::from_seconds(10), "second");
        let now = Timestamp::from_seconds(15);
        assert_eq!(agenda.take_due(now), Some((Timestamp::from_seconds(10), "first")));
        assert_eq!(agenda.take_due(now), Some((Timestamp::from_seconds(10), "second")));
        assert_eq!(agenda.take_due(now), None);
        assert_eq!(agenda.next(), Some(Timestamp::from_seconds(20)));
    }
}
