//! What is kept where, which fields Firestore itself must know of, and every query that is made.
//!
//! `terraform/firestore.json` tells Firestore of it; the tests below hold the two against each other.

use firestore::gcloud_sdk::google::firestore::v1::structured_query::field_filter::Operator;
use firestore::gcloud_sdk::google::firestore::v1::structured_query::filter::FilterType;
use firestore::gcloud_sdk::google::firestore::v1::structured_query::{
    CollectionSelector, Direction, FieldFilter, FieldReference, Filter, Order,
};
use firestore::gcloud_sdk::google::firestore::v1::{Cursor, StructuredQuery, Value};

/// A document for each workspace, named by its id.
pub(crate) const WORKSPACES: &str = "workspaces";
/// Under each workspace: a document for each finished run, named by its number.
pub(crate) const RUNS: &str = "runs";
/// Failures to sign in, by a hash of account or address. Its time to live is `expires_at`.
pub(crate) const SIGNIN_ATTEMPTS: &str = "signin_attempts";
/// Tokens signed out before their time, by a hash of their id. Its time to live is `expires_at`.
pub(crate) const REVOKED_TOKENS: &str = "revoked_tokens";

/// When a workspace is due for a sweep.
pub(crate) const DUE_AT: &str = "due_at";
/// The number of a run.
pub(crate) const NUMBER: &str = "number";
/// The document's own name, as queries order by it.
const NAME: &str = "__name__";

/// Documents that one query may bring, whatever was asked for.
const DOCUMENTS_PER_QUERY_MAX: usize = 1000;

/// Workspaces that are due, the oldest first.
pub(crate) static DUE: Shape = Shape {
    collection: WORKSPACES,
    bounded: (DUE_AT, Operator::LessThanOrEqual),
    order: &[(DUE_AT, Direction::Ascending), (NAME, Direction::Ascending)],
};
/// Finished runs of one workspace, the newest first.
pub(crate) static FINISHED: Shape =
    Shape { collection: RUNS, bounded: (NUMBER, Operator::LessThan), order: &[(NUMBER, Direction::Descending)] };
/// Every query that is made. Firestore refuses one that no index serves; the emulator does not.
static QUERIES: [&Shape; 2] = [&DUE, &FINISHED];

/// What a query is about; its values come when it is made.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) collection: &'static str,
    /// The field that may be bounded, and how.
    pub(crate) bounded: (&'static str, Operator),
    pub(crate) order: &'static [(&'static str, Direction)],
}

impl Shape {
    /// The query: within the bound, if there is one, behind `start_at`, if that is given, and no more than `limit`.
    pub(crate) fn query(&self, bound: Option<Value>, start_at: Option<Cursor>, limit: usize) -> StructuredQuery {
        debug_assert!(QUERIES.contains(&self), "{self:?} is not in the list of queries");
        let (compared, op) = self.bounded;
        let filter = |value| FieldFilter { field: field(compared), op: op.into(), value: Some(value) };
        StructuredQuery {
            from: vec![CollectionSelector { collection_id: self.collection.to_owned(), all_descendants: false }],
            r#where: bound.map(|value| Filter { filter_type: Some(FilterType::FieldFilter(filter(value))) }),
            order_by: self
                .order
                .iter()
                .map(|(name, way)| Order { field: field(name), direction: (*way).into() })
                .collect(),
            start_at,
            limit: i32::try_from(limit.min(DOCUMENTS_PER_QUERY_MAX)).ok(),
            ..StructuredQuery::default()
        }
    }
}

fn field(path: &str) -> Option<FieldReference> {
    Some(FieldReference { field_path: path.to_owned() })
}

/// `terraform/firestore.json`, for tests.
#[cfg(test)]
pub(crate) mod declared {
    use serde::Deserialize;

    /// What Terraform tells Firestore.
    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    pub(crate) struct Declared {
        /// Fields by which documents are deleted.
        pub(crate) ttl: Vec<Field>,
        /// Fields without an index of their own.
        pub(crate) exempt: Vec<Field>,
        /// Indexes over several fields.
        pub(crate) composite: Vec<Composite>,
    }

