//! Floods: what strangers make a gateway write down, counted by address and minute, so that it fills
//! neither the audit nor the ledger, and is told all the same.

use std::collections::{BTreeMap, HashMap};

use super::throttle::AddressKey;
use super::time::{Millis, Timestamp};

/// How long is counted together.
pub const MINUTE: Millis = Millis::minutes(1);
/// Refusals of one address that are told one by one in a minute.
pub const TOLD_OF_ADDRESS_MAX: u32 = 100;
/// Refusals of all addresses that are told one by one in a minute.
pub const TOLD_MAX: u32 = 1_000;
/// Sign-ins at a provider that one address begins in a minute; far more than people behind one do.
pub const BEGUN_OF_ADDRESS_MAX: u32 = 2_000;
/// Requests with sessions that do not exist, or no longer, that one address makes in a minute; far more
/// than browsers behind one do whose sessions have ended (S-05).
pub const GUESSED_OF_ADDRESS_MAX: u32 = 2_000;
/// Addresses that are told apart in a minute.
const ADDRESSES_MAX: usize = 10_000;
/// Addresses that are named where many are told of together.
const NAMED_MAX: usize = 10;

/// How often something came from each address within a minute.
#[derive(Debug, Default)]
pub struct Counts {
    began_at: Option<Timestamp>,
    by_address: HashMap<AddressKey, u32>,
}

impl Counts {
    /// Counts once more from this address; answers how often it came within the minute.
    pub fn count(&mut self, address: AddressKey, now: Timestamp) -> u32 {
        if !is_within(self.began_at, now) {
            *self = Self {
                began_at: Some(now),
                by_address: HashMap::new(),
            };
        }
        // Those that find no place are many together, and count as if each came for the first time.
        if self.by_address.len() == ADDRESSES_MAX && !self.by_address.contains_key(&address) {
            return 1;
        }
        let count = self.by_address.entry(address).or_default();
        *count = count.saturating_add(1);
        *count
    }

    /// When the minute that is counted ends; now where none is.
    #[must_use]
    pub fn ends_at(&self, now: Timestamp) -> Timestamp {
        self.began_at.map_or(now, |began_at| began_at + MINUTE)
    }
}

/// Which refusals of strangers are told one by one, and what there is to tell of the others.
#[derive(Debug, Default)]
pub struct Evidence {
    counts: Counts,
    told: u32,
    left_out: Option<LeftOut>,
}

/// Refusals that were not told one by one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// When the first of them was.
    pub from: Timestamp,
    /// When the last of them was.
    pub until: Timestamp,
    /// How many there were of each reason code.
    pub by_code: BTreeMap<String, u64>,
    /// How many there were of each address, as far as those were told apart.
    by_address: HashMap<AddressKey, u64>,
}

/// What to do about a refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whether it is told by itself.
    pub is_told: bool,
    /// What is to be told first of an earlier minute.
    pub earlier: Option<LeftOut>,
}

impl Evidence {
    /// Decides about a refusal with this code.
    pub fn judge(&mut self, code: &str, address: AddressKey, now: Timestamp) -> Verdict {
        let earlier = self.close(now);
        let of_address = self.counts.count(address, now);
        let is_told = of_address <= TOLD_OF_ADDRESS_MAX && self.told < TOLD_MAX;
        if is_told {
            self.told += 1;
        } else {
            let left_out = self.left_out.get_or_insert_with(|| LeftOut::at(now));
            left_out.add(code, address, now);
        }
        Verdict { is_told, earlier }
    }

    /// What there is to tell of a minute that is over, once.
    pub fn close(&mut self, now: Timestamp) -> Option<LeftOut> {
        if is_within(self.counts.began_at, now) {
            return None;
        }
        self.told = 0;
        self.left_out.take()
    }

    /// What there is to tell now, once; for a gateway that stops.
    pub fn close_now(&mut self) -> Option<LeftOut> {
        self.left_out.take()
    }
}

impl LeftOut {
    fn at(now: Timestamp) -> Self {
        Self {
            from: now,
            until: now,
            by_code: BTreeMap::new(),
            by_address: HashMap::new(),
        }
    }

    fn add(&mut self, code: &str, address: AddressKey, now: Timestamp) {
        self.until = now;
        if let Some(count) = self.by_code.get_mut(code) {
            *count += 1;
        } else {
            self.by_code.insert(code.to_owned(), 1);
        }
        if self.by_address.len() < ADDRESSES_MAX || self.by_address.contains_key(&address) {
            *self.by_address.entry(address).or_default() += 1;
        }
    }

