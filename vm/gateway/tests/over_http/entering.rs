//! Who is let in, and how.

use std::time::Duration;

use platform::clock::ManualClock;
use platform::identity::keys::SigningKey;
use reqwest::{Method, Response};
use wire::SessionClaims;

use crate::control_plane::{Says, reply};
use crate::world::{NOW, PAGE_ORIGIN, Setup, World, begin, code_of, ready, ready_with, while_time_passes};

fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    response.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

#[tokio::test]
async fn a_ticket_becomes_a_cookie_that_works_in_a_frame_of_another_site() {
    let world = ready().await;
    let response = world.show(&world.ticket(|_| {})).await;
    assert_eq!(response.status(), 303);
    assert_eq!(header(&response, "location"), "/");
    assert_eq!(header(&response, "referrer-policy"), "no-referrer");
    assert_eq!(header(&response, "cache-control"), "no-store");
    let cookie = header(&response, "set-cookie");
    let (value, attributes) = cookie.split_once("; ").unwrap();
    assert_eq!(attributes, "Path=/; Secure; HttpOnly; SameSite=None; Partitioned");
    let secret = value.strip_prefix("__Host-pilotlight=").unwrap();
    assert!(secret.len() == 64 && secret.chars().all(|c| c.is_ascii_hexdigit()), "{secret}");
    assert_eq!(world.get("/view", value).await.status(), 200);
}

#[tokio::test]
async fn a_ticket_lets_in_once() {
    let world = ready().await;
    let ticket = world.ticket(|_| {});
    assert_eq!(world.show(&ticket).await.status(), 303);
    let again = world.show(&ticket).await;
    assert_eq!(again.status(), 401);
    assert!(again.headers().get("set-cookie").is_none());
    assert!(again.text().await.unwrap().contains("has been used"));
}

#[tokio::test]
async fn tickets_that_are_not_for_here_and_now_are_refused_in_plain_words() {
    let world = ready().await;
    let now = NOW.seconds();
    let (stranger, _) = SigningKey::generate().unwrap();
    let good: wire::TicketClaims = serde_json::from_value(payload(&world.ticket(|_| {}))).unwrap();
    let session = SessionClaims {
        iss: "pilotlight".into(),
        aud: world.origin.clone(),
        sub: "ada".into(),
        jti: "x".into(),
        iat: now,
        nbf: now,
        exp: now + 100,
        role: "admin".into(),
    };
    let ticket = world.ticket(|_| {});
    let (signed, signature) = ticket.rsplit_once('.').unwrap();
    // All six bits of the first letter are the signature's; of the last, only two are.
    let other = if signature.starts_with('A') { 'B' } else { 'A' };
    let tampered = format!("{signed}.{other}{}", &signature[1..]);
    let cases = [
        ("expired", world.ticket(|claims| claims.exp = now - 60), 401, "expired"),
        (
            "expired a moment ago, within the leeway of clocks",
            world.ticket(|claims| claims.exp = now - 1),
            401,
            "expired",
        ),
        ("of a sign-in that is over", world.ticket(|claims| claims.session_exp = now), 401, "expired"),
        ("another run", world.ticket(|claims| claims.run = 2), 403, "another run"),
        (
            "another gateway",
            world.ticket(|claims| claims.aud = "https://elsewhere.example".into()),
            403,
            "another machine",
        ),
        ("another workspace", world.ticket(|claims| claims.workspace = "other".into()), 403, "another machine"),
        ("another issuer", world.ticket(|claims| claims.iss = "somebody".into()), 403, "another machine"),
        ("another purpose", world.ticket(|claims| claims.purpose = "session".into()), 401, "not valid"),
        ("no workspace's", world.ticket(|claims| claims.workspace = "../etc".into()), 401, "not valid"),
        ("a stranger's", stranger.sign(&good).unwrap(), 401, "not valid"),
        ("no ticket but a sign-in", stranger.sign(&session).unwrap(), 401, "not valid"),
        ("tampered", tampered, 401, "not valid"),
        ("nonsense", "nonsense".into(), 401, "not valid"),
        ("empty", String::new(), 401, "not valid"),
        ("huge", "x".repeat(9000), 401, "not valid"),
    ];
    for (what, ticket, status, words) in cases {
        let response = world.show(&ticket).await;
        assert_eq!(response.status(), status, "{what}");
        assert_eq!(header(&response, "content-type"), "text/html; charset=utf-8", "{what}");
        assert!(header(&response, "content-security-policy").ends_with(&format!("frame-ancestors {PAGE_ORIGIN}")));
        assert!(response.headers().get("set-cookie").is_none(), "{what}");
        let page = response.text().await.unwrap();
        assert!(page.contains(words) && page.contains("/_pilotlight/ended.js"), "{what}: {page}");
    }
}

