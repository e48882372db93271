//! The world that everything of a seed happens in: its stage, its chance, what is so, and what has happened.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use domain::{Action, Record, Run, Timestamp, WorkspaceId};
use platform::compute::request_id;
use platform::store::MemoryStore;
use uuid::Uuid;

use crate::breaks::Break;
use crate::chance::Chance;
use crate::cloud::Cloud;
use crate::functions::Functions;
use crate::history::{Ask, BEGIN, Entry, What};
use crate::identity::Keys;
use crate::laws::Judge;
use crate::setting::{Setting, Storm};
use crate::stage::{Owner, Sleep, Stage, StageClock, locked};

/// See the module.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) stage: Arc<Stage>,
    pub(crate) chance: Mutex<Chance>,
    pub(crate) setting: Setting,
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) cloud: Mutex<Cloud>,
    pub(crate) functions: Functions,
    pub(crate) keys: Arc<Keys>,
    /// Until when a part of the world is out of reach.
    pub(crate) outages: Mutex<Outages>,
    records: Mutex<BTreeMap<String, Record>>,
    /// Whose call a request is.
    calls: Mutex<BTreeMap<Uuid, (u64, u32)>>,
    chronicle: Mutex<Chronicle>,
    quiet: AtomicBool,
    over: AtomicBool,
    last_number: AtomicU64,
}

/// How often each thing has happened, by its name.
pub type Tally = BTreeMap<Cow<'static, str>, u64>;

#[derive(Debug, Default)]
pub(crate) struct Outages {
    pub(crate) store: Timestamp,
    pub(crate) compute: Timestamp,
    pub(crate) scheduler: Timestamp,
    pub(crate) dry: BTreeMap<String, Timestamp>,
}

#[derive(Debug)]
pub(crate) struct Chronicle {
    pub(crate) judge: Judge,
    pub(crate) tally: Tally,
    /// Nothing where only the verdict is asked for.
    pub(crate) entries: Vec<Entry>,
    keep: bool,
}

impl World {
    pub(crate) fn new(setting: Setting, chance: Chance, keys: Arc<Keys>, keep: bool) -> Arc<Self> {
        let judge = Judge::of(&setting);
        Arc::new(Self {
            stage: Stage::at(BEGIN),
            chance: Mutex::new(chance),
            store: Arc::new(MemoryStore::new()),
            cloud: Mutex::new(Cloud::holding(&setting.workspaces)),
            functions: Functions::default(),
            keys,
            outages: Mutex::default(),
            records: Mutex::default(),
            calls: Mutex::default(),
            chronicle: Mutex::new(Chronicle { judge, tally: BTreeMap::new(), entries: Vec::new(), keep }),
            quiet: AtomicBool::new(false),
            over: AtomicBool::new(false),
            last_number: AtomicU64::new(0),
            setting,
        })
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.stage.now()
    }

    pub(crate) fn sleep(&self, length: Duration) -> Sleep {
        self.stage.sleep(length)
    }

    pub(crate) fn clock(&self, side: usize) -> Arc<StageClock> {
        Arc::new(StageClock { stage: Arc::clone(&self.stage), ahead_millis: self.setting.ahead_millis[side] })
    }

    pub(crate) fn draw<T>(&self, draw: impl FnOnce(&mut Chance) -> T) -> T {
        draw(&mut locked(&self.chance))
    }

    pub(crate) fn millis(&self, from: u64, to: u64) -> Duration {
        self.draw(|chance| chance.millis(from, to))
    }

    pub(crate) fn seconds(&self, from: u64, to: u64) -> Duration {
        self.draw(|chance| chance.seconds(from, to))
    }

    /// Whether this goes wrong now; nothing does when it is quiet.
    pub(crate) fn strikes(&self, per_mille: impl FnOnce(&Storm) -> u64) -> bool {
        let per_mille = per_mille(&self.setting.storm);
        !self.is_quiet() && self.draw(|chance| chance.strikes(per_mille))
    }

    pub(crate) fn breaks(&self, rule: Break) -> bool {
        self.setting.broken == Some(rule)
    }

    pub(crate) fn number(&self) -> u64 {
        self.last_number.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Begins a task that nothing kills.
    pub(crate) fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
        self.stage.spawn(None, None, future);
    }

