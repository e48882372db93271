//! Processes that end with everything they have started: each one leads a group of its own.

use std::process::Stdio;
use std::time::Duration;

use anyhow::Context as _;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::process::{Child, Command};

/// Real time in which a killed process is gone.
pub const GONE_WITHIN: Duration = Duration::from_secs(5);

/// Starts a process at the head of a group of its own, with nothing to read and nobody to print to.
///
/// # Errors
/// When the program cannot be started; names it.
pub fn spawn(mut command: Command) -> anyhow::Result<Child> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).process_group(0).kill_on_drop(true);
    let program = command.as_std().get_program().to_string_lossy().into_owned();
    command.spawn().with_context(|| format!("starting {program}"))
}

/// Sends a signal to a group.
pub fn signal(group: u32, signal: Signal) {
    let Ok(pid) = i32::try_from(group) else { return };
    // A group that is gone already needs no signal.
    let _ = killpg(Pid::from_raw(pid), signal);
}

/// Asks the group to end, and ends it when it has not done so within `grace`.
pub async fn end(child: &mut Child, grace: Duration) {
    let Some(group) = child.id() else { return };
    signal(group, Signal::SIGTERM);
    if tokio::time::timeout(grace, child.wait()).await.is_err() {
        signal(group, Signal::SIGKILL);
        if tokio::time::timeout(GONE_WITHIN, child.wait()).await.is_err() {
            tracing::error!(group, "a process is still there after SIGKILL");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;

    use super::*;

    fn shell(script: &str) -> Child {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        spawn(command).unwrap()
    }

    #[tokio::test]
    async fn a_process_that_heeds_sigterm_ends_by_it() {
        let mut child = shell("exec sleep 60");
        end(&mut child, Duration::from_secs(30)).await;
        assert_eq!(child.wait().await.unwrap().signal(), Some(15));
    }

    #[tokio::test]
    async fn a_process_that_does_not_is_killed() {
        let mut command = Command::new("sh");
        // Told by the file that it no longer heeds the signal.
        let told = std::env::temp_dir().join(format!("pilotlight-deaf-{}", std::process::id()));
        command.args(["-c", "trap '' TERM; : > \"$1\"; while :; do sleep 1; done", "sh"]).arg(&told);
        let mut child = spawn(command).unwrap();
        for _ in 0..1000 {
            if told.exists() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(told.exists(), "it has begun");
        end(&mut child, Duration::from_millis(50)).await;
        std::fs::remove_file(&told).unwrap();
        assert_eq!(child.wait().await.unwrap().signal(), Some(9));
    }

    #[tokio::test]
    async fn a_program_that_is_not_there_is_named() {
        let error = spawn(Command::new("/nowhere/at-all")).unwrap_err();
        assert_eq!(error.to_string(), "starting /nowhere/at-all");
    }
}
