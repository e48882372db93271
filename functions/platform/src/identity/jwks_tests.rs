//! The verifier against endpoints on loopback, with time set by hand.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use futures_util::future::join_all;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{EncodingKey, Header};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::super::key_cache::{KEYS_FRESH_DEFAULT, KEYS_KEPT_MAX, UNKNOWN_KEY_EVERY};
use super::super::keys::{SigningKey, jwks};
use super::super::verify_google;
use super::*;

const NOW: Timestamp = Timestamp::from_seconds(1_763_800_000);
const ISSUER: &str = "https://auth.example.com";
const AUDIENCE: &str = "pilotlight";
const GOOGLE: &str = GOOGLE_ISSUERS[0];

/// Publishes a key set, and counts how often it is asked.
struct KeyServer {
    url: String,
    asked: Arc<AtomicUsize>,
    answer: Arc<Mutex<(&'static str, String)>>,
    task: tokio::task::JoinHandle<()>,
}

impl KeyServer {
    async fn publishing(set: &JwkSet) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/jwks.json", listener.local_addr().unwrap());
        let asked = Arc::new(AtomicUsize::new(0));
        let answer = Arc::new(Mutex::new(("200 OK", serde_json::to_string(set).unwrap())));
        let task = tokio::spawn({
            let (asked, answer) = (asked.clone(), answer.clone());
            async move {
                while let Ok((mut socket, _)) = listener.accept().await {
                    let mut request = [0; 4096];
                    let _ = socket.read(&mut request).await;
                    asked.fetch_add(1, Ordering::SeqCst);
                    let (status, body) = answer.lock().unwrap().clone();
                    let head =
                        format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
                    let _ = socket.write_all((head + &body).as_bytes()).await;
                }
            }
        });
        Self { url, asked, answer, task }
    }

    fn answers(&self, status: &'static str, body: impl Into<String>) {
        *self.answer.lock().unwrap() = (status, body.into());
    }

