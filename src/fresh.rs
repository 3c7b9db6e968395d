//! Fresh ids, tokens and salts: the only place of the program that draws random numbers.
//!
//! The system's generator is the cryptographically secure one of each thread, seeded and reseeded
//! by the operating system. A seeded one gives the same sequence again, for tests alone.

use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// Where randomness comes from. Clones of a seeded one share its sequence.
#[derive(Clone)]
pub struct Fresh(Source);

#[derive(Clone)]
enum Source {
    System,
    Seeded(Arc<Mutex<StdRng>>),
}

impl Fresh {
    /// The system's secure generator.
    #[must_use]
    pub const fn system() -> Self {
        Self(Source::System)
    }

    /// A generator whose sequence follows from `seed`; its values are no secrets.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        let generator = StdRng::seed_from_u64(seed);
        Self(Source::Seeded(Arc::new(Mutex::new(generator))))
    }

    /// So many random bytes.
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that draws from the system's generator"
    )]
    pub fn bytes<const LEN: usize>(&self) -> [u8; LEN] {
        let mut bytes = [0; LEN];
        match &self.0 {
            Source::System => rand::rng().fill_bytes(&mut bytes),
            Source::Seeded(generator) => generator
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .fill_bytes(&mut bytes),
        }
        bytes
    }

    /// An id of 128 bits: 22 characters of `[A-Za-z0-9_-]`.
    #[must_use]
    pub fn id(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.bytes::<16>())
    }

    /// So many random bytes in lower-case hex, two characters each; a web ticket has 20.
    #[must_use]
    pub fn hex<const LEN: usize>(&self) -> String {
        const_hex::encode(self.bytes::<LEN>())
    }

    /// A secret of 256 bits: 43 characters of `[A-Za-z0-9_-]`.
    #[must_use]
    pub fn token(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.bytes::<32>())
    }

    /// A salt for a password hash.
    #[must_use]
    pub fn salt(&self) -> [u8; 16] {
        self.bytes()
    }
}

/// The state of a generator tells its future, so it is never shown.
impl std::fmt::Debug for Fresh {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self.0 {
            Source::System => "Fresh(system)",
            Source::Seeded(_) => "Fresh(seeded)",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_tokens_have_their_length_and_alphabet() {
        let fresh = Fresh::system();
        for (text, length) in [
            (fresh.id(), 22),
            (fresh.token(), 43),
            (fresh.hex::<20>(), 40),
        ] {
            assert_eq!(text.len(), length, "{text}");
            assert!(
                text.bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)),
                "{text}"
            );
        }
    }

    #[test]
    fn the_system_never_repeats_itself() {
        let fresh = Fresh::system();
        assert_ne!(fresh.id(), fresh.id());
        assert_ne!(Fresh::system().salt(), Fresh::system().salt());
    }

    #[test]
    fn a_seed_gives_the_same_sequence_and_clones_share_it() {
        let (one, same) = (Fresh::seeded(7), Fresh::seeded(7));
        let clone = one.clone();
        let drawn = [one.id(), clone.id(), one.token()];
        assert_eq!(drawn, [same.id(), same.id(), same.token()]);
        assert_ne!(Fresh::seeded(8).id(), drawn[0]);
    }

    #[test]
    fn the_generator_is_not_shown() {
        assert_eq!(format!("{:?}", Fresh::seeded(7)), "Fresh(seeded)");
    }
}
