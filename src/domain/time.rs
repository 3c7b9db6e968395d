//! Instants and durations of the rules: UTC milliseconds, days of exactly 86,400,000 ms.

use std::fmt;
use std::ops::{Add, Sub};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use time::{Date, OffsetDateTime, PrimitiveDateTime};

/// One day in milliseconds; no day of the rules is longer or shorter.
pub const DAY_MS: i64 = 86_400_000;
/// One hour in milliseconds.
pub const HOUR_MS: i64 = 3_600_000;
/// One minute in milliseconds.
pub const MINUTE_MS: i64 = 60_000;
/// One second in milliseconds.
pub const SECOND_MS: i64 = 1_000;

const INSTANT: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
const DATE: &[BorrowedFormatItem<'_>] = format_description!("[year]-[month]-[day]");

/// An instant: milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

/// A length of time in milliseconds.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Millis(pub i64);

impl Millis {
    /// So many days.
    #[must_use]
    pub const fn days(days: i64) -> Self {
        Self(days * DAY_MS)
    }

    /// So many hours.
    #[must_use]
    pub const fn hours(hours: i64) -> Self {
        Self(hours * HOUR_MS)
    }

    /// So many minutes.
    #[must_use]
    pub const fn minutes(minutes: i64) -> Self {
        Self(minutes * MINUTE_MS)
    }

    /// So many seconds.
    #[must_use]
    pub const fn seconds(seconds: i64) -> Self {
        Self(seconds * SECOND_MS)
    }
}

impl Timestamp {
    /// The instant in the calendar; clamped to the years that the calendar knows.
    #[must_use]
    pub fn calendar(self) -> OffsetDateTime {
        // Seconds and milliseconds apart: nanoseconds would be divided with 128 bits.
        let seconds = self.0.div_euclid(SECOND_MS);
        let millisecond = u16::try_from(self.0.rem_euclid(SECOND_MS)).unwrap_or_default();
        OffsetDateTime::from_unix_timestamp(seconds)
            .and_then(|second| second.replace_millisecond(millisecond))
            .unwrap_or(if self.0 < 0 {
                PrimitiveDateTime::MIN.assume_utc()
            } else {
                PrimitiveDateTime::MAX.assume_utc()
            })
    }

    /// Midnight UTC at the beginning of a calendar day.
    #[must_use]
    pub fn start_of(date: Date) -> Self {
        Self(date.midnight().assume_utc().unix_timestamp() * SECOND_MS)
    }
}

impl Add<Millis> for Timestamp {
    type Output = Self;

    fn add(self, length: Millis) -> Self {
        Self(self.0.saturating_add(length.0))
    }
}

impl Sub<Millis> for Timestamp {
    type Output = Self;

    fn sub(self, length: Millis) -> Self {
        Self(self.0.saturating_sub(length.0))
    }
}

impl Sub for Timestamp {
    type Output = Millis;

    fn sub(self, earlier: Self) -> Millis {
        Millis(self.0.saturating_sub(earlier.0))
    }
}

/// Exactly `YYYY-MM-DDTHH:MM:SS.mmmZ`; written by hand, for every answer and page holds some.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = self.calendar();
        let Ok(year) = u16::try_from(at.year()) else {
            return f.write_str(&at.format(INSTANT).map_err(|_| fmt::Error)?);
        };
        let mut text = *b"0000-00-00T00:00:00.000Z";
        put_digits(&mut text[0..4], year);
        put_digits(&mut text[5..7], u8::from(at.month()).into());
        put_digits(&mut text[8..10], at.day().into());
        put_digits(&mut text[11..13], at.hour().into());
        put_digits(&mut text[14..16], at.minute().into());
        put_digits(&mut text[17..19], at.second().into());
        put_digits(&mut text[20..23], at.millisecond());
        f.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

/// Fills the place with the last digits of the number.
fn put_digits(place: &mut [u8], mut number: u16) {
    for digit in place.iter_mut().rev() {
        *digit = b"0123456789"[usize::from(number % 10)];
        number /= 10;
    }
}

/// A text is not an instant of the form `YYYY-MM-DDTHH:MM:SS.mmmZ`.
#[derive(Debug, thiserror::Error)]
#[error("not an instant of the form YYYY-MM-DDTHH:MM:SS.mmmZ")]
pub struct NotAnInstant;

impl FromStr for Timestamp {
    type Err = NotAnInstant;

    fn from_str(text: &str) -> Result<Self, NotAnInstant> {
        let at = PrimitiveDateTime::parse(text, INSTANT).map_err(|_| NotAnInstant)?;
        let millis = at.assume_utc().unix_timestamp_nanos() / 1_000_000;
        i64::try_from(millis).map(Self).map_err(|_| NotAnInstant)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Reads a calendar day of the form `YYYY-MM-DD`.
#[must_use]
pub fn parse_date(text: &str) -> Option<Date> {
    Date::parse(text, DATE).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_is_written_with_three_digits_and_read_back() {
        let at = Timestamp(1_764_000_000_007);
        assert_eq!(at.to_string(), "2025-11-24T16:00:00.007Z");
        assert_eq!(at.to_string().parse::<Timestamp>().unwrap(), at);
        assert!("2025-11-24T16:00:00Z".parse::<Timestamp>().is_err());
    }

    #[test]
    fn instants_are_written_as_their_format_says() {
        let ends = [i64::MIN, -62_167_219_200_001, -62_167_219_200_000, i64::MAX];
        let near = [
            -1,
            0,
            999,
            951_782_399_999,
            951_782_400_000,
            253_402_300_799_999,
        ];
        for at in ends.into_iter().chain(near).map(Timestamp) {
            assert_eq!(at.to_string(), at.calendar().format(INSTANT).unwrap());
        }
    }

    #[test]
    fn an_instant_in_the_calendar_keeps_its_milliseconds() {
        for at in [-62_167_219_200_001, -1, 0, 1_764_000_000_007] {
            let nanos = Timestamp(at).calendar().unix_timestamp_nanos();
            assert_eq!(nanos, i128::from(at) * 1_000_000);
        }
        assert_eq!(Timestamp(i64::MIN).calendar().year(), -9999);
        assert_eq!(Timestamp(i64::MAX).calendar().year(), 9999);
    }

    #[test]
    fn a_day_begins_at_midnight_utc() {
        let date = parse_date("2026-02-28").unwrap();
        assert_eq!(
            Timestamp::start_of(date).to_string(),
            "2026-02-28T00:00:00.000Z"
        );
        assert_eq!(parse_date("2026-02-30"), None);
        assert_eq!(parse_date("28.02.2026"), None);
    }
}
