//! The metadata server: what an instance can learn about itself, and the tokens that prove who it is.
//!
//! One listener for each instance, because on loopback nobody can be told apart by address; and one for the functions,
//! which have an account but are no instance. Answers only while its instance has a guest.

mod tree;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, Query as QueryOf, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};

use crate::cloud::{Cloud, GuestRefused};
use crate::emulator::Shared;
use crate::identity::InstanceClaims;
use crate::instance::Instance;
use crate::page::Query;
use tree::Node;

/// A request without it is refused, so that a tricked browser or proxy learns nothing.
const FLAVOR: &str = "metadata-flavor";
const GOOGLE: HeaderValue = HeaderValue::from_static("Google");
/// What a guest may write at once.
const BODY_BYTES_MAX: usize = 256 * 1024;
/// Waiting for a change ends here (of the emulator's clock) when the caller named no end.
const WAIT_MAX: Duration = Duration::from_secs(3600);
/// An access token's life, as told.
const ACCESS_TOKEN_SECONDS: u64 = 3599;

/// Who asks this metadata server.
#[derive(Debug, Clone)]
pub(crate) enum Guest {
    /// An instance, by name.
    Instance(String),
    /// A function, by its service account.
    Service(String),
}

#[derive(Clone)]
struct Desk {
    guest: Guest,
    shared: Arc<Shared>,
}

pub(crate) fn router(guest: Guest, shared: Arc<Shared>) -> Router {
    let desk = Desk { guest, shared };
    let instance = "/computeMetadata/v1/instance";
    Router::new()
        .route(&format!("{instance}/service-accounts/{{account}}/token"), get(token))
        .route(&format!("{instance}/service-accounts/{{account}}/identity"), get(identity))
        .route(&format!("{instance}/guest-attributes/{{namespace}}/{{key}}"), put(put_attribute).get(read))
        .route("/computeMetadata/v1/{*path}", get(read))
        .route("/computeMetadata/v1/", get(read))
        .layer(middleware::from_fn(check_flavor))
        // Libraries ask for this one to find out whether they are on Google Cloud at all.
        .route("/", get(|| async { ([(FLAVOR, GOOGLE)], "computeMetadata/\n") }))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(middleware::map_response(sign))
        .with_state(desk)
}

async fn check_flavor(request: Request, next: Next) -> Response {
    let headers = request.headers();
    if headers.get(FLAVOR) != Some(&GOOGLE) {
        let told = "Missing Metadata-Flavor:Google header.\n";
        return (StatusCode::FORBIDDEN, told).into_response();
    }
    if headers.contains_key("x-forwarded-for") {
        return (StatusCode::FORBIDDEN, "Metadata is not given through a proxy.\n").into_response();
    }
    next.run(request).await
}

async fn sign(mut response: Response) -> Response {
    response.headers_mut().insert(FLAVOR, GOOGLE);
    response.headers_mut().insert(header::SERVER, HeaderValue::from_static("Metadata Server for VM"));
    response
}

impl Desk {
    /// The account and, for an instance that is up, the instance. Nobody is there to ask for one that is not.
    fn who<'a>(&'a self, cloud: &'a Cloud) -> Result<(String, Option<&'a Instance>), StatusCode> {
        match &self.guest {
            Guest::Service(email) => Ok((email.clone(), None)),
            Guest::Instance(name) => {
                let up = cloud.instance(name).filter(|instance| instance.status.has_guest());
                let instance = up.ok_or(StatusCode::SERVICE_UNAVAILABLE)?;
                Ok((instance.spec.service_account.clone(), Some(instance)))
            }
        }
    }
}

/// An OAuth access token. Nothing here checks it; it only has to look like one.
async fn token(State(desk): State<Desk>, Path(account): Path<String>) -> Result<Response, StatusCode> {
    let token = desk.shared.with(|cloud, _| {
        let (email, _) = desk.who(cloud)?;
        check_account(&account, &email)?;
        Ok::<_, StatusCode>(format!("ya29.{}{}", cloud.chance().hex(16), cloud.chance().hex(16)))
    })?;
    let body = serde_json::json!({"access_token": token, "expires_in": ACCESS_TOKEN_SECONDS, "token_type": "Bearer"});
    Ok(axum::Json(body).into_response())
}

/// An identity token for `audience`, with `format=full` naming the instance.
async fn identity(
    State(desk): State<Desk>,
    Path(account): Path<String>,
    QueryOf(query): QueryOf<Query>,
) -> Result<Response, StatusCode> {
    let audience = query.get("audience").filter(|given| !given.is_empty()).ok_or(StatusCode::BAD_REQUEST)?;
    let full = match query.get("format").map(String::as_str) {
        None | Some("standard") => false,
        Some("full") => true,
        Some(_) => return Err(StatusCode::BAD_REQUEST),
    };
    let (email, claims) = desk.shared.with(|cloud, _| {
        let (email, instance) = desk.who(cloud)?;
        check_account(&account, &email)?;
        Ok::<_, StatusCode>((email, instance.map(|instance| claims_of(cloud, instance))))
    })?;
    let identity = &desk.shared.identity;
    let signed = match claims {
        // A function's own tokens always carry its e-mail.
        None => identity.mint(&email, audience),
        Some(claims) => identity.mint_for_instance(&email, audience, full.then_some(&claims)),
    };
    signed.map(IntoResponse::into_response).map_err(|error| {
        tracing::error!(%error, "could not sign an identity token");
        StatusCode::INTERNAL_SERVER_ERROR
    })
}