fn payload(token: &str) -> serde_json::Value {
    use base64::Engine as _;
    let claims = base64::prelude::BASE64_URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
    serde_json::from_slice(&claims).unwrap()
}

#[tokio::test]
async fn the_way_in_is_a_get_with_a_ticket() {
    let world = ready().await;
    assert_eq!(world.get("/_enter", "").await.status(), 401);
    assert_eq!(world.get("/_enter?other=1", "").await.status(), 401);
    let ticket = world.ticket(|_| {});
    for method in [Method::POST, Method::HEAD] {
        let response = world.ask(method, &format!("/_enter?ticket={ticket}"), "").send().await.unwrap();
        assert_eq!(response.status(), 405);
    }
    assert_eq!(world.show(&ticket).await.status(), 303, "asking wrongly has not used it up");
}

#[tokio::test]
async fn a_frame_s_own_navigation_is_no_foreign_request() {
    let world = ready().await;
    let request = world.ask(Method::GET, &format!("/_enter?ticket={}", world.ticket(|_| {})), "");
    let request = request.header("sec-fetch-site", "cross-site").header("sec-fetch-mode", "navigate");
    assert_eq!(request.header("sec-fetch-dest", "iframe").send().await.unwrap().status(), 303);
}

#[tokio::test]
async fn without_a_cookie_a_person_gets_a_page_and_a_program_a_problem() {
    let world = ready().await;
    let page = world.ask(Method::GET, "/", "").header("sec-fetch-mode", "navigate").send().await.unwrap();
    assert_eq!(page.status(), 401);
    assert!(header(&page, "content-security-policy").contains("frame-ancestors"));
    assert!(page.text().await.unwrap().contains("/_pilotlight/ended.js"));
    for (method, path) in
        [(Method::GET, "/queue"), (Method::POST, "/prompt"), (Method::GET, "/_pilotlight/session.json")]
    {
        let problem = world.ask(method, path, "").send().await.unwrap();
        assert_eq!(problem.status(), 401, "{path}");
        assert_eq!(header(&problem, "content-type"), "application/problem+json");
        assert_eq!(code_of(problem).await, "session_needed");
    }
    let made_up = format!("__Host-pilotlight={}", "0".repeat(64));
    assert_eq!(world.get("/queue", &made_up).await.status(), 401);
}

#[tokio::test]
async fn several_users_are_in_at_once_and_each_leaves_alone() {
    let clock = ManualClock::at(NOW);
    let world = ready_with(World::manual_clock(&clock)).await;
    let ada = world.enter_until(NOW + domain::Seconds(600)).await;
    let bob = world.enter().await;
    assert_ne!(ada, bob);
    for cookie in [&ada, &bob] {
        assert_eq!(world.get("/view", cookie).await.status(), 200);
    }
    clock.advance(Duration::from_secs(600));
    assert_eq!(world.get("/view", &ada).await.status(), 401);
    assert_eq!(world.get("/view", &bob).await.status(), 200);
}

#[tokio::test]
async fn whoever_comes_before_the_run_is_known_waits_for_it() {
    let clock = ManualClock::at(NOW);
    let world = begin(Setup { says: Says::Noise, ..World::manual_clock(&clock) }).await;
    world.control.beat_where(0, |_| true).await;
    let ticket = world.ticket(|_| {});
    let mut entering = std::pin::pin!(world.show(&ticket));
    let early = tokio::time::timeout(Duration::from_millis(300), entering.as_mut()).await;
    assert!(early.is_err(), "let in, or sent away, before the run was known");
    world.control.says(Says::Reply(reply(3, "Running")));
    let response = while_time_passes(&clock, Duration::from_secs(1), entering).await;
    assert_eq!(response.status(), 303);
}

#[tokio::test]
async fn when_the_run_changes_all_who_were_in_are_out() {
    let clock = ManualClock::at(NOW);
    let world = ready_with(World::manual_clock(&clock)).await;
    let cookie = world.enter().await;
    world.control.says(Says::WrongRun);
    let second = Duration::from_secs(1);
    let told = world.control.beat_where(2, |beat| beat.body.run == Some(3));
    let (at, _) = while_time_passes(&clock, second, told).await;
    world.control.says(Says::Reply(reply(4, "Running")));
    while_time_passes(&clock, second, world.control.beat_where(at + 1, |beat| beat.body.run == Some(4))).await;
    assert_eq!(world.get("/view", &cookie).await.status(), 401);
    assert_eq!(world.show(&world.ticket(|_| {})).await.status(), 403, "a ticket for the old run");
    assert_eq!(world.show(&world.ticket(|claims| claims.run = 4)).await.status(), 303);
}
