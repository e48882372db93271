//! Saves that meet others: in conflict, in contention, or with themselves after a lost answer.

use std::sync::Arc;
use std::time::Duration;

use domain::{Record, WorkspaceId};
use platform::contract::emulator::{Emulator, project};
use platform::firestore::{Firestore, FirestoreConfig};
use platform::store::{FirestoreStore, Save, SaveError, Version, WorkspaceStore};
use serde_json::{Value, json};

use crate::cut_wire::CutWire;

/// Longer than a call may take. A test that waits longer has found one without an end.
const TOO_LONG: Duration = Duration::from_secs(30);
/// Between two looks at what a call has come to.
const LOOK_EVERY: Duration = Duration::from_millis(10);

fn main() -> WorkspaceId {
    WorkspaceId::parse("main").unwrap()
}

fn numbered(run: u64) -> Record {
    Record { run, ..Record::default() }
}

async fn save(store: &FirestoreStore, record: &Record, seen: Option<&Version>) -> Result<Version, SaveError> {
    let save = Save { id: &main(), record, seen, due_at: None, ended: None };
    tokio::time::timeout(TOO_LONG, store.save(save)).await.unwrap()
}

/// A database of the emulator's, the store on it, and a workspace in that.
struct Shared {
    database: Arc<Firestore>,
    store: FirestoreStore,
    /// URL of its documents in the REST API.
    documents: String,
    created: Version,
}

impl Shared {
    async fn with_workspace(emulator: &Emulator) -> Self {
        Self::through(emulator, emulator.url()).await
    }

    /// The same, where the store reaches the emulator through another address.
    async fn through(emulator: &Emulator, endpoint: String) -> Self {
        let project = project();
        let documents = format!("{}/v1/projects/{project}/databases/(default)/documents", emulator.url());
        let config = FirestoreConfig { endpoint: Some(endpoint), ..FirestoreConfig::new(project) };
        let database = Arc::new(Firestore::new(config));
        let store = FirestoreStore::new(Arc::clone(&database));
        let created = save(&store, &numbered(1), None).await.unwrap();
        Self { database, store, documents, created }
    }

    /// Waits until a call has been tried once more.
    async fn tried_again(&self) {
        let mut looks = tokio::time::interval(LOOK_EVERY);
        let tried = async {
            while self.database.usage().tries_again == 0 {
                looks.tick().await;
            }
        };
        tokio::time::timeout(TOO_LONG, tried).await.unwrap();
    }
}

/// A transaction of somebody else's that has read the workspace, and so holds it.
struct Holder {
    documents: String,
    transaction: Value,
}

impl Holder {
    async fn of(shared: &Shared) -> Self {
        let documents = shared.documents.clone();
        let begun = post(&documents, "beginTransaction", &json!({"options": {"readWrite": {}}})).await;
        let transaction = begun["transaction"].clone();
        let name = documents.split_once("/v1/").unwrap().1;
        let wanted = json!({"documents": [format!("{name}/workspaces/main")], "transaction": transaction});
        let read = post(&documents, "batchGet", &wanted).await;
        assert!(read.to_string().contains("updateTime"), "it holds what is there: {read}");
        Self { documents, transaction }
    }

    async fn let_go(self) {
        post(&self.documents, "rollback", &json!({"transaction": self.transaction})).await;
    }
}

async fn post(documents: &str, verb: &str, body: &Value) -> Value {
    let request = reqwest::Client::new().post(format!("{documents}:{verb}")).bearer_auth("owner").json(body);
    let answer = request.send().await.unwrap();
    assert!(answer.status().is_success(), "{verb}: {answer:?}");
    answer.json().await.unwrap()
}

#[tokio::test]
async fn a_save_that_meets_a_lock_succeeds_when_it_is_let_go() {
    let Some(emulator) = Emulator::firestore().await else { return };
    let shared = Shared::with_workspace(&emulator).await;
    let holder = Holder::of(&shared).await;
    let record = numbered(2);
    let let_go = async {
        shared.tried_again().await;
        holder.let_go().await;
    };
    let (saved, ()) = tokio::join!(save(&shared.store, &record, Some(&shared.created)), let_go);
    let version = saved.unwrap();
    let loaded = shared.store.load(&main()).await.unwrap();
    assert_eq!((loaded.record, loaded.version), (record, Some(version)));
}

