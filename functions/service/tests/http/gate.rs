//! Who is asking: people by our tokens, machines by Google's.

use std::sync::{Arc, Mutex};

use axum::http::{HeaderMap, Method};
use domain::{Act, Role, SESSION_LIFE, Seconds, Session, Timestamp};
use platform::clock::ManualClock;
use platform::identity::{Expected, Identity, TokenRefused};
use platform::signin::MemorySigninStore;
use serde_json::{Value, json};
use service::{Gate, OidcGate, SignedIn};
use wire::SessionClaims;

const NOW: Timestamp = Timestamp::from_seconds(1_763_800_000);

/// Believes what a test tells it to.
#[derive(Debug, Default)]
struct Told {
    claims: Value,
    keys_away: bool,
    /// Token, issuers and audience of each check.
    asked: Mutex<Vec<(String, Vec<String>, String)>>,
}

#[async_trait::async_trait]
impl Identity for Told {
    async fn verify(&self, token: &str, expected: Expected<'_>) -> Result<Value, TokenRefused> {
        let issuers = expected.issuers.iter().map(|&issuer| issuer.to_owned()).collect();
        self.asked.lock().unwrap().push((token.to_owned(), issuers, expected.audience.to_owned()));
        if self.keys_away {
            return Err(TokenRefused::KeysUnavailable(anyhow::anyhow!("no route to keys.internal")));
        }
        if token == "good" { Ok(self.claims.clone()) } else { Err(TokenRefused::BadSignature) }
    }
}

fn session(role: Role) -> Session {
    Session { id: "one".into(), user: "ada".into(), role, issued_at: NOW, expires_at: NOW + SESSION_LIFE }
}

fn claims() -> Value {
    serde_json::to_value(SessionClaims::of(&session(Role::User), "pilotlight")).unwrap()
}

fn gate(told: Told) -> (Arc<Told>, Gate) {
    let identity = Arc::new(told);
    let clock = Arc::new(ManualClock::at(NOW));
    let gate = Gate {
        identity: identity.clone(),
        signin: Arc::new(MemorySigninStore::new(clock.clone())),
        clock,
        issuer: "pilotlight".into(),
        page_origin: Some("https://page.example.com".into()),
    };
    (identity, gate)
}

