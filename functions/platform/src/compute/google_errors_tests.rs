use google_cloud_gax::error::rpc::Status;
use serde_json::{Value, json};
use tokio_util::bytes::Bytes;

use super::*;

fn ended(error: Value, http: u16) -> OperationState {
    let operation = json!({"name": "operation-1", "status": "DONE", "error": error, "httpErrorStatusCode": http});
    of_operation(&serde_json::from_value(operation).unwrap())
}

fn ended_by(code: &str, message: &str, http: u16) -> OperationErrorKind {
    match ended(json!({"errors": [{"code": code, "message": message}]}), http) {
        OperationState::Failed(error) => error.kind,
        other => panic!("{code}: {other:?}"),
    }
}

fn refused(http: u16, body: &Value) -> CallError {
    let status = Status::try_from(&Bytes::from(body.to_string())).unwrap();
    of_call(Error::service_with_http_metadata(status, Some(http), None))
}

fn refused_for(http: u16, reason: &str, message: &str) -> OperationErrorKind {
    let body = json!({"error": {"code": http, "message": message,
        "errors": [{"message": message, "domain": "global", "reason": reason}]}});
    match refused(http, &body) {
        CallError::Refused(error) => error.kind,
        CallError::Unanswered(error) => panic!("{reason}: {error:#}"),
    }
}

#[test]
fn an_operation_is_done_only_without_an_error() {
    let state = |operation: Value| of_operation(&serde_json::from_value(operation).unwrap());
    assert_eq!(state(json!({"status": "PENDING"})), OperationState::Pending);
    assert_eq!(state(json!({"status": "RUNNING", "progress": 50})), OperationState::Pending);
    assert_eq!(state(json!({"status": "MEDITATING"})), OperationState::Pending);
    assert_eq!(state(json!({"status": "DONE", "progress": 100})), OperationState::Done);
    assert!(matches!(state(json!({"status": "DONE", "httpErrorStatusCode": 500})), OperationState::Failed(_)));
}

#[test]
fn failures_of_operations_are_sorted_by_what_can_be_done() {
    use OperationErrorKind as Kind;
    let told = [
        ("QUOTA_EXCEEDED", "Quota 'GPUS_ALL_REGIONS' exceeded.  Limit: 0.0 globally.", 403, Kind::Quota),
        ("RESOURCE_NOT_READY", "The resource 'i' is not ready", 400, Kind::Transient),
        ("INTERNAL_ERROR", "", 500, Kind::Transient),
        ("RESOURCE_NOT_FOUND", "", 404, Kind::NotFound),
        ("PERMISSIONS_ERROR", "", 403, Kind::Permission),
        ("CONDITION_NOT_MET", "Constraint constraints/x violated for project", 412, Kind::Permission),
        ("RESOURCE_IN_USE_BY_ANOTHER_RESOURCE", "", 400, Kind::Refused),
        ("SOMETHING_NEW", "", 400, Kind::Refused),
        ("SOMETHING_NEW", "", 0, Kind::Refused),
    ];
    for (code, message, http, expected) in told {
        assert_eq!(ended_by(code, message, http), expected, "{code}");
    }
}

#[test]
fn refusals_of_calls_are_sorted_by_the_same_words_in_their_other_spelling() {
    use OperationErrorKind as Kind;
    let told = [
        (400, "resourceNotReady", "The resource 'i' is not ready", Kind::Transient),
        (403, "rateLimitExceeded", "", Kind::Transient),
        (
            403,
            "quotaExceeded",
            "Quota exceeded for quota metric 'Queries' and limit 'Queries per minute'",
            Kind::Transient,
        ),
        (403, "quotaExceeded", "Quota 'CPUS' exceeded.", Kind::Quota),
        (403, "RESOURCE_QUOTA_EXCEEDED", "", Kind::Quota),
        (403, "", "Quota 'NVIDIA_L4_GPUS' exceeded.  Limit: 0.0 in region us-central1.", Kind::Quota),
        (403, "", "Quota exceeded for quota metric 'Queries' and limit 'Queries per minute'", Kind::Transient),
        (403, "forbidden", "Required 'compute.instances.start' permission for 'i'", Kind::Permission),
        (404, "notFound", "The resource 'i' was not found", Kind::NotFound),
        (401, "authError", "", Kind::Permission),
        (400, "resourceInUseByAnotherResource", "", Kind::Refused),
        (400, "invalid", "", Kind::Refused),
        (429, "somethingNew", "", Kind::Transient),
        (403, "somethingNew", "", Kind::Permission),
    ];
    for (http, reason, message, expected) in told {
        assert_eq!(refused_for(http, reason, message), expected, "{reason}");
    }
}

