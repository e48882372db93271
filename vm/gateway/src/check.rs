//! Questions that somebody who looks after the machine asks: does the control plane take its word, does the GPU tell.
//!
//! Each answers in a line, and whether all is well. No token is ever in it.

use domain::Timestamp;
use wire::{HeartbeatBody, ReadingBody};

use crate::config::Config;
use crate::control::{Answer, ControlPlane};

/// What was found, in a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub well: bool,
    pub words: String,
}

impl Finding {
    fn good(words: String) -> Self {
        Self { well: true, words }
    }

    fn bad(words: String) -> Self {
        Self { well: false, words }
    }
}

/// Asks lifecycle, with this machine's own identity, which run this is. That changes nothing: a heartbeat that names no
/// run is a question only.
pub async fn check_control(config: &Config, now: Timestamp) -> Finding {
    let control = match ControlPlane::new(config) {
        Ok(control) => control,
        Err(error) => return Finding::bad(format!("lifecycle cannot be asked: {error:#}")),
    };
    let question = HeartbeatBody {
        workspace: config.workspace.as_str().to_owned(),
        run: None,
        comfyui_up: false,
        reading: ReadingBody::Unknown,
        boot: None,
        preempted: false,
        kept_prompts: None,
    };
    match control.beat(&question, now).await {
        Ok(Answer::Reply(reply)) => Finding::good(format!(
            "lifecycle answers 200: wish {}, phase {}, run {}",
            reply.wish, reply.phase, reply.run
        )),
        Ok(Answer::WrongRun) => Finding::bad("lifecycle refuses this machine's word: 409 wrong_run".to_owned()),
        Ok(Answer::Refused { status, code }) => {
            Finding::bad(format!("lifecycle refuses this machine's word: {status} {code}").trim_end().to_owned())
        }
        Err(error) => Finding::bad(format!("lifecycle gives no answer: {error:#}")),
    }
}

/// Reads how busy the GPU is, once.
pub fn check_gpu(library: &str) -> Finding {
    match crate::Nvml::new(library).read() {
        Ok(percent) => Finding::good(format!("the busiest GPU is at {percent} %")),
        Err(why) => Finding::bad(format!("how busy the GPU is cannot be read: {why}")),
    }
}
