//! Each law passes over a good history, and finds the one wrong thing that is put into it.

use compute_emulator::{Happened, Happening};
use domain::WorkspaceId;
use platform::compute::request_id;

use super::{ALL, books, ends, judge, machines, usage};
use crate::court::Law;
use crate::history::{
    Answered, Ask, Beat, Declared, Limits, Line, Millis, PhaseSeconds, Push, Reading, Reply, RunSeen, Swept, View, What,
};

const WORKSPACE: &str = "w000";
const SECOND: Millis = 1000;
const END: Millis = 1500;

const LIMITS: Limits = Limits {
    idle: 60 * SECOND,
    arrival: 90 * SECOND,
    hard: 400 * SECOND,
    drain: 30 * SECOND,
    silence: 90 * SECOND,
    heartbeat: 20 * SECOND,
    placing: 120 * SECOND,
    booting: 120 * SECOND,
    stopping: 120 * SECOND,
    call: 30 * SECOND,
    threshold: 3 * SECOND,
};

/// A history in the making; moments are in seconds.
#[derive(Default)]
struct Tale(Vec<Line>);

impl Tale {
    fn note(&mut self, at: Millis, what: What) {
        self.0.push(Line { at: at * SECOND, what });
    }

    fn answered(&mut self, at: Millis, who: &str, ask: Ask, run: u64, phase: &str, stop_at: Option<Millis>) {
        let failure = (phase == "Failed").then(|| "stock_out".to_owned());
        let hard_stop_at = matches!(phase, "Placing" | "Ready" | "Draining").then(|| hard_end(run) * SECOND);
        let now = at * SECOND;
        let stop_at = stop_at.map(|at| at * SECOND);
        let view = View { phase: phase.to_owned(), run, now, stop_at, hard_stop_at, failure };
        let (workspace, who) = (WORKSPACE.to_owned(), who.to_owned());
        self.note(at, What::Answered(Answered { workspace, who, ask, sent: now, view }));
    }

    fn beat(&mut self, at: Millis, run: u64, reading: Reading, phase: &str, stop_at: Option<Millis>) {
        let stop_at = stop_at.map(|at| at * SECOND);
        let hard_stop_at = matches!(phase, "Ready" | "Draining").then(|| hard_end(run) * SECOND);
        let reply = Some(Reply { phase: phase.to_owned(), run, stop_at, hard_stop_at });
        let (workspace, instance) = (WORKSPACE.to_owned(), "a".to_owned());
        let beat = Beat { workspace, instance, boot: 1, run: Some(run), reading, step: None, sent: at * SECOND, reply };
        self.note(at, What::Beat(beat));
    }

    fn cloud(&mut self, at: Millis, what: Happening) {
        self.note(at, What::Cloud(Happened { at_ms: at * SECOND, what }));
    }

    fn status(&mut self, at: Millis, instance: &str, status: &str) {
        self.cloud(at, Happening::Status { instance: instance.to_owned(), status: status.to_owned() });
    }

    /// A call that takes effect; by hand where there is no run.
    fn call(&mut self, at: Millis, verb: &str, instance: &str, by: Option<(u64, u32)>) {
        self.status(at, instance, if verb == "start" { "PROVISIONING" } else { "STOPPING" });
        let id = WorkspaceId::parse(WORKSPACE).unwrap();
        let request_id = by.map(|(run, call)| request_id(&id, run, call).to_string());
        let (verb, instance) = (verb.to_owned(), instance.to_owned());
        let operation = format!("{verb}-{at}");
        let ended = Happening::Ended {
            operation: operation.clone(),
            verb: verb.clone(),
            instance: instance.clone(),
            error: None,
        };
        self.cloud(at, Happening::Accepted { operation, verb, instance, request_id });
        self.cloud(at, ended);
    }

    /// A life on instance `a`, from its start to the moment that its machine is down.
    fn machine(&mut self, run: u64, from: Millis, stop: Millis) {
        self.call(from, "start", "a", Some((run, 1)));
        self.status(from + 9, "a", "RUNNING");
        self.call(stop, "stop", "a", Some((run, 2)));
        self.status(stop + 12, "a", "TERMINATED");
    }
}

