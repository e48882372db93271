//! The end of a service: what is under way finishes, what never does is left.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use service::{Limits, protect, serve};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::answer::WITHIN;

struct Running {
    address: SocketAddr,
    entered: Arc<Notify>,
    leave: Arc<Notify>,
    end: oneshot::Sender<()>,
    serving: JoinHandle<anyhow::Result<()>>,
}

/// A service whose one handler waits to be let go.
async fn running() -> Running {
    let (entered, leave) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let handler = {
        let (entered, leave) = (Arc::clone(&entered), Arc::clone(&leave));
        move || async move {
            entered.notify_one();
            leave.notified().await;
            "done"
        }
    };
    let router = protect(Router::new().route("/", get(handler)), Limits::default());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (end, ended) = oneshot::channel::<()>();
    let serving = tokio::spawn(serve(listener, router, async {
        let _ = ended.await;
    }));
    Running { address, entered, leave, end, serving }
}

async fn begin(address: SocketAddr) -> TcpStream {
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    socket
}

#[tokio::test]
async fn a_request_under_way_is_finished_and_nobody_new_is_let_in() {
    let running = running().await;
    let mut socket = begin(running.address).await;
    timeout(WITHIN, running.entered.notified()).await.unwrap();
    running.end.send(()).unwrap();
    let closed = async {
        while TcpStream::connect(running.address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    timeout(WITHIN, closed).await.unwrap();
    assert!(!running.serving.is_finished(), "one is still inside");
    running.leave.notify_one();
    let mut answer = String::new();
    timeout(WITHIN, socket.read_to_string(&mut answer)).await.unwrap().unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("done"), "{answer}");
    timeout(WITHIN, running.serving).await.unwrap().unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_request_that_never_ends_does_not_hold_up_the_end() {
    let running = running().await;
    let _socket = begin(running.address).await;
    running.entered.notified().await;
    running.end.send(()).unwrap();
    running.serving.await.unwrap().unwrap();
}
