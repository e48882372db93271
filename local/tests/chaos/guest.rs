//! One boot of a machine: it comes up step by step, speaks as a gateway does, falls silent, and ends when it is told to.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use compute_emulator::InstanceFacts;
use reqwest::StatusCode;
use tokio_util::sync::CancellationToken;
use wire::{BootReportBody, HeartbeatBody, HeartbeatReply, ReadingBody};

use crate::chance::Chance;
use crate::history::{Beat, Millis, Reading, Reply, What};
use crate::vms::{Desk, Ground};

/// Real time in which a heartbeat is answered, or is not.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);
/// Wait after an unanswered heartbeat, doubled each time, in policy seconds.
const BACK_OFF: [u64; 4] = [2, 4, 8, 15];
/// Identity tokens are asked for anew after this time; they hold for an hour.
const TOKEN_MILLIS: Millis = 50 * 60 * 1000;
/// In so many of a hundred heartbeats…
const LOST_ON_THE_WAY: u64 = 4;
const ANSWER_LOST: u64 = 3;
const COMFYUI_HANGS: u64 = 3;
const FALLS_SILENT: u64 = 2;
/// …and of a hundred boots or ends.
const HANGS_IN_BOOT: u64 = 3;
const DIES_IN_BOOT: u64 = 3;
const FAILS_IN_BOOT: u64 = 3;
const SILENT_FOR_EVER: u64 = 35;
const OBEYS_THE_WISH: u64 = 70;
const SPEAKS_ON_ITS_WAY_DOWN: u64 = 30;

