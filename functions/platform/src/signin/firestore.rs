//! Failed attempts and revoked tokens in Firestore, so that all instances of a function know of them. What has expired
//! is deleted by Firestore (time to live on `expires_at`), hours later: nothing here relies on it.
//!
//! Keys are hashed: who tried to sign in, and from where, is not written down.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use async_trait::async_trait;
use aws_lc_rs::digest;
use domain::{Attempts, Throttle, Timestamp};
use firestore::gcloud_sdk::google::firestore::v1::precondition::ConditionType;
use firestore::{FirestoreInstant, FirestoreTimestamp};
use serde::{Deserialize, Serialize};

use super::SigninStore;
use crate::firestore::schema::{REVOKED_TOKENS, SIGNIN_ATTEMPTS};
use crate::firestore::{self as database, CallError, Firestore};

/// Saves of one failure that may be overtaken by others. Those who fail together are as many as passwords are hashed
/// at once, over all instances; beyond this the sign-in fails.
const SAVES_MAX: u32 = 16;
/// The wait after a save that was overtaken; grows by as much with each one.
const OVERTAKEN_WAIT: Duration = Duration::from_millis(20);

/// What sign-in remembers, in Firestore.
#[derive(Clone, Debug)]
pub struct FirestoreSigninStore {
    database: Arc<Firestore>,
}

/// `signin_attempts/{hash}`
#[derive(Debug, Serialize, Deserialize)]
struct AttemptsDocument {
    /// Oldest first.
    failed_at: Vec<FirestoreTimestamp>,
    expires_at: FirestoreTimestamp,
}

/// `revoked_tokens/{hash}`
#[derive(Debug, Serialize, Deserialize)]
struct RevokedDocument {
    expires_at: FirestoreTimestamp,
}

impl FirestoreSigninStore {
    /// Remembers in `database`.
    pub fn new(database: Arc<Firestore>) -> Self {
        Self { database }
    }

    fn name(&self, collection: &str, key: &str) -> String {
        let hash = digest::digest(&digest::SHA256, key.as_bytes());
        let hex: String = hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        self.database.name(&[collection, &hex])
    }

    /// The failures, and what a save must find unchanged.
    async fn read(&self, name: &str) -> anyhow::Result<(Attempts, ConditionType)> {
        let Some(document) = self.database.get(name).await? else {
            return Ok((Attempts::default(), ConditionType::Exists(false)));
        };
        let AttemptsDocument { failed_at, .. } = database::fields(&document)?;
        let failed_at =
            failed_at.into_iter().map(|FirestoreTimestamp(at)| Timestamp::from_millis(at.as_millisecond())).collect();
        let updated = document.update_time.context("Firestore did not say when attempts were saved")?;
        Ok((Attempts { failed_at }, ConditionType::UpdateTime(updated)))
    }
}

#[async_trait]
impl SigninStore for FirestoreSigninStore {
    async fn attempts(&self, key: &str) -> anyhow::Result<Attempts> {
        Ok(self.read(&self.name(SIGNIN_ATTEMPTS, key)).await?.0)
    }

    async fn note_failure(&self, key: &str, throttle: Throttle, now: Timestamp) -> anyhow::Result<()> {
        let name = self.name(SIGNIN_ATTEMPTS, key);
        let expires_at = moment(now + throttle.window)?;
        for save in 1..=SAVES_MAX {
            let (before, condition) = self.read(&name).await?;
            let failed_at = throttle.with_failure(&before, now).failed_at;
            let failed_at = failed_at.into_iter().map(moment).collect::<anyhow::Result<Vec<_>>>()?;
            let document = AttemptsDocument { failed_at, expires_at };
            match self.database.commit(vec![database::put(name.clone(), &document, Some(condition))?]).await {
                Ok(_) => return Ok(()),
                // May be in conflict with itself, its answer lost: noted twice is better than not at all.
                Err(CallError::Conflict { .. } | CallError::Contended(_)) => {
                    tokio::time::sleep(database::jittered(OVERTAKEN_WAIT * save)).await
                }
                Err(failed) => return Err(failed.into()),
            }
        }
        anyhow::bail!("a failure to sign in was overtaken by {SAVES_MAX} others")
    }

    async fn forgive(&self, key: &str) -> anyhow::Result<()> {
        let gone = database::delete(self.name(SIGNIN_ATTEMPTS, key));
        self.database.commit(vec![gone]).await.map(drop).map_err(Into::into)
    }

    async fn revoke(&self, token_id: &str, expires_at: Timestamp) -> anyhow::Result<()> {
        let document = RevokedDocument { expires_at: moment(expires_at)? };
        let revoked = database::put(self.name(REVOKED_TOKENS, token_id), &document, None)?;
        self.database.commit(vec![revoked]).await.map(drop).map_err(Into::into)
    }

    async fn is_revoked(&self, token_id: &str) -> anyhow::Result<bool> {
        Ok(self.database.get(&self.name(REVOKED_TOKENS, token_id)).await?.is_some())
    }
}

fn moment(at: Timestamp) -> anyhow::Result<FirestoreTimestamp> {
    let instant = FirestoreInstant::from_millisecond(at.millis()).context("a time that Firestore cannot hold")?;
    Ok(FirestoreTimestamp(instant))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::firestore::schema::declared::{Field, declared};

    #[test]
    fn documents_have_the_fields_that_firestore_is_told_of() {
        let expires_at = moment(Timestamp::from_seconds(0)).unwrap();
        let attempts = AttemptsDocument { failed_at: Vec::new(), expires_at };
        let documents = [
            (SIGNIN_ATTEMPTS, database::field_names(&attempts)),
            (REVOKED_TOKENS, database::field_names(&RevokedDocument { expires_at })),
        ];
        let declared = declared();
        for Field { collection, field } in declared.ttl.iter().chain(&declared.exempt) {
            let document = documents.iter().find(|(name, _)| name == collection);
            assert!(document.is_none_or(|(_, fields)| fields.contains(field)), "{collection} has no {field}");
        }
    }
}
