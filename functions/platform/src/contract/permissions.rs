//! `permissions.json`: which calls of Google's APIs our code makes, and which permissions each of them takes. Terraform
//! grants the functions these and no others, and a test of it compares (`local/tests/terraform`).
//!
//! What the table says of a trait's methods is held against what the real implementations send, and what it says of a
//! function against the methods that its source calls.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

/// Names of the one kind, and for each of them names of the other.
pub type Names = BTreeMap<String, BTreeSet<String>>;

/// The table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Permissions {
    /// By call: the permissions that it takes.
    pub calls: Names,
    /// By `Trait::method`: the calls that it makes.
    pub methods: Names,
    /// By function: the calls that it makes.
    pub functions: Names,
}

/// The table as it stands in the repository.
///
/// # Panics
/// When it cannot be read.
pub fn permissions() -> Permissions {
    let table = include_str!("../../permissions.json");
    serde_json::from_str(table).expect("permissions.json is a table of permissions")
}

/// What the table says of the methods of these traits.
///
/// # Panics
/// As [`permissions`].
pub fn of_traits(names: &[&str]) -> Names {
    let of_them = |method: &String| names.iter().any(|name| method.starts_with(&format!("{name}::")));
    permissions().methods.into_iter().filter(|(method, _)| of_them(method)).collect()
}
