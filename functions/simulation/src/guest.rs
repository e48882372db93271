//! What runs on an instance: it boots, and says every so often what it is doing.

use std::sync::Arc;
use std::time::Duration;

use domain::{Activity, Reading, Seconds, Signal, Timestamp};
use serde_json::{Value, json};

use crate::breaks::Break;
use crate::functions::{Answer, Asking};
use crate::history::{Status, What, Why};
use crate::world::World;

/// What is going on on an instance in this life.
#[derive(Debug, Default)]
pub(crate) struct Use {
    /// The queue has jobs until then.
    pub(crate) busy_until: Timestamp,
    /// Somebody has clicked in ComfyUI.
    pub(crate) clicked_at: Option<Timestamp>,
    /// ComfyUI does not answer the gateway until then.
    pub(crate) unknown_until: Timestamp,
    /// Its words do not get out until then.
    pub(crate) mute_until: Timestamp,
    /// Google has announced that it takes the machine back.
    pub(crate) preempted: bool,
}

impl Use {
    fn reading(&self, now: Timestamp) -> Reading {
        if now < self.busy_until {
            return Reading::Busy(Signal::Queue);
        }
        let queue = Some(self.busy_until).filter(|at| *at > Timestamp::default());
        let queue = queue.map(|at| Activity { at, signal: Signal::Queue });
        let traffic = self.clicked_at.map(|at| Activity { at, signal: Signal::Traffic });
        Reading::Idle { last: queue.max(traffic) }
    }
}

const STEPS: [(&str, u8); 4] =
    [("mounting_disk", 30), ("installing", 50), ("getting_certificate", 70), ("starting_comfyui", 90)];

/// One life of an instance, from the moment that it runs.
struct Guest {
    world: Arc<World>,
    instance: String,
    life: u64,
    workspace: String,
    zone: String,
    number: u64,
    run: Option<u64>,
}

/// What the gateway is to do after a word.
enum Next {
    Speak(Seconds),
    End,
}

/// Boots and speaks until the instance is down.
pub(crate) async fn live(world: Arc<World>, instance: String, life: u64) {
    let about =
        world.look_at(&instance, |machine, _| (machine.workspace.clone(), machine.zone.clone(), machine.number));
    let Some((workspace, zone, number)) = about else { return };
    let mut guest = Guest { world, instance, life, workspace, zone, number, run: None };
    if guest.boot().await.is_some() {
        guest.serve().await;
    }
}

impl Guest {
    /// Waits; `None` when this life is over.
    async fn wait(&self, length: Duration) -> Option<()> {
        self.world.sleep(length).await;
        let alive =
            |machine: &mut crate::cloud::Machine| machine.life == self.life && machine.status != Status::Terminated;
        self.world.look_at(&self.instance, |machine, _| alive(machine)).filter(|alive| *alive).map(drop)
    }

    /// `None` when it has not come to ComfyUI.
    async fn boot(&mut self) -> Option<()> {
        let world = Arc::clone(&self.world);
        self.wait(world.seconds(4, 15)).await?;
        let fails = world.strikes(|storm| storm.boot_fails).then(|| world.draw(|chance| chance.index(STEPS.len())));
        let stops =
            world.strikes(|storm| storm.boot_stands_still).then(|| world.draw(|chance| chance.index(STEPS.len())));
        for (at, (step, percent)) in STEPS.into_iter().enumerate() {
            let mut left = world.seconds(2, 40);
            let mut failed = fails == Some(at);
            if failed {
                world.chanced("boots that fail", || self.instance.clone());
            } else if stops == Some(at) {
                world.chanced("boots that stand still", || self.instance.clone());
                left = Duration::from_secs(3600);
            }
            while !left.is_zero() {
                let report = json!({"step": step, "percent": percent, "detail": "", "failed": failed});
                let Next::Speak(next) = self.speak(false, Reading::Unknown, Some(report)).await else {
                    return self.power_off().await;
                };
                let next = next.duration().min(left);
                left -= next;
                self.wait(next).await?;
                failed &= !left.is_zero();
            }
            if fails == Some(at) {
                return None;
            }
        }
        Some(())
    }