    fn publishes(&self, set: &JwkSet) {
        self.answers("200 OK", serde_json::to_string(set).unwrap());
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

impl Drop for KeyServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A key as Google's: RS256.
struct GoogleKey {
    encoding: EncodingKey,
    jwk: Jwk,
}

impl GoogleKey {
    fn new(key_id: &str) -> Self {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let der = AsDer::<Pkcs8V1Der<'_>>::as_der(&pair).unwrap();
        let pem = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", wrapped(der.as_ref()));
        let encoding = EncodingKey::from_rsa_pem(pem.as_bytes()).unwrap();
        let mut jwk = Jwk::from_encoding_key(&encoding, Algorithm::RS256).unwrap();
        jwk.common.key_id = Some(key_id.into());
        Self { encoding, jwk }
    }

    fn sign(&self, claims: &Value) -> String {
        let header = Header { kid: self.jwk.common.key_id.clone(), ..Header::new(Algorithm::RS256) };
        jsonwebtoken::encode(&header, claims, &self.encoding).unwrap()
    }
}

fn wrapped(der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect::<Vec<_>>().join("\n")
}

fn claims() -> Value {
    let now = NOW.seconds();
    json!({"iss": ISSUER, "aud": AUDIENCE, "sub": "admin", "iat": now, "nbf": now, "exp": now + 3600})
}

fn with(name: &str, value: impl Into<Value>) -> Value {
    let mut claims = claims();
    claims[name] = value.into();
    claims
}

fn without(name: &str) -> Value {
    let mut claims = claims();
    claims.as_object_mut().unwrap().remove(name);
    claims
}

fn key() -> SigningKey {
    SigningKey::generate().unwrap().0
}

fn holding(key: &SigningKey) -> JwksVerifier {
    JwksVerifier::new(JwksSources::none().with_ours(ISSUER, &jwks(std::slice::from_ref(key))))
}

async fn check_at(verifier: &JwksVerifier, token: &str, now: Timestamp) -> Result<Value, TokenRefused> {
    verifier.verify(token, Expected { issuers: &[ISSUER], audience: AUDIENCE, now }).await
}

async fn check(verifier: &JwksVerifier, token: &str) -> Result<Value, TokenRefused> {
    check_at(verifier, token, NOW).await
}

#[tokio::test]
async fn a_good_token_gives_its_claims() {
    let key = key();
    assert_eq!(check(&holding(&key), &key.sign(&claims()).unwrap()).await.unwrap(), claims());
}

#[tokio::test]
async fn a_token_that_was_touched_or_signed_by_another_is_refused() {
    let (ours, theirs) = (key(), key());
    let verifier = holding(&ours);
    let good = ours.sign(&claims()).unwrap();
    let parts: Vec<&str> = good.split('.').collect();
    let admin = URL_SAFE_NO_PAD.encode(with("sub", "root").to_string());
    let touched = format!("{}.{admin}.{}", parts[0], parts[2]);
    assert!(matches!(check(&verifier, &touched).await, Err(TokenRefused::BadSignature)));

    let by_name = format!("{}.{}", parts[0], theirs.sign(&claims()).unwrap().split_once('.').unwrap().1);
    assert!(matches!(check(&verifier, &by_name).await, Err(TokenRefused::BadSignature)), "their key under our name");
    let unknown = theirs.sign(&claims()).unwrap();
    assert!(matches!(check(&verifier, &unknown).await, Err(TokenRefused::BadSignature)), "a key that nobody published");
}

#[tokio::test]
async fn what_is_no_token_of_this_kind_is_malformed() {
    let key = key();
    let verifier = holding(&key);
    let unsigned = |header: Value| {
        format!("{}.{}.", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims().to_string()))
    };
    let nameless = jsonwebtoken::encode(
        &Header::new(Algorithm::EdDSA),
        &claims(),
        &EncodingKey::from_ed_der(
            &STANDARD.decode("MC4CAQAwBQYDK2VwBCIEIFu6kzuHcccxl79544FDFJnP7Wz4lgrNndpSHEQrcdtv").unwrap(),
        ),
    );
    let wrongs = [
        String::new(),
        "no.token".into(),
        "a.b.c".into(),
        "ä.ö.ü".into(),
        unsigned(json!({"alg": "none", "kid": key.key_id()})),
        unsigned(json!({"alg": "EdDSA", "kid": key.key_id(), "crit": ["b64"], "b64": false})),
        nameless.unwrap(),
        key.sign(&json!("a text, not claims")).unwrap(),
        key.sign(&without("exp")).unwrap(),
        key.sign(&with("exp", "tomorrow")).unwrap(),
        key.sign(&with("padding", "x".repeat(TOKEN_LENGTH_MAX))).unwrap(),
    ];
    for wrong in wrongs {
        let refused = check(&verifier, &wrong).await;
        assert!(matches!(refused, Err(TokenRefused::Malformed)), "{:.80}: {refused:?}", wrong);
    }
}

#[tokio::test]
async fn our_public_key_taken_for_an_hmac_secret_signs_nothing() {
    let key = key();
    let public = serde_json::to_value(key.public()).unwrap();
    let secret = URL_SAFE_NO_PAD.decode(public["x"].as_str().unwrap()).unwrap();
    let header = Header { kid: Some(key.key_id().into()), ..Header::new(Algorithm::HS256) };
    let forged = jsonwebtoken::encode(&header, &claims(), &EncodingKey::from_secret(&secret)).unwrap();
    assert!(matches!(check(&holding(&key), &forged).await, Err(TokenRefused::Malformed)));
}

#[tokio::test]
async fn a_token_by_or_for_somebody_else_is_refused() {
    let key = key();
    let verifier = holding(&key);
    let others = [
        with("iss", "https://auth.example.com.evil.example"),
        with("iss", json!([ISSUER])),
        without("iss"),
        with("aud", "pilotlight2"),
        with("aud", json!([AUDIENCE])),
        with("aud", json!([AUDIENCE, "other"])),
        without("aud"),
    ];
    for other in others {
        let refused = check(&verifier, &key.sign(&other).unwrap()).await;
        assert!(matches!(refused, Err(TokenRefused::WrongParty)), "{other}: {refused:?}");
    }
}

#[tokio::test]
async fn a_token_is_good_from_its_beginning_to_its_end_give_or_take_the_leeway() {
    let key = key();
    let verifier = holding(&key);
    let token = key.sign(&claims()).unwrap();
    let end = NOW + Seconds(3600);
    for good in [NOW - CLOCK_LEEWAY, end, Timestamp::from_millis((end + CLOCK_LEEWAY).millis() - 1)] {
        assert!(check_at(&verifier, &token, good).await.is_ok(), "{good:?}");
    }
    for bad in [NOW - CLOCK_LEEWAY - Seconds(1), end + CLOCK_LEEWAY, Timestamp::from_seconds(0)] {
        assert!(matches!(check_at(&verifier, &token, bad).await, Err(TokenRefused::Expired)), "{bad:?}");
    }
    let later = (NOW + Seconds(60)).seconds();
    for early in [with("nbf", later), with("iat", later)] {
        assert!(matches!(check(&verifier, &key.sign(&early).unwrap()).await, Err(TokenRefused::Expired)), "{early}");
    }
}

#[tokio::test]
async fn fifty_tokens_on_a_cold_cache_cost_one_fetch_and_are_all_good() {
    let key = key();
    let server = KeyServer::publishing(&jwks(std::slice::from_ref(&key))).await;
    let verifier = JwksVerifier::new(JwksSources::none().with_ours_at(ISSUER, &server.url));
    let token = key.sign(&claims()).unwrap();
    // One thread: all fifty have asked before the endpoint gets to answer the first.
    let checked = join_all((0..50).map(|_| check(&verifier, &token))).await;
    assert!(checked.iter().all(Result::is_ok), "{checked:?}");
    assert_eq!(server.asked(), 1);
}

#[tokio::test]
async fn fifty_tokens_while_the_endpoint_is_down_cost_one_fetch_and_are_told_to_come_again() {
    let key = key();
    let server = KeyServer::publishing(&jwks(&[])).await;
    server.answers("503 Service Unavailable", "");
    let verifier = JwksVerifier::new(JwksSources::none().with_ours_at(ISSUER, &server.url));
    let token = key.sign(&claims()).unwrap();
    let checked = join_all((0..50).map(|_| check(&verifier, &token))).await;
    assert!(checked.iter().all(|checked| matches!(checked, Err(TokenRefused::KeysUnavailable(_)))), "{checked:?}");
    assert_eq!(server.asked(), 1);
}

#[tokio::test]
async fn invented_key_names_cost_one_fetch_in_a_while() {
    let (ours, theirs) = (key(), key());
    let server = KeyServer::publishing(&jwks(std::slice::from_ref(&ours))).await;
    let verifier = JwksVerifier::new(JwksSources::none().with_ours_at(ISSUER, &server.url));
    check(&verifier, &ours.sign(&claims()).unwrap()).await.unwrap();
    let invented = theirs.sign(&claims()).unwrap();
    let later = NOW + UNKNOWN_KEY_EVERY;
    for _ in 0..20 {
        assert!(matches!(check(&verifier, &invented).await, Err(TokenRefused::BadSignature)));
    }
    assert_eq!(server.asked(), 1, "the keys had only just been fetched");
    for _ in 0..20 {
        assert!(matches!(check_at(&verifier, &invented, later).await, Err(TokenRefused::BadSignature)));
    }
    assert_eq!(server.asked(), 2);
}

#[tokio::test]
async fn a_new_key_is_found_as_soon_as_it_signs() {
    let (older, newer) = (key(), key());
    let server = KeyServer::publishing(&jwks(std::slice::from_ref(&older))).await;
    let verifier = JwksVerifier::new(JwksSources::none().with_ours_at(ISSUER, &server.url));
    check(&verifier, &older.sign(&claims()).unwrap()).await.unwrap();
    server.publishes(&jwks(&[newer.clone(), older.clone()]));
    let later = NOW + UNKNOWN_KEY_EVERY;
    check_at(&verifier, &newer.sign(&claims()).unwrap(), later).await.unwrap();
    check_at(&verifier, &older.sign(&claims()).unwrap(), later).await.unwrap();
    assert_eq!(server.asked(), 2);
}

#[tokio::test]
async fn a_withdrawn_key_is_good_no_longer_than_the_set_was_fresh() {
    let (ours, other) = (key(), key());
    let server = KeyServer::publishing(&jwks(std::slice::from_ref(&ours))).await;
    let verifier = JwksVerifier::new(JwksSources::none().with_ours_at(ISSUER, &server.url));
    let token = ours.sign(&claims()).unwrap();
    check(&verifier, &token).await.unwrap();
    server.publishes(&jwks(std::slice::from_ref(&other)));
    let expired = NOW + KEYS_FRESH_DEFAULT;
    assert!(check_at(&verifier, &token, expired - Seconds(1)).await.is_ok());
    assert!(matches!(check_at(&verifier, &token, expired).await, Err(TokenRefused::BadSignature)));
}

#[tokio::test]
async fn keys_stay_good_for_a_while_when_the_endpoint_is_down() {
    let key = key();
    let server = KeyServer::publishing(&jwks(std::slice::from_ref(&key))).await;
    let verifier = JwksVerifier::new(JwksSources::none().with_ours_at(ISSUER, &server.url));
    let token = key.sign(&with("exp", (NOW + Seconds::hours(48)).seconds())).unwrap();
    check(&verifier, &token).await.unwrap();
    let broken = ["<html>".to_owned(), r#"{"keys":[]}"#.to_owned(), "[".repeat(100_000)];
    for (at, broken) in broken.into_iter().enumerate() {
        server.answers("200 OK", broken);
        let minutes = Seconds::minutes(at as u64 + 1);
        check_at(&verifier, &token, NOW + KEYS_FRESH_DEFAULT + minutes).await.unwrap();
        assert_eq!(server.asked(), at + 2, "each of the broken answers was asked for");
    }
    server.task.abort();
    check_at(&verifier, &token, NOW + KEYS_KEPT_MAX - Seconds(1)).await.unwrap();
    let refused = check_at(&verifier, &token, NOW + KEYS_KEPT_MAX).await;
    assert!(matches!(refused, Err(TokenRefused::KeysUnavailable(_))), "{refused:?}");
}

#[tokio::test]
async fn keys_of_a_kind_that_nobody_knows_do_not_spoil_the_set() {
    let key = key();
    let server = KeyServer::publishing(&jwks(&[])).await;
    let known = serde_json::to_value(key.public()).unwrap();
    server.answers("200 OK", json!({"keys": [{"kty": "LATTICE", "kid": "x"}, 5, known]}).to_string());
    let verifier = JwksVerifier::new(JwksSources::none().with_ours_at(ISSUER, &server.url));
    check(&verifier, &key.sign(&claims()).unwrap()).await.unwrap();
}

#[tokio::test]
async fn googles_keys_sign_for_google_and_ours_for_us() {
    let (ours, google) = (key(), GoogleKey::new("g1"));
    let server = KeyServer::publishing(&JwkSet { keys: vec![google.jwk.clone(), ours.public().clone()] }).await;
    let sources = JwksSources::none().with_ours_at(ISSUER, &server.url).with_google_at(&server.url);
    let verifier = JwksVerifier::new(sources);
    let google_expected = || Expected { issuers: GOOGLE_ISSUERS, audience: AUDIENCE, now: NOW };

    let as_google = google.sign(&with("iss", GOOGLE));
    assert!(verifier.verify(&as_google, google_expected()).await.is_ok());
    assert!(matches!(check(&verifier, &google.sign(&claims())).await, Err(TokenRefused::Malformed)), "RS256 as us");
    let ours_as_google = ours.sign(&with("iss", GOOGLE)).unwrap();
    let refused = verifier.verify(&ours_as_google, google_expected()).await;
    assert!(matches!(refused, Err(TokenRefused::Malformed)), "EdDSA as Google: {refused:?}");
    let ours_good = ours.sign(&claims()).unwrap();
    let refused = verifier.verify(&ours_good, google_expected()).await;
    assert!(refused.is_err(), "a good token of ours where Google's is expected");
}

#[tokio::test]
async fn an_issuer_without_keys_is_a_fault_of_ours_and_not_of_the_token() {
    let key = key();
    let verifier = JwksVerifier::new(JwksSources::none());
    let refused = check(&verifier, &key.sign(&claims()).unwrap()).await;
    assert!(matches!(refused, Err(TokenRefused::KeysUnavailable(_))), "{refused:?}");
}

#[tokio::test]
async fn a_google_token_counts_by_its_verified_address() {
    let google = GoogleKey::new("g1");
    let server = KeyServer::publishing(&JwkSet { keys: vec![google.jwk.clone()] }).await;
    let verifier = JwksVerifier::new(JwksSources::none().with_google_at(&server.url));
    let identity = |email: &str, verified: Value| {
        let mut claims = with("iss", GOOGLE);
        claims["email"] = email.into();
        claims["email_verified"] = verified;
        google.sign(&claims)
    };
    let allowed = ["push@p.iam.gserviceaccount.com".to_owned()];
    let check = async |token: String, emails| verify_google(&verifier, &token, AUDIENCE, emails, NOW).await;

    let good = check(identity(&allowed[0], true.into()), Some(&allowed[..])).await.unwrap();
    assert_eq!((good.sub.as_str(), good.email.as_str(), good.google), ("admin", allowed[0].as_str(), None));
    assert!(check(identity("anybody@example.com", true.into()), None).await.is_ok());
    let wrongs = [
        check(identity("else@p.iam.gserviceaccount.com", true.into()), Some(&allowed[..])).await,
        check(identity(&allowed[0], false.into()), Some(&allowed[..])).await,
        check(identity(&allowed[0], "true".into()), None).await,
        check(identity(&allowed[0], true.into()), Some(&[])).await,
    ];
    for wrong in wrongs {
        assert!(matches!(wrong, Err(TokenRefused::WrongParty)), "{wrong:?}");
    }
    let no_email = check(google.sign(&with("iss", GOOGLE)), None).await;
    assert!(matches!(no_email, Err(TokenRefused::Malformed)), "{no_email:?}");
}
