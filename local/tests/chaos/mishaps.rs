//! What goes wrong on purpose, beside what the door and the machines do: functions die, zones run dry, machines are
//! taken back, broken, started and stopped by hand, and Compute Engine stammers.

use std::sync::Arc;
use std::time::Duration;

use compute_emulator::{ApiFaults, Emulator, InstanceSnapshot};
use local::processes::{Function, Functions};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use platform::clock::Clock;
use tokio_util::sync::CancellationToken;

use crate::chance::Chance;
use crate::history::{History, What};
use crate::vms::Vms;

/// Real time that a process of a function lives, in milliseconds.
const LIVES_FOR: (u64, u64) = (2_500, 9_000);
/// Real time between two looks at whether there is a new one.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Policy seconds between two mishaps of one kind.
const ZONE_TURNS_EVERY: (u64, u64) = (20, 60);
const MACHINE_SUFFERS_EVERY: (u64, u64) = (6, 20);
const HAND_EVERY: (u64, u64) = (6, 16);
const STAMMERS_EVERY: (u64, u64) = (20, 80);
/// The part of Compute Engine's answers that go wrong while it stammers.
const STAMMER: f64 = 0.15;
/// So many machines are started by hand in the end, and so many are heard no more.
const LEFT_UP: usize = 4;
const MUTED: usize = 8;
/// Real time in which the emulated console answers.
const CONSOLE_WITHIN: Duration = Duration::from_secs(10);

/// Whoever makes things go wrong.
#[derive(Clone)]
pub(crate) struct Mischief {
    pub(crate) seed: u64,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) history: History,
    pub(crate) emulator: Arc<Emulator>,
    pub(crate) functions: Arc<Functions>,
    pub(crate) vms: Arc<Vms>,
    pub(crate) http: reqwest::Client,
    pub(crate) project: String,
    pub(crate) zones: Vec<String>,
}

impl Mischief {
    /// Does all of it until it is told to leave, and leaves nothing broken.
    pub(crate) async fn run(self, leaving: CancellationToken) {
        tokio::select! {
            () = leaving.cancelled() => {}
            _ = async {
                let [auth, lifecycle, reaper] = Function::ALL;
                tokio::join!(self.kill(auth), self.kill(lifecycle), self.kill(reaper), self.turn_zones(),
                    self.hurt_machines(), self.meddle(), self.stammer())
            } => {}
        }
        for zone in self.emulator.dry_zones() {
            self.emulator.set_stock_out(&zone, false).unwrap();
        }
        self.emulator.set_api_faults(ApiFaults::default());
        self.leave_behind().await;
    }

    /// The last deeds: machines that nobody wants, and machines that nobody hears.
    async fn leave_behind(&self) {
        let down = |instance: &&InstanceSnapshot| instance.status == "TERMINATED";
        for instance in self.emulator.snapshot().iter().filter(down).take(LEFT_UP) {
            self.by_hand("start", instance).await;
        }
        self.vms.mute(MUTED);
        self.note(format!("mute {MUTED} machines for ever"));
    }

    async fn kill(&self, function: Function) {
        let mut chance = Chance::of(self.seed, function.name());
        let mut killed = None;
        loop {
            // Counted from its birth: whoever starts it again waits the longer the younger it dies.
            let Some(pid) = self.functions.pid(function).filter(|pid| killed != Some(*pid)) else {
                tokio::time::sleep(LOOK_EVERY).await;
                continue;
            };
            tokio::time::sleep(Duration::from_millis(chance.between(LIVES_FOR.0, LIVES_FOR.1))).await;
            // A process that is gone already needs no signal.
            if kill(Pid::from_raw(i32::try_from(pid).unwrap()), Signal::SIGKILL).is_ok() {
                self.history.note(self.now(), What::Killed { function: function.name().to_owned() });
            }
            killed = Some(pid);
        }
    }

    async fn turn_zones(&self) {
        let mut chance = Chance::of(self.seed, "zones");
        loop {
            self.pause(&mut chance, ZONE_TURNS_EVERY).await;
            let zone = chance.pick(&self.zones).clone();
            let dry = !self.emulator.dry_zones().contains(&zone);
            self.emulator.set_stock_out(&zone, dry).unwrap();
            self.note(format!("{zone} {}", if dry { "is dry" } else { "has machines again" }));
        }
    }

    async fn hurt_machines(&self) {
        let mut chance = Chance::of(self.seed, "machines");
        loop {
            self.pause(&mut chance, MACHINE_SUFFERS_EVERY).await;
            let powered = self.vms.powered();
            if powered.is_empty() {
                continue;
            }
            let instance = chance.pick(&powered).clone();
            let (deed, done) = match chance.between(0, 4) {
                0 | 1 => ("preempt", self.emulator.preempt(&instance)),
                2 => ("host error", self.emulator.host_error(&instance)),
                _ => ("guest poweroff", self.emulator.guest_poweroff(&instance)),
            };
            if deed == "preempt" && done.is_ok() && chance.percent(60) {
                self.vms.tell_preempted(&instance);
            }
            self.note(format!("{deed} {instance}: {done:?}"));
        }
    }

    /// Somebody sits at Google's console.
    async fn meddle(&self) {
        let mut chance = Chance::of(self.seed, "console");
        loop {
            self.pause(&mut chance, HAND_EVERY).await;
            let all = self.emulator.snapshot();
            let instance = chance.pick(&all);
            let verb = if instance.status == "TERMINATED" { "start" } else { "stop" };
            self.by_hand(verb, instance).await;
        }
    }

    async fn by_hand(&self, verb: &str, instance: &InstanceSnapshot) {
        let (base, project) = (self.emulator.compute_base(), &self.project);
        let (zone, name) = (&instance.zone, &instance.instance);
        let url = format!("{base}projects/{project}/zones/{zone}/instances/{name}/{verb}");
        let answer = self.http.post(url).timeout(CONSOLE_WITHIN).send().await;
        self.note(format!("{verb} {name} by hand: {:?}", answer.map(|answer| answer.status().as_u16()).ok()));
    }

    async fn stammer(&self) {
        let mut chance = Chance::of(self.seed, "compute");
        loop {
            self.pause(&mut chance, STAMMERS_EVERY).await;
            let delay = Duration::from_millis(chance.between(0, 150));
            let faults = match chance.between(0, 6) {
                0..2 => ApiFaults { fail: STAMMER, delay, ..ApiFaults::default() },
                2 => ApiFaults { operation_delay: Duration::from_secs(8), ..ApiFaults::default() },
                3 => ApiFaults { rate_limited: true, ..ApiFaults::default() },
                4 => ApiFaults { quota_exceeded: true, ..ApiFaults::default() },
                _ => ApiFaults { delay, ..ApiFaults::default() },
            };
            self.note(format!("{faults:?}"));
            self.emulator.set_api_faults(faults);
            self.pause(&mut chance, (5, 20)).await;
            self.emulator.set_api_faults(ApiFaults::default());
        }
    }

    fn now(&self) -> i64 {
        self.clock.now().millis()
    }

    fn note(&self, deed: String) {
        self.history.note(self.now(), What::Mishap { deed });
    }

    async fn pause(&self, chance: &mut Chance, (from, to): (u64, u64)) {
        self.clock.sleep(Duration::from_millis(chance.between(from * 1000, to * 1000))).await;
    }
}
