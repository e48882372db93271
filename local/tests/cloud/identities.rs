//! Who may speak to the functions: tokens that are forged, of somebody else, or missing.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use reqwest::Method;
use serde_json::{Value, json};

use crate::pilotlight::{A, Answer, Pilotlight};
use crate::processes::variable;

async fn beat(pilotlight: &Pilotlight, token: Option<&str>, run: u64) -> Answer {
    let body =
        json!({"workspace": "main", "run": run, "comfyui_up": true, "reading": {"state": "busy", "signal": "Queue"}});
    speak(pilotlight, "/vm/heartbeat", token, &body).await
}

async fn speak(pilotlight: &Pilotlight, path: &str, token: Option<&str>, body: &Value) -> Answer {
    let request = pilotlight.request(Method::POST, path).json(body);
    pilotlight
        .send(match token {
            Some(token) => request.bearer_auth(token),
            None => request,
        })
        .await
}

/// What the VM itself would be given by its metadata server.
async fn token_of_the_vm(pilotlight: &Pilotlight, audience: &str) -> String {
    let metadata = variable(pilotlight.gateway_pid(A).await, "METADATA").unwrap();
    let path = "/computeMetadata/v1/instance/service-accounts/default/identity";
    let url =
        reqwest::Url::parse_with_params(&format!("{metadata}{path}"), [("audience", audience), ("format", "full")]);
    let request = pilotlight.request(Method::GET, url.unwrap().as_str()).header("metadata-flavor", "Google");
    let answer = pilotlight.send(request).await;
    answer.body.as_str().unwrap().trim().to_owned()
}

fn part(token: &str, at: usize) -> Value {
    let part = token.split('.').nth(at).unwrap();
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

fn encoded(value: &Value) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(value.to_string())
}

#[tokio::test]
async fn a_heartbeat_with_a_forged_token_is_refused_and_changes_nothing() {
    let pilotlight = Pilotlight::start(&[]).await;
    let run = pilotlight.ready().await["run"].as_u64().unwrap();
    let good = token_of_the_vm(&pilotlight, &pilotlight.base).await;
    let [header, claims, signature] = good.split('.').collect::<Vec<_>>().try_into().unwrap();
    let mut other = part(&good, 1);
    other["google"]["compute_engine"]["instance_name"] = json!("comfyui-main-b");
    let none = json!({"alg": "none", "typ": "JWT"});
    let hmac = json!({"alg": "HS256", "typ": "JWT", "kid": part(&good, 0)["kid"]});
    let stranger = json!({"alg": "RS256", "typ": "JWT", "kid": "stranger"});
    for forged in [
        "garbage".to_owned(),
        // Signed, but for other claims.
        format!("{header}.{}.{signature}", encoded(&other)),
        format!("{header}.{claims}."),
        format!("{}.{claims}.", encoded(&none)),
        format!("{}.{claims}.{signature}", encoded(&hmac)),
        format!("{}.{claims}.{signature}", encoded(&stranger)),
    ] {
        beat(&pilotlight, Some(&forged), run).await.refused(401, "invalid_identity");
    }
    beat(&pilotlight, None, run).await.refused(401, "no_identity");
    let elsewhere = token_of_the_vm(&pilotlight, "https://elsewhere.example.com").await;
    beat(&pilotlight, Some(&elsewhere), run).await.refused(403, "wrong_caller");
    beat(&pilotlight, Some(&good), run + 1).await.refused(409, "wrong_run");
    assert!(pilotlight.view().await["active_because"].is_null(), "none of them kept it alive");

    // What was refused was refused for its token: the very same words with the VM's own are taken.
    let taken = beat(&pilotlight, Some(&good), run).await;
    assert_eq!((taken.status.as_u16(), &taken.body["wish"]), (200, &json!("Running")), "{taken:?}");
    assert_eq!(pilotlight.view().await["active_because"], "Queue");
}

#[tokio::test]
async fn only_google_may_push_and_sweep() {
    let pilotlight = Pilotlight::start(&[]).await;
    pilotlight.ready().await;
    // Really signed by the identity provider, and of the wrong account.
    let vm = token_of_the_vm(&pilotlight, &pilotlight.base).await;
    let data = base64::prelude::BASE64_STANDARD.encode(json!({"workspace": "main"}).to_string());
    let envelope =
        json!({"message": {"data": data, "messageId": "1"}, "subscription": "projects/local/subscriptions/nudges"});
    for path in ["/push/nudge", "/push/compute-events", "/sweep"] {
        speak(&pilotlight, path, None, &envelope).await.refused(401, "no_identity");
        speak(&pilotlight, path, Some("garbage"), &envelope).await.refused(401, "invalid_identity");
        speak(&pilotlight, path, Some(&vm), &envelope).await.refused(403, "wrong_caller");
    }
}

#[tokio::test]
async fn nobody_gets_anywhere_without_the_password() {
    let pilotlight = Pilotlight::start(&[]).await;
    let wrong = pilotlight.post("/api/login", json!({"user": "admin", "password": "wrong"})).await;
    assert_eq!(wrong.status.as_u16(), 401, "{wrong:?}");
    let stranger = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!("{}/api/workspaces/main/start", pilotlight.base);
    assert_eq!(stranger.post(&url).send().await.unwrap().status().as_u16(), 401);
    let forged = stranger.post(&url).header("x-auth-token", "e30.e30.e30").send().await.unwrap();
    assert_eq!(forged.status().as_u16(), 401);
    assert_eq!(pilotlight.view().await["phase"], "Stopped");
    assert_eq!(pilotlight.post("/api/logout", json!({})).await.status.as_u16(), 204);
    assert_eq!(pilotlight.get("/api/workspaces/main").await.status.as_u16(), 401, "signed out is signed out");
}
