//! The licence enabler file (LEF): lines `attribute;value;from;to`.
//!
//! Trailing columns may be missing; attributes are case-insensitive and repeatable; unknown ones,
//! lines without `;` and empty values are kept, in order. A line counts while
//! `from <= now < to + 1 day` (UTC dates, an empty end is open). Which attributes hold CAL counts
//! and the edition is a table of the configuration. The check string is opaque, and the serial
//! number is never shown whole.

use super::policy::LefAttributes;
use super::time::{Millis, Timestamp, parse_date};

/// The longest LEF that is read, in bytes.
pub const LEF_BYTES_MAX: usize = 256 * 1024;

/// A LEF that was read and understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct License {
    text: String,
    named_cals: Vec<(u32, Validity)>,
    editions: Vec<(Edition, Validity)>,
    lease_forbidden: Vec<Validity>,
    document_limits: Vec<(String, Validity)>,
    terms: Vec<Validity>,
}

/// When a line counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Validity {
    /// Inclusive beginning; none is open.
    pub from: Option<Timestamp>,
    /// Exclusive end (the day after `to`); none is open.
    pub until: Option<Timestamp>,
}

impl Validity {
    /// Whether the line counts at this instant.
    #[must_use]
    pub fn counts(self, now: Timestamp) -> bool {
        self.from.is_none_or(|from| from <= now) && self.until.is_none_or(|until| now < until)
    }
}

/// A special edition, as far as the rules tell them apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edition {
    /// May lease.
    Enterprise,
    /// May lease.
    SmallBusiness,
    /// R1.
    Test,
    /// R2: Information Access, Extranet and everything else, as written.
    Other(String),
}

impl Edition {
    /// Spaces, `_` and case do not matter; empty is Enterprise.
    fn parse(text: &str) -> Self {
        let plain: String = text.chars().filter(|c| !matches!(c, ' ' | '_')).collect();
        match plain.to_ascii_uppercase().as_str() {
            "" | "ENTERPRISE" => Self::Enterprise,
            "SMALLBUSINESS" => Self::SmallBusiness,
            "TEST" => Self::Test,
            _ => Self::Other(text.to_owned()),
        }
    }

    /// The edition in words.
    #[must_use]
    pub fn words(&self) -> &str {
        match self {
            Self::Enterprise => "Enterprise",
            Self::SmallBusiness => "Small Business",
            Self::Test => "Test",
            Self::Other(text) => text,
        }
    }
}

/// A line of a LEF that cannot be used; lines count from 1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LefError {
    /// Larger than [`LEF_BYTES_MAX`].
    #[error("the LEF is larger than {LEF_BYTES_MAX} bytes")]
    TooLarge,
    /// No line has the form `attribute;value;from;to`.
    #[error("the LEF holds no line of the form attribute;value;from;to")]
    NoAttributes,
    /// A count is no whole number.
    #[error("line {line}: the value {value:?} of {attribute} is not a whole number")]
    BadNumber {
        /// The line.
        line: usize,
        /// Its attribute.
        attribute: String,
        /// What stands there.
        value: String,
    },
    /// A date is not `YYYY-MM-DD`.
    #[error("line {line}: {value:?} of {attribute} is not a date of the form YYYY-MM-DD")]
    BadDate {
        /// The line.
        line: usize,
        /// Its attribute.
        attribute: String,
        /// What stands there.
        value: String,
    },
    /// The licence is for another product.
    #[error(
        "line {line}: PRODUCTLEVEL {level} is not a QlikView Server licence (that is PRODUCTLEVEL 10)"
    )]
    OtherProduct {
        /// The line.
        line: usize,
        /// The level that stands there.
        level: String,
    },
}

impl License {
    /// The text of a LEF as it came. Bytes that are no UTF-8 (an owner's name in an old encoding)
    /// are kept out of the way; what the rules read is ASCII.
    #[must_use]
    pub fn text_of(bytes: &[u8]) -> String {
        String::from_utf8_lossy(bytes).into_owned()
    }