    /// Begins a task of a process, which may die at any of its awaits.
    pub(crate) fn spawn_mortal(&self, owner: Owner, future: impl Future<Output = ()> + Send + 'static) {
        let dies = self.strikes(|storm| storm.crash);
        // Early awaits are where most is at stake; visits have hundreds.
        let after = dies.then(|| {
            self.draw(|chance| {
                let most = chance.pick(&[8, 40, 400]);
                chance.between(0, most)
            })
        });
        self.stage.spawn(owner, after.and_then(|after| u32::try_from(after).ok()), future);
    }

    pub(crate) fn is_quiet(&self) -> bool {
        self.quiet.load(Ordering::Relaxed)
    }

    /// From now on nothing goes wrong, and nobody wants anything.
    pub(crate) fn fall_quiet(&self) {
        self.quiet.store(true, Ordering::Relaxed);
        *locked(&self.outages) = Outages::default();
        self.note(What::Quiet);
    }

    pub(crate) fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    pub(crate) fn end(&self) {
        self.over.store(true, Ordering::Relaxed);
    }

    /// Writes down what has happened, and judges it. A broken law ends the world.
    pub(crate) fn note(&self, what: What) {
        let mut chronicle = locked(&self.chronicle);
        let entry = Entry { at: self.now(), what };
        for name in names(&entry.what).into_iter().flatten() {
            *chronicle.tally.entry(name).or_default() += 1;
        }
        if chronicle.judge.take(&entry) {
            self.end();
        }
        if chronicle.keep {
            chronicle.entries.push(entry);
        }
    }

    /// Writes down something that goes wrong, or is rare.
    pub(crate) fn chanced(&self, kind: &'static str, detail: impl FnOnce() -> String) {
        let keep = locked(&self.chronicle).keep;
        let detail = if keep { detail() } else { String::new() };
        self.note(What::Chanced { kind, detail });
    }

    pub(crate) fn chronicle<T>(&self, look: impl FnOnce(&mut Chronicle) -> T) -> T {
        look(&mut locked(&self.chronicle))
    }

    /// A call that is announced is this run's.
    pub(crate) fn announced(&self, id: &WorkspaceId, record: &Record) {
        if let Some(call) = &record.call {
            let request = request_id(id, record.run, call.sequence);
            locked(&self.calls).insert(request, (record.run, call.sequence));
        }
    }

    /// Takes in what was saved: it is so from now on.
    pub(crate) fn saved(&self, id: &WorkspaceId, by: &'static str, record: &Record, ended: Option<&Run>) {
        locked(&self.records).insert(id.as_str().to_owned(), record.clone());
        self.note(What::Saved {
            workspace: id.as_str().to_owned(),
            by,
            record: Box::new(record.clone()),
            ended: ended.cloned().map(Box::new),
        });
    }

    /// The record of a workspace as it is.
    pub(crate) fn record(&self, workspace: &str) -> Record {
        locked(&self.records).get(workspace).cloned().unwrap_or_default()
    }

    /// Whose call a request is: the run, and the number of its call.
    pub(crate) fn caller(&self, request: Uuid) -> Option<(u64, u32)> {
        locked(&self.calls).get(&request).copied()
    }
}

/// The names under which an entry is counted.
fn names(what: &What) -> [Option<Cow<'static, str>>; 3] {
    let name = |name: &'static str| [Some(Cow::Borrowed(name)), None, None];
    match what {
        What::Chanced { kind, .. } => name(kind),
        What::Saved { ended: Some(run), record, .. } => {
            let failed = run.failure.map(|code| format!("failed {code:?}").into());
            let restarts = (record.run > run.number).then_some("restarts after an interruption".into());
            [Some(format!("ended {:?}", run.reason).into()), failed, restarts]
        }
        What::Saved { .. } => name("saves"),
        What::Answered { status: Some(200), .. } => name("answered 200"),
        What::Answered { status: Some(status), .. } => [Some(format!("answered {status}").into()), None, None],
        What::Answered { .. } => name("unanswered"),
        What::Swept { well: true, .. } => name("sweeps"),
        What::Swept { .. } => name("sweeps that failed"),
        What::Told { .. } => name("notices told"),
        What::Asked { ask: Ask::KeepTrying(_), .. } => name("starts to be kept up"),
        What::Beat { .. } => name("heartbeats"),
        What::Arrived { action, took: true, .. } => name(match action {
            Action::StartInstance { .. } => "calls to start",
            Action::StopInstance { .. } => "calls to stop",
            Action::DetachDisk { .. } => "calls to detach",
            Action::AttachDisk { .. } | Action::ForceAttachDisk { .. } => "calls to attach",
        }),
        _ => [None, None, None],
    }
}