#[test]
fn a_newer_reply_tells_its_reason_in_its_details() {
    let body = json!({"error": {"code": 403, "message": "too much at once", "status": "PERMISSION_DENIED", "details": [
        {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "CONCURRENT_OPERATIONS_QUOTA_EXCEEDED",
         "domain": "compute.googleapis.com"}]}});
    let CallError::Refused(error) = refused(403, &body) else { panic!("refused") };
    assert_eq!(error.kind, OperationErrorKind::Transient);
    assert_eq!(error.detail, "CONCURRENT_OPERATIONS_QUOTA_EXCEEDED: too much at once");
}

#[test]
fn what_may_have_happened_is_unanswered() {
    let bodies =
        [Error::http(502, http_headers(), "<html>".into()), Error::io("connection reset"), Error::timeout("late")];
    for error in bodies {
        assert!(matches!(of_call(error), CallError::Unanswered(_)));
    }
    let body = json!({"error": {"code": 503, "message": "x", "errors": [{"reason": "backendError"}]}});
    assert!(matches!(refused(503, &body), CallError::Unanswered(_)));
}

fn http_headers() -> reqwest::header::HeaderMap {
    reqwest::header::HeaderMap::new()
}

#[test]
fn a_stock_out_is_told_in_googles_words_with_the_zones_that_have() {
    let told = "A n1-standard-4 VM instance with 1 nvidia-tesla-t4 accelerator(s) is currently unavailable.";
    let error = json!({"errors": [{"code": "ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS",
        "message": "The zone 'projects/P/zones/us-central1-b' does not have enough resources available.",
        "errorDetails": [
            {"help": {"links": [{"description": "d", "url": "https://example.com"}]}},
            {"localizedMessage": {"locale": "en-US", "message": told}},
            {"errorInfo": {"reason": "resource_availability", "domain": "compute.googleapis.com",
                "metadatas": {"zone": "us-central1-b", "zonesAvailable": "us-central1-a,us-central1-f"}}}]}]});
    let OperationState::Failed(error) = ended(error, 503) else { panic!("failed") };
    assert_eq!(error.kind, OperationErrorKind::StockOut);
    let code = "ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS";
    assert_eq!(error.detail, format!("{code}: {told} (zonesAvailable: us-central1-a,us-central1-f)"));
}

#[test]
fn of_several_errors_the_one_that_we_can_meet_is_told() {
    let error =
        json!({"errors": [{"code": "NEW", "message": "?"}, {"code": "QUOTA_EXCEEDED", "message": "x".repeat(5000)}]});
    let OperationState::Failed(error) = ended(error, 403) else { panic!("failed") };
    assert_eq!(error.kind, OperationErrorKind::Permission, "an unknown code of 403 is a matter of rights");
    let error =
        json!({"errors": [{"code": "NEW", "message": "?"}, {"code": "QUOTA_EXCEEDED", "message": "x".repeat(5000)}]});
    let OperationState::Failed(error) = ended(error, 400) else { panic!("failed") };
    assert_eq!((error.kind, error.detail.len()), (OperationErrorKind::Quota, DETAIL_CHARS_MAX));
}

/// The tail in quotes is of scylla's and of many others' logs; the one before it, of older ones.
const NO_MACHINE: [&str; 3] = [
    "The zone 'projects/P/zones/us-central1-b' does not have enough resources available to fulfill the request.  \
     '(resource type:compute)'.",
    "The zone 'projects/P/zones/us-central1-b' does not have enough resources available to fulfill the request.  \
     'NULL:0/NULL:0/NULL:0 (state:STOCKOUT, sub-state:STOCKOUT, resource type:compute)'.",
    "OutOfResource (state:STOCKOUT, resource type:compute)",
];

#[test]
fn every_word_for_a_stock_out_is_known_at_the_end_of_an_operation() {
    let words = [
        "ZONE_RESOURCE_POOL_EXHAUSTED",
        "ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS",
        "REGION_RESOURCE_POOL_EXHAUSTED",
        "RESOURCE_POOL_EXHAUSTED",
        "RESOURCE_POOL_EXHAUSTED_WITH_DETAILS",
        "resourcePoolExhausted",
        "STOCKOUT",
        "GPU_STOCKOUT",
        "INSUFFICIENT_CAPACITY",
        "insufficientCapacity",
    ];
    for word in words {
        for http in [503, 400, 403, 0] {
            assert_eq!(ended_by(word, "", http), OperationErrorKind::StockOut, "{word} with {http}");
        }
    }
    for text in NO_MACHINE {
        for (word, http) in [("", 503), ("UNAVAILABLE", 503), ("SOMETHING_NEW", 400), ("INTERNAL_ERROR", 500)] {
            assert_eq!(ended_by(word, text, http), OperationErrorKind::StockOut, "{word}: {text}");
        }
    }
}

