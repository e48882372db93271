//! The people of a workspace: they start and stop it, work in it, leave tabs open, and press everything twice.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::chance::Chance;
use crate::client::Client;
use crate::history::{Ask, Millis, View};
use crate::vms::Vms;

/// Policy seconds between two words of an open tab.
const KEEP_ALIVE_EVERY: (u64, u64) = (18, 35);
/// Policy seconds in which a person does nothing.
const IDLES: (u64, u64) = (10, 100);
/// How long somebody works, or leaves a tab open, in policy seconds.
const WORKS: (u64, u64) = (20, 150);
const FORGETS: (u64, u64) = (60, 250);
/// Jobs: most are short, some outlast every idle limit.
const SHORT_JOB: (u64, u64) = (10, 50);
const LONG_JOB: (u64, u64) = (130, 260);

/// Somebody who uses a workspace.
pub(crate) struct Person {
    pub(crate) name: String,
    pub(crate) workspace: String,
    pub(crate) client: Client,
    pub(crate) vms: Arc<Vms>,
    pub(crate) chance: Chance,
    /// In so many of a hundred cases a workspace at rest is started.
    pub(crate) eager: u64,
}

impl Person {
    /// Comes and goes until everybody has to leave.
    pub(crate) async fn live(mut self, leaving: CancellationToken) {
        tokio::select! {
            () = leaving.cancelled() => {}
            () = self.come_and_go() => {}
        }
    }

    async fn come_and_go(&mut self) {
        // Everybody comes at another time.
        self.pause((0, 40)).await;
        loop {
            if let Some(view) = self.ask(Ask::Look).await {
                self.act(&view).await;
            }
            self.pause(IDLES).await;
        }
    }

    async fn act(&mut self, view: &View) {
        match view.phase.as_str() {
            "Stopped" | "Failed" if self.chance.percent(self.eager) => self.press(Ask::Start).await,
            "Placing" | "Booting" if self.chance.percent(8) => self.press(Ask::Stop).await,
            "Stopping" if self.chance.percent(30) => self.press(Ask::Start).await,
            "Draining" if self.chance.percent(40) => self.press(Ask::Start).await,
            "Ready" | "Draining" => self.use_it().await,
            _ => {}
        }
    }

    async fn use_it(&mut self) {
        match self.chance.between(0, 100) {
            0..30 => self.work().await,
            30..45 => self.forget_tab().await,
            45..55 => self.queue_job(),
            55..65 => self.press(Ask::Stop).await,
            65..75 => {
                let by = millis(60 * self.chance.between(1, 3));
                self.ask(Ask::Extend { by }).await;
            }
            75..80 => self.press(Ask::Start).await,
            // A tab in the background: its person's input was elsewhere.
            80..85 => drop(self.ask(Ask::KeepAlive { input_ago: None }).await),
            // Goes away and comes back late.
            _ => self.pause(FORGETS).await,
        }
    }

    /// With pointer and keys, and jobs.
    async fn work(&mut self) {
        let until = self.client.now() + millis(self.chance.between(WORKS.0, WORKS.1));
        while self.client.now() < until {
            let input_ago = Some(millis(self.chance.between(0, 15)));
            if self.ask(Ask::KeepAlive { input_ago }).await.is_some_and(|view| !is_open(&view)) {
                return;
            }
            if self.chance.percent(20) {
                self.queue_job();
            }
            self.pause(KEEP_ALIVE_EVERY).await;
        }
    }

    /// A tab that is open, and nobody before it; the last input grows old.
    async fn forget_tab(&mut self) {
        let last_input = self.client.now();
        let until = last_input + millis(self.chance.between(FORGETS.0, FORGETS.1));
        while self.client.now() < until {
            let input_ago = Some(self.client.now() - last_input);
            if self.ask(Ask::KeepAlive { input_ago }).await.is_some_and(|view| !is_open(&view)) {
                return;
            }
            self.pause(KEEP_ALIVE_EVERY).await;
        }
    }

    fn queue_job(&mut self) {
        let (from, to) = if self.chance.percent(30) { LONG_JOB } else { SHORT_JOB };
        let until = self.client.now() + millis(self.chance.between(from, to));
        self.vms.queue_job(&self.workspace, until);
    }

    /// Presses a button once, or twice, or both at once.
    async fn press(&mut self, ask: Ask) {
        match self.chance.between(0, 10) {
            0..2 => {
                self.ask(ask.clone()).await;
                self.ask(ask).await;
            }
            2 => {
                let second = format!("{}'", self.name);
                let first = self.client.ask(&self.name, &self.workspace, ask.clone());
                tokio::join!(first, self.client.ask(&second, &self.workspace, ask));
            }
            _ => drop(self.ask(ask).await),
        }
    }

    async fn ask(&self, ask: Ask) -> Option<View> {
        self.client.ask(&self.name, &self.workspace, ask).await
    }

    async fn pause(&mut self, (from, to): (u64, u64)) {
        let length = Duration::from_millis(self.chance.between(from * 1000, to * 1000));
        self.client.clock.sleep(length).await;
    }
}

fn is_open(view: &View) -> bool {
    matches!(view.phase.as_str(), "Ready" | "Draining")
}

fn millis(seconds: u64) -> Millis {
    i64::try_from(seconds * 1000).unwrap()
}
