//! How a sign-in begins, is asked about, goes on and ends, over HTTP.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, Method, StatusCode, header};
use axum::response::IntoResponse;
use service::{ApiError, Body, Result, SignedIn};
use wire::{LoginBody, LoginReply, Problem, SessionReply, UserView};

use crate::app::App;
use crate::caller::Caller;

/// Nobody keeps a token or who it belongs to on the way.
const NO_STORE: [(HeaderName, &str); 1] = [(header::CACHE_CONTROL, "no-store")];

/// Signs in with user and password.
#[utoipa::path(post, path = "/api/login", tag = "sign-in", request_body = LoginBody, responses(
    (status = 200, description = "Signed in for 24 hours", body = LoginReply),
    (status = 400, description = "The body cannot be understood", body = Problem, content_type = "application/problem+json"),
    (status = 401, description = "Wrong user or password", body = Problem, content_type = "application/problem+json"),
    (status = 429, description = "Too many failures; see Retry-After", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "Too busy just now; see Retry-After", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn login(
    State(app): State<App>,
    caller: Caller,
    Body(body): Body<LoginBody>,
) -> Result<impl IntoResponse> {
    let reply = app.sign_in(body, caller).await?;
    Ok((NO_STORE, Json(reply)))
}

/// Ends this sign-in: its token is good no more.
#[utoipa::path(post, path = "/api/logout", tag = "sign-in",
    security(("header" = []), ("bearer" = []), ("cookie" = [])), responses(
    (status = 204, description = "Signed out, or the sign-in was over already"),
    (status = 401, description = "No token of ours", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn logout(State(app): State<App>, method: Method, headers: HeaderMap) -> Result<StatusCode> {
    match app.gate.check(&method, &headers).await {
        Ok(session) => app.gate.signin.revoke(&session.id, session.expires_at).await?,
        // Signed out twice is signed out.
        Err(over) if ["token_expired", "token_revoked"].contains(&over.code()) => (),
        Err(refused) => return Err(refused),
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Who is signed in, and until when.
#[utoipa::path(get, path = "/api/session", tag = "sign-in",
    security(("header" = []), ("bearer" = []), ("cookie" = [])), responses(
    (status = 200, description = "Signed in", body = SessionReply),
    (status = 401, description = "Not signed in", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn session(SignedIn(session): SignedIn) -> impl IntoResponse {
    let user = UserView { name: session.user, role: session.role.name().to_owned() };
    (NO_STORE, Json(SessionReply { user, expires_at: session.expires_at.into() }))
}

/// A new token for 24 hours in place of the one sent, which is good no more.
#[utoipa::path(post, path = "/api/session/refresh", tag = "sign-in",
    security(("header" = []), ("bearer" = []), ("cookie" = [])), responses(
    (status = 200, description = "Signed in for another 24 hours", body = LoginReply),
    (status = 401, description = "Not signed in", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn refresh(State(app): State<App>, SignedIn(old): SignedIn) -> Result<impl IntoResponse> {
    // By the list as it is now: who was taken off it, or given another role, gets no more of what was.
    let user = app.users.find(&old.user).ok_or_else(|| {
        ApiError::unauthorized("user_unknown", format!("{} is no longer on the list of users.", old.user))
            .hint("Ask the owner.")
    })?;
    let reply = app.open_session(user)?;
    app.gate.signin.revoke(&old.id, old.expires_at).await?;
    Ok((NO_STORE, Json(reply)))
}