fn hard_end(run: u64) -> Millis {
    started_at(run) + LIMITS.hard / SECOND
}

fn started_at(run: u64) -> Millis {
    [0, 10, 220, 500, 1000, 1100][usize::try_from(run).unwrap()]
}

fn run(run: u64, ready_at: Option<Millis>, ended_at: Millis, reason: &str, stopping: i64) -> RunSeen {
    let billed_seconds = if ready_at.is_some() { 100 } else { 0 };
    RunSeen {
        run,
        started_at: started_at(run) * SECOND,
        ready_at: ready_at.map(|at| at * SECOND),
        ended_at: ended_at * SECOND,
        reason: reason.to_owned(),
        failure: (reason == "StartFailed").then(|| "StockOut".to_owned()),
        instance: Some("a".to_owned()),
        billed_seconds,
        cost_usd: if ready_at.is_some() { 0.02 } else { 0.0 },
        idle_usd: 0.0,
        seconds: Some(PhaseSeconds {
            placing: ended_at - started_at(run) - stopping,
            stopping,
            ..PhaseSeconds::default()
        }),
    }
}

/// Five runs, each with another end; a machine started by hand; the disk moved; a message that nobody would take.
fn good() -> Vec<Line> {
    let mut tale = Tale::default();
    let declared = Declared {
        workspace: WORKSPACE.to_owned(),
        disk: "disk".to_owned(),
        placements: vec![("a".to_owned(), 0.72), ("b".to_owned(), 0.36)],
        disk_at: "a".to_owned(),
        limits: LIMITS,
    };
    tale.note(0, What::Declared(declared));
    for sent in (0..END).step_by(15) {
        let swept = Swept { sent: sent * SECOND, well: true, looked_at: usize::from(sent < 1400) };
        tale.note(sent, What::Swept(swept));
    }
    idle_run(&mut tale);
    silent_run(&mut tale);
    run_to_the_hard_end(&mut tale);
    // Stopped by its user.
    tale.answered(1000, "owner", Ask::Start, 4, "Placing", None);
    tale.machine(4, 1001, 1021);
    tale.answered(1020, "owner", Ask::Stop, 4, "Stopping", None);
    // All dry.
    tale.answered(1100, "owner", Ask::Start, 5, "Placing", None);
    tale.answered(1131, "owner", Ask::Look, 5, "Failed", None);
    // Started by hand, and stopped because nobody wants it.
    tale.call(1200, "start", "b", None);
    tale.call(1231, "stop", "b", Some((5, 3)));
    tale.status(1243, "b", "TERMINATED");
    let (disk, instance) = ("disk".to_owned(), "a".to_owned());
    tale.cloud(1300, Happening::Detached { disk: disk.clone(), instance });
    tale.cloud(1304, Happening::Attached { disk, instance: "b".to_owned() });
    for came in 1310..1315 {
        let (topic, message, fate) = ("nudge".to_owned(), "m".to_owned(), "Refused".to_owned());
        tale.note(came, What::Push(Push { topic, message, fate, status: 503, came: came * SECOND }));
    }
    tale.answered(END, "onlooker", Ask::Look, 5, "Stopped", None);
    tale.note(END, What::Rest);
    let runs = vec![
        run(5, None, 1130, "StartFailed", 0),
        run(4, None, 1040, "User", 20),
        run(3, Some(530), 917, "HardLimit", 15),
        run(2, Some(250), 420, "Silent", 15),
        run(1, Some(40), 205, "Idle", 14),
    ];
    tale.note(END, What::Runs { workspace: WORKSPACE.to_owned(), runs });
    tale.note(END, What::DeadLetter { message: "m".to_owned(), workspace: WORKSPACE.to_owned() });
    tale.0
}

