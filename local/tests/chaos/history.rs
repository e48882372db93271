//! What has happened, as it was seen from outside: one list that only grows, with moments of policy time. The laws are
//! judged by it, and by nothing else.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write as _};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use compute_emulator::Happened;
use domain::Policy;
use serde::{Deserialize, Deserializer, Serialize};
use wire::{Rfc3339, WorkspaceView};

/// Milliseconds of policy time.
pub(crate) type Millis = i64;

/// One thing that has happened.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Line {
    /// When it was over.
    pub(crate) at: Millis,
    #[serde(flatten)]
    pub(crate) what: What,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum What {
    /// A workspace, and the limits that it was promised.
    Declared(Declared),
    /// A person, or whoever looks on, asked and was answered well.
    Answered(Answered),
    /// Asked, and refused, or not answered: it may have had its effect all the same.
    Unanswered(Unanswered),
    /// A VM spoke.
    Beat(Beat),
    /// Power of a machine, as it felt it itself.
    Power { instance: String, on: bool, boot: u64 },
    /// Compute Engine's own account.
    Cloud(Happened),
    /// Pub/Sub came to the door.
    Push(Push),
    /// The reaper was asked for a sweep.
    Swept(Swept),
    /// A function was killed.
    Killed { function: String },
    /// Something went wrong on purpose.
    Mishap { deed: String },
    /// From here on nobody does anything any more, and nothing goes wrong.
    Calm,
    /// Everything was found at rest.
    Rest,
    /// At the end: all runs of a workspace as the page shows them, the newest first.
    Runs { workspace: String, runs: Vec<RunSeen> },
    /// At the end: a message that nobody would take.
    DeadLetter { message: String, workspace: String },
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Declared {
    pub(crate) workspace: String,
    pub(crate) disk: String,
    /// The instance, and dollars per hour, of each placement.
    pub(crate) placements: Vec<(String, f64)>,
    /// The instance that has the disk in the beginning.
    pub(crate) disk_at: String,
    pub(crate) limits: Limits,
}

/// The limits of a workspace, in milliseconds.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Limits {
    pub(crate) idle: Millis,
    pub(crate) arrival: Millis,
    pub(crate) hard: Millis,
    pub(crate) drain: Millis,
    pub(crate) silence: Millis,
    pub(crate) heartbeat: Millis,
    pub(crate) placing: Millis,
    pub(crate) booting: Millis,
    pub(crate) stopping: Millis,
    pub(crate) call: Millis,
    /// What may go unwritten.
    pub(crate) threshold: Millis,
}

impl Limits {
    pub(crate) fn of(policy: &Policy) -> Self {
        let millis = |limit: domain::Seconds| i64::try_from(limit.0 * 1000).unwrap();
        Self {
            idle: millis(policy.idle_limit),
            arrival: millis(policy.arrival_limit),
            hard: millis(policy.hard_limit),
            drain: millis(policy.drain),
            silence: millis(policy.silence_limit),
            heartbeat: millis(policy.heartbeat_every),
            placing: millis(policy.placing_limit),
            booting: millis(policy.booting_limit),
            stopping: millis(policy.stopping_limit),
            call: millis(policy.call_limit),
            threshold: millis(domain::write_threshold(policy)),
        }
    }
}

/// What a person asks for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Ask {
    Look,
    Start,
    Stop,
    Extend {
        by: Millis,
    },
    /// With the person's own input so long ago, where there was one.
    KeepAlive {
        input_ago: Option<Millis>,
    },
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Answered {
    pub(crate) workspace: String,
    /// Asks one thing after the other.
    pub(crate) who: String,
    pub(crate) ask: Ask,
    pub(crate) sent: Millis,
    pub(crate) view: View,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Unanswered {
    pub(crate) workspace: String,
    pub(crate) who: String,
    pub(crate) ask: Ask,
    pub(crate) sent: Millis,
    /// The code of the refusal, or what became of the request.
    pub(crate) why: String,
}

/// What matters of a view.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct View {
    pub(crate) phase: String,
    pub(crate) run: u64,
    pub(crate) now: Millis,
    pub(crate) stop_at: Option<Millis>,
    pub(crate) hard_stop_at: Option<Millis>,
    pub(crate) failure: Option<String>,
}

