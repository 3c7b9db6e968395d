//! Instants, lengths of time and sizes as people write them in their language.
//!
//! Rounding never promises more than holds: what a person waits for is rounded up, what a person
//! still has is rounded down.

use std::fmt::{self, Write as _};

use time::OffsetDateTime;

use super::Language;
use crate::domain::time::{DAY_MS, HOUR_MS, MINUTE_MS, Millis, SECOND_MS, Timestamp};

/// How dates are written: in which language, and seen from which instant.
#[derive(Clone, Copy, Debug)]
pub struct Dates {
    /// The language.
    pub language: Language,
    /// The present.
    pub now: Timestamp,
    /// A moment of another year shows its year.
    year: i32,
}

/// An instant as people write it, in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    at: Timestamp,
    /// The same in the calendar, rounded as the style wants.
    shown: OffsetDateTime,
    style: Style,
    language: Language,
    year_shown: bool,
}

/// How much of a moment is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Style {
    /// `22 Nov, 09:14`, the minute begun.
    Minute,
    /// `22 Nov, 09:15`, the next full minute.
    Earliest,
    /// `22 Nov`.
    Day,
    /// `22 November`.
    LongDay,
}

impl Dates {
    /// Dates in this language, seen from `now`.
    #[must_use]
    pub fn new(language: Language, now: Timestamp) -> Self {
        let year = now.calendar().year();
        Self {
            language,
            now,
            year,
        }
    }

    /// The present year; the year of a moment is shown where it is another.
    #[must_use]
    pub const fn year(self) -> i32 {
        self.year
    }

    /// Day and minute of something that was, or that a person has until then: rounded down.
    #[must_use]
    pub fn minute(self, at: Timestamp) -> Moment {
        self.moment(at, Style::Minute)
    }

    /// Day and minute of something that a person waits for: rounded up.
    #[must_use]
    pub fn earliest(self, at: Timestamp) -> Moment {
        self.moment(at, Style::Earliest)
    }

    /// The day, with a short month.
    #[must_use]
    pub fn day(self, at: Timestamp) -> Moment {
        self.moment(at, Style::Day)
    }

    /// The day, with the month in full.
    #[must_use]
    pub fn long_day(self, at: Timestamp) -> Moment {
        self.moment(at, Style::LongDay)
    }

    fn moment(self, at: Timestamp, style: Style) -> Moment {
        let shown = match style {
            Style::Earliest => next_full_minute(at).calendar(),
            Style::Minute | Style::Day | Style::LongDay => at.calendar(),
        };
        Moment {
            at,
            shown,
            style,
            language: self.language,
            year_shown: shown.year() != self.year,
        }
    }
}

impl Moment {
    /// The exact instant.
    #[must_use]
    pub const fn at(&self) -> Timestamp {
        self.at
    }

    /// Whether hour and minute are shown.
    #[must_use]
    pub const fn shows_hour(&self) -> bool {
        matches!(self.style, Style::Minute | Style::Earliest)
    }

    /// Whether the month is written in full.
    #[must_use]
    pub const fn is_long(&self) -> bool {
        matches!(self.style, Style::LongDay)
    }

    /// Whether the moment is rounded up.
    #[must_use]
    pub const fn is_earliest(&self) -> bool {
        matches!(self.style, Style::Earliest)
    }
}

fn next_full_minute(at: Timestamp) -> Timestamp {
    let over = at.0.rem_euclid(MINUTE_MS);
    let missing = if over == 0 { 0 } else { MINUTE_MS - over };
    at + Millis(missing)
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = self.shown;
        let month = usize::from(u8::from(at.month()) - 1);
        let (day_end, months) = match (self.language, self.style) {
            (Language::English, Style::LongDay) => (" ", &MONTHS_EN),
            (Language::English, _) => (" ", &MONTHS_EN_SHORT),
            (Language::German, Style::LongDay) => (". ", &MONTHS_DE),
            (Language::German, _) => (". ", &MONTHS_DE_SHORT),
        };
        write_number(f, at.day())?;
        f.write_str(day_end)?;
        f.write_str(months[month])?;
        if self.year_shown {
            write!(f, " {}", at.year())?;
        }
        if self.shows_hour() {
            f.write_str(", ")?;
            write_two(f, at.hour())?;
            f.write_char(':')?;
            write_two(f, at.minute())?;
        }
        Ok(())
    }
}

fn write_two(f: &mut fmt::Formatter<'_>, number: u8) -> fmt::Result {
    f.write_char(char::from(b'0' + number / 10))?;
    f.write_char(char::from(b'0' + number % 10))
}

