//! The metadata server and the identity provider, as a guest and a checker see them.

use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde_json::{Value, json};

use crate::world::{A, B, World};

/// Checks a token as its receiver would, with keys fetched over HTTP. Its times are the manual clock's.
async fn claims(world: &World, token: &str, audience: &str) -> Value {
    let response = world.http.get(world.emulator.jwks_url()).send().await.unwrap();
    let caching = response.headers()["cache-control"].to_str().unwrap().to_owned();
    assert!(caching.contains("max-age="), "{caching}");
    let keys: JwkSet = response.json().await.unwrap();
    let key = keys.find(&decode_header(token).unwrap().kid.unwrap()).unwrap();
    let mut validation = Validation::new(Algorithm::RS256);
    validation.validate_exp = false;
    validation.set_audience(&[audience]);
    validation.set_issuer(&["https://accounts.google.com"]);
    decode::<Value>(token, &DecodingKey::from_jwk(key).unwrap(), &validation).unwrap().claims
}

#[tokio::test]
async fn a_full_token_names_the_instance_and_a_standard_one_does_not() {
    let world = World::running().await;
    let identity = "instance/service-accounts/default/identity?audience=https%3A%2F%2Flifecycle";
    let (status, token) = world.metadata(&format!("{identity}&format=full")).await;
    assert_eq!(status, 200);
    let full = claims(&world, &token, "https://lifecycle").await;
    let instance = world.instance(A).await;
    let expected = json!({"project_id": "p", "project_number": 123_456_789_012_u64, "zone": "us-central1-a",
        "instance_id": instance["id"], "instance_name": "main-a", "instance_creation_timestamp": 1_783_457_784});
    assert_eq!(full["google"]["compute_engine"], expected);
    assert_eq!((&full["email"], &full["email_verified"]), (&json!("vm@p.iam.gserviceaccount.com"), &json!(true)));
    assert_eq!(full["iat"], 1_783_457_796);
    assert_eq!(full["exp"], 1_783_461_396);
    let (_, token) = world.metadata(identity).await;
    let standard = claims(&world, &token, "https://lifecycle").await;
    assert!(standard.get("google").is_none() && standard.get("email").is_none(), "{standard}");
    assert_eq!(world.metadata("instance/service-accounts/default/identity").await.0, 400, "no audience");
    assert_eq!(world.metadata(&format!("{identity}&format=long")).await.0, 400);
}

#[tokio::test]
async fn tokens_for_push_and_scheduler_are_checked_by_the_same_keys() {
    let world = World::new().await;
    let token = world.emulator.identity().mint("push@p.iam.gserviceaccount.com", "https://lifecycle").unwrap();
    world.emulator.identity().rotate().unwrap();
    let claims = claims(&world, &token, "https://lifecycle").await;
    assert_eq!(claims["email"], "push@p.iam.gserviceaccount.com");
}

#[tokio::test]
async fn functions_have_a_metadata_server_of_their_own() {
    let world = World::new().await;
    let base = world.emulator.metadata_base();
    let identity = format!("{base}/computeMetadata/v1/instance/service-accounts/default/identity?audience=https://x");
    let token = world.http.get(identity).header("Metadata-Flavor", "Google").send().await.unwrap();
    let claims = claims(&world, &token.text().await.unwrap(), "https://x").await;
    assert_eq!(claims["email"], "lifecycle@p.iam.gserviceaccount.com");
    let project = format!("{base}/computeMetadata/v1/project/project-id");
    let id = world.http.get(project).header("Metadata-Flavor", "Google").send().await.unwrap();
    assert_eq!(id.text().await.unwrap(), "p");
}

#[tokio::test]
async fn nothing_is_told_without_the_flavor_or_through_a_proxy() {
    let world = World::running().await;
    let base = world.emulator.instance_metadata_base("main-a").unwrap();
    let url = format!("{base}/computeMetadata/v1/instance/id");
    assert_eq!(world.http.get(&url).send().await.unwrap().status(), 403);
    let wrong = world.http.get(&url).header("Metadata-Flavor", "Vanilla");
    assert_eq!(wrong.send().await.unwrap().status(), 403);
    let proxied = world.http.get(&url).header("Metadata-Flavor", "Google").header("X-Forwarded-For", "203.0.113.9");
    assert_eq!(proxied.send().await.unwrap().status(), 403);
    let hello = world.http.get(&base).send().await.unwrap();
    assert_eq!((hello.status().as_u16(), &hello.headers()["metadata-flavor"]), (200, &"Google".parse().unwrap()));
}

#[tokio::test]
async fn an_instance_without_a_guest_has_nobody_to_ask() {
    let world = World::new().await;
    assert_eq!(world.metadata("instance/id").await.0, 503);
    assert_eq!(world.metadata("instance/service-accounts/default/token").await.0, 503);
}

