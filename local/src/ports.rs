//! Ports of loopback that nobody else is given.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};

use anyhow::Context;
use tokio::net::TcpSocket;

/// Ports that stay ours while this lives, although nothing listens on them yet.
///
/// Each is bound by a socket that never listens. A process of a VM that binds the same port, as every listener here does
/// with `SO_REUSEADDR`, gets it; the kernel gives it to nobody who asks for any port; and while the VM is off,
/// connections are refused.
#[derive(Debug)]
pub struct HeldPorts {
    sockets: Vec<(String, TcpSocket)>,
}

impl HeldPorts {
    /// A port for each name.
    pub fn hold(names: &[String]) -> anyhow::Result<Self> {
        let sockets = names.iter().map(|name| Ok((name.clone(), hold_one().context("looking for a free port")?)));
        Ok(Self { sockets: sockets.collect::<anyhow::Result<_>>()? })
    }

    /// Which port each name has.
    pub fn ports(&self) -> anyhow::Result<HashMap<String, u16>> {
        self.sockets.iter().map(|(name, socket)| Ok((name.clone(), socket.local_addr()?.port()))).collect()
    }
}

fn hold_one() -> std::io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::{TcpListener, TcpStream};

    #[tokio::test]
    async fn a_held_port_refuses_until_its_process_listens_and_again_after() {
        let held = HeldPorts::hold(&["vm".to_owned()]).unwrap();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, held.ports().unwrap()["vm"]));
        assert!(TcpStream::connect(address).await.is_err());
        let listener = TcpListener::bind(address).await.unwrap();
        assert!(TcpStream::connect(address).await.is_ok());
        drop(listener);
        assert!(TcpStream::connect(address).await.is_err());
        assert!(TcpListener::bind(address).await.is_ok(), "the next boot gets it again");
    }

    #[tokio::test]
    async fn a_held_port_is_given_to_nobody_else() {
        let held = HeldPorts::hold(&(0..50).map(|n| n.to_string()).collect::<Vec<_>>()).unwrap();
        let ports = held.ports().unwrap();
        let mut others = Vec::new();
        for _ in 0..500 {
            others.push(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap());
        }
        let taken = others.iter().map(|other| other.local_addr().unwrap().port());
        assert!(taken.into_iter().all(|port| !ports.values().any(|held| *held == port)));
    }
}
