//! Speaks to the control plane: at intervals that it sets, and at once when there is something to tell.

use std::time::Duration;

use crate::control::{Answer, ControlPlane};
use crate::gateway::Gateway;
use crate::orders::Asked;
use crate::pace::pause;

/// Back-off while the control plane does not answer: doubles from the first to the last, in policy time.
const BACK_OFF_FIRST: Duration = Duration::from_secs(1);
const BACK_OFF_LAST: Duration = Duration::from_secs(30);
/// However fast the policy's clock runs, and however much there is to tell, heartbeats are this far apart. Real time.
const APART_MIN: Duration = Duration::from_millis(250);
/// Times in a row that a reply can ask to speak again at once, as it does when it has named the run.
const AT_ONCE_MAX: u32 = 3;
/// Between two tries to ask whether the machine is taken back, when the metadata server does not know.
const PREEMPTION_ASK_AGAIN: Duration = Duration::from_secs(30);

/// Speaks until the control plane wishes this machine stopped.
pub(crate) async fn speak(gateway: &Gateway, control: &ControlPlane) {
    let mut contact = Contact::default();
    let mut at_once = 0;
    // Ends by a wish; the caller ends it otherwise.
    loop {
        let read = gateway.evidence.read();
        let body = gateway.heartbeat(&read);
        let answer = control.beat(&body, read.now).await;
        contact.note(&answer);
        match answer {
            Ok(Answer::Reply(reply)) => {
                let asked = gateway.take_reply(&reply);
                let orders = gateway.orders();
                if body.run == Some(reply.run) {
                    gateway.evidence.told(read.reading, read.now, orders.stop_announced);
                }
                match asked {
                    Asked::End => return,
                    Asked::SpeakAsRun if at_once < AT_ONCE_MAX => at_once += 1,
                    Asked::SpeakAsRun | Asked::GoOn => {
                        at_once = 0;
                        wait(gateway, orders.next_in.duration()).await;
                    }
                }
            }
            Ok(Answer::WrongRun) => {
                tracing::info!("the run is over; asking which one this is");
                gateway.forget_run();
                contact.back_off(gateway).await;
            }
            Ok(Answer::Refused { .. }) | Err(_) => contact.back_off(gateway).await,
        }
    }
}

/// Waits for the next heartbeat to be due, or for news.
async fn wait(gateway: &Gateway, length: Duration) {
    let news = async {
        tokio::time::sleep(APART_MIN).await;
        gateway.evidence.news().await;
    };
    tokio::select! {
        () = pause(&*gateway.clock, length, APART_MIN) => {}
        () = news => {}
    }
}

/// How it goes with the control plane; said in the log when that changes.
#[derive(Debug, Default)]
struct Contact {
    failures: u32,
    trouble: Option<String>,
}

impl Contact {
    fn note(&mut self, answer: &anyhow::Result<Answer>) {
        let trouble = match answer {
            Ok(Answer::Reply(_)) => None,
            Ok(Answer::WrongRun) => return,
            Ok(Answer::Refused { status, code }) => Some(format!("it refuses our word: {status} {code}")),
            Err(error) => Some(format!("{error:#}")),
        };
        match (&trouble, &self.trouble) {
            (Some(trouble), None) => tracing::warn!(trouble, "the control plane is out of reach"),
            (None, Some(_)) => tracing::info!("the control plane is back"),
            _ => {}
        }
        if trouble.is_none() {
            self.failures = 0;
        }
        self.trouble = trouble;
    }

    async fn back_off(&mut self, gateway: &Gateway) {
        let doubled = BACK_OFF_FIRST.saturating_mul(1 << self.failures.min(16)).min(BACK_OFF_LAST);
        self.failures = self.failures.saturating_add(1);
        tokio::select! {
            () = pause(&*gateway.clock, doubled, APART_MIN) => {}
            () = gateway.evidence.urgent_news() => {}
        }
    }
}

/// Watches whether Google takes the machine back, and says so at once. Never ends.
pub(crate) async fn watch_preemption(gateway: &Gateway, control: &ControlPlane) {
    let mut etag: Option<String> = None;
    // The metadata server holds each question for a minute; the caller ends this.
    loop {
        match control.metadata.preempted(etag.as_deref()).await {
            Ok(value) => {
                if value.text == "TRUE" && gateway.note_preempted() {
                    tracing::warn!("Google takes this machine back");
                }
                let held = value.etag.is_some();
                etag = value.etag;
                if !held {
                    pause(&*gateway.clock, PREEMPTION_ASK_AGAIN, APART_MIN).await;
                }
            }
            Err(error) => {
                tracing::debug!(error = format!("{error:#}"), "whether the machine is taken back is unknown");
                etag = None;
                pause(&*gateway.clock, PREEMPTION_ASK_AGAIN, APART_MIN).await;
            }
        }
        // A server that answers at once, whatever it was asked, must not be asked in a circle.
        tokio::time::sleep(APART_MIN).await;
    }
}
