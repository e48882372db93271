//! Asks the control plane as a page does, and writes down what it was answered.

use std::sync::Arc;
use std::time::Duration;

use platform::clock::Clock;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use wire::{WorkspaceView, WorkspacesReply};

use crate::history::{Answered, Ask, History, Millis, RunSeen, Unanswered, View, What};

/// Real time in which a request is answered, or is not: one waits while its function is being started.
const ANSWER_WITHIN: Duration = Duration::from_secs(25);
/// Runs on one page of the history.
const RUNS_PER_PAGE: usize = 100;

/// Whoever is signed in.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    pub(crate) http: reqwest::Client,
    /// `http://127.0.0.1:PORT`
    pub(crate) url: String,
    pub(crate) token: String,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) history: History,
}

impl Client {
    pub(crate) fn now(&self) -> Millis {
        self.clock.now().millis()
    }

    /// Asks one thing; the answer, if it is a good one. What was asked is written down also where nobody waits any more.
    pub(crate) async fn ask(&self, who: &str, workspace: &str, ask: Ask) -> Option<View> {
        let (client, who, workspace) = (self.clone(), who.to_owned(), workspace.to_owned());
        tokio::spawn(async move { client.ask_through(&who, &workspace, ask).await }).await.unwrap()
    }

    async fn ask_through(&self, who: &str, workspace: &str, ask: Ask) -> Option<View> {
        let sent = self.now();
        let (method, verb, body) = self.request(&ask);
        let path = format!("/api/workspaces/{workspace}{verb}");
        let answer = self.send(method, &path, body).await;
        let what = match answer.and_then(|answer| Ok(serde_json::from_value::<WorkspaceView>(answer)?)) {
            Ok(view) => {
                let (workspace, who, view) = (workspace.to_owned(), who.to_owned(), View::of(&view));
                What::Answered(Answered { workspace, who, ask, sent, view })
            }
            Err(why) => {
                let (workspace, who, why) = (workspace.to_owned(), who.to_owned(), why.to_string());
                What::Unanswered(Unanswered { workspace, who, ask, sent, why })
            }
        };
        let view = if let What::Answered(answered) = &what { Some(answered.view.clone()) } else { None };
        self.history.note(self.now(), what);
        view
    }

    fn request(&self, ask: &Ask) -> (Method, &'static str, Option<Value>) {
        match ask {
            Ask::Look => (Method::GET, "", None),
            Ask::Start => (Method::POST, "/start", Some(json!({}))),
            Ask::Stop => (Method::POST, "/stop", Some(json!({}))),
            Ask::Extend { by } => (Method::POST, "/extend", Some(json!({"minutes": by / 60_000}))),
            Ask::KeepAlive { input_ago } => {
                // A browser counts seconds of its own clock.
                #[expect(clippy::cast_precision_loss, reason = "minutes at most")]
                let ago = input_ago.map(|ago| ago as f64 / 1000.0 / self.clock.rate());
                (Method::POST, "/keep-alive", Some(json!({"visible": true, "interacted_seconds_ago": ago})))
            }
        }
    }

    /// Looks at all workspaces at once.
    pub(crate) async fn look_at_all(&self, who: &str) -> Option<Vec<WorkspaceView>> {
        let sent = self.now();
        let answer = self.send(Method::GET, "/api/workspaces", None).await.ok()?;
        let all = serde_json::from_value::<WorkspacesReply>(answer).ok()?.workspaces;
        for view in &all {
            let (workspace, who, ask, view) = (view.id.clone(), who.to_owned(), Ask::Look, View::of(view));
            self.history.note(self.now(), What::Answered(Answered { workspace, who, ask, sent, view }));
        }
        Some(all)
    }

    /// All runs of a workspace, the newest first.
    pub(crate) async fn runs(&self, workspace: &str) -> anyhow::Result<Vec<RunSeen>> {
        let mut all: Vec<RunSeen> = Vec::new();
        // Ends with a page that is not full.
        loop {
            let before = all.last().map(|run| format!("&before={}", run.run)).unwrap_or_default();
            let path = format!("/api/workspaces/{workspace}/runs?limit={RUNS_PER_PAGE}{before}");
            let mut answer = self.send(Method::GET, &path, None).await?;
            let page: Vec<RunSeen> = serde_json::from_value(answer["runs"].take())?;
            let full = page.len() == RUNS_PER_PAGE;
            all.extend(page);
            if !full {
                return Ok(all);
            }
        }
    }

    async fn send(&self, method: Method, path: &str, body: Option<Value>) -> anyhow::Result<Value> {
        let mut request = self.http.request(method, format!("{}{path}", self.url)).timeout(ANSWER_WITHIN);
        request = request.header("x-auth-token", &self.token);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await?;
        let status = answer.status();
        let body: Value = answer.json().await?;
        let well = matches!(status, StatusCode::OK | StatusCode::ACCEPTED);
        anyhow::ensure!(well, "{status} {}", body["code"].as_str().unwrap_or_default());
        Ok(body)
    }
}
