//! Whether the time of a refused sign-in tells a known name from an unknown one.
//!
//! Tries with known and unknown names take turns on one connection, in pairs of either order: where
//! every other one were known, what alternates in the server (threads, cores) would pass for a
//! difference. Two samples are compared by the
//! ranks of their times (Mann-Whitney): where both come from one distribution, `z` is normal with
//! variance 1, so that a large one tells them apart.

use std::net::SocketAddr;

use crate::load;
use crate::post;

/// Tries of each kind.
pub(crate) const TRIES: usize = 1_000;
/// One of a thousand comparisons of equal samples gives more than this.
pub(crate) const Z_MAX: f64 = 3.29;
/// People who are known; each is tried five times, less than an account may within a minute.
pub(crate) const KNOWN: usize = TRIES / 5;

/// What two samples of times show.
pub(crate) struct Compared {
    /// The median for known names, in milliseconds.
    pub(crate) known_ms: f64,
    /// The median for unknown names, in milliseconds.
    pub(crate) unknown_ms: f64,
    /// How far the ranks lie apart, in standard deviations; positive where known ones take longer.
    pub(crate) z: f64,
}

/// Tries known and unknown names, each with a wrong password. The people `known-0` and on must be
/// there, and this machine a trusted proxy: every try says that it comes from somewhere else.
pub(crate) fn compare(address: SocketAddr) -> Compared {
    let requests: Vec<Vec<u8>> = (0..TRIES * 2)
        .map(|number| {
            let kind = if is_known(number) { "known" } else { "unknown" };
            refused(address, &format!("{kind}-{}", number / 2 % KNOWN), number)
        })
        .collect();
    let micros = load::refused_micros(address, &requests);
    let sample = |known| {
        let tries = micros.iter().enumerate();
        let tries = tries.filter(|(number, _)| is_known(*number) == known);
        tries.map(|(_, micros)| *micros).collect::<Vec<u32>>()
    };
    let (known, unknown) = (sample(true), sample(false));
    Compared {
        known_ms: median_ms(&known),
        unknown_ms: median_ms(&unknown),
        z: z(&known, &unknown),
    }
}

/// Whether a try is with a known name: one of each pair, the first or the second without a pattern.
const fn is_known(number: usize) -> bool {
    let mixed = (number as u64 / 2).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    number.is_multiple_of(2) == (mixed >> 63 == 0)
}

fn refused(address: SocketAddr, name: &str, number: usize) -> Vec<u8> {
    let from = format!(
        "X-Forwarded-For: 10.0.{}.{}\r\n",
        number / 250,
        number % 250 + 1
    );
    let body = format!("{{\"username\":\"{name}\",\"password\":\"not the password\"}}");
    post(address, "/api/v1/session", &from, &body)
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
