//! Throttling of wrong passwords and second factors: who may try now, and who when.
//!
//! Only tries that turned out wrong count, each for as long as its window. A try whose outcome is
//! not known yet holds a place meanwhile, so that many at once cannot slip under a limit; it is
//! never the reason for a refusal, because it may well turn out right.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use super::name::UserName;
use super::time::{Millis, Timestamp};
use super::workstation::WorkstationId;

/// For how many days a workstation on which an account signed in keeps a limit of its own.
pub const KNOWN_WORKSTATION_DAYS: i64 = 90;

/// How many wrong tries are let through in a window that ends now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// So many wrong tries.
    pub tries: usize,
    /// How long each counts; the end is exclusive.
    pub within: Millis,
}

/// What wrong tries are counted by. Its text is the key under which they are stored.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ThrottleKey {
    /// An account name, known or not: 10 a minute.
    Account(UserName),
    /// A client's address: 100 a minute.
    Address(AddressKey),
    /// An account on a workstation on which it signed in lately: 10 a minute, in place of the
    /// account's own limit, so that a stranger cannot lock its owner out.
    Workstation(UserName, WorkstationId),
    /// Whom a source found, by its name and their subject there: 10 a minute, by whatever names it
    /// finds them.
    Identity(String, String),
    /// The same on a workstation on which they signed in lately: 10 a minute, in place of the other.
    IdentityThere(String, String, WorkstationId),
    /// Wrong second factors of an account: 100 a day.
    Factor(UserName),
}

impl ThrottleKey {
    /// The limit that holds for this key.
    #[must_use]
    pub const fn limit(&self) -> Limit {
        match self {
            Self::Account(_)
            | Self::Workstation(..)
            | Self::Identity(..)
            | Self::IdentityThere(..) => Limit {
                tries: 10,
                within: Millis::minutes(1),
            },
            Self::Address(_) => Limit {
                tries: 100,
                within: Millis::minutes(1),
            },
            Self::Factor(_) => Limit {
                tries: 100,
                within: Millis::days(1),
            },
        }
    }
}

impl fmt::Display for ThrottleKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Account(name) => write!(f, "account:{}", name.folded()),
            Self::Address(address) => write!(f, "address:{address}"),
            // The name may hold ':', the id never does, so the last ':' parts them.
            Self::Workstation(name, id) => write!(f, "workstation:{}:{id}", name.folded()),
            // The name of a source holds no ':'.
            Self::Identity(source, subject) => write!(f, "identity:{source}:{subject}"),
            Self::IdentityThere(source, subject, id) => {
                write!(f, "identity-there:{source}:{subject}:{id}")
            }
            Self::Factor(name) => write!(f, "factor:{}", name.folded()),
        }
    }
}

/// A client's address as far as it identifies a client: IPv4 whole, IPv6 by its /64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AddressKey(IpAddr);

/// The key of an address. An IPv4 address written as IPv6 is the IPv4 address.
#[must_use]
pub fn address_key(address: IpAddr) -> AddressKey {
    AddressKey(match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    })
}

impl fmt::Display for AddressKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            IpAddr::V4(address) => write!(f, "{address}"),
            IpAddr::V6(network) => write!(f, "{network}/64"),
        }
    }
}

/// The keys by which a password try is counted. `known_workstation` is the workstation of the
/// request if this account signed in there within [`KNOWN_WORKSTATION_DAYS`].
#[must_use]
pub fn password_keys(
    name: &UserName,
    address: IpAddr,
    known_workstation: Option<&WorkstationId>,
) -> [ThrottleKey; 2] {
    let whose = match known_workstation {
        Some(id) => ThrottleKey::Workstation(name.clone(), id.clone()),
        None => ThrottleKey::Account(name.clone()),
    };
    [whose, ThrottleKey::Address(address_key(address))]
}

/// The keys by which a second-factor try is counted: those of a password, and the account's day.
#[must_use]
pub fn factor_keys(
    name: &UserName,
    address: IpAddr,
    known_workstation: Option<&WorkstationId>,
) -> [ThrottleKey; 3] {
    let [whose, address] = password_keys(name, address, known_workstation);
    [whose, address, ThrottleKey::Factor(name.clone())]
}

