//! Which addresses calls to others may reach, wherever their names lead.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Which addresses calls to one peer may reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reach {
    /// This machine itself.
    pub loopback: bool,
    /// Networks that only an organisation itself reaches (RFC 1918, RFC 4193, RFC 6598). Many have
    /// their provider there.
    pub private: bool,
}

/// Where machines in a cloud are told about themselves, besides the link-local address: nobody's
/// provider or webhook, and worth a lot to whoever makes another machine ask there.
const OF_CLOUDS: [IpAddr; 3] = [
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
];

impl Reach {
    /// Whether an address may be called. What only this machine or its link can reach never is.
    #[must_use]
    pub fn permits(self, address: IpAddr) -> bool {
        let address = behind_translation(address.to_canonical());
        if OF_CLOUDS.contains(&address) {
            return false;
        }
        match address {
            IpAddr::V4(v4) => self.permits_v4(v4),
            IpAddr::V6(v6) => self.permits_v6(v6),
        }
    }

    const fn permits_v4(self, address: Ipv4Addr) -> bool {
        let [first, second, ..] = address.octets();
        if address.is_loopback() {
            return self.loopback;
        }
        // Behind an operator's translation (RFC 6598).
        let shared = first == 100 && second & 0xc0 == 64;
        if address.is_private() || shared {
            return self.private;
        }
        first != 0 && !address.is_link_local() && !address.is_multicast() && !address.is_broadcast()
    }

    const fn permits_v6(self, address: Ipv6Addr) -> bool {
        if address.is_loopback() {
            return self.loopback;
        }
        // Site-local addresses are the forerunners of unique local ones.
        let site_local = address.segments()[0] & 0xffc0 == 0xfec0;
        if address.is_unique_local() || site_local {
            return self.private;
        }
        !address.is_unspecified() && !address.is_unicast_link_local() && !address.is_multicast()
    }
}

/// The IPv4 address that a translator would call for one of its IPv6 addresses (RFC 6052).
fn behind_translation(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(v6) if v6.segments()[..6] == [0x64, 0xff9b, 0, 0, 0, 0] => {
            let [.., a, b, c, d] = v6.octets();
            IpAddr::V4(Ipv4Addr::new(a, b, c, d))
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_called_depends_on_where_it_lies() {
        let public = [
            "192.0.2.1",
            "8.8.8.8",
            "100.128.0.1",
            "2001:db8::1",
            "64:ff9b::8.8.8.8",
        ];
        let private = [
            "10.1.2.3",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "100.64.0.1",
            "100.127.255.255",
            "fc00::1",
            "fd12::1",
            "fec0::1",
            "::ffff:10.0.0.1",
            "64:ff9b::192.168.0.1",
        ];
        let loopback = [
            "127.0.0.1",
            "127.9.9.9",
            "::1",
            "::ffff:127.0.0.1",
            "64:ff9b::127.0.0.1",
        ];
        let never = [
            "169.254.169.254",
            "::ffff:169.254.169.254",
            "64:ff9b::169.254.169.254",
            "0.0.0.0",
            "0.1.2.3",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "fe80::1",
            "febf::1",
            "ff02::1",
            "100.100.100.200",
            "168.63.129.16",
            "fd00:ec2::254",
        ];
        let all = [(false, false), (true, false), (false, true), (true, true)];
        for (loop_, priv_) in all {
            let reach = Reach {
                loopback: loop_,
                private: priv_,
            };
            let table = [
                (public.as_slice(), true),
                (private.as_slice(), priv_),
                (loopback.as_slice(), loop_),
                (never.as_slice(), false),
            ];
            for (addresses, expected) in table {
                for address in addresses {
                    let permitted = reach.permits(address.parse().unwrap());
                    assert_eq!(permitted, expected, "{address} {reach:?}");
                }
            }
        }
    }
}
