//! A wire to a gRPC server that can be cut between a request's being carried out and its answer.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;

/// The type of the HTTP/2 frame with which an answer begins (RFC 9113, section 6.2).
const HEADERS: u8 = 1;

/// Passes everything on, both ways, until it is told to lose an answer.
pub(crate) struct CutWire {
    address: SocketAddr,
    cut: Arc<AtomicBool>,
    server: AbortHandle,
}

impl CutWire {
    /// A wire to `target`.
    pub(crate) async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let cut = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&cut);
        let server = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let told = Arc::clone(&told);
                tokio::spawn(async move { carry(client, target, &told).await });
            }
        });
        Self { address, cut, server: server.abort_handle() }
    }

    /// Where it begins.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Loses the next answer, and the connection with it; once.
    pub(crate) fn cut_at_next_answer(&self) {
        self.cut.store(true, Ordering::SeqCst);
    }

    /// Whether that has happened.
    pub(crate) fn was_cut(&self) -> bool {
        !self.cut.load(Ordering::SeqCst)
    }
}

impl Drop for CutWire {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn carry(client: TcpStream, target: SocketAddr, cut: &AtomicBool) -> io::Result<()> {
    let (mut from_client, to_client) = client.into_split();
    let (from_server, mut to_server) = TcpStream::connect(target).await?.into_split();
    // Whichever ends first ends the connection, because both halves are dropped with it.
    tokio::select! {
        there = tokio::io::copy(&mut from_client, &mut to_server) => there.map(drop),
        back = answers(from_server, to_client, cut) => back,
    }
}

async fn answers(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, cut: &AtomicBool) -> io::Result<()> {
    loop {
        // Nine bytes head a frame: its length in three, its type, its flags, its stream.
        let mut frame = vec![0; 9];
        from.read_exact(&mut frame).await?;
        if frame[3] == HEADERS && cut.swap(false, Ordering::SeqCst) {
            return Ok(());
        }
        let length = usize::from(frame[0]) << 16 | usize::from(frame[1]) << 8 | usize::from(frame[2]);
        frame.resize(9 + length, 0);
        from.read_exact(&mut frame[9..]).await?;
        to.write_all(&frame).await?;
    }
}