    /// Reads a LEF.
    ///
    /// # Errors
    ///
    /// Every line that cannot be used, in order: an unparsable number or date in a known
    /// attribute, a `PRODUCTLEVEL` other than 10; or that there is no attribute line at all.
    pub fn parse(text: &str, attributes: &LefAttributes) -> Result<Self, Vec<LefError>> {
        if text.len() > LEF_BYTES_MAX {
            return Err(vec![LefError::TooLarge]);
        }
        let (license, errors) = Self::read(text, attributes);
        if errors.is_empty() {
            Ok(license)
        } else {
            Err(errors)
        }
    }

    /// The licence of the customer's server: the lines of its LEF that can be read, and the number
    /// of named CALs that the server itself counts, which needs no table of attribute names.
    #[must_use]
    pub fn of_server(text: &str, attributes: &LefAttributes, named_cals: u32) -> Self {
        let (license, _) = Self::read(text, attributes);
        Self {
            named_cals: vec![(named_cals, Validity::default())],
            ..license
        }
    }

    /// What can be read, and every line that cannot.
    fn read(text: &str, attributes: &LefAttributes) -> (Self, Vec<LefError>) {
        let mut license = Self {
            text: text.to_owned(),
            named_cals: Vec::new(),
            editions: Vec::new(),
            lease_forbidden: Vec::new(),
            document_limits: Vec::new(),
            terms: Vec::new(),
        };
        let mut errors = Vec::new();
        let mut has_attributes = false;
        for line in lines(text) {
            has_attributes |= line.has_attribute_name();
            if let Err(error) = license.take(&line, attributes) {
                errors.push(error);
            }
        }
        if !has_attributes {
            errors.push(LefError::NoAttributes);
        }
        (license, errors)
    }

    /// The text as it was loaded.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The serial number with all but its last four digits hidden, where the LEF begins with one.
    #[must_use]
    pub fn masked_serial(&self) -> Option<String> {
        let digits: String = self
            .serial()?
            .chars()
            .filter(char::is_ascii_digit)
            .collect();
        Some(format!("************{}", &digits[digits.len() - 4..]))
    }

    /// The serial number as it is written, where the LEF begins with one.
    fn serial(&self) -> Option<&str> {
        let first = self
            .text
            .trim_start_matches('\u{feff}')
            .lines()
            .find(|l| !l.trim().is_empty())?;
        let serial = first.split(';').find(|part| is_serial(part.trim()))?;
        Some(serial.trim())
    }

    /// The text with the serial number masked wherever it stands.
    #[must_use]
    pub fn masked_text(&self) -> String {
        let (Some(serial), Some(masked)) = (self.serial(), self.masked_serial()) else {
            return self.text.clone();
        };
        let digits: String = serial.chars().filter(char::is_ascii_digit).collect();
        self.text.replace(serial, &masked).replace(&digits, &masked)
    }

    /// Attributes and values of its lines, in order; a line that holds the serial number is none.
    #[must_use]
    pub fn features(&self) -> Vec<(String, String)> {
        lines(&self.text)
            .filter(|line| !is_serial(line.attribute) && !is_serial(line.value))
            .map(|line| (line.attribute.to_owned(), line.value.to_owned()))
            .collect()
    }

    /// Named user CALs that the licence holds at this instant: its CAL lines that count, added up.
    #[must_use]
    pub fn named_cals(&self, now: Timestamp) -> u32 {
        let counting = self
            .named_cals
            .iter()
            .filter(|(_, validity)| validity.counts(now));
        counting.fold(0, |sum, (count, _)| sum.saturating_add(*count))
    }

    /// The edition that counts at this instant; the one that refuses where there are several.
    #[must_use]
    pub fn edition(&self, now: Timestamp) -> Edition {
        let counting = || {
            self.editions
                .iter()
                .filter(|(_, v)| v.counts(now))
                .map(|(e, _)| e)
        };
        counting()
            .find(|e| matches!(e, Edition::Test))
            .or_else(|| counting().find(|e| matches!(e, Edition::Other(_))))
            .or_else(|| counting().next())
            .cloned()
            .unwrap_or(Edition::Enterprise)
    }

    /// R1: whether a line that counts says special edition Test.
    #[must_use]
    pub fn is_test(&self, now: Timestamp) -> bool {
        self.editions
            .iter()
            .any(|(edition, v)| *edition == Edition::Test && v.counts(now))
    }

