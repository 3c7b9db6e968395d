//! Addresses and networks (CIDR) that a site trusts.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// One network; a single address is a network of one.
///
/// The address has no bits beyond the prefix, and an IPv4 network is never written as a mapped
/// IPv6 one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

impl Network {
    /// Whether an address is in this network. An IPv4 address that arrives mapped into IPv6, as on
    /// a socket that serves both, counts as the IPv4 address.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.address.is_ipv4() && masked(address, self.prefix) == self.address
    }

    /// Whether some address is in both networks.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        self.contains(other.address) || other.contains(self.address)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.prefix == bits(self.address) {
            write!(f, "{}", self.address)
        } else {
            write!(f, "{}/{}", self.address, self.prefix)
        }
    }
}

/// Why a text is no network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadNetwork {
    /// Neither an address nor an address with a prefix.
    #[error("expected an address or a network such as \"10.0.0.1\" or \"10.0.0.0/8\"")]
    Spelling,
    /// The address has bits beyond the prefix, so it is unclear what is meant.
    #[error("the address goes beyond the prefix; the network is written \"{0}\"")]
    BeyondPrefix(Network),
}

impl FromStr for Network {
    type Err = BadNetwork;

    fn from_str(text: &str) -> Result<Self, BadNetwork> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| BadNetwork::Spelling)?;
        let prefix = prefix.map_or(Ok(bits(address)), |prefix| parse_prefix(prefix, address))?;
        let network = unmapped(Self {
            address: masked(address, prefix),
            prefix,
        });
        if masked(address, prefix) == address {
            Ok(network)
        } else {
            Err(BadNetwork::BeyondPrefix(network))
        }
    }
}

/// Several networks; a text of the configuration holds them as a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Networks(pub Vec<Network>);

impl Networks {
    /// Whether an address is in any of them.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(address))
    }

    /// The first pair of networks that share an address.
    #[must_use]
    pub fn first_overlap(&self, others: &Self) -> Option<(Network, Network)> {
        self.0.iter().find_map(|network| {
            let other = others.0.iter().find(|other| network.overlaps(other))?;
            Some((*network, *other))
        })
    }
}

fn parse_prefix(text: &str, address: IpAddr) -> Result<u8, BadNetwork> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit());
    let prefix = text.parse().ok().filter(|_| plain);
    prefix
        .filter(|&prefix| prefix <= bits(address))
        .ok_or(BadNetwork::Spelling)
}

/// How many bits an address of this family has.
const fn bits(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

/// The address without the bits beyond the prefix.
fn masked(address: IpAddr, prefix: u8) -> IpAddr {
    let host_bits = u32::from(bits(address).saturating_sub(prefix));
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(host_bits).unwrap_or(0);
            Ipv4Addr::from_bits(v4.to_bits() & mask).into()
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(host_bits).unwrap_or(0);
            Ipv6Addr::from_bits(v6.to_bits() & mask).into()
        }
    }
}

/// An IPv4 network that was written mapped into IPv6 (`::ffff:10.0.0.0/104`) as IPv4.
fn unmapped(network: Network) -> Network {
    let prefix = network.prefix.checked_sub(96);
    match (network.address.to_canonical(), prefix) {
        (address @ IpAddr::V4(_), Some(prefix)) if network.address.is_ipv6() => {
            Network { address, prefix }
        }
        _ => network,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(text: &str) -> Network {
        text.parse()
            .unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn networks_contain_what_lies_within_their_boundaries() {
        let table = [
            ("10.1.2.3", "10.1.2.3", true),
            ("10.1.2.3", "10.1.2.4", false),
            ("10.0.0.0/8", "10.0.0.0", true),
            ("10.0.0.0/8", "10.255.255.255", true),
            ("10.0.0.0/8", "9.255.255.255", false),
            ("10.0.0.0/8", "11.0.0.0", false),
            ("192.168.4.0/22", "192.168.7.255", true),
            ("192.168.4.0/22", "192.168.8.0", false),
            ("10.0.0.4/31", "10.0.0.5", true),
            ("10.0.0.4/31", "10.0.0.6", false),
            ("0.0.0.0/0", "255.255.255.255", true),
            ("0.0.0.0/0", "::1", false),
            ("10.0.0.0/8", "::ffff:10.9.9.9", true),
            ("::ffff:10.0.0.0/104", "10.9.9.9", true),
            ("::ffff:10.0.0.1", "10.0.0.1", true),
            ("::1", "::1", true),
            ("::1", "127.0.0.1", false),
            ("2001:db8::/32", "2001:db8::", true),
            (
                "2001:db8::/32",
                "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff",
                true,
            ),
            ("2001:db8::/32", "2001:db9::", false),
            ("2001:db7::/32", "2001:db8::", false),
            ("fe80::/10", "febf::1", true),
            ("fe80::/10", "fec0::1", false),
            ("::/0", "ffff::1", true),
            ("::/0", "1.2.3.4", false),
        ];
        for (text, address, inside) in table {
            let address = address.parse().unwrap();
            assert_eq!(
                network(text).contains(address),
                inside,
                "{address} in {text}"
            );
        }
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in [
            "",
            "10.0.0",
            "10.0.0.0/33",
            "10.0.0.0/-1",
            "10.0.0.0/+8",
            "10.0.0.0/",
            "::/129",
            "localhost",
            "10.0.0.0/8/8",
            "10.0.0.0 /8",
            "[::1]",
            "10.0.0.1:80",
        ] {
            assert_eq!(text.parse::<Network>(), Err(BadNetwork::Spelling), "{text}");
        }
        let error = "10.1.2.3/8".parse::<Network>().unwrap_err();
        assert!(error.to_string().contains("\"10.0.0.0/8\""), "{error}");
    }

    #[test]
    fn networks_overlap_where_one_holds_the_other() {
        assert!(network("10.0.0.0/8").overlaps(&network("10.2.0.0/16")));
        assert!(network("10.2.0.0/16").overlaps(&network("10.0.0.0/8")));
        assert!(network("::1").overlaps(&network("::/0")));
        assert!(!network("10.0.0.0/9").overlaps(&network("10.128.0.0/9")));
        assert!(!network("0.0.0.0/0").overlaps(&network("::/0")));
    }
}
