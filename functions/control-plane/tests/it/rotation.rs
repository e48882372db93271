//! A signing key is replaced, and nobody is signed out:
//!
//! ```text
//! 1  SIGNING_KEY=A                           A signs
//! 2  SIGNING_KEY=A B                         B is published, and known everywhere within five minutes
//! 3  SIGNING_KEY=B A                         B signs
//! 4  SIGNING_KEY=B    VERIFYING_KEYS=A       A's private half is gone; what it signed is still good
//! 5  SIGNING_KEY=B                           A is gone: a day after 3, when nothing that it signed is left
//! ```

use std::time::Duration;

use axum::http::StatusCode;
use platform::identity::TokenRefused;
use platform::identity::keys::SigningKey;
use serde_json::json;

use crate::plane::{Plane, Secrets};

/// As long as auth lets others keep its keys.
const KEYS_FRESH: Duration = Duration::from_secs(300);
const IN: [StatusCode; 2] = [StatusCode::OK, StatusCode::OK];

struct Key {
    id: String,
    pem: String,
    public: String,
}

fn key() -> Key {
    let (key, pem) = SigningKey::generate().unwrap();
    Key { id: key.key_id().to_owned(), pem, public: json!({"keys": [key.public()]}).to_string() }
}

fn secrets(signing: &[&Key], verifying: Option<&Key>) -> Secrets {
    let signing = signing.iter().map(|key| key.pem.as_str()).collect();
    Secrets { signing, verifying: verifying.map(|key| key.public.clone()).unwrap_or_default() }
}

/// The name of the key that has signed a token or a ticket.
fn signed_by(token: &str) -> String {
    jsonwebtoken::decode_header(token).unwrap().kid.unwrap()
}

/// Starts one function anew with `secrets`, then the other. Whoever was in stays in all the while, with the keys that
/// lifecycle and the gateway had kept and with those that they fetch; and so does whoever comes meanwhile.
async fn rotate(plane: &Plane, secrets: &Secrets, people: &mut Vec<String>, auth_first: bool) {
    let ticket = plane.ticket(&people[0]).await;
    for step in [auth_first, !auth_first] {
        if step {
            plane.restart_auth(secrets);
        } else {
            plane.restart_lifecycle(secrets);
        }
        everybody_is_in(plane, people).await;
        assert!(plane.opens(&ticket).await.iter().all(Result::is_ok), "a ticket given before");
        people.push(plane.sign_in().await);
    }
    plane.clock.advance(KEYS_FRESH);
    everybody_is_in(plane, people).await;
}

async fn everybody_is_in(plane: &Plane, people: &[String]) {
    for token in people {
        assert_eq!(plane.admits(token).await, IN);
        assert!(plane.opens(&plane.ticket(token).await).await.iter().all(Result::is_ok), "a new ticket");
    }
}

#[tokio::test]
async fn nobody_is_signed_out_while_a_key_takes_the_place_of_another() {
    for auth_first in [true, false] {
        let (a, b) = (key(), key());
        let plane = Plane::start(&secrets(&[&a], None)).await;
        let mut people = vec![plane.sign_in().await];
        assert_eq!(plane.published().await, [a.id.as_str()]);
        everybody_is_in(&plane, &people).await;

        rotate(&plane, &secrets(&[&a, &b], None), &mut people, auth_first).await;
        assert_eq!(plane.published().await, [a.id.as_str(), &b.id]);
        assert_eq!(signed_by(people.last().unwrap()), a.id, "B is known, and does not sign yet");

        rotate(&plane, &secrets(&[&b, &a], None), &mut people, auth_first).await;
        assert_eq!(plane.published().await, [b.id.as_str(), &a.id]);
        let newest = people.last().unwrap();
        assert_eq!([signed_by(newest), signed_by(&plane.ticket(newest).await)], [b.id.clone(), b.id.clone()]);

        rotate(&plane, &secrets(&[&b], Some(&a)), &mut people, auth_first).await;
        assert_eq!(plane.published().await, [b.id.as_str(), &a.id]);
        assert_eq!(signed_by(&people[0]), a.id, "the first one is in by A still");
    }
}

#[tokio::test]
async fn what_a_key_has_signed_is_refused_when_the_key_is_gone() {
    let (a, b) = (key(), key());
    let plane = Plane::start(&secrets(&[&a], None)).await;
    let (stays, forgets) = (plane.sign_in().await, plane.sign_in().await);
    let secrets_of_b = secrets(&[&b], Some(&a));
    plane.restart_auth(&secrets_of_b);
    let ticket = plane.ticket(&forgets).await;
    plane.restart_lifecycle(&secrets_of_b);
    // The page asks for a new token by itself long before the old one ends.
    let stays = plane.refresh(&stays).await;
    assert_eq!([signed_by(&stays), signed_by(&forgets)], [b.id.clone(), a.id.clone()]);
    assert_eq!([plane.admits(&stays).await, plane.admits(&forgets).await], [IN, IN]);
    assert!(plane.opens(&ticket).await.iter().all(Result::is_ok));

    plane.restart_auth(&secrets(&[&b], None));
    assert_eq!(plane.published().await, [b.id.as_str()]);
    let [auth, lifecycle] = plane.admits(&forgets).await;
    assert_eq!([auth, lifecycle], [StatusCode::UNAUTHORIZED, StatusCode::OK], "lifecycle keeps keys for five minutes");
    let [running, started] = plane.opens(&ticket).await;
    assert!(running.is_ok() && matches!(started, Err(TokenRefused::BadSignature)), "{started:?}");

    plane.clock.advance(KEYS_FRESH);
    assert_eq!(plane.admits(&forgets).await, [StatusCode::UNAUTHORIZED; 2]);
    let [running, started] = plane.opens(&ticket).await;
    for refused in [running, started] {
        assert!(matches!(refused, Err(TokenRefused::BadSignature)), "{refused:?}");
    }
    assert_eq!(plane.admits(&stays).await, IN);
    assert!(plane.opens(&plane.ticket(&stays).await).await.iter().all(Result::is_ok));
}

#[tokio::test]
async fn a_key_that_nobody_was_told_of_signs_nobody_in() {
    let (a, b) = (key(), key());
    let plane = Plane::start(&secrets(&[&a], None)).await;
    let token = plane.sign_in().await;
    assert_eq!(plane.admits(&token).await, IN);
    // lifecycle alone has the new key: its tickets name a key that auth does not publish.
    plane.restart_lifecycle(&secrets(&[&b, &a], None));
    let ticket = plane.ticket(&token).await;
    assert_eq!(signed_by(&ticket), b.id);
    for refused in plane.opens(&ticket).await {
        assert!(matches!(refused, Err(TokenRefused::BadSignature)), "{refused:?}");
    }
}
