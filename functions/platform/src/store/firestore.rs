//! Records in Firestore. Compare-and-set on `updateTime`; a record and the run that ended with it are one commit.

mod document;
mod stored;

use std::sync::Arc;

use anyhow::Context as _;
use async_trait::async_trait;
use domain::{Record, Run, RunNumber, Timestamp, WorkspaceId};
use firestore::gcloud_sdk::google::firestore::v1::{Cursor, Document, precondition::ConditionType, value::ValueType};
use firestore::gcloud_sdk::prost_types::Timestamp as UpdateTime;

use self::document::{RunDocument, WorkspaceDocument};
use super::{DueCursor, DuePage, Save, SaveError, Version, Versioned, WorkspaceStore};
use crate::firestore::schema::{DUE, FINISHED, RUNS, WORKSPACES};
use crate::firestore::{self as database, CallError, Firestore, Query};

/// Records of workspaces in Firestore.
#[derive(Clone, Debug)]
pub struct FirestoreStore {
    database: Arc<Firestore>,
}

impl FirestoreStore {
    /// Keeps records in `database`.
    pub fn new(database: Arc<Firestore>) -> Self {
        Self { database }
    }

    /// Puts many records there at once, whatever is there: for tests and benches that need many to begin with.
    ///
    /// # Errors
    /// When Firestore fails; some of them may be there then.
    #[cfg(any(test, feature = "contract"))]
    pub async fn put_all(&self, records: &[(WorkspaceId, Record, Option<Timestamp>)]) -> anyhow::Result<()> {
        /// An emulator takes some milliseconds for each, and a call may take seconds.
        const WRITES_AT_ONCE: usize = 50;
        for records in records.chunks(WRITES_AT_ONCE) {
            let writes = records.iter().map(|(id, record, due_at)| {
                let save = uuid::Uuid::new_v4().to_string();
                let document = WorkspaceDocument { record: record.clone(), due_at: *due_at, save };
                database::put(self.name(id), &document, None)
            });
            self.database.commit(writes.collect::<anyhow::Result<_>>()?).await?;
        }
        Ok(())
    }

    fn name(&self, id: &WorkspaceId) -> String {
        self.database.name(&[WORKSPACES, id.as_str()])
    }

    /// The version of a save that is in conflict with itself: saved, but the answer was lost, and then tried again.
    async fn own_save(&self, id: &WorkspaceId, save: &str) -> Option<Version> {
        // A failure to look leaves a conflict, which is safe: the caller reads again.
        let found = self.database.get(&self.name(id)).await.ok()??;
        let document: WorkspaceDocument = database::fields(&found).ok()?;
        (document.save == save).then_some(found.update_time.as_ref().map(version)).flatten()
    }

    async fn conflict(
        &self,
        save: &Save<'_>,
        written: &WorkspaceDocument,
        in_doubt: bool,
    ) -> Result<Version, SaveError> {
        // Where every earlier try is known to have changed nothing, the document need not be read to tell.
        let own = if in_doubt { self.own_save(save.id, &written.save).await } else { None };
        own.ok_or(SaveError::Conflict)
    }
}

#[async_trait]
impl WorkspaceStore for FirestoreStore {
    async fn load(&self, id: &WorkspaceId) -> anyhow::Result<Versioned> {
        match self.database.get(&self.name(id)).await? {
            Some(document) => Ok(workspace(&document)?.1),
            None => Ok(Versioned { record: Record::default(), version: None }),
        }
    }

    async fn save(&self, save: Save<'_>) -> Result<Version, SaveError> {
        let seen = save.seen.map(update_time).transpose().map_err(SaveError::Unavailable)?;
        let condition = seen.map_or(ConditionType::Exists(false), ConditionType::UpdateTime);
        let document = WorkspaceDocument {
            record: save.record.clone(),
            due_at: save.due_at,
            save: uuid::Uuid::new_v4().to_string(),
        };
        let written = database::put(self.name(save.id), &document, Some(condition));
        let mut writes = vec![written.map_err(SaveError::Unavailable)?];
        if let Some(run) = save.ended {
            let name = self.database.name(&[WORKSPACES, save.id.as_str(), RUNS, &run.number.to_string()]);
            // Without a condition: a run told twice is the same run, and must not stand in the way of the record.
            let written = database::put(name, &RunDocument(run.clone()), None);
            writes.push(written.map_err(SaveError::Unavailable)?);
        }
        match self.database.commit(writes).await {
            Ok(Some(saved)) => Ok(version(&saved)),
            Ok(None) => Err(SaveError::Unavailable(anyhow::anyhow!("Firestore did not say when it saved"))),
            Err(CallError::Conflict { in_doubt, .. }) => self.conflict(&save, &document, in_doubt).await,
            Err(CallError::Contended(error)) => Err(SaveError::Contended(error)),
            Err(CallError::Failed(error)) => Err(SaveError::Unavailable(error)),
        }
    }