/// What is known about one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tries {
    /// The key.
    pub key: ThrottleKey,
    /// When its wrong tries were, ascending, at least those that still count.
    pub wrong_at: Vec<Timestamp>,
    /// How many other tries of it have begun and are not decided yet.
    pub under_way: usize,
}

/// Whether one more try may begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It may.
    Admit,
    /// Not before one of the tries under way is decided: were they all wrong, this one would be
    /// too many. Ask again then; it is no refusal.
    AwaitOthers,
    /// Not before this instant, at which enough wrong tries have ceased to count.
    Wait {
        /// The first instant at which a try is admitted again.
        until: Timestamp,
    },
}

/// Decides over all keys of a try: the longest wait of any, else whether any must await others.
#[must_use]
pub fn admit(all: &[Tries], now: Timestamp) -> Admission {
    let waits = all.iter().filter_map(|tries| full_until(tries, now));
    if let Some(until) = waits.max() {
        return Admission::Wait { until };
    }
    if all
        .iter()
        .any(|tries| places_left(tries, now) <= tries.under_way)
    {
        return Admission::AwaitOthers;
    }
    Admission::Admit
}

/// When wrong tries alone no longer fill the limit, where they do now.
fn full_until(tries: &Tries, now: Timestamp) -> Option<Timestamp> {
    let limit = tries.key.limit();
    let counting = counting(tries, now);
    let last_to_lapse = counting.len().checked_sub(limit.tries)?;
    counting.get(last_to_lapse).map(|&at| at + limit.within)
}

fn places_left(tries: &Tries, now: Timestamp) -> usize {
    let limit = tries.key.limit();
    limit.tries.saturating_sub(counting(tries, now).len())
}

