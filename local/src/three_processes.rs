//! The functions as three processes on Google's own emulators of Firestore and Pub/Sub: the nearest to Cloud Run that
//! one machine can be. Compute Engine and its VMs are the pocket cloud's here too.
//!
//! ```text
//!  browser, VMs, scheduler ──► front ──► auth · lifecycle · reaper ──► Firestore's emulator
//!                                          ▲ door (signs)    │
//!                                          └── Pub/Sub's emulator ◄── log sink
//! ```

use std::path::Path;
use std::sync::Arc;

use tokio::net::TcpListener;

use crate::args::Args;
use crate::emulators::{self, Google};
use crate::environment::{Environment, Surroundings};
use crate::front::{self, Door};
use crate::panel::{self, Panel};
use crate::pocket::Pocket;
use crate::processes::{self, Companions, Function, Functions};
use crate::pubsub::{Declared, Topics};

/// Runs until Ctrl-C or SIGTERM.
///
/// # Errors
/// When a part is missing or cannot be started; the message says which and what to do.
pub(crate) async fn run(listener: TcpListener, args: &Args) -> anyhow::Result<()> {
    let folder = processes::own_folder()?;
    for function in Function::ALL {
        function.program(&folder)?;
    }
    let mut companions = Companions::default();
    let google = emulators::start(&args.emulators(), &mut companions).await?;
    let mut pocket = Pocket::start(&listener, args, made_up_project()?).await?;
    let result = serve(listener, &mut pocket, &folder, &google, &mut companions).await;
    companions.end().await;
    pocket.end().await;
    result
}

async fn serve(
    listener: TcpListener,
    pocket: &mut Pocket,
    folder: &Path,
    google: &Google,
    companions: &mut Companions,
) -> anyhow::Result<()> {
    let door = Door::bind().await?;
    let declared = Declared {
        host: &google.pubsub,
        project: &pocket.project,
        door: door.url(),
        audience: &pocket.base,
        rate: pocket.clock.rate(),
    };
    let topics = Topics::declare(&declared).await?;
    let environment = Environment::of(&surroundings(pocket, google, &topics.nudges, &pocket.inbox.declared()))?;
    let functions = Functions::start(folder, |function| environment.for_function(function), companions).await?;
    let panel = Panel { functions: Some(Arc::clone(&functions)), ..pocket.panel() };
    let limited = service::protect(panel::routes(panel), service::Limits::default());
    let router = front::routes(Arc::clone(&functions)).merge(limited);
    announce(pocket, google);
    let pushes = door.serve(front::pushes(functions, Arc::downgrade(&pocket.emulator), pocket.base.clone()));
    let beside = async {
        tokio::select! {
            failure = companions.first_failure() => failure,
            ended = pushes => ended.err().unwrap_or_else(|| anyhow::anyhow!("pushes are taken no more")),
        }
    };
    let publish = async |entry: String| topics.publish_event(entry).await;
    pocket.serve(listener, router, publish, beside).await
}

fn surroundings<'a>(
    pocket: &'a Pocket,
    google: &'a Google,
    nudge_topic: &'a str,
    webhooks: &'a str,
) -> Surroundings<'a> {
    Surroundings {
        project: &pocket.project,
        workspaces: std::slice::from_ref(&pocket.workspace),
        base: &pocket.base,
        clock_setting: &pocket.clock_setting,
        log_filter: &pocket.log_filter,
        users: &pocket.users,
        webhooks,
        compute: &pocket.emulator,
        google,
        nudge_topic,
    }
}

/// Nobody else's, so that emulators that run already may hold more than this run.
fn made_up_project() -> anyhow::Result<String> {
    let mut random = [0_u8; 8];
    getrandom::fill(&mut random).map_err(|error| anyhow::anyhow!("no randomness to be had: {error}"))?;
    Ok(format!("local-{:016x}", u64::from_be_bytes(random)))
}

#[expect(clippy::print_stdout, reason = "this is what the program is started for")]
fn announce(pocket: &Pocket, google: &Google) {
    pocket.announce();
    let Google { firestore, pubsub } = google;
    println!("Google's emulators Firestore {firestore}   Pub/Sub {pubsub}   project {}", pocket.project);
}
