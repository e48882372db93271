//! The three functions as three processes, as on Cloud Run: started, found again by whoever calls them, and started
//! anew when they die. What they are told is in `environment.rs`; how a request reaches them, in `front.rs`.

use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use serde::Serialize;
use tokio::process::{Child, Command};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::environment::Variables;
use crate::ports::HeldPorts;
use crate::process_group;

/// A function that does not answer by then does not start.
const ANSWERS_WITHIN: Duration = Duration::from_secs(30);
/// Between two looks at whether it does.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// The wait before a dead function is started again; doubled each time that it dies young.
const FIRST_WAIT: Duration = Duration::from_millis(100);
/// The longest of these waits.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// Who has lived this long does not die young.
const YOUNG: Duration = Duration::from_secs(5);
/// A function that dies young so often in a row is broken, and the program ends.
const YOUNG_DEATHS_MAX: u32 = 20;
/// What Cloud Run gives between SIGTERM and SIGKILL.
const ENDS_WITHIN: Duration = Duration::from_secs(10);

/// One of the three.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Function {
    Auth,
    Lifecycle,
    Reaper,
}

impl Function {
    pub const ALL: [Self; 3] = [Self::Auth, Self::Lifecycle, Self::Reaper];

    /// The name of its program.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::Lifecycle => "lifecycle",
            Self::Reaper => "reaper",
        }
    }

    /// Its program in `folder`.
    ///
    /// # Errors
    /// When it is not there; says how to build it.
    pub fn program(self, folder: &Path) -> anyhow::Result<PathBuf> {
        let program = folder.join(self.name());
        ensure!(
            program.is_file(),
            "{} is not there; build the three functions with: cargo build -p auth -p lifecycle -p reaper",
            program.display()
        );
        Ok(program)
    }
}

/// The folder of this very program, where those of the functions lie too.
///
/// # Errors
/// When the system does not say.
pub fn own_folder() -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe().context("looking for this program's own file")?;
    Ok(own.parent().context("this program's file lies in no folder")?.to_owned())
}

/// What runs beside this process and ends with it.
#[derive(Debug, Default)]
pub struct Companions {
    leaving: CancellationToken,
    lives: JoinSet<anyhow::Result<()>>,
}

impl Companions {
    /// Cancelled when everything is to end.
    pub fn leaving(&self) -> CancellationToken {
        self.leaving.clone()
    }

    /// One more; it ends by itself when it is told to leave.
    pub fn add(&mut self, life: impl Future<Output = anyhow::Result<()>> + Send + 'static) {
        self.lives.spawn(life);
    }

    /// Why one of them cannot go on; waits for ever while all can.
    pub async fn first_failure(&mut self) -> anyhow::Error {
        // At most as many turns as there are companions.
        while let Some(ended) = self.lives.join_next().await {
            match ended {
                Ok(Ok(())) => {}
                Ok(Err(error)) => return error,
                Err(error) => return anyhow::Error::new(error).context("watching over a process"),
            }
        }
        std::future::pending().await
    }

    /// Ends them all, and waits until they have.
    pub async fn end(mut self) {
        self.leaving.cancel();
        while let Some(ended) = self.lives.join_next().await {
            if let Ok(Err(error)) = ended {
                tracing::warn!(error = format!("{error:#}"), "a process had failed before the end");
            }
        }
    }
}

/// The three functions, wherever they listen at the moment.
#[derive(Debug)]
pub struct Functions {
    /// In the order of [`Function::ALL`].
    places: Vec<Arc<Place>>,
    _held_ports: HeldPorts,
}

/// A function for the panel.
#[derive(Clone, Debug, Serialize)]
pub struct FunctionView {
    name: &'static str,
    /// Absent while it is dead.
    pid: Option<u32>,
    address: String,
}

/// One function, from one process to the next.
#[derive(Debug)]
struct Place {
    function: Function,
    program: PathBuf,
    variables: Variables,
    /// The same for each of its processes.
    address: SocketAddr,
    pid: Mutex<Option<u32>>,
}

impl Functions {
    /// Starts the three from `folder`, each with its variables and nothing else in its environment; returns when they answer.
    ///
    /// # Errors
    /// When one cannot be started, or ends at once.
    pub async fn start(
        folder: &Path,
        variables: impl Fn(Function) -> Variables,
        companions: &mut Companions,
    ) -> anyhow::Result<Arc<Self>> {
        let held = HeldPorts::hold(&Function::ALL.map(|function| function.name().to_owned()))?;
        let ports = held.ports()?;
        let mut places = Vec::new();
        for function in Function::ALL {
            let port = ports.get(function.name()).context("a port for each function")?;
            let place = Place {
                function,
                program: function.program(folder)?,
                variables: variables(function),
                address: SocketAddr::from((Ipv4Addr::LOCALHOST, *port)),
                pid: Mutex::default(),
            };
            places.push(Arc::new(place));
        }
        let [auth, lifecycle, reaper] = &places[..] else { bail!("there are three functions") };
        let children = tokio::try_join!(auth.start(), lifecycle.start(), reaper.start())?;
        for (place, child) in places.iter().zip([children.0, children.1, children.2]) {
            companions.add(Arc::clone(place).keep(child, companions.leaving()));
        }
        Ok(Arc::new(Self { places, _held_ports: held }))
    }

