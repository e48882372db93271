//! `pilotlight --emulators`, whoever uses it, and whoever kills its functions.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use platform::contract::emulator::both_are_installed;
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};

use crate::processes::{children, is_alive};
use crate::programs;

const PASSWORD: &str = "correct horse battery staple";
/// Both Java programs and three functions are up by then.
const STARTS_WITHIN: Duration = Duration::from_secs(60);
/// Whatever a test waits for has happened by then, or will not.
const WAIT_MAX: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// A request waits while its function is being started.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);
/// A function under way has ten seconds to finish; so have the VMs after them.
const ENDS_WITHIN: Duration = Duration::from_secs(25);
/// Lines of its log that are kept to be shown when a test fails.
const LOG_LINES_MAX: usize = 600;

pub(crate) struct World {
    child: Child,
    base: String,
    token: String,
    http: reqwest::Client,
    log: Arc<Mutex<Vec<String>>>,
}

impl World {
    /// Starts it and signs in; `None`, said aloud, where Google's emulators are not installed.
    pub(crate) async fn start(args: &[&str]) -> Option<Self> {
        if !both_are_installed() {
            return None;
        }
        // Builds what is not built.
        programs::function("lifecycle");
        let mut command = Command::new(programs::pilotlight());
        command.args(["--emulators", "--port", "0", "--password", PASSWORD]).args(args);
        for name in ["RUST_LOG", "FIRESTORE_EMULATOR_HOST", "PUBSUB_EMULATOR_HOST"] {
            command.env_remove(name);
        }
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let log = Arc::new(Mutex::new(Vec::new()));
        keep(child.stderr.take().unwrap(), Arc::clone(&log), |_| ());
        let (tell, told) = mpsc::channel();
        keep(child.stdout.take().unwrap(), Arc::clone(&log), move |line| {
            if let Some(base) = line.strip_prefix("Pilotlight is at") {
                // Nobody listens once it is known.
                let _ = tell.send(base.trim().to_owned());
            }
        });
        let http = reqwest::Client::builder().timeout(ANSWER_WITHIN).no_proxy().build().unwrap();
        let mut world = Self { child, base: String::new(), token: String::new(), http, log };
        world.base = told.recv_timeout(STARTS_WITHIN).unwrap_or_else(|_| world.fail("it tells no address"));
        world.token = world.sign_in().await;
        Some(world)
    }

    pub(crate) async fn sign_in(&self) -> String {
        let body = json!({"user": "admin", "password": PASSWORD});
        let (status, body) = self.ask(Method::POST, "/api/login", Some(body)).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        body["token"].as_str().unwrap().to_owned()
    }

    /// Status and body of an answer to whoever is signed in.
    pub(crate) async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> (StatusCode, Value) {
        let mut request = self.request(method, path).header("x-auth-token", &self.token);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = self.send(request).await;
        let (status, text) = (answer.status(), answer.text().await.unwrap_or_default());
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    /// A request of nobody's.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url = if path.starts_with("http") { path.to_owned() } else { format!("{}{path}", self.base) };
        self.http.request(method, url).header("accept", "application/json")
    }

    pub(crate) async fn send(&self, request: RequestBuilder) -> Response {
        request.send().await.unwrap_or_else(|error| self.fail(&format!("no answer: {error:?}")))
    }

    /// What a GET answers, which is 200.
    pub(crate) async fn get(&self, path: &str) -> Value {
        let (status, body) = self.ask(Method::GET, path, None).await;
        assert_eq!(status, StatusCode::OK, "{path}: {body}");
        body
    }

    pub(crate) async fn panel(&self) -> Value {
        self.get("/local").await
    }

    /// Asks for the workspace until it answers: one who asked a function that was killed meanwhile asks again.
    pub(crate) async fn view(&self) -> Value {
        self.until("the workspace is told", async || {
            let (status, view) = self.ask(Method::GET, "/api/workspaces/main", None).await;
            let killed = matches!(status, StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE);
            assert!(killed || status == StatusCode::OK, "{status}: {view}");
            (!killed).then_some(view)
        })
        .await
    }

    /// The names of the instances that are not down: never more than one.
    pub(crate) async fn up(&self) -> Option<String> {
        let panel = self.panel().await;
        let vms = panel["vms"].as_array().unwrap().iter();
        let up: Vec<&str> =
            vms.filter(|vm| vm["status"] != "TERMINATED").map(|vm| vm["instance"].as_str().unwrap()).collect();
        assert!(up.len() <= 1, "one machine: {up:?}");
        up.first().map(|instance| (*instance).to_owned())
    }

