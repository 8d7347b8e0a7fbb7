//! Which addresses belong to everybody: only these may be connected to for a stranger's sake.
//!
//! The registries of IANA that RFC 6890 founded. Whatever is special there is refused, even the few pieces that can be
//! reached from everywhere: nobody's web site stands on them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};

/// Whether `address` is one of the public internet's, for one machine, in no special use.
pub(super) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

/// Whether a host of this name can be a public one. It only spares questions to the resolver: what counts is where the
/// name leads.
pub(super) fn is_public_name(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    let below = |parent: &str| {
        let rest = lower.strip_suffix(parent);
        rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    };
    // A last dot would make another name of it for whoever compares, but the same one for the resolver.
    lower.contains('.') && !lower.ends_with('.') && !PRIVATE_NAMES.into_iter().any(below)
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    !SPECIAL_V4.iter().any(|net| net.contains(&address))
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    // A translator makes an IPv4 connection of it (RFC 6052), and resolvers behind one answer with it (RFC 6147).
    if NAT64.contains(&address) {
        let [.., a, b, c, d] = address.octets();
        return is_public_v4(Ipv4Addr::new(a, b, c, d));
    }
    GLOBAL_UNICAST.contains(&address)
        && !SPECIAL_V6.iter().any(|net| net.contains(&address))
        && !is_isatap(address)
}

/// An interface identifier of ISATAP (RFC 5214 §6.1): the last four bytes are an IPv4 address of the site.
fn is_isatap(address: Ipv6Addr) -> bool {
    let [_, _, _, _, universal, marker, _, _] = address.segments();
    matches!(universal, 0 | 0x0200) && marker == 0x5efe
}

const fn v4(a: u8, b: u8, c: u8, length: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, 0), length)
}

const fn v6(a: u16, b: u16, c: u16, length: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0), length)
}

/// Names whose hosts are never public: this machine, multicast DNS (RFC 6762), private use, home networks (RFC 8375).
const PRIVATE_NAMES: [&str; 4] = ["localhost", "local", "internal", "home.arpa"];

const SPECIAL_V4: [Ipv4Net; 19] = [
    v4(0, 0, 0, 8),       // "this network"
    v4(10, 0, 0, 8),      // private use
    v4(100, 64, 0, 10),   // shared address space of carriers; metadata of Alibaba
    v4(127, 0, 0, 8),     // loopback
    v4(169, 254, 0, 16),  // link-local; metadata of most clouds
    v4(172, 16, 0, 12),   // private use
    v4(192, 0, 0, 24),    // protocol assignments; metadata of Oracle
    v4(192, 0, 2, 24),    // documentation
    v4(192, 31, 196, 24), // AS112
    v4(192, 52, 193, 24), // AMT
    v4(192, 88, 99, 24),  // relays of 6to4
    v4(192, 168, 0, 16),  // private use
    v4(192, 175, 48, 24), // AS112
    v4(198, 18, 0, 15),   // benchmarking
    v4(198, 51, 100, 24), // documentation
    v4(203, 0, 113, 24),  // documentation
    v4(224, 0, 0, 4),     // multicast
    v4(240, 0, 0, 4),     // reserved, and broadcast
    // In no registry: the host of a machine in Azure, which listens to that machine only.
    Ipv4Net::new_assert(Ipv4Addr::new(168, 63, 129, 16), 32),
];

/// The prefix of translators that everybody knows. Where a site gives its translator a prefix of its own, it looks like any
/// other address.
const NAT64: Ipv6Net = v6(0x64, 0xff9b, 0, 96);

/// All that is for one machine in the whole internet. Outside of it lie `::`, `::1`, IPv4 in IPv6, the local prefix of
/// translators (`64:ff9b:1::/48`), discard-only (`100::/64`), segment routing (`5f00::/16`), unique local, link-local,
/// site-local and multicast.
const GLOBAL_UNICAST: Ipv6Net = v6(0x2000, 0, 0, 3);

