//! The REST API: every route in one list, and what goes wrong on the way to them.

mod faults;
mod instances;
mod operations;
mod places;

use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, State};
use axum::http::header::CACHE_CONTROL;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router, middleware};
use serde_json::{Value, json};

use crate::cloud::{Caller, Cloud};
use crate::emulator::Shared;
use crate::error::CallError;
use crate::page::{Page, Query};

/// Metadata may be 512 KB, and JSON may need an escape for each of its characters.
const BODY_BYTES_MAX: usize = 3 * 1024 * 1024;

type App = State<Arc<Shared>>;
type Answer = Result<Json<Value>, CallError>;

pub(crate) fn router(shared: Arc<Shared>) -> Router {
    let instance = "/zones/{zone}/instances/{instance}";
    let verb = |name: &str| format!("{instance}/{name}");
    let project = Router::new()
        // Instances
        .route("/aggregated/instances", get(instances::aggregated_list))
        .route("/zones/{zone}/instances", get(instances::list).post(instances::insert))
        .route(instance, get(instances::get))
        .route(&verb("start"), post(instances::start))
        .route(&verb("stop"), post(instances::stop))
        .route(&verb("reset"), post(instances::reset))
        .route(&verb("setMetadata"), post(instances::set_metadata))
        .route(&verb("setLabels"), post(instances::set_labels))
        .route(&verb("setScheduling"), post(instances::set_scheduling))
        .route(&verb("attachDisk"), post(instances::attach_disk))
        .route(&verb("detachDisk"), post(instances::detach_disk))
        .route(&verb("getGuestAttributes"), get(instances::get_guest_attributes))
        // Operations
        .route("/aggregated/operations", get(operations::aggregated_list))
        .route("/global/operations", get(operations::list_global))
        .route("/zones/{zone}/operations", get(operations::list))
        .route("/zones/{zone}/operations/{operation}", get(operations::get))
        .route("/zones/{zone}/operations/{operation}/wait", post(operations::wait))
        // Places, and what can be had there
        .route("/zones", get(places::list_zones))
        .route("/zones/{zone}", get(places::get_zone))
        .route("/zones/{zone}/machineTypes/{machine_type}", get(places::get_machine_type))
        .route("/regions/{region}/disks", get(places::list_disks))
        .route("/regions/{region}/disks/{disk}", get(places::get_disk))
        .fallback(unknown_route)
        .layer(middleware::from_fn_with_state(shared.clone(), faults::go_wrong))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX));
    Router::new()
        .nest("/compute/v1/projects/{project}", project)
        .route("/oauth2/v3/certs", get(jwks))
        .fallback(unknown_route)
        .with_state(shared)
}

/// As `https://www.googleapis.com/oauth2/v3/certs`.
async fn jwks(State(shared): App) -> Response {
    let caching = [(CACHE_CONTROL, "public, max-age=21600, must-revalidate, no-transform")];
    (caching, Json(shared.identity.jwks())).into_response()
}

async fn unknown_route(uri: axum::http::Uri) -> CallError {
    CallError::not_found(uri.path())
}

/// Refuses calls for another project than the one that is here.
fn check_project(cloud: &Cloud, project: &str) -> Result<(), CallError> {
    let known = project == cloud.config.project || project == cloud.config.project_number.to_string();
    if known { Ok(()) } else { Err(CallError::not_found(&format!("projects/{project}"))) }
}

fn caller(query: &Query) -> Caller {
    Caller { request_id: query.get("requestId").cloned() }
}

/// A body that may be empty where nothing needs to be said.
fn parse(body: &[u8]) -> Result<Value, CallError> {
    if body.is_empty() {
        return Ok(json!({}));
    }
    let value: Value = serde_json::from_slice(body)
        .map_err(|error| CallError::invalid(format!("Invalid JSON payload received. {error}")))?;
    if value.is_object() { Ok(value) } else { Err(CallError::invalid("Invalid JSON payload received. Not an object.")) }
}

/// `compute#instanceList` and its like.
fn list(kind: &str, id: &str, page: Page) -> Value {
    let mut list = json!({"kind": kind, "id": id, "selfLink": format!("https://www.googleapis.com/compute/v1/{id}")});
    if !page.items.is_empty() {
        list["items"] = page.items.into_iter().map(|(_, item)| item).collect();
    }
    if let Some(next) = page.next {
        list["nextPageToken"] = json!(next);
    }
    list
}

/// Items by scope; a scope without any says why in a warning.
fn aggregated(kind: &str, id: &str, plural: &str, scopes: Vec<Scope>, page: Page) -> Value {
    let mut items = serde_json::Map::new();
    for Scope { name, silent } in scopes {
        let (code, message) = if silent {
            ("UNREACHABLE", format!("The scope '{name}' cannot be reached."))
        } else {
            ("NO_RESULTS_ON_PAGE", format!("There are no results for scope '{name}' on this page."))
        };
        let data = json!([{"key": "scope", "value": name}]);
        items.insert(name, json!({"warning": {"code": code, "message": message, "data": data}}));
    }
    for (scope, item) in page.items {
        let entry = &mut items[&scope];
        if entry.get(plural).is_none() {
            *entry = json!({plural: []});
        }
        if let Some(found) = entry[plural].as_array_mut() {
            found.push(item);
        }
    }
    let mut list = json!({"kind": kind, "id": id, "items": items,
        "selfLink": format!("https://www.googleapis.com/compute/v1/{id}")});
    if let Some(next) = page.next {
        list["nextPageToken"] = json!(next);
    }
    list
}

/// A part of a list over everything, such as `zones/us-central1-a`.
struct Scope {
    name: String,
    /// Nobody answers for it: the list holds nothing of it.
    silent: bool,
}

/// `zones/Z` for every zone, and with `includeAllScopes` also what holds no instances.
fn scopes(cloud: &Cloud, query: &Query) -> Vec<Scope> {
    let zone = |zone: &String| Scope { name: format!("zones/{zone}"), silent: cloud.is_gone(zone) };
    let mut scopes: Vec<Scope> = cloud.config.zones.iter().map(zone).collect();
    if query.get("includeAllScopes").is_some_and(|all| all.eq_ignore_ascii_case("true")) {
        let regions = cloud.config.zones.iter().map(|zone| format!("regions/{}", crate::links::region_of(zone)));
        let others = std::iter::once("global".to_owned()).chain(regions);
        scopes.extend(others.map(|name| Scope { name, silent: false }));
        scopes.dedup_by(|one, other| one.name == other.name);
    }
    scopes
}
