//! WebSockets through the gateway.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use platform::clock::ManualClock;
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::client::Response;
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::control_plane::{Says, reply};
use crate::world::{NOW, SOON, World, ready, ready_with, while_time_passes};

pub(crate) type Socket = WebSocketStream<TcpStream>;

pub(crate) async fn connect(world: &World, cookie: &str, origin: Option<&str>) -> Result<(Socket, Response), Error> {
    let address = world.origin.strip_prefix("http://").unwrap();
    let mut request = format!("ws://{address}/ws?clientId=1").into_client_request()?;
    let headers = request.headers_mut();
    headers.insert("sec-websocket-extensions", "permessage-deflate".parse().unwrap());
    if !cookie.is_empty() {
        headers.insert("cookie", cookie.parse().unwrap());
    }
    if let Some(origin) = origin {
        headers.insert("origin", origin.parse().unwrap());
    }
    let stream = TcpStream::connect(address).await.unwrap();
    tokio_tungstenite::client_async(request, stream).await
}

pub(crate) async fn open(world: &World, cookie: &str) -> Socket {
    let (mut socket, _) = connect(world, cookie, Some(&world.origin)).await.unwrap();
    assert_eq!(next(&mut socket).await, "hello from ComfyUI");
    socket
}

async fn next(socket: &mut Socket) -> String {
    let message = tokio::time::timeout(SOON, socket.next()).await.unwrap().unwrap().unwrap();
    message.into_text().unwrap().to_string()
}

#[tokio::test]
async fn messages_go_both_ways() {
    let world = ready().await;
    let cookie = world.enter().await;
    let mut socket = open(&world, &cookie).await;
    for text in ["short".to_owned(), "long ".repeat(100_000)] {
        socket.send(Message::Text(text.clone().into())).await.unwrap();
        assert!(next(&mut socket).await == text, "what was said comes back");
    }
    socket.send(Message::Binary(vec![7; 300_000].into())).await.unwrap();
    let message = tokio::time::timeout(SOON, socket.next()).await.unwrap().unwrap().unwrap();
    assert_eq!(message.into_data().len(), 300_000);
}

#[tokio::test]
async fn the_handshake_follows_the_header_rules() {
    let world = ready().await;
    let cookie = world.enter().await;
    let (_socket, response) = connect(&world, &cookie, Some(&world.origin)).await.unwrap();
    assert!(response.headers().contains_key("sec-websocket-accept"));
    assert!(response.headers().get("sec-websocket-extensions").is_none());
    let seen = world.comfyui.socket_headers.lock().unwrap().clone();
    for name in ["origin", "cookie", "sec-websocket-extensions"] {
        assert!(seen.get(name).is_none(), "{name}");
    }
    assert_eq!(seen["host"], world.comfyui.address.to_string());
}

#[tokio::test]
async fn a_socket_needs_a_session_and_our_own_origin() {
    let world = ready().await;
    let cookie = world.enter().await;
    let cases = [
        ("", Some(world.origin.as_str()), 401),
        (&cookie, Some("https://evil.example"), 403),
        (&cookie, Some("null"), 403),
    ];
    for (cookie, origin, status) in cases {
        let Err(Error::Http(refused)) = connect(&world, cookie, origin).await else { panic!("let in") };
        assert_eq!(refused.status(), status);
    }
    assert!(connect(&world, &cookie, None).await.is_ok(), "no browser, but it has the cookie");
}

#[tokio::test]
async fn a_close_from_one_side_reaches_the_other() {
    let world = ready().await;
    let cookie = world.enter().await;
    let mut socket = open(&world, &cookie).await;
    socket.close(None).await.unwrap();
    let mut closed = world.comfyui.closed.clone();
    tokio::time::timeout(SOON, closed.wait_for(|closed| *closed == 1)).await.unwrap().unwrap();
    let rest = tokio::time::timeout(SOON, socket.next()).await.unwrap();
    assert!(matches!(rest, None | Some(Ok(Message::Close(_)))), "{rest:?}");
}

/// What the browser sees when its socket is cut: an end without a goodbye.
fn is_cut(end: Option<&Result<Message, Error>>) -> bool {
    matches!(end, None | Some(Err(_)))
}

#[tokio::test]
async fn sockets_are_cut_when_the_sign_in_behind_them_ends_and_others_stay() {
    let clock = ManualClock::at(NOW);
    let world = ready_with(World::manual_clock(&clock)).await;
    let short = world.enter_until(NOW + domain::Seconds(60)).await;
    let long = world.enter().await;
    let (mut first, mut second) = (open(&world, &short).await, open(&world, &long).await);
    let end = while_time_passes(&clock, Duration::from_secs(5), first.next()).await;
    assert!(is_cut(end.as_ref()), "{end:?}");
    let mut closed = world.comfyui.closed.clone();
    tokio::time::timeout(SOON, closed.wait_for(|closed| *closed == 1)).await.unwrap().unwrap();
    second.send(Message::Text("still here".into())).await.unwrap();
    assert_eq!(next(&mut second).await, "still here");
}

#[tokio::test]
async fn sockets_are_cut_when_the_run_ends() {
    let clock = ManualClock::at(NOW);
    let world = ready_with(World::manual_clock(&clock)).await;
    let cookie = world.enter().await;
    let mut socket = open(&world, &cookie).await;
    world.control.says(Says::Reply(reply(3, "Stopped")));
    let end = while_time_passes(&clock, Duration::from_secs(5), socket.next()).await;
    assert!(is_cut(end.as_ref()), "{end:?}");
}
