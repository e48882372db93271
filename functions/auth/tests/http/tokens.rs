//! Tokens: how they may be sent, what makes them bad, how they end.

use std::time::Duration;

use axum::http::{Method, StatusCode};
use domain::SESSION_LIFE;
use jsonwebtoken::jwk::JwkSet;
use platform::identity::Identity as _;
use platform::identity::keys::SigningKey;
use serde_json::{Value, json};
use wire::SessionClaims;

use crate::house::{Ask, House, ISSUER, NOW};

fn claims() -> Value {
    let now = NOW.seconds();
    json!({"iss": ISSUER, "aud": SessionClaims::AUDIENCE, "sub": "ada", "jti": "one", "role": "user",
        "iat": now, "nbf": now, "exp": now + 3600})
}

fn with(name: &str, value: impl Into<Value>) -> Value {
    let mut claims = claims();
    claims[name] = value.into();
    claims
}

#[tokio::test]
async fn header_bearer_and_cookie_are_one_check() {
    let house = House::new();
    let token = house.sign_in("ada").await;
    let ways = [
        ("x-auth-token", token.clone()),
        ("authorization", format!("Bearer {token}")),
        ("authorization", format!("bearer  {token}")),
        ("cookie", format!("pilotlight_token={token}")),
        ("cookie", format!("theme=dark; pilotlight_token={token}; other=1")),
    ];
    for (name, value) in &ways {
        let answer = house.ask(Ask::get("/api/session").header(name, value)).await;
        assert_eq!(answer.status, StatusCode::OK, "{name}");
        assert_eq!(answer.json()["user"]["name"], "ada", "{name}");
        let forged = value.replace(&token, &format!("{token}x"));
        house.ask(Ask::get("/api/session").header(name, &forged)).await.is_problem(401, "invalid_token");
    }
    let out = house.ask(Ask::post("/api/logout").header("x-auth-token", &token)).await;
    assert_eq!(out.status, StatusCode::NO_CONTENT);
    for (name, value) in &ways {
        house.ask(Ask::get("/api/session").header(name, value)).await.is_problem(401, "token_revoked");
    }
}

#[tokio::test]
async fn without_a_token_one_is_told_how_to_sign_in() {
    let house = House::new();
    let answer = house.ask(Ask::get("/api/session")).await;
    answer.is_problem(401, "not_signed_in");
    assert!(answer.json()["hint"].as_str().unwrap().contains("/api/login"));
    assert_eq!(answer.header("www-authenticate"), "Bearer");
    house.ask(Ask::get("/api/session").header("authorization", "Basic YTpi")).await.is_problem(401, "not_signed_in");
    house.ask(Ask::post("/api/logout")).await.is_problem(401, "not_signed_in");
    house.ask(Ask::post("/api/session/refresh")).await.is_problem(401, "not_signed_in");
}

#[tokio::test]
async fn what_is_not_exactly_a_sign_in_of_ours_is_refused() {
    let house = House::new();
    let (other, _) = SigningKey::generate().unwrap();
    let day = SESSION_LIFE.0.cast_signed();
    let sign = |claims: Value| house.key.sign(&claims).unwrap();
    assert_eq!(house.session(&sign(claims())).await.status, StatusCode::OK, "the claims are good as such");
    let mut tampered: Vec<String> = sign(claims()).split('.').map(str::to_owned).collect();
    tampered[1] = sign(with("role", "admin")).split('.').nth(1).unwrap().to_owned();
    let wrongs = [
        ("forged", other.sign(&claims()).unwrap(), "invalid_token"),
        ("touched", tampered.join("."), "invalid_token"),
        ("no JWT", "nonsense".to_owned(), "invalid_token"),
        ("empty", String::new(), "invalid_token"),
        ("endless", "x".repeat(5000), "invalid_token"),
        ("issuer", sign(with("iss", "https://accounts.google.com")), "invalid_token"),
        ("audience", sign(with("aud", "https://comfy.example.com")), "invalid_token"),
        ("role", sign(with("role", "root")), "invalid_token"),
        ("no role", sign(with("role", Value::Null)), "invalid_token"),
        ("too long a life", sign(with("exp", NOW.seconds() + day + 1)), "invalid_token"),
        ("over", sign(with("exp", NOW.seconds())), "token_expired"),
        ("to come", sign(with("nbf", NOW.seconds() + 60)), "token_expired"),
    ];
    for (what, token, code) in wrongs {
        let answer = house.session(&token).await;
        assert_eq!(answer.json()["code"], code, "{what}: {}", answer.text());
        answer.is_problem(401, code);
    }
}

