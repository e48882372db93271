//! The user's settings and files, in memory: `/users`, `/settings`, `/userdata`. Lost with the process, and bounded.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::{
    Json,
    body::Bytes,
    extract::{Path, Query, State},
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::{engine::now_ms, routes::App};

/// Settings kept, in bytes of JSON.
pub(crate) const SETTINGS_BYTES_MAX: usize = 1024 * 1024;
/// Files kept.
pub(crate) const FILES_MAX: usize = 1_000;
/// All files together.
pub(crate) const FILES_BYTES_MAX: usize = 64 * 1024 * 1024;
const PATH_CHARS_MAX: usize = 512;

type Shared = State<Arc<App>>;

#[derive(Debug)]
struct File {
    bytes: Bytes,
    created_ms: u64,
    modified_ms: u64,
}

#[derive(Debug)]
struct Kept {
    settings: Map<String, Value>,
    files: BTreeMap<String, File>,
}

#[derive(Debug)]
pub(crate) struct User(Mutex<Kept>);

impl Default for User {
    /// The first-run dialog covers the Run button, so here it has been seen already; and the page does not look for
    /// news of ComfyUI on the internet.
    fn default() -> Self {
        let settings = [("Comfy.TutorialCompleted", true), ("Comfy.Notification.ShowVersionUpdates", false)];
        let settings = settings.map(|(id, value)| (id.to_owned(), json!(value))).into_iter().collect();
        Self(Mutex::new(Kept { settings, files: BTreeMap::new() }))
    }
}

impl User {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds to the settings, all of them or none.
    fn set(&self, more: Map<String, Value>) -> Result<(), StatusCode> {
        let mut kept = self.kept();
        let mut settings = kept.settings.clone();
        settings.extend(more);
        if Value::Object(settings.clone()).to_string().len() > SETTINGS_BYTES_MAX {
            return Err(StatusCode::INSUFFICIENT_STORAGE);
        }
        kept.settings = settings;
        Ok(())
    }

    fn write(&self, path: &str, bytes: Bytes, overwrite: bool) -> Result<Value, StatusCode> {
        let mut kept = self.kept();
        if !overwrite && kept.files.contains_key(path) {
            return Err(StatusCode::CONFLICT);
        }
        let others = kept.files.iter().filter(|(other, _)| *other != path);
        let (count, size) = others.fold((0, 0), |(count, size), (_, file)| (count + 1, size + file.bytes.len()));
        if count >= FILES_MAX || size + bytes.len() > FILES_BYTES_MAX {
            return Err(StatusCode::INSUFFICIENT_STORAGE);
        }
        let now = now_ms();
        let created_ms = kept.files.get(path).map_or(now, |file| file.created_ms);
        let file = File { bytes, created_ms, modified_ms: now };
        let told = told(path, &file);
        kept.files.insert(path.to_owned(), file);
        Ok(told)
    }

    fn rename(&self, from: &str, to: &str, overwrite: bool) -> Result<Value, StatusCode> {
        let mut kept = self.kept();
        if !kept.files.contains_key(from) {
            return Err(StatusCode::NOT_FOUND);
        }
        if !overwrite && from != to && kept.files.contains_key(to) {
            return Err(StatusCode::CONFLICT);
        }
        let file = kept.files.remove(from).ok_or(StatusCode::NOT_FOUND)?;
        let told = told(to, &file);
        kept.files.insert(to.to_owned(), file);
        Ok(told)
    }
}

fn told(path: &str, file: &File) -> Value {
    let (size, modified, created) = (file.bytes.len(), file.modified_ms, file.created_ms);
    json!({ "path": path, "size": size, "modified": modified, "created": created })
}

/// A path below the user's folder; what would leave it is refused, as ComfyUI refuses it.
fn inside(path: &str) -> Result<&str, StatusCode> {
    let leaves = path.starts_with('/') || path.split(['/', '\\']).any(|part| part == "..");
    match path {
        "" => Err(StatusCode::BAD_REQUEST),
        path if leaves || path.chars().count() > PATH_CHARS_MAX => Err(StatusCode::FORBIDDEN),
        path => Ok(path),
    }
}

pub(crate) async fn users() -> Json<Value> {
    Json(json!({ "storage": "server", "migrated": true }))
}

