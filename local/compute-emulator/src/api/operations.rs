//! `zoneOperations` and the lists over all zones.

use std::time::Duration;

use axum::Json;
use axum::extract::{Path, Query as QueryOf, State};
use serde_json::Value;

use super::{Answer, App, aggregated, check_project, list as list_of, scopes};
use crate::cloud::Cloud;
use crate::links::path;
use crate::operation::OperationStatus;
use crate::page::{Query, page_of};

/// However slow the cloud's clock is, a caller is not kept longer than this of the machine's own time.
const WAIT_MAX: Duration = Duration::from_secs(120);

type OperationPath = Path<(String, String, String)>;

pub(super) async fn get(State(shared): App, Path((project, zone, name)): OperationPath) -> Answer {
    shared.with(|cloud, _| {
        check_project(cloud, &project)?;
        Ok(Json(cloud.operation_in(&zone, &name)?.render(&project)))
    })
}

/// Answers when the operation is DONE, or when its caller has waited long enough, or early when told to.
pub(super) async fn wait(State(shared): App, Path((project, zone, name)): OperationPath) -> Answer {
    let (longest, early) =
        shared.with(|cloud, _| (cloud.config.timings.operation_wait, cloud.faults.wait_returns_early));
    let enough = async {
        tokio::select! {
            () = shared.clock.sleep(longest) => {}
            () = tokio::time::sleep(WAIT_MAX) => {}
        }
    };
    tokio::pin!(enough);
    let mut changes = shared.changes();
    loop {
        changes.mark_unchanged();
        let (done, operation) = shared.with(|cloud, _| {
            check_project(cloud, &project)?;
            let operation = cloud.operation_in(&zone, &name)?;
            Ok((operation.status == OperationStatus::Done, operation.render(&project)))
        })?;
        if done || early {
            return Ok(Json(operation));
        }
        tokio::select! {
            () = &mut enough => return Ok(Json(operation)),
            _ = changes.changed() => {}
        }
    }
}

pub(super) async fn list(
    State(shared): App,
    Path((project, zone)): Path<(String, String)>,
    QueryOf(query): QueryOf<Query>,
) -> Answer {
    shared.with(|cloud, _| {
        check_project(cloud, &project)?;
        cloud.check_zone(&zone)?;
        let mut operations = all(cloud, &project);
        operations.retain(|(scope, _)| *scope == format!("zones/{zone}"));
        let page = page_of(operations, &query)?;
        Ok(Json(list_of("compute#operationList", &path(&project, &format!("zones/{zone}/operations")), page)))
    })
}

/// Nothing here has a global operation.
pub(super) async fn list_global(
    State(shared): App,
    Path(project): Path<String>,
    QueryOf(query): QueryOf<Query>,
) -> Answer {
    shared.with(|cloud, _| {
        check_project(cloud, &project)?;
        let page = page_of(Vec::new(), &query)?;
        Ok(Json(list_of("compute#operationList", &path(&project, "global/operations"), page)))
    })
}

pub(super) async fn aggregated_list(
    State(shared): App,
    Path(project): Path<String>,
    QueryOf(query): QueryOf<Query>,
) -> Answer {
    shared.with(|cloud, _| {
        check_project(cloud, &project)?;
        let page = page_of(all(cloud, &project), &query)?;
        let id = path(&project, "aggregated/operations");
        Ok(Json(aggregated("compute#operationAggregatedList", &id, "operations", scopes(cloud, &query), page)))
    })
}

fn all(cloud: &Cloud, project: &str) -> Vec<(String, Value)> {
    let reached = cloud.operations().filter(|operation| !cloud.is_gone(&operation.zone));
    reached.map(|operation| (format!("zones/{}", operation.zone), operation.render(project))).collect()
}
