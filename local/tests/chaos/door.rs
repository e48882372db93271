//! What befalls Pub/Sub's pushes on their way: lost, repeated, held up, or their answer lost.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use platform::clock::Clock;
use wire::PushEnvelope;

use crate::chance::Chance;
use crate::history::{History, Push, What};

/// A nudge is a few hundred bytes, an entry of Compute Engine's log some thousand.
const BODY_BYTES_MAX: usize = 256 * 1024;
/// Longest delay, in policy seconds.
const HELD_UP_MAX: u64 = 25;

/// What happens to one push.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Passed,
    /// Acknowledged, and never seen by anybody: only the reaper mends it.
    Swallowed,
    /// Not taken: Pub/Sub comes again.
    Refused,
    Repeated,
    HeldUp(Duration),
    /// Done, but Pub/Sub does not hear of it and comes again.
    AnswerLost,
}

#[derive(Clone)]
pub(crate) struct Weather {
    chance: Arc<Mutex<Chance>>,
    calm: Arc<AtomicBool>,
    history: History,
    clock: Arc<dyn Clock>,
}

impl Weather {
    pub(crate) fn new(seed: u64, history: History, clock: Arc<dyn Clock>) -> Self {
        let chance = Arc::new(Mutex::new(Chance::of(seed, "door")));
        Self { chance, calm: Arc::default(), history, clock }
    }

    /// From now on every push arrives.
    pub(crate) fn calm_down(&self) {
        self.calm.store(true, Ordering::Relaxed);
    }

    /// Puts the way of pushes under this weather.
    pub(crate) fn over(&self, pushes: Router) -> Router {
        pushes.layer(middleware::from_fn_with_state(self.clone(), befall))
    }

    fn fate(&self) -> Fate {
        if self.calm.load(Ordering::Relaxed) {
            return Fate::Passed;
        }
        let mut chance = self.chance.lock().unwrap_or_else(PoisonError::into_inner);
        match chance.between(0, 100) {
            0..6 => Fate::Swallowed,
            6..14 => Fate::Refused,
            14..24 => Fate::Repeated,
            24..36 => Fate::HeldUp(Duration::from_secs(chance.between(1, HELD_UP_MAX))),
            36..41 => Fate::AnswerLost,
            _ => Fate::Passed,
        }
    }
}

async fn befall(State(weather): State<Weather>, request: Request, next: Next) -> Response {
    let came = weather.clock.now().millis();
    let (parts, body) = request.into_parts();
    let Ok(bytes) = to_bytes(body, BODY_BYTES_MAX).await else { return StatusCode::BAD_REQUEST.into_response() };
    let again = || {
        let mut request = Request::new(Body::from(bytes.clone()));
        *request.uri_mut() = parts.uri.clone();
        *request.method_mut() = parts.method.clone();
        *request.headers_mut() = parts.headers.clone();
        *request.extensions_mut() = parts.extensions.clone();
        request
    };
    let fate = weather.fate();
    let answer = match fate {
        Fate::Passed => next.run(again()).await,
        Fate::Swallowed => StatusCode::NO_CONTENT.into_response(),
        Fate::Refused => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        Fate::Repeated => {
            let (first, _) = tokio::join!(next.clone().run(again()), next.clone().run(again()));
            first
        }
        Fate::HeldUp(length) => {
            weather.clock.sleep(length).await;
            next.run(again()).await
        }
        Fate::AnswerLost => {
            next.run(again()).await;
            StatusCode::BAD_GATEWAY.into_response()
        }
    };
    let push = Push {
        topic: parts.uri.path().rsplit('/').next().unwrap_or_default().to_owned(),
        message: message_id(&bytes),
        fate: if fate == Fate::Passed { String::new() } else { format!("{fate:?}") },
        status: answer.status().as_u16(),
        came,
    };
    weather.history.note(weather.clock.now().millis(), What::Push(push));
    answer
}

fn message_id(body: &[u8]) -> String {
    serde_json::from_slice::<PushEnvelope>(body).map(|envelope| envelope.message.message_id).unwrap_or_default()
}
