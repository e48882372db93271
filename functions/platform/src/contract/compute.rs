//! What every [`Compute`] must do, whether the machines are in memory, in an emulator, or Google's.

use async_trait::async_trait;
use domain::{
    Action, Calendar, InstanceSeen, InstanceStatus, MicroUsd, OperationError, OperationErrorKind, Placement, Policy,
    UpInstance, Workspace, WorkspaceId,
};
use uuid::Uuid;

use crate::compute::{CallError, CallRequest, Compute, OperationState, request_id};

/// What the suite needs beside the trait: the hand that moves the machines.
#[async_trait]
pub trait ComputeHarness: Send + Sync {
    /// Holds the instances of [`compute_contract_workspace`], labelled with its name and TERMINATED, and its disk,
    /// attached to the first; nothing else.
    fn compute(&self) -> &dyn Compute;

    /// Lets everything under way come to its end.
    async fn settle(&self);

    /// Whether the zone has no machine to give.
    async fn set_dry(&self, zone: &str, dry: bool);

    /// Whether a start in the zone is told as a stock-out by one [`Self::settle`], and its instance comes up all the same
    /// by the next.
    async fn set_late(&self, zone: &str, late: bool);

    /// Whether nobody answers for the zone; what is in it stays as it is.
    async fn set_gone(&self, zone: &str, gone: bool);
}

/// The workspace that the suite plays with: two placements in two zones of one region, and a disk.
///
/// # Panics
/// Never: its name is a good one.
pub fn compute_contract_workspace() -> Workspace {
    let placement = |instance: &str, zone: &str| Placement {
        instance: instance.to_owned(),
        zone: zone.to_owned(),
        spot: false,
        machine_type: "g2-standard-4".to_owned(),
        accelerator: "nvidia-l4".to_owned(),
        usd_per_hour: MicroUsd(706_800),
        price_date: None,
        origin: "https://comfy.example.com".to_owned(),
    };
    Workspace {
        id: WorkspaceId::parse("main").expect("a good name"),
        title: "ComfyUI".to_owned(),
        members: None,
        placements: vec![placement("comfyui-main-a", "us-central1-a"), placement("comfyui-main-b", "us-central1-b")],
        disk: Some("comfyui-main-data".to_owned()),
        calendar: Calendar::default(),
        policy: Policy::default(),
    }
}

/// Holds an implementation to its contract. `new` makes one that nobody else uses, as [`ComputeHarness::compute`] says.
///
/// # Panics
/// When the contract is broken; the message says where.
pub async fn compute_contract<H: ComputeHarness + 'static>(new: impl AsyncFn() -> H) {
    let stage =
        async || Stage { harness: Box::new(new().await), workspace: compute_contract_workspace(), sequence: 0.into() };
    everything_begins_down(&stage().await).await;
    what_is_declared_and_not_there_is_missing(&stage().await).await;
    a_started_instance_runs_and_is_listed(&stage().await).await;
    a_repeated_request_is_the_same_operation(&stage().await).await;
    starting_what_runs_and_stopping_what_is_down_change_nothing(&stage().await).await;
    a_stopped_instance_is_down_and_starts_again_under_its_number(&stage().await).await;
    what_is_stopping_cannot_be_started_yet(&stage().await).await;
    a_stop_overtakes_a_start(&stage().await).await;
    a_dry_zone_is_told_by_the_operation_and_leaves_the_instance_down(&stage().await).await;
    a_stock_out_may_come_up_all_the_same(&stage().await).await;
    a_zone_that_does_not_answer_hides_what_is_in_it_and_nothing_else(&stage().await).await;
    what_all_zones_are_silent_about_is_no_look(&stage().await).await;
    the_disk_moves_by_detaching_and_attaching(&stage().await).await;
    the_disk_is_at_one_instance_at_a_time(&stage().await).await;
    the_disk_of_a_lost_zone_is_taken_by_force_alone(&stage().await).await;
    force_takes_what_nobody_holds_and_not_what_one_has(&stage().await).await;
    an_operation_that_nobody_remembers_is_over(&stage().await).await;
    an_instance_that_no_workspace_knows_is_stopped(&stage().await).await;
}

const A: &str = "comfyui-main-a";
const B: &str = "comfyui-main-b";
const ZONE_A: &str = "us-central1-a";
const ZONE_B: &str = "us-central1-b";

struct Stage {
    harness: Box<dyn ComputeHarness>,
    workspace: Workspace,
    sequence: std::sync::atomic::AtomicU32,
}

impl Stage {
    fn compute(&self) -> &dyn Compute {
        self.harness.compute()
    }