    /// R2: the edition that cannot lease, where one counts.
    #[must_use]
    pub fn edition_without_lease(&self, now: Timestamp) -> Option<&str> {
        self.editions.iter().find_map(|(edition, v)| match edition {
            Edition::Other(text) if v.counts(now) => Some(text.as_str()),
            _ => None,
        })
    }

    /// R3: whether a `LICENSE_LEASE;NO;;` counts.
    #[must_use]
    pub fn forbids_lease(&self, now: Timestamp) -> bool {
        self.lease_forbidden.iter().any(|v| v.counts(now))
    }

    /// R4: the document limit that counts, as written.
    #[must_use]
    pub fn document_limit(&self, now: Timestamp) -> Option<&str> {
        let mut counting = self.document_limits.iter().filter(|(_, v)| v.counts(now));
        counting.next().map(|(limit, _)| limit.as_str())
    }

    /// R5: whether every `TIMELIMIT` and `PRODUCTLEVEL` line counts.
    #[must_use]
    pub fn in_force(&self, now: Timestamp) -> bool {
        self.terms.iter().all(|v| v.counts(now))
    }

    /// The end of a `TIMELIMIT` or `PRODUCTLEVEL` line that has ended, the first of them.
    #[must_use]
    pub fn ended_at(&self, now: Timestamp) -> Option<Timestamp> {
        self.terms
            .iter()
            .filter_map(|v| v.until)
            .filter(|until| *until <= now)
            .min()
    }

    /// When the licence ends by the lines that count now, where it does.
    #[must_use]
    pub fn ends_at(&self) -> Option<Timestamp> {
        self.terms.iter().filter_map(|v| v.until).min()
    }

    /// The earliest instant after `now` at which `passes` holds; only the beginnings and ends of
    /// lines can change it.
    pub fn earliest(
        &self,
        now: Timestamp,
        passes: impl Fn(Timestamp) -> bool,
    ) -> Option<Timestamp> {
        self.boundaries()
            .filter(|at| *at > now && passes(*at))
            .min()
    }

    /// The beginnings and ends of the lines that the rules read.
    pub fn boundaries(&self) -> impl Iterator<Item = Timestamp> + '_ {
        let cals = self.named_cals.iter().map(|(_, v)| v);
        let editions = self.editions.iter().map(|(_, v)| v);
        let limits = self.document_limits.iter().map(|(_, v)| v);
        let all = cals
            .chain(editions)
            .chain(limits)
            .chain(&self.lease_forbidden)
            .chain(&self.terms);
        all.flat_map(|v| [v.from, v.until]).flatten()
    }

    fn take(&mut self, line: &Line<'_>, attributes: &LefAttributes) -> Result<(), LefError> {
        let is = |names: &[String]| names.iter().any(|n| n.eq_ignore_ascii_case(line.attribute));
        if is(&attributes.named_cals) {
            self.named_cals.push((line.number()?, line.validity()?));
        } else if is(&attributes.special_edition) {
            self.editions
                .push((Edition::parse(line.value), line.validity()?));
        } else if line.attribute.eq_ignore_ascii_case("LICENSE_LEASE") {
            let validity = line.validity()?;
            if line.value.eq_ignore_ascii_case("NO") {
                self.lease_forbidden.push(validity);
            }
        } else if line.attribute.eq_ignore_ascii_case("NUMBER_OF_DOCUMENTS") {
            line.number()?;
            self.document_limits
                .push((line.value.to_owned(), line.validity()?));
        } else if line.attribute.eq_ignore_ascii_case("TIMELIMIT") {
            self.terms.push(line.validity()?);
        } else if line.attribute.eq_ignore_ascii_case("PRODUCTLEVEL") {
            if line.number()? != 10 && !line.value.is_empty() {
                return Err(LefError::OtherProduct {
                    line: line.at,
                    level: line.value.to_owned(),
                });
            }
            self.terms.push(line.validity()?);
        }
        Ok(())
    }
}

/// One `attribute;value;from;to` line, its columns trimmed.
struct Line<'a> {
    at: usize,
    attribute: &'a str,
    value: &'a str,
    from: &'a str,
    to: &'a str,
}