    async fn serve(&mut self) {
        loop {
            let often = self.world.breaks(Break::UnknownIsIdle);
            if self.world.strikes(|storm| if often { 40 } else { storm.unknown }) {
                self.world.chanced("spells of not knowing", || self.instance.clone());
                let length = Seconds(
                    self.world.draw(|chance| if often { chance.between(110, 200) } else { chance.between(20, 600) }),
                );
                self.world.look_at(&self.instance, |machine, now| machine.used.unknown_until = now + length);
            }
            let unknown = self.world.look_at(&self.instance, |machine, now| now < machine.used.unknown_until);
            let unknown = unknown.unwrap_or(false);
            let known = self.world.look_at(&self.instance, |machine, now| machine.used.reading(now));
            let reading = match known {
                Some(known) if !unknown => known,
                _ if self.world.breaks(Break::UnknownIsIdle) => Reading::Idle { last: None },
                _ => Reading::Unknown,
            };
            let reported = if unknown { Reading::Unknown } else { known.unwrap_or(Reading::Unknown) };
            let next = self.speak_as(true, reading, reported, None).await;
            let Next::Speak(next) = next else {
                self.power_off().await;
                return;
            };
            if self.wait(next.duration()).await.is_none() {
                return;
            }
        }
    }

    async fn speak(&mut self, up: bool, reading: Reading, boot: Option<Value>) -> Next {
        self.speak_as(up, reading, reading, boot).await
    }

    /// One word, and what its answer asks for. The history gets what is so, should the word be another.
    async fn speak_as(&mut self, up: bool, word: Reading, truth: Reading, boot: Option<Value>) -> Next {
        let world = Arc::clone(&self.world);
        let number = world.number();
        let (workspace, instance) = (self.workspace.clone(), self.instance.clone());
        world.note(What::Beat { workspace, instance: instance.clone(), run: self.run, reading: truth, number });
        let (mute, preempted) = world
            .look_at(&instance, |machine, now| (now < machine.used.mute_until, machine.used.preempted))
            .unwrap_or((true, false));
        let lost = mute || world.strikes(|storm| storm.beat_lost) || world.breaks(Break::NobodyLooks);
        let answer_lost = lost && !mute && world.draw(|chance| chance.strikes(500));
        let body = json!({
            "workspace": self.workspace, "run": self.run, "comfyui_up": up, "boot": boot, "preempted": preempted,
            "reading": self.words(word),
        });
        let answer = if lost && !answer_lost { None } else { self.send(body).await };
        let answer = answer.filter(|_| !answer_lost);
        world.note_answer(number, answer.as_ref());
        self.take(answer)
    }

    async fn send(&self, body: Value) -> Option<Answer> {
        let world = &self.world;
        world.sleep(world.millis(5, 80)).await;
        let token = world.keys.vm(&self.instance, &self.zone, self.number, world.now());
        let side = world.draw(|chance| chance.index(2));
        let mut answer = world.ask(side, Asking::bearer("/vm/heartbeat", &token, Some(body))).await?;
        if world.breaks(Break::HeartbeatsFail) {
            answer.status = 500;
        }
        Some(answer)
    }

    fn words(&self, reading: Reading) -> Value {
        let now = self.world.now();
        match reading {
            Reading::Unknown => json!({"state": "unknown"}),
            Reading::Busy(signal) => json!({"state": "busy", "signal": format!("{signal:?}")}),
            Reading::Idle { last: None } => json!({"state": "idle"}),
            Reading::Idle { last: Some(last) } => json!({
                "state": "idle", "last_signal": format!("{:?}", last.signal), "last_seconds_ago": now.since(last.at).0,
            }),
        }
    }

    /// As the gateway takes an answer (`vm/gateway/src/orders.rs`).
    fn take(&mut self, answer: Option<Answer>) -> Next {
        let again = Next::Speak(Seconds(30));
        let Some(answer) = answer else { return again };
        if answer.status == 409 {
            self.run = None;
            return Next::Speak(Seconds(1));
        }
        if answer.status != 200 {
            return again;
        }
        let before = self.run.replace(answer.run());
        if answer.body.wish == "Stopped" && before.is_none_or(|run| run == answer.run()) {
            return Next::End;
        }
        if before != Some(answer.run()) {
            return Next::Speak(Seconds(1));
        }
        Next::Speak(Seconds(answer.body.next_in_seconds.unwrap_or(30).clamp(1, 300)))
    }

    /// The gateway ends in order, and the machine with it. Always `None`: this life is over.
    async fn power_off(&mut self) -> Option<()> {
        self.wait(self.world.seconds(5, 40)).await?;
        let runs = self.world.look_at(&self.instance, |machine, _| machine.status == Status::Running)?;
        if runs {
            self.world.chanced("machines that power off", || self.instance.clone());
            self.world.turn(&self.instance, Status::Stopping, Why::Guest);
            self.world.bring_down(&self.instance, Why::Guest).await;
            self.world.tell("compute.instances.guestTerminate", &self.instance);
        }
        None
    }
}
