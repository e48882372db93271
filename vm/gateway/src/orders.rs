//! What the control plane has last said of this machine. Pure.

use domain::{Phase, Policy, RunNumber, Seconds, Timestamp, Wish};
use wire::{HeartbeatReply, phase_name, wish_name};

/// Heartbeats come no more and no less often than this, whatever a reply says.
const NEXT_IN_MIN: Seconds = Seconds(1);
const NEXT_IN_MAX: Seconds = Seconds::minutes(5);

/// The last word of the control plane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Orders {
    /// The run that this machine serves; unknown until a reply has named it.
    pub(crate) run: Option<RunNumber>,
    /// What to tell whoever sits in ComfyUI; empty for nothing.
    pub(crate) announce: String,
    pub(crate) stop_announced: bool,
    pub(crate) idle_limit: Seconds,
    pub(crate) hard_stop_at: Option<Timestamp>,
    pub(crate) next_in: Seconds,
    /// What an interrupted run has left of its queue may be put back.
    pub(crate) restore_queue: bool,
    /// The last run that was interrupted: only what that one has left was left by an interruption.
    pub(crate) interrupted_run: Option<RunNumber>,
    /// The run is over; nobody is let in any more.
    pub(crate) ending: bool,
}

/// What a reply asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// Go on.
    GoOn,
    /// This is another run than before, or the first one known: speak again under its number.
    SpeakAsRun,
    /// End in order.
    End,
}

impl Default for Orders {
    fn default() -> Self {
        let policy = Policy::default();
        Self {
            run: None,
            announce: String::new(),
            stop_announced: false,
            idle_limit: policy.idle_limit,
            hard_stop_at: None,
            next_in: policy.heartbeat_every,
            restore_queue: false,
            interrupted_run: None,
            ending: false,
        }
    }
}

impl Orders {
    /// Takes a reply in. A wish is obeyed only if it is of the run that this machine serves, or the first word it hears.
    pub(crate) fn take(&mut self, reply: &HeartbeatReply) -> Asked {
        let before = self.run.replace(reply.run);
        self.announce.clone_from(&reply.announce);
        self.stop_announced = reply.phase == phase_name(Phase::Draining);
        self.idle_limit = Seconds(reply.idle_limit_seconds);
        self.hard_stop_at = reply.hard_stop_at.map(|at| at.0);
        self.next_in = Seconds(reply.next_in_seconds).clamp(NEXT_IN_MIN, NEXT_IN_MAX);
        self.restore_queue = reply.restore_queue;
        self.interrupted_run = reply.interrupted_run;
        let stop = reply.wish == wish_name(Wish::Stopped);
        if stop && before.is_none_or(|run| run == reply.run) {
            self.ending = true;
            return Asked::End;
        }
        if before == Some(reply.run) { Asked::GoOn } else { Asked::SpeakAsRun }
    }

    /// The run that was named is over, and another has begun.
    pub(crate) fn forget_run(&mut self) {
        self.run = None;
        self.announce.clear();
        self.stop_announced = false;
        self.restore_queue = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(run: u64, wish: &str) -> HeartbeatReply {
        HeartbeatReply {
            wish: wish.into(),
            phase: "Ready".into(),
            run,
            stop_at: None,
            hard_stop_at: None,
            announce: String::new(),
            next_in_seconds: 30,
            idle_limit_seconds: 600,
            restore_queue: false,
            interrupted_run: None,
        }
    }

    #[test]
    fn the_first_reply_names_the_run_and_asks_to_speak_again() {
        let mut orders = Orders::default();
        assert_eq!(orders.take(&reply(3, "Running")), Asked::SpeakAsRun);
        assert_eq!((orders.run, orders.idle_limit), (Some(3), Seconds(600)));
        assert_eq!(orders.take(&reply(3, "Running")), Asked::GoOn);
    }

    #[test]
    fn a_wish_to_stop_this_run_ends_it() {
        let mut orders = Orders::default();
        orders.take(&reply(3, "Running"));
        assert_eq!(orders.take(&reply(3, "Stopped")), Asked::End);
        assert!(orders.ending);
    }

    #[test]
    fn a_machine_that_knows_no_run_yet_obeys_the_first_word() {
        assert_eq!(Orders::default().take(&reply(3, "Stopped")), Asked::End);
    }

    #[test]
    fn a_wish_to_stop_another_run_is_not_obeyed_before_it_is_repeated() {
        let mut orders = Orders::default();
        orders.take(&reply(3, "Running"));
        assert_eq!(orders.take(&reply(4, "Stopped")), Asked::SpeakAsRun);
        assert!(!orders.ending);
        assert_eq!(orders.take(&reply(4, "Stopped")), Asked::End);
    }

    #[test]
    fn an_absurd_interval_is_brought_within_bounds() {
        let mut orders = Orders::default();
        orders.take(&HeartbeatReply { next_in_seconds: 0, ..reply(1, "Running") });
        assert_eq!(orders.next_in, NEXT_IN_MIN);
        orders.take(&HeartbeatReply { next_in_seconds: u64::MAX, ..reply(1, "Running") });
        assert_eq!(orders.next_in, NEXT_IN_MAX);
    }

    #[test]
    fn a_stop_is_announced_while_draining() {
        let mut orders = Orders::default();
        orders.take(&HeartbeatReply { phase: "Draining".into(), announce: "Stops soon".into(), ..reply(1, "Running") });
        assert!(orders.stop_announced && orders.announce == "Stops soon");
        orders.forget_run();
        assert!(!orders.stop_announced && orders.announce.is_empty() && orders.run.is_none());
    }
}
