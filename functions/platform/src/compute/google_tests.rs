//! What goes over the wire, against an endpoint on loopback that answers by a script. The contract is kept against the
//! emulator, beside the pocket cloud.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use axum::Json;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};

use super::*;
use crate::compute::google_looks::status_of;
use crate::compute::request_id;
use crate::contract::compute::compute_contract_workspace;

#[derive(Clone)]
enum Answer {
    Json(u16, Value),
    /// A proxy's page.
    Html(u16),
    Silence,
}

#[derive(Debug)]
struct Asked {
    line: String,
    query: Vec<(String, String)>,
    body: Value,
}

impl Asked {
    fn query(&self, name: &str) -> &str {
        self.query.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }
}

type Zones = Arc<Mutex<BTreeMap<&'static str, Answer>>>;

/// Answers one request after another; the last answer of the script is repeated.
struct Api {
    endpoint: String,
    zones: Zones,
    asked: Arc<Mutex<Vec<Asked>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Api {
    async fn answering(script: impl IntoIterator<Item = Answer>) -> Self {
        let script = Arc::new(Mutex::new(script.into_iter().collect::<VecDeque<_>>()));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let zones = Zones::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let router = axum::Router::new().fallback({
            let (asked, zones) = (asked.clone(), zones.clone());
            move |request: Request| answer(request, asked.clone(), script.clone(), zones.clone())
        });
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { endpoint, zones, asked, task }
    }

    /// Each zone, by the last letter of its name, always answers the same.
    async fn of_zones<const N: usize>(answers: [(&'static str, Answer); N]) -> Self {
        let api = Self::answering([Answer::Html(500)]).await;
        *api.zones.lock().unwrap() = answers.into_iter().collect();
        api
    }

    fn compute(&self) -> GoogleCompute {
        self.compute_within(Duration::from_secs(20))
    }

    fn compute_within(&self, call_limit: Duration) -> GoogleCompute {
        let endpoint = Some(self.endpoint.clone());
        GoogleCompute::new(GoogleComputeConfig { project: "p".into(), endpoint, anonymous: true, call_limit })
    }

    fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(
    request: Request,
    asked: Arc<Mutex<Vec<Asked>>>,
    script: Arc<Mutex<VecDeque<Answer>>>,
    zones: Zones,
) -> Response {
    let (parts, body) = request.into_parts();
    let url = reqwest::Url::parse(&format!("http://localhost{}", parts.uri)).unwrap();
    let body = axum::body::to_bytes(body, 100_000).await.unwrap();
    asked.lock().unwrap().push(Asked {
        line: format!("{} {}", parts.method, parts.uri.path()),
        query: url.query_pairs().into_owned().collect(),
        body: serde_json::from_slice(&body).unwrap_or_default(),
    });
    let of_zone = |(letter, answer): (&&str, &Answer)| {
        parts.uri.path().contains(&format!("/zones/us-central1-{letter}/")).then(|| answer.clone())
    };
    let of_zone = zones.lock().unwrap().iter().find_map(of_zone);
    let next = if let Some(answer) = of_zone {
        answer
    } else {
        let mut script = script.lock().unwrap();
        if script.len() > 1 { script.pop_front().unwrap() } else { script[0].clone() }
    };
    match next {
        Answer::Json(status, body) => (StatusCode::from_u16(status).unwrap(), Json(body)).into_response(),
        Answer::Html(status) => (StatusCode::from_u16(status).unwrap(), "<html>").into_response(),
        Answer::Silence => std::future::pending().await,
    }
}

fn operation() -> Answer {
    Answer::Json(200, json!({"name": "operation-1", "id": "7037452715874170068", "status": "PENDING"}))
}

fn refusal(status: u16, reason: &str) -> Answer {
    let body = json!({"error": {"code": status, "message": "no", "errors": [{"message": "no", "reason": reason}]}});
    Answer::Json(status, body)
}

fn start() -> Action {
    Action::StartInstance { instance: "comfyui-main-a".into() }
}

async fn call(compute: &GoogleCompute, action: Action) -> Result<String, CallError> {
    let workspace = compute_contract_workspace();
    let request_id = request_id(&workspace.id, 3, 1);
    compute.call(CallRequest { workspace: &workspace, action: &action, request_id }).await
}

fn instance(value: Value) -> Instance {
    serde_json::from_value(value).unwrap()
}

#[test]
fn states_that_we_do_not_know_are_in_transition() {
    let told = [
        ("PROVISIONING", InstanceStatus::ComingUp),
        ("STAGING", InstanceStatus::ComingUp),
        ("PENDING", InstanceStatus::ComingUp),
        ("RUNNING", InstanceStatus::Running),
        ("PENDING_STOP", InstanceStatus::InTransition),
        ("STOPPING", InstanceStatus::InTransition),
        ("SUSPENDING", InstanceStatus::InTransition),
        ("REPAIRING", InstanceStatus::InTransition),
        ("DEPROVISIONING", InstanceStatus::InTransition),
        ("DAYDREAMING", InstanceStatus::InTransition),
        ("TERMINATED", InstanceStatus::Down),
        ("STOPPED", InstanceStatus::Down),
        ("SUSPENDED", InstanceStatus::Down),
    ];
    for (status, expected) in told {
        assert_eq!(status_of(&instance(json!({"status": status}))), expected, "{status}");
    }
    assert_eq!(status_of(&instance(json!({}))), InstanceStatus::InTransition);
}

#[test]
fn the_data_disk_is_known_by_its_name_and_is_never_the_boot_disk() {
    let disk = |boot: bool, source: &str| json!({"boot": boot, "source": format!("https://www.googleapis.com/compute/v1/{source}")});
    let has = |disks: Value| seen("i", &instance(json!({"id": "5", "disks": disks})), Some("data")).has_disk;
    assert!(has(json!([disk(true, "projects/p/zones/z/disks/i"), disk(false, "projects/p/regions/r/disks/data")])));
    assert!(!has(json!([disk(true, "projects/p/zones/z/disks/data")])));
    assert!(!has(json!([disk(false, "projects/p/regions/r/disks/data2"), {"type": "SCRATCH"}])));
    let without = instance(json!({"disks": [{"type": "SCRATCH"}]}));
    assert!(!seen("i", &without, None).has_disk, "a scratch disk has no source, and a workspace may have no disk");
}

#[tokio::test]
async fn a_call_without_an_answer_is_repeated_under_the_same_request_id() {
    let api = Api::answering([refusal(503, "backendError"), operation()]).await;
    assert_eq!(call(&api.compute(), start()).await.unwrap(), "operation-1");
    let asked = api.asked();
    assert_eq!(asked.len(), 2);
    for request in &asked {
        assert_eq!(request.line, "POST /compute/v1/projects/p/zones/us-central1-a/instances/comfyui-main-a/start");
        let workspace = compute_contract_workspace();
        assert_eq!(request.query("requestId"), request_id(&workspace.id, 3, 1).to_string());
    }
}

#[tokio::test]
async fn a_refusal_is_final() {
    let api = Api::answering([refusal(400, "resourceNotReady")]).await;
    let refused = call(&api.compute(), start()).await;
    assert!(matches!(refused, Err(CallError::Refused(error)) if error.kind == OperationErrorKind::Transient));
    assert_eq!(api.asked().len(), 1);
}

#[tokio::test]
async fn a_refusal_after_silence_is_no_proof_that_nothing_happened() {
    let api = Api::answering([refusal(503, "backendError"), refusal(403, "rateLimitExceeded")]).await;
    let answer = call(&api.compute(), start()).await;
    assert!(matches!(answer, Err(CallError::Unanswered(_))), "{answer:?}");
    assert_eq!(api.asked().len(), CALL_ATTEMPTS_MAX as usize);
}

#[tokio::test]
async fn silence_ends_with_the_time_limit_of_the_call() {
    let api = Api::answering([Answer::Silence]).await;
    // Long enough to make the client and to ask, however busy the machine is.
    let answer = call(&api.compute_within(Duration::from_secs(2)), start()).await;
    assert!(matches!(answer, Err(CallError::Unanswered(_))), "{answer:?}");
    assert_eq!(api.asked().len(), 1, "no attempt is begun that could not be waited for");
}

#[tokio::test]
async fn nobody_at_home_is_unanswered_too() {
    let api = Api::answering([operation()]).await;
    api.task.abort();
    let gone = GoogleComputeConfig {
        project: "p".into(),
        endpoint: Some("http://127.0.0.1:1".into()),
        anonymous: true,
        call_limit: Duration::from_secs(5),
    };
    let answer = call(&GoogleCompute::new(gone), start()).await;
    assert!(matches!(answer, Err(CallError::Unanswered(_))), "{answer:?}");
}

#[tokio::test]
async fn the_disk_is_attached_by_its_regional_name_and_detached_as_its_instance_knows_it() {
    let source = "https://www.googleapis.com/compute/v1/projects/p/regions/us-central1/disks/comfyui-main-data";
    let holder = json!({"id": "7", "disks": [{"boot": true, "deviceName": "boot"}, {"source": source, "deviceName": "by-hand"}]});
    let bare = json!({"id": "8", "disks": []});
    let script = [operation(), Answer::Json(200, holder), operation(), Answer::Json(200, bare)];
    let api = Api::answering(script).await;
    let compute = api.compute();
    call(&compute, Action::AttachDisk { instance: "comfyui-main-b".into() }).await.unwrap();
    call(&compute, Action::DetachDisk { instance: "comfyui-main-a".into() }).await.unwrap();
    let nothing = call(&compute, Action::DetachDisk { instance: "comfyui-main-a".into() }).await;
    assert!(matches!(nothing, Err(CallError::Refused(error)) if error.detail.contains("not attached")));
    let asked = api.asked();
    let at = |method: &str, place: &str| format!("{method} /compute/v1/projects/p/zones/us-central1-{place}");
    assert_eq!(asked[0].line, at("POST", "b/instances/comfyui-main-b/attachDisk"));
    let body = json!({"source": "projects/p/regions/us-central1/disks/comfyui-main-data",
        "deviceName": DATA_DEVICE, "autoDelete": false});
    assert_eq!(asked[0].body, body);
    assert_eq!(asked[0].query("forceAttach"), "", "a disk is never torn from a machine");
    assert_eq!(asked[1].line, at("GET", "a/instances/comfyui-main-a"));
    assert_eq!(asked[2].line, at("POST", "a/instances/comfyui-main-a/detachDisk"));
    assert_eq!(asked[2].query("deviceName"), "by-hand", "as the instance knows it");
    assert_eq!(asked.len(), 4, "what is not attached is not detached");
}

#[tokio::test]
async fn by_force_the_disk_is_attached_though_another_has_it() {
    let api = Api::answering([operation()]).await;
    call(&api.compute(), Action::ForceAttachDisk { instance: "comfyui-main-b".into() }).await.unwrap();
    let asked = api.asked();
    assert_eq!(asked[0].line, "POST /compute/v1/projects/p/zones/us-central1-b/instances/comfyui-main-b/attachDisk");
    assert_eq!(asked[0].query("forceAttach"), "true");
    assert!(!asked[0].query("requestId").is_empty());
    let body = json!({"source": "projects/p/regions/us-central1/disks/comfyui-main-data",
        "deviceName": DATA_DEVICE, "autoDelete": false});
    assert_eq!(asked[0].body, body);
    assert_eq!(asked.len(), 1);
}

#[tokio::test]
async fn what_is_not_declared_is_not_called() {
    let api = Api::answering([operation()]).await;
    let compute = api.compute();
    let elsewhere = call(&compute, Action::StartInstance { instance: "somebody-elses".into() }).await;
    let mut workspace = compute_contract_workspace();
    workspace.disk = None;
    let action = Action::AttachDisk { instance: "comfyui-main-a".into() };
    let diskless = compute.call(CallRequest { workspace: &workspace, action: &action, request_id: Uuid::nil() }).await;
    for answer in [elsewhere, diskless] {
        assert!(matches!(answer, Err(CallError::Refused(error)) if error.kind == OperationErrorKind::NotFound));
    }
    assert_eq!(api.asked().len(), 0);
}

fn page(instances: Value, next: Option<&str>) -> Answer {
    let mut page = json!({"kind": "compute#instanceAggregatedList",
        "items": {"zones/us-central1-a": {"instances": instances}, "zones/us-central1-b": {"warning": {"code": "NO_RESULTS_ON_PAGE"}}}});
    if let Some(next) = next {
        page["nextPageToken"] = next.into();
    }
    Answer::Json(200, page)
}

fn listed(name: &str, status: &str) -> Value {
    json!({"name": name, "status": status, "labels": {WORKSPACE_LABEL: "main"},
        "zone": "https://www.googleapis.com/compute/v1/projects/p/zones/us-central1-a"})
}

#[tokio::test]
async fn the_list_holds_what_is_up_from_all_pages() {
    let first = json!([listed("c", "RUNNING"), listed("d", "TERMINATED"), {"name": "unlabelled", "status": "RUNNING"}]);
    let second = json!([listed("a", "STAGING"), listed("b", "STOPPING")]);
    let api = Api::answering([page(first, Some("more")), page(second, None)]).await;
    let up = |name: &str| UpInstance { workspace: "main".into(), instance: name.into(), zone: "us-central1-a".into() };
    assert_eq!(api.compute().list_up().await.unwrap(), [up("a"), up("c")]);
    let asked = api.asked();
    assert_eq!(asked[0].line, "GET /compute/v1/projects/p/aggregated/instances");
    assert_eq!(asked[0].query("filter"), "labels.pilotlight-workspace:*");
    assert_eq!((asked[0].query("pageToken"), asked[1].query("pageToken")), ("", "more"));
}

#[tokio::test]
async fn a_list_without_an_end_is_an_error() {
    let api = Api::answering([page(json!([]), Some("again"))]).await;
    let error = api.compute().list_up().await.unwrap_err().to_string();
    assert!(error.contains("more than 20 pages"), "{error}");
    assert_eq!(api.asked().len(), LIST_PAGES_MAX);
}

#[tokio::test]
async fn a_read_that_fails_is_repeated_and_then_told() {
    let found = Answer::Json(200, json!({"id": "7", "status": "RUNNING"}));
    let api = Api::answering([refusal(503, "backendError"), found]).await;
    let mut workspace = compute_contract_workspace();
    workspace.placements.truncate(1);
    let seen = api.compute().see(&workspace).await.unwrap();
    assert_eq!((seen[0].status, seen[0].instance_id), (InstanceStatus::Running, 7));

    let api = Api::answering([refusal(403, "forbidden")]).await;
    let error = format!("{:#}", api.compute().see(&workspace).await.unwrap_err());
    assert!(error.starts_with("looking at instance comfyui-main-a in us-central1-a"), "{error}");
    assert_eq!(api.asked().len(), 1, "a refusal is not repeated");
}

fn running() -> Answer {
    Answer::Json(200, json!({"id": "7", "status": "RUNNING"}))
}

/// What is seen of the placements, in their order.
async fn statuses(api: &Api, workspace: &Workspace) -> anyhow::Result<Vec<InstanceStatus>> {
    let seen = api.compute().see(workspace).await?;
    assert_eq!(seen.len(), workspace.placements.len());
    for (seen, placement) in seen.iter().zip(&workspace.placements) {
        assert_eq!(seen.instance, placement.instance, "in the order of placements");
        let known = seen.status == InstanceStatus::Running;
        assert_eq!((seen.instance_id, seen.has_disk), (if known { 7 } else { 0 }, false));
    }
    Ok(seen.into_iter().map(|seen| seen.status).collect())
}

#[tokio::test]
async fn a_zone_is_unreachable_when_it_alone_does_not_answer() {
    let workspace = compute_contract_workspace();
    for silence in [refusal(503, "backendError"), refusal(500, "internalError"), Answer::Html(502), Answer::Html(504)] {
        let api = Api::of_zones([("a", silence.clone()), ("b", running())]).await;
        let seen = statuses(&api, &workspace).await.unwrap();
        assert_eq!(seen, [InstanceStatus::Unreachable, InstanceStatus::Running]);
        let asked = api.asked();
        let of_a = asked.iter().filter(|asked| asked.line.contains("us-central1-a")).count();
        assert_eq!((of_a, asked.len()), (3, 4), "it was asked again before it was given up");
        let api = Api::of_zones([("a", running()), ("b", silence)]).await;
        assert_eq!(statuses(&api, &workspace).await.unwrap(), [InstanceStatus::Running, InstanceStatus::Unreachable]);
    }
}

#[tokio::test]
async fn a_zone_that_says_nothing_at_all_is_unreachable_too() {
    let api = Api::of_zones([("a", Answer::Silence), ("b", refusal(404, "notFound"))]).await;
    let seen = statuses(&api, &compute_contract_workspace()).await.unwrap();
    assert_eq!(seen, [InstanceStatus::Unreachable, InstanceStatus::Missing], "nothing there is an answer");
}

#[tokio::test]
async fn silence_all_around_is_a_failed_look() {
    let api = Api::of_zones([("a", refusal(503, "backendError")), ("b", Answer::Html(502))]).await;
    let error = format!("{:#}", statuses(&api, &compute_contract_workspace()).await.unwrap_err());
    assert!(error.starts_with("looking at instance comfyui-main-a in us-central1-a"), "{error}");
}

#[tokio::test]
async fn a_refusal_beside_an_answer_is_a_failed_look() {
    let api = Api::of_zones([("a", refusal(403, "forbidden")), ("b", running())]).await;
    let error = format!("{:#}", statuses(&api, &compute_contract_workspace()).await.unwrap_err());
    assert!(error.starts_with("looking at instance comfyui-main-a in us-central1-a"), "{error}");
}

#[test]
fn a_zone_that_answers_for_one_of_its_instances_is_not_unreachable() {
    let mut workspace = compute_contract_workspace();
    workspace.placements.insert(1, Placement { instance: "spot".into(), ..workspace.placements[0].clone() });
    let answer = |at: usize| Look::Seen(unseen(&workspace.placements[at].instance, InstanceStatus::Down));
    let silence = |at: usize| Look::Silence(anyhow::anyhow!("silence {at}"));
    let judged = |looks: [Look; 3]| judge(looks.into(), &workspace.placements);
    let error = judged([answer(0), silence(1), answer(2)]).unwrap_err();
    assert_eq!(error.to_string(), "silence 1", "the zone is there, so this is a hiccup");
    let statuses = |looks| judged(looks).unwrap().into_iter().map(|seen| seen.status).collect::<Vec<_>>();
    let lost = [InstanceStatus::Unreachable, InstanceStatus::Unreachable, InstanceStatus::Down];
    assert_eq!(statuses([silence(0), silence(1), answer(2)]), lost);
}
