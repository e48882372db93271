//! What goes wrong with calls on demand.

use std::time::{Duration, Instant};

use compute_emulator::{ApiFaults, FaultRefused};

use crate::world::{A, World, reason};

#[tokio::test]
async fn calls_can_be_refused_for_their_rate_and_their_token() {
    let world = World::new().await;
    world.emulator.set_api_faults(ApiFaults { rate_limited: true, ..ApiFaults::default() });
    let (status, refused, message) = reason(world.get(A).await);
    assert_eq!((status, refused.as_str()), (403, "rateLimitExceeded"));
    assert!(message.contains("per minute"), "{message}");
    world.emulator.set_api_faults(ApiFaults { unauthorized: true, ..ApiFaults::default() });
    assert_eq!(reason(world.get(A).await).0, 401);
    world.emulator.set_api_faults(ApiFaults::default());
    assert_eq!(world.status(A).await, "TERMINATED");
}

#[tokio::test]
async fn a_part_of_calls_fails_in_every_way_and_the_keys_stay_reachable() {
    let world = World::new().await;
    world.emulator.set_api_faults(ApiFaults { fail: 0.5, ..ApiFaults::default() });
    let (mut fine, mut unavailable, mut gateway, mut cut) = (0, 0, 0, 0);
    for _ in 0..100 {
        match world.http.get(world.url(A)).send().await.map(|response| response.status().as_u16()) {
            Ok(200) => fine += 1,
            Ok(503) => unavailable += 1,
            Ok(502) => gateway += 1,
            Ok(other) => panic!("HTTP {other}"),
            Err(error) => {
                assert!(error.is_request(), "{error}");
                cut += 1;
            }
        }
    }
    assert!((30..=70).contains(&fine), "{fine} of 100 went well");
    assert!(unavailable > 3 && gateway > 3 && cut > 3, "{unavailable} {gateway} {cut}");
    assert_eq!(world.http.get(world.emulator.jwks_url()).send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_call_can_be_done_although_its_answer_is_lost() {
    let world = World::new().await;
    world.emulator.set_api_faults(ApiFaults { fail: 1.0, ..ApiFaults::default() });
    let mut lost = 0;
    for _ in 0..40 {
        lost += usize::from(world.http.post(world.url(&format!("{A}/start"))).send().await.is_err());
    }
    world.emulator.set_api_faults(ApiFaults::default());
    assert!(lost > 0);
    assert_eq!(world.status(A).await, "PROVISIONING", "at least one of them was done");
}

#[tokio::test]
async fn calls_can_be_slow() {
    let world = World::new().await;
    world.emulator.set_api_faults(ApiFaults { delay: Duration::from_millis(150), ..ApiFaults::default() });
    let begun = Instant::now();
    world.status(A).await;
    assert!(begun.elapsed() >= Duration::from_millis(150));
}

#[tokio::test]
async fn a_word_that_no_client_knows_can_be_shown() {
    let world = World::new().await;
    world.emulator.show_status("main-a", Some("CONTEMPLATING")).unwrap();
    assert_eq!(world.status(A).await, "CONTEMPLATING");
    assert_eq!(world.emulator.snapshot()[0].status, "TERMINATED", "the panel shows the truth");
    world.emulator.show_status("main-a", None).unwrap();
    assert_eq!(world.status(A).await, "TERMINATED");
}

#[tokio::test]
async fn faults_for_what_is_not_there_say_so() {
    let world = World::new().await;
    assert_eq!(world.emulator.set_stock_out("mars1-a", true), Err(FaultRefused::UnknownZone));
    assert_eq!(world.emulator.preempt("nobody"), Err(FaultRefused::UnknownInstance));
    assert_eq!(world.emulator.preempt("main-a"), Err(FaultRefused::NotRunning));
    assert_eq!(world.emulator.dry_zones(), Vec::<String>::new());
}
