//! Google's own emulators of Firestore and Pub/Sub: those that run already, or the Java programs of Google's SDK.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, ChildStderr, Command};
use tokio_util::sync::CancellationToken;

use crate::ports::HeldPorts;
use crate::process_group;
use crate::processes::Companions;

/// An emulator that is not up by then will not be.
const UP_WITHIN: Duration = Duration::from_secs(90);
/// One look at whether it is.
const LOOK_TIME_MAX: Duration = Duration::from_secs(5);
/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// What an emulator gets between SIGTERM and SIGKILL.
const ENDS_WITHIN: Duration = Duration::from_secs(5);
/// For one workspace this is plenty, and the first compiler is enough: starting counts for more than speed.
const JAVA: [&str; 4] = ["-Xmx256m", "-Duser.language=en", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"];

/// Where Google's emulators listen: `host:port`, without a scheme.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Google {
    pub firestore: String,
    pub pubsub: String,
}

/// Which emulators are wanted.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// A Firestore emulator that runs already, as `host:port`.
    pub firestore: Option<String>,
    /// A Pub/Sub emulator that runs already, as `host:port`.
    pub pubsub: Option<String>,
    /// Folder of the Google Cloud SDK; found by itself around a `gcloud` on the path.
    pub cloud_sdk: Option<PathBuf>,
}

/// One of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Emulator {
    Firestore,
    Pubsub,
}

/// Finds or starts both.
///
/// # Errors
/// When one is neither running nor installed; says how to get it.
pub async fn start(wanted: &Wanted, companions: &mut Companions) -> anyhow::Result<Google> {
    let leaving = companions.leaving();
    let sdk = wanted.cloud_sdk.as_deref();
    let (firestore, pubsub) = tokio::try_join!(
        Emulator::Firestore.found_or_started(wanted.firestore.as_deref(), sdk),
        Emulator::Pubsub.found_or_started(wanted.pubsub.as_deref(), sdk),
    )?;
    for (emulator, child) in [(Emulator::Firestore, firestore.1), (Emulator::Pubsub, pubsub.1)] {
        if let Some(child) = child {
            companions.add(emulator.watch(child, leaving.clone()));
        }
    }
    Ok(Google { firestore: firestore.0, pubsub: pubsub.0 })
}

