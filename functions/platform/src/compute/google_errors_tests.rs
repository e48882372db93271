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
        ("ZONE_RESOURCE_POOL_EXHAUSTED", "", 503, Kind::StockOut),
        ("ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS", "", 503, Kind::StockOut),
        ("RESOURCE_POOL_EXHAUSTED", "", 0, Kind::StockOut),
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