const SPECIAL_V6: [Ipv6Net; 5] = [
    v6(0x2001, 0, 0, 23), // protocol assignments: Teredo, benchmarking, ORCHID, AMT, AS112
    v6(0x2001, 0xdb8, 0, 32), // documentation
    v6(0x2002, 0, 0, 16), // 6to4
    v6(0x2620, 0x4f, 0x8000, 48), // AS112
    v6(0x3fff, 0, 0, 20), // documentation
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PUBLIC: &str = "
        1.0.0.0 1.1.1.1 8.8.8.8 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.255.255.255 128.0.0.0
        140.82.121.4 168.63.129.15 168.63.129.17 169.253.255.255 169.255.0.0 172.15.255.255 172.32.0.0 191.255.255.255
        192.0.1.0 192.0.1.255 192.0.3.0 192.31.195.255 192.31.197.0 192.52.192.255 192.52.194.0 192.88.98.255
        192.88.100.0 192.167.255.255 192.169.0.0 192.175.47.255 192.175.49.0 198.17.255.255 198.20.0.0
        198.51.99.255 198.51.101.0 203.0.112.255 203.0.114.0 223.255.255.255
        2000:: 2001:200:: 2001:4860:4860::8888 2001:db7:ffff::1 2001:db9:: 2003:: 2606:4700::1111 2620:4f:7fff:: 2620:4f:8001::
        2a00:1450::200e 2a00::5eff:7f00:1 2a00::5efe 2a00:5efe:7f00:1:: 3ffe:ffff:: 3fff:1000:: 3fff:ffff::
        64:ff9b::808:808 64:ff9b::140.82.121.4
    ";

    const SPECIAL: &str = "
        0.0.0.0 0.0.0.1 0.255.255.255 10.0.0.0 10.0.0.1 10.255.255.255 100.64.0.0 100.100.100.200 100.127.255.255
        127.0.0.0 127.0.0.1 127.255.255.255 168.63.129.16 169.254.0.0 169.254.169.254 169.254.255.255
        172.16.0.0 172.17.0.1 172.31.255.255 192.0.0.0 192.0.0.8 192.0.0.9 192.0.0.170 192.0.0.192 192.0.0.255
        192.0.2.0 192.0.2.255 192.31.196.0 192.31.196.255 192.52.193.0 192.52.193.255 192.88.99.1 192.88.99.255
        192.168.0.0 192.168.1.1 192.168.255.255 192.175.48.1 192.175.48.255 198.18.0.0 198.19.255.255 198.51.100.0 198.51.100.255
        203.0.113.0 203.0.113.255 224.0.0.0 224.0.0.251 239.255.255.255 240.0.0.0 255.255.255.254 255.255.255.255
        :: ::1 ::2 ::7f00:1 ::10.0.0.1 ::8.8.8.8 ::ffff:127.0.0.1 ::ffff:10.0.0.1 ::ffff:169.254.169.254 ::ffff:8.8.8.8
        ::ffff:0:127.0.0.1 ::ffff:0:8.8.8.8 64:ff9a::808:808 64:ff9b::a00:1 64:ff9b::127.0.0.1 64:ff9b::169.254.169.254
        64:ff9b::0.0.0.0 64:ff9b:0:0:0:1:808:808 64:ff9b:1:: 64:ff9b:1::808:808 64:ff9b:1:ffff:ffff:ffff:ffff:ffff 100:: 100::1 100:0:0:1::
        200:: 1000:: 1fff:ffff:: 2001:: 2001:0:a00:1:: 2001:0:4136:e378:8000:63bf:80ff:fffe 2001:1::1 2001:2:: 2001:3::
        2001:4:112:: 2001:10:: 2001:20:: 2001:30:: 2001:1ff:ffff:: 2001:db8:: 2001:db8:ffff::1 2002:: 2002:7f00:1:: 2002:a00:1::1
        2002:808:808:: 2002:ffff:: 2620:4f:8000:: 2620:4f:8000:ffff::1 3fff:: 3fff:fff:ffff::1
        2a00::5efe:7f00:1 2a00:1:2:3:0:5efe:a00:1 2a00:1:2:3:200:5efe:a00:1 2606:4700::5efe:8.8.8.8
        4000:: 5f00:: 5f00:ffff::1 8000:: fc00:: fc00::1 fd00:ec2::254 fd20:ce::254 fdff:ffff:: fe00:: fe80:: fe80::1 fe80::a9fe:a9fe
        febf:ffff::1 fec0:: fec0::1 feff:ffff::1 ff00:: ff02::1 ff0e::1 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff
    ";

    /// CLI-04, C1
    #[test]
    fn only_addresses_in_no_special_use_are_public() {
        for (addresses, public) in [(PUBLIC, true), (SPECIAL, false)] {
            let addresses: Vec<&str> = addresses.split_whitespace().collect();
            assert!(addresses.len() > 50, "{}", addresses.len());
            for address in addresses {
                assert_eq!(is_public(address.parse().unwrap()), public, "{address}");
            }
        }
    }

    /// CLI-04, CLI-06
    #[test]
    fn names_of_this_machine_and_this_network_are_not_public() {
        for (name, public) in [
            ("example.com", true),
            ("a.b.example.com", true),
            ("localhost.example.com", true),
            ("notlocal.example", true),
            ("my-internal.example", true),
            ("arpa.home.example", true),
            ("xn--bcher-kva.example", true),
            ("example.mylocal", true),
            ("", false),
            (".", false),
            ("com", false),
            ("localhost", false),
            ("LOCALHOST", false),
            ("localhost.", false),
            ("a.localhost", false),
            ("a.b.LocalHost", false),
            ("printer.local", false),
            ("metadata.google.internal", false),
            ("router.home.arpa", false),
            ("home.arpa", false),
            ("example.com.", false),
            ("example.com..", false),
        ] {
            assert_eq!(is_public_name(name), public, "{name}");
        }
    }

    fn private() -> impl Strategy<Value = Ipv4Addr> {
        let any_of = |net: &Ipv4Net| {
            let (first, last) = (u32::from(net.network()), u32::from(net.broadcast()));
            (first..=last).prop_map(Ipv4Addr::from).boxed()
        };
        proptest::strategy::Union::new(SPECIAL_V4.iter().map(any_of))
    }

    proptest! {
        /// CLI-04, C1
        #[test]
        fn whatever_embeds_an_address_that_is_not_public_is_refused(
            private in private(), prefix in 0x2000_u16..0x4000, rest: [u16; 3], low: [u16; 5],
        ) {
            prop_assert!(!is_public(private.into()));
            let [a, b, c, d] = private.octets();
            let (high, end) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
            let [x, y, z] = rest;
            let [l, m, n, o, p] = low;
            for embedding in [
                private.to_ipv6_mapped(),
                private.to_ipv6_compatible(),
                Ipv6Addr::new(0, 0, 0, 0, 0xffff, 0, high, end),
                Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, end),
                Ipv6Addr::new(0x64, 0xff9b, 1, l, m, n, high, end),
                Ipv6Addr::new(0x2002, high, end, l, m, n, o, p),
                // Teredo: the server in clear, the client with its bits turned
                Ipv6Addr::new(0x2001, 0, high, end, l, m, n, o),
                Ipv6Addr::new(0x2001, 0, x, y, l, m, !high, !end),
                Ipv6Addr::new(prefix, x, y, z, 0, 0x5efe, high, end),
                Ipv6Addr::new(prefix, x, y, z, 0x0200, 0x5efe, high, end),
                Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0x5efe, high, end),
            ] {
                prop_assert!(!is_public(embedding.into()), "{embedding}");
            }
        }

        /// CLI-04
        #[test]
        fn every_address_outside_of_global_unicast_is_refused(bits: u128) {
            let address = Ipv6Addr::from(bits);
            let global = bits >> 125 == 1;
            prop_assert!(global || NAT64.contains(&address) || !is_public(address.into()), "{address}");
        }
    }
}
