//! Compute Engine by Google's own client. What its errors mean stands in `google_errors`, what it shows of an instance in
//! `google_looks`.
//!
//! Nothing is connected before the first call: building the clients takes longer than the rest of a cold start.

use std::time::Duration;

use anyhow::{Context as _, bail};
use async_trait::async_trait;
use domain::{
    Action, InstanceSeen, InstanceStatus, OperationError, OperationErrorKind, Placement, UpInstance, Workspace,
};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use google_cloud_auth::credentials::{self, Credentials};
use google_cloud_compute_v1::client::{Instances, ZoneOperations};
use google_cloud_compute_v1::model::{AttachedDisk, Instance, Operation};
use google_cloud_gax::Result as CallResult;
use google_cloud_gax::exponential_backoff::{ExponentialBackoff, ExponentialBackoffBuilder};
use google_cloud_gax::options::RequestOptionsBuilder as _;
use google_cloud_gax::retry_policy::NeverRetry;
use tokio::sync::OnceCell;
use tokio::time::Instant;
use uuid::Uuid;

use super::google_errors::{is_not_found, is_silence, of_call, of_operation};
use super::google_looks::{Look, is_data_disk, judge, read_policy, seen, unseen, up_instance};
use super::{CallError, CallRequest, Compute, OperationState, WORKSPACE_LABEL};

/// Name under which an instance knows a disk that we attach: `/dev/disk/by-id/google-pilotlight-data`.
pub const DATA_DEVICE: &str = "pilotlight-data";

/// Placements looked at side by side; a workspace has two or three.
const LOOKS_AT_ONCE: usize = 8;
/// Instances on a page of the list; Compute Engine's own maximum.
const LIST_PAGE: u32 = 500;
/// Pages of the list; a project with more instances *of ours* is a fault to look at.
const LIST_PAGES_MAX: usize = 20;
/// One attempt at a read or a call.
const ATTEMPT_LIMIT: Duration = Duration::from_secs(5);
/// A call that is not answered is sent so often, under the same request id.
const CALL_ATTEMPTS_MAX: u32 = 3;
/// Between two attempts, doubled each time.
const RETRY_AFTER: Duration = Duration::from_millis(250);
const RETRY_AFTER_MAX: Duration = Duration::from_secs(2);

/// Which project, and how it is reached.
#[derive(Clone, Debug)]
pub struct GoogleComputeConfig {
    pub project: String,
    /// Where the API is, such as `http://127.0.0.1:4000` (the path `/compute/v1/…` is the client's); Google's own if absent.
    pub endpoint: Option<String>,
    /// Send no credentials: for an emulator.
    pub anonymous: bool,
    /// One call with all its attempts, in the machine's own time; at most the policy's `call_limit`.
    pub call_limit: Duration,
}

/// See the module.
#[derive(Debug)]
pub struct GoogleCompute {
    config: GoogleComputeConfig,
    clients: OnceCell<Clients>,
}

#[derive(Debug)]
struct Clients {
    instances: Instances,
    operations: ZoneOperations,
}

impl GoogleCompute {
    /// Connects to nothing yet.
    pub fn new(config: GoogleComputeConfig) -> Self {
        Self { config, clients: OnceCell::new() }
    }

    async fn clients(&self) -> anyhow::Result<&Clients> {
        self.clients.get_or_try_init(|| connect(&self.config)).await
    }

    async fn instances(&self) -> Result<&Instances, CallError> {
        // Nothing was sent, but nobody loses by waiting as if it had been.
        Ok(&self.clients().await.map_err(CallError::Unanswered)?.instances)
    }

    async fn see_one(&self, placement: &Placement, disk: Option<&str>) -> anyhow::Result<Look> {
        let Placement { instance, zone, .. } = placement;
        let looking = || format!("looking at instance {instance} in {zone}");
        match self.get(self.clients().await?, placement).await {
            Ok(found) => Ok(Look::Seen(seen(instance, &found, disk))),
            Err(error) if is_not_found(&error) => Ok(Look::Seen(unseen(instance, InstanceStatus::Missing))),
            Err(error) if is_silence(&error) => Ok(Look::Silence(anyhow::Error::new(error).context(looking()))),
            Err(error) => Err(error).with_context(looking),
        }
    }

    async fn get(&self, clients: &Clients, placement: &Placement) -> CallResult<Instance> {
        let get = clients.instances.get().set_project(&self.config.project);
        let get = get.set_zone(&placement.zone).set_instance(&placement.instance);
        get.with_retry_policy(read_policy()).with_idempotency(true).send().await
    }

    async fn stop(&self, zone: &str, instance: &str, request_id: Uuid) -> Result<String, CallError> {
        let stop = self.instances().await?.stop();
        let stop = stop.set_project(&self.config.project).set_zone(zone).set_instance(instance);
        let stop = stop.set_request_id(request_id.to_string());
        self.accepted(|| stop.clone().send()).await
    }

