//! The three functions, with their own routers and worker, on a database of the emulator's.

use std::sync::Arc;

use auth::{Keys, PageSettings, Passwords, Users};
use axum::Router;
use domain::{Calendar, MicroUsd, Placement, Policy, Workspace, WorkspaceId};
use jsonwebtoken::jwk::JwkSet;
use platform::clock::Clock;
use platform::compute::Compute;
use platform::firestore::Firestore;
use platform::identity::keys::SigningKey;
use platform::queue::Queue;
use platform::signin::FirestoreSigninStore;
use platform::store::FirestoreStore;
use serde_json::json;
use service::{Gate, Limits, OidcGate};

use super::identity::{AUDIENCE, EMAIL, PROJECT, Tokens};

pub(crate) const WORKSPACE: &str = "main";
pub(crate) const INSTANCE: &str = "comfyui-main-a";
pub(crate) const ZONE: &str = "us-central1-a";
/// Of the only user.
pub(crate) const PASSWORD: &str = "correct horse";
const ISSUER: &str = "pilotlight";

/// What they are built from.
pub(crate) struct FunctionParts {
    pub(crate) workspace: Workspace,
    pub(crate) database: Arc<Firestore>,
    pub(crate) queue: Arc<dyn Queue>,
    pub(crate) compute: Arc<dyn Compute>,
    pub(crate) clock: Arc<dyn Clock>,
}

/// See the module.
pub(crate) struct Functions {
    pub(crate) auth: Router,
    pub(crate) lifecycle: Router,
    pub(crate) reaper: Router,
}

pub(crate) fn workspace() -> Workspace {
    Workspace {
        id: WorkspaceId::parse(WORKSPACE).unwrap(),
        title: "ComfyUI".into(),
        members: None,
        placements: vec![Placement {
            instance: INSTANCE.into(),
            zone: ZONE.into(),
            spot: false,
            machine_type: "g2-standard-4".into(),
            accelerator: "nvidia-l4".into(),
            usd_per_hour: MicroUsd(706_800),
            price_date: None,
            origin: "https://comfy.example.com".into(),
        }],
        disk: Some("data".into()),
        calendar: Calendar::default(),
        policy: Policy::default(),
    }
}

impl Functions {
    pub(crate) fn of(parts: &FunctionParts) -> Self {
        let (key, _) = SigningKey::generate().unwrap();
        let keys = Keys::new(std::slice::from_ref(&key), JwkSet { keys: Vec::new() }).unwrap();
        let gate = Gate {
            identity: Arc::new(Tokens(keys.verifier(ISSUER))),
            signin: Arc::new(FirestoreSigninStore::new(Arc::clone(&parts.database))),
            clock: Arc::clone(&parts.clock),
            issuer: ISSUER.into(),
            page_origin: None,
        };
        let auth = auth_app(&gate, keys);
        Self {
            auth: auth::router(auth, Limits::default()).unwrap(),
            reaper: reaper::router(reaper_app(parts, &gate), Limits::default()),
            lifecycle: lifecycle::router(lifecycle_app(parts, gate, key), Limits::default()),
        }
    }
}

fn auth_app(gate: &Gate, keys: Keys) -> auth::App {
    let hash = auth::hash_password(PASSWORD).unwrap();
    let users = json!([{"name": "ada", "role": "user", "hash": hash}]).to_string();
    auth::App {
        gate: gate.clone(),
        users: Arc::new(Users::from_json(&users).unwrap()),
        keys: Arc::new(keys),
        passwords: Passwords::default(),
        page: Arc::new(PageSettings::default()),
        trusted_proxies: 0,
    }
}

fn lifecycle_app(parts: &FunctionParts, gate: Gate, key: SigningKey) -> lifecycle::App {
    lifecycle::App::new(lifecycle::Parts {
        notifier: Arc::new(platform::notify::MemoryNotifier::default()),
        webhooks: Default::default(),
        page: None,
        workspaces: vec![parts.workspace.clone()],
        store: Arc::new(FirestoreStore::new(Arc::clone(&parts.database))),
        queue: Arc::clone(&parts.queue),
        compute: Arc::clone(&parts.compute),
        clock: Arc::clone(&parts.clock),
        vms: oidc(&gate),
        push: oidc(&gate),
        gate,
        key: Arc::new(key),
        project: PROJECT.into(),
    })
}

fn reaper_app(parts: &FunctionParts, gate: &Gate) -> reaper::App {
    reaper::App::new(reaper::Parts {
        workspaces: vec![parts.workspace.clone()],
        store: Arc::new(FirestoreStore::new(Arc::clone(&parts.database))),
        queue: Arc::clone(&parts.queue),
        compute: Arc::clone(&parts.compute),
        clock: Arc::clone(&parts.clock),
        scheduler: oidc(gate),
    })
}

fn oidc(gate: &Gate) -> OidcGate {
    OidcGate {
        identity: Arc::clone(&gate.identity),
        clock: Arc::clone(&gate.clock),
        audience: AUDIENCE.into(),
        emails: vec![EMAIL.into()],
    }
}
