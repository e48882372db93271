//! What a look at an instance says, and what silence says. Which of Google's states means what for us.

use std::collections::BTreeSet;
use std::time::Duration;

use domain::{InstanceSeen, InstanceStatus, Placement, UpInstance};
use google_cloud_compute_v1::model::instance::Status;
use google_cloud_compute_v1::model::{AttachedDisk, Instance};
use google_cloud_gax::error::Error;
use google_cloud_gax::retry_policy::{Aip194Strict, RetryPolicy, RetryPolicyArg, RetryPolicyExt as _};
use google_cloud_gax::retry_result::RetryResult;
use google_cloud_gax::retry_state::RetryState;

use super::WORKSPACE_LABEL;
use super::google_errors::is_silence;

/// A read that fails is tried so often.
const READ_ATTEMPTS_MAX: u32 = 3;
/// One read with all its attempts.
const READ_LIMIT: Duration = Duration::from_secs(10);

/// How a look at one instance went.
#[derive(Debug)]
pub(super) enum Look {
    Seen(InstanceSeen),
    Silence(anyhow::Error),
}

/// A zone is silent where nobody answers for any of its instances while another zone answers. A silence beside an answer
/// from the same zone, or all around us, is a failed look: it says nothing about a zone.
pub(super) fn judge(looks: Vec<Look>, placements: &[Placement]) -> anyhow::Result<Vec<InstanceSeen>> {
    let looked = looks.iter().zip(placements);
    let answers = looked.filter(|(look, _)| matches!(look, Look::Seen(_))).map(|(_, place)| place.zone.as_str());
    let answering: BTreeSet<&str> = answers.collect();
    let each = looks.into_iter().zip(placements).map(|(look, place)| match look {
        Look::Seen(seen) => Ok(seen),
        Look::Silence(error) if answering.is_empty() || answering.contains(place.zone.as_str()) => Err(error),
        Look::Silence(error) => {
            tracing::warn!(
                instance = place.instance,
                zone = place.zone,
                error = format!("{error:#}"),
                "zone is silent"
            );
            Ok(unseen(&place.instance, InstanceStatus::Unreachable))
        }
    });
    each.collect()
}

/// What Google's rule for reads repeats, and every other silence: one of them says nothing about a zone.
#[derive(Debug)]
struct RepeatSilence;

impl RetryPolicy for RepeatSilence {
    fn on_error(&self, state: &RetryState, error: Error) -> RetryResult {
        if is_silence(&error) { RetryResult::Continue(error) } else { Aip194Strict.on_error(state, error) }
    }
}

pub(super) fn read_policy() -> RetryPolicyArg {
    RepeatSilence.with_attempt_limit(READ_ATTEMPTS_MAX).with_time_limit(READ_LIMIT).into()
}

/// Nothing is known of it but its status.
pub(super) fn unseen(instance: &str, status: InstanceStatus) -> InstanceSeen {
    InstanceSeen { instance: instance.to_owned(), status, instance_id: 0, has_disk: false }
}

pub(super) fn seen(name: &str, instance: &Instance, disk: Option<&str>) -> InstanceSeen {
    InstanceSeen {
        instance: name.to_owned(),
        status: status_of(instance),
        instance_id: instance.id.unwrap_or_default(),
        has_disk: disk.is_some_and(|disk| instance.disks.iter().any(|attached| is_data_disk(attached, disk))),
    }
}

/// The boot disk often bears the instance's name, and is never the data disk.
pub(super) fn is_data_disk(attached: &AttachedDisk, disk: &str) -> bool {
    let name = attached.source.as_deref().and_then(|source| source.rsplit('/').next());
    attached.boot != Some(true) && name == Some(disk)
}

/// Google's states are an open list: what we do not know is on its way to somewhere.
pub(super) fn status_of(instance: &Instance) -> InstanceStatus {
    match &instance.status {
        Some(Status::Running) => InstanceStatus::Running,
        Some(Status::Pending | Status::Provisioning | Status::Staging) => InstanceStatus::ComingUp,
        Some(Status::Terminated | Status::Stopped | Status::Suspended) => InstanceStatus::Down,
        _ => InstanceStatus::InTransition,
    }
}

pub(super) fn up_instance(instance: Instance) -> Option<UpInstance> {
    if !status_of(&instance).is_up() {
        return None;
    }
    Some(UpInstance {
        workspace: instance.labels.get(WORKSPACE_LABEL)?.clone(),
        zone: instance.zone?.rsplit('/').next()?.to_owned(),
        instance: instance.name?,
    })
}