fn idle_run(tale: &mut Tale) {
    const QUIET: Reading = Reading::Idle { last_ago: None };
    tale.answered(10, "owner", Ask::Start, 1, "Placing", None);
    tale.machine(1, 11, 192);
    tale.beat(40, 1, QUIET, "Ready", Some(130));
    tale.answered(100, "owner", Ask::KeepAlive { input_ago: Some(0) }, 1, "Ready", Some(160));
    for at in [60, 80, 100, 120, 140, 160] {
        tale.beat(at, 1, QUIET, "Ready", Some(if at < 100 { 130 } else { 160 }));
    }
    for at in [165, 172, 178, 185] {
        tale.beat(at, 1, QUIET, "Draining", Some(160));
    }
    tale.beat(191, 1, QUIET, "Stopping", None);
}

fn silent_run(tale: &mut Tale) {
    tale.answered(220, "owner", Ask::Start, 2, "Placing", None);
    tale.machine(2, 221, 406);
    tale.beat(250, 2, Reading::Idle { last_ago: None }, "Ready", Some(340));
    tale.answered(260, "owner", Ask::KeepAlive { input_ago: Some(0) }, 2, "Ready", Some(340));
    tale.beat(270, 2, Reading::Idle { last_ago: None }, "Ready", Some(340));
}

fn run_to_the_hard_end(tale: &mut Tale) {
    tale.answered(500, "owner", Ask::Start, 3, "Placing", None);
    tale.machine(3, 501, 903);
    for at in (530..900).step_by(20) {
        let phase = if at < 870 { "Ready" } else { "Draining" };
        tale.beat(at, 3, Reading::Busy, phase, Some((at + 60).clamp(620, 900)));
    }
}

fn runs_of(lines: &mut [Line]) -> &mut Vec<RunSeen> {
    let runs = lines.iter_mut().find_map(|line| match &mut line.what {
        What::Runs { runs, .. } => Some(runs),
        _ => None,
    });
    runs.unwrap()
}

fn change_run(lines: &mut [Line], number: u64, change: impl FnOnce(&mut RunSeen)) {
    change(runs_of(lines).iter_mut().find(|run| run.run == number).unwrap());
}

/// The stop is decided so much later, and takes as long.
fn end_later(lines: &mut [Line], number: u64, ended_at: Millis) {
    change_run(lines, number, |run| {
        let later = ended_at - run.ended_at / SECOND;
        run.ended_at += later * SECOND;
        run.seconds = run.seconds.map(|seconds| PhaseSeconds { draining: seconds.draining + later, ..seconds });
    });
}

/// Adds what `tell` tells; what Compute Engine did comes after everything that it did before.
fn insert(lines: &mut Vec<Line>, tell: impl FnOnce(&mut Tale)) {
    let mut tale = Tale::default();
    tell(&mut tale);
    let is_cloud = |line: &Line| matches!(line.what, What::Cloud(_));
    for line in tale.0 {
        let before = lines.iter().rposition(|other| is_cloud(other) && other.at <= line.at);
        let place = before.filter(|_| is_cloud(&line)).map_or(lines.len(), |before| before + 1);
        lines.insert(place, line);
    }
}

