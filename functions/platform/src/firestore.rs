//! The one Firestore database: where it is, what its collections are called, and how it is called.
//!
//! Connects when it is first used, so that a function starts without it. Each call is limited in time, and tried a few
//! times while Firestore is out of reach or others are at the same document; a conflict is never tried again here,
//! because only the caller can read again and decide again.

mod connection;
pub(crate) mod schema;
mod usage;
mod verdict;

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use anyhow::Context as _;
use firestore::FirestoreDb;
use firestore::gcloud_sdk::google::firestore::v1::batch_get_documents_response::Result as Found;
use firestore::gcloud_sdk::google::firestore::v1::{
    BatchGetDocumentsRequest, CommitRequest, Document, Precondition, RunQueryRequest, StructuredQuery, Value, Write,
    precondition::ConditionType, run_query_request::QueryType, value::ValueType, write::Operation,
};
use firestore::gcloud_sdk::prost_types::Timestamp as UpdateTime;
use firestore::gcloud_sdk::tonic::Status;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use self::connection::{Client, Connection, client};
pub use self::usage::Usage;
use self::usage::{Meter, is_deletion};
pub(crate) use self::verdict::CallError;
use self::verdict::{Verdict, verdict};

/// How often one call is tried.
const TRIES_MAX: u32 = 4;
/// One try of a call takes no longer.
const TRY_TIME_MAX: Duration = Duration::from_secs(5);
/// All tries of a call, and the waits between them, take no longer: less than a handler's own time limit.
const CALL_TIME_MAX: Duration = Duration::from_secs(9);
/// The wait before the second try; doubled before each one after it. Half of it is chance.
const FIRST_WAIT: Duration = Duration::from_millis(100);

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
    connection: Connection,
    meter: Meter,
}

impl fmt::Debug for Firestore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Firestore").field(&self.config).finish()
    }
}

/// What a query asks for.
#[derive(Debug)]
pub(crate) struct Query<'a> {
    /// The document that the collection lies under; `None` at the top.
    pub(crate) parent: Option<String>,
    /// Of a [`schema::Shape`].
    pub(crate) query: StructuredQuery,
    pub(crate) what: &'a str,
}

/// A try that went wrong.
struct Mishap {
    verdict: Verdict,
    /// The call may have been carried out all the same.
    in_doubt: bool,
    status: Status,
}

impl Firestore {
    /// The database that `config` tells of; not connected yet.
    pub fn new(config: FirestoreConfig) -> Self {
        Self { config, connection: Connection::default(), meter: Meter::default() }
    }

    /// What was used of it since it was opened.
    pub fn usage(&self) -> Usage {
        self.meter.usage()
    }

    /// The calls that were made since it was opened, by their names in `permissions.json`.
    pub fn called(&self) -> BTreeSet<&'static str> {
        self.meter.called()
    }

    /// Full name of a document, or of the collection that a path of odd length leads to.
    pub(crate) fn name(&self, path: &[&str]) -> String {
        let FirestoreConfig { project, database, .. } = &self.config;
        format!("projects/{project}/databases/{database}/documents/{}", path.join("/"))
    }

    fn database(&self) -> String {
        format!("projects/{}/databases/{}", self.config.project, self.config.database)
    }

    /// The document of this full name, if there is one.
    pub(crate) async fn get(&self, name: &str) -> anyhow::Result<Option<Document>> {
        const WHAT: &str = "reading a document";
        // Asked for as a batch of one: there, a document that is missing is no error, and a database that is missing is.
        let documents = vec![name.to_owned()];
        let request = BatchGetDocumentsRequest { database: self.database(), documents, ..Default::default() };
        self.meter.calls("firestore.batchGetDocuments");
        let got = self.call(WHAT, |mut client| {
            let request = request.clone();
            async move {
                let mut answers = client.batch_get_documents(request).await?.into_inner();
                // One document was asked for; anything else that comes belongs to the call.
                while let Some(answer) = answers.message().await? {
                    match answer.result {
                        Some(Found::Found(document)) => return Ok(Some(document)),
                        Some(Found::Missing(_)) => return Ok(None),
                        None => {}
                    }
                }
                Err(Status::unknown("neither the document nor that there is none"))
            }
        });
        let got = got.await.map_err(CallError::of_read)?;
        self.meter.read(WHAT, 1);
        Ok(got)
    }

    /// All of the writes, or none. The `updateTime` that the first one has made is the answer, if it made one.
    pub(crate) async fn commit(&self, writes: Vec<Write>) -> Result<Option<UpdateTime>, CallError> {
        const WHAT: &str = "saving";
        let request = CommitRequest { database: self.database(), writes, ..CommitRequest::default() };
        for write in &request.writes {
            self.meter.calls(if is_deletion(write) { "firestore.commit.delete" } else { "firestore.commit.update" });
        }
        let saved = self.call(WHAT, |mut client| {
            let request = request.clone();
            async move { client.commit(request).await }
        });
        let saved = saved.await?.into_inner();
        self.meter.written(WHAT, &request.writes);
        Ok(saved.write_results.first().and_then(|result| result.update_time))
    }

    /// The documents that a query brings, at most as many as it allows.
    pub(crate) async fn query(&self, query: Query<'_>) -> anyhow::Result<Vec<Document>> {
        let path: Vec<&str> = query.parent.as_deref().into_iter().collect();
        let parent = self.name(&path).trim_end_matches('/').to_owned();
        let query_type = Some(QueryType::StructuredQuery(query.query));
        let request = RunQueryRequest { parent, query_type, ..RunQueryRequest::default() };
        self.meter.calls("firestore.runQuery");
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
        let documents = documents.await.map_err(CallError::of_read)?;
        self.meter.read(query.what, documents.len());
        Ok(documents)
    }

    async fn call<T, F, Sent>(&self, what: &str, send: F) -> Result<T, CallError>
    where
        F: Fn(Client) -> Sent + Sync,
        Sent: Future<Output = Result<T, Status>> + Send,
    {
        let over = Instant::now() + CALL_TIME_MAX;
        let mut tried = 0;
        let mut in_doubt = false;
        // Ends at the latest with the last try.
        loop {
            let mishap = match timeout_at(over, self.attempt(&send)).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(mishap)) => mishap,
                Err(_) => Mishap::of(Status::deadline_exceeded("no answer before the call was over")),
            };
            tried += 1;
            let wait = jittered(FIRST_WAIT * 2_u32.pow(tried - 1));
            if !mishap.may_pass() || tried >= TRIES_MAX || Instant::now() + wait >= over {
                return Err(mishap.into_error(what, tried, in_doubt));
            }
            in_doubt |= mishap.in_doubt;
            self.meter.tried_again();
            tracing::debug!(what, tried, verdict = ?mishap.verdict, status = %mishap.status, "trying Firestore again");
            sleep(wait).await;
        }
    }

    async fn attempt<T, F, Sent>(&self, send: &F) -> Result<T, Mishap>
    where
        F: Fn(Client) -> Sent + Sync,
        Sent: Future<Output = Result<T, Status>> + Send,
    {
        let line = self.connection.line();
        let client = client(&line, &self.config).await.map_err(|error| Mishap {
            verdict: Verdict::OutOfReach,
            in_doubt: false,
            status: Status::unavailable(format!("{error:#}")),
        })?;
        match timeout(TRY_TIME_MAX, send(client)).await {
            Ok(answer) => answer.map_err(Mishap::of),
            Err(_) => {
                self.connection.leave(&line);
                Err(Mishap::of(Status::deadline_exceeded("no answer in time")))
            }
        }
    }
}

