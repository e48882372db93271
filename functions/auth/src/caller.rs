//! From which address a request comes, as far as failures are counted by it.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::HeaderMap;
use axum::http::request::Parts;
use service::ApiError;

use crate::app::App;

/// Each proxy adds the address it was called from at the end of this header; what stands before may be invented.
const FORWARDED_FOR: &str = "x-forwarded-for";
/// Where somebody gets one IPv6 address they get a network of these many bits; a failure counts for all of it.
const IPV6_NETWORK_BITS: u32 = 64;

/// Where a request comes from. `None` only where the listener told no address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Caller(Option<IpAddr>);

impl Caller {
    /// Name under which failures from here are counted.
    pub(crate) fn key(self) -> String {
        match self.0 {
            None => "address:unknown".to_owned(),
            Some(IpAddr::V4(address)) => format!("address:{address}"),
            Some(IpAddr::V6(address)) => {
                let network = address.to_bits() & (u128::MAX << (128 - IPV6_NETWORK_BITS));
                format!("address:{}/{IPV6_NETWORK_BITS}", Ipv6Addr::from_bits(network))
            }
        }
    }

    fn of(headers: &HeaderMap, peer: Option<IpAddr>, trusted_proxies: usize) -> Self {
        let address = forwarded(headers, trusted_proxies).or(peer);
        Self(address.map(|address| address.to_canonical()))
    }
}

/// The address that the outermost proxy we trust was called from.
fn forwarded(headers: &HeaderMap, trusted_proxies: usize) -> Option<IpAddr> {
    let back = trusted_proxies.checked_sub(1)?;
    let lines: Vec<&str> =
        headers.get_all(FORWARDED_FOR).iter().map(|line| line.to_str().ok()).collect::<Option<_>>()?;
    let entry = lines.iter().flat_map(|line| line.split(',')).map(str::trim).rev().nth(back)?;
    // Some proxies tell the port too.
    entry.parse().ok().or_else(|| entry.parse::<SocketAddr>().ok().map(|address| address.ip()))
}

impl FromRequestParts<App> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip());
        Ok(Self::of(&parts.headers, peer, app.trusted_proxies))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(lines: &[&str], peer: Option<&str>, trusted_proxies: usize) -> String {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(FORWARDED_FOR, line.parse().unwrap());
        }
        Caller::of(&headers, peer.map(|peer| peer.parse().unwrap()), trusted_proxies).key()
    }

    #[test]
    fn only_what_a_trusted_proxy_added_is_believed() {
        let invented = ["1.1.1.1, 2.2.2.2", "3.3.3.3"];
        assert_eq!(key(&invented, Some("9.9.9.9"), 0), "address:9.9.9.9");
        assert_eq!(key(&invented, Some("9.9.9.9"), 1), "address:3.3.3.3");
        assert_eq!(key(&invented, Some("9.9.9.9"), 2), "address:2.2.2.2");
        assert_eq!(key(&invented, Some("9.9.9.9"), 4), "address:9.9.9.9", "fewer entries than proxies");
        assert_eq!(key(&["4.4.4.4:1234"], None, 1), "address:4.4.4.4");
        assert_eq!(key(&["nonsense"], Some("9.9.9.9"), 1), "address:9.9.9.9");
        assert_eq!(key(&[], None, 1), "address:unknown");
    }

    #[test]
    fn neighbours_in_one_ipv6_network_are_one_caller() {
        let network = key(&[], Some("2001:db8:1:2:aaaa::1"), 0);
        assert_eq!(network, "address:2001:db8:1:2::/64");
        assert_eq!(key(&[], Some("2001:db8:1:2:bbbb::9"), 0), network);
        assert_ne!(key(&[], Some("2001:db8:1:3::1"), 0), network);
        assert_eq!(key(&[], Some("::ffff:1.2.3.4"), 0), "address:1.2.3.4");
    }
}