/// The one wrong thing for each law.
fn wrong(law: Law, lines: &mut Vec<Line>) {
    let input = Ask::KeepAlive { input_ago: Some(0) };
    let none = || Reading::Idle { last_ago: None };
    match law {
        usage::YOUNG_ACTIVITY => insert(lines, |tale| tale.answered(185, "guest", input, 1, "Draining", Some(160))),
        usage::TOLD_DEADLINE => insert(lines, |tale| tale.answered(150, "guest", Ask::Look, 1, "Ready", Some(230))),
        usage::CAUSE => lines.retain(|line| !matches!(&line.what, What::Answered(on) if on.ask == Ask::Stop)),
        usage::FORWARD => insert(lines, |tale| {
            tale.answered(110, "guest", Ask::Look, 1, "Ready", Some(160));
            tale.answered(120, "guest", Ask::Look, 1, "Ready", Some(130));
        }),
        usage::WITHIN_HARD_END => insert(lines, |tale| tale.answered(700, "guest", Ask::Look, 3, "Ready", Some(901))),
        usage::SILENT => insert(lines, |tale| tale.beat(330, 2, none(), "Ready", Some(340))),
        ends::IDLE_ENDS => end_later(lines, 1, 218),
        ends::SILENT_ENDS => end_later(lines, 2, 450),
        ends::HARD_END => end_later(lines, 3, 960),
        ends::UNWANTED_ENDS => insert(lines, |tale| tale.call(1250, "start", "b", None)),
        ends::WISH_ENDS => change_run(lines, 4, |run| run.reason = "Mystery".to_owned()),
        ends::FAILED_WITH_REASON => {
            let views = lines.iter_mut().filter_map(|line| match &mut line.what {
                What::Answered(on) => Some(&mut on.view),
                _ => None,
            });
            views.for_each(|view| view.failure = None);
        }
        ends::PHASE_LIMIT => insert(lines, |tale| tale.answered(1200, "guest", Ask::Look, 4, "Stopping", None)),
        ends::NOTHING_STUCK => lines.retain(|line| !matches!(line.what, What::Rest)),
        machines::STOP_FENCED => insert(lines, |tale| tale.call(300, "stop", "a", Some((1, 7)))),
        machines::START_FENCED => insert(lines, |tale| {
            tale.call(1310, "start", "b", Some((1, 8)));
            tale.call(1330, "stop", "b", None);
            tale.status(1342, "b", "TERMINATED");
        }),
        machines::ONE_UP => insert(lines, |tale| {
            let (disk, instance) = ("disk".to_owned(), "b".to_owned());
            tale.cloud(600, Happening::Attached { disk: disk.clone(), instance: instance.clone() });
            tale.call(601, "start", "b", Some((3, 5)));
            tale.cloud(602, Happening::Detached { disk, instance });
            tale.status(610, "b", "TERMINATED");
        }),
        machines::ONE_DISK => insert(lines, |tale| {
            tale.cloud(1150, Happening::Attached { disk: "disk".to_owned(), instance: "b".to_owned() });
        }),
        books::RUNS => {
            let again = runs_of(lines)[1].clone();
            runs_of(lines).insert(1, again);
        }
        books::COSTS => change_run(lines, 1, |run| run.cost_usd += 0.01),
        other => panic!("nothing wrong is known for {other}"),
    }
}

#[test]
fn a_good_history_breaks_no_law_and_gives_each_something_to_judge() {
    let lines = good();
    let verdict = judge(&lines);
    assert!(verdict.findings.is_empty(), "{}", verdict.told(&lines));
    assert_eq!(verdict.idle(&ALL), []);
}

#[test]
fn each_law_finds_the_one_wrong_thing() {
    for law in ALL {
        let mut lines = good();
        wrong(law, &mut lines);
        let verdict = judge(&lines);
        // What is wrong with two machines up is wrong with the disk too: it cannot be at both.
        let beside = |other: &&Law| law == machines::ONE_UP && **other == machines::ONE_DISK;
        let broken = verdict.broken();
        let broken: Vec<&Law> = broken.iter().filter(|other| !beside(other)).collect();
        assert_eq!(broken, [&law], "{}", verdict.told(&lines));
    }
}

#[test]
fn a_boot_may_take_as_long_as_it_moves() {
    let broken = |steps: [&str; 3]| {
        let mut lines = good();
        insert(&mut lines, |tale| {
            for (at, step) in [1102, 1200, 1270].into_iter().zip(steps) {
                tale.beat(at, 5, Reading::Unknown, "Booting", None);
                let Some(Line { what: What::Beat(beat), .. }) = tale.0.last_mut() else { panic!("no heartbeat") };
                beat.step = Some(step.to_owned());
            }
        });
        judge(&lines).broken().contains(&ends::PHASE_LIMIT)
    };
    assert!(broken(["installing"; 3]), "it stood still");
    assert!(!broken(["mounting_disk", "installing", "installing"]));
}
