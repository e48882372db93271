//! What the gateway itself says to browsers: its few pages, its scripts, and problem documents.
//!
//! Everything is made once at the start. Our own pages run no inline script and load nothing from elsewhere;
//! ComfyUI's answers get only `frame-ancestors`, since its extensions may do as they please within their origin.

use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Response, StatusCode};
use http_body_util::Full;
use serde_json::{Value, json};
use wire::PROBLEM_JSON;

use crate::body::Reply;

/// A person at work is told of this often, in policy seconds; and never more often than the floor, in real ones.
const TELL_EVERY: Duration = Duration::from_secs(30);
/// The script asks this often whether its session lives and whether a stop is announced.
const CHECK_EVERY: Duration = Duration::from_secs(15);
const SCRIPT_EVERY_MIN: Duration = Duration::from_secs(2);
/// When to ask again while ComfyUI starts.
const RETRY_AFTER_SECONDS: &str = "2";

const TEMPLATE: &str = include_str!("pages/page.html");
const BOOT_MAIN: &str = include_str!("pages/boot.html");
const STYLE: &str = include_str!("pages/page.css");
const ACTIVITY_SCRIPT: &str = include_str!("pages/activity.js");
const ENDED_SCRIPT: &str = include_str!("pages/ended.js");
const BOOT_SCRIPT: &str = include_str!("pages/boot.js");
/// Where a script takes its settings from.
const SETTINGS: &str = "__SETTINGS__";

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// Why nobody is let in on a ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    NoTicket,
    Forged,
    Expired,
    Used,
    /// For another gateway, or another workspace.
    Elsewhere,
    /// For a run that is over.
    RunOver,
    /// The gateway does not know enough yet to say.
    NotYet,
}

impl Refusal {
    fn words(self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::NoTicket => (StatusCode::UNAUTHORIZED, "No ticket", "Open ComfyUI from the Pilotlight page."),
            Self::Forged => {
                (StatusCode::UNAUTHORIZED, "This ticket is not valid", "Open ComfyUI from the Pilotlight page.")
            }
            Self::Expired => (
                StatusCode::UNAUTHORIZED,
                "This ticket has expired",
                "A ticket is good for two minutes. The Pilotlight page gets a new one.",
            ),
            Self::Used => (
                StatusCode::UNAUTHORIZED,
                "This ticket has been used",
                "A ticket opens ComfyUI once. The Pilotlight page gets a new one.",
            ),
            Self::Elsewhere => (
                StatusCode::FORBIDDEN,
                "This ticket is for another machine",
                "Open ComfyUI from the Pilotlight page, which knows where it runs.",
            ),
            Self::RunOver => (
                StatusCode::FORBIDDEN,
                "This ticket is for another run",
                "The machine was stopped or started since. The Pilotlight page shows how it is now.",
            ),
            Self::NotYet => (
                StatusCode::SERVICE_UNAVAILABLE,
                "The machine is not ready to let you in",
                "It cannot check tickets at this moment. Trying again in a few seconds is safe.",
            ),
        }
    }
}

/// What is wrong with a request, for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    status: StatusCode,
    code: &'static str,
    title: &'static str,
    hint: &'static str,
}

impl Problem {
    pub(crate) const SESSION_NEEDED: Self = Self {
        status: StatusCode::UNAUTHORIZED,
        code: "session_needed",
        title: "Nobody is signed in here",
        hint: "Open ComfyUI from the Pilotlight page.",
    };
    pub(crate) const FOREIGN: Self = Self {
        status: StatusCode::FORBIDDEN,
        code: "foreign_origin",
        title: "This request comes from another site",
        hint: "Only ComfyUI's own page may send it.",
    };
    pub(crate) const WRONG_METHOD: Self = Self {
        status: StatusCode::METHOD_NOT_ALLOWED,
        code: "wrong_method",
        title: "This path does not know that method",
        hint: "",
    };
    pub(crate) const NOT_FOUND: Self =
        Self { status: StatusCode::NOT_FOUND, code: "not_found", title: "There is no such path", hint: "" };
    pub(crate) const NO_PATH: Self =
        Self { status: StatusCode::BAD_REQUEST, code: "no_path", title: "The request names no path", hint: "" };
    pub(crate) const STARTING: Self = Self {
        status: StatusCode::SERVICE_UNAVAILABLE,
        code: "comfyui_starting",
        title: "ComfyUI does not answer yet",
        hint: "It is being started; ask again in a few seconds.",
    };
    pub(crate) const BROKEN: Self = Self {
        status: StatusCode::BAD_GATEWAY,
        code: "comfyui_broke_off",
        title: "ComfyUI broke off in the middle",
        hint: "It may have fallen and is started again by itself.",
    };
    pub(crate) const SILENT: Self = Self {
        status: StatusCode::GATEWAY_TIMEOUT,
        code: "comfyui_silent",
        title: "ComfyUI took too long to answer",
        hint: "It may still be at work; look at its queue before trying again.",
    };
    pub(crate) const TOO_MANY_SOCKETS: Self = Self {
        status: StatusCode::SERVICE_UNAVAILABLE,
        code: "too_many_sockets",
        title: "Too many tabs are open",
        hint: "Close some and try again.",
    };
}

/// All that the gateway itself says.
#[derive(Debug)]
pub(crate) struct Pages {
    /// For our own pages; ComfyUI's get `frame_ancestors`.
    policy: HeaderValue,
    frame_ancestors: HeaderValue,
    page_origin: String,
    activity_script: Bytes,
    ended_script: Bytes,
    boot_page: Bytes,
    session_needed: Bytes,
}