fn claims_of(cloud: &Cloud, instance: &Instance) -> InstanceClaims {
    InstanceClaims {
        project: cloud.config.project.clone(),
        project_number: cloud.config.project_number,
        zone: instance.spec.zone.clone(),
        id: instance.id,
        name: instance.spec.name.clone(),
        created_seconds: instance.created.seconds(),
    }
}

fn check_account(asked: &str, email: &str) -> Result<(), StatusCode> {
    if asked == "default" || asked == email { Ok(()) } else { Err(StatusCode::NOT_FOUND) }
}

async fn put_attribute(
    State(desk): State<Desk>,
    Path((namespace, key)): Path<(String, String)>,
    body: Bytes,
) -> Result<StatusCode, StatusCode> {
    let value = String::from_utf8(body.to_vec()).map_err(|_| StatusCode::BAD_REQUEST)?;
    let Guest::Instance(name) = &desk.guest else { return Err(StatusCode::NOT_FOUND) };
    let written = desk.shared.with(|cloud, _| {
        desk.who(cloud)?;
        Ok::<_, StatusCode>(cloud.set_guest_attribute(name, &namespace, &key, value))
    })?;
    match written {
        Ok(()) => Ok(StatusCode::OK),
        Err(GuestRefused::Disabled) => Err(StatusCode::FORBIDDEN),
        Err(GuestRefused::BadName | GuestRefused::TooMuch) => Err(StatusCode::BAD_REQUEST),
    }
}

/// Any path of the tree; with `wait_for_change`, when it has changed since `last_etag` (or since now).
async fn read(State(desk): State<Desk>, uri: Uri, QueryOf(query): QueryOf<Query>) -> Result<Response, StatusCode> {
    let path = uri.path().trim_start_matches("/computeMetadata/v1");
    let asked = |key: &str| query.get(key).is_some_and(|value| value.eq_ignore_ascii_case("true"));
    let longest = match query.get("timeout_sec") {
        None => WAIT_MAX,
        Some(given) => Duration::from_secs(given.parse().map_err(|_| StatusCode::BAD_REQUEST)?).min(WAIT_MAX),
    };
    let enough = desk.shared.clock.sleep(longest);
    tokio::pin!(enough);
    let mut changes = desk.shared.changes();
    let mut known = query.get("last_etag").cloned();
    loop {
        changes.mark_unchanged();
        let (found, directory) = find(&desk, path)?;
        if directory && !path.ends_with('/') {
            return Ok(to_directory(&uri));
        }
        let etag = found.etag();
        let unchanged = known.get_or_insert_with(|| etag.clone()) == &etag;
        if !asked("wait_for_change") || !unchanged {
            return Ok(show(&found, &etag, asked("recursive"), query.get("alt").map(String::as_str)));
        }
        tokio::select! {
            () = &mut enough => return Ok(show(&found, &etag, asked("recursive"), query.get("alt").map(String::as_str))),
            _ = changes.changed() => {}
        }
    }
}

/// The node at `path`, and whether it is a directory.
fn find(desk: &Desk, path: &str) -> Result<(Node, bool), StatusCode> {
    let tree = desk.shared.with(|cloud, _| {
        let (email, instance) = desk.who(cloud)?;
        Ok::<_, StatusCode>(tree::of(cloud, &email, instance))
    })?;
    let mut node = tree;
    for step in path.split('/').filter(|step| !step.is_empty()) {
        node = node.child(step).ok_or(StatusCode::NOT_FOUND)?;
    }
    let directory = matches!(node, Node::Directory(_));
    Ok((node, directory))
}

fn show(node: &Node, etag: &str, recursive: bool, alt: Option<&str>) -> Response {
    let mut headers = HeaderMap::new();
    if let Ok(etag) = HeaderValue::from_str(etag) {
        headers.insert(header::ETAG, etag);
    }
    let json = alt == Some("json") || (recursive && alt.is_none());
    let kind = if json { "application/json" } else { "application/text" };
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    let body = match node {
        node if json => node.json("").to_string(),
        Node::Leaf(text) => text.clone(),
        directory if recursive => directory.lines(),
        Node::Directory(entries) => tree::listing(entries),
    };
    (headers, body).into_response()
}

/// Directories end in a slash.
fn to_directory(uri: &Uri) -> Response {
    let query = uri.query().map_or(String::new(), |query| format!("?{query}"));
    (StatusCode::MOVED_PERMANENTLY, [(header::LOCATION, format!("{}/{query}", uri.path()))]).into_response()
}
