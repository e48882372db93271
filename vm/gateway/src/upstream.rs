//! ComfyUI, as the gateway reaches it.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use serde::Deserialize;
use tokio::time::Instant;

use crate::body::{Progress, READ_AHEAD_MAX, Upload};

/// ComfyUI is on the same machine: what takes longer is not there.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// Idle connections are kept for less than ComfyUI keeps them (75 s), so that it is never it who closes what we use.
const IDLE_CONNECTION_KEPT: Duration = Duration::from_secs(30);
const IDLE_CONNECTIONS_MAX: usize = 64;
/// The answer to a poll comes within this time; while rendering, 0.4 s was the worst that was measured.
const POLL_WITHIN: Duration = Duration::from_secs(5);
/// It has some forty bytes.
const POLL_BYTES_MAX: usize = 64 * 1024;
/// The queue with its graphs. More than is kept, so that what is left out can be counted.
const QUEUE_BYTES_MAX: usize = 2 * crate::queued::BYTES_MAX;
/// Python writes some fifteen megabytes of it a second, where two cores have much else to do.
const QUEUE_WITHIN: Duration = Duration::from_secs(10);
/// ComfyUI looks a prompt through before it takes it, and for files and models that it names.
const SUBMIT_WITHIN: Duration = Duration::from_secs(60);
/// Of what ComfyUI says of a refusal, for the log.
const REASON_CHARS_MAX: usize = 500;

/// A client of ComfyUI, with its connections.
#[derive(Debug)]
pub(crate) struct Upstream {
    client: Client<HttpConnector, Upload>,
    authority: Authority,
}

/// Why ComfyUI gave no answer.
#[derive(Debug)]
pub(crate) enum NoAnswer {
    /// Nobody listens: it is still starting, or has fallen.
    NotThere,
    /// It broke off.
    Broken(hyper_util::client::legacy::Error),
    /// Nothing moved for [`crate::body::SILENCE_MAX`].
    Silent,
}

/// What became of a prompt that was sent.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Submitted {
    Taken,
    /// It is wrong, and will be.
    Refused(String),
    /// It may have been taken or not.
    Unclear(String),
}

#[derive(Deserialize)]
struct Prompt {
    exec_info: ExecInfo,
}

#[derive(Deserialize)]
struct ExecInfo {
    queue_remaining: u64,
}

