//! The metadata server's tree, made anew for each request.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::chance::number_of;
use crate::cloud::{Cloud, guest_attributes_enabled};
use crate::instance::Instance;
use crate::links::region_of;

/// A value or a directory of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Node {
    Leaf(String),
    Directory(BTreeMap<String, Node>),
}

/// Directories whose keys are somebody's own, and stay as they are in JSON.
const OWN_KEYS: [&str; 2] = ["attributes", "guest-attributes"];

pub(super) fn of(cloud: &Cloud, email: &str, instance: Option<&Instance>) -> Node {
    let number = cloud.config.project_number;
    let project = directory([
        ("project-id", leaf(&cloud.config.project)),
        ("numeric-project-id", leaf(number.to_string())),
        ("attributes", Node::Directory(BTreeMap::new())),
    ]);
    let accounts = directory([("default", account(email)), (email, account(email))]);
    let instance = match instance {
        Some(instance) => of_instance(cloud, instance, accounts),
        None => {
            let zone = cloud.config.zones.first().map_or("", String::as_str);
            let region = leaf(format!("projects/{number}/regions/{}", region_of(zone)));
            directory([("region", region), ("service-accounts", accounts)])
        }
    };
    directory([("instance", instance), ("project", project)])
}

fn of_instance(cloud: &Cloud, instance: &Instance, accounts: Node) -> Node {
    let spec = &instance.spec;
    let (project, number) = (&cloud.config.project, cloud.config.project_number);
    let in_project = |rest: String| leaf(format!("projects/{number}/{rest}"));
    let attributes = instance.metadata.iter().map(|(key, value)| (key.clone(), leaf(value))).collect();
    let access =
        directory([("0", directory([("external-ip", leaf(&spec.address)), ("type", leaf("ONE_TO_ONE_NAT"))]))]);
    let network = directory([("access-configs", access), ("ip", leaf(instance.internal_address()))]);
    let scheduling = directory([
        ("automatic-restart", leaf(upper(instance.scheduling.automatic_restart))),
        ("on-host-maintenance", leaf("TERMINATE")),
        ("preemptible", leaf(upper(instance.scheduling.spot))),
    ]);
    let mut entries = vec![
        ("attributes", Node::Directory(attributes)),
        ("hostname", leaf(format!("{}.{}.c.{project}.internal", spec.name, spec.zone))),
        ("id", leaf(instance.id.to_string())),
        ("machine-type", in_project(format!("machineTypes/{}", spec.machine_type))),
        ("maintenance-event", leaf("NONE")),
        ("name", leaf(&spec.name)),
        ("network-interfaces", directory([("0", network)])),
        ("preempted", leaf(upper(instance.preempted))),
        ("scheduling", scheduling),
        ("service-accounts", accounts),
        ("zone", in_project(format!("zones/{}", spec.zone))),
    ];
    if guest_attributes_enabled(instance) {
        let mut namespaces: BTreeMap<String, Node> = BTreeMap::new();
        for ((namespace, key), value) in &instance.guest_attributes {
            let entry = namespaces.entry(namespace.clone()).or_insert_with(|| Node::Directory(BTreeMap::new()));
            if let Node::Directory(keys) = entry {
                keys.insert(key.clone(), leaf(value));
            }
        }
        entries.push(("guest-attributes", Node::Directory(namespaces)));
    }
    directory(entries)
}

fn account(email: &str) -> Node {
    directory([
        ("aliases", leaf("default")),
        ("email", leaf(email)),
        ("scopes", leaf("https://www.googleapis.com/auth/cloud-platform")),
    ])
}

fn upper(flag: bool) -> &'static str {
    if flag { "TRUE" } else { "FALSE" }
}

fn leaf(text: impl Into<String>) -> Node {
    Node::Leaf(text.into())
}

fn directory<'a>(entries: impl IntoIterator<Item = (&'a str, Node)>) -> Node {
    Node::Directory(entries.into_iter().map(|(key, node)| (key.to_owned(), node)).collect())
}

