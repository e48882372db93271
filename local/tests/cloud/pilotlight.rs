//! The program under test, and the hand that uses it.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use reqwest::redirect::Policy;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::processes::{children, is_alive};

pub(crate) const PASSWORD: &str = "correct horse battery staple";
pub(crate) const A: &str = "comfyui-main-a";
pub(crate) const B: &str = "comfyui-main-b";

/// Whatever a test waits for has happened by then, or will not.
const WAIT_MAX: Duration = Duration::from_secs(60);
/// How often a test looks whether it has.
const LOOK_EVERY: Duration = Duration::from_millis(20);
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// From SIGTERM until everything is gone.
const ENDS_WITHIN: Duration = Duration::from_secs(10);
/// Lines of its log that are kept to be shown when a test fails.
const LOG_LINES_MAX: usize = 400;

/// A running program.
pub(crate) struct Pilotlight {
    child: Child,
    /// The page's address, as it is printed.
    pub(crate) base: String,
    token: String,
    http: reqwest::Client,
    log: Arc<Mutex<Vec<String>>>,
}

/// The program with these arguments; Python, which it would ask for the real page, is not to be found.
pub(crate) fn program(args: &[&str]) -> Command {
    program_at(Path::new(env!("CARGO_BIN_EXE_pilotlight")), args)
}

fn program_at(file: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(file);
    command.args(args).env("PATH", "/nonexistent");
    for name in ["RUST_LOG", "FIRESTORE_EMULATOR_HOST", "PUBSUB_EMULATOR_HOST", "CLOUDSDK_ROOT"] {
        command.env_remove(name);
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

impl Pilotlight {
    /// Starts it on a free port, sixty times as fast as life unless `args` say otherwise, and signs in.
    pub(crate) async fn start(args: &[&str]) -> Self {
        Self::start_from(Path::new(env!("CARGO_BIN_EXE_pilotlight")), args).await
    }

    /// The same, from another file.
    pub(crate) async fn start_from(file: &Path, args: &[&str]) -> Self {
        let pace: &[&str] = if args.contains(&"--speed") { &[] } else { &["--speed", "60"] };
        let usual = ["--port", "0", "--password", PASSWORD];
        let mut child = program_at(file, &[&usual, pace, args].concat()).spawn().unwrap();
        let log = Arc::new(Mutex::new(Vec::new()));
        keep(child.stderr.take().unwrap(), Arc::clone(&log), |_| ());
        let (tell, told) = mpsc::channel();
        keep(child.stdout.take().unwrap(), Arc::clone(&log), move |line| {
            if let Some(base) = line.strip_prefix("Pilotlight is at") {
                // Nobody listens once it is known.
                let _ = tell.send(base.trim().to_owned());
            }
        });
        let http =
            reqwest::Client::builder().timeout(ANSWER_WITHIN).no_proxy().redirect(Policy::none()).build().unwrap();
        let mut started = Self { child, base: String::new(), token: String::new(), http, log };
        started.base = told.recv_timeout(WAIT_MAX).unwrap_or_else(|_| started.fail("it tells no address"));
        started.sign_in("admin").await;
        started
    }

    /// From here on it is this user who asks.
    pub(crate) async fn sign_in(&mut self, user: &str) {
        let signed_in = self.post("/api/login", json!({"user": user, "password": PASSWORD})).await;
        assert_eq!(signed_in.status, StatusCode::OK, "{signed_in:?}");
        self.token = signed_in.body["token"].as_str().unwrap().to_owned();
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path)).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(self.request(Method::POST, path).json(&body)).await
    }

    /// A request with the token of whoever is signed in.
    pub(crate) fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let url = if path.starts_with("http") { path.to_owned() } else { format!("{}{path}", self.base) };
        self.http.request(method, url).header("accept", "application/json").header("x-auth-token", &self.token)
    }

    pub(crate) async fn send(&self, request: reqwest::RequestBuilder) -> Answer {
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) => self.fail(&format!("no answer: {error:?}")),
        };
        let (status, headers) = (response.status(), response.headers().clone());
        let text = response.text().await.unwrap_or_default();
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Answer { status, headers, body }
    }

    pub(crate) async fn view(&self) -> Value {
        let answer = self.get("/api/workspaces/main").await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        answer.body
    }

    pub(crate) async fn panel(&self) -> Value {
        self.get("/local").await.body
    }

    /// What the workspace's people were told of this kind, oldest first.
    pub(crate) async fn notices(&self, kind: &str) -> Vec<Value> {
        let panel = self.panel().await;
        let told = panel["notices"].as_array().unwrap().iter().filter(|notice| notice["type"] == kind);
        told.map(|notice| notice["data"].clone()).collect()
    }

    /// The only notice of this kind, once it is there.
    pub(crate) async fn notice(&self, kind: &str) -> Value {
        let told = self.wait(kind, async || Some(self.notices(kind).await).filter(|told| !told.is_empty())).await;
        assert_eq!(told.len(), 1, "{told:?}");
        told[0].clone()
    }

    /// The history, newest run first.
    pub(crate) async fn runs(&self) -> Vec<Value> {
        self.get("/api/workspaces/main/runs").await.body["runs"].as_array().unwrap().clone()
    }

    /// An instance, as Compute Engine describes it.
    pub(crate) async fn described(&self, zone: &str, instance: &str) -> Value {
        let compute = self.panel().await["compute"].as_str().unwrap().to_owned();
        let answer = self.get(&format!("{compute}projects/local/zones/{zone}/instances/{instance}")).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        answer.body
    }

    /// The view, once so many seconds of the policy's clock have passed.
    pub(crate) async fn after(&self, seconds: i64) -> Value {
        let begun = moment(&self.view().await["now"]);
        self.until("time passes", |view| seconds_between(begun, moment(&view["now"])) >= seconds).await
    }

    /// One instance, as the panel shows it.
    pub(crate) async fn vm(&self, instance: &str) -> Value {
        let panel = self.panel().await;
        panel["vms"].as_array().unwrap().iter().find(|vm| vm["instance"] == instance).unwrap().clone()
    }

    /// Names of the instances that are not down.
    pub(crate) async fn up(&self) -> Vec<String> {
        let panel = self.panel().await;
        let up = panel["vms"].as_array().unwrap().iter().filter(|vm| vm["status"] != "TERMINATED");
        up.map(|vm| vm["instance"].as_str().unwrap().to_owned()).collect()
    }

    pub(crate) async fn gateway_pid(&self, instance: &str) -> u32 {
        u32::try_from(self.vm(instance).await["pid"].as_u64().unwrap()).unwrap()
    }

    /// What Compute Engine was asked to do, and did of its own accord, in all zones: kind and instance, oldest first.
    pub(crate) async fn operations(&self, kind: &str) -> Vec<Value> {
        let panel = self.panel().await;
        let mut found = Vec::new();
        for zone in panel["zones"].as_array().unwrap() {
            let (compute, zone) = (panel["compute"].as_str().unwrap(), zone.as_str().unwrap());
            let list = self.get(&format!("{compute}projects/local/zones/{zone}/operations?maxResults=500")).await;
            assert_eq!(list.status, StatusCode::OK, "{list:?}");
            assert!(list.body.get("nextPageToken").is_none(), "one page holds them");
            let items = list.body["items"].as_array().cloned().unwrap_or_default();
            found.extend(items.into_iter().filter(|operation| operation["operationType"] == kind));
        }
        found
    }

    pub(crate) async fn switch(&self, fault: Value) {
        let answer = self.post("/local/faults", fault.clone()).await;
        assert_eq!(answer.status, StatusCode::NO_CONTENT, "{fault}: {answer:?}");
    }

    pub(crate) async fn press(&self, button: &str) -> Answer {
        self.post(&format!("/api/workspaces/main/{button}"), json!({})).await
    }

    /// A person moves the pointer in the page.
    pub(crate) async fn touch(&self) -> Value {
        let body = json!({"visible": true, "interacted_seconds_ago": 0});
        let answer = self.post("/api/workspaces/main/keep-alive", body).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        answer.body
    }

    /// The view, once it is as `wanted` says.
    pub(crate) async fn until(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        self.wait(what, async || Some(self.view().await).filter(|view| wanted(view))).await
    }

    pub(crate) async fn until_phase(&self, phase: &str) -> Value {
        self.until(&format!("it is {phase}"), |view| view["phase"] == phase).await
    }

    /// Start, and everything up to an open ComfyUI.
    pub(crate) async fn ready(&self) -> Value {
        let answer = self.press("start").await;
        assert_eq!(answer.status, StatusCode::ACCEPTED, "{answer:?}");
        self.until_phase("Ready").await
    }

    /// Looks until `probe` finds something.
    pub(crate) async fn wait<T>(&self, what: &str, mut probe: impl AsyncFnMut() -> Option<T>) -> T {
        let mut looks = tokio::time::interval(LOOK_EVERY);
        let begun = Instant::now();
        while begun.elapsed() < WAIT_MAX {
            looks.tick().await;
            if let Some(found) = probe().await {
                return found;
            }
        }
        let view = self.view().await;
        self.fail(&format!("it has not happened that {what}; the workspace: {view:#}"))
    }

    /// SIGTERM, and how it ended.
    pub(crate) fn terminate(&mut self) -> ExitStatus {
        signal(self.child.id(), Signal::SIGTERM);
        match ended(&mut self.child) {
            Some(status) => status,
            None => self.fail("it does not end on SIGTERM"),
        }
    }

    fn fail(&self, what: &str) -> ! {
        let log = self.log.lock().unwrap().join("\n");
        panic!("{what}\n--- its log ---\n{log}")
    }
}