#[tokio::test]
async fn values_directories_and_the_whole_can_be_read() {
    let world = World::running().await;
    let id = world.instance(A).await["id"].as_str().unwrap().to_owned();
    assert_eq!(world.metadata("instance/id").await, (200, id));
    assert_eq!(world.metadata("instance/name").await.1, "main-a");
    assert_eq!(world.metadata("instance/zone").await.1, "projects/123456789012/zones/us-central1-a");
    assert_eq!(world.metadata("instance/maintenance-event").await.1, "NONE");
    assert_eq!(world.metadata("instance/attributes/enable-guest-attributes").await.1, "TRUE");
    assert_eq!(world.metadata("instance/attributes/").await.1, "enable-guest-attributes\n");
    assert_eq!(world.metadata("instance/attributes").await.1, "enable-guest-attributes\n", "redirected to the slash");
    assert_eq!(world.metadata("instance/attributes/missing").await.0, 404);
    assert_eq!(world.metadata("instance/service-accounts/default/email").await.1, "vm@p.iam.gserviceaccount.com");
    let (_, token) = world.metadata("instance/service-accounts/default/token").await;
    let token: Value = serde_json::from_str(&token).unwrap();
    assert_eq!(token["token_type"], "Bearer");
    let (_, all) = world.metadata("instance/?recursive=true&alt=json").await;
    let all: Value = serde_json::from_str(&all).unwrap();
    assert_eq!(all["attributes"], json!({"enable-guest-attributes": "TRUE"}));
    assert_eq!(all["networkInterfaces"][0]["accessConfigs"][0]["externalIp"], "203.0.113.7");
    assert_eq!(all["maintenanceEvent"], "NONE");
}

#[tokio::test]
async fn a_guest_that_waits_hears_of_a_change_and_of_nothing_else() {
    let world = World::running().await;
    let base = world.emulator.instance_metadata_base("main-a").unwrap();
    let url = format!("{base}/computeMetadata/v1/instance/preempted");
    let first = world.http.get(&url).header("Metadata-Flavor", "Google").send().await.unwrap();
    let etag = first.headers()["etag"].to_str().unwrap().to_owned();
    let wait = format!("{url}?wait_for_change=true&last_etag={etag}");
    let waiting = tokio::spawn(world.http.get(wait).header("Metadata-Flavor", "Google").send());
    let fingerprint = world.instance(A).await["metadata"]["fingerprint"].clone();
    let other = json!({"fingerprint": fingerprint, "items": [{"key": "lease", "value": "8"}]}).to_string();
    world.accepted(&format!("{A}/setMetadata"), &other).await;
    world.emulator.preempt("main-a").unwrap();
    let told = waiting.await.unwrap().unwrap();
    assert_ne!(told.headers()["etag"], etag.as_str());
    assert_eq!(told.text().await.unwrap(), "TRUE");
}

#[tokio::test]
async fn a_guest_that_waits_in_vain_is_told_so_after_its_time() {
    // main-b has no longest run, so that however late the call arrives, there is somebody to answer it.
    let world = World::new().await;
    world.accepted(&format!("{B}/start"), "").await;
    world.pass(12).await;
    let base = world.emulator.instance_metadata_base("main-b").unwrap();
    let url = format!("{base}/computeMetadata/v1/instance/preempted?wait_for_change=true&timeout_sec=30");
    let waiting = tokio::spawn(world.http.get(url).header("Metadata-Flavor", "Google").send());
    // The thirty seconds begin when the call arrives: move the clock until it has answered.
    while !waiting.is_finished() {
        world.pass(15).await;
        world.status(B).await;
    }
    assert_eq!(waiting.await.unwrap().unwrap().text().await.unwrap(), "FALSE");
    let url = format!("{base}/computeMetadata/v1/instance/preempted?wait_for_change=true&last_etag=0");
    let stale = world.http.get(url).header("Metadata-Flavor", "Google").send().await.unwrap();
    assert_eq!(stale.text().await.unwrap(), "FALSE", "who has seen nothing yet does not wait");
}

#[tokio::test]
async fn what_a_guest_writes_can_be_read_from_outside() {
    let world = World::running().await;
    let attributes = format!("{A}/getGuestAttributes");
    assert_eq!(world.get(&format!("{attributes}?queryPath=pilotlight/")).await.0, 404, "nothing is written yet");
    let base = world.emulator.instance_metadata_base("main-a").unwrap();
    let put = |path: &str| {
        let url = format!("{base}/computeMetadata/v1/instance/guest-attributes/{path}");
        world.http.put(url).header("Metadata-Flavor", "Google").body("mounting")
    };
    assert_eq!(put("pilotlight/step").send().await.unwrap().status(), 200);
    assert_eq!(put("pilot%20light/step").send().await.unwrap().status(), 400);
    let (_, all) = world.get(&format!("{attributes}?queryPath=pilotlight/")).await;
    let items = json!([{"namespace": "pilotlight", "key": "step", "value": "mounting"}]);
    assert_eq!((&all["kind"], &all["queryValue"]["items"]), (&json!("compute#guestAttributes"), &items));
    let (_, one) = world.get(&format!("{attributes}?variableKey=pilotlight/step")).await;
    assert_eq!((&one["variableKey"], &one["variableValue"]), (&json!("pilotlight/step"), &json!("mounting")));

    let fingerprint = world.instance(A).await["metadata"]["fingerprint"].clone();
    world.accepted(&format!("{A}/setMetadata"), &json!({"fingerprint": fingerprint}).to_string()).await;
    assert_eq!(put("pilotlight/step").send().await.unwrap().status(), 403, "no longer enabled");
}
