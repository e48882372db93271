//! Wrong things put into a history that broke no law: what the laws pass over in it they would have found.

use compute_emulator::{Happened, Happening};
use domain::WorkspaceId;
use platform::compute::request_id;

use crate::court::Law;
use crate::history::{Answered, Ask, Line, Millis, View, What};
use crate::laws::{machines, usage};
use crate::story::Chronicle;

/// Makes a change, and says which law it breaks.
pub(crate) type Injection = fn(&mut Vec<Line>) -> Law;

pub(crate) const ALL: [Injection; 2] = [stop_of_the_run_before, stop_under_a_persons_hands];

/// A stop made for one run reaches the machine that the next has just brought up.
fn stop_of_the_run_before(lines: &mut Vec<Line>) -> Law {
    /// No run makes so many calls.
    const CALL: u32 = 79;
    let chronicle = Chronicle::of(lines);
    let started = chronicle.stories.values().find_map(|story| {
        story.cloud.windows(2).find_map(|pair| match (pair[0].it, pair[1].it) {
            (Happening::Status { status, .. }, Happening::Accepted { verb, instance, request_id, .. })
                if status == "PROVISIONING" && verb == "start" =>
            {
                let run = story.caller(request_id.as_ref()).filter(|run| *run > 1)?;
                Some((story.name(), run, instance.clone(), pair[1].line, pair[1].at))
            }
            _ => None,
        })
    });
    let (workspace, run, instance, line, at_ms) = started.expect("a second run somewhere");
    let id = request_id(&WorkspaceId::parse(workspace).unwrap(), run - 1, CALL).to_string();
    let (operation, verb) = ("operation-wrong".to_owned(), "stop".to_owned());
    let stopping = Happening::Status { instance: instance.clone(), status: "STOPPING".to_owned() };
    let accepted = Happening::Accepted {
        operation: operation.clone(),
        verb: verb.clone(),
        instance: instance.clone(),
        request_id: Some(id),
    };
    let ended = Happening::Ended { operation, verb, instance, error: None };
    // The last goes in first, each before the one that is there already.
    for what in [ended, accepted, stopping] {
        lines.insert(line + 1, Line { at: at_ms, what: What::Cloud(Happened { at_ms, what }) });
    }
    machines::STOP_FENCED
}

/// A run is stopped as idle although its person has just been there.
fn stop_under_a_persons_hands(lines: &mut Vec<Line>) -> Law {
    const AGO: Millis = 2_000;
    let chronicle = Chronicle::of(lines);
    let stopped = chronicle.stories.values().find_map(|story| {
        let idle = story.runs.values().find(|run| matches!(run.it.reason.as_str(), "Idle" | "NeverOpened"))?;
        Some((story.name().to_owned(), idle.it.run, story.decided(idle.it).0 - AGO))
    });
    let (workspace, run, now) = stopped.expect("a run that ended idle");
    let view = View { phase: "Draining".to_owned(), run, now, stop_at: None, hard_stop_at: None, failure: None };
    let ask = Ask::KeepAlive { input_ago: Some(0) };
    let answered = Answered { workspace, who: "somebody".to_owned(), ask, sent: now, view };
    lines.push(Line { at: now, what: What::Answered(answered) });
    usage::YOUNG_ACTIVITY
}
