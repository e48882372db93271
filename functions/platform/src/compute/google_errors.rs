//! What an error of Compute Engine means for us: one table for both of its layers.
//!
//! A call that is refused gives a `reason` in lowerCamel, an operation that fails a `code` in UPPER_SNAKE, newer replies
//! mix the two. They are compared without case and underscores, so each is written here once:
//!
//! | word | kind |
//! |---|---|
//! | `…RESOURCE_POOL_EXHAUSTED…` (zone, region, `_WITH_DETAILS`) | `StockOut` |
//! | `quotaExceeded` with "per minute" in its text | `Transient`: the API's rate, not the machines' |
//! | `QUOTA_EXCEEDED`, `limitExceeded` | `Quota` |
//! | `rateLimitExceeded`, `CONCURRENT_OPERATIONS_QUOTA_EXCEEDED`, `RESOURCE_OPERATION_RATE_EXCEEDED` | `Transient` |
//! | `resourceNotReady` | `Transient` |
//! | `backendError`, `internalError` inside an operation | `Transient`: it has failed, so the next may be made |
//! | `notFound`, `RESOURCE_NOT_FOUND` | `NotFound` |
//! | `forbidden`, `PERMISSIONS_ERROR`, `conditionNotMet` (organisation policy) and the like | `Permission` |
//! | none of these: by HTTP status 401, 403 | `Permission` |
//! | … 404 | `NotFound` |
//! | … 429 | `Transient` |
//! | … 5xx, or no answer at all, at the call | unanswered: the call may have happened |
//! | … 5xx inside an operation | `Transient` |
//! | anything else | `Refused` |

use domain::{OperationError, OperationErrorKind};
use google_cloud_compute_v1::model::Operation;
use google_cloud_compute_v1::model::operation::error::Errors;
use google_cloud_gax::error::Error;
use google_cloud_gax::error::rpc::StatusDetails;

use super::{CallError, OperationState};

/// Characters of Google's words that are kept; a record is read and written often.
const DETAIL_CHARS_MAX: usize = 1000;

/// Words that say it, without case and underscores.
const WORDS: &[(&str, OperationErrorKind)] = &[
    ("quotaexceeded", OperationErrorKind::Quota),
    ("limitexceeded", OperationErrorKind::Quota),
    ("ratelimitexceeded", OperationErrorKind::Transient),
    ("userratelimitexceeded", OperationErrorKind::Transient),
    ("concurrentoperationsquotaexceeded", OperationErrorKind::Transient),
    ("resourceoperationrateexceeded", OperationErrorKind::Transient),
    ("resourcenotready", OperationErrorKind::Transient),
    ("backenderror", OperationErrorKind::Transient),
    ("internalerror", OperationErrorKind::Transient),
    ("notfound", OperationErrorKind::NotFound),
    ("resourcenotfound", OperationErrorKind::NotFound),
    ("forbidden", OperationErrorKind::Permission),
    ("permissiondenied", OperationErrorKind::Permission),
    ("permissionserror", OperationErrorKind::Permission),
    ("iampermissiondenied", OperationErrorKind::Permission),
    ("insufficientpermissions", OperationErrorKind::Permission),
    ("accesstokenscopeinsufficient", OperationErrorKind::Permission),
    ("accessnotconfigured", OperationErrorKind::Permission),
    ("servicedisabled", OperationErrorKind::Permission),
    ("autherror", OperationErrorKind::Permission),
    ("conditionnotmet", OperationErrorKind::Permission),
];

/// Sorts by the word, then by the status.
fn kind(word: &str, text: &str, http_status: u16) -> OperationErrorKind {
    let word: String = word.chars().filter(|&c| c != '_').map(|c| c.to_ascii_lowercase()).collect();
    if word.contains("resourcepoolexhausted") {
        return OperationErrorKind::StockOut;
    }
    if word == "quotaexceeded" && text.contains("per minute") {
        return OperationErrorKind::Transient;
    }
    if let Some((_, kind)) = WORDS.iter().find(|(known, _)| *known == word) {
        return *kind;
    }
    match http_status {
        401 | 403 => OperationErrorKind::Permission,
        404 => OperationErrorKind::NotFound,
        429 | 500..=599 => OperationErrorKind::Transient,
        _ => OperationErrorKind::Refused,
    }
}

