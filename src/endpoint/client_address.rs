//! Which address a request comes from.

use std::net::IpAddr;

use http::HeaderMap;
use ipnet::IpNet;

/// The address of the client: of who is connected, or what trusted proxies say of it in `X-Forwarded-For`, read from
/// the right as far as they are trusted. What stands further left, anybody can have written (P12).
#[must_use]
pub fn client_address(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let is_trusted = |address: &IpAddr| trusted.iter().any(|network| network.contains(address));
    let mut client = peer.to_canonical();
    if !is_trusted(&client) {
        return client;
    }
    let hops = headers
        .get_all("x-forwarded-for")
        .iter()
        .rev()
        .flat_map(|value| value.to_str().unwrap_or("?").rsplit(','));
    for hop in hops {
        let Some(address) = parse_hop(hop.trim()) else {
            break;
        };
        client = address.to_canonical();
        if !is_trusted(&client) {
            break;
        }
    }
    client
}

/// An address, perhaps with a port, as some proxies write it.
fn parse_hop(hop: &str) -> Option<IpAddr> {
    hop.parse()
        .or_else(|_| {
            hop.parse()
                .map(|with_port: std::net::SocketAddr| with_port.ip())
        })
        .ok()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn only_trusted_proxies_are_believed() {
        let trusted: Vec<IpNet> = ["10.0.0.0/8", "fd00::/8"]
            .map(|network| network.parse().unwrap())
            .into();
        for (peer, forwarded, expected) in [
            ("203.0.113.9", &["198.51.100.1"][..], "203.0.113.9"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &["198.51.100.1"], "198.51.100.1"),
            ("::ffff:10.0.0.1", &["198.51.100.1"], "198.51.100.1"),
            ("fd00::1", &["2001:db8::7"], "2001:db8::7"),
            ("10.0.0.1", &["6.6.6.6, 198.51.100.1"], "198.51.100.1"),
            (
                "10.0.0.1",
                &["6.6.6.6, 198.51.100.1, 10.9.9.9"],
                "198.51.100.1",
            ),
            (
                "10.0.0.1",
                &["6.6.6.6", "198.51.100.1,10.9.9.9"],
                "198.51.100.1",
            ),
            ("10.0.0.1", &["10.1.1.1 , 10.2.2.2"], "10.1.1.1"),
            ("10.0.0.1", &["6.6.6.6, garbage"], "10.0.0.1"),
            ("10.0.0.1", &["6.6.6.6, , 10.2.2.2"], "10.2.2.2"),
            ("10.0.0.1", &["\u{e4}"], "10.0.0.1"),
            ("10.0.0.1", &[""], "10.0.0.1"),
            ("10.0.0.1", &["198.51.100.1:4711"], "198.51.100.1"),
            ("10.0.0.1", &["[2001:db8::7]:4711"], "2001:db8::7"),
            ("10.0.0.1", &["unknown"], "10.0.0.1"),
        ] {
            let mut headers = HeaderMap::new();
            for value in forwarded {
                let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
                headers.append("x-forwarded-for", value);
            }
            let found = client_address(address(peer), &headers, &trusted);
            assert_eq!(found, address(expected), "{peer} {forwarded:?}");
            let nobody = client_address(address(peer), &headers, &[]);
            assert_eq!(nobody, address(peer).to_canonical(), "{peer} {forwarded:?}");
        }
    }
}