    async fn start(&self, zone: &str, instance: &str, request_id: Uuid) -> Result<String, CallError> {
        let start = self.instances().await?.start();
        let start = start.set_project(&self.config.project).set_zone(zone).set_instance(instance);
        let start = start.set_request_id(request_id.to_string());
        self.accepted(|| start.clone().send()).await
    }

    /// By force, the disk is taken from whoever has it; that a regional disk alone allows, and ours is named as one.
    async fn attach(&self, place: &Placement, disk: &str, force: bool, id: Uuid) -> Result<String, CallError> {
        let Placement { instance, zone, .. } = place;
        let source = format!("projects/{}/regions/{}/disks/{disk}", self.config.project, region_of(zone));
        let body = AttachedDisk::new().set_source(source).set_device_name(DATA_DEVICE).set_auto_delete(false);
        let attach = self.instances().await?.attach_disk();
        let attach = attach.set_project(&self.config.project).set_zone(zone).set_instance(instance).set_body(body);
        let attach = attach.set_request_id(id.to_string()).set_or_clear_force_attach(force.then_some(true));
        self.accepted(|| attach.clone().send()).await
    }

    /// A disk is detached by the name under which its instance knows it, whoever has attached it.
    async fn detach(&self, place: &Placement, disk: &str, request_id: Uuid) -> Result<String, CallError> {
        let Placement { instance, zone, .. } = place;
        let found = self.get(self.clients().await.map_err(CallError::Unanswered)?, place).await.map_err(of_call)?;
        let Some(attached) = found.disks.into_iter().find(|attached| is_data_disk(attached, disk)) else {
            return Err(refused(OperationErrorKind::Refused, format!("the disk {disk} is not attached to {instance}")));
        };
        let detach = self.instances().await?.detach_disk();
        let detach = detach.set_project(&self.config.project).set_zone(zone).set_instance(instance);
        let device = attached.device_name.unwrap_or_else(|| DATA_DEVICE.to_owned());
        let detach = detach.set_device_name(device).set_request_id(request_id.to_string());
        self.accepted(|| detach.clone().send()).await
    }

    async fn make(&self, request: CallRequest<'_>) -> Result<String, CallError> {
        let CallRequest { workspace, action, request_id } = request;
        let instance = action.instance();
        let Some(placement) = workspace.placement(instance) else {
            return Err(refused(
                OperationErrorKind::NotFound,
                format!("{instance} is no placement of {}", workspace.id),
            ));
        };
        let zone = &placement.zone;
        match (action, &workspace.disk) {
            (Action::StartInstance { .. }, _) => self.start(zone, instance, request_id).await,
            (Action::StopInstance { .. }, _) => self.stop(zone, instance, request_id).await,
            (Action::DetachDisk { .. }, Some(disk)) => self.detach(placement, disk, request_id).await,
            (Action::AttachDisk { .. }, Some(disk)) => self.attach(placement, disk, false, request_id).await,
            (Action::ForceAttachDisk { .. }, Some(disk)) => self.attach(placement, disk, true, request_id).await,
            (Action::DetachDisk { .. } | Action::AttachDisk { .. } | Action::ForceAttachDisk { .. }, None) => {
                Err(refused(OperationErrorKind::NotFound, format!("{} declares no disk", workspace.id)))
            }
        }
    }

    /// Sends a call until it is answered, within the limits; gives the name of the accepted operation.
    ///
    /// After an attempt without an answer even a refusal is no proof that nothing has happened.
    async fn accepted<F>(&self, send: impl Fn() -> F) -> Result<String, CallError>
    where
        F: Future<Output = CallResult<Operation>>,
    {
        let deadline = Instant::now() + self.config.call_limit;
        let mut pause = RETRY_AFTER;
        let mut unanswered: Option<anyhow::Error> = None;
        for attempt in 0..CALL_ATTEMPTS_MAX {
            if attempt > 0 {
                if Instant::now() + pause >= deadline {
                    break;
                }
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(RETRY_AFTER_MAX);
            }
            let until = deadline.min(Instant::now() + ATTEMPT_LIMIT);
            let answer = match tokio::time::timeout_at(until, send()).await {
                Ok(Ok(operation)) => return name_of(operation),
                Ok(Err(error)) => of_call(error),
                Err(_) => CallError::Unanswered(anyhow::anyhow!("no answer within its time limit")),
            };
            match answer {
                CallError::Refused(error) if unanswered.is_none() => return Err(CallError::Refused(error)),
                CallError::Refused(error) => unanswered = Some(anyhow::anyhow!("then refused: {}", error.detail)),
                CallError::Unanswered(error) => unanswered = Some(error),
            }
        }
        Err(CallError::Unanswered(unanswered.unwrap_or_else(|| anyhow::anyhow!("no time was left for an attempt"))))
    }
}

