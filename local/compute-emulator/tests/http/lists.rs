//! Lists, filters, pages, zones, machine types, and what is not found.

use serde_json::{Value, json};

use crate::world::{A, World, reason};

fn names(list: &Value) -> Vec<&str> {
    list["items"].as_array().into_iter().flatten().map(|item| item["name"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn an_instance_has_the_shapes_that_catch_naive_clients() {
    let instance = World::new().await.instance(A).await;
    assert!(instance["id"].as_str().unwrap().parse::<u64>().is_ok());
    assert_eq!(instance["disks"][1]["diskSizeGb"], "200");
    assert_eq!(instance["kind"], "compute#instance");
    let zone = "https://www.googleapis.com/compute/v1/projects/p/zones/us-central1-a";
    assert_eq!(instance["zone"], zone);
    assert_eq!(instance["machineType"], format!("{zone}/machineTypes/g2-standard-4"));
    let accelerator = json!([{"acceleratorType": format!("{zone}/acceleratorTypes/nvidia-l4"), "acceleratorCount": 1}]);
    assert_eq!(instance["guestAccelerators"], accelerator);
    assert_eq!(instance["selfLink"], format!("https://www.googleapis.com/compute/v1/projects/p/{A}"));
    assert_eq!(instance["creationTimestamp"], "2026-07-07T13:56:24.000-07:00");
    assert_eq!(instance["scheduling"]["onHostMaintenance"], "TERMINATE");
    assert_eq!(instance["serviceAccounts"][0]["email"], "vm@p.iam.gserviceaccount.com");
}

#[tokio::test]
async fn a_list_holds_its_own_zone_and_what_the_filter_lets_through() {
    let world = World::running().await;
    let (_, list) = world.get("zones/us-central1-a/instances").await;
    assert_eq!((list["kind"].as_str(), names(&list)), (Some("compute#instanceList"), vec!["main-a"]));
    let (_, list) = world.get("zones/us-central1-c/instances").await;
    assert!(list.get("items").is_none(), "an empty list has no items key");
    let (_, list) = world.get("zones/us-central1-a/instances?filter=status%3DTERMINATED").await;
    assert_eq!(names(&list), Vec::<&str>::new());
    let (status, refused, _) = reason(world.get("zones/us-central1-a/instances?filter=size%3E5").await);
    assert_eq!((status, refused.as_str()), (400, "invalid"));
}

#[tokio::test]
async fn the_aggregated_list_warns_of_scopes_without_any() {
    let world = World::new().await;
    let (_, list) = world.get("aggregated/instances?filter=labels.pilotlight:*&returnPartialSuccess=true").await;
    let items = list["items"].as_object().unwrap();
    assert_eq!(items["zones/us-central1-a"]["instances"][0]["name"], "main-a");
    let warning = &items["zones/us-central1-b"]["warning"];
    assert_eq!(warning["code"], "NO_RESULTS_ON_PAGE");
    assert_eq!(warning["data"], json!([{"key": "scope", "value": "zones/us-central1-b"}]));
    assert_eq!(items.len(), 3);
    let (_, list) = world.get("aggregated/instances?includeAllScopes=True&maxResults=500").await;
    let items = list["items"].as_object().unwrap();
    assert!(items.contains_key("global") && items.contains_key("regions/us-central1"));
}

#[tokio::test]
async fn aggregated_pages_join_to_the_whole() {
    let world = World::new().await;
    let (_, first) = world.get("aggregated/instances?maxResults=1").await;
    let token = first["nextPageToken"].as_str().unwrap();
    assert_eq!(first["items"]["zones/us-central1-a"]["instances"][0]["name"], "main-a");
    assert!(first["items"]["zones/us-central1-b"].get("instances").is_none());
    let (_, second) = world.get(&format!("aggregated/instances?maxResults=1&pageToken={token}")).await;
    assert_eq!(second["items"]["zones/us-central1-b"]["instances"][0]["name"], "main-b");
    assert!(second.get("nextPageToken").is_none());
}

#[tokio::test]
async fn operations_are_listed_by_zone_and_over_all_of_them() {
    let world = World::running().await;
    let (_, list) = world.get("zones/us-central1-a/operations?filter=operationType%3Dstart").await;
    assert_eq!(list["items"].as_array().unwrap().len(), 1);
    let (_, all) = world.get("aggregated/operations").await;
    let operations = all["items"]["zones/us-central1-a"]["operations"].as_array().unwrap();
    assert_eq!(operations[0]["operationType"], "start");
    let (status, none) = world.get("global/operations").await;
    assert_eq!((status, none.get("items")), (200, None));
}

#[tokio::test]
async fn zones_and_machine_types_can_be_looked_up() {
    let world = World::new().await;
    let (_, zones) = world.get("zones").await;
    assert_eq!(names(&zones), ["us-central1-a", "us-central1-b", "us-central1-c"]);
    let (_, zone) = world.get("zones/us-central1-b").await;
    assert_eq!(zone["status"], "UP");
    assert_eq!(zone["region"], "https://www.googleapis.com/compute/v1/projects/p/regions/us-central1");
    let (_, machine) = world.get("zones/us-central1-a/machineTypes/g2-standard-4").await;
    assert_eq!((&machine["guestCpus"], &machine["memoryMb"]), (&json!(4), &json!(16384)));
    let accelerators = json!([{"guestAcceleratorType": "nvidia-l4", "guestAcceleratorCount": 1}]);
    assert_eq!(machine["accelerators"], accelerators);
    let (_, machine) = world.get("zones/us-central1-a/machineTypes/n1-standard-8").await;
    assert_eq!(machine["memoryMb"], 30_720);
    assert!(machine.get("accelerators").is_none());
}

#[tokio::test]
async fn what_is_not_there_is_said_in_googles_words() {
    let world = World::new().await;
    let missing = "zones/us-central1-a/instances/main-b";
    let (status, refused, message) = reason(world.get(missing).await);
    assert_eq!((status, refused.as_str()), (404, "notFound"), "main-b is in another zone");
    assert_eq!(message, format!("The resource 'projects/p/{missing}' was not found"));
    assert_eq!(reason(world.get("zones/us-central1-a/machineTypes/z9-huge").await).0, 404);
    assert_eq!(reason(world.get("zones/mars1-a").await).0, 404);
    assert_eq!(reason(world.get("zones/mars1-a/instances").await).1, "invalid");
    assert_eq!(reason(world.get("nothing/like/it").await).0, 404);
    let other = world.url("zones").replace("projects/p/", "projects/q/");
    assert_eq!(world.http.get(other).send().await.unwrap().status(), 404);
}

#[tokio::test]
async fn a_name_that_exists_cannot_be_inserted() {
    let world = World::new().await;
    let (status, reason, message) = world.refused("zones/us-central1-a/instances", "{\"name\":\"main-a\"}").await;
    assert_eq!((status, reason.as_str()), (409, "alreadyExists"));
    assert_eq!(message, format!("The resource 'projects/p/{A}' already exists"));
}