impl Pages {
    /// Pages that may be shown in a frame of `page_origin`, whose scripts keep time with a clock of this `rate`.
    pub(crate) fn new(page_origin: &str, rate: f64) -> anyhow::Result<Self> {
        let ancestors = format!("frame-ancestors {page_origin}");
        let own = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; \
                   form-action 'none'";
        let every = |length: Duration| {
            let real =
                length.div_f64(rate.max(f64::MIN_POSITIVE)).clamp(SCRIPT_EVERY_MIN, length.max(SCRIPT_EVERY_MIN));
            u64::try_from(real.as_millis()).unwrap_or(u64::MAX)
        };
        let settings = json!({
            "pageOrigin": page_origin,
            "tellEveryMs": every(TELL_EVERY),
            "checkEveryMs": every(CHECK_EVERY),
        });
        let page = |title: &str, main: &str, script: &str| whole_page(title, main, script, page_origin);
        let ended_main = words("Sign in to open ComfyUI", "Your session here is over, or you have not opened one yet.");
        Ok(Self {
            policy: format!("{own}; {ancestors}").parse().context("PAGE_ORIGIN is no origin")?,
            frame_ancestors: ancestors.parse().context("PAGE_ORIGIN is no origin")?,
            page_origin: page_origin.to_owned(),
            activity_script: with_settings(ACTIVITY_SCRIPT, &settings),
            ended_script: with_settings(ENDED_SCRIPT, &settings),
            boot_page: page("ComfyUI is starting", BOOT_MAIN, "boot.js"),
            session_needed: page("Sign in to open ComfyUI", &ended_main, "ended.js"),
        })
    }

    /// What anybody may load, by its name under `/_pilotlight/`.
    pub(crate) fn public(&self, name: &str) -> Option<Response<Reply>> {
        match name {
            "healthz" => Some(self.json(&json!({ "status": "ok" }))),
            "page.css" => {
                Some(self.own(StatusCode::OK, "text/css; charset=utf-8", Bytes::from_static(STYLE.as_bytes())))
            }
            "boot.js" => Some(self.own(StatusCode::OK, SCRIPT, Bytes::from_static(BOOT_SCRIPT.as_bytes()))),
            "ended.js" => Some(self.own(StatusCode::OK, SCRIPT, self.ended_script.clone())),
            _ => None,
        }
    }

    /// The script that is put into ComfyUI's page.
    pub(crate) fn activity_script(&self) -> Response<Reply> {
        self.own(StatusCode::OK, SCRIPT, self.activity_script.clone())
    }

    /// Shown until ComfyUI answers.
    pub(crate) fn boot(&self) -> Response<Reply> {
        let mut response = self.own(StatusCode::SERVICE_UNAVAILABLE, HTML, self.boot_page.clone());
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_SECONDS));
        response
    }

    /// Shown to whoever comes without a session.
    pub(crate) fn session_needed(&self) -> Response<Reply> {
        self.own(StatusCode::UNAUTHORIZED, HTML, self.session_needed.clone())
    }

    /// Shown to whoever comes with a ticket that opens nothing.
    pub(crate) fn refused(&self, refusal: Refusal) -> Response<Reply> {
        let (status, title, text) = refusal.words();
        let page = whole_page(title, &words(title, text), "ended.js", &self.page_origin);
        let mut response = self.own(status, HTML, page);
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_SECONDS));
        }
        response
    }

    /// A problem document.
    pub(crate) fn problem(&self, problem: Problem) -> Response<Reply> {
        let body = wire::Problem {
            kind: "about:blank".into(),
            title: problem.title.into(),
            status: problem.status.as_u16(),
            code: problem.code.into(),
            detail: String::new(),
            hint: problem.hint.into(),
        };
        // Three short texts and a number always make a document.
        let body = serde_json::to_vec(&body).unwrap_or_default();
        let mut response = self.own(problem.status, PROBLEM_JSON, body.into());
        if problem.status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_SECONDS));
        }
        response
    }

    /// A small JSON document.
    pub(crate) fn json(&self, value: &Value) -> Response<Reply> {
        self.own(StatusCode::OK, "application/json", value.to_string().into())
    }

    /// Nothing but a head.
    pub(crate) fn empty(&self, status: StatusCode) -> Response<Reply> {
        let mut response = self.own(status, "text/plain", Bytes::new());
        response.headers_mut().remove(header::CONTENT_TYPE);
        response
    }

    /// Who may show ComfyUI in a frame, as a policy.
    pub(crate) fn frame_ancestors(&self) -> &HeaderValue {
        &self.frame_ancestors
    }

    fn own(&self, status: StatusCode, kind: &'static str, body: Bytes) -> Response<Reply> {
        let mut response = Response::new(Reply::Own(Full::new(body)));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(header::CONTENT_SECURITY_POLICY, self.policy.clone());
        response
    }
}

fn words(title: &str, text: &str) -> String {
    format!("<h1>{title}</h1><p>{text}</p>")
}

/// The texts are our own; the origin has been checked to be one, so nothing needs to be escaped.
fn whole_page(title: &str, main: &str, script: &str, page_origin: &str) -> Bytes {
    TEMPLATE
        .replace("{{title}}", title)
        .replace("{{main}}", main)
        .replace("{{script}}", script)
        .replace("{{page_origin}}", page_origin)
        .into()
}

/// Settings as a JavaScript value: JSON is one, but for what would end a script element if it were ever inlined.
fn with_settings(script: &str, settings: &Value) -> Bytes {
    let settings =
        settings.to_string().replace('<', "\\u003c").replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029");
    script.replacen(SETTINGS, &settings, 1).into()
}

#[cfg(test)]
#[path = "pages_tests.rs"]
mod tests;
