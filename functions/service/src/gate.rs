//! Who is asking: one check for every way in which a browser or a script presents its token.

use std::sync::Arc;

use axum::extract::{FromRef, FromRequestParts};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, header};
use domain::{Act, Session, SessionRefused};
use platform::clock::Clock;
use platform::identity::{Expected, Identity, TokenRefused};
use platform::signin::SigninStore;
use wire::SessionClaims;

use crate::error::{ApiError, Result};

/// Header in which the page sends its token.
pub const TOKEN_HEADER: &str = "x-auth-token";
/// Cookie in which a token may come instead.
pub const TOKEN_COOKIE: &str = "pilotlight_token";
/// Ours are below 1 KiB; nothing longer is worth a signature check.
const TOKEN_BYTES_MAX: usize = 4096;

/// What the check of a token needs.
#[derive(Clone, Debug)]
pub struct Gate {
    pub identity: Arc<dyn Identity>,
    pub signin: Arc<dyn SigninStore>,
    pub clock: Arc<dyn Clock>,
    /// Issuer of our own tokens.
    pub issuer: String,
    /// Origin of the page, where it is not this service's own.
    pub page_origin: Option<String>,
}

/// Whoever is signed in; handlers that take it are closed to everybody else.
#[derive(Clone, Debug)]
pub struct SignedIn(pub Session);

impl SignedIn {
    /// Refuses whoever's role has no right to `act`.
    ///
    /// # Errors
    /// 403 that names the role.
    pub fn require(&self, act: Act) -> Result<()> {
        if self.0.role.may(act) {
            return Ok(());
        }
        let (not, needed) = match act {
            Act::MoveDisk => ("not move a disk", "admin"),
            Act::Look | Act::Use => ("only look", "user"),
        };
        let detail = format!("{} is signed in as {}, which may {not}.", self.0.user, self.0.role.name());
        Err(ApiError::forbidden("role_may_not", detail).hint(format!("It takes the role `{needed}`: ask the owner.")))
    }
}

impl<S> FromRequestParts<S> for SignedIn
where
    S: Send + Sync,
    Gate: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        Gate::from_ref(state).check(&parts.method, &parts.headers).await.map(SignedIn)
    }
}

impl Gate {
    /// The session behind a request.
    ///
    /// # Errors
    /// 401 when there is none that holds, 403 when another site sent the cookie along, 503 when it cannot be told.
    pub async fn check(&self, method: &Method, headers: &HeaderMap) -> Result<Session> {
        let token = self.token(method, headers)?;
        let expected = Expected { issuers: &[&self.issuer], audience: SessionClaims::AUDIENCE, now: self.clock.now() };
        let claims = self.identity.verify(token, expected).await.map_err(refuse_token)?;
        let session = serde_json::from_value::<SessionClaims>(claims).ok().and_then(|claims| claims.session());
        let session = session.ok_or_else(|| refuse_token(TokenRefused::Malformed))?;
        let revoked = self.signin.is_revoked(&session.id).await?;
        session.check(self.clock.now(), revoked).map_err(refuse_session)?;
        Ok(session)
    }

    fn token<'h>(&self, method: &Method, headers: &'h HeaderMap) -> Result<&'h str> {
        let own = headers.get(TOKEN_HEADER).and_then(|value| value.to_str().ok());
        let token = match own.or(bearer(headers)) {
            Some(token) => token,
            None => {
                let cookie = cookie(headers, TOKEN_COOKIE);
                let token = cookie.ok_or_else(|| {
                    ApiError::unauthorized("not_signed_in", "The request carries no token.")
                        .hint("Sign in at /api/login and send the token as x-auth-token.")
                })?;
                self.require_same_origin(method, headers)?;
                token
            }
        };
        if token.is_empty() || token.len() > TOKEN_BYTES_MAX {
            return Err(refuse_token(TokenRefused::Malformed));
        }
        Ok(token)
    }

    /// A browser sends cookies along for other sites too; what changes something must come from our own page.
    fn require_same_origin(&self, method: &Method, headers: &HeaderMap) -> Result<()> {
        if method.is_safe() {
            return Ok(());
        }
        let Some(origin) = headers.get(header::ORIGIN) else { return Ok(()) };
        let origin = origin.to_str().unwrap_or_default();
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        let authority = origin.split_once("://").map_or("", |(_, authority)| authority);
        let same = !host.is_empty() && authority.eq_ignore_ascii_case(host);
        if same || self.page_origin.as_deref() == Some(origin) {
            return Ok(());
        }
        Err(ApiError::forbidden("cross_site", "The token came as a cookie from a page of another site.")
            .hint("Send it as x-auth-token."))
    }
}

/// The token in `Authorization: Bearer`; the scheme's name in any case (RFC 9110 §11.1).
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// The value of a cookie.
fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|line| line.split(';'))
        .find_map(|pair| {
            let (key, value) = pair.trim().split_once('=')?;
            (key == name).then_some(value)
        })
}

fn refuse_token(refused: TokenRefused) -> ApiError {
    match refused {
        TokenRefused::KeysUnavailable(source) => ApiError::unavailable(source),
        TokenRefused::Expired => refuse_session(SessionRefused::Expired),
        other => ApiError::unauthorized("invalid_token", format!("Refused: {other}.")).hint("Sign in again."),
    }
}

fn refuse_session(refused: SessionRefused) -> ApiError {
    match refused {
        SessionRefused::Expired => ApiError::unauthorized("token_expired", "This sign-in is over."),
        SessionRefused::Revoked => ApiError::unauthorized("token_revoked", "This sign-in was ended by signing out."),
        SessionRefused::Implausible => ApiError::unauthorized("invalid_token", "This sign-in was not issued by us."),
    }
    .hint("Sign in again.")
}