impl Upstream {
    pub(crate) fn new(authority: Authority) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(CONNECT_WITHIN));
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_CONNECTION_KEPT)
            .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
            .http1_max_buf_size(READ_AHEAD_MAX)
            .build(connector);
        Self { client, authority }
    }

    /// Where `path` is at ComfyUI; `None` for what is no path, such as the `*` of OPTIONS.
    pub(crate) fn uri(&self, path: PathAndQuery) -> Option<Uri> {
        if !path.as_str().starts_with('/') {
            return None;
        }
        Uri::builder().scheme(Scheme::HTTP).authority(self.authority.clone()).path_and_query(path).build().ok()
    }

    /// Sends a request; waits for the head of the answer for as long as something moves.
    pub(crate) async fn send(
        &self,
        request: Request<Upload>,
        progress: Progress,
    ) -> Result<Response<Incoming>, NoAnswer> {
        let mut answer = std::pin::pin!(self.client.request(request));
        // Each further turn is for an upload that has moved meanwhile.
        loop {
            tokio::select! {
                answer = answer.as_mut() => {
                    return answer.map_err(|error| if error.is_connect() { NoAnswer::NotThere } else { NoAnswer::Broken(error) });
                }
                () = tokio::time::sleep_until(progress.given_up_at()) => {
                    if Instant::now() >= progress.given_up_at() {
                        return Err(NoAnswer::Silent);
                    }
                }
            }
        }
    }

    /// Drops the jobs that wait. True when ComfyUI has taken it in.
    pub(crate) async fn drop_waiting_jobs(&self) -> bool {
        self.ask_to("/queue", Upload::whole(r#"{"clear":true}"#)).await
    }

    /// Ends the job that runs, as soon as its present step is over. True when ComfyUI has taken it in.
    pub(crate) async fn interrupt(&self) -> bool {
        self.ask_to("/interrupt", Upload::whole("{}")).await
    }

    async fn ask_to(&self, path: &'static str, body: Upload) -> bool {
        let Some(uri) = self.uri(PathAndQuery::from_static(path)) else { return false };
        let Ok(request) = Request::post(uri).header(CONTENT_TYPE, "application/json").body(body) else { return false };
        let answer = tokio::time::timeout(POLL_WITHIN, self.client.request(request)).await;
        answer.is_ok_and(|answer| answer.is_ok_and(|answer| answer.status().is_success()))
    }

    /// How many jobs run or wait; `None` when ComfyUI does not say.
    pub(crate) async fn queue_remaining(&self) -> Option<u64> {
        let answer = self.get("/prompt", POLL_BYTES_MAX, POLL_WITHIN).await.ok()??;
        Some(serde_json::from_slice::<Prompt>(&answer).ok()?.exec_info.queue_remaining)
    }

    /// The queue with its graphs; `None` when ComfyUI does not say.
    ///
    /// # Errors
    /// When it is longer than anybody reads.
    pub(crate) async fn queue(&self) -> anyhow::Result<Option<Bytes>> {
        let answer = self.get("/queue", QUEUE_BYTES_MAX, QUEUE_WITHIN).await;
        answer.map_err(|TooLong| anyhow::anyhow!("ComfyUI's queue is longer than {QUEUE_BYTES_MAX} bytes"))
    }

    /// Whether ComfyUI has ended a prompt since it runs; `None` when it does not say.
    pub(crate) async fn has_ended(&self, id: &str) -> Option<bool> {
        let mut path = url::Url::parse("http://comfyui/history").ok()?;
        path.path_segments_mut().ok()?.push(id);
        match self.get(path.path(), POLL_BYTES_MAX, POLL_WITHIN).await {
            Ok(answer) => {
                let ended: BTreeMap<String, serde::de::IgnoredAny> = serde_json::from_slice(&answer?).ok()?;
                Some(ended.contains_key(id))
            }
            // What it does not know takes two bytes.
            Err(TooLong) => Some(true),
        }
    }

    /// Puts a prompt into the queue.
    pub(crate) async fn submit(&self, body: String) -> Submitted {
        match tokio::time::timeout(SUBMIT_WITHIN, self.try_to_submit(body)).await {
            Ok(Ok(submitted)) => submitted,
            Ok(Err(error)) => Submitted::Unclear(format!("{error:#}")),
            Err(_) => Submitted::Unclear(format!("no answer within {SUBMIT_WITHIN:?}")),
        }
    }

    async fn try_to_submit(&self, body: String) -> anyhow::Result<Submitted> {
        let uri = self.uri(PathAndQuery::from_static("/prompt")).context("no address")?;
        let request = Request::post(uri).header(CONTENT_TYPE, "application/json").body(Upload::whole(body))?;
        let response = self.client.request(request).await?;
        let status = response.status();
        if status.is_success() {
            return Ok(Submitted::Taken);
        }
        let body = Limited::new(response.into_body(), POLL_BYTES_MAX).collect().await;
        let said = body.map(|body| String::from_utf8_lossy(&body.to_bytes()).into_owned()).unwrap_or_default();
        let reason = format!("{status}: {}", said.chars().take(REASON_CHARS_MAX).collect::<String>());
        let later = matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS);
        Ok(if status.is_client_error() && !later { Submitted::Refused(reason) } else { Submitted::Unclear(reason) })
    }

    async fn get(&self, path: &str, bytes_max: usize, within: Duration) -> Result<Option<Bytes>, TooLong> {
        let request = path.parse().ok().and_then(|path| self.uri(path));
        let Some(Ok(request)) = request.map(|uri| Request::get(uri).body(Upload::none())) else { return Ok(None) };
        let answer = async {
            let Ok(response) = self.client.request(request).await else { return Ok(None) };
            if response.status() != StatusCode::OK {
                return Ok(None);
            }
            match Limited::new(response.into_body(), bytes_max).collect().await {
                Ok(body) => Ok(Some(body.to_bytes())),
                Err(error) if error.is::<LengthLimitError>() => Err(TooLong),
                Err(_) => Ok(None),
            }
        };
        tokio::time::timeout(within, answer).await.unwrap_or(Ok(None))
    }
}

/// An answer that is longer than it may be.
#[derive(Debug)]
struct TooLong;
