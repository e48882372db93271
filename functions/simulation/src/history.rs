//! What has happened, entry by entry: what is printed, and what the laws are judged on.

use std::fmt;

use domain::{Action, Phase, Reading, Record, Run, Seconds, Timestamp};

/// A status as Compute Engine has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Terminated,
    Provisioning,
    Staging,
    Running,
    Stopping,
}

impl Status {
    /// It runs, or is about to.
    pub fn is_up(self) -> bool {
        matches!(self, Self::Provisioning | Self::Staging | Self::Running)
    }
}

/// By whose doing an instance has come up or gone down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// A call of this run's.
    Run(u64),
    /// A call of this run's that was told to have failed.
    Late(u64),
    Hand,
    /// A stop of the reaper's.
    Reaper,
    /// Google takes a Spot machine back.
    Preempted,
    HostError,
    /// The machine has powered itself off.
    Guest,
    /// There was none to be had.
    StockOut,
}

/// What somebody asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    Show,
    Start,
    /// A start that is to be tried for so long.
    KeepTrying(Seconds),
    Stop,
    /// With the person's last input so long ago.
    KeepAlive(Option<Seconds>),
    Extend(Seconds),
    Ticket,
}

/// Something that has happened.
#[derive(Clone, Debug)]
pub enum What {
    /// A record was saved: from now on this is what is so.
    Saved { workspace: String, by: &'static str, record: Box<Record>, ended: Option<Box<Run>> },
    /// A call has reached Compute Engine. `by` is the run and the number of the call; `None` where it is the reaper's.
    Arrived { workspace: String, by: Option<(u64, u32)>, action: Action, took: bool },
    /// An instance has turned.
    Turned { workspace: String, instance: String, status: Status, why: Why },
    /// The data disk was attached, or detached.
    Disk { workspace: String, instance: String, attached: bool },
    /// A person asks; `number` is its answer's too.
    Asked { workspace: String, who: String, ask: Ask, number: u64 },
    /// How that was answered; `None` where nobody has answered.
    Answered { number: u64, status: Option<u16>, phase: String, run: u64 },
    /// A VM speaks.
    Beat { workspace: String, instance: String, run: Option<u64>, reading: Reading, number: u64 },
    /// A notice has reached its receiver.
    Told { id: String },
    /// A sweep that was asked for at `begun` is over; `well` where it was answered, and failed at nothing.
    Swept { begun: Timestamp, well: bool, did: String },
    /// Anything else; counted by its kind.
    Chanced { kind: &'static str, detail: String },
    /// From now on nothing goes wrong, and nobody wants anything.
    Quiet,
    /// The end; `restless` names what has not come to rest.
    End { restless: Vec<String> },
}

/// Something that has happened, and when.
#[derive(Clone, Debug)]
pub struct Entry {
    pub at: Timestamp,
    pub what: What,
}

/// When the history of each seed begins.
pub const BEGIN: Timestamp = Timestamp::from_seconds(1_800_000_000);

/// A moment as so long after the beginning.
pub(crate) struct Clocked(pub(crate) Timestamp);

impl fmt::Display for Clocked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.millis() - BEGIN.millis();
        let (sign, millis) = if millis < 0 { ("-", -millis) } else { ("", millis) };
        let (seconds, millis) = (millis / 1000, millis % 1000);
        write!(f, "{sign}{:02}:{:02}:{:02}.{millis:03}", seconds / 3600, seconds / 60 % 60, seconds % 60)
    }
}

struct Maybe(Option<Timestamp>);

