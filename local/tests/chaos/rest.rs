//! The calm after it all: everything must come to rest by itself, and stay there.

use std::time::Duration;

use crate::history::{Line, Millis, What};
use crate::world::World;

/// Real time between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(300);
/// At rest for so long, it is at rest: any call that was announced has run out by then, and sweeps have looked.
const RESTS_FOR: Millis = 75_000;
/// Nothing that is not stuck takes longer in policy time: the longest run, and the limits of all its phases.
const REST_WITHIN: Millis = 1_500_000;

/// Returns when the world is at rest, or when it should long have been; says which, and what is not.
pub(crate) async fn come_to_rest(world: &World) -> Vec<String> {
    let begun = world.client.now();
    let mut still = Vec::new();
    let mut since: Option<Millis> = None;
    while world.client.now() - begun < REST_WITHIN {
        tokio::time::sleep(LOOK_EVERY).await;
        let now = world.client.now();
        still = restless(world).await;
        since = still.is_empty().then(|| since.unwrap_or(now));
        if since.is_some_and(|since| now - since >= RESTS_FOR) && last_sweep_found_nothing(&world.history.lines()) {
            world.history.note(now, What::Rest);
            return Vec::new();
        }
    }
    if still.is_empty() {
        still.push("the reaper still finds something to look at".to_owned());
    }
    still
}

/// What is not at rest.
async fn restless(world: &World) -> Vec<String> {
    let up = world.emulator.snapshot().into_iter().filter(|instance| instance.status != "TERMINATED");
    let mut restless: Vec<String> =
        up.map(|instance| format!("{} is {}", instance.instance, instance.status)).collect();
    match world.client.look_at_all("onlooker").await {
        Some(views) => {
            let awake = views.iter().filter(|view| !matches!(view.phase.as_str(), "Stopped" | "Failed"));
            restless.extend(awake.map(|view| format!("{} is {} in run {}", view.id, view.phase, view.run)));
        }
        None => restless.push("the workspaces cannot be looked at".to_owned()),
    }
    restless
}

fn last_sweep_found_nothing(lines: &[Line]) -> bool {
    let last = lines.iter().rev().find_map(|line| if let What::Swept(swept) = &line.what { Some(swept) } else { None });
    last.is_some_and(|swept| swept.well && swept.looked_at == 0)
}
