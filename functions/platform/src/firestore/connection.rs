//! The connection: made when it is first needed, and made anew when one has swallowed a call.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use firestore::gcloud_sdk::google::firestore::v1::firestore_client::FirestoreClient;
use firestore::gcloud_sdk::{GoogleAuthMiddleware, google_cloud_auth};
use firestore::{FirestoreDb, FirestoreDbOptions, FirestoreResult};
use tokio::sync::OnceCell;

use super::FirestoreConfig;

/// Connecting, credentials included, takes no longer.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(5);

pub(super) type Client = FirestoreClient<GoogleAuthMiddleware>;

/// What calls go through; may not be connected yet.
pub(super) type Line = Arc<OnceCell<FirestoreDb>>;

/// The line in use.
#[derive(Default)]
pub(super) struct Connection {
    line: Mutex<Line>,
}

impl Connection {
    /// The line that calls go through at present.
    pub(super) fn line(&self) -> Line {
        Arc::clone(&self.line.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Leaves a line on which no answer came: an instance that had no processor for a while may hold one that nobody
    /// listens to any more, and the client would find that out after two minutes. Calls under way keep it.
    pub(super) fn leave(&self, silent: &Line) {
        let mut line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever timed out beside us has left it already.
        if Arc::ptr_eq(&line, silent) {
            *line = Line::default();
        }
    }
}

/// A client on this line, which is connected when it is first used.
pub(super) async fn client(line: &Line, config: &FirestoreConfig) -> anyhow::Result<Client> {
    let connected = tokio::time::timeout(CONNECT_TIME_MAX, line.get_or_try_init(|| connect(config))).await;
    let database = connected.context("connecting to Firestore took too long")?.context("connecting to Firestore")?;
    Ok(database.client().get())
}

async fn connect(config: &FirestoreConfig) -> FirestoreResult<FirestoreDb> {
    let mut options = FirestoreDbOptions::new(config.project.clone());
    options.database_id.clone_from(&config.database);
    let Some(endpoint) = &config.endpoint else { return FirestoreDb::with_options(options).await };
    options.firebase_api_url = Some(endpoint.clone());
    let nobody = google_cloud_auth::credentials::anonymous::Builder::new().build();
    FirestoreDb::with_options_auth(options, nobody).await
}
