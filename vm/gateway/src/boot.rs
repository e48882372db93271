//! How the boot of this machine goes: as the startup script says, or, where there is none, as far as the gateway can
//! tell by itself.
//!
//! The script writes one line of JSON, `{"step":"installing","percent":40,"detail":"…","failed":false}`, and puts each
//! new one in the place of the last. Until it has come to the last step, ComfyUI may answer here and cannot be reached
//! by a browser: there is no certificate yet, and no nginx.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, ensure};
use domain::{BootReport, BootStep, RunNumber, Seconds, Timestamp};
use wire::BootReportBody;

/// The script keeps its last words well below this.
const FILE_BYTES_MAX: u64 = 16 * 1024;
/// A download tells of itself every second. A later step, or a failure, is news at once; more of the same is so often.
const NEWS_APART: Seconds = Seconds(2);
/// How far a boot is when the gateway runs and nobody says more, and how far it comes before ComfyUI answers.
const PERCENT_AT_START: u8 = 60;
const PERCENT_BEFORE_UP: u8 = 95;
/// Half of the way between them takes about this long (ComfyUI needs 13 to 28 s to listen).
const HALF_WAY_SECONDS: u64 = 20;

/// What is known of the boot.
#[derive(Debug)]
pub(crate) struct Boot {
    /// Where the startup script says how far it is; without it, there is no more to a boot than ComfyUI's start.
    file: Option<PathBuf>,
    began_at: Timestamp,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// The script's last word, and since when it is at that step.
    last: Option<(BootReport, Timestamp)>,
    untold: bool,
    told_at: Option<Timestamp>,
    trouble: Option<String>,
}

impl Boot {
    pub(crate) fn new(file: Option<PathBuf>, now: Timestamp) -> Self {
        Self { file, began_at: now, known: Mutex::default() }
    }

    /// Reads what the script says now. True when that is worth a heartbeat at once.
    pub(crate) fn look(&self, now: Timestamp) -> bool {
        let Some(file) = &self.file else { return false };
        // A file of some hundred bytes, in memory: it takes microseconds.
        let read = read(file);
        self.known().take(read, now)
    }

    /// Browsers can reach ComfyUI as soon as it answers.
    pub(crate) fn lets_in(&self) -> bool {
        let at_last_step =
            |(report, _): &(BootReport, Timestamp)| report.step == BootStep::StartingComfyui && !report.failed;
        self.file.is_none() || self.known().last.as_ref().is_some_and(at_last_step)
    }

    /// What to tell of it. The run is unknown at first; lifecycle then asks for no more.
    pub(crate) fn report(&self, run: Option<RunNumber>, now: Timestamp) -> BootReportBody {
        if self.file.is_none() {
            return reckoned(run, now.since(self.began_at));
        }
        match &self.known().last {
            Some((report, since)) => as_body(report, now.since(*since)),
            None => BootReportBody { step: "booting".into(), percent: 0, detail: String::new(), failed: false },
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // Nothing in it panics half-way through a change.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn take(&mut self, read: anyhow::Result<Option<BootReport>>, now: Timestamp) -> bool {
        let read = match read {
            Ok(read) => {
                self.trouble = None;
                read
            }
            // The last word stands.
            Err(error) => {
                self.note_trouble(format!("{error:#}"));
                None
            }
        };
        let mut urgent = false;
        if let Some(report) = read {
            let before = self.last.as_ref();
            let same_step = before.filter(|(last, _)| last.step == report.step);
            urgent = same_step.is_none_or(|(last, _)| last.failed != report.failed);
            self.untold |= before.is_none_or(|(last, _)| *last != report);
            let since = same_step.map_or(now, |(_, since)| *since);
            self.last = Some((report, since));
        }
        let due = self.told_at.is_none_or(|told| now.since(told) >= NEWS_APART);
        let news = self.untold && (urgent || due);
        if news {
            self.untold = false;
            self.told_at = Some(now);
        }
        news
    }

    fn note_trouble(&mut self, trouble: String) {
        if self.trouble.as_ref() != Some(&trouble) {
            tracing::warn!(trouble, "what the startup script says cannot be read");
        }
        self.trouble = Some(trouble);
    }
}

/// What the script says; nothing where it has not said anything yet.
fn read(path: &Path) -> anyhow::Result<Option<BootReport>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("opening {}", path.display())),
    };
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).with_context(|| format!("reading {}", path.display()))?;
    ensure!(bytes.len() as u64 <= FILE_BYTES_MAX, "{} is longer than {FILE_BYTES_MAX} bytes", path.display());
    let body: BootReportBody =
        serde_json::from_slice(&bytes).with_context(|| format!("{} is no word of a boot", path.display()))?;
    // Cuts what is too long to be told.
    let report = body.report().map_err(|step| anyhow::anyhow!("{}: no boot step is {step:?}", path.display()))?;
    Ok(Some(report))
}

/// As the script says. While ComfyUI starts nobody knows how far it is; the percent goes on by the time that passes.
fn as_body(report: &BootReport, at_step_for: Seconds) -> BootReportBody {
    let starts = report.step == BootStep::StartingComfyui && !report.failed;
    let percent = if starts { nearer_the_end(report.percent, at_step_for) } else { report.percent };
    BootReportBody { percent, ..BootReportBody::from(report.clone()) }
}

fn reckoned(run: Option<RunNumber>, up_for: Seconds) -> BootReportBody {
    let (step, detail) = match run {
        None => ("booting", "The machine is up"),
        Some(_) => ("starting_comfyui", "Waiting for ComfyUI to answer"),
    };
    let percent = nearer_the_end(PERCENT_AT_START, up_for);
    BootReportBody { step: step.into(), percent, detail: detail.into(), failed: false }
}

fn nearer_the_end(from: u8, after: Seconds) -> u8 {
    let way = u64::from(PERCENT_BEFORE_UP.saturating_sub(from));
    let come = way.saturating_mul(after.0) / after.0.saturating_add(HALF_WAY_SECONDS);
    from.saturating_add(u8::try_from(come).unwrap_or(0))
}

#[cfg(test)]
#[path = "boot_tests.rs"]
mod tests;
