//! Lifecycle, as the machine speaks to it.

use std::time::Duration;

use anyhow::Context;
use domain::Timestamp;
use reqwest::StatusCode;
use url::Url;
use wire::{HeartbeatBody, HeartbeatReply, Problem};

use crate::config::Config;
use crate::metadata::{Metadata, bounded};

/// A function that scales from zero answers within a second or two.
const ANSWER_WITHIN: Duration = Duration::from_secs(15);
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
const REPLY_BYTES_MAX: usize = 64 * 1024;
/// Code of the problem that lifecycle answers to a heartbeat of a run that is over.
const WRONG_RUN: &str = "wrong_run";

/// A client of lifecycle.
#[derive(Debug)]
pub(crate) struct ControlPlane {
    http: reqwest::Client,
    heartbeat: Url,
    audience: String,
    pub(crate) metadata: Metadata,
}

/// What lifecycle said to a heartbeat.
#[derive(Debug)]
pub(crate) enum Answer {
    Reply(HeartbeatReply),
    /// The run that was named is over; there is another.
    WrongRun,
    /// It does not take our word: not this machine, or not now.
    Refused {
        status: u16,
        code: String,
    },
}

impl ControlPlane {
    pub(crate) fn new(config: &Config) -> anyhow::Result<Self> {
        // The machine reaches both directly; a proxy named in the environment is meant for others.
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_WITHIN)
            .timeout(ANSWER_WITHIN)
            .build()
            .context("making the HTTP client")?;
        let mut heartbeat = config.control_url.clone();
        let path = format!("{}/vm/heartbeat", heartbeat.path().trim_end_matches('/'));
        heartbeat.set_path(&path);
        Ok(Self {
            metadata: Metadata::new(http.clone(), config.metadata.clone()),
            http,
            heartbeat,
            audience: config.audience().to_owned(),
        })
    }

    /// Tells lifecycle how the machine is.
    ///
    /// # Errors
    /// When no answer could be had.
    pub(crate) async fn beat(&self, body: &HeartbeatBody, now: Timestamp) -> anyhow::Result<Answer> {
        let token = self.metadata.identity_token(&self.audience, now).await?;
        let request = self.http.post(self.heartbeat.clone()).bearer_auth(token).json(body);
        let response = request.send().await.context("sending a heartbeat")?;
        let status = response.status();
        let bytes = bounded(response, REPLY_BYTES_MAX).await.context("reading the reply to a heartbeat")?;
        if status.is_success() {
            let reply = serde_json::from_slice(&bytes).context("the reply to a heartbeat is none")?;
            return Ok(Answer::Reply(reply));
        }
        if status == StatusCode::UNAUTHORIZED {
            self.metadata.forget_token();
        }
        let code = serde_json::from_slice::<Problem>(&bytes).map(|problem| problem.code).unwrap_or_default();
        if status == StatusCode::CONFLICT && code == WRONG_RUN {
            return Ok(Answer::WrongRun);
        }
        Ok(Answer::Refused { status: status.as_u16(), code })
    }
}