    /// Where a function listens while it lives.
    pub fn address(&self, function: Function) -> Option<SocketAddr> {
        self.places.iter().find(|place| place.function == function).map(|place| place.address)
    }

    /// The process of a function; absent while it is dead.
    pub fn pid(&self, function: Function) -> Option<u32> {
        self.places.iter().find(|place| place.function == function).and_then(|place| *place.pid())
    }

    /// The three for the panel.
    pub fn views(&self) -> Vec<FunctionView> {
        self.places.iter().map(|place| place.view()).collect()
    }
}

impl Place {
    fn pid(&self) -> MutexGuard<'_, Option<u32>> {
        self.pid.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn view(&self) -> FunctionView {
        FunctionView { name: self.function.name(), pid: *self.pid(), address: format!("http://{}", self.address) }
    }

    /// The first process, once it answers.
    async fn start(&self) -> anyhow::Result<Child> {
        let name = self.function.name();
        let mut child = self.launch()?;
        tokio::select! {
            status = child.wait() => {
                let status = status.with_context(|| format!("waiting for {name}"))?;
                bail!("{name} ended at its start ({status}); its own words are above");
            }
            answers = tokio::time::timeout(ANSWERS_WITHIN, self.answers()) => {
                answers.with_context(|| format!("{name} did not answer within {ANSWERS_WITHIN:?}"))?;
            }
        }
        Ok(child)
    }

    fn launch(&self) -> anyhow::Result<Child> {
        let mut command = Command::new(&self.program);
        command.env_clear().envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.env("PORT", self.address.port().to_string());
        let child = process_group::spawn(command)?;
        *self.pid() = child.id();
        Ok(child)
    }

    /// Returns when the process answers.
    async fn answers(&self) {
        let client = reqwest::Client::new();
        let url = format!("http://{}/healthz", self.address);
        // Bounded by whoever waits for it.
        while !client.get(&url).send().await.is_ok_and(|answer| answer.status().is_success()) {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Starts the function again whenever it dies, until everything is to end.
    async fn keep(self: Arc<Self>, mut child: Child, leaving: CancellationToken) -> anyhow::Result<()> {
        let name = self.function.name();
        let mut young_deaths = 0;
        // Ends when told to leave, or after too many young deaths.
        loop {
            let born = Instant::now();
            let status = tokio::select! {
                status = child.wait() => status,
                () = leaving.cancelled() => {
                    process_group::end(&mut child, ENDS_WITHIN).await;
                    return Ok(());
                }
            };
            *self.pid() = None;
            young_deaths = if born.elapsed() < YOUNG { young_deaths + 1 } else { 1 };
            ensure!(young_deaths <= YOUNG_DEATHS_MAX, "{name} died young {YOUNG_DEATHS_MAX} times in a row");
            tracing::warn!(name, ?status, young_deaths, "a function has died; starting it again");
            tokio::select! {
                () = tokio::time::sleep(wait_after(young_deaths)) => {}
                () = leaving.cancelled() => return Ok(()),
            }
            child = self.launch()?;
        }
    }
}

fn wait_after(young_deaths: u32) -> Duration {
    FIRST_WAIT.saturating_mul(2_u32.saturating_pow(young_deaths.saturating_sub(1))).min(LONGEST_WAIT)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WITHIN: Duration = Duration::from_secs(30);

    /// A shell with nothing to read, which ends at once.
    fn place() -> Place {
        Place {
            function: Function::Reaper,
            program: PathBuf::from("/bin/sh"),
            variables: Vec::new(),
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 9)),
            pid: Mutex::default(),
        }
    }

    #[test]
    fn waits_double_up_to_the_longest() {
        let waits: Vec<u128> = [1, 2, 3, 6, 7, 20].into_iter().map(|deaths| wait_after(deaths).as_millis()).collect();
        assert_eq!(waits, [100, 200, 400, 3200, 5000, 5000]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_function_that_only_dies_ends_the_program() {
        let place = Arc::new(place());
        let mut companions = Companions::default();
        let child = place.launch().unwrap();
        companions.add(Arc::clone(&place).keep(child, companions.leaving()));
        let failure = companions.first_failure().await.to_string();
        assert_eq!(failure, "reaper died young 20 times in a row");
        assert_eq!(place.view().pid, None);
    }

    #[tokio::test]
    async fn a_function_that_ends_at_its_start_is_told() {
        let started = tokio::time::timeout(WITHIN, place().start()).await.unwrap();
        assert!(started.unwrap_err().to_string().starts_with("reaper ended at its start (exit status: 0)"));
    }
}
