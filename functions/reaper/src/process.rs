//! reaper as a process: put together from its configuration, and served.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use platform::identity::jwks::{JwksSources, JwksVerifier};
use platform::store::FirestoreStore;
use service::config::Told;
use service::{Limits, OidcGate, cloud};

use crate::app::{App, Parts};
use crate::config::Config;

/// A sweep of thousands takes its time; Cloud Scheduler waits three minutes for it.
const SWEEP_TIME_MAX: Duration = Duration::from_secs(150);

/// Serves until it is asked to end.
pub fn main(told: &Told) -> ExitCode {
    service::process::run(told, |config| Ok(router(config)))
}

fn router(config: &Config) -> Router {
    let clock = config.process.clock();
    let database = cloud::database(&config.cloud.project, config.cloud.firestore_emulator.as_deref());
    let app = App::new(Parts {
        store: Arc::new(FirestoreStore::new(database)),
        queue: cloud::queue(&config.cloud),
        compute: cloud::compute(&config.cloud, &*clock),
        scheduler: OidcGate {
            identity: Arc::new(JwksVerifier::new(JwksSources::none().with_google_at(&config.cloud.google_jwks_url))),
            clock: Arc::clone(&clock),
            audience: config.sweep_audience.clone(),
            emails: config.sweep_emails.0.clone(),
        },
        workspaces: config.cloud.workspaces.0.clone(),
        clock,
    });
    crate::router(app, Limits { time: SWEEP_TIME_MAX, ..Limits::default() })
}
