//! The one Firestore database: where it is, what its collections are called, and how it is called.
//!
//! Connects when it is first used, so that a function starts without it. Each call is limited in time and tried a few
//! times when Firestore is out of reach; a conflict is never tried again here, because only the caller can read again
//! and decide again.

use std::fmt;
use std::time::Duration;

use anyhow::Context as _;
use firestore::gcloud_sdk::google::firestore::v1::firestore_client::FirestoreClient;
use firestore::gcloud_sdk::google::firestore::v1::{
    CommitRequest, Document, GetDocumentRequest, Precondition, RunQueryRequest, StructuredQuery, Value, Write,
    precondition::ConditionType, run_query_request::QueryType, value::ValueType, write::Operation,
};
use firestore::gcloud_sdk::prost_types::Timestamp as UpdateTime;
use firestore::gcloud_sdk::tonic::{Code, Status};
use firestore::gcloud_sdk::{GoogleAuthMiddleware, google_cloud_auth};
use firestore::{FirestoreDb, FirestoreDbOptions, FirestoreResult};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::OnceCell;

/// A document for each workspace, named by its id.
pub(crate) const WORKSPACES: &str = "workspaces";
/// Under each workspace: a document for each finished run, named by its number.
pub(crate) const RUNS: &str = "runs";
/// Failures to sign in, by a hash of account or address. Its time to live is `expires_at`.
pub(crate) const SIGNIN_ATTEMPTS: &str = "signin_attempts";
/// Tokens signed out before their time, by a hash of their id. Its time to live is `expires_at`.
pub(crate) const REVOKED_TOKENS: &str = "revoked_tokens";

/// How often one call is tried while Firestore is out of reach.
const TRIES_MAX: u32 = 4;
/// One try of a call takes no longer.
const TRY_TIME_MAX: Duration = Duration::from_secs(5);
/// All tries of a call, and the waits between them, take no longer: less than a handler's own time limit.
const CALL_TIME_MAX: Duration = Duration::from_secs(9);
/// Connecting, credentials included, takes no longer.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(5);
/// The wait before the second try; doubled before each one after it. Half of it is chance.
const FIRST_WAIT: Duration = Duration::from_millis(100);
/// Documents that one query may bring, whatever was asked for.
const DOCUMENTS_PER_QUERY_MAX: usize = 1000;

/// Where the database is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirestoreConfig {
    /// The Google Cloud project.
    pub project: String,
    /// `(default)`, or the name of another database.
    pub database: String,
    /// URL of an emulator such as `http://127.0.0.1:8080`, called without credentials. `None` for Google's own, or
    /// whatever `FIRESTORE_EMULATOR_HOST` names: the client crate reads it.
    pub endpoint: Option<String>,
}

impl FirestoreConfig {
    /// Google's Firestore, and the project's `(default)` database.
    pub fn new(project: impl Into<String>) -> Self {
        Self { project: project.into(), database: "(default)".to_owned(), endpoint: None }
    }
}

/// The database, shared by everything that is kept in it.
pub struct Firestore {
    config: FirestoreConfig,
    connection: OnceCell<FirestoreDb>,
}

impl fmt::Debug for Firestore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Firestore").field(&self.config).finish()
    }
}

/// Why a call did not succeed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    /// A document is not as the call expected it.
    #[error("the document has changed since it was read")]
    Conflict(#[source] Status),
    #[error("Firestore failed")]
    Failed(#[source] anyhow::Error),
}

/// What a query asks for: the documents of one collection, in the order of one field.
#[derive(Debug)]
pub(crate) struct Query<'a> {
    /// The document that the collection lies under; `None` at the top.
    pub(crate) parent: Option<String>,
    pub(crate) query: StructuredQuery,
    pub(crate) what: &'a str,
}

impl Firestore {
    /// The database that `config` tells of; not connected yet.
    pub fn new(config: FirestoreConfig) -> Self {
        Self { config, connection: OnceCell::new() }
    }

