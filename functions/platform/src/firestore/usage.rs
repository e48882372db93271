//! What Firestore has been used for, counted as it bills.

use std::collections::BTreeSet;
use std::ops::Sub;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use firestore::gcloud_sdk::google::firestore::v1::Write;
use firestore::gcloud_sdk::google::firestore::v1::write::Operation;

/// What was used since the database was opened.
///
/// Counted by what was answered. A call whose answer was lost was perhaps billed, and is not in here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Documents read. Looking for a document that is not there is one read, and so is a query that finds nothing.
    pub reads: u64,
    /// Documents written.
    pub writes: u64,
    /// Documents deleted, those that were not there included.
    pub deletes: u64,
    /// Tries made after one that was answered with contention, or not at all.
    pub tries_again: u64,
}

impl Sub for Usage {
    type Output = Self;

    /// What was used after `earlier` was told.
    fn sub(self, earlier: Self) -> Self {
        Self {
            reads: self.reads - earlier.reads,
            writes: self.writes - earlier.writes,
            deletes: self.deletes - earlier.deletes,
            tries_again: self.tries_again - earlier.tries_again,
        }
    }
}

/// Counts.
#[derive(Debug, Default)]
pub(super) struct Meter {
    reads: AtomicU64,
    writes: AtomicU64,
    deletes: AtomicU64,
    tries_again: AtomicU64,
    calls: Mutex<BTreeSet<&'static str>>,
}

impl Meter {
    /// A call is about to be made; `call` is its name in `permissions.json`.
    pub(super) fn calls(&self, call: &'static str) {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).insert(call);
    }

    /// Every call that was made.
    pub(super) fn called(&self) -> BTreeSet<&'static str> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn usage(&self) -> Usage {
        Usage {
            reads: self.reads.load(Ordering::Relaxed),
            writes: self.writes.load(Ordering::Relaxed),
            deletes: self.deletes.load(Ordering::Relaxed),
            tries_again: self.tries_again.load(Ordering::Relaxed),
        }
    }

    /// A call has looked at `documents`.
    pub(super) fn read(&self, what: &str, documents: usize) {
        let reads = documents.max(1) as u64;
        self.reads.fetch_add(reads, Ordering::Relaxed);
        tracing::debug!(what, reads, "Firestore");
    }

    /// `writes` were made.
    pub(super) fn written(&self, what: &str, writes: &[Write]) {
        let deletes = writes.iter().filter(|write| is_deletion(write)).count() as u64;
        let writes = writes.len() as u64 - deletes;
        self.writes.fetch_add(writes, Ordering::Relaxed);
        self.deletes.fetch_add(deletes, Ordering::Relaxed);
        tracing::debug!(what, writes, deletes, "Firestore");
    }

    /// A call is about to be tried again.
    pub(super) fn tried_again(&self) {
        self.tries_again.fetch_add(1, Ordering::Relaxed);
    }
}

/// Deleting takes another right than writing.
pub(super) fn is_deletion(write: &Write) -> bool {
    matches!(write.operation, Some(Operation::Delete(_)))
}