/// The attribute lines of a LEF; lines without `;` are header, owner or check string.
fn lines(text: &str) -> impl Iterator<Item = Line<'_>> {
    let text = text.trim_start_matches('\u{feff}');
    text.lines()
        .enumerate()
        .filter(|(_, line)| line.contains(';'))
        .map(|(index, line)| {
            let mut columns = line.split(';').map(str::trim);
            let mut next = || columns.next().unwrap_or_default();
            Line {
                at: index + 1,
                attribute: next(),
                value: next(),
                from: next(),
                to: next(),
            }
        })
}

impl Line<'_> {
    /// Whether it begins as attributes are called; prose with a semicolon does not.
    fn has_attribute_name(&self) -> bool {
        let is_part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
        !self.attribute.is_empty() && self.attribute.bytes().all(is_part)
    }

    /// The value as a count; an empty one is 0.
    fn number(&self) -> Result<u32, LefError> {
        if self.value.is_empty() {
            return Ok(0);
        }
        let digits = self.value.bytes().all(|b| b.is_ascii_digit());
        let bad = || LefError::BadNumber {
            line: self.at,
            attribute: self.attribute.to_owned(),
            value: self.value.to_owned(),
        };
        if !digits {
            return Err(bad());
        }
        self.value.parse().map_err(|_| bad())
    }

    fn validity(&self) -> Result<Validity, LefError> {
        Ok(Validity {
            from: self.date(self.from)?,
            until: self
                .date(self.to)?
                .map(|last_day| last_day + Millis::days(1)),
        })
    }

    fn date(&self, text: &str) -> Result<Option<Timestamp>, LefError> {
        if text.is_empty() {
            return Ok(None);
        }
        let date = parse_date(text).ok_or_else(|| LefError::BadDate {
            line: self.at,
            attribute: self.attribute.to_owned(),
            value: text.to_owned(),
        })?;
        Ok(Some(Timestamp::start_of(date)))
    }
}

