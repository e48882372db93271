//! ComfyUI, as the gateway reaches it.

use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Limited};
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
        let uri = self.uri(PathAndQuery::from_static("/prompt"))?;
        let request = Request::get(uri).body(Upload::none()).ok()?;
        let answer = async {
            let response = self.client.request(request).await.ok()?;
            if response.status() != StatusCode::OK {
                return None;
            }
            let body: Bytes = Limited::new(response.into_body(), POLL_BYTES_MAX).collect().await.ok()?.to_bytes();
            serde_json::from_slice::<Prompt>(&body).ok()
        };
        let prompt = tokio::time::timeout(POLL_WITHIN, answer).await.ok().flatten()?;
        Some(prompt.exec_info.queue_remaining)
    }
}