    fn new_id(&self) -> Uuid {
        request_id(&self.workspace.id, 1, self.sequence.fetch_add(1, std::sync::atomic::Ordering::Relaxed))
    }

    async fn call(&self, action: &Action, request_id: Uuid) -> Result<String, OperationError> {
        match self.compute().call(CallRequest { workspace: &self.workspace, action, request_id }).await {
            Ok(operation) => Ok(operation),
            Err(CallError::Refused(error)) => Err(error),
            Err(CallError::Unanswered(error)) => panic!("{action:?} was not answered: {error:#}"),
        }
    }

    /// Makes a call and lets it come to its end: refused at once, or by its operation.
    async fn carry_out(&self, action: Action) -> Result<(), OperationError> {
        let operation = self.call(&action, self.new_id()).await?;
        self.harness.settle().await;
        self.end_of(action.instance(), &operation).await
    }

    async fn end_of(&self, instance: &str, operation: &str) -> Result<(), OperationError> {
        let zone = &self.workspace.placement(instance).expect("a placement").zone;
        match self.compute().operation(zone, operation).await.expect("an operation") {
            OperationState::Done => Ok(()),
            OperationState::Failed(error) => Err(error),
            OperationState::Pending => panic!("{operation} is still pending though all was settled"),
        }
    }

    async fn see(&self, instance: &str) -> InstanceSeen {
        let seen = self.compute().see(&self.workspace).await.expect("a look");
        seen.into_iter().find(|seen| seen.instance == instance).expect("every placement is seen")
    }

    async fn up(&self) -> Vec<UpInstance> {
        self.compute().list_up().await.expect("a list")
    }
}

fn start(instance: &str) -> Action {
    Action::StartInstance { instance: instance.to_owned() }
}

fn stop(instance: &str) -> Action {
    Action::StopInstance { instance: instance.to_owned() }
}

fn kind(outcome: Result<(), OperationError>) -> OperationErrorKind {
    let error = outcome.expect_err("this must fail");
    assert!(!error.detail.is_empty(), "an error says why: {error:?}");
    error.kind
}

async fn everything_begins_down(stage: &Stage) {
    let seen = stage.compute().see(&stage.workspace).await.expect("a look");
    let told: Vec<_> = seen.iter().map(|seen| (seen.instance.as_str(), seen.status, seen.has_disk)).collect();
    assert_eq!(told, [(A, InstanceStatus::Down, true), (B, InstanceStatus::Down, false)], "in the order of placements");
    assert!(seen[0].instance_id != 0 && seen[0].instance_id != seen[1].instance_id, "{seen:?}");
    assert_eq!(stage.up().await, []);
}

async fn what_is_declared_and_not_there_is_missing(stage: &Stage) {
    let mut workspace = stage.workspace.clone();
    workspace.placements.push(Placement { instance: "comfyui-nowhere".to_owned(), ..workspace.placements[0].clone() });
    let seen = stage.compute().see(&workspace).await.expect("a look at what is not there is no failure");
    assert_eq!(seen[2].status, InstanceStatus::Missing);
    assert_eq!((seen[2].instance_id, seen[2].has_disk), (0, false));
    assert_eq!(seen[1].status, InstanceStatus::Down, "the others are seen");
    let request = CallRequest { workspace: &workspace, action: &start("comfyui-nowhere"), request_id: stage.new_id() };
    match stage.compute().call(request).await {
        Err(CallError::Refused(error)) => assert_eq!(error.kind, OperationErrorKind::NotFound),
        other => panic!("a start of nothing: {other:?}"),
    }
}

async fn a_started_instance_runs_and_is_listed(stage: &Stage) {
    let operation = stage.call(&start(A), stage.new_id()).await.expect("a start");
    assert!(stage.see(A).await.status.is_up(), "on its way up at once");
    stage.harness.settle().await;
    stage.end_of(A, &operation).await.expect("a good end");
    assert_eq!(stage.see(A).await.status, InstanceStatus::Running);
    assert_eq!(stage.see(B).await.status, InstanceStatus::Down);
    let listed = UpInstance { workspace: "main".into(), instance: A.into(), zone: "us-central1-a".into() };
    assert_eq!(stage.up().await, [listed]);
}

async fn a_repeated_request_is_the_same_operation(stage: &Stage) {
    let id = stage.new_id();
    let first = stage.call(&start(A), id).await.expect("a start");
    assert_eq!(stage.call(&start(A), id).await.expect("its repeat"), first);
    stage.harness.settle().await;
    assert_eq!(stage.call(&start(A), id).await.expect("a late repeat"), first);
    let other = stage.call(&start(A), stage.new_id()).await.expect("another start");
    assert_ne!(other, first);
}

