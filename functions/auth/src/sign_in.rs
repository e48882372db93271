//! One attempt to sign in, from the throttle to the token.
//!
//! ```text
//! throttle ─► turn ─► (waited: throttle again) ─► hash ─┬─ wrong ─► note: account, address ─► 401
//!     └─ 429, no hash                                   └─ right ─► forgive the account ────► token
//! ```

use std::time::Duration;

use axum::http::StatusCode;
use domain::{SESSION_LIFE, Seconds, Session, THROTTLE, Timestamp};
use service::{ApiError, Result};
use tracing::Instrument as _;
use wire::{LoginBody, LoginReply, SessionClaims, UserView};

use crate::app::App;
use crate::caller::Caller;
use crate::password::PASSWORD_BYTES_MAX;
use crate::users::{USER_NAME_BYTES_MAX, User, is_user_name};

/// Who signs in when no user is named.
const DEFAULT_USER: &str = "admin";
/// An attempt is carried through this long, also when whoever made it has gone. Less than a request's own limit.
const ATTEMPT_MAX: Duration = Duration::from_secs(25);

/// What somebody claims to be.
struct Attempt {
    name: String,
    password: String,
    caller: Caller,
}

impl App {
    /// Signs somebody in.
    ///
    /// # Errors
    /// 400 for what cannot be a name or a password, 401 for a wrong one, 429 after too many, 503 when it cannot be told.
    pub(crate) async fn sign_in(&self, body: LoginBody, caller: Caller) -> Result<LoginReply> {
        let attempt = Attempt::new(body, caller)?;
        let app = self.clone();
        // On a task of its own: who hangs up before the answer must not get out of being counted.
        let carried = tokio::spawn(
            tokio::time::timeout(ATTEMPT_MAX, async move { app.attempt(attempt).await }).in_current_span(),
        );
        carried.await.map_err(ApiError::unavailable)?.map_err(ApiError::unavailable)?
    }

    async fn attempt(&self, attempt: Attempt) -> Result<LoginReply> {
        let counted_by = [format!("account:{}", attempt.name), attempt.caller.key()];
        self.require_patience(&counted_by).await?;
        let turn = self.passwords.turn().await?;
        if turn.waited {
            self.require_patience(&counted_by).await?;
        }
        let fits = self.passwords.fits(&turn, self.users.hash(&attempt.name), attempt.password).await?;
        match self.users.find(&attempt.name).filter(|_| fits) {
            Some(user) => {
                self.gate.signin.forgive(&counted_by[0]).await?;
                self.open_session(user)
            }
            None => {
                let (now, store) = (self.gate.clock.now(), &self.gate.signin);
                let [account, address] = &counted_by;
                tokio::try_join!(
                    store.note_failure(account, THROTTLE, now),
                    store.note_failure(address, THROTTLE, now)
                )?;
                Err(ApiError::new(StatusCode::UNAUTHORIZED, "wrong_credentials", "The user or the password is wrong")
                    .hint("Check both and try again."))
            }
        }
    }

    /// Refuses whoever has failed too often of late.
    async fn require_patience(&self, counted_by: &[String; 2]) -> Result<()> {
        let store = &self.gate.signin;
        let (account, address) = tokio::try_join!(store.attempts(&counted_by[0]), store.attempts(&counted_by[1]))?;
        let now = self.gate.clock.now();
        let wait = [account, address].iter().filter_map(|attempts| THROTTLE.retry_after(attempts, now)).max();
        wait.map_or(Ok(()), |wait| Err(self.too_many_attempts(wait)))
    }

    fn too_many_attempts(&self, wait: Seconds) -> ApiError {
        let wait = self.wall_seconds(wait);
        ApiError::new(StatusCode::TOO_MANY_REQUESTS, "too_many_attempts", "Too many failed sign-ins")
            .detail(format!("The next attempt may be made in {wait}."))
            .hint("Wait, then try again; attempts made before are refused unseen, even with the right password.")
            .retry_after(wait)
    }

    /// The caller waits by its own clock, not by the policy's.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "at most the throttle's window"
    )]
    fn wall_seconds(&self, wait: Seconds) -> Seconds {
        Seconds(((wait.0 as f64 / self.gate.clock.rate()).ceil() as u64).max(1))
    }

    /// A new sign-in of `user`, from now on.
    ///
    /// # Errors
    /// When the token cannot be signed: a fault of ours.
    pub(crate) fn open_session(&self, user: &User) -> Result<LoginReply> {
        // A token tells whole seconds; what is answered beside it says the same.
        let issued_at = Timestamp::from_seconds(self.gate.clock.now().seconds());
        let session = Session {
            id: uuid::Uuid::new_v4().to_string(),
            user: user.name.clone(),
            role: user.role,
            issued_at,
            expires_at: issued_at + SESSION_LIFE,
        };
        let token = self.keys.signing().sign(&SessionClaims::of(&session, &self.gate.issuer))?;
        let user = UserView { name: session.user, role: session.role.name().to_owned() };
        Ok(LoginReply { token, expires_at: session.expires_at.into(), user })
    }
}

impl Attempt {
    fn new(body: LoginBody, caller: Caller) -> Result<Self> {
        let name = body.user.unwrap_or_else(|| DEFAULT_USER.to_owned());
        if !is_user_name(&name) {
            let expected = format!("`user` must have 1 to {USER_NAME_BYTES_MAX} bytes and no control characters.");
            return Err(ApiError::bad_request("invalid_body", expected));
        }
        if !(1..=PASSWORD_BYTES_MAX).contains(&body.password.len()) {
            let expected = format!("`password` must have 1 to {PASSWORD_BYTES_MAX} bytes.");
            return Err(ApiError::bad_request("invalid_body", expected));
        }
        Ok(Self { name, password: body.password, caller })
    }
}
