//! The three functions in this process, on one address.

use std::sync::Arc;

use anyhow::Context;
use auth::{Keys, PageSettings, Passwords, Users};
use axum::Router;
use compute_emulator::Emulator;
use domain::Workspace;
use jsonwebtoken::jwk::JwkSet;
use platform::clock::Clock;
use platform::compute::google::{GoogleCompute, GoogleComputeConfig};
use platform::identity::Identity;
use platform::identity::jwks::{JwksSources, JwksVerifier};
use platform::identity::keys::SigningKey;
use platform::notify::WebhookNotifier;
use platform::queue::MemoryTopic;
use platform::queue::Queue;
use platform::signin::MemorySigninStore;
use platform::store::MemoryStore;
use service::{Gate, OidcGate};

use crate::names;

/// What the functions stand on.
pub(crate) struct Ground {
    pub(crate) workspace: Workspace,
    /// Who may sign in, and where notices go, as the functions are told of them.
    pub(crate) users: String,
    pub(crate) webhooks: String,
    /// `http://localhost:PORT`, the page's origin and the audience of everybody who calls.
    pub(crate) base: String,
    pub(crate) emulator: Arc<Emulator>,
    pub(crate) nudges: MemoryTopic,
    pub(crate) clock: Arc<dyn Clock>,
}

/// The routes of auth, lifecycle and reaper together.
///
/// # Errors
/// When a part cannot be put together.
pub(crate) fn routes(ground: &Ground) -> anyhow::Result<Router> {
    let (key, _) = SigningKey::generate().context("making a signing key")?;
    let keys = Keys::new(std::slice::from_ref(&key), JwkSet { keys: Vec::new() })?;
    let sources =
        JwksSources::none().with_ours(names::ISSUER, keys.published()).with_google_at(&ground.emulator.jwks_url());
    let identity: Arc<dyn Identity> = Arc::new(JwksVerifier::new(sources));
    let gate = Gate {
        identity: Arc::clone(&identity),
        signin: Arc::new(MemorySigninStore::new(Arc::clone(&ground.clock))),
        clock: Arc::clone(&ground.clock),
        issuer: names::ISSUER.to_owned(),
        page_origin: None,
    };
    let oidc = |email: &str| OidcGate {
        identity: Arc::clone(&identity),
        clock: Arc::clone(&ground.clock),
        audience: ground.base.clone(),
        emails: vec![email.to_owned()],
    };
    let store = Arc::new(MemoryStore::new());
    let queue: Arc<dyn Queue> = Arc::new(ground.nudges.clone());
    let compute = Arc::new(GoogleCompute::new(GoogleComputeConfig {
        project: names::PROJECT.to_owned(),
        endpoint: Some(ground.emulator.endpoint()),
        anonymous: true,
        // In the machine's own time.
        call_limit: ground.workspace.policy.call_limit.duration().div_f64(ground.clock.rate()),
    }));
    let lifecycle = lifecycle::App::new(lifecycle::Parts {
        notifier: Arc::new(WebhookNotifier::default()),
        webhooks: wire::webhooks_from_json(&ground.webhooks)?,
        page: Some(ground.base.clone()),
        workspaces: vec![ground.workspace.clone()],
        store: store.clone(),
        queue: Arc::clone(&queue),
        compute: compute.clone(),
        clock: Arc::clone(&ground.clock),
        gate: gate.clone(),
        vms: oidc(names::VM_ACCOUNT),
        push: oidc(names::PUSH_ACCOUNT),
        key: Arc::new(key),
        project: names::PROJECT.to_owned(),
    });
    let reaper = reaper::App::new(reaper::Parts {
        workspaces: vec![ground.workspace.clone()],
        store,
        queue,
        compute,
        clock: Arc::clone(&ground.clock),
        scheduler: oidc(names::SCHEDULER_ACCOUNT),
    });
    let auth = auth_app(ground, gate, keys)?;
    Ok(auth::routes(auth)?.merge(lifecycle::routes(lifecycle)).merge(reaper::routes(reaper)))
}

fn auth_app(ground: &Ground, gate: Gate, keys: Keys) -> anyhow::Result<auth::App> {
    let frame_sources = ground.workspace.placements.iter().map(|placement| placement.origin.clone()).collect();
    Ok(auth::App {
        gate,
        users: Arc::new(Users::from_json(&ground.users)?),
        keys: Arc::new(keys),
        passwords: Passwords::default(),
        page: Arc::new(PageSettings { lifecycle_origin: String::new(), frame_sources, https_only: false }),
        trusted_proxies: 0,
    })
}