fn headers(list: &[(&'static str, &str)]) -> HeaderMap {
    list.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
}

/// The code of the refusal, or `""`.
async fn refusal(gate: &Gate, method: Method, list: &[(&'static str, &str)]) -> (u16, &'static str) {
    match gate.check(&method, &headers(list)).await {
        Ok(_) => (200, ""),
        Err(refused) => (refused.status().as_u16(), refused.code()),
    }
}

#[tokio::test]
async fn a_token_is_checked_as_ours_and_for_people() {
    let (identity, gate) = gate(Told { claims: claims(), ..Told::default() });
    let found = gate.check(&Method::POST, &headers(&[("x-auth-token", "good")])).await.unwrap();
    assert_eq!(found, session(Role::User));
    let asked = identity.asked.lock().unwrap().clone();
    assert_eq!(asked, [("good".into(), vec!["pilotlight".to_owned()], SessionClaims::AUDIENCE.to_owned())]);
}

#[tokio::test]
async fn the_header_comes_first_then_bearer_then_the_cookie() {
    let (identity, gate) = gate(Told { claims: claims(), ..Told::default() });
    let all = [("x-auth-token", "first"), ("authorization", "Bearer second"), ("cookie", "pilotlight_token=third")];
    for skipped in 0..all.len() {
        assert_eq!(refusal(&gate, Method::GET, &all[skipped..]).await, (401, "invalid_token"));
    }
    let tokens: Vec<String> = identity.asked.lock().unwrap().iter().map(|(token, ..)| token.clone()).collect();
    assert_eq!(tokens, ["first", "second", "third"]);
}

#[tokio::test]
async fn what_cannot_be_a_token_is_not_even_checked() {
    let (identity, gate) = gate(Told { claims: claims(), ..Told::default() });
    let long = "x".repeat(5000);
    for list in [[("x-auth-token", "")], [("x-auth-token", long.as_str())], [("cookie", "pilotlight_token=")]] {
        assert_eq!(refusal(&gate, Method::GET, &list).await, (401, "invalid_token"));
    }
    for list in
        [[("cookie", "pilotlight_tokens=good")], [("cookie", "pilotlight_token")], [("authorization", "Basic good")]]
    {
        assert_eq!(refusal(&gate, Method::GET, &list).await, (401, "not_signed_in"));
    }
    assert!(identity.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_cookie_changes_something_only_from_our_own_page() {
    let (_, gate) = gate(Told { claims: claims(), ..Told::default() });
    let from = |origin: Option<&'static str>| {
        let mut list = vec![("cookie", "a=b; pilotlight_token=good"), ("host", "api.example.com")];
        list.extend(origin.map(|origin| ("origin", origin)));
        list
    };
    for own in
        [None, Some("https://api.example.com"), Some("https://API.example.com"), Some("https://page.example.com")]
    {
        assert_eq!(refusal(&gate, Method::POST, &from(own)).await, (200, ""), "{own:?}");
    }
    let others = [
        "https://evil.example",
        "null",
        "",
        "https://api.example.com:8443",
        "https://api.example.com.evil.example",
        "https://page.example.com.evil.example",
        "http://page.example.com",
    ];
    for other in others {
        assert_eq!(refusal(&gate, Method::POST, &from(Some(other))).await, (403, "cross_site"), "{other}");
        assert_eq!(refusal(&gate, Method::DELETE, &from(Some(other))).await, (403, "cross_site"), "{other}");
        assert_eq!(refusal(&gate, Method::GET, &from(Some(other))).await, (200, ""), "{other}");
    }
    let hostless = [("cookie", "pilotlight_token=good"), ("origin", "://")];
    assert_eq!(refusal(&gate, Method::POST, &hostless).await, (403, "cross_site"));
}

#[tokio::test]
async fn claims_that_are_no_sign_in_of_ours_are_refused() {
    let with = |name: &str, value: Value| {
        let mut claims = claims();
        claims[name] = value;
        claims
    };
    let over = NOW.seconds() + SESSION_LIFE.0.cast_signed();
    let wrongs = [
        (with("role", "root".into()), "invalid_token"),
        (with("jti", Value::Null), "invalid_token"),
        (with("exp", (over + 1).into()), "invalid_token"),
        (with("iat", (NOW.seconds() + 31).into()), "invalid_token"),
        (with("exp", NOW.seconds().into()), "token_expired"),
        (json!([]), "invalid_token"),
    ];
    for (claims, code) in wrongs {
        let (_, gate) = gate(Told { claims: claims.clone(), ..Told::default() });
        assert_eq!(refusal(&gate, Method::GET, &[("x-auth-token", "good")]).await, (401, code), "{claims}");
    }
}

#[tokio::test]
async fn a_revoked_sign_in_is_over_and_when_keys_are_away_nobody_is_judged() {
    let (_, revoking) = gate(Told { claims: claims(), ..Told::default() });
    revoking.signin.revoke("one", NOW + Seconds(60)).await.unwrap();
    assert_eq!(refusal(&revoking, Method::GET, &[("x-auth-token", "good")]).await, (401, "token_revoked"));
    let (_, away) = gate(Told { keys_away: true, ..Told::default() });
    assert_eq!(refusal(&away, Method::GET, &[("x-auth-token", "good")]).await, (503, "unavailable"));
}

#[test]
fn a_viewer_may_look_and_is_told_why_not_more() {
    let viewer = SignedIn(session(Role::Viewer));
    assert!(viewer.require(Act::Look).is_ok());
    let refused = viewer.require(Act::Use).unwrap_err();
    assert_eq!((refused.status().as_u16(), refused.code()), (403, "role_may_not"));
    assert!(SignedIn(session(Role::User)).require(Act::Use).is_ok());
}

fn google(email: &str, verified: bool) -> Value {
    json!({"sub": "1", "email": email, "email_verified": verified})
}

async fn oidc(told: Told, list: &[(&'static str, &str)]) -> (u16, &'static str) {
    let gate = OidcGate {
        identity: Arc::new(told),
        clock: Arc::new(ManualClock::at(NOW)),
        audience: "https://lifecycle.example.com".into(),
        emails: vec!["push@p.iam.gserviceaccount.com".into()],
    };
    match gate.check(&headers(list)).await {
        Ok(who) => (200, if who.email == "push@p.iam.gserviceaccount.com" { "" } else { "somebody else" }),
        Err(refused) => (refused.status().as_u16(), refused.code()),
    }
}

#[tokio::test]
async fn a_machine_is_let_in_by_its_verified_name_alone() {
    let told = |claims: Value| Told { claims, ..Told::default() };
    let good = || google("push@p.iam.gserviceaccount.com", true);
    let token = [("authorization", "Bearer good")];
    assert_eq!(oidc(told(good()), &token).await, (200, ""));
    assert_eq!(oidc(told(good()), &[("authorization", "bearer good")]).await, (200, ""));
    assert_eq!(oidc(told(google("other@p.iam.gserviceaccount.com", true)), &token).await, (403, "wrong_caller"));
    assert_eq!(oidc(told(google("push@p.iam.gserviceaccount.com", false)), &token).await, (403, "wrong_caller"));
    assert_eq!(oidc(told(json!({"sub": "1"})), &token).await, (401, "invalid_identity"));
    assert_eq!(oidc(told(good()), &[("authorization", "Bearer forged")]).await, (401, "invalid_identity"));
    assert_eq!(oidc(told(good()), &[("x-auth-token", "good")]).await, (401, "no_identity"));
    assert_eq!(oidc(told(good()), &[]).await, (401, "no_identity"));
    assert_eq!(oidc(Told { keys_away: true, ..Told::default() }, &token).await, (503, "unavailable"));
}
