//! A wire to a gRPC server that loses an answer: it is cut between a request's being carried out and its answer, or
//! stays open and carries no answer any more.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;

/// The type of the HTTP/2 frame with which an answer begins (RFC 9113, section 6.2).
const HEADERS: u8 = 1;

/// Nothing.
const FAULTLESS: u8 = 0;
/// The connection is cut.
const CUT: u8 = 1;
/// The connection stays, and carries nothing back from then on.
const SWALLOW: u8 = 2;

/// Passes everything on, both ways, until it is told to lose an answer.
pub(crate) struct CutWire {
    address: SocketAddr,
    /// What befalls the next answer.
    fault: Arc<AtomicU8>,
    server: AbortHandle,
}

impl CutWire {
    /// A wire to `target`.
    pub(crate) async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let fault = Arc::new(AtomicU8::new(FAULTLESS));
        let told = Arc::clone(&fault);
        let server = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let told = Arc::clone(&told);
                tokio::spawn(async move { carry(client, target, &told).await });
            }
        });
        Self { address, fault, server: server.abort_handle() }
    }

    /// Where it begins.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Loses the next answer, and the connection with it; once.
    pub(crate) fn cut_at_next_answer(&self) {
        self.fault.store(CUT, Ordering::SeqCst);
    }

    /// Loses the next answer and all that would follow on the same connection, without a word; one connection.
    pub(crate) fn swallow_from_next_answer(&self) {
        self.fault.store(SWALLOW, Ordering::SeqCst);
    }

    /// Whether what was asked for has happened.
    pub(crate) fn has_struck(&self) -> bool {
        self.fault.load(Ordering::SeqCst) == FAULTLESS
    }
}

impl Drop for CutWire {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn carry(client: TcpStream, target: SocketAddr, fault: &AtomicU8) -> io::Result<()> {
    let (mut from_client, to_client) = client.into_split();
    let (from_server, mut to_server) = TcpStream::connect(target).await?.into_split();
    // Whichever ends first ends the connection, because both halves are dropped with it.
    tokio::select! {
        there = tokio::io::copy(&mut from_client, &mut to_server) => there.map(drop),
        back = answers(from_server, to_client, fault) => back,
    }
}

async fn answers(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, fault: &AtomicU8) -> io::Result<()> {
    loop {
        // Nine bytes head a frame: its length in three, its type, its flags, its stream.
        let mut frame = vec![0; 9];
        from.read_exact(&mut frame).await?;
        if frame[3] == HEADERS {
            match fault.swap(FAULTLESS, Ordering::SeqCst) {
                CUT => return Ok(()),
                SWALLOW => return tokio::io::copy(&mut from, &mut tokio::io::sink()).await.map(drop),
                _ => {}
            }
        }
        let length = usize::from(frame[0]) << 16 | usize::from(frame[1]) << 8 | usize::from(frame[2]);
        frame.resize(9 + length, 0);
        from.read_exact(&mut frame[9..]).await?;
        to.write_all(&frame).await?;
    }
}
