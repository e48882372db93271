//! What a VM tells lifecycle, and what it is told in return.

use domain::{Activity, BootReport, BootStep, Phase, Reading, Seconds, Signal, Timestamp, Wish};
use serde::{Deserialize, Serialize};

use crate::time::Rfc3339;

/// `POST /vm/heartbeat`. Which VM speaks is in its identity token, not here.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HeartbeatBody {
    pub workspace: String,
    /// The run that the last reply named; `null` in the first heartbeat after a boot.
    pub run: Option<u64>,
    /// ComfyUI answers.
    pub comfyui_up: bool,
    pub reading: ReadingBody,
    /// While it boots.
    #[serde(default)]
    pub boot: Option<BootReportBody>,
    /// Google has announced that it takes the machine back.
    #[serde(default)]
    pub preempted: bool,
    /// Prompts of an interrupted run that lie on the data disk, to be put back; absent where the VM does not know yet.
    #[serde(default)]
    pub kept_prompts: Option<u32>,
}

/// See [`domain::Reading`]. Ages are in policy seconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case", deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum ReadingBody {
    Unknown,
    Idle {
        #[serde(default)]
        last_signal: Option<String>,
        #[serde(default)]
        last_seconds_ago: Option<u64>,
    },
    Busy {
        signal: String,
    },
}

impl ReadingBody {
    /// What the body says, as of `now`.
    ///
    /// # Errors
    /// The name of a signal that we do not know.
    pub fn reading(&self, now: Timestamp) -> Result<Reading, String> {
        Ok(match self {
            Self::Unknown => Reading::Unknown,
            Self::Busy { signal } => Reading::Busy(parse_signal(signal).ok_or_else(|| signal.clone())?),
            Self::Idle { last_signal: Some(name), last_seconds_ago: Some(ago) } => {
                let signal = parse_signal(name).ok_or_else(|| name.clone())?;
                Reading::Idle { last: Some(Activity { at: now - Seconds(*ago), signal }) }
            }
            Self::Idle { .. } => Reading::Idle { last: None },
        })
    }
}

/// See [`domain::BootReport`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BootReportBody {
    pub step: String,
    pub percent: u8,
    #[serde(default)]
    pub detail: String,
    /// The boot has ended here, without ComfyUI; the detail says why, in lines.
    #[serde(default)]
    pub failed: bool,
}

/// Longest line of detail that is kept while it goes well, and longest last words of what went wrong.
const DETAIL_CHARS_MAX: usize = 300;
const FAILURE_CHARS_MAX: usize = 1000;

impl BootReportBody {
    /// What the body says.
    ///
    /// # Errors
    /// The name of a step that we do not know.
    pub fn report(&self) -> Result<BootReport, String> {
        let step = parse_boot_step(&self.step).ok_or_else(|| self.step.clone())?;
        let longest = if self.failed { FAILURE_CHARS_MAX } else { DETAIL_CHARS_MAX };
        let detail = self.detail.chars().take(longest).collect();
        Ok(BootReport { step, percent: self.percent, detail, failed: self.failed })
    }
}

impl From<BootReport> for BootReportBody {
    fn from(report: BootReport) -> Self {
        let step = boot_step_name(report.step).to_owned();
        Self { step, percent: report.percent, detail: report.detail, failed: report.failed }
    }
}

/// Answer to a heartbeat.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HeartbeatReply {
    /// `Running` or `Stopped`: what the user wants of this run. On `Stopped` the VM ends itself in order.
    pub wish: String,
    pub phase: String,
    /// The run that this VM serves; to be named in the next heartbeat.
    pub run: u64,
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub stop_at: Option<Rfc3339>,
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub hard_stop_at: Option<Rfc3339>,
    /// What to tell whoever sits in ComfyUI; empty for nothing.
    pub announce: String,
    /// When to speak again, in policy seconds.
    pub next_in_seconds: u64,
    /// The idle limit, for the VM's own last resort, in policy seconds.
    pub idle_limit_seconds: u64,
    /// The workspace's users have agreed that what an interruption has left in the queue is put back.
    #[serde(default)]
    pub restore_queue: bool,
    /// The last run that Google has taken the machine of: what its queue held was not given up by anybody.
    #[serde(default)]
    pub interrupted_run: Option<u64>,
}

/// The signal of this name.
pub fn parse_signal(name: &str) -> Option<Signal> {
    [Signal::Queue, Signal::Traffic, Signal::Gpu, Signal::Person]
        .into_iter()
        .find(|signal| format!("{signal:?}") == name)
}

/// The boot step of this name, in snake case.
pub fn parse_boot_step(name: &str) -> Option<BootStep> {
    use BootStep::{Booting, GettingCertificate, Installing, MountingDisk, Placing, StartingComfyui};
    let steps = [Placing, Booting, MountingDisk, Installing, GettingCertificate, StartingComfyui];
    steps.into_iter().find(|step| boot_step_name(*step) == name)
}

/// The name of a boot step on the wire.
pub(crate) fn boot_step_name(step: BootStep) -> &'static str {
    match step {
        BootStep::Placing => "placing",
        BootStep::Booting => "booting",
        BootStep::MountingDisk => "mounting_disk",
        BootStep::Installing => "installing",
        BootStep::GettingCertificate => "getting_certificate",
        BootStep::StartingComfyui => "starting_comfyui",
    }
}

/// The name of a phase on the wire.
pub fn phase_name(phase: Phase) -> String {
    format!("{phase:?}")
}

/// The name of a wish on the wire.
pub fn wish_name(wish: Wish) -> String {
    format!("{wish:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(json: &str) -> BootReport {
        serde_json::from_str::<BootReportBody>(json).unwrap().report().unwrap()
    }

    #[test]
    fn every_step_has_a_name_that_is_read_back() {
        for name in ["placing", "booting", "mounting_disk", "installing", "getting_certificate", "starting_comfyui"] {
            assert_eq!(parse_boot_step(name).map(boot_step_name), Some(name));
        }
        assert_eq!(parse_boot_step("cooking"), None);
    }

    #[test]
    fn a_boot_that_says_nothing_of_failure_goes_well() {
        assert!(!report(r#"{"step":"installing","percent":40}"#).failed);
        assert!(report(r#"{"step":"installing","percent":40,"detail":"pip","failed":true}"#).failed);
    }

    #[test]
    fn last_words_are_kept_longer_than_what_goes_on_and_with_their_lines() {
        let long = r"é\n".repeat(1500);
        let kept = |failed: bool| {
            let json = format!(r#"{{"step":"installing","percent":40,"detail":"{long}","failed":{failed}}}"#);
            report(&json).detail
        };
        assert_eq!((kept(false).chars().count(), kept(true).chars().count()), (300, 1000));
        assert!(kept(true).starts_with("é\né"));
    }
}
