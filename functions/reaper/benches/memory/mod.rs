//! Resident memory of this process, as Linux tells it.

/// Forgets the most there was so far, and tells what there is, in KiB.
pub(crate) fn begin() -> u64 {
    // Where the kernel does not take it, the most there was stays, and what follows looks smaller than it is.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
    field("VmRSS:")
}

/// The most there was since `begin`, over what there was then, in MiB.
pub(crate) fn most_over(before: u64) -> u64 {
    field("VmHWM:").saturating_sub(before) / 1024
}

fn field(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