/// A machine with power.
#[derive(Debug)]
pub(crate) struct Guest {
    ground: Arc<Ground>,
    workspace: String,
    facts: InstanceFacts,
    desk: Arc<Desk>,
    chance: Chance,
    /// When each boot step begins, and when ComfyUI answers; that may be never.
    steps: [(Millis, &'static str, u8); 3],
    ready_at: Option<Millis>,
    dies_at: Option<Millis>,
    /// It says at its last step that it cannot set itself up, and goes on saying so.
    fails: bool,
    run: Option<u64>,
    token: Option<(String, Millis)>,
    last_busy: Option<Millis>,
}

impl Guest {
    pub(crate) fn new(ground: Arc<Ground>, workspace: String, facts: InstanceFacts, desk: Arc<Desk>) -> Self {
        let mut chance = Chance::of(ground.seed, &format!("{} {}", facts.instance, facts.boot));
        let mut moment = ground.clock.now().millis();
        let mut after = |from: u64, to: u64| {
            moment += millis(chance.between(from, to));
            moment
        };
        let steps =
            [(after(2, 6), "booting", 30), (after(1, 4), "mounting_disk", 40), (after(1, 4), "starting_comfyui", 70)];
        let up_at = after(3, 10);
        let dies_at = chance.percent(DIES_IN_BOOT).then_some(up_at - 1);
        let fails = chance.percent(FAILS_IN_BOOT);
        let ready_at = (!fails && !chance.percent(HANGS_IN_BOOT)).then_some(up_at);
        Self {
            ground,
            workspace,
            facts,
            desk,
            chance,
            steps,
            ready_at,
            dies_at,
            fails,
            run: None,
            token: None,
            last_busy: None,
        }
    }

    /// Until it is unplugged, or has switched itself off.
    pub(crate) async fn live(mut self, unplug: CancellationToken) {
        let ended = tokio::select! {
            () = self.speak() => true,
            () = unplug.cancelled() => false,
        };
        if ended {
            // Nobody listens when the world is over.
            let _ = self.ground.powered_off.send(self.facts.instance.clone());
            unplug.cancelled().await;
        } else if self.chance.percent(SPEAKS_ON_ITS_WAY_DOWN) {
            self.beat().await;
        }
    }

    /// Speaks until the machine is to switch itself off.
    async fn speak(&mut self) {
        self.sleep(self.steps[0].0 - self.now()).await;
        let mut failures = 0;
        loop {
            if self.dies_at.is_some_and(|at| self.now() >= at) {
                return;
            }
            if !self.is_calm() && self.chance.percent(FALLS_SILENT) {
                self.fall_silent().await;
            }
            let pause = match self.beat().await {
                Some(reply) => {
                    failures = 0;
                    let known = self.run.replace(reply.run);
                    let mine = known.is_none_or(|run| run == reply.run);
                    if mine && reply.wish == "Stopped" && self.chance.percent(OBEYS_THE_WISH) {
                        return;
                    }
                    if known == Some(reply.run) { millis(reply.next_in_seconds) } else { 0 }
                }
                None => {
                    let pause = BACK_OFF[failures.min(BACK_OFF.len() - 1)];
                    failures += 1;
                    millis(pause)
                }
            };
            self.wait(pause.max(1000)).await;
        }
    }

    /// Waits, but for news: a job, or Google's word.
    async fn wait(&self, length: Millis) {
        let next_step = self.ready_at.filter(|_| !self.desk.up.load(Ordering::Relaxed)).map(|at| at - self.now());
        let length = next_step.filter(|until| *until > 0).map_or(length, |until| length.min(until));
        tokio::select! {
            () = self.sleep(length) => {}
            () = self.desk.news.notified() => {}
        }
    }

    async fn fall_silent(&mut self) {
        self.ground.counts.silences.fetch_add(1, Ordering::Relaxed);
        if self.chance.percent(SILENT_FOR_EVER) {
            std::future::pending::<()>().await;
        }
        let length = millis(self.chance.between(10, 160));
        self.sleep(length).await;
    }

    /// One heartbeat, written down with what came of it.
    async fn beat(&mut self) -> Option<HeartbeatReply> {
        let sent = self.now();
        let up = self.ready_at.is_some_and(|at| at <= sent);
        self.desk.up.store(up, Ordering::Relaxed);
        let reading = self.reading(up, sent);
        let turbulent = !self.is_calm();
        self.ground.counts.beats.fetch_add(1, Ordering::Relaxed);
        if self.desk.mute.load(Ordering::Relaxed) || (turbulent && self.chance.percent(LOST_ON_THE_WAY)) {
            self.ground.counts.lost_beats.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        let answer_lost = turbulent && self.chance.percent(ANSWER_LOST);
        let token = self.token(sent).await?;
        let (ground, body) = (Arc::clone(&self.ground), self.body(up, reading, sent));
        let beat = Beat {
            workspace: self.workspace.clone(),
            instance: self.facts.instance.clone(),
            boot: self.facts.boot,
            run: self.run,
            reading,
            step: body.boot.as_ref().map(|boot| boot.step.clone()),
            sent,
            reply: None,
        };
        // Written down also where its machine loses power meanwhile.
        let (status, reply) = tokio::spawn(send(ground, token, body, beat, answer_lost)).await.unwrap();
        match status {
            // The run is over; the next word asks which one this is.
            Some(StatusCode::CONFLICT) => self.run = None,
            Some(StatusCode::UNAUTHORIZED) => self.token = None,
            _ => {}
        }
        reply
    }

    fn reading(&mut self, up: bool, now: Millis) -> Reading {
        if !up || self.chance.percent(COMFYUI_HANGS) {
            return Reading::Unknown;
        }
        let busy_until = self.desk.work().busy_until;
        self.last_busy = busy_until.map(|until| until.min(now));
        match self.last_busy {
            Some(_) if busy_until.is_some_and(|until| until > now) => Reading::Busy,
            last => Reading::Idle { last_ago: last.map(|last| now - last) },
        }
    }

    fn body(&self, up: bool, reading: Reading, now: Millis) -> HeartbeatBody {
        let step = self.steps.iter().rev().find(|(at, ..)| *at <= now).unwrap_or(&self.steps[0]);
        HeartbeatBody {
            workspace: self.workspace.clone(),
            run: self.run,
            comfyui_up: up,
            reading: match reading {
                Reading::Unknown => ReadingBody::Unknown,
                Reading::Busy => ReadingBody::Busy { signal: "Queue".to_owned() },
                Reading::Idle { last_ago } => ReadingBody::Idle {
                    last_signal: last_ago.map(|_| "Queue".to_owned()),
                    last_seconds_ago: last_ago.map(|ago| u64::try_from(ago / 1000).unwrap()),
                },
            },
            boot: (!up).then(|| BootReportBody {
                step: step.1.to_owned(),
                percent: step.2,
                detail: String::new(),
                failed: self.fails && step == self.steps.last().unwrap_or(step),
            }),
            preempted: self.desk.preempted.load(Ordering::Relaxed),
            kept_prompts: None,
        }
    }

    /// From the machine's own metadata server, as the gateway gets it.
    async fn token(&mut self, now: Millis) -> Option<String> {
        if let Some((token, until)) = &self.token
            && now < *until
        {
            return Some(token.clone());
        }
        let path = "computeMetadata/v1/instance/service-accounts/default/identity";
        let mut url = reqwest::Url::parse(&format!("{}/{path}", self.facts.metadata_url)).unwrap();
        url.query_pairs_mut().append_pair("audience", &self.ground.audience).append_pair("format", "full");
        let request = self.ground.http.get(url).header("metadata-flavor", "Google").timeout(ANSWER_WITHIN);
        let token = request.send().await.ok()?.error_for_status().ok()?.text().await.ok()?;
        self.token = Some((token.clone(), now + TOKEN_MILLIS));
        Some(token)
    }

    fn is_calm(&self) -> bool {
        self.ground.calm.load(Ordering::Relaxed)
    }

    fn now(&self) -> Millis {
        self.ground.clock.now().millis()
    }

    async fn sleep(&self, length: Millis) {
        self.ground.clock.sleep(Duration::from_millis(u64::try_from(length).unwrap_or(0))).await;
    }
}

/// Sends a heartbeat, and writes down what came of it.
async fn send(
    ground: Arc<Ground>,
    token: String,
    body: HeartbeatBody,
    mut beat: Beat,
    answer_lost: bool,
) -> (Option<StatusCode>, Option<HeartbeatReply>) {
    let request = ground.http.post(format!("{}/vm/heartbeat", ground.control)).bearer_auth(token);
    let answer = request.timeout(ANSWER_WITHIN).json(&body).send().await.ok();
    let status = answer.as_ref().map(reqwest::Response::status);
    let mut reply: Option<HeartbeatReply> = match answer {
        Some(answer) if answer.status() == StatusCode::OK => answer.json().await.ok(),
        _ => None,
    };
    if answer_lost {
        ground.counts.lost_beats.fetch_add(1, Ordering::Relaxed);
        reply = None;
    }
    beat.reply = reply.as_ref().map(|reply| Reply {
        phase: reply.phase.clone(),
        run: reply.run,
        stop_at: reply.stop_at.map(|at| at.0.millis()),
        hard_stop_at: reply.hard_stop_at.map(|at| at.0.millis()),
    });
    ground.history.note(ground.clock.now().millis(), What::Beat(beat));
    (status, reply)
}

fn millis(seconds: u64) -> Millis {
    i64::try_from(seconds * 1000).unwrap()
}
