//! Whether the time of a refusal tells a known name from an unknown one, or a guess that is nearly a
//! session's id from any other.
//!
//! Tries of both kinds take turns on one connection, in pairs of either order: where every other one
//! were of one kind, what alternates in the server (threads, cores) would pass for a difference. Two
//! samples are compared by the ranks of their times (Mann-Whitney): where both come from one
//! distribution, `z` is normal with variance 1, so that a large one tells them apart.

use std::net::SocketAddr;

use accesspoint::fresh::Fresh;

use crate::load;
use crate::{cookie, get, post};

/// Tries with names, of each kind.
pub(crate) const TRIES: usize = 1_000;
/// One of a thousand comparisons of equal samples gives more than this.
pub(crate) const Z_MAX: f64 = 3.29;
/// People who are known; each is tried five times, less than an account may within a minute.
pub(crate) const KNOWN: usize = TRIES / 5;
/// Guesses of session ids, of both kinds together.
pub(crate) const GUESSES: usize = 1_000_000;
/// Guesses that one address makes; less than one may.
const GUESSES_OF_ADDRESS: usize = 1_000;
/// What an id of a session is written with.
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// What two samples of times show.
pub(crate) struct Compared {
    /// The median of the one kind, in milliseconds.
    pub(crate) one_ms: f64,
    /// The median of the other, in milliseconds.
    pub(crate) other_ms: f64,
    /// How far the ranks lie apart, in standard deviations; positive where the one takes longer.
    pub(crate) z: f64,
}

/// Tries names of people and names of nobody, each with a wrong password (P-01). The people `prefix-0`
/// and on must be there, and this machine a trusted proxy: every try says that it comes from somewhere
/// else.
pub(crate) fn names(address: SocketAddr, prefix: &str) -> Compared {
    compare(address, TRIES * 2, |number, is_known| {
        let not = if is_known { "" } else { "not-" };
        let name = format!("{not}{prefix}-{}", number / 2 % KNOWN);
        refused(address, &name, number)
    })
}

/// Guesses the id of a session, likewise from many addresses: half of the guesses differ from `secret` in one character, half are
/// ids of which nothing is known (S-05).
pub(crate) fn session_ids(address: SocketAddr, secret: &str) -> Compared {
    let fresh = Fresh::system();
    compare(address, GUESSES, |number, is_near| {
        let guess = if is_near {
            near(secret, number / 2)
        } else {
            fresh.id()
        };
        let headers = cookie(&guess) + &from(number / GUESSES_OF_ADDRESS);
        get(address, "/api/v1/session", &headers)
    })
}

/// Another id that differs in one character, though not in the last, where not every one can stand.
fn near(secret: &str, number: usize) -> String {
    let mut guess = secret.as_bytes().to_vec();
    let at = number % (guess.len() - 1);
    let others = ALPHABET.iter().filter(|other| **other != guess[at]);
    guess[at] = *others.cycle().nth(number / secret.len() % 63).expect("one");
    String::from_utf8(guess).expect("an id")
}

/// Tries both kinds; every answer must be a refusal.
fn compare(
    address: SocketAddr,
    tries: usize,
    request: impl Fn(usize, bool) -> Vec<u8>,
) -> Compared {
    let requests = (0..tries).map(|number| request(number, is_the_one(number)));
    let micros = load::refused_micros(address, &requests.collect::<Vec<_>>());
    let sample = |the_one| {
        let tries = micros.iter().enumerate();
        let tries = tries.filter(|(number, _)| is_the_one(*number) == the_one);
        tries.map(|(_, micros)| *micros).collect::<Vec<u32>>()
    };
    let (one, other) = (sample(true), sample(false));
    Compared {
        one_ms: median_ms(&one),
        other_ms: median_ms(&other),
        z: z(&one, &other),
    }
}

/// Whether a try is of the one kind: one of each pair, the first or the second without a pattern.
const fn is_the_one(number: usize) -> bool {
    let mixed = (number as u64 / 2).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    number.is_multiple_of(2) == (mixed >> 63 == 0)
}

fn refused(address: SocketAddr, name: &str, number: usize) -> Vec<u8> {
    let body = format!("{{\"username\":\"{name}\",\"password\":\"not the password\"}}");
    post(address, "/api/v1/session", &from(number), &body)
}

/// Says that a request comes from this one of many addresses.
fn from(number: usize) -> String {
    let (high, low) = (number / 250, number % 250 + 1);
    format!(
        "X-Forwarded-For: 10.{}.{}.{low}\r\n",
        high / 250,
        high % 250
    )
}

fn median_ms(sample: &[u32]) -> f64 {
    let mut sorted = sample.to_vec();
    sorted.sort_unstable();
    f64::from(sorted[sorted.len() / 2]) / 1e3
}

/// The rank sum of `one` among both, less what is expected, in standard deviations. Equal times share
/// the middle of their ranks.
fn z(one: &[u32], other: &[u32]) -> f64 {
    let mut all: Vec<(u32, bool)> = one.iter().map(|micros| (*micros, true)).collect();
    all.extend(other.iter().map(|micros| (*micros, false)));
    all.sort_unstable();
    let (mut rank_sum, mut before) = (0.0, 0);
    for equal in all.chunk_by(|a, b| a.0 == b.0) {
        let middle = before as f64 + (equal.len() + 1) as f64 / 2.0;
        rank_sum += middle * equal.iter().filter(|(_, of_one)| *of_one).count() as f64;
        before += equal.len();
    }
    let (n, m) = (one.len() as f64, other.len() as f64);
    let expected = n * (n + m + 1.0) / 2.0;
    (rank_sum - expected) / (n * m * (n + m + 1.0) / 12.0).sqrt()
}