#[tokio::test]
async fn a_save_that_meets_a_lock_to_the_end_tells_of_contention_and_not_of_a_conflict() {
    let Some(emulator) = Emulator::firestore().await else { return };
    let shared = Shared::with_workspace(&emulator).await;
    let holder = Holder::of(&shared).await;
    let error = save(&shared.store, &numbered(2), Some(&shared.created)).await.unwrap_err();
    assert!(matches!(error, SaveError::Contended(_)), "{error:?}");
    let told = format!("{:#}", anyhow::Error::new(error));
    assert!(told.contains("saving, tried "), "{told}");
    holder.let_go().await;
    let loaded = shared.store.load(&main()).await.unwrap();
    assert_eq!((loaded.record, loaded.version), (numbered(1), Some(shared.created)), "nothing was saved");
}

#[tokio::test]
async fn a_conflict_is_told_at_once_and_costs_nothing() {
    let Some(emulator) = Emulator::firestore().await else { return };
    let shared = Shared::with_workspace(&emulator).await;
    save(&shared.store, &numbered(2), Some(&shared.created)).await.unwrap();
    let before = shared.database.usage();
    for seen in [Some(&shared.created), None] {
        assert!(matches!(save(&shared.store, &numbered(3), seen).await, Err(SaveError::Conflict)), "{seen:?}");
    }
    assert_eq!(shared.database.usage(), before, "not tried again, and nothing read to tell");
    assert_eq!(shared.store.load(&main()).await.unwrap().record, numbered(2));
}

#[tokio::test]
async fn a_save_whose_answer_was_lost_knows_itself_again() {
    let Some(emulator) = Emulator::firestore().await else { return };
    let wire = CutWire::to(emulator.address()).await;
    let shared = Shared::through(&emulator, wire.url()).await;
    wire.cut_at_next_answer();
    let version = save(&shared.store, &numbered(2), Some(&shared.created)).await.unwrap();
    assert!(wire.has_struck(), "the answer was lost");
    let loaded = shared.store.load(&main()).await.unwrap();
    assert_eq!((loaded.record, loaded.version), (numbered(2), Some(version)));
}

#[tokio::test]
async fn a_save_whose_answer_never_comes_is_tried_on_another_connection() {
    let Some(emulator) = Emulator::firestore().await else { return };
    let wire = CutWire::to(emulator.address()).await;
    let shared = Shared::through(&emulator, wire.url()).await;
    wire.swallow_from_next_answer();
    let version = save(&shared.store, &numbered(2), Some(&shared.created)).await.unwrap();
    assert!(wire.has_struck(), "the answer was swallowed");
    assert_eq!(shared.database.usage().tries_again, 1);
    let loaded = shared.store.load(&main()).await.unwrap();
    assert_eq!((loaded.record, loaded.version), (numbered(2), Some(version)));
}

#[tokio::test]
async fn a_conflict_after_a_lost_answer_is_one_when_somebody_else_has_saved() {
    let Some(emulator) = Emulator::firestore().await else { return };
    let wire = CutWire::to(emulator.address()).await;
    let shared = Shared::through(&emulator, wire.url()).await;
    let direct = {
        let project = shared.documents.split('/').nth(5).unwrap();
        let config = FirestoreConfig { endpoint: Some(emulator.url()), ..FirestoreConfig::new(project) };
        FirestoreStore::new(Arc::new(Firestore::new(config)))
    };
    save(&direct, &numbered(2), Some(&shared.created)).await.unwrap();
    // The answer that is lost is the conflict; the try after it must not take the other's save for its own.
    wire.cut_at_next_answer();
    let late = save(&shared.store, &numbered(2), Some(&shared.created)).await;
    assert!(matches!(late, Err(SaveError::Conflict)), "{late:?}");
    assert!(wire.has_struck());
}
