use domain::{Seconds, WorkspaceId};

use super::*;

const NOW: Timestamp = Timestamp::from_seconds(1_000_000);
const ORIGIN: &str = "https://comfy.example.com";

fn ticket(id: &str) -> Ticket {
    Ticket {
        id: id.into(),
        workspace: WorkspaceId::parse("main").unwrap(),
        run: 3,
        user: "ada".into(),
        origin: ORIGIN.into(),
        issued_at: NOW,
        expires_at: NOW + Seconds(120),
        session_ends_at: NOW + Seconds::hours(1),
    }
}

fn open(sessions: &Sessions, ticket: &Ticket, now: Timestamp) -> Result<String, NotAdmitted> {
    let secret = SessionSecret::random().unwrap();
    sessions.open(&secret, ticket, ORIGIN, 3, now)?;
    Ok(format!("{SESSION_COOKIE}={}", secret.text()))
}

#[test]
fn a_ticket_lets_in_once() {
    let sessions = Sessions::default();
    assert!(open(&sessions, &ticket("a"), NOW).is_ok());
    let again = open(&sessions, &ticket("a"), NOW + Seconds(1));
    assert_eq!(again.unwrap_err(), NotAdmitted::Refused(TicketRefused::Used));
    assert!(open(&sessions, &ticket("b"), NOW).is_ok());
}

#[test]
fn a_ticket_that_was_refused_is_not_used_up() {
    let sessions = Sessions::default();
    let secret = SessionSecret::random().unwrap();
    let wrong_run = sessions.open(&secret, &ticket("a"), ORIGIN, 4, NOW);
    assert_eq!(wrong_run, Err(NotAdmitted::Refused(TicketRefused::WrongRun)));
    assert!(open(&sessions, &ticket("a"), NOW).is_ok());
}

#[test]
fn a_ticket_is_remembered_as_shown_as_long_as_it_could_be_shown() {
    let sessions = Sessions::default();
    open(&sessions, &ticket("a"), NOW).unwrap();
    open(&sessions, &ticket("b"), NOW + Seconds(119)).unwrap();
    let again = open(&sessions, &ticket("a"), NOW + Seconds(119));
    assert_eq!(again.unwrap_err(), NotAdmitted::Refused(TicketRefused::Used));
    let late = open(&sessions, &ticket("a"), NOW + Seconds(120));
    assert_eq!(late.unwrap_err(), NotAdmitted::Refused(TicketRefused::Expired));
}

#[test]
fn the_cookie_finds_its_session_among_others() {
    let sessions = Sessions::default();
    let cookie = open(&sessions, &ticket("a"), NOW).unwrap();
    open(&sessions, &Ticket { user: "bob".into(), ..ticket("b") }, NOW).unwrap();
    let found = sessions.find(&format!("theme=dark; {cookie}; x=1"), NOW).unwrap();
    assert_eq!(found.user, "ada");
}

#[test]
fn a_cookie_that_is_nearly_right_finds_nothing() {
    let sessions = Sessions::default();
    let cookie = open(&sessions, &ticket("a"), NOW).unwrap();
    let last = if cookie.ends_with('0') { "1" } else { "0" };
    let proof_wrong = format!("{}{last}", &cookie[..cookie.len() - 1]);
    let short = &cookie[..cookie.len() - 1];
    let renamed = cookie.replace(SESSION_COOKIE, "__Host-pilotlight2");
    for wrong in [proof_wrong.as_str(), short, &renamed, "", ";;=;", "__Host-pilotlight=", "__Host-pilotlight"] {
        assert!(sessions.find(wrong, NOW).is_none(), "{wrong}");
    }
    let not_hex = format!("{SESSION_COOKIE}={}", "é".repeat(32));
    assert!(sessions.find(&not_hex, NOW).is_none());
}

#[test]
fn a_session_ends_with_the_sign_in_behind_it_and_cuts_what_is_open() {
    let sessions = Sessions::default();
    let cookie = open(&sessions, &ticket("a"), NOW).unwrap();
    let session = sessions.find(&cookie, NOW + Seconds(3599)).unwrap();
    sessions.end_expired(NOW + Seconds(3599));
    assert!(!session.ended().is_cancelled());
    assert!(sessions.find(&cookie, NOW + Seconds(3600)).is_none(), "even before anybody has swept");
    sessions.end_expired(NOW + Seconds(3600));
    assert!(session.ended().is_cancelled() && sessions.count() == 0);
}

#[test]
fn the_oldest_session_gives_way_when_there_are_too_many() {
    let sessions = Sessions::default();
    let first = open(&sessions, &ticket("first"), NOW).unwrap();
    let second = open(&sessions, &ticket("second"), NOW).unwrap();
    for number in 2..=SESSIONS_MAX {
        open(&sessions, &ticket(&number.to_string()), NOW).unwrap();
    }
    assert!(sessions.find(&first, NOW).is_none() && sessions.find(&second, NOW).is_some());
    assert_eq!(sessions.count(), SESSIONS_MAX);
}

#[test]
fn the_end_of_the_run_ends_all_and_is_told() {
    let sessions = Sessions::default();
    let mut endings = sessions.endings();
    let cookie = open(&sessions, &ticket("a"), NOW).unwrap();
    sessions.end_all();
    assert!(sessions.find(&cookie, NOW).is_none());
    assert!(endings.has_changed().unwrap() && *endings.borrow_and_update() == 1);
    sessions.end_all();
    assert!(!endings.has_changed().unwrap(), "nothing ended");
}
