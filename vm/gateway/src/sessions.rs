//! Who has been let in: tickets shown, sessions opened, and their end.
//!
//! ```text
//!  ticket ──admit (once)──► Session ── cookie ──► found at each request
//!                              │
//!                              └── ended: its sign-in is over, the run is over, or too many came after it
//! ```
//!
//! Held in memory only: a gateway that starts anew asks everybody for a new ticket, which their page gets by itself.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use domain::{RunNumber, Ticket, TicketRefused, Timestamp};
use subtle::ConstantTimeEq;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Name of the session's cookie. The prefix makes browsers insist on `Secure`, `Path=/` and no `Domain`.
pub(crate) const SESSION_COOKIE: &str = "__Host-pilotlight";
/// Sessions held; the oldest gives way. A session is a tab that came by ticket.
pub(crate) const SESSIONS_MAX: usize = 256;
/// Tickets remembered as shown. A ticket lives two minutes, and each is a request of a signed-in user.
const USED_TICKETS_MAX: usize = 4096;
/// Cookies of our name that are tried in one request; a browser sends one.
const COOKIES_TRIED_MAX: usize = 4;

/// A session's secret: half of it finds the session, the other half proves it, compared in constant time.
pub(crate) struct SessionSecret([u8; 32]);

impl SessionSecret {
    /// A new one from the machine's own randomness.
    pub(crate) fn random() -> anyhow::Result<Self> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).map_err(|error| anyhow::anyhow!("the machine gives no randomness: {error}"))?;
        Ok(Self(bytes))
    }

    /// As it stands in the cookie.
    pub(crate) fn text(&self) -> String {
        use std::fmt::Write as _;
        self.0.iter().fold(String::with_capacity(64), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    }

    fn parse(text: &str) -> Option<Self> {
        let digits = text.as_bytes();
        if digits.len() != 64 {
            return None;
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let high = char::from(pair[0]).to_digit(16)?;
            let low = char::from(pair[1]).to_digit(16)?;
            *byte = u8::try_from(high * 16 + low).ok()?;
        }
        Some(Self(bytes))
    }

    fn halves(&self) -> ([u8; 16], [u8; 16]) {
        let mut finds = [0; 16];
        let mut proves = [0; 16];
        finds.copy_from_slice(&self.0[..16]);
        proves.copy_from_slice(&self.0[16..]);
        (finds, proves)
    }
}

/// One opened session.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) user: String,
    ends_at: Timestamp,
    ended: CancellationToken,
}

impl Session {
    /// Cancelled when the session is over: whatever is open for it must be cut.
    pub(crate) fn ended(&self) -> &CancellationToken {
        &self.ended
    }
}

/// Why a ticket opened no session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotAdmitted {
    Refused(TicketRefused),
    /// More tickets at once than can be remembered.
    TooMany,
}

/// All sessions of this gateway.
#[derive(Debug)]
pub(crate) struct Sessions {
    held: Mutex<Held>,
    /// Moves whenever a session ends, so that connections can look whether it was theirs.
    endings: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Held {
    open: HashMap<[u8; 16], Entry>,
    opened: u64,
    /// Tickets shown, and when they may be forgotten.
    used: HashMap<String, Timestamp>,
}

#[derive(Debug)]
struct Entry {
    proof: [u8; 16],
    number: u64,
    session: Arc<Session>,
}

impl Default for Sessions {
    fn default() -> Self {
        Self { held: Mutex::default(), endings: watch::Sender::new(0) }
    }
}

impl Sessions {
    /// Opens a session on a ticket whose signature has been checked. The ticket is used up.
    pub(crate) fn open(
        &self,
        secret: &SessionSecret,
        ticket: &Ticket,
        origin: &str,
        run: RunNumber,
        now: Timestamp,
    ) -> Result<(), NotAdmitted> {
        let mut held = self.held();
        let used = held.used.contains_key(&ticket.id);
        ticket.admit(origin, run, used, now).map_err(NotAdmitted::Refused)?;
        if now >= ticket.session_ends_at {
            return Err(NotAdmitted::Refused(TicketRefused::Expired));
        }
        held.used.retain(|_, until| now < *until);
        if held.used.len() >= USED_TICKETS_MAX {
            return Err(NotAdmitted::TooMany);
        }
        held.used.insert(ticket.id.clone(), ticket.expires_at);
        if held.open.len() >= SESSIONS_MAX {
            self.end_oldest(&mut held);
        }
        held.opened += 1;
        let session =
            Session { user: ticket.user.clone(), ends_at: ticket.session_ends_at, ended: CancellationToken::new() };
        let (finds, proof) = secret.halves();
        let entry = Entry { proof, number: held.opened, session: Arc::new(session) };
        held.open.insert(finds, entry);
        Ok(())
    }

    /// The session that a `Cookie` header proves.
    pub(crate) fn find(&self, cookies: &str, now: Timestamp) -> Option<Arc<Session>> {
        cookies
            .split(';')
            .filter_map(|cookie| cookie.trim_start().strip_prefix(SESSION_COOKIE)?.strip_prefix('='))
            .take(COOKIES_TRIED_MAX)
            .find_map(|value| {
                let (finds, proof) = SessionSecret::parse(value.trim_end())?.halves();
                let held = self.held();
                let entry = held.open.get(&finds)?;
                let proven = bool::from(entry.proof.ct_eq(&proof));
                (proven && now < entry.session.ends_at).then(|| Arc::clone(&entry.session))
            })
    }

    /// Ends the sessions whose sign-in is over.
    pub(crate) fn end_expired(&self, now: Timestamp) {
        self.end_where(|session| now >= session.ends_at);
    }

    /// Ends all: the run is over.
    pub(crate) fn end_all(&self) {
        self.end_where(|_| true);
    }

    /// Sessions that are open.
    pub(crate) fn count(&self) -> usize {
        self.held().open.len()
    }

    /// Tells of every ending.
    pub(crate) fn endings(&self) -> watch::Receiver<u64> {
        self.endings.subscribe()
    }

    fn end_where(&self, over: impl Fn(&Session) -> bool) {
        let mut ended = 0;
        self.held().open.retain(|_, entry| {
            if over(&entry.session) {
                entry.session.ended.cancel();
                ended += 1;
                return false;
            }
            true
        });
        if ended > 0 {
            self.endings.send_modify(|endings| *endings += ended);
        }
    }

    fn end_oldest(&self, held: &mut Held) {
        let oldest = held.open.iter().min_by_key(|(_, entry)| entry.number).map(|(finds, _)| *finds);
        if let Some(entry) = oldest.and_then(|finds| held.open.remove(&finds)) {
            entry.session.ended.cancel();
            self.endings.send_modify(|endings| *endings += 1);
        }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        // Nothing in here panics half-way through a change.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[path = "sessions_tests.rs"]
mod tests;
