//! What was used.

use std::fmt;
use std::ops::Sub;

use domain::Seconds;
use platform::firestore::Usage;

/// Counts of what Google bills.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) minutes: u64,
    pub(crate) firestore: Usage,
    pub(crate) auth: u64,
    pub(crate) lifecycle: u64,
    pub(crate) reaper: u64,
    /// Of lifecycle's: what Pub/Sub has pushed, each published once.
    pub(crate) messages: u64,
    /// How long those were under way: the worker answers when it is done.
    pub(crate) worker: Seconds,
}

impl Sub for Tally {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self {
            minutes: self.minutes - before.minutes,
            firestore: self.firestore - before.firestore,
            auth: self.auth - before.auth,
            lifecycle: self.lifecycle - before.lifecycle,
            reaper: self.reaper - before.reaper,
            messages: self.messages - before.messages,
            worker: Seconds(self.worker.0 - before.worker.0),
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { minutes, firestore, auth, lifecycle, reaper, messages, worker } = self;
        let Usage { reads, writes, deletes, .. } = firestore;
        write!(
            f,
            "{minutes} min, {reads} documents read, {writes} written, {deletes} deleted; {} requests (auth {auth}, lifecycle \
             {lifecycle}, reaper {reaper}); {messages} messages; worker {} s",
            auth + lifecycle + reaper,
            worker.0
        )
    }
}