pub(crate) async fn settings(State(app): Shared) -> Json<Value> {
    Json(Value::Object(app.user.kept().settings.clone()))
}

/// The page sends JSON as `text/plain`, so bodies are parsed here whatever they call themselves.
pub(crate) async fn change_settings(State(app): Shared, body: Bytes) -> Result<(), StatusCode> {
    let more = serde_json::from_slice(&body).map_err(|_| StatusCode::BAD_REQUEST)?;
    app.user.set(more)
}

pub(crate) async fn setting(State(app): Shared, Path(id): Path<String>) -> Json<Value> {
    Json(app.user.kept().settings.get(&id).cloned().unwrap_or_default())
}

pub(crate) async fn change_setting(State(app): Shared, Path(id): Path<String>, body: Bytes) -> Result<(), StatusCode> {
    let value = serde_json::from_slice(&body).map_err(|_| StatusCode::BAD_REQUEST)?;
    app.user.set(Map::from_iter([(id, value)]))
}

/// Flags arrive as the words `true` and `false`.
#[derive(Debug, Deserialize)]
pub(crate) struct ListAsked {
    dir: Option<String>,
    #[serde(default)]
    recurse: bool,
    #[serde(default)]
    split: bool,
    #[serde(default)]
    full_info: bool,
}

/// `GET /userdata?dir=…`: names relative to the folder; 404 when the folder has no file.
pub(crate) async fn list(State(app): Shared, Query(asked): Query<ListAsked>) -> Result<Json<Value>, StatusCode> {
    let dir = asked.dir.as_deref().ok_or(StatusCode::BAD_REQUEST)?.trim_end_matches('/');
    let dir = if dir.is_empty() { String::new() } else { format!("{}/", inside(dir)?) };
    let kept = app.user.kept();
    let below: Vec<_> = kept.files.iter().filter_map(|(path, file)| Some((path.strip_prefix(&dir)?, file))).collect();
    if below.is_empty() {
        return Err(StatusCode::NOT_FOUND);
    }
    let entry = |path: &str, file: &File| match (asked.full_info, asked.split) {
        (true, _) => told(path, file),
        (false, true) => std::iter::once(path).chain(path.split('/')).collect(),
        (false, false) => json!(path),
    };
    let listed = below.into_iter().filter(|(path, _)| asked.recurse || !path.contains('/'));
    Ok(Json(listed.map(|(path, file)| entry(path, file)).collect()))
}

pub(crate) async fn read(State(app): Shared, Path(path): Path<String>) -> Result<Response, StatusCode> {
    let bytes = {
        let kept = app.user.kept();
        kept.files.get(inside(&path)?).map(|file| file.bytes.clone()).ok_or(StatusCode::NOT_FOUND)?
    };
    Ok(([(CONTENT_TYPE, kind_of(&path))], bytes).into_response())
}

/// The few kinds of file that the page keeps; by the name's ending, as ComfyUI guesses.
fn kind_of(path: &str) -> &'static str {
    match path.rsplit('.').next() {
        Some("json") => "application/json",
        Some("css") => "text/css",
        _ => "application/octet-stream",
    }
}

#[derive(Debug, Deserialize)]
pub(crate) struct WriteAsked {
    overwrite: Option<bool>,
    #[serde(default)]
    full_info: bool,
}

pub(crate) async fn write(
    State(app): Shared,
    Path(path): Path<String>,
    Query(asked): Query<WriteAsked>,
    body: Bytes,
) -> Result<Json<Value>, StatusCode> {
    let told = app.user.write(inside(&path)?, body, asked.overwrite.unwrap_or(true))?;
    Ok(Json(if asked.full_info { told } else { json!(path) }))
}

pub(crate) async fn rename(
    State(app): Shared,
    Path((from, to)): Path<(String, String)>,
    Query(asked): Query<WriteAsked>,
) -> Result<Json<Value>, StatusCode> {
    let told = app.user.rename(inside(&from)?, inside(&to)?, asked.overwrite.unwrap_or(true))?;
    Ok(Json(if asked.full_info { told } else { json!(to) }))
}

pub(crate) async fn delete(State(app): Shared, Path(path): Path<String>) -> Result<Response, StatusCode> {
    app.user.kept().files.remove(inside(&path)?).ok_or(StatusCode::NOT_FOUND)?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
