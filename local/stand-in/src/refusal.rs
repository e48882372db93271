//! How a prompt is refused, in ComfyUI's error shape: `{"error": {type, message, details, extra_info}, "node_errors": {…}}`.

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

/// One `{type, message, details, extra_info}`.
pub(crate) fn fault(kind: &str, message: &str, details: &str, extra_info: Value) -> Value {
    json!({ "type": kind, "message": message, "details": details, "extra_info": extra_info })
}

#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    pub(crate) error: Value,
    /// By node id: `{errors, dependent_outputs, class_type}`.
    pub(crate) node_errors: Value,
}

impl Refusal {
    pub(crate) fn of_prompt(kind: &str, message: &str, details: &str) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            error: fault(kind, message, details, json!({})),
            node_errors: json!({}),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = Json(json!({ "error": self.error, "node_errors": self.node_errors }));
        (self.status, body).into_response()
    }
}