impl Drop for Pilotlight {
    /// Ends the program and the processes of its VMs, whatever has become of the test.
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return;
        }
        let vms = children(self.child.id());
        signal(self.child.id(), Signal::SIGTERM);
        if ended(&mut self.child).is_none() {
            // Too late for anything but force; a process that has ended meanwhile needs none.
            let _ = self.child.kill();
            let _ = self.child.wait();
            vms.into_iter().filter(|pid| is_alive(*pid)).for_each(|pid| signal(pid, Signal::SIGKILL));
        }
    }
}

/// A moment as it is written in an answer.
#[track_caller]
pub(crate) fn moment(value: &Value) -> jiff::Timestamp {
    value.as_str().unwrap_or_else(|| panic!("no moment: {value}")).parse().unwrap()
}

pub(crate) fn seconds_between(earlier: jiff::Timestamp, later: jiff::Timestamp) -> i64 {
    later.duration_since(earlier).as_secs()
}

/// Instance and outcome of each try.
pub(crate) fn walk(view: &Value) -> Vec<(&str, &str)> {
    let tries = view["walk"].as_array().unwrap().iter();
    tries.map(|tried| (tried["instance"].as_str().unwrap(), tried["outcome"].as_str().unwrap())).collect()
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

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) body: Value,
}

impl Answer {
    /// It is a problem document with this status and code.
    #[track_caller]
    pub(crate) fn refused(&self, status: u16, code: &str) {
        assert_eq!((self.status.as_u16(), &self.body["code"]), (status, &json!(code)), "{self:?}");
        assert_eq!(self.headers["content-type"], "application/problem+json");
        assert_eq!(self.body["status"], status);
        assert!(!self.body["title"].as_str().unwrap().is_empty());
        assert!(self.headers.contains_key("x-request-id"), "every answer has a request id");
    }
}
