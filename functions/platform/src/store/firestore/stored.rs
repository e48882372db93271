//! How the domain's types are written into documents, without the domain knowing of it: serde's remote derives, made to
//! work for options and lists too.

use domain::{MicroUsd, Seconds, Timestamp};
use firestore::{FirestoreInstant, FirestoreTimestamp};
use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A type of the domain, or several of them, in the form in which they are stored.
pub(super) trait Stored: Sized {
    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error>;
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error>;
}

/// For `#[serde(with = "stored")]`.
pub(super) fn serialize<T: Stored, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    value.write(serializer)
}

/// For `#[serde(with = "stored")]`.
pub(super) fn deserialize<'de, T: Stored, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    T::read(deserializer)
}

/// One value of a list or option.
#[derive(Serialize, Deserialize)]
#[serde(transparent, bound = "T: Stored")]
struct One<T>(#[serde(with = "super::stored")] T);

/// The same, borrowed.
struct OneRef<'a, T>(&'a T);

impl<T: Stored> Serialize for OneRef<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.write(serializer)
    }
}

impl<T: Stored> Stored for Option<T> {
    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.as_ref().map(OneRef).serialize(serializer)
    }

    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Option::<One<T>>::deserialize(deserializer)?.map(|one| one.0))
    }
}

impl<T: Stored> Stored for Vec<T> {
    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter().map(OneRef))
    }

    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Vec::<One<T>>::deserialize(deserializer)?.into_iter().map(|one| one.0).collect())
    }
}

impl Stored for Timestamp {
    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let instant = FirestoreInstant::from_millisecond(self.millis()).map_err(S::Error::custom)?;
        FirestoreTimestamp(instant).serialize(serializer)
    }

    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let FirestoreTimestamp(instant) = FirestoreTimestamp::deserialize(deserializer)?;
        Ok(Self::from_millis(instant.as_millisecond()))
    }
}

/// Firestore's integers are signed; the client crate would wrap without a word.
impl Stored for u64 {
    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        i64::try_from(*self).map_err(S::Error::custom)?.serialize(serializer)
    }

    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::try_from(i64::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

impl Stored for Seconds {
    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.write(serializer)
    }

    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        u64::read(deserializer).map(Self)
    }
}

impl Stored for MicroUsd {
    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.write(serializer)
    }

    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        u64::read(deserializer).map(Self)
    }
}

/// Each document type stands for the domain type of its name.
macro_rules! stored_as {
    ($($document:ident: $domain:ident),* $(,)?) => {$(
        impl Stored for $domain {
            fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                $document::serialize(self, serializer)
            }

            fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                $document::deserialize(deserializer)
            }
        }
    )*};
}

pub(super) use stored_as;
