//! How a call is refused: Google's JSON, with `reason` in lowerCamel. Failures inside an operation are in `operation`.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

/// A call that was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CallError {
    status: StatusCode,
    reason: &'static str,
    message: String,
    /// The header the refusal is about, for a failed precondition.
    header: Option<&'static str>,
}

impl CallError {
    fn new(status: StatusCode, reason: &'static str, message: impl Into<String>) -> Self {
        Self { status, reason, message: message.into(), header: None }
    }

    /// `resource` is a path such as `projects/P/zones/Z/instances/I`.
    pub(crate) fn not_found(resource: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "notFound", format!("The resource '{resource}' was not found"))
    }

    /// The resource is on its way from one state to another.
    pub(crate) fn not_ready(resource: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "resourceNotReady", format!("The resource '{resource}' is not ready"))
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid", message)
    }

    pub(crate) fn invalid_field(field: &str, found: &str, why: &str) -> Self {
        Self::invalid(format!("Invalid value for field '{field}': '{found}'. {why}"))
    }

    /// `what` is `metadata` or `label`.
    pub(crate) fn stale_fingerprint(what: &str) -> Self {
        let message = format!("Supplied fingerprint does not match current {what} fingerprint.");
        Self { header: Some("If-Match"), ..Self::new(StatusCode::PRECONDITION_FAILED, "conditionNotMet", message) }
    }

    pub(crate) fn rate_limited() -> Self {
        let message = "Quota exceeded for quota metric 'Queries' and limit 'Queries per minute' of service \
                       'compute.googleapis.com'.";
        Self::new(StatusCode::FORBIDDEN, "rateLimitExceeded", message)
    }

    pub(crate) fn unauthorized() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "authError", "Request had invalid authentication credentials.")
    }

    pub(crate) fn unavailable() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "backendError", "The service is currently unavailable.")
    }

    pub(crate) fn already_exists(message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "alreadyExists", message)
    }

    fn body(&self) -> Value {
        let mut entry = json!({"message": self.message, "domain": "global", "reason": self.reason});
        if let Some(header) = self.header {
            entry["location"] = json!(header);
            entry["locationType"] = json!("header");
        }
        json!({"error": {"code": self.status.as_u16(), "message": self.message, "errors": [entry]}})
    }
}

impl IntoResponse for CallError {
    fn into_response(self) -> Response {
        (self.status, Json(self.body())).into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_fingerprint_points_at_if_match() {
        let body = CallError::stale_fingerprint("metadata").body();
        assert_eq!(body["error"]["code"], 412);
        assert_eq!(body["error"]["errors"][0]["location"], "If-Match");
        assert_eq!(body["error"]["errors"][0]["locationType"], "header");
    }
}