    /// Full name of a document, or of the collection that a path of odd length leads to.
    pub(crate) fn name(&self, path: &[&str]) -> String {
        let FirestoreConfig { project, database, .. } = &self.config;
        format!("projects/{project}/databases/{database}/documents/{}", path.join("/"))
    }

    /// The document of this full name, if there is one.
    pub(crate) async fn get(&self, name: &str) -> anyhow::Result<Option<Document>> {
        let request = GetDocumentRequest { name: name.to_owned(), ..GetDocumentRequest::default() };
        let got = self.call("reading a document", |mut client| {
            let request = request.clone();
            async move {
                match client.get_document(request).await {
                    Ok(response) => Ok(Some(response.into_inner())),
                    Err(status) if status.code() == Code::NotFound => Ok(None),
                    Err(status) => Err(status),
                }
            }
        });
        Ok(got.await?)
    }

    /// All of the writes, or none. The `updateTime` that the first one has made is the answer, if it made one.
    pub(crate) async fn commit(&self, writes: Vec<Write>) -> Result<Option<UpdateTime>, CallError> {
        let database = format!("projects/{}/databases/{}", self.config.project, self.config.database);
        let request = CommitRequest { database, writes, ..CommitRequest::default() };
        let saved = self.call("saving", |mut client| {
            let request = request.clone();
            async move { client.commit(request).await }
        });
        Ok(saved.await?.into_inner().write_results.first().and_then(|result| result.update_time))
    }

    /// The documents that a query brings, at most as many as it allows.
    pub(crate) async fn query(&self, query: Query<'_>) -> anyhow::Result<Vec<Document>> {
        let path: Vec<&str> = query.parent.as_deref().into_iter().collect();
        let parent = self.name(&path).trim_end_matches('/').to_owned();
        let query_type = Some(QueryType::StructuredQuery(query.query));
        let request = RunQueryRequest { parent, query_type, ..RunQueryRequest::default() };
        let documents = self.call(query.what, |mut client| {
            let request = request.clone();
            async move {
                let mut answers = client.run_query(request).await?.into_inner();
                let mut documents = Vec::new();
                // The query has a limit, and the whole try a time limit.
                while let Some(answer) = answers.message().await? {
                    documents.extend(answer.document);
                }
                Ok(documents)
            }
        });
        Ok(documents.await?)
    }

    async fn connection(&self) -> anyhow::Result<&FirestoreDb> {
        let connected =
            tokio::time::timeout(CONNECT_TIME_MAX, self.connection.get_or_try_init(|| self.connect())).await;
        connected.context("connecting to Firestore took too long")?.context("connecting to Firestore")
    }

    async fn connect(&self) -> FirestoreResult<FirestoreDb> {
        let mut options = FirestoreDbOptions::new(self.config.project.clone());
        options.database_id.clone_from(&self.config.database);
        let Some(endpoint) = &self.config.endpoint else { return FirestoreDb::with_options(options).await };
        options.firebase_api_url = Some(endpoint.clone());
        let nobody = google_cloud_auth::credentials::anonymous::Builder::new().build();
        FirestoreDb::with_options_auth(options, nobody).await
    }

    async fn call<T, F, Sent>(&self, what: &str, send: F) -> Result<T, CallError>
    where
        F: Fn(Client) -> Sent + Sync,
        Sent: Future<Output = Result<T, Status>> + Send,
    {
        let tries = async {
            let mut tried = 1;
            loop {
                let connection = self.connection().await.map_err(CallError::Failed)?;
                let sent = tokio::time::timeout(TRY_TIME_MAX, send(connection.client().get())).await;
                let status = match sent {
                    Ok(Ok(answer)) => return Ok(answer),
                    Ok(Err(status)) => status,
                    Err(_) => Status::deadline_exceeded("no answer in time"),
                };
                if is_conflict(status.code()) {
                    return Err(CallError::Conflict(status));
                }
                if tried >= TRIES_MAX || !is_passing(status.code()) {
                    let failed = anyhow::Error::new(status).context(format!("{what}, tried {tried} times"));
                    return Err(CallError::Failed(failed));
                }
                tracing::debug!(what, tried, %status, "Firestore is out of reach; trying again");
                tokio::time::sleep(jittered(FIRST_WAIT * 2_u32.pow(tried - 1))).await;
                tried += 1;
            }
        };
        let late = || CallError::Failed(anyhow::anyhow!("{what} took longer than {} s", CALL_TIME_MAX.as_secs()));
        tokio::time::timeout(CALL_TIME_MAX, tries).await.unwrap_or_else(|_| Err(late()))
    }
}