    #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
    #[serde(deny_unknown_fields)]
    pub(crate) struct Field {
        pub(crate) collection: String,
        pub(crate) field: String,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    pub(crate) struct Composite {
        pub(crate) collection: String,
        pub(crate) fields: Vec<Ordered>,
    }

    #[derive(Debug, PartialEq, Eq, Deserialize)]
    #[serde(deny_unknown_fields)]
    pub(crate) struct Ordered {
        pub(crate) field: String,
        pub(crate) order: String,
    }

    pub(crate) fn field(collection: &str, field: &str) -> Field {
        Field { collection: collection.to_owned(), field: field.to_owned() }
    }

    pub(crate) fn declared() -> Declared {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../terraform/firestore.json");
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::declared::{Composite, Declared, Field, Ordered, declared, field};
    use super::*;

    #[test]
    fn what_expires_is_told_to_firestore() {
        let told: BTreeSet<Field> = declared().ttl.into_iter().collect();
        let expire = [SIGNIN_ATTEMPTS, REVOKED_TOKENS].map(|collection| field(collection, "expires_at"));
        assert_eq!(told, BTreeSet::from(expire));
    }

    #[test]
    fn every_query_is_served_by_an_index() {
        let declared = declared();
        for query in QUERIES {
            assert_eq!(unserved(query, &declared), None);
        }
    }

    #[test]
    fn every_composite_index_serves_a_query() {
        let declared = declared();
        let idle = declared.composite.iter().filter(|index| !QUERIES.iter().any(|query| covers(index, query)));
        assert_eq!(idle.count(), 0, "{declared:?}");
    }

    #[test]
    fn a_query_that_no_index_serves_is_found() {
        let nothing = || Declared { ttl: Vec::new(), exempt: Vec::new(), composite: Vec::new() };
        let exempt = Declared { exempt: vec![field(WORKSPACES, DUE_AT)], ..nothing() };
        assert!(unserved(&DUE, &exempt).unwrap().contains("due_at has no index"));

        let two = Shape { order: &[("phase", Direction::Ascending), (DUE_AT, Direction::Ascending)], ..DUE };
        assert!(unserved(&two, &nothing()).unwrap().contains("composite"));
        let fields = [("phase", "ASCENDING"), (DUE_AT, "ASCENDING")]
            .map(|(field, order)| Ordered { field: field.to_owned(), order: order.to_owned() });
        let composite = vec![Composite { collection: WORKSPACES.to_owned(), fields: fields.into() }];
        assert_eq!(unserved(&two, &Declared { composite, ..nothing() }), None);

        let against = Shape { order: &[(DUE_AT, Direction::Ascending), (NAME, Direction::Descending)], ..DUE };
        assert!(unserved(&against, &nothing()).unwrap().contains("composite"));
    }

    /// Why no index serves the query, if none does. A field has one of its own, in both directions, the document's name
    /// last and in the same direction; whatever needs more needs a composite one.
    fn unserved(query: &Shape, declared: &Declared) -> Option<String> {
        let (first, way) = query.order.first()?;
        let alone = query.bounded.0 == *first && query.order.iter().all(|(name, _)| name == first || *name == NAME);
        if !alone || query.order.iter().any(|(_, other)| other != way) {
            let served = declared.composite.iter().any(|index| covers(index, query));
            return (!served).then(|| format!("{query:?} needs a composite index"));
        }
        let exempt = declared.exempt.contains(&field(query.collection, first));
        exempt.then(|| format!("{query:?}: {first} has no index"))
    }

    fn covers(index: &Composite, query: &Shape) -> bool {
        let wanted = query.order.iter().filter(|(name, _)| *name != NAME);
        let wanted =
            wanted.map(|(name, way)| Ordered { field: (*name).to_owned(), order: way.as_str_name().to_owned() });
        index.collection == query.collection && index.fields == wanted.collect::<Vec<_>>()
    }
}
