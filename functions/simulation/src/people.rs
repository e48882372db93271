//! People: they come, start, work, go away, and now and then press what they might not.

use std::sync::Arc;
use std::time::Duration;

use domain::{Seconds, Timestamp, Workspace};
use serde_json::json;

use crate::functions::{Answer, Asking};
use crate::history::{Ask, What};
use crate::world::World;

/// A page asks again after so many seconds where it was not answered.
const AGAIN: Duration = Duration::from_secs(5);

struct Person {
    world: Arc<World>,
    name: String,
    workspace: String,
    /// How patient with a workspace that does not get ready.
    patience: Seconds,
}

/// Comes and goes until it is quiet.
pub(crate) async fn live(world: Arc<World>, name: String, workspace: Workspace) {
    let patience = workspace.policy.placing_limit + workspace.policy.booting_limit;
    let person = Person { world, name, workspace: workspace.id.as_str().to_owned(), patience };
    while !person.world.is_quiet() {
        let longest = person.world.draw(|chance| chance.pick(&[120, 900, 2400]));
        person.world.sleep(person.world.seconds(5, longest)).await;
        person.visit().await;
    }
}

impl Person {
    fn chance(&self, per_mille: u64) -> bool {
        self.world.draw(|chance| chance.strikes(per_mille))
    }

    /// Asks, and hears what is answered; `None` when nothing is.
    async fn ask(&self, ask: Ask) -> Option<Answer> {
        let world = &self.world;
        let number = world.number();
        let (workspace, who) = (self.workspace.clone(), self.name.clone());
        world.note(What::Asked { workspace, who, ask, number });
        world.sleep(world.millis(5, 150)).await;
        let lost = world.strikes(|storm| storm.ask_lost);
        let answer_lost = lost && self.chance(500);
        let answer = if lost && !answer_lost { None } else { self.send(ask).await };
        let answer = answer.filter(|_| !answer_lost);
        world.note_answer(number, answer.as_ref());
        answer
    }

    async fn send(&self, ask: Ask) -> Option<Answer> {
        let world = &self.world;
        let (verb, body) = match ask {
            Ask::Show => ("", None),
            Ask::Start => ("/start", Some(json!(null))),
            Ask::KeepTrying(length) => ("/start", Some(json!({"keep_trying_minutes": length.0 / 60}))),
            Ask::Stop => ("/stop", Some(json!(null))),
            Ask::Ticket => ("/ticket", Some(json!(null))),
            Ask::Extend(by) => ("/extend", Some(json!({"minutes": by.0 / 60}))),
            Ask::KeepAlive(ago) => {
                ("/keep-alive", Some(json!({"visible": true, "interacted_seconds_ago": ago.map(|ago| ago.0)})))
            }
        };
        let path = format!("/api/workspaces/{}{verb}", self.workspace);
        let token = world.keys.person(&self.name, world.now());
        let side = world.draw(|chance| chance.index(2));
        world.ask(side, Asking { path, header: "x-auth-token", token, body }).await
    }

    /// Opens the page, gets the workspace to run, works for a while, and leaves.
    async fn visit(&self) -> Option<()> {
        if self.world.is_quiet() || !self.become_ready().await? {
            return None;
        }
        self.ask(Ask::Ticket).await;
        let minutes = self.world.draw(|chance| chance.between(1, 20));
        let leaves_at = self.world.now() + Seconds::minutes(minutes);
        let mut touched: Option<Timestamp> = Some(self.world.now());
        while self.world.now() < leaves_at && !self.world.is_quiet() {
            if !self.work(&mut touched).await {
                return None;
            }
            self.world.sleep(self.world.seconds(15, 60)).await;
        }
        if self.chance(200) && !self.world.is_quiet() {
            self.ask(Ask::Stop).await;
        }
        None
    }

    /// Presses Start where that is to be pressed, and waits; false for whoever has lost patience.
    async fn become_ready(&self) -> Option<bool> {
        let gives_up = self.world.now() + self.patience;
        while self.world.now() < gives_up && !self.world.is_quiet() {
            let Some(answer) = self.ask(Ask::Show).await else {
                self.world.sleep(AGAIN).await;
                continue;
            };
            match answer.phase() {
                "Ready" | "Draining" => return Some(true),
                // Whoever may not start goes away: the budget is used up.
                "Stopped" | "Failed" if self.start().await == Some(409) => return Some(false),
                "Placing" | "Booting" if self.chance(8) => drop(self.ask(Ask::Stop).await),
                _ => {}
            }
            self.world.sleep(self.world.seconds(4, 15)).await;
        }
        Some(false)
    }

    /// Presses Start; and in haste Stop, and Start again.
    async fn start(&self) -> Option<u16> {
        let answer = if self.world.strikes(|storm| storm.keep_trying) {
            let minutes = self.world.draw(|chance| chance.between(1, 30));
            self.ask(Ask::KeepTrying(Seconds::minutes(minutes))).await
        } else {
            self.ask(Ask::Start).await
        };
        for _ in 0..4 {
            if !self.world.strikes(|storm| storm.hasty) {
                break;
            }
            self.world.chanced("second thoughts", || self.name.clone());
            self.world.sleep(self.world.millis(100, 45_000)).await;
            self.ask(Ask::Stop).await;
            self.world.sleep(self.world.millis(100, 45_000)).await;
            self.ask(Ask::Start).await;
        }
        answer.map(|answer| answer.status)
    }

    /// Something that people do while they are there; false when there is nothing to do it with any more.
    async fn work(&self, touched: &mut Option<Timestamp>) -> bool {
        let now = self.world.now();
        if self.chance(500) {
            *touched = Some(now);
        }
        let does = self.world.draw(|chance| chance.between(0, 1000));
        match does {
            0..200 => self.use_machine(),
            200..206 => drop(self.ask(Ask::Stop).await),
            206..225 => {
                let by = Seconds::minutes(self.world.draw(|chance| chance.between(1, 40)));
                drop(self.ask(Ask::Extend(by)).await);
            }
            225..240 => drop(self.ask(Ask::Start).await),
            _ => {}
        }
        let ago = touched.map(|at| now.since(at));
        match self.ask(Ask::KeepAlive(ago)).await {
            Some(answer) if answer.status == 200 => matches!(answer.phase(), "Ready" | "Draining"),
            _ => true,
        }
    }

    /// A job for the queue, or a click in ComfyUI.
    fn use_machine(&self) {
        let record = self.world.record(&self.workspace);
        let Some(instance) = record.placement.filter(|_| record.phase.is_open()) else { return };
        let takes = self.world.draw(|chance| chance.strikes(600).then(|| Seconds(chance.between(5, 900))));
        self.world.look_at(&instance, |machine, now| match takes {
            Some(takes) => machine.used.busy_until = machine.used.busy_until.max(now) + takes,
            None => machine.used.clicked_at = Some(now),
        });
    }
}
