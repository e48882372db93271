//! lifecycle as a process: put together from its configuration, and served.

use std::process::ExitCode;
use std::sync::Arc;

use axum::Router;
use platform::identity::Identity;
use platform::identity::jwks::{JwksSources, JwksVerifier};
use platform::notify::WebhookNotifier;
use platform::signin::FirestoreSigninStore;
use platform::store::FirestoreStore;
use service::config::{Emails, Told};
use service::{Gate, Limits, OidcGate, cloud};

use crate::app::{App, Parts};
use crate::config::Config;

/// Serves until it is asked to end.
pub fn main(told: &Told) -> ExitCode {
    service::process::run(told, |config| Ok(router(config)))
}

fn router(config: &Config) -> Router {
    let clock = config.process.clock();
    let sources = JwksSources::none()
        .with_ours_at(&config.issuer, &config.jwks_url)
        .with_google_at(&config.cloud.google_jwks_url);
    let identity: Arc<dyn Identity> = Arc::new(JwksVerifier::new(sources));
    let database = cloud::database(&config.cloud.project, config.cloud.firestore_emulator.as_deref());
    let oidc = |audience: &str, emails: &Emails| OidcGate {
        identity: Arc::clone(&identity),
        clock: Arc::clone(&clock),
        audience: audience.to_owned(),
        emails: emails.0.clone(),
    };
    let app = App::new(Parts {
        store: Arc::new(FirestoreStore::new(Arc::clone(&database))),
        queue: cloud::queue(&config.cloud),
        compute: cloud::compute(&config.cloud, &*clock),
        gate: Gate {
            identity: Arc::clone(&identity),
            signin: Arc::new(FirestoreSigninStore::new(database)),
            clock: Arc::clone(&clock),
            issuer: config.issuer.clone(),
            page_origin: config.page_origin.clone(),
        },
        vms: oidc(&config.vm_audience, &config.vm_emails),
        push: oidc(&config.push_audience, &config.push_emails),
        notifier: Arc::new(WebhookNotifier::default()),
        webhooks: config.webhooks.0.clone(),
        page: config.page_origin.clone(),
        key: Arc::new(config.signing_key.signing().clone()),
        project: config.cloud.project.clone(),
        workspaces: config.cloud.workspaces.0.clone(),
        clock,
    });
    crate::router(app, Limits::default())
}
