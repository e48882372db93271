//! `/upload/image` and `/view`: bytes come in and are counted, not kept; images go out, drawn on the spot.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::{
    Json, RequestExt,
    body::Body,
    extract::{Multipart, Query, Request, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use futures_util::{Stream, StreamExt};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{graph::Picture, pictures, routes::App};

/// Names of uploads remembered; the oldest is forgotten first.
pub(crate) const NAMES_MAX: usize = 1_000;
const NAME_CHARS_MAX: usize = 255;
/// A multipart body has an image and a few short fields.
const FIELDS_MAX: usize = 16;

/// The names of what was uploaded: `LoadImage` offers them, `/view` draws for them.
#[derive(Debug, Default)]
pub(crate) struct Uploads(Mutex<VecDeque<String>>);

impl Uploads {
    fn shelf(&self) -> MutexGuard<'_, VecDeque<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, name: &str) {
        let mut names = self.shelf();
        names.retain(|known| known != name);
        names.push_back(name.to_owned());
        while names.len() > NAMES_MAX {
            names.pop_front();
        }
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.shelf().iter().cloned().collect()
    }

    fn knows(&self, name: &str) -> bool {
        self.shelf().iter().any(|known| known == name)
    }
}

/// What arrived: the name, and how many bytes of image.
struct Arrived {
    name: Option<String>,
    bytes: u64,
}

/// `POST /upload/image`: multipart with an `image` field, or the bare bytes with `?filename=`.
/// The answer has ComfyUI's `name`, `subfolder`, `type`, and `bytes`, how many arrived.
pub(crate) async fn upload(
    State(app): State<Arc<App>>,
    Query(asked): Query<UploadAsked>,
    request: Request,
) -> Result<Json<Value>, StatusCode> {
    let arrived = if is_multipart(request.headers()) {
        let multipart = request.extract().await.map_err(|_| StatusCode::BAD_REQUEST)?;
        receive_multipart(multipart, app.max_upload_bytes).await?
    } else {
        let bytes = count(request.into_body().into_data_stream(), app.max_upload_bytes).await?;
        Arrived { name: asked.filename, bytes }
    };
    let name = arrived.name.filter(|name| is_plain_name(name)).ok_or(StatusCode::BAD_REQUEST)?;
    app.uploads.note(&name);
    tracing::debug!(name, bytes = arrived.bytes, "upload counted and discarded");
    Ok(Json(json!({ "name": name, "subfolder": "", "type": "input", "bytes": arrived.bytes })))
}

#[derive(Debug, Deserialize)]
pub(crate) struct UploadAsked {
    filename: Option<String>,
}

fn is_multipart(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    kind.is_some_and(|kind| kind.starts_with("multipart/form-data"))
}

fn is_plain_name(name: &str) -> bool {
    !name.is_empty() && name.chars().count() <= NAME_CHARS_MAX && !name.contains(['/', '\\', '\0'])
}

async fn receive_multipart(mut multipart: Multipart, limit: u64) -> Result<Arrived, StatusCode> {
    let mut arrived = Arrived { name: None, bytes: 0 };
    for _ in 0..FIELDS_MAX {
        let field = multipart.next_field().await.map_err(|error| error.status())?;
        let Some(field) = field else { return Ok(arrived) };
        let is_image = field.name() == Some("image");
        let name = field.file_name().map(str::to_owned);
        let bytes = count(field, limit).await?;
        if is_image {
            arrived = Arrived { name, bytes };
        }
    }
    Err(StatusCode::BAD_REQUEST)
}

/// Reads to the end, holding one piece at a time.
async fn count<S, B, E>(stream: S, limit: u64) -> Result<u64, StatusCode>
where
    S: Stream<Item = Result<B, E>>,
    B: AsRef<[u8]>,
{
    let mut stream = std::pin::pin!(stream);
    let mut bytes = 0_u64;
    while let Some(piece) = stream.next().await {
        let piece = piece.map_err(|_| StatusCode::BAD_REQUEST)?;
        bytes = bytes.saturating_add(piece.as_ref().len() as u64);
        if bytes > limit {
            return Err(StatusCode::PAYLOAD_TOO_LARGE);
        }
    }
    Ok(bytes)
}

#[derive(Debug, Deserialize)]
pub(crate) struct ViewAsked {
    filename: Option<String>,
    #[serde(default)]
    subfolder: String,
    #[serde(rename = "type")]
    kind: Option<String>,
}

/// `GET /view?filename=…&type=…&subfolder=…`: the PNG.
pub(crate) async fn view(State(app): State<Arc<App>>, Query(asked): Query<ViewAsked>) -> Response {
    let Some(filename) = asked.filename else { return StatusCode::BAD_REQUEST.into_response() };
    let kind = asked.kind.as_deref().unwrap_or("output");
    let is_input = kind == "input" && (filename == "example.png" || app.uploads.knows(&filename));
    let found = app.engine.pictures.find(kind, &asked.subfolder, &filename);
    let Some(picture) = found.or(is_input.then_some(Picture::EXAMPLE)) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let drawn = tokio::task::spawn_blocking(move || pictures::draw(picture)).await;
    let Ok(Ok(bytes)) = drawn else { return StatusCode::INTERNAL_SERVER_ERROR.into_response() };
    let disposition = format!("filename=\"{}\"", filename.replace(['"', '\\', '\r', '\n'], "_"));
    let headers = [(header::CONTENT_TYPE, "image/png".to_owned()), (header::CONTENT_DISPOSITION, disposition)];
    (headers, Body::from(bytes)).into_response()
}
