//! The process: reads the environment, puts the service together, serves until it is asked to end. Every client of
//! Google's connects when it is first used, so that a function that starts is there at once.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use platform::clock;
use platform::compute::google::{GoogleCompute, GoogleComputeConfig};
use platform::firestore::{Firestore, FirestoreConfig};
use platform::identity::jwks::{JwksSources, JwksVerifier};
use platform::queue::{PubsubConfig, PubsubQueue};
use platform::store::FirestoreStore;
use reaper::config::Config;
use reaper::{App, Parts};
use service::{Limits, OidcGate, init_logs, serve, terminated};
use tokio::net::TcpListener;

/// A sweep of thousands takes its time; Cloud Scheduler waits three minutes for it.
const SWEEP_TIME_MAX: Duration = Duration::from_secs(150);

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let config = Config::parse();
    init_logs(config.log_format, &config.log_filter)?;
    let app = app(&config)?;
    let listener = TcpListener::bind(("0.0.0.0", config.port))
        .await
        .with_context(|| format!("PORT: found {}; expected a port that is free", config.port))?;
    tracing::info!(address = %listener.local_addr()?, "reaper listens");
    let limits = Limits { time: SWEEP_TIME_MAX, ..Limits::default() };
    serve(listener, reaper::router(app, limits), terminated()).await
}

fn app(config: &Config) -> anyhow::Result<App> {
    let clock = clock::from_setting(&config.clock).context("PILOTLIGHT_CLOCK")?;
    let topic = PubsubConfig::new(&config.nudge_topic);
    let topic = match &config.pubsub_emulator {
        Some(host) => topic.with_emulator(host),
        None => topic,
    };
    let workspaces = config.workspaces.0.clone();
    Ok(App::new(Parts {
        store: Arc::new(FirestoreStore::new(Arc::new(Firestore::new(FirestoreConfig::new(&config.project))))),
        queue: Arc::new(PubsubQueue::new(topic)),
        compute: Arc::new(GoogleCompute::new(GoogleComputeConfig {
            project: config.project.clone(),
            endpoint: config.compute_endpoint.clone(),
            anonymous: config.compute_endpoint.is_some(),
            call_limit: workspaces
                .iter()
                .map(|workspace| workspace.policy.call_limit)
                .min()
                .unwrap_or_default()
                .duration()
                .div_f64(clock.rate()),
        })),
        scheduler: OidcGate {
            identity: Arc::new(JwksVerifier::new(JwksSources::none().with_google_at(&config.google_jwks_url))),
            clock: Arc::clone(&clock),
            audience: config.sweep_audience.clone(),
            emails: config.sweep_emails.clone(),
        },
        workspaces,
        clock,
    }))
}