#[tokio::test]
async fn a_ticket_is_no_sign_in() {
    let house = House::new();
    let now = NOW.seconds();
    let ticket = json!({"iss": ISSUER, "aud": "https://comfy.example.com", "sub": "ada", "jti": "t", "iat": now,
        "nbf": now, "exp": now + 120, "use": "ticket", "workspace": "main", "run": 1, "session_exp": now + 3600});
    house.session(&house.key.sign(&ticket).unwrap()).await.is_problem(401, "invalid_token");
    let mut dressed_up = ticket;
    dressed_up["aud"] = SessionClaims::AUDIENCE.into();
    house.session(&house.key.sign(&dressed_up).unwrap()).await.is_problem(401, "invalid_token");
}

#[tokio::test]
async fn a_sign_in_ends_after_a_day() {
    let house = House::new();
    let token = house.sign_in("guest").await;
    house.clock.advance(SESSION_LIFE.duration() - Duration::from_secs(1));
    assert_eq!(house.session(&token).await.status, StatusCode::OK);
    house.clock.advance(Duration::from_secs(1));
    house.session(&token).await.is_problem(401, "token_expired");
    house.ask(Ask::post("/api/session/refresh").header("x-auth-token", &token)).await.is_problem(401, "token_expired");
}

#[tokio::test]
async fn signing_out_ends_this_sign_in_and_no_other_and_twice_is_once() {
    let house = House::new();
    let (first, second) = (house.sign_in("ada").await, house.sign_in("ada").await);
    for _ in 0..2 {
        let out = house.ask(Ask::post("/api/logout").header("x-auth-token", &first)).await;
        assert_eq!((out.status, out.body.len()), (StatusCode::NO_CONTENT, 0));
        assert!(!out.header("x-request-id").is_empty());
    }
    house.session(&first).await.is_problem(401, "token_revoked");
    assert_eq!(house.session(&second).await.status, StatusCode::OK);
    house.clock.advance(SESSION_LIFE.duration());
    let out = house.ask(Ask::post("/api/logout").header("x-auth-token", &second)).await;
    assert_eq!(out.status, StatusCode::NO_CONTENT, "over is over");
    house.ask(Ask::post("/api/logout").header("x-auth-token", "forged")).await.is_problem(401, "invalid_token");
}

