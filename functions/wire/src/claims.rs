//! Claims of the tokens that we sign ourselves (JWT, EdDSA). Times are seconds since 1970.

use domain::{Role, RunNumber, Session, Ticket, Timestamp, WorkspaceId};
use serde::{Deserialize, Serialize};

/// A sign-in. The audience keeps it from being taken for a ticket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionClaims {
    pub iss: String,
    pub aud: String,
    pub sub: String,
    pub jti: String,
    pub iat: i64,
    pub nbf: i64,
    pub exp: i64,
    pub role: String,
}

impl SessionClaims {
    /// Audience of every sign-in.
    pub const AUDIENCE: &'static str = "pilotlight";

    /// The claims of `session`, issued by `issuer`.
    pub fn of(session: &Session, issuer: &str) -> Self {
        let issued = session.issued_at.seconds();
        Self {
            iss: issuer.to_owned(),
            aud: Self::AUDIENCE.to_owned(),
            sub: session.user.clone(),
            jti: session.id.clone(),
            iat: issued,
            nbf: issued,
            exp: session.expires_at.seconds(),
            role: session.role.name().to_owned(),
        }
    }

    /// The session that the claims tell of; `None` when they name a role that we do not know.
    pub fn session(&self) -> Option<Session> {
        Some(Session {
            id: self.jti.clone(),
            user: self.sub.clone(),
            role: Role::parse(&self.role)?,
            issued_at: Timestamp::from_seconds(self.iat),
            expires_at: Timestamp::from_seconds(self.exp),
        })
    }
}

/// Value of a ticket's `use` claim.
pub const TICKET_USE: &str = "ticket";

/// A ticket: its audience is the origin of the gateway it opens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TicketClaims {
    pub iss: String,
    pub aud: String,
    pub sub: String,
    pub jti: String,
    pub iat: i64,
    pub nbf: i64,
    pub exp: i64,
    #[serde(rename = "use")]
    pub purpose: String,
    pub workspace: String,
    pub run: RunNumber,
    /// End of the sign-in behind it.
    pub session_exp: i64,
}

impl TicketClaims {
    /// The claims of `ticket`, issued by `issuer`.
    pub fn of(ticket: &Ticket, issuer: &str) -> Self {
        let issued = ticket.issued_at.seconds();
        Self {
            iss: issuer.to_owned(),
            aud: ticket.origin.clone(),
            sub: ticket.user.clone(),
            jti: ticket.id.clone(),
            iat: issued,
            nbf: issued,
            exp: ticket.expires_at.seconds(),
            purpose: TICKET_USE.to_owned(),
            workspace: ticket.workspace.as_str().to_owned(),
            run: ticket.run,
            session_exp: ticket.session_ends_at.seconds(),
        }
    }

    /// The ticket that the claims tell of; `None` when they are no ticket's.
    pub fn ticket(&self) -> Option<Ticket> {
        if self.purpose != TICKET_USE {
            return None;
        }
        Some(Ticket {
            id: self.jti.clone(),
            workspace: WorkspaceId::parse(&self.workspace).ok()?,
            run: self.run,
            user: self.sub.clone(),
            origin: self.aud.clone(),
            issued_at: Timestamp::from_seconds(self.iat),
            expires_at: Timestamp::from_seconds(self.exp),
            session_ends_at: Timestamp::from_seconds(self.session_exp),
        })
    }
}