type Client = FirestoreClient<GoogleAuthMiddleware>;

/// A precondition that does not hold. `ABORTED` is one that Firestore has found out by locking.
fn is_conflict(code: Code) -> bool {
    matches!(code, Code::FailedPrecondition | Code::AlreadyExists | Code::NotFound | Code::Aborted)
}

/// Worth another try: the call may not have arrived. If it has, its precondition makes the next try a conflict, in
/// which the caller may know its own save; calls without one may be made twice.
fn is_passing(code: Code) -> bool {
    matches!(
        code,
        Code::Unavailable | Code::DeadlineExceeded | Code::ResourceExhausted | Code::Internal | Code::Unknown
    )
}

/// Between half of `wait` and all of it, so that those who failed together do not come back together.
pub(crate) fn jittered(wait: Duration) -> Duration {
    // Without chance everybody waits for the whole of it: slower, and not wrong.
    let chance = getrandom::u32().map_or(1.0, |chance| f64::from(chance) / f64::from(u32::MAX));
    wait.mul_f64(0.5 + chance / 2.0)
}

/// Writes the whole of a document, on condition of how it is found.
pub(crate) fn put(name: String, fields: &impl Serialize, on: Option<ConditionType>) -> anyhow::Result<Write> {
    let document = FirestoreDb::serialize_to_doc(name, fields).context("writing a document")?;
    let current_document = on.map(|condition| Precondition { condition_type: Some(condition) });
    Ok(Write { operation: Some(Operation::Update(document)), current_document, ..Write::default() })
}

/// Deletes a document, if there is one.
pub(crate) fn delete(name: String) -> Write {
    Write { operation: Some(Operation::Delete(name)), ..Write::default() }
}

/// What a document holds.
pub(crate) fn fields<T: DeserializeOwned>(document: &Document) -> anyhow::Result<T> {
    FirestoreDb::deserialize_doc_to(document).with_context(|| format!("reading what {} holds", document.name))
}

/// A limit that a query may carry.
pub(crate) fn limit(asked: usize) -> Option<i32> {
    i32::try_from(asked.min(DOCUMENTS_PER_QUERY_MAX)).ok()
}

/// A value of a query.
pub(crate) fn value(value_type: ValueType) -> Value {
    Value { value_type: Some(value_type) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_full_paths() {
        let firestore = Firestore::new(FirestoreConfig::new("p1"));
        let name = firestore.name(&[WORKSPACES, "main", RUNS, "7"]);
        assert_eq!(name, "projects/p1/databases/(default)/documents/workspaces/main/runs/7");
    }

    #[test]
    fn a_wait_is_jittered_within_its_upper_half() {
        for _ in 0..100 {
            let wait = jittered(Duration::from_millis(100));
            assert!((Duration::from_millis(50)..=Duration::from_millis(100)).contains(&wait), "{wait:?}");
        }
    }

    #[tokio::test]
    async fn a_database_out_of_reach_fails_in_time_and_says_what_it_was_about() {
        // Bound and dropped: nobody listens there.
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        drop(listener);
        let config = FirestoreConfig { endpoint: Some(endpoint), ..FirestoreConfig::new("p1") };
        let firestore = Firestore::new(config);
        let get = firestore.get("projects/p1/databases/(default)/documents/workspaces/main");
        let error = tokio::time::timeout(2 * CALL_TIME_MAX, get).await.unwrap().unwrap_err();
        assert!(format!("{error:#}").contains("Firestore"), "{error:#}");
    }
}