    /// What Compute Engine was asked to do, in all zones.
    pub(crate) async fn operations(&self, kind: &str) -> u64 {
        let panel = self.panel().await;
        let (compute, project) = (panel["compute"].as_str().unwrap(), panel["project"].as_str().unwrap());
        let mut count = 0;
        for zone in panel["zones"].as_array().unwrap() {
            let zone = zone.as_str().unwrap();
            let list = self.get(&format!("{compute}projects/{project}/zones/{zone}/operations?maxResults=500")).await;
            assert!(list.get("nextPageToken").is_none(), "one page holds them");
            let items = list["items"].as_array().cloned().unwrap_or_default();
            count += items.iter().filter(|operation| operation["operationType"] == kind).count();
        }
        u64::try_from(count).unwrap()
    }

    pub(crate) async fn function_pid(&self, name: &str) -> Option<u32> {
        let panel = self.panel().await;
        let mut functions = panel["functions"].as_array().unwrap().iter();
        let pid = functions.find(|function| function["name"] == name).unwrap()["pid"].as_u64()?;
        Some(u32::try_from(pid).unwrap())
    }

    /// Kills a function as nothing else can, and waits until another process has taken its place.
    pub(crate) async fn kill(&self, name: &str) {
        let pid = self.until(&format!("{name} lives"), async || self.function_pid(name).await).await;
        self.kill_process(name, pid).await;
    }

    /// The same, at once: its process is known already.
    pub(crate) async fn kill_process(&self, name: &str, pid: u32) {
        signal(pid, Signal::SIGKILL);
        let another = async || self.function_pid(name).await.filter(|now| *now != pid);
        self.until(&format!("{name} lives again"), another).await;
        assert!(!is_alive(pid));
    }

    /// Looks until `probe` finds something.
    pub(crate) async fn until<T>(&self, what: &str, mut probe: impl AsyncFnMut() -> Option<T>) -> T {
        let mut looks = tokio::time::interval(LOOK_EVERY);
        let begun = Instant::now();
        while begun.elapsed() < WAIT_MAX {
            looks.tick().await;
            if let Some(found) = probe().await {
                return found;
            }
        }
        self.fail(&format!("it has not happened that {what}"))
    }

    /// The processes that it has started itself.
    pub(crate) fn companions(&self) -> Vec<u32> {
        children(self.child.id())
    }

    /// SIGTERM, and how it ended.
    pub(crate) fn terminate(&mut self) -> ExitStatus {
        signal(self.child.id(), Signal::SIGTERM);
        self.ended()
    }

    /// How it ended, which it is about to do.
    pub(crate) fn ended(&mut self) -> ExitStatus {
        ended(&mut self.child).unwrap_or_else(|| self.fail("it does not end"))
    }

    /// The line that holds these words, once it is there; the last ones may come after its end.
    pub(crate) async fn until_logged(&self, words: &str) -> String {
        self.until(&format!("it says {words:?}"), async || self.logged(words).pop()).await
    }

    /// The lines that hold these words, as far as they are kept.
    pub(crate) fn logged(&self, words: &str) -> Vec<String> {
        self.log.lock().unwrap().iter().filter(|line| line.contains(words)).cloned().collect()
    }

    /// The page's origin.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// Switches one of the panel's faults.
    pub(crate) async fn fault(&self, fault: Value) {
        let (status, answer) = self.ask(Method::POST, "/local/faults", Some(fault)).await;
        assert_eq!(status, StatusCode::NO_CONTENT, "{answer}");
    }

    fn fail(&self, what: &str) -> ! {
        let log = self.log.lock().unwrap().join("\n");
        panic!("{what}\n--- its log ---\n{log}")
    }
}

impl Drop for World {
    /// Ends the program and all that it has started, whatever has become of the test.
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return;
        }
        let companions = self.companions();
        signal(self.child.id(), Signal::SIGTERM);
        if ended(&mut self.child).is_none() {
            // Too late for anything but force; a process that has ended meanwhile needs none.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        companions.into_iter().filter(|pid| is_alive(*pid)).for_each(|pid| signal(pid, Signal::SIGKILL));
    }
}

/// Sends a signal to one process; one that has ended already needs none.
pub(crate) fn signal(pid: u32, signal: Signal) {
    let _ = kill(Pid::from_raw(i32::try_from(pid).unwrap()), signal);
}

/// How a process ended, if it does in time.
fn ended(child: &mut Child) -> Option<ExitStatus> {
    let begun = Instant::now();
    while begun.elapsed() < ENDS_WITHIN {
        if let Some(status) = child.try_wait().unwrap() {
            return Some(status);
        }
        std::thread::sleep(LOOK_EVERY);
    }
    None
}

/// Keeps the last lines of a stream, and shows each to `see`.
fn keep(stream: impl Read + Send + 'static, log: Arc<Mutex<Vec<String>>>, see: impl Fn(&str) + Send + 'static) {
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            see(&line);
            let mut log = log.lock().unwrap();
            if log.len() == LOG_LINES_MAX {
                log.remove(0);
            }
            log.push(line);
        }
    });
}
