//! Versions of `QlikView` Server in the vendor's spellings: they decide the windows `W` and `Q`.

use std::fmt;
use std::str::FromStr;

use super::time::Millis;

const LONG: Millis = Millis::days(7);
const SHORT: Millis = Millis::hours(24);

/// The majors that carry a number; since November 2017 releases are named by month and year.
const MAJORS: std::ops::RangeInclusive<u8> = 7..=12;
const FIRST_DATED: (u16, u8) = (2017, 11);
const LAST_YEAR: u16 = 2099;

const MONTHS: [&str; 12] = [
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

/// A version of `QlikView` Server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QlikViewVersion {
    /// A numbered release such as 11.20 SR17.
    Numbered {
        /// 7 to 12.
        major: u8,
        /// 0 to 99: the 20 of 11.20.
        minor: u8,
        /// The service release; 0 is the initial release.
        service_release: u8,
    },
    /// A release named by month and year, such as May 2022.
    Dated {
        /// From 2017.
        year: u16,
        /// 1 to 12.
        month: u8,
    },
}

impl QlikViewVersion {
    /// `W`: over how long the workstations of a person are counted (R13). That it follows the
    /// version in the same steps as the quarantine is inferred, so each can be set by hand.
    #[must_use]
    pub fn window(self) -> Millis {
        self.quarantine()
    }

    /// `Q`: how long a used CAL rests after it was unassigned (R10). 7 days from 11.20 SR18,
    /// 12.00 SR6, 12.10 and later, else 24 hours.
    #[must_use]
    pub fn quarantine(self) -> Millis {
        let long = match self {
            Self::Dated { .. } => true,
            Self::Numbered {
                major,
                minor,
                service_release,
            } => match (major, minor) {
                (11, 20) => service_release >= 18,
                (12, 0) => service_release >= 6,
                numbers => numbers >= (12, 10),
            },
        };
        if long { LONG } else { SHORT }
    }
}

/// 12.10, which the configuration documents as its default.
impl Default for QlikViewVersion {
    fn default() -> Self {
        Self::Numbered {
            major: 12,
            minor: 10,
            service_release: 0,
        }
    }
}

impl fmt::Display for QlikViewVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Dated { year, month } => {
                write!(f, "{} {year}", MONTHS[usize::from(month - 1)])
            }
            Self::Numbered {
                major,
                minor,
                service_release: 0,
            } => write!(f, "{major}.{minor:02}"),
            Self::Numbered {
                major,
                minor,
                service_release,
            } => write!(f, "{major}.{minor:02} SR{service_release}"),
        }
    }
}

/// A text that is no known version of `QlikView` Server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnknownVersion {
    /// None of the vendor's spellings.
    #[error("not a version such as \"11.20 SR17\", \"12.10\" or \"May 2022\"")]
    Spelling,
    /// A build of 11.20 or 12.00, where the service release decides and a build does not tell it.
    #[error("a build of 11.20 or 12.00 does not tell its service release; write \"11.20 SR17\"")]
    ServiceReleaseMissing,
}

/// Case and spaces do not matter; the word `QlikView` may stand in front.
impl FromStr for QlikViewVersion {
    type Err = UnknownVersion;

    fn from_str(text: &str) -> Result<Self, UnknownVersion> {
        let compact: String = text
            .chars()
            .filter(|char| !char.is_whitespace())
            .map(|char| char.to_ascii_lowercase())
            .collect();
        let version = compact.strip_prefix("qlikview").unwrap_or(&compact);
        if version.starts_with(|first: char| first.is_ascii_alphabetic()) {
            parse_dated(version).ok_or(UnknownVersion::Spelling)
        } else {
            parse_numbered(version)
        }
    }
}

/// "may2022", "nov2017", "november2017sr4": the service release decides nothing there.
fn parse_dated(text: &str) -> Option<QlikViewVersion> {
    let (release, _) = split_service_release(text)?;
    let (name, digits) = release.split_at(release.find(|char: char| char.is_ascii_digit())?);
    let month = (1..)
        .zip(MONTHS)
        .find(|(_, full)| name.len() >= 3 && full.to_ascii_lowercase().starts_with(name))
        .map(|(month, _)| month)?;
    let year = parse_digits(digits, 4).filter(|_| digits.len() == 4)?;
    let known = (year, month) >= FIRST_DATED && year <= LAST_YEAR;
    known.then_some(QlikViewVersion::Dated { year, month })
}

/// "11.20sr17", "10sr4", "12.10", "12.70.20100".
fn parse_numbered(text: &str) -> Result<QlikViewVersion, UnknownVersion> {
    let (release, service_release) = split_service_release(text).ok_or(UnknownVersion::Spelling)?;
    let parts: Vec<&str> = release.split('.').collect();
    let (major, minor) = parse_numbers(&parts).ok_or(UnknownVersion::Spelling)?;
    let is_build = parts.len() > 2;
    if is_build && service_release.is_none() && matches!((major, minor), (11, 20) | (12, 0)) {
        return Err(UnknownVersion::ServiceReleaseMissing);
    }
    Ok(QlikViewVersion::Numbered {
        major,
        minor,
        service_release: service_release.unwrap_or(0),
    })
}