fn write_number(f: &mut fmt::Formatter<'_>, number: u8) -> fmt::Result {
    if number < 10 {
        return f.write_char(char::from(b'0' + number));
    }
    write_two(f, number)
}

const MONTHS_EN: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const MONTHS_EN_SHORT: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];
const MONTHS_DE: [&str; 12] = [
    "Januar",
    "Februar",
    "März",
    "April",
    "Mai",
    "Juni",
    "Juli",
    "August",
    "September",
    "Oktober",
    "November",
    "Dezember",
];
const MONTHS_DE_SHORT: [&str; 12] = [
    "Jan.", "Feb.", "März", "Apr.", "Mai", "Juni", "Juli", "Aug.", "Sept.", "Okt.", "Nov.", "Dez.",
];

/// A length of time in one unit, as a catalogue writes it with the right plural.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Span {
    /// So many days.
    Days(i64),
    /// So many hours.
    Hours(i64),
    /// So many minutes.
    Minutes(i64),
    /// So many seconds.
    Seconds(i64),
}

impl Span {
    /// What a person still has: hours and less rounded down, days to the nearest, so that a lease of
    /// 30 days does not have 29 a moment later.
    #[must_use]
    pub fn left(length: Millis) -> Self {
        Self::in_largest_unit(length, |length, unit| match unit {
            DAY_MS => (length + DAY_MS / 2) / DAY_MS,
            _ => length / unit,
        })
    }

    /// What a person waits for: whole units of the largest that fits, rounded up; at least one
    /// second.
    #[must_use]
    pub fn wait(length: Millis) -> Self {
        let span = Self::in_largest_unit(length, |length, unit| {
            length / unit + i64::from(length % unit != 0)
        });
        match span {
            Self::Seconds(seconds) => Self::Seconds(seconds.max(1)),
            longer => longer,
        }
    }

    /// A length that was set by hand, such as the window `W`: exact in hours, in days from two
    /// whole days on.
    #[must_use]
    pub fn set(length: Millis) -> Self {
        if length.0 % DAY_MS == 0 && length.0 >= 2 * DAY_MS {
            Self::Days(length.0 / DAY_MS)
        } else if length.0 % HOUR_MS == 0 {
            Self::Hours(length.0 / HOUR_MS)
        } else {
            Self::Minutes(length.0 / MINUTE_MS)
        }
    }

    fn in_largest_unit(length: Millis, count: fn(i64, i64) -> i64) -> Self {
        let length = length.0.max(0);
        if length >= DAY_MS {
            Self::Days(count(length, DAY_MS))
        } else if length >= HOUR_MS {
            Self::Hours(count(length, HOUR_MS))
        } else if length >= MINUTE_MS {
            Self::Minutes(count(length, MINUTE_MS))
        } else {
            Self::Seconds(count(length, SECOND_MS))
        }
    }
}

/// The size of a file, with one decimal from a mebibyte on, in the units that Windows shows.
/// A no-break space keeps number and unit on one line.
#[derive(Clone, Copy, Debug)]
pub struct FileSize {
    /// The size in bytes.
    pub bytes: u64,
    /// The language, which decides the decimal sign.
    pub language: Language,
}

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

impl fmt::Display for FileSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = match self.language {
            Language::English => '.',
            Language::German => ',',
        };
        match self.bytes {
            0..KIB => write!(f, "{}\u{a0}B", self.bytes),
            KIB..MIB => write!(f, "{}\u{a0}KB", self.bytes.div_ceil(KIB)),
            MIB..GIB => write_tenths(f, self.bytes, MIB, sign, "MB"),
            GIB.. => write_tenths(f, self.bytes, GIB, sign, "GB"),
        }
    }
}

