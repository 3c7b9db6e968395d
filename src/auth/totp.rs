//! One-time codes of authenticator apps (TOTP): SHA-1, six digits, 30 seconds, one step of drift.

use qrcode::render::svg;
use qrcode::{EcLevel, QrCode};
use totp_rs::{Builder, Secret, Totp};
use unicode_normalization::UnicodeNormalization;

use crate::domain::time::{SECOND_MS, Timestamp};

/// Bytes of a key, as many as SHA-1 has.
pub const KEY_BYTES: usize = 20;
/// How many steps before and after now a code may belong to.
const DRIFT_STEPS: u16 = 1;
/// The edge of the picture, in pixels.
const PICTURE_PIXELS: u32 = 232;

/// The key with these random bytes, in base32, as apps take it.
#[must_use]
pub fn key(bytes: [u8; KEY_BYTES]) -> String {
    Secret::from(bytes).to_base32()
}

/// The step of 30 seconds that a code belongs to, where it is right now or one step around it. Each
/// step may be used once, and none before the last one that was used; that is the caller's to hold.
#[must_use]
pub fn step_of(key: &str, code: &str, now: Timestamp) -> Option<i64> {
    // Keyboards of East Asia write digits of full width.
    let digits: String = code.nfkc().filter(|c| !c.is_whitespace()).collect();
    if digits.len() != 6 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let seconds = u64::try_from(now.0.div_euclid(SECOND_MS)).ok()?;
    let step = generator(key, "", "")?.check(&digits, seconds)?;
    i64::try_from(step).ok()
}

/// The address that an app reads: site, account and key.
#[must_use]
pub fn address(key: &str, site: &str, account: &str) -> Option<String> {
    // The two are parted by a colon, so neither may hold one.
    let (site, account) = (site.replace(':', " "), account.replace(':', " "));
    generator(key, &site, &account)?.to_url().ok()
}

/// An address as a QR code, an SVG picture.
#[must_use]
pub fn picture(address: &str) -> Option<String> {
    let code = QrCode::with_error_correction_level(address, EcLevel::M).ok()?;
    let picture = code
        .render::<svg::Color<'_>>()
        .min_dimensions(PICTURE_PIXELS, PICTURE_PIXELS)
        .build();
    Some(picture)
}

fn generator(key: &str, site: &str, account: &str) -> Option<Totp> {
    let builder = Builder::new()
        .with_secret(Secret::try_from_base32(key).ok()?)
        .with_skew(DRIFT_STEPS)
        .with_account_name(account);
    let builder = match site {
        "" => builder,
        site => builder.with_issuer(Some(site)),
    };
    builder.build().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The key of RFC 6238, appendix B: "12345678901234567890".
    const KEY: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

    fn at(seconds: i64) -> Timestamp {
        Timestamp(seconds * SECOND_MS)
    }

    #[test]
    fn the_codes_of_the_standard_are_right() {
        assert_eq!(key(*b"12345678901234567890"), KEY);
        // The last six digits of the standard's eight.
        for (seconds, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
        ] {
            let step = Some(seconds / 30);
            assert_eq!(step_of(KEY, code, at(seconds)), step, "{seconds}");
        }
    }

    #[test]
    fn a_code_is_good_one_step_before_and_after_its_own() {
        // 050471 belongs to the 30 seconds from 1111111110 on.
        let begins = 1_111_111_110;
        let step = Some(begins / 30);
        for (seconds, expected) in [
            (begins - 31, None),
            (begins - 30, step),
            (begins, step),
            (begins + 29, step),
            (begins + 59, step),
            (begins + 60, None),
        ] {
            assert_eq!(step_of(KEY, "050471", at(seconds)), expected, "{seconds}");
        }
    }

    #[test]
    fn a_code_is_six_digits_and_spaces_do_not_matter() {
        let now = at(1_111_111_111);
        assert!(step_of(KEY, " 050 471 ", now).is_some());
        for bad in [
            "",
            "50471",
            "0050471",
            "05047l",
            "٠٥٠٤٧١",
            "+50471",
            "050471\u{0}",
            "-1",
        ] {
            assert_eq!(step_of(KEY, bad, now), None, "{bad}");
        }
        assert_eq!(step_of("not base32!", "050471", now), None);
        assert_eq!(step_of(KEY, "050471", Timestamp(-1)), None);
    }

    #[test]
    fn the_address_names_site_and_account() {
        let found = address(KEY, "ap.example:8443", "dom\\Ann Lee:x").unwrap();
        assert!(found.starts_with("otpauth://totp/ap.example"), "{found}");
        assert!(found.contains(&format!("secret={KEY}")), "{found}");
        assert!(found.contains("issuer=ap.example"), "{found}");
        assert!(!found.contains(' '), "{found}");
    }

    #[test]
    fn the_picture_is_svg_without_style_and_script() {
        let address = address(KEY, "ap.example", "ann").unwrap();
        let picture = picture(&address).unwrap();
        assert!(picture.contains("<svg "), "{picture}");
        for word in ["style", "script", "href"] {
            assert!(!picture.contains(word), "{word}");
        }
    }
}