#[tokio::test]
async fn a_refresh_gives_a_new_day_and_ends_the_old_token() {
    let house = House::new();
    let old = house.sign_in("ada").await;
    house.clock.advance(Duration::from_secs(3600));
    let answer = house.ask(Ask::post("/api/session/refresh").header("x-auth-token", &old)).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.header("cache-control"), "no-store");
    let reply = answer.json();
    assert_eq!(reply["user"], json!({"name": "ada", "role": "user"}));
    assert_eq!(reply["expires_at"], "2025-11-23T09:26:40.000Z");
    house.session(&old).await.is_problem(401, "token_revoked");
    house.ask(Ask::post("/api/session/refresh").header("x-auth-token", &old)).await.is_problem(401, "token_revoked");
    assert_eq!(house.session(reply["token"].as_str().unwrap()).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_refresh_follows_the_list_of_users_as_it_is_now() {
    let house = House::new();
    let renamed = house.key.sign(&with("sub", "leaver")).unwrap();
    let refresh = |token: &str| Ask::post("/api/session/refresh").header("x-auth-token", token);
    house.ask(refresh(&renamed)).await.is_problem(401, "user_unknown");
    let promoted = house.key.sign(&with("role", "admin")).unwrap();
    assert_eq!(house.ask(refresh(&promoted)).await.json()["user"], json!({"name": "ada", "role": "user"}));
}

#[tokio::test]
async fn a_cookie_sent_along_by_another_site_changes_nothing() {
    let house = House::new();
    let token = house.sign_in("ada").await;
    let from = |method: Method, path: &str, origin: &str| {
        let cookie = format!("pilotlight_token={token}");
        Ask::new(method, path).header("cookie", &cookie).header("origin", origin)
    };
    for origin in
        ["https://evil.example", "null", "https://pilotlight.example.com.evil.example", "pilotlight.example.com"]
    {
        house.ask(from(Method::POST, "/api/logout", origin)).await.is_problem(403, "cross_site");
        house.ask(from(Method::POST, "/api/session/refresh", origin)).await.is_problem(403, "cross_site");
        let looked = house.ask(from(Method::GET, "/api/session", origin)).await;
        assert_eq!(looked.status, StatusCode::OK, "{origin}");
        assert_eq!(looked.header("access-control-allow-origin"), "", "and cannot be read there");
    }
    let by_header = from(Method::POST, "/api/session/refresh", "https://evil.example").header("x-auth-token", &token);
    assert_eq!(house.ask(by_header).await.status, StatusCode::OK, "a header is no accident");
    let token = house.sign_in("ada").await;
    let own = Ask::post("/api/logout")
        .header("cookie", &format!("pilotlight_token={token}"))
        .header("origin", "https://pilotlight.example.com");
    assert_eq!(house.ask(own).await.status, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn the_page_from_its_own_origin_may_use_cookie_and_answers() {
    let house = House::with(|app| app.gate.page_origin = Some("https://page.example.com".into()));
    let token = house.sign_in("ada").await;
    let asked = Ask::post("/api/session/refresh")
        .header("cookie", &format!("pilotlight_token={token}"))
        .header("origin", "https://page.example.com");
    let answer = house.ask(asked).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.header("access-control-allow-origin"), "https://page.example.com");
    let preflight = Ask::new(Method::OPTIONS, "/api/login")
        .header("origin", "https://page.example.com")
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "content-type,x-auth-token");
    let allowed = house.ask(preflight).await;
    assert_eq!(allowed.status, StatusCode::OK);
    assert!(allowed.header("access-control-allow-headers").contains("x-auth-token"));
    assert_eq!(allowed.header("access-control-allow-credentials"), "", "cookies are not invited");
    let wrong_method = house.ask(Ask::get("/api/login").header("origin", "https://page.example.com")).await;
    wrong_method.is_problem(405, "method_not_allowed");
    assert_eq!(wrong_method.header("access-control-allow-origin"), "https://page.example.com");
}

#[tokio::test]
async fn what_is_published_checks_what_was_signed() {
    let (own, other) = (SigningKey::generate().unwrap().0, SigningKey::generate().unwrap().0);
    let others = JwkSet { keys: vec![other.public().clone()] };
    let keys = auth::Keys::new(std::slice::from_ref(&own), others).unwrap();
    let house = House::with(|app| {
        app.gate.identity = std::sync::Arc::new(keys.verifier(ISSUER));
        app.keys = std::sync::Arc::new(keys);
    });
    let answer = house.ask(Ask::get("/.well-known/jwks.json")).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.header("cache-control"), "public, max-age=300");
    let published: JwkSet = serde_json::from_slice(&answer.body).unwrap();
    let ids: Vec<_> = published.keys.iter().map(|key| key.common.key_id.clone().unwrap()).collect();
    assert_eq!(ids, [own.key_id(), other.key_id()]);

    let token = house.sign_in("admin").await;
    let sources = platform::identity::jwks::JwksSources::none().with_ours(ISSUER, &published);
    let verifier = platform::identity::jwks::JwksVerifier::new(sources);
    let expected = platform::identity::Expected { issuers: &[ISSUER], audience: SessionClaims::AUDIENCE, now: NOW };
    let claims = verifier.verify(&token, expected).await.unwrap();
    assert_eq!((&claims["sub"], &claims["role"]), (&json!("admin"), &json!("admin")));
    let by_other = other.sign(&with("jti", "two")).unwrap();
    assert_eq!(house.session(&by_other).await.status, StatusCode::OK, "a published key's tokens are good");
}