fn write_tenths(
    f: &mut fmt::Formatter<'_>,
    bytes: u64,
    unit: u64,
    sign: char,
    name: &str,
) -> fmt::Result {
    let tenths = bytes % unit * 10 / unit;
    write!(f, "{}{sign}{tenths}\u{a0}{name}", bytes / unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn dates(language: Language) -> Dates {
        Dates::new(language, at("2026-11-24T12:00:00.000Z"))
    }

    #[test]
    fn moments_read_as_people_write_them() {
        let instant = at("2026-11-22T09:14:00.000Z");
        let (en, de) = (dates(Language::English), dates(Language::German));
        assert_eq!(en.minute(instant).to_string(), "22 Nov, 09:14");
        assert_eq!(de.minute(instant).to_string(), "22. Nov., 09:14");
        assert_eq!(en.day(instant).to_string(), "22 Nov");
        assert_eq!(de.day(instant).to_string(), "22. Nov.");
        assert_eq!(en.long_day(instant).to_string(), "22 November");
        assert_eq!(de.long_day(instant).to_string(), "22. November");
    }

    #[test]
    fn another_year_is_shown() {
        let instant = at("2027-03-01T00:00:00.000Z");
        let (en, de) = (dates(Language::English), dates(Language::German));
        assert_eq!(en.minute(instant).to_string(), "1 Mar 2027, 00:00");
        assert_eq!(de.minute(instant).to_string(), "1. März 2027, 00:00");
        assert_eq!(en.long_day(instant).to_string(), "1 March 2027");
        let last = at("2025-12-31T23:59:59.999Z");
        assert_eq!(en.minute(last).to_string(), "31 Dec 2025, 23:59");
        let turn = at("2026-12-31T23:59:30.000Z");
        assert_eq!(en.earliest(turn).to_string(), "1 Jan 2027, 00:00");
    }

    #[test]
    fn what_is_waited_for_is_rounded_up_to_the_minute() {
        let en = dates(Language::English);
        let table = [
            ("2026-11-29T09:14:00.000Z", "29 Nov, 09:14"),
            ("2026-11-29T09:14:00.001Z", "29 Nov, 09:15"),
            ("2026-11-29T09:59:30.000Z", "29 Nov, 10:00"),
            ("2026-11-30T23:59:59.999Z", "1 Dec, 00:00"),
        ];
        for (instant, shown) in table {
            assert_eq!(en.earliest(at(instant)).to_string(), shown, "{instant}");
        }
        let had = en.minute(at("2026-11-29T09:14:59.999Z"));
        assert_eq!(had.to_string(), "29 Nov, 09:14");
    }

    #[test]
    fn every_month_has_its_name() {
        for month in 1..=12 {
            let instant = at(&format!("2026-{month:02}-09T00:00:00.000Z"));
            for language in Language::ALL {
                let shown = dates(language).long_day(instant).to_string();
                assert!(shown.starts_with('9') && shown.len() > 4, "{shown}");
            }
        }
    }

    #[test]
    fn the_ends_of_the_calendar_do_not_panic() {
        for extreme in [i64::MIN, -62_167_219_200_001, -1, 0, 999, i64::MAX] {
            let moment = dates(Language::German).earliest(Timestamp(extreme));
            assert!(!moment.to_string().is_empty());
            assert!(!moment.at().to_string().is_empty());
        }
    }

    #[test]
    fn what_is_left_has_the_nearest_days_and_waits_are_rounded_up() {
        let table = [
            (Millis(0), Span::Seconds(0), Span::Seconds(1)),
            (Millis(-5), Span::Seconds(0), Span::Seconds(1)),
            (Millis(999), Span::Seconds(0), Span::Seconds(1)),
            (Millis(1_001), Span::Seconds(1), Span::Seconds(2)),
            (Millis::minutes(1), Span::Minutes(1), Span::Minutes(1)),
            (Millis(90_000), Span::Minutes(1), Span::Minutes(2)),
            (Millis::hours(23), Span::Hours(23), Span::Hours(23)),
            (Millis::hours(25), Span::Days(1), Span::Days(2)),
            (Millis::days(30), Span::Days(30), Span::Days(30)),
            (Millis(30 * DAY_MS - 1), Span::Days(30), Span::Days(30)),
            (Millis::hours(36), Span::Days(2), Span::Days(2)),
            (Millis(36 * HOUR_MS - 1), Span::Days(1), Span::Days(2)),
        ];
        for (length, left, wait) in table {
            assert_eq!(Span::left(length), left, "{length:?}");
            assert_eq!(Span::wait(length), wait, "{length:?}");
        }
    }

    #[test]
    fn windows_are_exact() {
        assert_eq!(Span::set(Millis::days(7)), Span::Days(7));
        assert_eq!(Span::set(Millis::hours(24)), Span::Hours(24));
        assert_eq!(Span::set(Millis::hours(36)), Span::Hours(36));
        assert_eq!(Span::set(Millis::minutes(90)), Span::Minutes(90));
    }

    #[test]
    fn sizes_have_the_sign_of_the_language() {
        let table = [
            (0, "0 B", "0 B"),
            (1_023, "1023 B", "1023 B"),
            (1_024, "1 KB", "1 KB"),
            (1_025, "2 KB", "2 KB"),
            (MIB, "1.0 MB", "1,0 MB"),
            (12 * MIB + MIB / 2, "12.5 MB", "12,5 MB"),
            (3 * GIB, "3.0 GB", "3,0 GB"),
        ];
        for (bytes, english, german) in table {
            for (language, shown) in [(Language::English, english), (Language::German, german)] {
                let written = FileSize { bytes, language }.to_string();
                assert_eq!(written.replace('\u{a0}', " "), shown);
            }
        }
    }
}