/// Sixteen digits, perhaps in groups.
fn is_serial(text: &str) -> bool {
    text.chars()
        .all(|c| c.is_ascii_digit() || matches!(c, ' ' | '-'))
        && text.chars().filter(char::is_ascii_digit).count() == 16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_serial_number_is_masked_wherever_it_stands() {
        let text = "1234 5678 9012 3456\nOwner;1234567890123456\nPRODUCTLEVEL;10;;\nCHECK;AB12\n";
        let license = License::parse(text, &LefAttributes::default()).unwrap();
        assert_eq!(
            license.masked_text(),
            "************3456\nOwner;************3456\nPRODUCTLEVEL;10;;\nCHECK;AB12\n"
        );
        let features = license.features();
        let names: Vec<&str> = features.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["PRODUCTLEVEL", "CHECK"]);
        let without = License::parse("PRODUCTLEVEL;10;;\n", &LefAttributes::default()).unwrap();
        assert_eq!(without.masked_text(), "PRODUCTLEVEL;10;;\n");
    }

    #[test]
    fn the_licence_of_a_server_is_what_can_be_read_and_its_own_count() {
        let names = LefAttributes::default();
        let now = Timestamp(1_800_000_000_000);
        let text = "PRODUCTLEVEL;10;;\nNUMBER_OF_NAMED_CALS;many;;\nLICENSE_LEASE;NO;;";
        assert!(License::parse(text, &names).is_err());
        let license = License::of_server(text, &names, 7);
        assert_eq!(license.named_cals(now), 7);
        assert!(license.forbids_lease(now) && license.in_force(now));
        assert_eq!(License::of_server("", &names, 3).named_cals(now), 3);
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn read(text: &str) -> License {
        License::parse(text, &LefAttributes::default()).unwrap()
    }

    fn errors(text: &str) -> Vec<String> {
        let errors = License::parse(text, &LefAttributes::default()).unwrap_err();
        errors.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn cal_lines_add_up_over_names_case_and_missing_columns() {
        let lef = read(
            "1234567890123456\r\nOwner\r\nPRODUCTLEVEL;10;;\r\nNUMBER_OF_NAMED_CALS;5;;\r\n\
             named_cals;3\r\nNAMED_USER_CALS;;;\r\nSOMETHING;ELSE;x;y\r\nABCD-EFGH\r\n",
        );
        assert_eq!(lef.named_cals(Timestamp(0)), 8);
        assert_eq!(lef.masked_serial().unwrap(), "************3456");
        assert_eq!(lef.edition(Timestamp(0)), Edition::Enterprise);
    }

    #[test]
    fn a_text_that_is_no_lef_is_refused() {
        for text in [
            "",
            "1234567890123456\nOwner\nABCD-EFGH\n",
            "Dear customer; here is your licence.\n",
            "a b;c\n;5;;\n",
        ] {
            let told = errors(text);
            assert_eq!(told.len(), 1, "{text:?}");
            assert!(told[0].starts_with("the LEF holds no line"), "{told:?}");
        }
        assert_eq!(
            read("UNKNOWN;1\nA letter; too\n").named_cals(Timestamp(0)),
            0
        );
    }

    #[test]
    fn a_line_counts_from_its_first_to_the_end_of_its_last_day() {
        let lef = read("NAMED_CALS;5;2026-03-01;2026-03-02");
        let table = [
            ("2026-02-28T23:59:59.999Z", 0),
            ("2026-03-01T00:00:00.000Z", 5),
            ("2026-03-02T23:59:59.999Z", 5),
            ("2026-03-03T00:00:00.000Z", 0),
        ];
        for (now, held) in table {
            assert_eq!(lef.named_cals(at(now)), held, "{now}");
        }
    }

    #[test]
    fn editions_are_told_apart_without_regard_to_spelling() {
        for (text, test, other) in [
            ("TEST", true, false),
            ("test", true, false),
            ("Small Business", false, false),
            ("SMALL_BUSINESS", false, false),
            ("", false, false),
            ("Information Access", false, true),
            ("EXTRANET", false, true),
            ("Something New", false, true),
        ] {
            let lef = read(&format!("Special_Edition;{text};;"));
            assert_eq!(lef.is_test(Timestamp(0)), test, "{text}");
            assert_eq!(
                lef.edition_without_lease(Timestamp(0)).is_some(),
                other,
                "{text}"
            );
        }
    }

    #[test]
    fn every_bad_line_is_named() {
        let found = errors(
            "PRODUCTLEVEL;30;;\nNAMED_CALS;five;;\nNAMED_CALS;-1;;\nNAMED_CALS;5;tomorrow;\n\
             TIMELIMIT;VALUE;;2026-13-01\nNAMED_CALS;99999999999;;\nUNKNOWN;x;not a date;",
        );
        assert_eq!(found.len(), 6, "{found:#?}");
        assert!(found[0].starts_with("line 1: PRODUCTLEVEL 30"));
        assert!(found[1].starts_with("line 2: the value \"five\" of NAMED_CALS"));
        assert!(found[3].contains("line 4") && found[3].contains("tomorrow"));
        assert!(found[4].contains("line 5") && found[4].contains("2026-13-01"));
        assert_eq!(errors("no lines at all").len(), 1);
    }

    #[test]
    fn a_term_not_yet_begun_and_one_that_ended_are_out_of_force() {
        let lef = read("PRODUCTLEVEL;10;2026-01-01;\nTIMELIMIT;VALUE;;2026-06-30");
        let table = [
            ("2025-12-31T23:59:59.999Z", false),
            ("2026-01-01T00:00:00.000Z", true),
            ("2026-06-30T23:59:59.999Z", true),
            ("2026-07-01T00:00:00.000Z", false),
        ];
        for (now, in_force) in table {
            assert_eq!(lef.in_force(at(now)), in_force, "{now}");
        }
        let before = at("2025-12-31T23:59:59.999Z");
        let begins = lef.earliest(before, |t| lef.in_force(t));
        assert_eq!(begins, Some(at("2026-01-01T00:00:00.000Z")));
        let after = at("2026-07-01T00:00:00.000Z");
        assert_eq!(lef.earliest(after, |t| lef.in_force(t)), None);
        assert_eq!(lef.ended_at(after), Some(after));
    }
}