async fn starting_what_runs_and_stopping_what_is_down_change_nothing(stage: &Stage) {
    stage.carry_out(stop(A)).await.expect("a stop of what is down");
    assert_eq!(stage.see(A).await.status, InstanceStatus::Down);
    stage.carry_out(start(A)).await.expect("a start");
    stage.carry_out(start(A)).await.expect("a start of what runs");
    assert_eq!(stage.see(A).await.status, InstanceStatus::Running);
}

async fn a_stopped_instance_is_down_and_starts_again_under_its_number(stage: &Stage) {
    let number = stage.see(A).await.instance_id;
    for _ in 0..2 {
        stage.carry_out(start(A)).await.expect("a start");
        stage.carry_out(stop(A)).await.expect("a stop");
        assert_eq!(stage.see(A).await.status, InstanceStatus::Down);
        assert_eq!(stage.up().await, []);
    }
    assert_eq!(stage.see(A).await.instance_id, number);
}

async fn what_is_stopping_cannot_be_started_yet(stage: &Stage) {
    stage.carry_out(start(A)).await.expect("a start");
    stage.call(&stop(A), stage.new_id()).await.expect("a stop");
    assert_eq!(stage.see(A).await.status, InstanceStatus::InTransition);
    assert_eq!(stage.up().await, [], "on its way down");
    assert_eq!(kind(stage.carry_out(start(A)).await), OperationErrorKind::Transient);
    stage.harness.settle().await;
    assert_eq!(stage.see(A).await.status, InstanceStatus::Down, "the refused start has left nothing behind");
}

async fn a_stop_overtakes_a_start(stage: &Stage) {
    stage.call(&start(A), stage.new_id()).await.expect("a start");
    stage.carry_out(stop(A)).await.expect("a stop while it comes up");
    assert_eq!(stage.see(A).await.status, InstanceStatus::Down);
}

async fn a_dry_zone_is_told_by_the_operation_and_leaves_the_instance_down(stage: &Stage) {
    stage.harness.set_dry(ZONE_A, true).await;
    let operation = stage.call(&start(A), stage.new_id()).await.expect("the call itself is accepted");
    stage.harness.settle().await;
    let told = stage.end_of(A, &operation).await.expect_err("no machine");
    assert_eq!(
        (told.kind, told.zones),
        (OperationErrorKind::StockOut, vec![ZONE_B.to_owned()]),
        "it names who has one"
    );
    assert_eq!(stage.see(A).await.status, InstanceStatus::Down);
    stage.carry_out(start(B)).await.expect("a start elsewhere");
    stage.harness.set_dry(ZONE_A, false).await;
    stage.carry_out(start(A)).await.expect("a start after the drought");
    assert_eq!(stage.see(A).await.status, InstanceStatus::Running);
    for zone in [ZONE_A, ZONE_B] {
        stage.harness.set_dry(zone, true).await;
    }
    stage.carry_out(stop(A)).await.expect("a stop");
    let told = stage.carry_out(start(A)).await.expect_err("no machine anywhere");
    assert_eq!((told.kind, told.zones), (OperationErrorKind::StockOut, vec![]), "nobody has one");
}

async fn a_stock_out_may_come_up_all_the_same(stage: &Stage) {
    stage.harness.set_late(ZONE_A, true).await;
    let operation = stage.call(&start(A), stage.new_id()).await.expect("a start");
    stage.harness.settle().await;
    let told = stage.end_of(A, &operation).await.expect_err("it is told as a stock-out");
    assert_eq!((told.kind, told.zones), (OperationErrorKind::StockOut, vec![ZONE_B.to_owned()]));
    stage.harness.settle().await;
    assert_eq!(stage.see(A).await.status, InstanceStatus::Running);
    let listed = UpInstance { workspace: "main".into(), instance: A.into(), zone: ZONE_A.into() };
    assert_eq!(stage.up().await, [listed]);
    stage.carry_out(stop(A)).await.expect("a stop of what nobody expected");
    assert_eq!(stage.see(A).await.status, InstanceStatus::Down);
    stage.harness.settle().await;
    assert_eq!(stage.see(A).await.status, InstanceStatus::Down, "it comes up once");
}

