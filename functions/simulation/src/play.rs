//! One seed, from its beginning to its end.

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::Seconds;

use crate::breaks::Break;
use crate::chance::Chance;
use crate::functions::{Asking, REAPER};
use crate::history::{Entry, Status, What};
use crate::identity::{Keys, SCHEDULER_EMAIL};
use crate::laws::{Broken, Law};
use crate::setting::Setting;
use crate::stage::{Moved, locked};
use crate::world::{Tally, World};
use crate::{mishaps, people};

/// People of the workspace that two share; the others have the first alone, so that they are left to themselves at times.
const PEOPLE: [&str; 2] = ["ada", "bob"];
const SHARED: &str = "pair";
/// The scheduler comes so often.
const SWEEP_EVERY: Seconds = Seconds(60);
/// Moves after which a seed is given up: a loop without a wait would never end. A long one has a tenth of them.
const MOVES_MAX: u64 = 5_000_000;

/// What is asked of a seed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stage {
    /// Keep the whole history, and not the verdict alone.
    pub keep: bool,
    /// Break this rule.
    pub broken: Option<Break>,
}

/// What a seed came to.
#[derive(Debug)]
pub struct Outcome {
    pub seed: u64,
    pub setting: Setting,
    pub broken: Option<Broken>,
    /// How often each thing has happened.
    pub tally: Tally,
    /// How often each law was judged.
    pub judged: BTreeMap<Law, u64>,
    /// Everything that has happened, where that was to be kept.
    pub history: Vec<Entry>,
    /// How long the history is.
    pub lasted: Seconds,
}

/// Plays a seed.
pub fn play(seed: u64, stage: Stage, keys: &Arc<Keys>) -> Outcome {
    let mut chance = Chance::of(seed);
    let setting = Setting::of(seed, stage.broken, &mut chance);
    let world = World::new(setting, chance, Arc::clone(keys), stage.keep);
    for side in 0..=REAPER {
        world.boot(side);
    }
    let began = world.now();
    for workspace in &world.setting.workspaces {
        let many = if workspace.id.as_str() == SHARED { PEOPLE.len() } else { 1 };
        for name in PEOPLE.into_iter().take(many) {
            world.spawn(people::live(Arc::clone(&world), name.to_owned(), workspace.clone()));
        }
    }
    world.spawn(mishaps::befall(Arc::clone(&world)));
    world.spawn(sweep(Arc::clone(&world)));
    world.spawn(direct(Arc::clone(&world)));
    run(&world);
    let lasted = world.now().since(began);
    world.shut_down();
    world.chronicle(|chronicle| Outcome {
        seed,
        setting: world.setting.clone(),
        broken: chronicle.judge.broken().cloned(),
        tally: std::mem::take(&mut chronicle.tally),
        judged: chronicle.judge.judged().clone(),
        history: std::mem::take(&mut chronicle.entries),
        lasted,
    })
}

fn run(world: &Arc<World>) {
    for _ in 0..MOVES_MAX {
        if world.is_over() {
            return;
        }
        match world.stage.step(&world.chance) {
            Moved::Polled => {}
            Moved::Died => world.chanced("crashes", String::new),
            Moved::Nobody => break,
        }
    }
    world.note(What::End { restless: vec!["it went on without an end, or everybody waits for ever".to_owned()] });
}

/// The scheduler: a sweep each minute, one at a time or not.
async fn sweep(world: Arc<World>) {
    loop {
        world.sleep(SWEEP_EVERY.duration()).await;
        if world.scheduler_is_out() || world.breaks(Break::NobodyLooks) {
            world.chanced("sweeps missing", String::new);
            continue;
        }
        let asking = Arc::clone(&world);
        world.spawn(async move {
            let begun = asking.now();
            asking.sleep(asking.millis(5, 500)).await;
            let token = asking.keys.service(SCHEDULER_EMAIL, asking.now());
            let answer = asking.ask(REAPER, Asking::bearer("/sweep", &token, None)).await;
            let well = answer.as_ref().is_some_and(|answer| answer.status == 200 && answer.body.failed.is_empty());
            let did = answer.map_or("no answer".to_owned(), |answer| answer.body.items.to_string());
            asking.note(What::Swept { begun, well, did });
        });
    }
}

/// Lets things go on for a while, then lets everything come to rest.
async fn direct(world: Arc<World>) {
    world.sleep(world.setting.length.duration()).await;
    world.fall_quiet();
    let longest = world.setting.workspaces.iter().map(|workspace| {
        let policy = &workspace.policy;
        policy.hard_limit + policy.stopping_limit
    });
    // And what was stuck before, and the messages that are tried again.
    let until = world.now() + longest.max().unwrap_or_default() + Seconds(1500) + Seconds(900);
    let restless = loop {
        let restless = restless(&world);
        if restless.is_empty() || world.now() >= until {
            break restless;
        }
        world.sleep(Seconds(20).duration()).await;
    };
    world.note(What::End { restless });
    world.end();
}

/// What is not at rest.
fn restless(world: &World) -> Vec<String> {
    let mut restless = Vec::new();
    for workspace in &world.setting.workspaces {
        let record = world.record(workspace.id.as_str());
        if record.phase.expects_machine() {
            restless.push(format!("{} is {:?}", workspace.id, record.phase));
        }
        if let Some(call) = record.call {
            restless.push(format!("{} has a call outstanding, {:?}", workspace.id, call.action));
        }
    }
    let cloud = locked(&world.cloud);
    let up = cloud.machines.iter().filter(|(_, machine)| machine.status != Status::Terminated);
    restless.extend(up.map(|(name, machine)| format!("{name} is {:?}", machine.status)));
    if cloud.pending() > 0 {
        restless.push("operations are pending".to_owned());
    }
    restless
}