#[async_trait]
impl Compute for GoogleCompute {
    async fn see(&self, workspace: &Workspace) -> anyhow::Result<Vec<InstanceSeen>> {
        let disk = workspace.disk.as_deref();
        let looks: Vec<_> = workspace.placements.iter().map(|placement| self.see_one(placement, disk)).collect();
        let looks: Vec<Look> = stream::iter(looks).buffered(LOOKS_AT_ONCE).try_collect().await?;
        judge(looks, &workspace.placements)
    }

    async fn list_up(&self) -> anyhow::Result<Vec<UpInstance>> {
        let list = self.clients().await?.instances.aggregated_list();
        let list = list.set_project(&self.config.project).set_filter(format!("labels.{WORKSPACE_LABEL}:*"));
        let list = list.set_max_results(LIST_PAGE).with_retry_policy(read_policy()).with_idempotency(true);
        let mut up = Vec::new();
        let mut token = None;
        for _ in 0..LIST_PAGES_MAX {
            let page = list.clone().set_or_clear_page_token(token.take()).send().await;
            let page = page.context("listing the instances of the project")?;
            up.extend(page.items.into_values().flat_map(|zone| zone.instances).filter_map(up_instance));
            match page.next_page_token.filter(|token| !token.is_empty()) {
                Some(next) => token = Some(next),
                None => {
                    up.sort_by(|one, other| one.instance.cmp(&other.instance));
                    return Ok(up);
                }
            }
        }
        bail!("the list of instances has more than {LIST_PAGES_MAX} pages")
    }

    async fn call(&self, request: CallRequest<'_>) -> Result<String, CallError> {
        // Looking up what to detach is part of the call: after its limit nothing of it may be sent any more.
        match tokio::time::timeout(self.config.call_limit, self.make(request)).await {
            Ok(answer) => answer,
            Err(_) => Err(CallError::Unanswered(anyhow::anyhow!("no answer within {:?}", self.config.call_limit))),
        }
    }

    async fn operation(&self, zone: &str, operation: &str) -> anyhow::Result<OperationState> {
        let get = self.clients().await?.operations.get();
        let get = get.set_project(&self.config.project).set_zone(zone).set_operation(operation);
        match get.with_retry_policy(read_policy()).with_idempotency(true).send().await {
            Ok(operation) => Ok(of_operation(&operation)),
            // Compute Engine forgets an operation some days after its end.
            Err(error) if is_not_found(&error) => Ok(OperationState::Done),
            Err(error) => Err(error).with_context(|| format!("looking at operation {operation} in {zone}")),
        }
    }

    async fn stop_unknown(&self, instance: &UpInstance, request_id: Uuid) -> Result<String, CallError> {
        self.stop(&instance.zone, &instance.instance, request_id).await
    }
}

async fn connect(config: &GoogleComputeConfig) -> anyhow::Result<Clients> {
    let credentials = credentials(config)?;
    let mut instances = Instances::builder().with_credentials(credentials.clone());
    let mut operations = ZoneOperations::builder().with_credentials(credentials);
    if let Some(endpoint) = &config.endpoint {
        instances = instances.with_endpoint(endpoint);
        operations = operations.with_endpoint(endpoint);
    }
    // Calls are repeated here, under one time limit, and not a second time inside the client.
    let instances = instances.with_retry_policy(NeverRetry).with_backoff_policy(backoff());
    let operations = operations.with_retry_policy(NeverRetry).with_backoff_policy(backoff());
    Ok(Clients {
        instances: instances.with_attempt_timeout(ATTEMPT_LIMIT).build().await.context("the client for instances")?,
        operations: operations
            .with_attempt_timeout(ATTEMPT_LIMIT)
            .build()
            .await
            .context("the client for operations")?,
    })
}

fn credentials(config: &GoogleComputeConfig) -> anyhow::Result<Credentials> {
    if config.anonymous {
        return Ok(credentials::anonymous::Builder::new().build());
    }
    // Named, the universe domain need not be asked from the metadata server at each cold start.
    let builder = credentials::Builder::default().with_universe_domain("googleapis.com");
    builder.build().context("application default credentials")
}

fn backoff() -> ExponentialBackoff {
    let builder = ExponentialBackoffBuilder::new().with_initial_delay(RETRY_AFTER).with_maximum_delay(RETRY_AFTER_MAX);
    builder.clamp()
}

fn name_of(operation: Operation) -> Result<String, CallError> {
    operation.name.ok_or_else(|| CallError::Unanswered(anyhow::anyhow!("the accepted operation has no name")))
}

fn refused(kind: OperationErrorKind, detail: String) -> CallError {
    CallError::Refused(OperationError { kind, detail, zones: Vec::new() })
}

/// A zone's region is what stands before its last dash.
fn region_of(zone: &str) -> &str {
    zone.rsplit_once('-').map_or(zone, |(region, _)| region)
}

#[cfg(test)]
#[path = "google_tests.rs"]
mod tests;