    /// How many there were.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.by_code.values().sum()
    }

    /// From how many addresses they came, as far as those were told apart.
    #[must_use]
    pub fn addresses(&self) -> usize {
        self.by_address.len()
    }

    /// The addresses that most of them came from, with how many, the most first.
    #[must_use]
    pub fn most(&self) -> Vec<(AddressKey, u64)> {
        let mut all: Vec<(AddressKey, u64)> = self
            .by_address
            .iter()
            .map(|(address, count)| (*address, *count))
            .collect();
        all.sort_by_key(|(address, count)| (std::cmp::Reverse(*count), *address));
        all.truncate(NAMED_MAX);
        all
    }
}

/// Whether a minute that began then is not over; a clock that was set back ends it.
fn is_within(began_at: Option<Timestamp>, now: Timestamp) -> bool {
    began_at.is_some_and(|began_at| began_at <= now && now < began_at + MINUTE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::throttle::address_key;

    const START: Timestamp = Timestamp(1_000_000);

    fn address(number: u32) -> AddressKey {
        address_key(std::net::Ipv4Addr::from(number).into())
    }

    #[test]
    fn a_minute_is_counted_to_the_millisecond() {
        let mut counts = Counts::default();
        assert_eq!(counts.ends_at(START), START);
        assert_eq!(counts.count(address(1), START), 1);
        assert_eq!(counts.count(address(2), START + Millis(1)), 1);
        assert_eq!(counts.ends_at(START), START + MINUTE);
        assert_eq!(counts.count(address(1), START + MINUTE - Millis(1)), 2);
        assert_eq!(counts.count(address(1), START + MINUTE), 1);
        // A clock that was set back begins anew.
        assert_eq!(counts.count(address(1), START), 1);
        assert_eq!(counts.count(address(1), START), 2);
    }

    #[test]
    fn of_one_address_a_hundred_are_told_and_the_rest_is_counted() {
        let mut evidence = Evidence::default();
        for number in 0..TOLD_OF_ADDRESS_MAX + 50 {
            let verdict = evidence.judge("A", address(1), START + Millis(number.into()));
            assert_eq!(verdict.is_told, number < TOLD_OF_ADDRESS_MAX, "{number}");
            assert_eq!(verdict.earlier, None);
        }
        // Others are told all the same.
        assert!(evidence.judge("B", address(2), START).is_told);
        assert_eq!(evidence.close(START + MINUTE - Millis(1)), None);
        let left_out = evidence.close(START + MINUTE).unwrap();
        assert_eq!(left_out.from, START + Millis(100));
        assert_eq!(left_out.until, START + Millis(149));
        assert_eq!(left_out.by_code, BTreeMap::from([("A".to_owned(), 50)]));
        assert_eq!((left_out.count(), left_out.addresses()), (50, 1));
        assert_eq!(evidence.close(START + MINUTE), None, "it is told once");
        let later = evidence.judge("A", address(1), START + MINUTE);
        assert!(later.is_told && later.earlier.is_none());
    }

    #[test]
    fn many_addresses_have_a_limit_together() {
        let mut evidence = Evidence::default();
        let mut told = 0;
        for number in 0..20_000 {
            told += u32::from(evidence.judge("A", address(number), START).is_told);
        }
        evidence.judge("B", address(19_999), START);
        assert_eq!(told, TOLD_MAX);
        let next = evidence.judge("A", address(1), START + MINUTE);
        let left_out = next.earlier.unwrap();
        assert!(next.is_told);
        assert_eq!(left_out.count(), 19_001);
        assert_eq!(left_out.addresses(), ADDRESSES_MAX);
        let most = left_out.most();
        assert_eq!(most.len(), NAMED_MAX);
        assert!(most.windows(2).all(|pair| pair[0].1 >= pair[1].1));
    }

    #[test]
    fn a_gateway_that_stops_tells_what_it_has() {
        let mut evidence = Evidence::default();
        assert_eq!(evidence.close_now(), None);
        for _ in 0..=TOLD_OF_ADDRESS_MAX {
            evidence.judge("A", address(1), START);
        }
        assert_eq!(evidence.close_now().unwrap().count(), 1);
        assert_eq!(evidence.close_now(), None);
    }
}
