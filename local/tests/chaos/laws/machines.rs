//! Laws 3 and 4: what a run decided reaches its own machine only, and one placement runs, with the disk.

use std::collections::{BTreeMap, BTreeSet};

use compute_emulator::Happening;

use crate::court::{Law, Verdict};
use crate::history::Millis;
use crate::story::{On, Story};

pub(crate) const STOP_FENCED: Law = Law("3: a stop of one run stops no machine of a later one");
pub(crate) const START_FENCED: Law = Law("3: a start wakes no machine that its user has stopped since");
pub(crate) const ONE_UP: Law = Law("4: at most one placement runs");
pub(crate) const ONE_DISK: Law = Law("4: the disk is at one instance, and where the machine starts");

/// Clocks of two instances of a function may differ by this much (`domain/src/calls.rs`, ADR 3).
const CLOCK_SKEW_MAX: Millis = 10_000;

/// Who brought a machine up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Woken {
    By(u64),
    ByHand,
}

/// The machines of a workspace as one goes through what Compute Engine did.
#[derive(Default)]
struct Machines<'a> {
    status: BTreeMap<&'a str, &'a str>,
    /// Who woke it, and where that shows; until it is down.
    woken: BTreeMap<&'a str, (Woken, usize)>,
    /// An instance whose status has just changed by a call that is told next.
    turned: Option<(&'a str, &'a str)>,
    disk_at: BTreeSet<&'a str>,
}

pub(crate) fn judge(story: &Story<'_>, verdict: &mut Verdict) {
    let mut machines = Machines::default();
    machines.disk_at.insert(&story.declared.disk_at);
    for on in &story.cloud {
        machines.take(story, on, verdict);
    }
}

impl<'a> Machines<'a> {
    fn take(&mut self, story: &Story<'a>, on: &On<&'a Happening>, verdict: &mut Verdict) {
        let turned = self.turned.take();
        match on.it {
            Happening::Status { instance, status } => {
                self.status.insert(instance, status);
                self.turned = Some((instance, status));
                if status == "TERMINATED" {
                    self.woken.remove(instance.as_str());
                }
            }
            Happening::Accepted { verb, instance, request_id, .. } => {
                let caller = story.caller(request_id.as_ref());
                match verb.as_str() {
                    "start" if turned == Some((instance, "PROVISIONING")) => {
                        self.wake(story, on, instance, caller, verdict);
                    }
                    "stop" if turned == Some((instance, "STOPPING")) => {
                        self.judge_stop(story, on, instance, caller, verdict);
                    }
                    _ => {}
                }
            }
            Happening::Attached { instance, .. } => {
                self.disk_at.insert(instance);
                let broken = (self.disk_at.len() > 1).then(|| format!("the disk is at {:?}", self.disk_at));
                verdict.judge(ONE_DISK, story.name(), &[on.line], broken);
            }
            Happening::Detached { instance, .. } => {
                let was_here = self.disk_at.remove(instance.as_str());
                let ours = self.woken.get(instance.as_str()).filter(|(woken, _)| *woken != Woken::ByHand);
                let pulled = ours.filter(|_| was_here).map(|(_, line)| *line);
                let broken = pulled.map(|_| format!("the disk was pulled from {instance}, which runs"));
                verdict.judge(ONE_DISK, story.name(), &[pulled.unwrap_or(on.line), on.line], broken);
            }
            Happening::Ended { .. } | Happening::System { .. } | Happening::Announced { .. } => {}
        }
    }

    /// A start that takes effect.
    fn wake(
        &mut self,
        story: &Story<'a>,
        on: &On<&Happening>,
        instance: &'a str,
        caller: Option<u64>,
        verdict: &mut Verdict,
    ) {
        let woken = caller.map_or(Woken::ByHand, Woken::By);
        self.woken.insert(instance, (woken, on.line));
        let Some(run) = caller else { return };
        verdict.judge(START_FENCED, story.name(), &[on.line], late_start(story, run, on.at));
        let others = self.woken.iter().filter(|(_, (woken, _))| *woken != Woken::ByHand);
        let up: Vec<(&str, usize)> = others.map(|(name, (_, line))| (*name, *line)).collect();
        let lines: Vec<usize> = up.iter().map(|(_, line)| *line).collect();
        let broken = (up.len() > 1).then(|| format!("{up:?} are up at once"));
        verdict.judge(ONE_UP, story.name(), &lines, broken);
        let has_disk = self.disk_at.contains(instance);
        let broken = (!has_disk).then(|| format!("{instance} is started, and the disk is at {:?}", self.disk_at));
        verdict.judge(ONE_DISK, story.name(), &[on.line], broken);
    }

    /// A stop that takes effect.
    fn judge_stop(
        &self,
        story: &Story<'a>,
        on: &On<&Happening>,
        instance: &str,
        caller: Option<u64>,
        verdict: &mut Verdict,
    ) {
        let Some(run) = caller else { return };
        let woken = self.woken.get(instance).copied();
        let brought_up = woken.filter(|(woken, _)| matches!(woken, Woken::By(later) if *later > run));
        // One that was woken by hand, and serves a run since.
        let serves = story.beats.iter().rfind(|beat| beat.at <= on.at && beat.it.instance == instance);
        let serves = serves.filter(|beat| {
            let boots_here = woken.is_some_and(|(_, line)| line < beat.line);
            let reply = beat.it.reply.as_ref().filter(|reply| matches!(reply.phase.as_str(), "Ready" | "Draining"));
            boots_here && reply.is_some_and(|reply| reply.run > run && beat.it.run == Some(reply.run))
        });
        let shows = brought_up.map(|(_, line)| line).or(serves.map(|beat| beat.line));
        let broken = shows.map(|_| format!("a stop of run {run} stops {instance}, which is a later run's"));
        verdict.judge(STOP_FENCED, story.name(), &[shows.unwrap_or(on.line), on.line], broken);
    }
}

/// Why this run may not start a machine at this moment, if it may not.
fn late_start(story: &Story<'_>, run: u64, at: Millis) -> Option<String> {
    let told_over = story.runs.get(&run).map(|over| over.it.ended_at).filter(|ended| at > *ended);
    if let Some(ended) = told_over {
        return Some(format!("a start of run {run} is accepted {} ms after the run has ended", at - ended));
    }
    // What was announced before the user's stop may still arrive, within this time.
    let arrives = story.declared.limits.call + CLOCK_SKEW_MAX;
    let stopped = story.answered.iter().filter(|on| {
        let view = &on.it.view;
        view.run == run && matches!(view.phase.as_str(), "Stopping" | "Stopped" | "Failed")
    });
    let stopped = stopped.map(|on| on.it.view.now).min().filter(|stopped| at > stopped + arrives)?;
    Some(format!("a start of run {run} is accepted {} ms after its stop was acknowledged", at - stopped))
}
