//! The one error type of the HTTP layer: a problem document, and what to log beside it.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use domain::Seconds;
use wire::{PROBLEM_JSON, Problem};

/// Result of a handler.
pub type Result<T, E = ApiError> = std::result::Result<T, E>;

/// A request that is not answered as wished: what the caller is told, and what only the log is.
#[derive(Debug)]
pub struct ApiError {
    status: StatusCode,
    code: &'static str,
    title: &'static str,
    detail: String,
    hint: String,
    retry_after: Option<Seconds>,
    source: Option<anyhow::Error>,
}

impl ApiError {
    /// A refusal with a stable code and a title for people.
    pub fn new(status: StatusCode, code: &'static str, title: &'static str) -> Self {
        Self { status, code, title, detail: String::new(), hint: String::new(), retry_after: None, source: None }
    }

    /// What was wrong about this very request.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = detail.into();
        self
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
        self
    }

    /// When it is worth another try.
    #[must_use]
    pub fn retry_after(mut self, wait: Seconds) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// What went wrong on our side; logged, never told.
    #[must_use]
    pub fn source(mut self, source: impl Into<anyhow::Error>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// A fault of ours or of what we rely on, which another try may mend.
    pub fn unavailable(source: impl Into<anyhow::Error>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "That did not work just now")
            .hint("Try again in a moment; nothing was lost.")
            .retry_after(Seconds(2))
            .source(source)
    }

    /// A request whose shape is wrong.
    pub fn bad_request(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, "The request cannot be understood").detail(detail)
    }

    /// Nobody is signed in.
    pub fn unauthorized(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, code, "Please sign in").detail(detail)
    }

    /// The caller is known, and may not.
    pub fn forbidden(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, code, "Not allowed").detail(detail)
    }

    /// The HTTP status it is answered with.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The stable code it is answered with.
    pub fn code(&self) -> &'static str {
        self.code
    }
}

impl From<anyhow::Error> for ApiError {
    fn from(source: anyhow::Error) -> Self {
        Self::unavailable(source)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        // Logged here, once: nobody below logs what they return.
        if let Some(source) = &self.source {
            tracing::error!(code = self.code, error = format!("{source:#}"), "{}", self.title);
        }
        let problem = Problem {
            kind: "about:blank".to_owned(),
            title: self.title.to_owned(),
            status: self.status.as_u16(),
            code: self.code.to_owned(),
            detail: self.detail,
            hint: self.hint,
        };
        let mut response = (self.status, axum::Json(problem)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(wait) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(wait.0));
        }
        // RFC 9110 §15.5.2: a 401 names a way to be let in. Browsers ask nothing of a person for this one.
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
