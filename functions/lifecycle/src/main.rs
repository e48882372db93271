//! The process: reads the environment, puts the service together, serves until it is asked to end. Every client of
//! Google's connects when it is first used, so that a function that starts is there at once.

use std::sync::Arc;

use anyhow::Context;
use clap::Parser;
use lifecycle::config::Config;
use lifecycle::{App, Parts};
use platform::clock;
use platform::compute::google::{GoogleCompute, GoogleComputeConfig};
use platform::firestore::{Firestore, FirestoreConfig};
use platform::identity::Identity;
use platform::identity::jwks::{JwksSources, JwksVerifier};
use platform::identity::keys::SigningKey;
use platform::queue::{PubsubConfig, PubsubQueue};
use platform::signin::FirestoreSigninStore;
use platform::store::FirestoreStore;
use service::{Gate, Limits, OidcGate, init_logs, serve, terminated};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let config = Config::parse();
    init_logs(config.log_format, &config.log_filter)?;
    let app = app(&config)?;
    let listener = TcpListener::bind(("0.0.0.0", config.port))
        .await
        .with_context(|| format!("PORT: found {}; expected a port that is free", config.port))?;
    tracing::info!(address = %listener.local_addr()?, "lifecycle listens");
    serve(listener, lifecycle::router(app, Limits::default()), terminated()).await
}

fn app(config: &Config) -> anyhow::Result<App> {
    let clock = clock::from_setting(&config.clock).context("PILOTLIGHT_CLOCK")?;
    // The first key signs, as in auth; the others are there for auth's sake.
    let keys = SigningKey::all_from_pem(&config.signing_key).context("SIGNING_KEY")?;
    let key = keys.into_iter().next().context("SIGNING_KEY: found no key")?;
    let sources =
        JwksSources::none().with_ours_at(&config.issuer, &config.jwks_url).with_google_at(&config.google_jwks_url);
    let identity: Arc<dyn Identity> = Arc::new(JwksVerifier::new(sources));
    let database = Arc::new(Firestore::new(FirestoreConfig::new(&config.project)));
    let oidc = |audience: &str, emails: &[String]| OidcGate {
        identity: Arc::clone(&identity),
        clock: Arc::clone(&clock),
        audience: audience.to_owned(),
        emails: emails.to_vec(),
    };
    let topic = PubsubConfig::new(&config.nudge_topic);
    let topic = match &config.pubsub_emulator {
        Some(host) => topic.with_emulator(host),
        None => topic,
    };
    let workspaces = config.workspaces.0.clone();
    Ok(App::new(Parts {
        store: Arc::new(FirestoreStore::new(Arc::clone(&database))),
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
        gate: Gate {
            identity: Arc::clone(&identity),
            signin: Arc::new(FirestoreSigninStore::new(database)),
            clock: Arc::clone(&clock),
            issuer: config.issuer.clone(),
            page_origin: config.page_origin.clone(),
        },
        vms: oidc(&config.vm_audience, &config.vm_emails),
        push: oidc(&config.push_audience, &config.push_emails),
        key: Arc::new(key),
        project: config.project.clone(),
        workspaces,
        clock,
    }))
}
