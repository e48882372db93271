//! The page: when it asks and what it tells, by the rules of `static/controller.js` and `static/presence-logic.js`.

use domain::{Seconds, Timestamp};
use serde_json::Value;

/// One keep-alive in so long (`KEEP_ALIVE_EVERY_MS`).
const KEEP_ALIVE_EVERY: Seconds = Seconds(20);
/// A fresh token for whoever is at work (`REFRESH_EVERY_MS`).
const REFRESH_EVERY: Seconds = Seconds::hours(1);
/// The page bounds what the server says (`POLL_MIN_MS`, `POLL_MAX_MS`).
const POLL_MS: std::ops::RangeInclusive<i64> = 250..=60_000;

/// What the page asks next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Question {
    /// How it stands.
    Look,
    /// The same, and that a person is there.
    KeepAlive,
}

/// A page, open in some browser.
#[derive(Debug, Default)]
pub(crate) struct Page {
    pub(crate) token: String,
    pub(crate) visible: bool,
    /// Somebody moves and types.
    pub(crate) person: bool,
    pub(crate) etag: Option<String>,
    pub(crate) view: Value,
    /// The run that it has a ticket for.
    pub(crate) opened: Option<u64>,
    token_at: Timestamp,
    ask_at: Timestamp,
    told_at: Option<Timestamp>,
    asking: bool,
}

impl Page {
    /// Signed in `now`.
    pub(crate) fn sign_in(&mut self, token: String, now: Timestamp) {
        self.token = token;
        self.token_at = now;
    }

    /// When it asks next, if it does.
    pub(crate) fn next_at(&self) -> Option<Timestamp> {
        if self.asking || !self.visible || self.token.is_empty() {
            return None;
        }
        Some(self.keep_alive_at().map_or(self.ask_at, |at| at.min(self.ask_at)))
    }

    /// Begins to ask.
    pub(crate) fn ask(&mut self, now: Timestamp) -> Question {
        self.asking = true;
        if self.keep_alive_at().is_some_and(|at| at <= now) {
            self.told_at = Some(now);
            return Question::KeepAlive;
        }
        Question::Look
    }

    /// The answer has come; `None` when nothing has changed.
    pub(crate) fn take(&mut self, view: Option<Value>, etag: Option<String>, now: Timestamp) {
        self.asking = false;
        if let Some(view) = view {
            self.view = view;
            self.etag = etag;
        }
        let said = self.view["poll_after_ms"].as_i64().unwrap();
        self.ask_at = Timestamp::from_millis(now.millis() + said.clamp(*POLL_MS.start(), *POLL_MS.end()));
    }

    /// Seen or hidden, with somebody at it or not. Whoever looks again asks at once, and afresh.
    pub(crate) fn set_person(&mut self, visible: bool, person: bool, now: Timestamp) {
        if visible && !self.visible {
            self.ask_at = now;
            self.etag = None;
        }
        self.visible = visible;
        self.person = person;
    }

    /// The run that it must get a ticket for.
    pub(crate) fn wants_ticket(&self) -> Option<u64> {
        let run = self.view["run"].as_u64().filter(|_| self.is_up());
        run.filter(|run| self.opened != Some(*run))
    }

    pub(crate) fn wants_refresh(&self, now: Timestamp) -> bool {
        self.person && now.since(self.token_at) >= REFRESH_EVERY
    }

    fn is_up(&self) -> bool {
        self.view["phase"] == "Ready" || self.view["phase"] == "Draining"
    }

    fn keep_alive_at(&self) -> Option<Timestamp> {
        let wanted = self.person && self.is_up();
        wanted.then(|| self.told_at.map_or(self.ask_at, |told| told + KEEP_ALIVE_EVERY))
    }
}