impl Node {
    pub(super) fn child(self, step: &str) -> Option<Self> {
        match self {
            Self::Directory(mut entries) => entries.remove(step),
            Self::Leaf(_) => None,
        }
    }

    /// The same for the same content.
    pub(super) fn etag(&self) -> String {
        format!("{:016x}", number_of(&self.lines()))
    }

    /// `path value`, a line for each leaf.
    pub(super) fn lines(&self) -> String {
        let mut lines = String::new();
        self.write_lines("", &mut lines);
        lines
    }

    fn write_lines(&self, at: &str, lines: &mut String) {
        match self {
            Self::Leaf(text) => lines.extend([at, " ", text, "\n"]),
            Self::Directory(entries) => {
                for (key, node) in entries {
                    let below = if at.is_empty() { key.clone() } else { format!("{at}/{key}") };
                    node.write_lines(&below, lines);
                }
            }
        }
    }

    /// As Google's recursive JSON: `camelCase` keys, numbered directories as arrays. `name` is the node's own.
    pub(super) fn json(&self, name: &str) -> Value {
        match self {
            Self::Leaf(text) if matches!(name, "id" | "numeric-project-id") => {
                text.parse::<u64>().map_or_else(|_| json!(text), |number| json!(number))
            }
            Self::Leaf(text) if matches!(name, "aliases" | "scopes") => json!([text]),
            Self::Leaf(text) => json!(text),
            Self::Directory(entries) if !OWN_KEYS.contains(&name) && numbered(entries) => {
                entries.values().map(|node| node.json("")).collect()
            }
            Self::Directory(entries) => {
                let own = OWN_KEYS.contains(&name);
                let shown = |(key, node): (&String, &Self)| {
                    // Below somebody's own key everything is somebody's own.
                    let (key, inner) = if own { (key.clone(), "attributes") } else { (camel(key), key.as_str()) };
                    (key, node.json(inner))
                };
                Value::Object(entries.iter().map(shown).collect::<Map<_, _>>())
            }
        }
    }
}

fn numbered(entries: &BTreeMap<String, Node>) -> bool {
    !entries.is_empty() && entries.keys().all(|key| key.parse::<u32>().is_ok())
}

/// What a directory shows when it is asked for without `recursive`.
pub(super) fn listing(entries: &BTreeMap<String, Node>) -> String {
    let line = |(key, node): (&String, &Node)| match node {
        Node::Leaf(_) => format!("{key}\n"),
        Node::Directory(_) => format!("{key}/\n"),
    };
    entries.iter().map(line).collect()
}

fn camel(key: &str) -> String {
    let mut words = key.split('-');
    let mut camel = words.next().unwrap_or_default().to_owned();
    if key.contains('@') {
        return key.to_owned();
    }
    for word in words {
        let mut letters = word.chars();
        camel.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        camel.push_str(letters.as_str());
    }
    camel
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_camel_case_in_json_but_somebodys_own_keys_are_not() {
        let node = directory([
            ("maintenance-event", leaf("NONE")),
            ("attributes", directory([("startup-script", leaf("echo")), ("7", leaf("seven"))])),
            ("network-interfaces", directory([("0", directory([("ip", leaf("10.0.0.2"))]))])),
            ("id", leaf("77")),
        ]);
        let expected = json!({
            "maintenanceEvent": "NONE",
            "attributes": {"startup-script": "echo", "7": "seven"},
            "networkInterfaces": [{"ip": "10.0.0.2"}],
            "id": 77,
        });
        assert_eq!(node.json(""), expected);
    }

    #[test]
    fn a_change_below_changes_the_etag_and_nothing_else_does() {
        let before = directory([("a", leaf("1"))]);
        assert_eq!(before.etag(), directory([("a", leaf("1"))]).etag());
        assert_ne!(before.etag(), directory([("a", leaf("2"))]).etag());
    }
}
