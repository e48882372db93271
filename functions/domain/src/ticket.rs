//! The ticket: a signed permit, minutes long, to open one run's ComfyUI once.

use crate::decide::Denied;
use crate::record::{Record, RunNumber};
use crate::session::Session;
use crate::time::{Seconds, Timestamp};
use crate::workspace::{Workspace, WorkspaceId};

/// A ticket must be shown within this time; what it opens lasts as long as the session behind it.
pub const TICKET_LIFE: Seconds = Seconds::minutes(2);

/// What a ticket says, once its signature has been checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// Unique; a gateway lets each in once.
    pub id: String,
    pub workspace: WorkspaceId,
    pub run: RunNumber,
    pub user: String,
    /// Origin of the gateway it is for.
    pub origin: String,
    pub issued_at: Timestamp,
    pub expires_at: Timestamp,
    /// End of the sign-in it was given for: what it opens ends then.
    pub session_ends_at: Timestamp,
}

/// Why a gateway lets nobody in on a ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TicketRefused {
    Expired,
    WrongRun,
    WrongGateway,
    /// Shown before.
    Used,
}

impl Ticket {
    /// Grants a ticket for the run that is open.
    ///
    /// # Errors
    /// [`Denied::NotReady`] when none is.
    pub fn grant(
        id: String,
        session: &Session,
        record: &Record,
        workspace: &Workspace,
        now: Timestamp,
    ) -> Result<Self, Denied> {
        let placement = record.placement.as_deref().and_then(|instance| workspace.placement(instance));
        let Some(placement) = placement.filter(|_| record.phase.is_open()) else {
            return Err(Denied::NotReady);
        };
        Ok(Self {
            id,
            workspace: workspace.id.clone(),
            run: record.run,
            user: session.user.clone(),
            origin: placement.origin.clone(),
            issued_at: now,
            expires_at: (now + TICKET_LIFE).min(session.expires_at),
            session_ends_at: session.expires_at,
        })
    }

    /// Whether the gateway at `origin`, serving `run`, lets the bearer in `now`.
    ///
    /// # Errors
    /// Why it does not.
    pub fn admit(&self, origin: &str, run: RunNumber, used: bool, now: Timestamp) -> Result<(), TicketRefused> {
        if now >= self.expires_at {
            return Err(TicketRefused::Expired);
        }
        if self.origin != origin {
            return Err(TicketRefused::WrongGateway);
        }
        if self.run != run {
            return Err(TicketRefused::WrongRun);
        }
        if used { Err(TicketRefused::Used) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calendar::Calendar;
    use crate::cost::MicroUsd;
    use crate::record::Phase;
    use crate::session::{Role, SESSION_LIFE};
    use crate::workspace::{Placement, Policy};

    const NOW: Timestamp = Timestamp::from_seconds(1_000_000);

    fn workspace() -> Workspace {
        let placement = |name: &str| Placement {
            instance: name.to_owned(),
            zone: "zone".to_owned(),
            spot: false,
            machine_type: "g2-standard-4".to_owned(),
            accelerator: String::new(),
            usd_per_hour: MicroUsd(700_000),
            price_date: None,
            origin: format!("https://{name}.example.com"),
        };
        Workspace {
            id: WorkspaceId::parse("main").unwrap(),
            title: String::new(),
            members: None,
            placements: vec![placement("a"), placement("b")],
            disk: None,
            calendar: Calendar::default(),
            policy: Policy::default(),
        }
    }

    fn session() -> Session {
        let issued_at = NOW - Seconds::hours(1);
        let expires_at = issued_at + SESSION_LIFE;
        Session { id: "s".to_owned(), user: "ada".to_owned(), role: Role::User, issued_at, expires_at }
    }

    fn record(phase: Phase) -> Record {
        Record { phase, run: 3, placement: Some("b".to_owned()), ..Record::default() }
    }

    fn grant(record: &Record, session: &Session) -> Result<Ticket, Denied> {
        Ticket::grant("t".to_owned(), session, record, &workspace(), NOW)
    }

    #[test]
    fn a_ticket_is_for_the_run_and_the_gateway_that_are_open() {
        for phase in [Phase::Ready, Phase::Draining] {
            let ticket = grant(&record(phase), &session()).unwrap();
            assert_eq!((ticket.id.as_str(), ticket.workspace.as_str(), ticket.run), ("t", "main", 3));
            assert_eq!((ticket.user.as_str(), ticket.origin.as_str()), ("ada", "https://b.example.com"));
            assert_eq!((ticket.issued_at, ticket.expires_at), (NOW, NOW + TICKET_LIFE));
            assert_eq!(ticket.session_ends_at, session().expires_at);
        }
    }

    #[test]
    fn no_ticket_is_granted_for_a_run_that_is_not_open() {
        for phase in [Phase::Stopped, Phase::Placing, Phase::Booting, Phase::Stopping, Phase::Failed] {
            assert_eq!(grant(&record(phase), &session()), Err(Denied::NotReady), "{phase:?}");
        }
    }

    #[test]
    fn no_ticket_is_granted_for_an_instance_that_is_no_longer_declared() {
        let gone = Record { placement: Some("gone".to_owned()), ..record(Phase::Ready) };
        assert_eq!(grant(&gone, &session()), Err(Denied::NotReady));
    }

    #[test]
    fn a_ticket_never_outlives_the_sign_in_behind_it() {
        let ending = Session { expires_at: NOW + Seconds(20), ..session() };
        let ticket = grant(&record(Phase::Ready), &ending).unwrap();
        assert_eq!((ticket.expires_at, ticket.session_ends_at), (NOW + Seconds(20), NOW + Seconds(20)));
    }

    #[test]
    fn a_gateway_lets_in_whoever_shows_its_own_runs_ticket_in_time_and_for_the_first_time() {
        let ticket = grant(&record(Phase::Ready), &session()).unwrap();
        let (origin, last_moment) = ("https://b.example.com", Timestamp::from_millis(ticket.expires_at.millis() - 1));
        assert_eq!(ticket.admit(origin, 3, false, NOW), Ok(()));
        assert_eq!(ticket.admit(origin, 3, false, last_moment), Ok(()));
        assert_eq!(ticket.admit(origin, 3, false, ticket.expires_at), Err(TicketRefused::Expired));
        assert_eq!(ticket.admit("https://a.example.com", 3, false, NOW), Err(TicketRefused::WrongGateway));
        assert_eq!(ticket.admit(origin, 2, false, NOW), Err(TicketRefused::WrongRun));
        assert_eq!(ticket.admit(origin, 4, false, NOW), Err(TicketRefused::WrongRun));
        assert_eq!(ticket.admit(origin, 3, true, NOW), Err(TicketRefused::Used));
    }
}