/// The wrong tries that count now: one at `at` counts while `now < at + within`.
fn counting(tries: &Tries, now: Timestamp) -> &[Timestamp] {
    let within = tries.key.limit().within;
    let lapsed = tries.wrong_at.partition_point(|&at| at + within <= now);
    &tries.wrong_at[lapsed..]
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60_000;

    fn alice() -> UserName {
        UserName::parse("Alice", "").unwrap()
    }

    fn account(wrong_at: impl IntoIterator<Item = i64>, under_way: usize) -> Tries {
        Tries {
            key: ThrottleKey::Account(alice()),
            wrong_at: wrong_at.into_iter().map(Timestamp).collect(),
            under_way,
        }
    }

    fn address(wrong_at: impl IntoIterator<Item = i64>, under_way: usize) -> Tries {
        Tries {
            key: ThrottleKey::Address(address_key("192.0.2.1".parse().unwrap())),
            ..account(wrong_at, under_way)
        }
    }

    fn wait(until: i64) -> Admission {
        Admission::Wait {
            until: Timestamp(until),
        }
    }

    #[test]
    fn the_tenth_wrong_try_is_let_through_and_the_eleventh_is_not() {
        for (wrong, expected) in [
            (0, Admission::Admit),
            (9, Admission::Admit),
            (10, wait(1_000 + MINUTE)),
            (11, wait(1_001 + MINUTE)),
        ] {
            let tries = account(1_000..1_000 + wrong, 0);
            assert_eq!(admit(&[tries], Timestamp(2_000)), expected, "{wrong}");
        }
    }

    #[test]
    fn a_wrong_try_counts_for_exactly_a_minute() {
        let tries = [account(1_000..1_010, 0)];
        for (now, expected) in [
            (1_000 + MINUTE - 1, wait(1_000 + MINUTE)),
            (1_000 + MINUTE, Admission::Admit),
            (1_000 + MINUTE + 1, Admission::Admit),
        ] {
            assert_eq!(admit(&tries, Timestamp(now)), expected, "{now}");
        }
    }

    #[test]
    fn the_window_slides_with_every_try() {
        // At the end of the first the place is used again; the next is free when the second ends.
        let mut tries = account((0..10).map(|second| second * 1_000), 0);
        assert_eq!(
            admit(std::slice::from_ref(&tries), Timestamp(MINUTE)),
            Admission::Admit
        );
        tries.wrong_at.push(Timestamp(MINUTE));
        assert_eq!(
            admit(std::slice::from_ref(&tries), Timestamp(MINUTE)),
            wait(1_000 + MINUTE)
        );
        assert_eq!(admit(&[tries], Timestamp(1_000 + MINUTE)), Admission::Admit);
    }

    #[test]
    fn an_instant_promised_is_the_first_that_admits() {
        for wrong in [10, 13, 40] {
            let tries = [account((0..wrong).map(|n| n * 700), 0)];
            let Admission::Wait { until } = admit(&tries, Timestamp(wrong * 700)) else {
                panic!("{wrong} wrong tries are admitted");
            };
            assert_eq!(admit(&tries, until), Admission::Admit);
            assert_eq!(admit(&tries, until - Millis(1)), Admission::Wait { until });
        }
    }

    #[test]
    fn tries_under_way_hold_places_but_refuse_nobody() {
        for (wrong, under_way, expected) in [
            (0, 9, Admission::Admit),
            (0, 10, Admission::AwaitOthers),
            (9, 0, Admission::Admit),
            (9, 1, Admission::AwaitOthers),
            (5, 4, Admission::Admit),
            (5, 5, Admission::AwaitOthers),
            (10, 3, wait(MINUTE)),
        ] {
            let tries = account(vec![0; wrong], under_way);
            assert_eq!(
                admit(&[tries], Timestamp(5)),
                expected,
                "{wrong} and {under_way}"
            );
        }
    }

    #[test]
    fn an_address_has_a_limit_of_its_own() {
        let now = Timestamp(500);
        assert_eq!(admit(&[address(0..99, 0)], now), Admission::Admit);
        assert_eq!(admit(&[address(0..100, 0)], now), wait(MINUTE));
        assert_eq!(admit(&[address(0..99, 1)], now), Admission::AwaitOthers);
    }

    #[test]
    fn the_longest_wait_of_all_keys_holds() {
        let full_account = account(100..110, 0);
        let full_address = address(0..100, 0);
        let now = Timestamp(500);
        assert_eq!(
            admit(&[full_account.clone(), full_address], now),
            wait(100 + MINUTE)
        );
        assert_eq!(
            admit(&[full_account, address([], 100)], now),
            wait(100 + MINUTE)
        );
        assert_eq!(
            admit(&[account([], 0), address([], 100)], now),
            Admission::AwaitOthers
        );
        assert_eq!(admit(&[], now), Admission::Admit);
    }

    #[test]
    fn wrong_factors_also_count_for_a_day() {
        let day = Millis::days(1);
        let mut tries = account(0..100, 0);
        tries.key = ThrottleKey::Factor(alice());
        let until = Timestamp(0) + day;
        let tries = [tries];
        assert_eq!(admit(&tries, until - Millis(1)), Admission::Wait { until });
        assert_eq!(admit(&tries, until), Admission::Admit);
    }

    #[test]
    fn keys_have_a_text_of_their_own() {
        let workstation = WorkstationId::from("w1");
        let ip = "192.0.2.1".parse().unwrap();
        let texts = |keys: &[ThrottleKey]| keys.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(
            texts(&password_keys(&alice(), ip, None)),
            ["account:alice", "address:192.0.2.1"]
        );
        assert_eq!(
            texts(&factor_keys(&alice(), ip, Some(&workstation))),
            ["workstation:alice:w1", "address:192.0.2.1", "factor:alice"]
        );
    }

    #[test]
    fn addresses_of_one_client_are_one_key() {
        for (address, expected) in [
            ("192.0.2.1", "192.0.2.1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
            ("2001:db8:1:2:ffff::", "2001:db8:1:2::/64"),
            ("2001:db8:1:3::", "2001:db8:1:3::/64"),
            ("::1", "::/64"),
        ] {
            assert_eq!(address_key(address.parse().unwrap()).to_string(), expected);
        }
    }
}