impl Emulator {
    /// The component of Google's SDK.
    fn component(self) -> &'static str {
        match self {
            Self::Firestore => "cloud-firestore-emulator",
            Self::Pubsub => "pubsub-emulator",
        }
    }

    /// The variable by which its clients find it.
    fn variable(self) -> &'static str {
        match self {
            Self::Firestore => "FIRESTORE_EMULATOR_HOST",
            Self::Pubsub => "PUBSUB_EMULATOR_HOST",
        }
    }

    fn main(self) -> &'static [&'static str] {
        match self {
            Self::Firestore => &["com.google.cloud.datastore.emulator.firestore.CloudFirestore", "start"],
            Self::Pubsub => &["com.google.cloud.pubsub.testing.v1.Main"],
        }
    }

    /// Its Java program within the SDK, if it is installed.
    fn jar(self, sdk: &Path) -> Option<PathBuf> {
        match self {
            Self::Firestore => {
                let jar = sdk.join("platform/cloud-firestore-emulator/cloud-firestore-emulator.jar");
                jar.is_file().then_some(jar)
            }
            Self::Pubsub => {
                let mut files = sdk.join("platform/pubsub-emulator/lib").read_dir().ok()?.filter_map(Result::ok);
                let is_jar = |name: &str| name.starts_with("cloud-pubsub-emulator-") && name.ends_with("-all.jar");
                files.find(|file| file.file_name().to_str().is_some_and(is_jar)).map(|file| file.path())
            }
        }
    }

    async fn found_or_started(
        self,
        running_at: Option<&str>,
        sdk: Option<&Path>,
    ) -> anyhow::Result<(String, Option<Child>)> {
        if let Some(host) = running_at {
            let variable = self.variable();
            anyhow::ensure!(
                is_up(host).await,
                "{variable} is {host}, where nothing answers; start it, or unset the variable"
            );
            return Ok((host.to_owned(), None));
        }
        let found = sdk.map(Path::to_owned).or_else(sdk_on_path).and_then(|sdk| self.jar(&sdk));
        let jar = found.with_context(|| self.how_to_get())?;
        let held = HeldPorts::hold(&[self.component().to_owned()])?;
        let port = held.ports()?.into_values().next().context("a port for the emulator")?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut child = self.launch(&jar, address)?;
        if wait_until_up(&mut child, address).await? {
            return Ok((address.to_string(), Some(child)));
        }
        bail!("Google's {} did not start; with --log-filter debug the log holds what it says", self.component())
    }

    fn how_to_get(self) -> String {
        let component = self.component();
        let variable = self.variable();
        format!(
            "Google's {component} is not installed. Install Java 17 or later and the Google Cloud SDK, then run \
             `gcloud components install {component}` (Debian: the package google-cloud-cli-{component}); \
             CLOUDSDK_ROOT names the SDK's folder where `gcloud` is not on the path, and {variable} an emulator that \
             runs already"
        )
    }

    fn launch(self, jar: &Path, address: SocketAddr) -> anyhow::Result<Child> {
        // Java runs as itself, without the SDK's scripts around it: one process to end.
        let mut command = Command::new("java");
        command.args(JAVA).arg("-cp").arg(jar).args(self.main()).stderr(Stdio::piped());
        command.args([format!("--host={}", address.ip()), format!("--port={}", address.port())]);
        let mut child = process_group::spawn(command).with_context(|| self.how_to_get())?;
        if let Some(said) = child.stderr.take() {
            tokio::spawn(pass_on(self.component(), said));
        }
        Ok(child)
    }

    async fn watch(self, mut child: Child, leaving: CancellationToken) -> anyhow::Result<()> {
        tokio::select! {
            status = child.wait() => bail!("Google's {} has ended: {status:?}", self.component()),
            () = leaving.cancelled() => {
                process_group::end(&mut child, ENDS_WITHIN).await;
                Ok(())
            }
        }
    }
}

/// What an emulator says goes into the log, until it closes its mouth.
async fn pass_on(component: &'static str, said: ChildStderr) {
    let mut lines = BufReader::new(said).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        tracing::debug!(component, line);
    }
}

/// `false` when it has ended, or takes too long.
async fn wait_until_up(child: &mut Child, address: SocketAddr) -> anyhow::Result<bool> {
    let up = async {
        while !is_up(&address.to_string()).await {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    tokio::select! {
        status = child.wait() => status.map(|_| false).context("waiting for an emulator"),
        up = tokio::time::timeout(UP_WITHIN, up) => Ok(up.is_ok()),
    }
}

async fn is_up(host: &str) -> bool {
    let asked = reqwest::Client::new().get(format!("http://{host}/")).timeout(LOOK_TIME_MAX).send().await;
    asked.is_ok_and(|answer| answer.status().is_success())
}

/// The Google Cloud SDK around the `gcloud` on the path.
fn sdk_on_path() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let gcloud = std::env::split_paths(&path).map(|folder| folder.join("gcloud")).find(|gcloud| gcloud.exists())?;
    // …/google-cloud-sdk/bin/gcloud, behind whatever links there are.
    Some(gcloud.canonicalize().ok()?.parent()?.parent()?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_emulator_that_is_not_installed_is_told_with_how_to_get_it() {
        let nowhere = Some(Path::new("/nowhere"));
        let error = Emulator::Pubsub.found_or_started(None, nowhere).await.unwrap_err().to_string();
        for told in ["pubsub-emulator is not installed", "Java 17", "gcloud components install pubsub-emulator"] {
            assert!(error.contains(told), "{error}");
        }
    }

    #[tokio::test]
    async fn an_address_where_nothing_answers_is_named_with_its_variable() {
        let held = HeldPorts::hold(&["nobody".to_owned()]).unwrap();
        let host = format!("127.0.0.1:{}", held.ports().unwrap()["nobody"]);
        let error = Emulator::Firestore.found_or_started(Some(&host), None).await.unwrap_err().to_string();
        assert_eq!(
            error,
            format!("FIRESTORE_EMULATOR_HOST is {host}, where nothing answers; start it, or unset the variable")
        );
    }
}
