//! A relay that copies bytes both ways and does nothing else: what a second hop costs, whoever makes it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

const PIECE_BYTES: usize = 256 * 1024;

/// Relays to `target`, with a thread for each direction; where it listens.
pub(crate) fn start(target: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        // As long as the bench lasts.
        for client in listener.incoming() {
            let (client, server) = (client.unwrap(), TcpStream::connect(target).unwrap());
            for stream in [&client, &server] {
                stream.set_nodelay(true).unwrap();
            }
            let (from, to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            std::thread::spawn(move || copy(from, to));
            std::thread::spawn(move || copy(server, client));
        }
    });
    address
}

fn copy(mut from: TcpStream, mut to: TcpStream) {
    let mut piece = vec![0; PIECE_BYTES];
    // Ends with either side.
    while let Ok(read @ 1..) = from.read(&mut piece) {
        if to.write_all(&piece[..read]).is_err() {
            break;
        }
    }
    // Whoever is gone already needs no goodbye.
    let _ = to.shutdown(std::net::Shutdown::Write);
}
