use domain::OperationErrorKind;

use super::*;
use crate::compute::request_id;
use crate::contract::compute::{ComputeHarness, compute_contract, compute_contract_workspace};

#[derive(Debug)]
struct Harness(FakeCompute);

#[async_trait]
impl ComputeHarness for Harness {
    fn compute(&self) -> &dyn Compute {
        &self.0
    }

    async fn settle(&self) {
        self.0.settle();
    }

    async fn set_dry(&self, zone: &str, dry: bool) {
        self.0.set_dry(zone, dry);
    }

    async fn set_late(&self, zone: &str, late: bool) {
        self.0.set_late(zone, late);
    }

    async fn set_gone(&self, zone: &str, gone: bool) {
        self.0.set_gone(zone, gone);
    }
}

fn fake() -> FakeCompute {
    FakeCompute::holding(&[compute_contract_workspace()])
}

async fn start(fake: &FakeCompute, sequence: u32) -> Result<String, CallError> {
    let workspace = compute_contract_workspace();
    let action = Action::StartInstance { instance: "comfyui-main-a".into() };
    let request_id = request_id(&workspace.id, 1, sequence);
    fake.call(CallRequest { workspace: &workspace, action: &action, request_id }).await
}

#[tokio::test]
async fn the_fake_keeps_the_contract() {
    compute_contract(async || Harness(fake())).await;
}

#[tokio::test]
async fn troubles_happen_once_and_in_the_order_of_the_script() {
    let fake = fake();
    let refused = OperationError { kind: OperationErrorKind::Permission, detail: "no".into(), zones: Vec::new() };
    fake.trouble_next_call(Trouble::LoseRequest);
    fake.trouble_next_call(Trouble::LoseAnswer);
    fake.trouble_next_call(Trouble::Refuse(refused.clone()));
    assert!(matches!(start(&fake, 1).await, Err(CallError::Unanswered(_))));
    assert_eq!(fake.calls(), [], "the request was lost");
    assert!(matches!(start(&fake, 1).await, Err(CallError::Unanswered(_))));
    assert_eq!(fake.actions().len(), 1, "the answer was lost");
    assert!(matches!(start(&fake, 2).await, Err(CallError::Refused(error)) if error == refused));
    let operation = start(&fake, 1).await.unwrap();
    assert_eq!(fake.operation("us-central1-a", &operation).await.unwrap(), OperationState::Pending);
    let ids: Vec<Uuid> = fake.calls().iter().map(|call| call.request_id).collect();
    assert!(ids[0] == ids[2] && ids[0] != ids[1], "{ids:?}");
}

#[tokio::test]
async fn an_operation_can_be_made_to_fail() {
    let fake = fake();
    let quota =
        OperationError { kind: OperationErrorKind::Quota, detail: "Limit: 0.0 globally.".into(), zones: Vec::new() };
    fake.trouble_next_call(Trouble::FailOperation(quota.clone()));
    let operation = start(&fake, 1).await.unwrap();
    fake.settle();
    assert_eq!(fake.operation("us-central1-a", &operation).await.unwrap(), OperationState::Failed(quota));
    assert_eq!(fake.see(&compute_contract_workspace()).await.unwrap()[0].status, InstanceStatus::Down);
}

#[tokio::test]
async fn strays_are_listed_and_looks_can_fail() {
    let fake = fake();
    let stray = UpInstance { workspace: "gone".into(), instance: "old".into(), zone: "us-central1-c".into() };
    fake.add_stray(&stray, InstanceStatus::Running);
    fake.fail_looks(1);
    assert!(fake.list_up().await.is_err());
    assert_eq!(fake.list_up().await.unwrap(), [stray]);
}