async fn a_zone_that_does_not_answer_hides_what_is_in_it_and_nothing_else(stage: &Stage) {
    let begun = stage.call(&start(A), stage.new_id()).await.expect("a start");
    stage.carry_out(start(B)).await.expect("another");
    stage.harness.set_gone(ZONE_A, true).await;
    let lost = stage.see(A).await;
    assert_eq!((lost.status, lost.has_disk), (InstanceStatus::Unreachable, false), "nobody knows how it is");
    assert_eq!(stage.see(B).await.status, InstanceStatus::Running, "the others are seen");
    let listed = UpInstance { workspace: "main".into(), instance: B.into(), zone: ZONE_B.into() };
    assert_eq!(stage.up().await, [listed]);
    let request = CallRequest { workspace: &stage.workspace, action: &stop(A), request_id: stage.new_id() };
    match stage.compute().call(request).await {
        Err(CallError::Unanswered(_)) => {}
        other => panic!("a call to nobody: {other:?}"),
    }
    assert!(stage.compute().operation(ZONE_A, &begun).await.is_err(), "nor does anybody know how it ended");
    stage.harness.set_gone(ZONE_A, false).await;
    let back = stage.see(A).await;
    assert_eq!((back.status, back.has_disk), (InstanceStatus::Running, true), "it was there all the while");
    stage.end_of(A, &begun).await.expect("a good end");
}

async fn what_all_zones_are_silent_about_is_no_look(stage: &Stage) {
    for zone in [ZONE_A, ZONE_B] {
        stage.harness.set_gone(zone, true).await;
    }
    assert!(stage.compute().see(&stage.workspace).await.is_err());
}

fn detach(instance: &str) -> Action {
    Action::DetachDisk { instance: instance.to_owned() }
}

fn attach(instance: &str) -> Action {
    Action::AttachDisk { instance: instance.to_owned() }
}

async fn the_disk_moves_by_detaching_and_attaching(stage: &Stage) {
    stage.carry_out(detach(A)).await.expect("the first half");
    assert!(!stage.see(A).await.has_disk && !stage.see(B).await.has_disk);
    stage.carry_out(attach(B)).await.expect("the second half");
    assert!(!stage.see(A).await.has_disk && stage.see(B).await.has_disk);
    stage.carry_out(start(B)).await.expect("a start with the disk");
    assert!(stage.see(B).await.has_disk);
}

async fn the_disk_is_at_one_instance_at_a_time(stage: &Stage) {
    assert_eq!(kind(stage.carry_out(attach(B)).await), OperationErrorKind::Refused);
    assert!(stage.see(A).await.has_disk && !stage.see(B).await.has_disk);
    assert_eq!(kind(stage.carry_out(detach(B)).await), OperationErrorKind::Refused);
    assert!(stage.see(A).await.has_disk);
}

fn force_attach(instance: &str) -> Action {
    Action::ForceAttachDisk { instance: instance.to_owned() }
}

async fn the_disk_of_a_lost_zone_is_taken_by_force_alone(stage: &Stage) {
    stage.harness.set_gone(ZONE_A, true).await;
    assert_eq!(kind(stage.carry_out(attach(B)).await), OperationErrorKind::Refused, "somebody has it");
    assert!(!stage.see(B).await.has_disk);
    let id = stage.new_id();
    let operation = stage.call(&force_attach(B), id).await.expect("force");
    assert_eq!(stage.call(&force_attach(B), id).await.expect("its repeat"), operation);
    stage.harness.settle().await;
    stage.end_of(B, &operation).await.expect("a good end");
    assert!(stage.see(B).await.has_disk);
    stage.harness.set_gone(ZONE_A, false).await;
    let back = stage.see(A).await;
    assert_eq!((back.status, back.has_disk), (InstanceStatus::Down, false), "one has it, and no other");
    stage.carry_out(start(B)).await.expect("a start with the disk");
    assert!(stage.see(B).await.has_disk);
}

async fn force_takes_what_nobody_holds_and_not_what_one_has(stage: &Stage) {
    assert_eq!(kind(stage.carry_out(force_attach(A)).await), OperationErrorKind::Refused, "it has it");
    assert!(stage.see(A).await.has_disk);
    stage.carry_out(detach(A)).await.expect("a detach");
    stage.carry_out(force_attach(B)).await.expect("an attach like any other");
    assert!(!stage.see(A).await.has_disk && stage.see(B).await.has_disk);
}

async fn an_operation_that_nobody_remembers_is_over(stage: &Stage) {
    let forgotten = "operation-1541671482827-57a245d1820f9-2973d419-0ab6aceb";
    let state = stage.compute().operation("us-central1-a", forgotten).await.expect("an answer");
    assert_eq!(state, OperationState::Done);
}

async fn an_instance_that_no_workspace_knows_is_stopped(stage: &Stage) {
    stage.carry_out(start(B)).await.expect("a start");
    let stray = stage.up().await.remove(0);
    let id = stage.new_id();
    let first = stage.compute().stop_unknown(&stray, id).await.expect("a stop");
    assert_eq!(stage.compute().stop_unknown(&stray, id).await.expect("its repeat"), first);
    stage.harness.settle().await;
    assert_eq!(stage.see(B).await.status, InstanceStatus::Down);
}
