//! A gateway put together as in its own process, and the way in.

use std::net::SocketAddr;
use std::sync::Arc;

use clap::Parser as _;
use domain::{Seconds, Ticket, WorkspaceId};
use gateway::{Config, Deps, NoGpu};
use platform::clock::{Clock, SystemClock};
use platform::identity::jwks::{JwksSources, JwksVerifier};
use platform::identity::keys::{SigningKey, jwks};
use tokio::net::TcpListener;
use wire::TicketClaims;

use crate::client::Client;
use crate::neighbours::{Neighbours, RUN};

const ISSUER: &str = "pilotlight";

/// A client that has entered a new gateway by ticket.
pub(crate) fn enter(neighbours: &Neighbours) -> Client {
    let (key, _) = SigningKey::generate().unwrap();
    let address = start(neighbours.address, &key);
    neighbours.wait_until_ready();
    let ticket = ticket(&key, &format!("http://{address}"));
    let welcome = Client { address, cookie: String::new() }.open().get(&format!("/_enter?ticket={ticket}"));
    assert_eq!(welcome.status, 303);
    let cookie = welcome.field("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    Client { address, cookie }
}

/// The gateway on its own runtime, made as its process makes it.
fn start(neighbours: SocketAddr, key: &SigningKey) -> SocketAddr {
    let keys = JwksSources::none().with_ours(ISSUER, &jwks(std::slice::from_ref(key)));
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let neighbours = format!("http://{neighbours}");
    let given = [
        ("--upstream", neighbours.clone()),
        ("--origin", format!("http://{address}")),
        ("--page-origin", "https://pilotlight.example.com".to_owned()),
        ("--control-url", neighbours.clone()),
        ("--jwks-url", "http://127.0.0.1:9/unused".to_owned()),
        ("--workspace", "main".to_owned()),
        ("--metadata", neighbours),
    ];
    let given = given.into_iter().flat_map(|(name, value)| [name.to_owned(), value]);
    let config = Config::try_parse_from(std::iter::once("gateway".to_owned()).chain(given)).unwrap();
    let deps = Deps { clock: Arc::new(SystemClock), identity: Arc::new(JwksVerifier::new(keys)), gpu: Arc::new(NoGpu) };
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = TcpListener::from_std(listener).unwrap();
            gateway::run(config, deps, listener, std::future::pending()).await.unwrap();
        });
    });
    address
}

fn ticket(key: &SigningKey, origin: &str) -> String {
    let now = SystemClock.now();
    let ticket = Ticket {
        id: "the-only-one".to_owned(),
        workspace: WorkspaceId::parse("main").unwrap(),
        run: RUN,
        user: "ada".into(),
        origin: origin.to_owned(),
        issued_at: now,
        expires_at: now + Seconds(120),
        session_ends_at: now + Seconds::hours(24),
    };
    key.sign(&TicketClaims::of(&ticket, ISSUER)).unwrap()
}
