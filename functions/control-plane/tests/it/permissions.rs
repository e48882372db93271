//! Each function may do what its source asks Google for, and no more: `permissions.json`, held against the source.
//!
//! What a method of a trait asks Google for is measured elsewhere: `local/tests/compute_contract.rs`,
//! `functions/platform/tests/emulators/usage.rs`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use platform::contract::permissions::permissions;

/// The traits behind which Google is, and the files that declare them.
const TRAITS: [(&str, &str); 4] = [
    ("Compute", include_str!("../../../platform/src/compute.rs")),
    ("WorkspaceStore", include_str!("../../../platform/src/store.rs")),
    ("SigninStore", include_str!("../../../platform/src/signin.rs")),
    ("Queue", include_str!("../../../platform/src/queue.rs")),
];
/// What calls a method for whoever names it.
const STAND_INS: [(&str, &str); 2] =
    [("save_decision(", "WorkspaceStore::save"), ("SignedIn", "SigninStore::is_revoked")];

#[test]
fn each_function_makes_the_calls_that_the_table_says() {
    let table = permissions();
    for (function, calls) in &table.functions {
        let methods = methods_called_in(function);
        let made: BTreeSet<String> = methods.iter().flat_map(|method| table.methods[method].clone()).collect();
        assert_eq!(&made, calls, "{function} calls {methods:?}");
    }
}

#[test]
fn what_the_functions_share_asks_google_only_whether_a_token_was_revoked() {
    let called = methods_called_in("service");
    assert_eq!(
        called,
        BTreeSet::from(["SigninStore::is_revoked".to_owned()]),
        "a function's own source does not show it"
    );
}

#[test]
fn the_table_knows_every_method_and_every_call() {
    let table = permissions();
    let methods: BTreeSet<String> = TRAITS.iter().flat_map(|(name, source)| methods_of(name, source)).collect();
    assert_eq!(table.methods.keys().cloned().collect::<BTreeSet<_>>(), methods);
    let made: BTreeSet<String> = table.methods.values().flatten().cloned().collect();
    assert_eq!(table.calls.keys().cloned().collect::<BTreeSet<_>>(), made);
    assert_eq!(table.functions.keys().collect::<Vec<_>>(), ["auth", "lifecycle", "reaper"]);
    let permissions: Vec<&String> = table.calls.values().flatten().collect();
    assert!(permissions.iter().all(|name| name.split('.').count() == 3 && !name.contains('*')), "{permissions:?}");
    assert!(table.calls.values().all(|permissions| !permissions.is_empty()));
}

/// The methods that a trait declares.
fn methods_of(name: &str, source: &str) -> Vec<String> {
    let (_, body) = source.split_once(&format!("pub trait {name}:")).unwrap();
    let (body, _) = body.split_once("\n}").unwrap();
    let methods = body.lines().filter_map(|line| line.trim().strip_prefix("async fn ")?.split('(').next());
    methods.map(|method| format!("{name}::{method}")).collect()
}

/// The methods that a crate's source calls, whoever they are called on: another's of the same name would have to be told
/// apart here.
fn methods_called_in(name: &str) -> BTreeSet<String> {
    let source = source_of(&Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name).join("src"));
    let methods = permissions().methods.into_keys();
    let called = methods.filter(|method| source.contains(&format!(".{}(", method.split("::").last().unwrap())));
    let stood_in = STAND_INS.iter().filter(|(word, _)| source.contains(word)).map(|(_, method)| (*method).to_owned());
    called.chain(stood_in).collect()
}

/// All of a crate's source, without blanks, so that a call broken into lines is one too, and without tests.
fn source_of(folder: &Path) -> String {
    let mut source = String::new();
    let mut folders: Vec<PathBuf> = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let text = std::fs::read_to_string(&path).unwrap();
                let own = text.split("#[cfg(test)]").next().unwrap_or_default();
                source.extend(own.chars().filter(|char| !char.is_whitespace()));
            }
        }
    }
    source
}
