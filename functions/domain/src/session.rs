//! Who is signed in, what they may do, and for how long.

use crate::time::{Seconds, Timestamp};

/// A sign-in lasts this long.
pub const SESSION_LIFE: Seconds = Seconds::hours(24);

/// What a person may do, by the role that the list of users gives them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// May look.
    Viewer,
    /// May start, use and stop.
    User,
    /// May do everything.
    Admin,
}

/// Something that needs a right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Act {
    /// See workspaces, phases and costs.
    Look,
    /// Start, stop, extend, keep alive, open.
    Use,
    /// Take the data disk away from an instance that cannot be asked.
    MoveDisk,
}

impl Role {
    /// Whether this role has the right to `act`.
    pub fn may(self, act: Act) -> bool {
        match act {
            Act::Look => true,
            Act::Use => self >= Self::User,
            Act::MoveDisk => self >= Self::Admin,
        }
    }

    /// The role of this name.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "viewer" => Some(Self::Viewer),
            "user" => Some(Self::User),
            "admin" => Some(Self::Admin),
            _ => None,
        }
    }

    /// The name of this role.
    pub fn name(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::User => "user",
            Self::Admin => "admin",
        }
    }
}

/// What a token says, once its signature has been checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Unique; what a logout revokes.
    pub id: String,
    pub user: String,
    pub role: Role,
    pub issued_at: Timestamp,
    pub expires_at: Timestamp,
}

/// Why a token is no session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionRefused {
    Expired,
    /// Issued in the future, or for longer than any sign-in lasts: not by us.
    Implausible,
    Revoked,
}

/// Clocks of the functions may differ by this much.
const SKEW_MAX: Seconds = Seconds(30);

impl Session {
    /// Whether the session holds `now`.
    ///
    /// # Errors
    /// Why it does not.
    pub fn check(&self, now: Timestamp, revoked: bool) -> Result<(), SessionRefused> {
        if now >= self.expires_at {
            return Err(SessionRefused::Expired);
        }
        if self.issued_at > now + SKEW_MAX || self.expires_at > self.issued_at + SESSION_LIFE {
            return Err(SessionRefused::Implausible);
        }
        if revoked { Err(SessionRefused::Revoked) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session() -> Session {
        let issued_at = Timestamp::from_seconds(1_000_000);
        let expires_at = issued_at + SESSION_LIFE;
        Session { id: "j".into(), user: "ada".into(), role: Role::User, issued_at, expires_at }
    }

    #[test]
    fn a_session_ends_at_its_last_moment_and_by_logout() {
        let session = session();
        assert_eq!(session.check(session.issued_at, false), Ok(()));
        assert_eq!(session.check(session.issued_at, true), Err(SessionRefused::Revoked));
        assert_eq!(session.check(session.expires_at, false), Err(SessionRefused::Expired));
    }

    #[test]
    fn a_session_for_longer_than_any_sign_in_was_not_ours() {
        let mut session = session();
        session.expires_at = session.expires_at + Seconds(1);
        assert_eq!(session.check(session.issued_at, false), Err(SessionRefused::Implausible));
    }

    #[test]
    fn a_viewer_looks_and_does_not_touch() {
        assert!(Role::Viewer.may(Act::Look) && !Role::Viewer.may(Act::Use) && Role::User.may(Act::Use));
    }

    #[test]
    fn a_session_from_the_future_was_not_ours_unless_clocks_explain_it() {
        let session = session();
        assert_eq!(session.check(session.issued_at - SKEW_MAX, false), Ok(()));
        let earlier = session.issued_at - SKEW_MAX - Seconds(1);
        assert_eq!(session.check(earlier, false), Err(SessionRefused::Implausible));
    }

    #[test]
    fn a_role_is_known_by_its_own_name_only() {
        for role in [Role::Viewer, Role::User, Role::Admin] {
            assert_eq!(Role::parse(role.name()), Some(role));
        }
        for wrong in ["", "Admin", "root", "user "] {
            assert_eq!(Role::parse(wrong), None, "{wrong:?}");
        }
    }
}