impl View {
    pub(crate) fn of(view: &WorkspaceView) -> Self {
        Self {
            phase: view.phase.clone(),
            run: view.run,
            now: view.now.0.millis(),
            stop_at: view.stop_at.map(|at| at.0.millis()),
            hard_stop_at: view.hard_stop_at.map(|at| at.0.millis()),
            failure: view.failure.as_ref().map(|failure| failure.code.clone()),
        }
    }
}

/// What a VM says of its use.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Reading {
    Unknown,
    /// Nothing is going on; the last thing that was is so long ago.
    Idle {
        last_ago: Option<Millis>,
    },
    Busy,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Beat {
    pub(crate) workspace: String,
    pub(crate) instance: String,
    pub(crate) boot: u64,
    pub(crate) run: Option<u64>,
    pub(crate) reading: Reading,
    /// The step that its boot was at, while it booted.
    #[serde(default)]
    pub(crate) step: Option<String>,
    pub(crate) sent: Millis,
    /// What it was told; nothing where it was refused or not answered.
    pub(crate) reply: Option<Reply>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Reply {
    pub(crate) phase: String,
    pub(crate) run: u64,
    pub(crate) stop_at: Option<Millis>,
    pub(crate) hard_stop_at: Option<Millis>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Push {
    pub(crate) topic: String,
    pub(crate) message: String,
    /// What the door did to it on purpose; empty for nothing.
    pub(crate) fate: String,
    /// What Pub/Sub was answered.
    pub(crate) status: u16,
    pub(crate) came: Millis,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Swept {
    pub(crate) sent: Millis,
    /// It was answered, and nothing in it had failed.
    pub(crate) well: bool,
    pub(crate) looked_at: usize,
}

/// A run as the page shows it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct RunSeen {
    pub(crate) run: u64,
    #[serde(deserialize_with = "moment")]
    pub(crate) started_at: Millis,
    #[serde(default, deserialize_with = "maybe_moment")]
    pub(crate) ready_at: Option<Millis>,
    #[serde(deserialize_with = "moment")]
    pub(crate) ended_at: Millis,
    pub(crate) reason: String,
    pub(crate) failure: Option<String>,
    pub(crate) instance: Option<String>,
    pub(crate) billed_seconds: u64,
    pub(crate) cost_usd: f64,
    pub(crate) idle_usd: f64,
    /// How long it was in each phase.
    #[serde(default)]
    pub(crate) seconds: Option<PhaseSeconds>,
}

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct PhaseSeconds {
    pub(crate) placing: i64,
    pub(crate) booting: i64,
    pub(crate) ready: i64,
    pub(crate) draining: i64,
    pub(crate) stopping: i64,
}

/// A moment as the page has it, or as a history that was written down has it.
#[derive(Deserialize)]
#[serde(untagged)]
enum Moment {
    Millis(Millis),
    Told(Rfc3339),
}

impl Moment {
    fn millis(&self) -> Millis {
        match self {
            Self::Millis(millis) => *millis,
            Self::Told(told) => told.0.millis(),
        }
    }
}

fn moment<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Millis, D::Error> {
    Moment::deserialize(deserializer).map(|moment| moment.millis())
}

fn maybe_moment<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Millis>, D::Error> {
    Option::<Moment>::deserialize(deserializer).map(|moment| moment.map(|moment| moment.millis()))
}

/// The list, shared by everybody who writes into it.
#[derive(Clone, Debug, Default)]
pub(crate) struct History(Arc<Mutex<Vec<Line>>>);

impl History {
    pub(crate) fn note(&self, at: Millis, what: What) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(Line { at, what });
    }

    pub(crate) fn lines(&self) -> Vec<Line> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Writes a history down, a line of JSON for each thing.
pub(crate) fn write(lines: &[Line], path: &Path) -> std::io::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    for line in lines {
        serde_json::to_writer(&mut file, line)?;
        file.write_all(b"\n")?;
    }
    file.flush()
}

/// Reads one back.
pub(crate) fn read(path: &Path) -> Vec<Line> {
    let lines = BufReader::new(File::open(path).unwrap()).lines();
    lines.map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect()
}
