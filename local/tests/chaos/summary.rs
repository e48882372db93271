//! A history in a few lines: what was lived through.

use std::collections::BTreeMap;

use crate::history::{Line, What};

/// How many of each there were.
pub(crate) fn of(lines: &[Line]) -> String {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let mut count = |what: String| *counts.entry(what).or_default() += 1;
    for line in lines {
        match &line.what {
            What::Answered(on) => count(format!("asked, and answered: {}", verb(&format!("{:?}", on.ask)))),
            What::Unanswered(on) => count(format!("asked in vain: {}: {}", verb(&format!("{:?}", on.ask)), on.why)),
            What::Beat(on) => count(format!("heartbeats{}", if on.reply.is_some() { "" } else { " in vain" })),
            What::Power { on: true, .. } => count("machines brought up".to_owned()),
            What::Push(on) if on.fate.is_empty() => count(format!("pushes answered {}", on.status)),
            What::Push(on) => count(format!("pushes {}", verb(&on.fate))),
            What::Swept(on) => count(format!("sweeps{}", if on.well { "" } else { " that failed" })),
            What::Killed { function } => count(format!("kills of {function}")),
            What::Mishap { deed } => count(format!("mishap: {}", verb(deed))),
            What::Runs { runs, .. } => runs.iter().for_each(|run| {
                count("lives".to_owned());
                count(format!(
                    "lives ended {}{}",
                    run.reason,
                    run.failure.as_deref().map(|why| format!(": {why}")).unwrap_or_default()
                ));
            }),
            What::DeadLetter { .. } => count("dead letters".to_owned()),
            What::Declared(_) | What::Power { .. } | What::Cloud(_) | What::Calm | What::Rest => {}
        }
    }
    counts.iter().map(|(what, count)| format!("{count:>7}  {what}\n")).collect()
}

/// The first word of what was written down.
fn verb(text: &str) -> &str {
    text.split([' ', '(', '{']).next().unwrap_or_default()
}
