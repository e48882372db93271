//! Compute Engine's URLs and resource paths.
//!
//! Answers carry `www.googleapis.com` links wherever the API was called at; requests may carry such a link, one with
//! another host, or a path that starts at `projects/`, `zones/` or `regions/`.

/// The host and version in every link of an answer.
const LINK_BASE: &str = "https://www.googleapis.com/compute/v1/";

/// `projects/P/…`, as error texts and log entries name resources.
pub(crate) fn path(project: &str, rest: &str) -> String {
    format!("projects/{project}/{rest}")
}

/// The full link to `projects/P/…`.
pub(crate) fn link(project: &str, rest: &str) -> String {
    format!("{LINK_BASE}projects/{project}/{rest}")
}

/// `us-central1-a` lies in `us-central1`.
pub(crate) fn region_of(zone: &str) -> &str {
    zone.rsplit_once('-').map_or(zone, |(region, _)| region)
}

/// What a disk's link says: its scope and its name.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum DiskRef<'a> {
    Regional { region: &'a str, name: &'a str },
    Zonal { zone: &'a str, name: &'a str },
}

/// Reads a disk's link, full or partial; nothing when it is no disk's.
pub(crate) fn disk_ref(source: &str) -> Option<DiskRef<'_>> {
    let parts: Vec<&str> = source.split('/').collect();
    match *parts.as_slice() {
        [.., "regions", region, "disks", name] => Some(DiskRef::Regional { region, name }),
        [.., "zones", zone, "disks", name] => Some(DiskRef::Zonal { zone, name }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_is_understood_by_full_and_partial_links() {
        let expected = Some(DiskRef::Regional { region: "r1", name: "data" });
        assert_eq!(disk_ref("https://compute.googleapis.com/compute/v1/projects/p/regions/r1/disks/data"), expected);
        assert_eq!(disk_ref("regions/r1/disks/data"), expected);
        assert_eq!(disk_ref("zones/z/disks/boot"), Some(DiskRef::Zonal { zone: "z", name: "boot" }));
        assert_eq!(disk_ref("data"), None);
    }

    #[test]
    fn a_zone_names_its_region() {
        assert_eq!(region_of("europe-west4-b"), "europe-west4");
    }
}
