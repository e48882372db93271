//! Starts one of Google's emulators for a test or a bench, and ends it.

use std::fs::File;
use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
#[cfg(feature = "firestore")]
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

#[cfg(feature = "firestore")]
use domain::{Timestamp, WorkspaceId};
#[cfg(feature = "firestore")]
use tokio::sync::Mutex;

#[cfg(feature = "firestore")]
use crate::contract::records::full_record;
#[cfg(feature = "firestore")]
use crate::firestore::{Firestore, FirestoreConfig};
#[cfg(feature = "firestore")]
use crate::store::{FirestoreStore, Save, WorkspaceStore};

/// Components of Google's SDK.
const FIRESTORE: &str = "cloud-firestore-emulator";
const PUBSUB: &str = "pubsub-emulator";
/// An emulator that is not up by then will not be.
const START_TIME_MAX: Duration = Duration::from_secs(60);
/// How long between two looks at whether it is up.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Starts tried: the free port may be taken by another in between.
const STARTS_MAX: u32 = 3;
/// What an emulator may use of memory, in MiB, where nobody asks for more.
const MEMORY_MIB: u32 = 512;

/// A running emulator; it ends when dropped.
#[derive(Debug)]
pub struct Emulator {
    java: Child,
    port: u16,
    log: PathBuf,
}

/// How an emulator is started.
struct Program<'a> {
    /// Of Google's SDK.
    component: &'a str,
    jar: PathBuf,
    main: &'a [&'a str],
    memory_mib: u32,
}

#[cfg(feature = "firestore")]
impl Emulator {
    /// Firestore's, or `None`, said aloud, where it is not installed. One for all tests of a process that run at the
    /// same time: starting it takes longer than they do.
    ///
    /// # Panics
    /// When it is installed and does not start, or is not and `CI=true`.
    pub async fn firestore() -> Option<Arc<Self>> {
        static RUNNING: Mutex<Weak<Emulator>> = Mutex::const_new(Weak::new());
        let mut running = RUNNING.lock().await;
        if let Some(emulator) = running.upgrade() {
            return Some(emulator);
        }
        let emulator = Arc::new(Self::firestore_with(MEMORY_MIB).await?);
        *running = Arc::downgrade(&emulator);
        Some(emulator)
    }

    /// One of its own, for more than a test's worth of documents.
    ///
    /// # Panics
    /// As [`Self::firestore`].
    pub async fn firestore_with(memory_mib: u32) -> Option<Self> {
        let main = ["com.google.cloud.datastore.emulator.firestore.CloudFirestore", "start"];
        let emulator = Self::start(FIRESTORE, firestore_jar(), &main, memory_mib).await?;
        emulator.warm_firestore().await;
        Some(emulator)
    }

    /// A database that nobody else uses.
    pub fn database(&self) -> Arc<Firestore> {
        let config = FirestoreConfig { endpoint: Some(self.url()), ..FirestoreConfig::new(project()) };
        Arc::new(Firestore::new(config))
    }

    /// A young emulator loads its classes while it is called, on a busy machine for longer than our calls wait. So the
    /// first calls, whatever becomes of them, are made before the test.
    async fn warm_firestore(&self) {
        const CALLS_MAX: u32 = 10;
        let store = FirestoreStore::new(self.database());
        let id = WorkspaceId::parse("main").expect("a name");
        let record = full_record();
        for _ in 0..CALLS_MAX {
            let Ok(loaded) = store.load(&id).await else { continue };
            let save = Save { id: &id, record: &record, seen: loaded.version.as_ref(), due_at: None, ended: None };
            if store.save(save).await.is_ok() && store.due(Timestamp::from_seconds(0), None, 1).await.is_ok() {
                return;
            }
        }
        panic!("the emulator answers, but not in {CALLS_MAX} calls");
    }
}

impl Emulator {
    /// Pub/Sub's, or `None`, said aloud, where it is not installed.
    ///
    /// # Panics
    /// As [`Self::firestore`].
    pub async fn pubsub() -> Option<Self> {
        Self::start(PUBSUB, pubsub_jar(), &["com.google.cloud.pubsub.testing.v1.Main"], MEMORY_MIB).await
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// The same, as host and port.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    async fn start(component: &str, jar: Option<PathBuf>, main: &[&str], memory_mib: u32) -> Option<Self> {
        let Some(jar) = jar.filter(|_| java_answers()) else {
            missing(component);
            return None;
        };
        let program = Program { component, jar, main, memory_mib };
        let mut logs = Vec::new();
        for _ in 0..STARTS_MAX {
            let mut emulator = Self::spawn(&program);
            if emulator.is_up().await {
                return Some(emulator);
            }
            logs.push(std::fs::read_to_string(&emulator.log).unwrap_or_default());
        }
        panic!("{component} did not start in {STARTS_MAX} tries: {logs:#?}");
    }

    fn spawn(program: &Program<'_>) -> Self {
        let Program { component, jar, main, memory_mib } = program;
        let free = TcpListener::bind(("127.0.0.1", 0)).and_then(|free| free.local_addr());
        let port = free.expect("a free port").port();
        let log = std::env::temp_dir().join(format!("{component}-{}-{port}.log", std::process::id()));
        let file = File::create(&log).expect("a file for the emulator's log");
        // Java runs as itself, without a script around it, so that there is one process to end; and in the group of the
        // test, so that whoever interrupts the test ends both.
        let java = Command::new("java")
            .args([&format!("-Xmx{memory_mib}m"), "-Duser.language=en", "-cp"])
            .arg(jar)
            .args(*main)
            .args(["--host=127.0.0.1", &format!("--port={port}")])
            .stdin(Stdio::null())
            .stdout(file.try_clone().expect("a second handle of the log"))
            .stderr(file)
            .spawn()
            .expect("java to start");
        Self { java, port, log }
    }

    /// Waits until it answers; `false` when it has ended, or takes too long.
    async fn is_up(&mut self) -> bool {
        let begin = Instant::now();
        let mut looks = tokio::time::interval(LOOK_EVERY);
        while begin.elapsed() < START_TIME_MAX {
            looks.tick().await;
            if self.java.try_wait().expect("to look at our own child").is_some() {
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
        // These fail only when it has ended already.
        let _ = self.java.kill();
        let _ = self.java.wait();
        let _ = std::fs::remove_file(&self.log);
    }
}

/// Whether both can be started; says aloud how to get what is missing.
///
/// # Panics
/// When one is missing and `CI=true`.
pub fn both_are_installed() -> bool {
    let java = java_answers();
    let lacking =
        [(FIRESTORE, firestore_jar()), (PUBSUB, pubsub_jar())].into_iter().find(|(_, jar)| jar.is_none() || !java);
    if let Some((component, _)) = lacking {
        missing(component);
    }
    lacking.is_none()
}

/// A project that nobody else uses.
pub fn project() -> String {
    format!("p-{}", uuid::Uuid::new_v4())
}

fn firestore_jar() -> Option<PathBuf> {
    let jar = sdk()?.join("platform/cloud-firestore-emulator/cloud-firestore-emulator.jar");
    jar.exists().then_some(jar)
}

fn pubsub_jar() -> Option<PathBuf> {
    let mut files = sdk()?.join("platform/pubsub-emulator/lib").read_dir().ok()?.filter_map(Result::ok);
    let is_jar = |name: &str| name.starts_with("cloud-pubsub-emulator-") && name.ends_with("-all.jar");
    files.find(|file| file.file_name().to_str().is_some_and(is_jar)).map(|file| file.path())
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
