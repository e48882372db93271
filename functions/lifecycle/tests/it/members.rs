//! A workspace that names its members is there for them and for admins; for everybody else it does not exist.

use axum::http::StatusCode;
use domain::{Role, Workspace};
use serde_json::{Value, json};

use crate::setting::{Answer, Setting, workspace};

/// Every route of a workspace, with its method, out of the list of routes: a new one cannot be forgotten here.
fn routes() -> Vec<(&'static str, &'static str)> {
    let source = include_str!("../../src/routes.rs");
    let routes = source.lines().filter_map(|line| {
        let (path, handler) = line.trim().strip_prefix(".route(\"")?.split_once("\", ")?;
        let method = if handler.starts_with("get(") { "GET" } else { "POST" };
        path.starts_with("/api/workspaces/{id}").then_some((method, path))
    });
    routes.collect()
}

/// What a route wants to be sent.
fn body(path: &str) -> Option<Value> {
    match path.rsplit('/').next() {
        Some("extend") => Some(json!({"minutes": 5})),
        Some("preferences") => Some(json!({"restore_queue": true})),
        Some("move-disk") => Some(json!({"lost_zone": "us-central1-a"})),
        Some("keep-alive") => Some(json!({"visible": true, "interacted_seconds_ago": 1})),
        _ => None,
    }
}

async fn ask(setting: &Setting, role: Role, method: &str, path: &str, id: &str) -> Answer {
    setting.ask(method, &path.replace("{id}", id), role, body(path)).await
}

/// `ada`, who asks, is among the members, or is not.
fn of(members: &[&str]) -> Setting {
    let members = Some(members.iter().map(|name| (*name).to_owned()).collect());
    Setting::of(Workspace { members, ..workspace() })
}

#[tokio::test]
async fn whoever_is_no_member_is_told_at_every_route_what_is_told_of_what_does_not_exist() {
    let setting = of(&["eve", "ADA", "ada "]);
    assert_eq!(routes().len(), 9, "{:?}", routes());
    for (method, path) in routes() {
        let answer = ask(&setting, Role::User, method, path, "main").await;
        answer.refused(404, "no_such_workspace");
        assert_eq!(answer.body, ask(&setting, Role::User, method, path, "nowhere").await.body, "{method} {path}");
        let looking = ask(&setting, Role::Viewer, method, path, "main").await;
        let nowhere = ask(&setting, Role::Viewer, method, path, "nowhere").await;
        assert_eq!((looking.status, looking.body), (nowhere.status, nowhere.body), "{method} {path}");
    }
    assert_eq!(setting.ask("GET", "/api/workspaces", Role::User, None).await.body, json!({"workspaces": []}));
    assert_eq!(setting.record().await, domain::Record::default(), "nothing has come of it");
}

#[tokio::test]
async fn members_and_admins_find_it_at_every_route() {
    for (setting, role) in [(of(&["eve", "ada"]), Role::User), (of(&["eve"]), Role::Admin)] {
        for (method, path) in routes() {
            let answer = ask(&setting, role, method, path, "main").await;
            assert_ne!(answer.status, StatusCode::NOT_FOUND, "{role:?} {method} {path}: {answer:?}");
        }
        let list = setting.ask("GET", "/api/workspaces", role, None).await;
        assert_eq!(list.body["workspaces"][0]["id"], "main");
    }
}

#[tokio::test]
async fn a_member_who_may_only_look_only_looks() {
    let setting = of(&["ada"]);
    assert_eq!(ask(&setting, Role::Viewer, "GET", "/api/workspaces/{id}", "main").await.status, StatusCode::OK);
    ask(&setting, Role::Viewer, "POST", "/api/workspaces/{id}/start", "main").await.refused(403, "role_may_not");
}