/// A call that did not succeed.
pub(super) fn of_call(error: Error) -> CallError {
    let status = error.http_status_code().unwrap_or(0);
    if !(400..500).contains(&status) {
        // 5xx and a broken connection tell nothing; an answer that cannot be read was still an answer to a call made.
        return CallError::Unanswered(anyhow::Error::new(error));
    }
    let (reason, text) = match error.status() {
        Some(told) => (reason(&told.details).unwrap_or_default(), told.message.clone()),
        None => (String::new(), format!("HTTP status {status}")),
    };
    CallError::Refused(OperationError { kind: kind(&reason, &text, status), detail: detail(&reason, &text) })
}

/// Whether the error says that there is no such thing.
pub(super) fn is_not_found(error: &Error) -> bool {
    error.http_status_code() == Some(404)
}

/// The reason of a refused call, in either of the two shapes of replies.
fn reason(details: &[StatusDetails]) -> Option<String> {
    details.iter().find_map(|detail| match detail {
        StatusDetails::ErrorInfo(info) if !info.reason.is_empty() => Some(info.reason.clone()),
        _ => None,
    })
}

/// How an operation stands. DONE is no success before its error was looked for.
pub(super) fn of_operation(operation: &Operation) -> OperationState {
    use google_cloud_compute_v1::model::operation::Status;
    if operation.status != Some(Status::Done) {
        return OperationState::Pending;
    }
    let http_status = operation.http_error_status_code.and_then(|code| u16::try_from(code).ok()).unwrap_or(0);
    let errors = operation.error.iter().flat_map(|error| &error.errors);
    let mut found: Vec<OperationError> = errors.map(|error| of_error(error, http_status)).collect();
    if found.is_empty() && http_status < 400 {
        return OperationState::Done;
    }
    // Several: what we know how to meet goes before what we do not.
    found.sort_by_key(|error| error.kind == OperationErrorKind::Refused);
    let bare = || {
        let text = operation.http_error_message.clone().unwrap_or_default();
        OperationError { kind: kind("", &text, http_status), detail: detail(&format!("HTTP {http_status}"), &text) }
    };
    OperationState::Failed(found.into_iter().next().unwrap_or_else(bare))
}

fn of_error(error: &Errors, http_status: u16) -> OperationError {
    let code = error.code.as_deref().unwrap_or_default();
    let message = error.message.as_deref().unwrap_or_default();
    let localized = error.error_details.iter().find_map(|told| told.localized_message.as_ref()?.message.clone());
    let zones = error.error_details.iter().find_map(|told| told.error_info.as_ref()?.metadatas.get("zonesAvailable"));
    let mut words = detail(code, localized.as_deref().unwrap_or(message));
    if let Some(zones) = zones.filter(|zones| !zones.is_empty()) {
        words = format!("{words} (zonesAvailable: {zones})");
    }
    OperationError { kind: kind(code, message, http_status), detail: words }
}

/// Google's own words, after their code, cut to a bearable length.
fn detail(code: &str, text: &str) -> String {
    let text = text.trim();
    let whole = match (code.is_empty(), text.is_empty()) {
        (true, _) => text.to_owned(),
        (false, true) => code.to_owned(),
        (false, false) => format!("{code}: {text}"),
    };
    whole.chars().take(DETAIL_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {

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
        let error = json!({"errors": [{"code": "NEW", "message": "?"}, {"code": "QUOTA_EXCEEDED", "message": "x".repeat(5000)}]});
        let OperationState::Failed(error) = ended(error, 403) else { panic!("failed") };
        assert_eq!(error.kind, OperationErrorKind::Permission, "an unknown code of 403 is a matter of rights");
        let error = json!({"errors": [{"code": "NEW", "message": "?"}, {"code": "QUOTA_EXCEEDED", "message": "x".repeat(5000)}]});
        let OperationState::Failed(error) = ended(error, 400) else { panic!("failed") };
        assert_eq!((error.kind, error.detail.len()), (OperationErrorKind::Quota, DETAIL_CHARS_MAX));
    }
}
