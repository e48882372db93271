//! What the stand-in says of itself and of what it has not got: `/system_stats`, `/features`, `/extensions`, models, logs.

use std::sync::Arc;

use axum::{Json, extract::State};
use serde_json::{Value, json};

use crate::{engine::now_ms, nodes::nodes, routes::App};

/// What `/system_stats` tells as ComfyUI's version.
pub(crate) const VERSION: &str = "stand-in";
/// The script that gives the real page a graph which needs no model, and a banner.
pub(crate) const EXTENSION_PATH: &str = "/extensions/stand-in/stand-in.js";
/// Model folders that real ComfyUI has; here they are empty.
const MODEL_FOLDERS: [&str; 6] = ["checkpoints", "loras", "vae", "embeddings", "controlnet", "upscale_models"];
const LOG_LINE: &str = "Stand-in for ComfyUI: not the real thing. It keeps no log here.\n";

pub(crate) async fn system_stats() -> Json<Value> {
    Json(json!({
        "system": {
            "os": std::env::consts::OS,
            "ram_total": 0,
            "ram_free": 0,
            "comfyui_version": VERSION,
            "python_version": "none (stand-in)",
            "pytorch_version": "none (stand-in)",
            "embedded_python": false,
            "argv": [VERSION],
        },
        "devices": [{
            "name": VERSION, "type": "cpu", "index": 0,
            "vram_total": 0, "vram_free": 0, "torch_vram_total": 0, "torch_vram_free": 0,
        }],
    }))
}

pub(crate) fn feature_flags() -> Value {
    json!({ "supports_preview_metadata": false, "supports_progress_text_metadata": false })
}

pub(crate) async fn features(State(app): State<Arc<App>>) -> Json<Value> {
    let mut flags = feature_flags();
    flags["max_upload_size"] = json!(app.max_upload_bytes);
    Json(flags)
}

pub(crate) async fn object_info(State(app): State<Arc<App>>) -> Json<Value> {
    Json(Value::Object(nodes(&app.uploads.names())))
}

/// One node, or nothing, as ComfyUI answers for a name it does not know.
pub(crate) async fn object_info_of(
    State(app): State<Arc<App>>,
    axum::extract::Path(class): axum::extract::Path<String>,
) -> Json<Value> {
    let mut nodes = nodes(&app.uploads.names());
    nodes.retain(|name, _| *name == class);
    Json(Value::Object(nodes))
}

pub(crate) async fn extensions() -> Json<Value> {
    Json(json!([EXTENSION_PATH]))
}

pub(crate) async fn model_folders() -> Json<Value> {
    Json(json!(MODEL_FOLDERS))
}

pub(crate) async fn model_folders_with_paths() -> Json<Value> {
    Json(MODEL_FOLDERS.iter().map(|name| json!({ "name": name, "folders": [] })).collect())
}

pub(crate) async fn empty_list() -> Json<Value> {
    Json(json!([]))
}

pub(crate) async fn empty_object() -> Json<Value> {
    Json(json!({}))
}

/// `/free`, `/internal/logs/subscribe`: taken note of, and nothing to do.
pub(crate) async fn nothing_to_do() {}

pub(crate) async fn logs() -> Json<&'static str> {
    Json(LOG_LINE)
}

pub(crate) async fn raw_logs() -> Json<Value> {
    Json(json!({ "entries": [{ "t": now_ms().to_string(), "m": LOG_LINE }], "size": { "cols": 80, "rows": 24 } }))
}
