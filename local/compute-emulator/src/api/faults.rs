//! What goes wrong with calls on purpose, before they reach a route or after: any of them, or those about a zone.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Response};

use crate::emulator::Shared;
use crate::error::CallError;
use crate::listen::CutConnection;

/// A delay asked for beyond this is cut to it.
const DELAY_MAX: Duration = Duration::from_secs(60);

/// The ways for one call to fail.
#[derive(Debug, Clone, Copy)]
enum Failure {
    Unavailable,
    /// A proxy's page, which is no JSON.
    BadGateway,
    CutBefore,
    /// The deed is done, but the caller does not hear of it.
    CutAfter,
}

pub(super) async fn go_wrong(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    // The path as it is inside the project.
    let (faults, failure, reachable) = shared.with(|cloud, _| {
        let faults = cloud.faults.clone();
        let reachable = cloud.check_reachable(request.uri().path());
        // Chance is drawn only while calls can fail, so that it does not depend on who else asks.
        let failure = (faults.fail > 0.0).then(|| draw(cloud.chance(), faults.fail)).flatten();
        (faults, failure, reachable)
    });
    if !faults.delay.is_zero() {
        tokio::time::sleep(faults.delay.min(DELAY_MAX)).await;
    }
    if faults.unauthorized {
        return CallError::unauthorized().into_response();
    }
    if faults.rate_limited {
        return CallError::rate_limited().into_response();
    }
    if let Err(silent) = reachable {
        return silent.into_response();
    }
    match failure {
        None => next.run(request).await,
        Some(Failure::Unavailable) => CallError::unavailable().into_response(),
        Some(Failure::BadGateway) => (StatusCode::BAD_GATEWAY, Html("<h1>502 Bad Gateway</h1>")).into_response(),
        Some(Failure::CutBefore) => cut(StatusCode::BAD_GATEWAY.into_response()),
        Some(Failure::CutAfter) => cut(next.run(request).await),
    }
}

fn draw(chance: &mut crate::chance::Chance, fail: f64) -> Option<Failure> {
    if chance.fraction() >= fail {
        return None;
    }
    Some(match chance.next() % 4 {
        0 => Failure::Unavailable,
        1 => Failure::BadGateway,
        2 => Failure::CutBefore,
        _ => Failure::CutAfter,
    })
}

fn cut(mut response: Response) -> Response {
    response.extensions_mut().insert(CutConnection);
    response
}
