//! What the reaper repairs: records whose time has come, and machines that no record wants.

use crate::idleness::due_at;
use crate::record::Record;
use crate::time::Timestamp;
use crate::workspace::{Policy, WorkspaceId};

/// A labelled instance that is up, as one listing told.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UpInstance {
    /// The workspace its label names.
    pub workspace: String,
    pub instance: String,
    pub zone: String,
}

/// One repair. Each is safe to make twice.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Repair {
    /// Tell the record that time has passed, and nudge the worker where that asks for it.
    Settle { workspace: WorkspaceId },
    /// A machine is up that its record does not want there: the worker must look.
    Nudge { workspace: WorkspaceId, instance: String },
    /// A machine is up that belongs to no workspace we know: stop it.
    StopUnknown { instance: String, zone: String },
}

/// Plans the repairs of one sweep.
///
/// `due` are the records that a query found due; `up` every labelled instance that is up; `known` gives the record and
/// the policy of a workspace that is declared, read for those that have an instance up.
pub fn plan<'a>(
    due: impl IntoIterator<Item = (&'a WorkspaceId, &'a Record, &'a Policy)>,
    up: &[UpInstance],
    known: impl Fn(&str) -> Option<(&'a WorkspaceId, &'a Record)>,
    now: Timestamp,
) -> Vec<Repair> {
    let mut repairs: Vec<Repair> = due
        .into_iter()
        .filter(|(_, record, policy)| due_at(record, policy).is_some_and(|at| at <= now))
        .map(|(id, ..)| Repair::Settle { workspace: id.clone() })
        .collect();
    repairs.extend(up.iter().filter_map(|instance| match known(&instance.workspace) {
        None => Some(Repair::StopUnknown { instance: instance.instance.clone(), zone: instance.zone.clone() }),
        Some((_, record)) if wanted(record, instance) => None,
        Some((id, _)) => Some(Repair::Nudge { workspace: id.clone(), instance: instance.instance.clone() }),
    }));
    repairs
}

/// The record wants this very instance up, or is already taking it down.
fn wanted(record: &Record, instance: &UpInstance) -> bool {
    record.phase.expects_machine() && record.placement.as_ref() == Some(&instance.instance)
}
