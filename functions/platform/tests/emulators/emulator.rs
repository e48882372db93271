//! Starts one of Google's emulators, and ends it.

use std::fs::File;
use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// An emulator that is not up by then will not be.
const START_TIME_MAX: Duration = Duration::from_secs(60);
/// How long between two looks at whether it is up.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Starts tried: the free port may be taken by another in between.
const STARTS_MAX: u32 = 3;

/// A running emulator; it ends when dropped.
pub(crate) struct Emulator {
    java: Child,
    port: u16,
}

impl Emulator {
    /// Firestore's, or `None`, said aloud, where it is not installed.
    pub(crate) async fn firestore() -> Option<Self> {
        let jar = || {
            let jar = sdk()?.join("platform/cloud-firestore-emulator/cloud-firestore-emulator.jar");
            jar.exists().then_some(jar)
        };
        let main = ["com.google.cloud.datastore.emulator.firestore.CloudFirestore", "start"];
        Self::start("cloud-firestore-emulator", jar(), &main).await
    }

    /// Pub/Sub's, or `None`, said aloud, where it is not installed.
    pub(crate) async fn pubsub() -> Option<Self> {
        let jar = || {
            let mut files = sdk()?.join("platform/pubsub-emulator/lib").read_dir().ok()?.filter_map(Result::ok);
            let is_jar = |name: &str| name.starts_with("cloud-pubsub-emulator-") && name.ends_with("-all.jar");
            files.find(|file| file.file_name().to_str().is_some_and(is_jar)).map(|file| file.path())
        };
        Self::start("pubsub-emulator", jar(), &["com.google.cloud.pubsub.testing.v1.Main"]).await
    }

    /// Where it listens.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// The same, as host and port.
    pub(crate) fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    async fn start(component: &str, jar: Option<PathBuf>, main: &[&str]) -> Option<Self> {
        let Some(jar) = jar.filter(|_| java_answers()) else {
            missing(component);
            return None;
        };
        for _ in 0..STARTS_MAX {
            let mut emulator = Self::spawn(component, &jar, main);
            if emulator.is_up().await {
                return Some(emulator);
            }
        }
        panic!("{component} did not start; its logs are in {}", env!("CARGO_TARGET_TMPDIR"));
    }

    fn spawn(component: &str, jar: &Path, main: &[&str]) -> Self {
        let port = TcpListener::bind(("127.0.0.1", 0)).and_then(|free| free.local_addr()).unwrap().port();
        let log = File::create(Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{component}-{port}.log"))).unwrap();
        // Java runs as itself, without a script around it, so that there is one process to end; and in the group of the
        // test, so that whoever interrupts the test ends both.
        let java = Command::new("java")
            .args(["-Xmx256m", "-Duser.language=en", "-cp"])
            .arg(jar)
            .args(main)
            .args(["--host=127.0.0.1", &format!("--port={port}")])
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        Self { java, port }
    }

    /// Waits until it answers; `false` when it has ended, or takes too long.
    async fn is_up(&mut self) -> bool {
        let begin = Instant::now();
        let mut looks = tokio::time::interval(LOOK_EVERY);
        while begin.elapsed() < START_TIME_MAX {
            looks.tick().await;
            if self.java.try_wait().unwrap().is_some() {
                return false;
            }
            if reqwest::get(self.url()).await.is_ok_and(|answer| answer.status().is_success()) {
                return true;
            }
        }
        false
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        let _ = self.java.kill();
        let _ = self.java.wait();
    }
}

/// The Google Cloud SDK: where `CLOUDSDK_ROOT` says, or around the `gcloud` on the path.
fn sdk() -> Option<PathBuf> {
    if let Some(root) = std::env::var_os("CLOUDSDK_ROOT") {
        return Some(PathBuf::from(root));
    }
    let path = std::env::var_os("PATH")?;
    let gcloud = std::env::split_paths(&path).map(|folder| folder.join("gcloud")).find(|gcloud| gcloud.exists())?;
    // …/google-cloud-sdk/bin/gcloud, behind whatever links there are.
    Some(gcloud.canonicalize().ok()?.parent()?.parent()?.to_owned())
}

fn java_answers() -> bool {
    let java = Command::new("java").arg("-version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    java.is_ok_and(|status| status.success())
}

fn missing(component: &str) {
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    let said = format!(
        "NOT RUN: {test}\n  It needs Java and Google's emulator: install a JRE (17 or later) and the Google Cloud SDK, then\n  \
         `gcloud components install {component}`, or the package google-cloud-cli-{component}.\n"
    );
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{said}");
    // Past the test harness, which keeps what a passing test prints to itself.
    let _ = std::io::stderr().write_all(said.as_bytes());
}
