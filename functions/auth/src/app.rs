//! Everything that auth's handlers work with, put together once at the start.

use std::sync::Arc;

use axum::extract::FromRef;
use service::Gate;

use crate::headers::PageSettings;
use crate::keys::Keys;
use crate::password::Passwords;
use crate::users::Users;

/// What the handlers share. Cheap to clone.
#[derive(Clone, Debug)]
pub struct App {
    /// The one check of tokens; also holds the clock, the sign-in store and our issuer.
    pub gate: Gate,
    pub users: Arc<Users>,
    pub keys: Arc<Keys>,
    pub passwords: Passwords,
    pub page: Arc<PageSettings>,
    /// How many proxies in front of us each add one address to `X-Forwarded-For`; 1 on Cloud Run, 0 on loopback.
    pub trusted_proxies: usize,
}

impl FromRef<App> for Gate {
    fn from_ref(app: &App) -> Self {
        app.gate.clone()
    }
}