#[test]
fn every_word_for_a_stock_out_is_known_at_the_call_and_is_a_refusal() {
    let words = [
        "zoneResourcePoolExhausted",
        "zoneResourcePoolExhaustedWithDetails",
        "ZONE_RESOURCE_POOL_EXHAUSTED",
        "ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS",
        "resourcePoolExhausted",
        "RESOURCE_POOL_EXHAUSTED",
        "stockout",
        "insufficientCapacity",
        "resource_availability",
    ];
    for word in words {
        for http in [503, 400, 403, 429] {
            assert_eq!(refused_for(http, word, "no"), OperationErrorKind::StockOut, "{word} with {http}");
        }
    }
    for text in NO_MACHINE {
        assert_eq!(refused_for(503, "backendError", text), OperationErrorKind::StockOut, "{text}");
    }
}

#[test]
fn what_is_unsupported_is_a_stock_out_at_the_end_of_a_start_alone() {
    let kind = |verb: &str| {
        let operation = json!({"status": "DONE", "operationType": verb, "httpErrorStatusCode": 400,
            "error": {"errors": [{"code": "UNSUPPORTED_OPERATION", "message": "Instance was preempted."}]}});
        match of_operation(&serde_json::from_value(operation).unwrap()) {
            OperationState::Failed(error) => error.kind,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(kind("start"), OperationErrorKind::StockOut);
    assert_eq!(kind("attachDisk"), OperationErrorKind::Refused);
}

#[test]
fn an_answers_reason_tells_of_a_stock_out_whatever_its_code() {
    let error = json!({"errors": [{"code": "SOMETHING_NEW", "errorDetails": [
        {"errorInfo": {"reason": "resource_availability", "metadatas": {"zonesAvailable": "us-central1-c"}}}]}]});
    let OperationState::Failed(error) = ended(error, 400) else { panic!("failed") };
    assert_eq!((error.kind, error.zones), (OperationErrorKind::StockOut, vec!["us-central1-c".to_owned()]));
}

/// The zones of an operation's stock-out, by its metadata and its translated text.
fn zones_of(named: Option<&str>, localized: &str) -> Vec<String> {
    let metadatas = named.map_or_else(|| json!({}), |named| json!({"zonesAvailable": named}));
    let error = json!({"errors": [{"code": "ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS", "message": NO_MACHINE[0],
        "errorDetails": [{"localizedMessage": {"locale": "en-US", "message": localized}},
            {"errorInfo": {"reason": "resource_availability", "metadatas": metadatas}}]}]});
    match ended(error, 503) {
        OperationState::Failed(error) => error.zones,
        other => panic!("{other:?}"),
    }
}

#[test]
fn zones_are_taken_in_googles_order_and_only_what_looks_like_one() {
    let zones = |named: &str| zones_of(Some(named), "").join(" ");
    assert_eq!(zones("us-central1-a,us-central1-f"), "us-central1-a us-central1-f");
    assert_eq!(zones(" us-central1-f ,us-central1-a, us-central1-f,"), "us-central1-f us-central1-a", "each once");
    assert_eq!(zones("northamerica-northeast1-a;us-central1-ai1a"), "northamerica-northeast1-a us-central1-ai1a");
    assert_eq!(
        zones("projects/p/zones/us-east4-c,https://example.com/zones/europe-west4-b"),
        "us-east4-c europe-west4-b"
    );
    assert_eq!(zones(""), "");
    let strange =
        "us-central1, a, us--central1-a, US-CENTRAL1-A, us-central1-, -, us-central-a, us-central1-a<b>, us_central1-a";
    assert_eq!(zones(strange), "");
    assert_eq!(zones(&format!("us-{}1-a,us-central1-b", "x".repeat(100))), "us-central1-b", "no zone is so long");
}

#[test]
fn zones_are_bounded_in_number() {
    let many: Vec<String> = (0..500).map(|number| format!("us-central{number}1-a")).collect();
    assert_eq!(zones_of(Some(&many.join(",")), ""), many[..ZONES_MAX]);
}

#[test]
fn zones_are_read_from_the_text_where_nothing_else_names_them() {
    let text = "A n1-highmem-2 VM instance with 2 nvidia-tesla-t4 accelerator(s) is currently unavailable in the \
        europe-west2-a zone. Consider trying your request in the europe-west2-c, europe-west2-b zone(s), which currently \
        has capacity to accommodate your request.";
    for named in [None, Some(""), Some(" ")] {
        assert_eq!(zones_of(named, text), ["europe-west2-c", "europe-west2-b"], "{named:?}");
    }
    assert_eq!(zones_of(Some("europe-west2-b"), text), ["europe-west2-b"], "the metadata is the better word");
    let another = "Consider trying your request in another zone which has capacity to accommodate your request.";
    assert_eq!(zones_of(None, another), Vec::<String>::new());
    assert_eq!(zones_of(None, ""), Vec::<String>::new());
}

#[test]
fn zones_are_read_from_a_refused_call_too() {
    let refused_with = |details: Value, message: &str| {
        let body = json!({"error": {"code": 503, "message": message, "status": "UNAVAILABLE", "details": details}});
        match refused(503, &body) {
            CallError::Refused(error) => (error.kind, error.zones.join(" ")),
            CallError::Unanswered(error) => panic!("{error:#}"),
        }
    };
    let info = json!({"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "resource_availability",
        "domain": "compute.googleapis.com", "metadata": {"zonesAvailable": "us-central1-a,us-central1-f"}});
    let stock_out = |zones: &str| (OperationErrorKind::StockOut, zones.to_owned());
    assert_eq!(refused_with(json!([info]), "no"), stock_out("us-central1-a us-central1-f"));
    let localized = json!({"@type": "type.googleapis.com/google.rpc.LocalizedMessage", "locale": "en-US",
        "message": "Consider trying your request in the us-central1-c zone(s), which currently has capacity."});
    assert_eq!(refused_with(json!([localized]), NO_MACHINE[1]), stock_out("us-central1-c"));
    assert_eq!(refused_with(json!([]), NO_MACHINE[0]), stock_out(""));
}

#[test]
fn a_quota_keeps_its_name() {
    let told = |message: &str, details: Value| {
        let error = json!({"errors": [{"code": "QUOTA_EXCEEDED", "message": message, "errorDetails": details}]});
        match ended(error, 403) {
            OperationState::Failed(error) => {
                assert_eq!((error.kind, error.zones), (OperationErrorKind::Quota, vec![]));
                error.detail
            }
            other => panic!("{other:?}"),
        }
    };
    let quota = |metric: &str, dimensions: Value| {
        let metric = format!("compute.googleapis.com/{metric}");
        json!({"quotaInfo": {"metricName": metric, "limitName": "L", "dimensions": dimensions, "limit": 0.0}})
    };
    let localized = |message: &str| json!({"localizedMessage": {"locale": "en-US", "message": message}});
    let all = "Quota 'GPUS_ALL_REGIONS' exceeded.  Limit: 0.0 globally.";
    let bare = format!("QUOTA_EXCEEDED: {all}");
    assert_eq!(told(all, json!([])), bare);
    assert_eq!(told(all, json!([quota("gpus_all_regions", json!({"global": "global"}))])), bare, "it is said already");
    let regional = "Quota 'NVIDIA_L4_GPUS' exceeded.  Limit: 0.0 in region us-central1.";
    let info = json!([quota("nvidia_l4_gpus", json!({"region": "us-central1"}))]);
    assert_eq!(told(regional, info), format!("QUOTA_EXCEEDED: {regional}"), "and so is this");
    let nameless = json!([
        localized("Your project has no quota for this."),
        quota("preemptible_nvidia_l4_gpus", json!({"region": "us-central1"}))
    ]);
    let expected = "QUOTA_EXCEEDED: Your project has no quota for this. \
        (quota: PREEMPTIBLE_NVIDIA_L4_GPUS, region us-central1)";
    assert_eq!(told("Quota 'PREEMPTIBLE_NVIDIA_L4_GPUS' exceeded.", nameless), expected);
    let family = json!({"gpu_family": "NVIDIA_H100", "region": "us-east4"});
    let long = told(&"x".repeat(5000), json!([quota("gpus_per_gpu_family", family)]));
    assert!(long.ends_with(" (quota: GPUS_PER_GPU_FAMILY, gpu_family NVIDIA_H100, region us-east4)"), "{long}");
    assert_eq!(long.chars().count(), DETAIL_CHARS_MAX, "no length takes it away");
    for metric in ["NVIDIA_T4_GPUS", "NVIDIA_L4_GPUS", "PREEMPTIBLE_NVIDIA_L4_GPUS", "GPUS_ALL_REGIONS"] {
        let message = format!("Quota '{metric}' exceeded.  Limit: 1.0 in region us-central1.");
        assert!(told(&message, json!([])).contains(metric));
    }
}