    async fn due(&self, now: Timestamp, after: Option<&DueCursor>, limit: usize) -> anyhow::Result<DuePage> {
        let start_at = after.map(|place| Cursor {
            values: vec![
                database::value(moment(place.due_at)),
                database::value(ValueType::ReferenceValue(self.name(&place.id))),
            ],
            before: false,
        });
        let query = DUE.query(Some(database::value(moment(now))), start_at, limit);
        let documents = self.database.query(Query { parent: None, query, what: "reading what is due" }).await?;
        due_page(&documents, limit)
    }

    async fn runs(&self, id: &WorkspaceId, before: Option<RunNumber>, limit: usize) -> anyhow::Result<Vec<Run>> {
        let below = before.map(|number| ValueType::IntegerValue(i64::try_from(number).unwrap_or(i64::MAX)));
        let query = FINISHED.query(below.map(database::value), None, limit);
        let parent = Some(format!("{WORKSPACES}/{id}"));
        let documents = self.database.query(Query { parent, query, what: "reading finished runs" }).await?;
        documents.iter().map(|document| Ok(database::fields::<RunDocument>(document)?.0)).collect()
    }
}

fn due_page(documents: &[Document], limit: usize) -> anyhow::Result<DuePage> {
    let mut next = None;
    let mut records = Vec::with_capacity(documents.len());
    for document in documents {
        let id = document.name.rsplit('/').next().unwrap_or_default();
        let id = WorkspaceId::parse(id).with_context(|| format!("the name of {}", document.name))?;
        let (due_at, versioned) = workspace(document)?;
        next = due_at.map(|due_at| DueCursor { due_at, id: id.clone() });
        records.push((id, versioned));
    }
    // A page that is not full is the last one.
    let next = if records.len() < limit { None } else { next };
    Ok(DuePage { records, next })
}

fn workspace(document: &Document) -> anyhow::Result<(Option<Timestamp>, Versioned)> {
    let WorkspaceDocument { record, due_at, .. } = database::fields(document)?;
    let updated = document.update_time.as_ref();
    let updated = updated.with_context(|| format!("{} does not say when it was saved", document.name))?;
    Ok((due_at, Versioned { record, version: Some(version(updated)) }))
}

/// `SECONDS.NANOS`, exactly as Firestore told.
fn version(updated: &UpdateTime) -> Version {
    Version(format!("{}.{:09}", updated.seconds, updated.nanos))
}

fn update_time(version: &Version) -> anyhow::Result<UpdateTime> {
    let parsed = version
        .0
        .split_once('.')
        .and_then(|(seconds, nanos)| Some(UpdateTime { seconds: seconds.parse().ok()?, nanos: nanos.parse().ok()? }));
    parsed.with_context(|| format!("{:?} is no version of Firestore's", version.0))
}

fn moment(at: Timestamp) -> ValueType {
    let nanos = at.millis().rem_euclid(1000) * 1_000_000;
    ValueType::TimestampValue(UpdateTime { seconds: at.seconds(), nanos: i32::try_from(nanos).unwrap_or(0) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::records::{full_record, run_numbered};
    use crate::firestore::schema::declared::declared;
    use crate::firestore::schema::{DUE_AT, NUMBER};

    #[test]
    fn records_and_runs_have_the_fields_that_firestore_is_told_of_and_asked_for() {
        let due_at = Some(Timestamp::from_seconds(0));
        let record = WorkspaceDocument { record: full_record(), due_at, save: String::new() };
        let record = database::field_names(&record);
        let told = declared().exempt.into_iter().filter(|told| told.collection == WORKSPACES);
        for field in told.map(|told| told.field).chain([DUE_AT.to_owned()]) {
            assert!(record.contains(&field), "{field} is not among {record:?}");
        }
        assert!(database::field_names(&RunDocument(run_numbered(1))).contains(NUMBER));
    }

    #[test]
    fn a_version_goes_out_and_comes_back() {
        let updated = UpdateTime { seconds: 1_772_323_200, nanos: 50_000 };
        assert_eq!(version(&updated), Version("1772323200.000050000".to_owned()));
        assert_eq!(update_time(&version(&updated)).unwrap(), updated);
        let error = update_time(&Version("7".to_owned())).unwrap_err();
        assert!(error.to_string().contains("\"7\" is no version"), "{error}");
    }

    #[test]
    fn a_moment_before_1970_is_one_too() {
        let before = moment(Timestamp::from_millis(-1));
        assert_eq!(before, ValueType::TimestampValue(UpdateTime { seconds: -1, nanos: 999_000_000 }));
    }
}