impl Mishap {
    fn of(status: Status) -> Self {
        let verdict = verdict(status.code());
        Self { verdict, in_doubt: verdict == Verdict::OutOfReach, status }
    }

    fn may_pass(&self) -> bool {
        matches!(self.verdict, Verdict::Contended | Verdict::OutOfReach)
    }

    fn into_error(self, what: &str, tried: u32, in_doubt: bool) -> CallError {
        let Self { verdict, status, .. } = self;
        let told = |status| anyhow::Error::new(status).context(format!("{what}, tried {tried} times"));
        match verdict {
            Verdict::Conflict => CallError::Conflict { status, in_doubt },
            Verdict::Contended => CallError::Contended(told(status)),
            Verdict::OutOfReach | Verdict::Refused => CallError::Failed(told(status)),
        }
    }
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

/// The fields that a document written from this has.
#[cfg(test)]
pub(crate) fn field_names(fields: &impl Serialize) -> std::collections::BTreeSet<String> {
    let Some(Operation::Update(document)) = put("a/b".to_owned(), fields, None).unwrap().operation else {
        panic!("a put updates");
    };
    document.fields.into_keys().collect()
}

/// A value of a query.
pub(crate) fn value(value_type: ValueType) -> Value {
    Value { value_type: Some(value_type) }
}

#[cfg(test)]
mod tests {
    use super::schema::{RUNS, WORKSPACES};
    use super::*;

    /// Whoever makes another call notes it, and gives its rights to whom it needs: see `permissions.json`.
    #[test]
    fn no_other_calls_are_made_than_those_that_are_noted() {
        let source = include_str!("firestore.rs").split("mod tests").next().unwrap();
        let made: BTreeSet<&str> =
            source.split("client.").skip(1).filter_map(|rest| Some(rest.split_once("(request)")?.0)).collect();
        assert_eq!(made, BTreeSet::from(["batch_get_documents", "commit", "run_query"]));
    }

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

    fn at(listener: &std::net::TcpListener) -> Firestore {
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        Firestore::new(FirestoreConfig { endpoint: Some(endpoint), ..FirestoreConfig::new("p1") })
    }

    async fn failure(firestore: &Firestore) -> String {
        let name = firestore.name(&[WORKSPACES, "main"]);
        let error = timeout(2 * CALL_TIME_MAX, firestore.get(&name)).await.unwrap().unwrap_err();
        format!("{error:#}")
    }

    #[tokio::test]
    async fn a_database_out_of_reach_fails_in_time_and_says_what_it_was_about() {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let firestore = at(&listener);
        // Nobody listens there any more.
        drop(listener);
        let failure = failure(&firestore).await;
        assert!(failure.starts_with("reading a document, tried 4 times: "), "{failure}");
        assert!(failure.contains("connecting to Firestore"), "{failure}");
        assert_eq!(firestore.usage(), Usage { tries_again: 3, ..Usage::default() });
    }

    #[tokio::test(start_paused = true)]
    async fn a_database_that_never_answers_fails_in_time() {
        // Takes connections, and says nothing.
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let failure = failure(&at(&listener)).await;
        assert!(failure.starts_with("reading a document, tried "), "{failure}");
    }
}