impl fmt::Display for Maybe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(at) => Clocked(at).fmt(f),
            None => f.write_str("-"),
        }
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}  {}", Clocked(self.at), self.what)
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Saved { workspace, by, record, ended } => saved(f, workspace, by, record, ended.as_deref()),
            Self::Arrived { workspace, by, action, took } => {
                let by = by.map_or_else(|| "the reaper".to_owned(), |(run, nth)| format!("run {run}, call {nth}"));
                let took = if *took { "takes effect" } else { "changes nothing" };
                write!(f, "cloud        {workspace}: {action:?} of {by} arrives and {took}")
            }
            Self::Turned { workspace, instance, status, why } => {
                write!(f, "cloud        {workspace}: {instance} is {status:?} ({why:?})")
            }
            Self::Disk { workspace, instance, attached } => {
                let what = if *attached { "attached to" } else { "detached from" };
                write!(f, "cloud        {workspace}: the disk is {what} {instance}")
            }
            Self::Asked { workspace, who, ask, number } => write!(f, "{who:<12} {workspace}: {ask:?} (#{number})"),
            Self::Answered { number, status: Some(status), phase, run } => {
                write!(f, "             #{number} is answered {status}: run {run} {phase}")
            }
            Self::Answered { number, .. } => write!(f, "             #{number} is not answered"),
            Self::Beat { workspace, instance, run, reading, number } => {
                let run = run.map_or_else(|| "no run yet".to_owned(), |run| format!("run {run}"));
                write!(f, "vm           {workspace}: {instance}, {run}: {} (#{number})", read(reading))
            }
            Self::Told { id } => write!(f, "receiver     is told {id}"),
            Self::Swept { begun, well, did } => {
                let how = if *well { "well" } else { "not well" };
                write!(f, "reaper       the sweep of {} is over, {how}: {did}", Clocked(*begun))
            }
            Self::Chanced { kind, detail } => write!(f, "chance       {kind}: {detail}"),
            Self::Quiet => f.write_str("quiet        nothing goes wrong any more, and everybody goes away"),
            Self::End { restless } if restless.is_empty() => f.write_str("end          everything is at rest"),
            Self::End { restless } => write!(f, "end          not at rest: {}", restless.join("; ")),
        }
    }
}

fn read(reading: &Reading) -> String {
    match reading {
        Reading::Unknown => "unknown".to_owned(),
        Reading::Busy(signal) => format!("busy, {signal:?}"),
        Reading::Idle { last: None } => "idle, never used".to_owned(),
        Reading::Idle { last: Some(last) } => format!("idle since {} ({:?})", Clocked(last.at), last.signal),
    }
}

fn saved(f: &mut fmt::Formatter<'_>, workspace: &str, by: &str, record: &Record, ended: Option<&Run>) -> fmt::Result {
    let Record { run, phase, .. } = record;
    let placement = record.placement.as_deref().unwrap_or("-");
    write!(f, "{by:<12} {workspace}: saves run {run} {phase:?} on {placement}")?;
    if let Some(call) = &record.call {
        let operation = call.operation.as_deref().unwrap_or("not answered");
        write!(f, ", call {} {:?} until {} ({operation})", call.sequence, call.action, Clocked(call.until))?;
    }
    if matches!(phase, Phase::Ready | Phase::Draining) {
        write!(f, ", stops {} of {}", Maybe(record.stop_at), Maybe(record.hard_stop_at))?;
    }
    if *phase == Phase::Placing {
        let walk = &record.walk;
        let tried: Vec<String> =
            walk.attempts.iter().map(|tried| format!("{} {:?}", tried.instance, tried.outcome)).collect();
        write!(f, ", walk of round {} [{}]", walk.rounds + 1, tried.join(", "))?;
        if let Some(at) = walk.not_before {
            write!(f, " not before {}", Clocked(at))?;
        }
    }
    if let Some(of) = record.restart_of {
        write!(f, ", restart {} of run {of}", record.restarts)?;
    }
    if let Some(ending) = record.ending {
        write!(f, ", ending {ending:?}")?;
    }
    if let Some(failure) = &record.failure {
        write!(f, ", failed {:?}: {}", failure.code, failure.detail)?;
    }
    if let Some(run) = ended {
        write!(f, "; run {} is over: {:?}, {} billed", run.number, run.reason, run.billed)?;
    }
    Ok(())
}