/// Major and minor of "12", "12.10" or "12.70.20100.0". The vendor also writes 12.10 as "12.1".
fn parse_numbers(parts: &[&str]) -> Option<(u8, u8)> {
    let (major, minor, build) = match parts {
        [major] => (major, &"0", &[][..]),
        [major, minor, build @ ..] if build.len() <= 2 => (major, minor, build),
        _ => return None,
    };
    build
        .iter()
        .try_for_each(|number| parse_digits::<u32>(number, 9).map(drop))?;
    let major = parse_digits(major, 2).filter(|major| MAJORS.contains(major))?;
    let tens = if minor.len() == 1 { 10 } else { 1 };
    Some((major, parse_digits::<u8>(minor, 2)? * tens))
}

/// Takes "sr17" off the end; "ir", the initial release, is the service release 0.
fn split_service_release(text: &str) -> Option<(&str, Option<u8>)> {
    if let Some(release) = text.strip_suffix("ir") {
        return Some((release, Some(0)));
    }
    match text.split_once("sr") {
        Some((release, number)) => Some((release, Some(parse_digits(number, 2)?))),
        None => Some((text, None)),
    }
}

/// A number of one to so many ASCII digits.
fn parse_digits<T: FromStr>(text: &str, digits_max: usize) -> Option<T> {
    let plain = !text.is_empty()
        && text.len() <= digits_max
        && text.bytes().all(|byte| byte.is_ascii_digit());
    if plain { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> QlikViewVersion {
        text.parse()
            .unwrap_or_else(|error| panic!("{text:?}: {error}"))
    }

    #[test]
    fn the_windows_change_at_the_documented_releases() {
        let table = [
            ("9 SR7", SHORT),
            ("10 SR4", SHORT),
            ("11", SHORT),
            ("11.00 SR3", SHORT),
            ("11.0.11440", SHORT),
            ("11.20", SHORT),
            ("11.20 IR", SHORT),
            ("11.2 SR17", SHORT),
            ("11.20 SR17", SHORT),
            ("11.20 SR18", LONG),
            ("11.20 SR19", LONG),
            ("11.20.13607.0 SR18", LONG),
            ("12", SHORT),
            ("12.00", SHORT),
            ("12.00 SR5", SHORT),
            ("12.00 SR6", LONG),
            ("12.0 SR7", LONG),
            ("12.10", LONG),
            ("12.1 SR3", LONG),
            ("12.10 IR", LONG),
            ("12.20", LONG),
            ("12.70.20100", LONG),
            ("12.70.20100.0", LONG),
            ("November 2017", LONG),
            ("Nov 2017", LONG),
            ("May 2022", LONG),
            ("May 2021 SR1", LONG),
            ("September2025", LONG),
        ];
        for (text, length) in table {
            assert_eq!(parse(text).quarantine(), length, "{text}");
            assert_eq!(parse(text).window(), length, "{text}");
        }
    }

    #[test]
    fn case_and_spaces_do_not_matter() {
        let table = [
            (" 11.20sr17 ", "11.20 SR17"),
            ("11.20  Sr 17", "11.20 SR17"),
            ("QlikView 12.10", "12.10"),
            ("10 SR4", "10.00 SR4"),
            ("SEPTEMBER 2025", "September 2025"),
            ("qlikview nov2017 sr5", "November 2017"),
        ];
        for (text, shown) in table {
            assert_eq!(parse(text).to_string(), shown, "{text}");
        }
    }

    #[test]
    fn other_spellings_are_errors() {
        let table = [
            "",
            " ",
            "latest",
            "12.",
            ".10",
            "12.x",
            "12.100",
            "6.00",
            "13.00",
            "11.20 SR",
            "11.20 SR100",
            "11.20 SRx",
            "11.20 SR-1",
            "12.10.1.2.3",
            "12.10.x",
            "+12.10",
            "-1",
            "2022",
            "May",
            "Ma 2022",
            "May 22",
            "May 20222",
            "October 2017",
            "May 2100",
            "Mayor 2022",
            "2022 May",
            "May 2022 SRx",
            "11.20 SR17 SR18",
            "١٢.10",
            "qlikview",
        ];
        for text in table {
            let parsed = text.parse::<QlikViewVersion>();
            assert_eq!(parsed, Err(UnknownVersion::Spelling), "{text:?}");
        }
    }

    #[test]
    fn a_build_of_the_releases_where_the_service_release_decides_is_not_guessed() {
        for text in ["11.20.13607.0", "12.00.20100", "12.0.20300.0"] {
            let parsed = text.parse::<QlikViewVersion>();
            assert_eq!(parsed, Err(UnknownVersion::ServiceReleaseMissing), "{text}");
        }
    }

    #[test]
    fn the_default_is_12_10() {
        assert_eq!(QlikViewVersion::default(), parse("12.10"));
    }
}
