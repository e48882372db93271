//! A ticket becomes a session: `GET /_enter?ticket=…`. The query is never logged.

use std::time::Duration;

use domain::{RunNumber, Ticket, TicketRefused};
use http::{HeaderValue, Response, StatusCode, header};
use platform::identity::{Expected, TokenRefused};
use wire::TicketClaims;

use crate::body::Reply;
use crate::gateway::Gateway;
use crate::pages::Refusal;
use crate::sessions::{NotAdmitted, SESSION_COOKIE, SessionSecret};

/// The one path that a ticket is shown at.
pub(crate) const PATH: &str = "/_enter";
/// A gateway that has just started learns its run within a heartbeat; whoever comes earlier waits for that.
const RUN_KNOWN_WITHIN: Duration = Duration::from_secs(5);

/// Shows the way in, or why there is none.
pub(crate) async fn enter(gateway: &Gateway, query: Option<&str>) -> Response<Reply> {
    match admit(gateway, query).await {
        Ok(secret) => welcome(gateway, &secret),
        Err(refusal) => {
            tracing::info!(?refusal, "a ticket was refused");
            gateway.pages.refused(refusal)
        }
    }
}

async fn admit(gateway: &Gateway, query: Option<&str>) -> Result<SessionSecret, Refusal> {
    let shown = url::form_urlencoded::parse(query.unwrap_or_default().as_bytes())
        .find_map(|(name, value)| (name == "ticket").then_some(value))
        .ok_or(Refusal::NoTicket)?;
    let ticket = verify(gateway, &shown).await?;
    let run = tokio::time::timeout(RUN_KNOWN_WITHIN, gateway.run()).await.map_err(|_| Refusal::NotYet)?;
    open(gateway, &ticket, run.ok_or(Refusal::RunOver)?)
}

async fn verify(gateway: &Gateway, shown: &str) -> Result<Ticket, Refusal> {
    let config = &gateway.config;
    let issuers = [config.token_issuer.as_str()];
    let expected = Expected { issuers: &issuers, audience: &config.origin, now: gateway.clock.now() };
    let claims = gateway.identity.verify(shown, expected).await.map_err(|refused| match refused {
        TokenRefused::Expired => Refusal::Expired,
        TokenRefused::WrongParty => Refusal::Elsewhere,
        TokenRefused::Malformed | TokenRefused::BadSignature => Refusal::Forged,
        TokenRefused::KeysUnavailable(error) => {
            tracing::warn!(error = format!("{error:#}"), "tickets cannot be checked");
            Refusal::NotYet
        }
    })?;
    let claims: TicketClaims = serde_json::from_value(claims).map_err(|_| Refusal::Forged)?;
    let ticket = claims.ticket().ok_or(Refusal::Forged)?;
    if ticket.workspace == config.workspace { Ok(ticket) } else { Err(Refusal::Elsewhere) }
}

fn open(gateway: &Gateway, ticket: &Ticket, run: RunNumber) -> Result<SessionSecret, Refusal> {
    let secret = SessionSecret::random().map_err(|error| {
        tracing::error!(error = format!("{error:#}"), "no session can be opened");
        Refusal::NotYet
    })?;
    let opened = gateway.sessions.open(&secret, ticket, &gateway.config.origin, run, gateway.clock.now());
    opened.map_err(|refused| match refused {
        NotAdmitted::Refused(TicketRefused::Expired) => Refusal::Expired,
        NotAdmitted::Refused(TicketRefused::Used) => Refusal::Used,
        NotAdmitted::Refused(TicketRefused::WrongRun) => Refusal::RunOver,
        NotAdmitted::Refused(TicketRefused::WrongGateway) => Refusal::Elsewhere,
        NotAdmitted::TooMany => Refusal::NotYet,
    })?;
    tracing::info!(user = ticket.user, run, sessions = gateway.sessions.count(), "a session was opened");
    Ok(secret)
}

/// `Partitioned` because the page that shows us is another site as a rule, and browsers block its cookies otherwise.
fn welcome(gateway: &Gateway, secret: &SessionSecret) -> Response<Reply> {
    let cookie = format!("{SESSION_COOKIE}={}; Path=/; Secure; HttpOnly; SameSite=None; Partitioned", secret.text());
    let Ok(cookie) = HeaderValue::try_from(cookie) else {
        return gateway.pages.refused(Refusal::NotYet);
    };
    let mut response = gateway.pages.empty(StatusCode::SEE_OTHER);
    let headers = response.headers_mut();
    headers.insert(header::SET_COOKIE, cookie);
    headers.insert(header::LOCATION, HeaderValue::from_static("/"));
    response
}
