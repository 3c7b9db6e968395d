//! The cookies of one session at a web server. They never leave the gateway.
//!
//! One jar belongs to one server, so domains do not matter. Paths are compared without regard to
//! case, as the server compares them: clients spell `QvAJAXZfc` in several ways.

use std::fmt::Write;

use http::header::SET_COOKIE;
use http::{HeaderMap, HeaderValue};
use time::macros::format_description;
use time::{OffsetDateTime, PrimitiveDateTime};

use crate::domain::time::{Millis, SECOND_MS, Timestamp};

/// How many cookies a jar holds; one more pushes the oldest out.
const COOKIES_MAX: usize = 50;
/// The longest name and value of one together, in bytes. A longer one is not kept, as in browsers.
const COOKIE_BYTES_MAX: usize = 4_096;
/// How many bytes a jar holds; more pushes the oldest out.
const JAR_BYTES_MAX: usize = 16_384;

/// The cookies that a server has set.
#[derive(Default)]
pub(super) struct Jar {
    /// The oldest first.
    cookies: Vec<Cookie>,
}

struct Cookie {
    name: String,
    value: String,
    path: String,
    /// When it ends; a cookie without an end lives as long as the session.
    ends_at: Option<Timestamp>,
}

impl Jar {
    /// Whether it holds nothing.
    pub(super) const fn is_empty(&self) -> bool {
        self.cookies.is_empty()
    }

    /// Keeps what an answer to a request for this path sets, and forgets what it deletes. What is no
    /// cookie is left out.
    pub(super) fn keep(&mut self, answer: &HeaderMap, request_path: &str, now: Timestamp) {
        for value in answer.get_all(SET_COOKIE) {
            let read = value.to_str().ok();
            if let Some(cookie) = read.and_then(|text| Cookie::read(text, request_path, now)) {
                self.put(cookie, now);
            }
        }
    }

    /// The `Cookie` header for a request for this path; none where no cookie belongs there. The more
    /// exact path comes first, then the older cookie.
    pub(super) fn header(&self, path: &str, now: Timestamp) -> Option<HeaderValue> {
        let goes = |cookie: &&Cookie| cookie.lives(now) && cookie.is_for(path);
        let mut going: Vec<&Cookie> = self.cookies.iter().filter(goes).collect();
        going.sort_by_key(|cookie| std::cmp::Reverse(cookie.path.len()));
        let mut text = String::new();
        for Cookie { name, value, .. } in going {
            let parting = if text.is_empty() { "" } else { "; " };
            // Writing to a text cannot fail.
            let _ = write!(text, "{parting}{name}={value}");
        }
        let mut header = HeaderValue::try_from(text)
            .ok()
            .filter(|text| !text.is_empty())?;
        header.set_sensitive(true);
        Some(header)
    }

    /// A cookie replaces the one with its name and path, and keeps its place.
    fn put(&mut self, cookie: Cookie, now: Timestamp) {
        let same = |kept: &Cookie| kept.name == cookie.name && kept.path == cookie.path;
        let place = self.cookies.iter().position(same);
        match (place, cookie.lives(now)) {
            (Some(place), true) => self.cookies[place] = cookie,
            (Some(place), false) => drop(self.cookies.remove(place)),
            (None, true) => self.cookies.push(cookie),
            (None, false) => {}
        }
        self.cookies.retain(|kept| kept.lives(now));
        while self.cookies.len() > COOKIES_MAX || self.bytes() > JAR_BYTES_MAX {
            self.cookies.remove(0);
        }
    }

    fn bytes(&self) -> usize {
        self.cookies.iter().map(Cookie::bytes).sum()
    }
}

impl Cookie {
    fn read(text: &str, request_path: &str, now: Timestamp) -> Option<Self> {
        let mut parts = text.split(';');
        let (name, value) = parts.next()?.split_once('=')?;
        let mut cookie = Self {
            name: name.trim().to_owned(),
            value: value.trim().to_owned(),
            path: folder_of(request_path).to_lowercase(),
            ends_at: None,
        };
        let mut age_is_told = false;
        for part in parts {
            let (attribute, value) = part.split_once('=').unwrap_or((part, ""));
            let value = value.trim();
            match attribute.trim().to_ascii_lowercase().as_str() {
                "path" if value.starts_with('/') => cookie.path = value.to_lowercase(),
                "max-age" => {
                    if let Some(ends_at) = after_seconds(value, now) {
                        cookie.ends_at = Some(ends_at);
                        age_is_told = true;
                    }
                }
                "expires" if !age_is_told => cookie.ends_at = read_date(value).or(cookie.ends_at),
                _ => {}
            }
        }
        let fits = !cookie.name.is_empty()
            && cookie.bytes() <= COOKIE_BYTES_MAX
            && !text.contains(char::is_control);
        fits.then_some(cookie)
    }

    fn bytes(&self) -> usize {
        self.name.len() + self.value.len()
    }

    fn lives(&self, now: Timestamp) -> bool {
        self.ends_at.is_none_or(|ends_at| now < ends_at)
    }

    fn is_for(&self, path: &str) -> bool {
        let path = path.to_lowercase();
        path.strip_prefix(&self.path).is_some_and(|rest| {
            rest.is_empty() || rest.starts_with('/') || self.path.ends_with('/')
        })
    }
}

/// The folder of a path, without the slash at its end.
fn folder_of(path: &str) -> &str {
    match path.rfind('/') {
        Some(at) if at > 0 => &path[..at],
        _ => "/",
    }
}

fn after_seconds(text: &str, now: Timestamp) -> Option<Timestamp> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    if digits != text {
        return Some(now);
    }
    // A number too large for us is longer than any session.
    let seconds: i64 = digits.parse().unwrap_or(i64::MAX);
    Some(now + Millis(seconds.saturating_mul(SECOND_MS)))
}

/// `Wed, 21 Oct 2026 07:28:00 GMT`, or with `-` between the parts of the date, as older servers write
/// it. The name of the day does not matter.
fn read_date(text: &str) -> Option<Timestamp> {
    let (_, rest) = text.split_once(',')?;
    let plain = rest.replace('-', " ");
    let plain = plain.trim().strip_suffix("GMT")?.trim();
    let long = format_description!(
        "[day] [month repr:short case_sensitive:false] [year] [hour]:[minute]:[second]"
    );
    let at: OffsetDateTime = PrimitiveDateTime::parse(plain, long).ok()?.assume_utc();
    Some(Timestamp(at.unix_timestamp().saturating_mul(SECOND_MS)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_800_000_000_000);
    const PAGE: &str = "/QvAJAXZfc/Authenticate.aspx";

    fn headers(values: &[&str]) -> HeaderMap {
        let pair = |value: &&str| (SET_COOKIE, HeaderValue::try_from(*value).unwrap());
        values.iter().map(pair).collect()
    }

    fn jar(values: &[&str]) -> Jar {
        let mut jar = Jar::default();
        jar.keep(&headers(values), PAGE, NOW);
        jar
    }

    fn sent(jar: &Jar, path: &str) -> String {
        let header = jar.header(path, NOW);
        header.map_or_else(String::new, |header| header.to_str().unwrap().to_owned())
    }

    #[test]
    fn a_cookie_goes_where_its_path_leads_in_any_case() {
        for (set, path, expected) in [
            ("a=1", "/QvAJAXZfc/AccessPoint.aspx", "a=1"),
            ("a=1", "/qvajaxzfc/AccessPoint.aspx", "a=1"),
            ("a=1", "/QvAJAXZfc", "a=1"),
            ("a=1", "/QvAJAXZfcX/y", ""),
            ("a=1", "/qlikview/", ""),
            ("a=1; Path=/", "/qlikview/", "a=1"),
            (
                "a=1; path=/QvAjaxZfc/; HttpOnly; Secure; SameSite=Lax",
                "/QVAJAXZFC/x",
                "a=1",
            ),
            ("a=1; path=/QvAjaxZfc/", "/QVAJAXZFC", ""),
            ("a=1; path=x", "/QvAJAXZfc/x", "a=1"),
            ("a=1; domain=elsewhere.example", "/QvAJAXZfc/x", "a=1"),
            (" a = 1 2 ; Path=/", "/x", "a=1 2"),
            ("a=b=c; Path=/", "/x", "a=b=c"),
            ("a=; Path=/", "/x", "a="),
        ] {
            assert_eq!(sent(&jar(&[set]), path), expected, "{set} for {path}");
        }
    }

    #[test]
    fn what_is_no_cookie_is_not_kept() {
        let long = format!("a={}", "x".repeat(COOKIE_BYTES_MAX));
        for set in ["", "a", "=1", ";a=1", long.as_str(), "a=1\tb"] {
            assert!(jar(&[set]).is_empty(), "{set}");
        }
    }

    #[test]
    fn a_cookie_is_replaced_in_its_place_and_deleted() {
        let mut jar = jar(&["a=1; Path=/", "b=2; Path=/", "a=3; Path=/QvAJAXZfc"]);
        assert_eq!(sent(&jar, "/QvAJAXZfc/x"), "a=3; a=1; b=2");
        jar.keep(&headers(&["a=4; Path=/"]), PAGE, NOW);
        assert_eq!(sent(&jar, "/x"), "a=4; b=2");
        jar.keep(&headers(&["a=; Path=/; Max-Age=0"]), PAGE, NOW);
        assert_eq!(sent(&jar, "/x"), "b=2");
        jar.keep(
            &headers(&["b=; Path=/; Expires=Thu, 01-Jan-1970 00:00:00 GMT"]),
            PAGE,
            NOW,
        );
        assert_eq!(sent(&jar, "/x"), "");
    }

    #[test]
    fn a_cookie_ends_when_it_says() {
        let until = |set: &str, after: i64| {
            let jar = jar(&[set]);
            jar.header("/x", NOW + Millis(after)).is_some()
        };
        assert!(until("a=1; Path=/; Max-Age=60", 59_999));
        assert!(!until("a=1; Path=/; Max-Age=60", 60_000));
        assert!(until(
            "a=1; Path=/; Max-Age=99999999999999999999",
            i64::MAX / 2
        ));
        assert!(!until("a=1; Path=/; Max-Age=-99999999999999999999", 0));
        assert!(until("a=1; Path=/; Max-Age=x", i64::MAX / 2));
        // NOW is 2027-01-15T08:00:00Z.
        for date in [
            "Fri, 15 Jan 2027 08:00:01 GMT",
            "Fri, 15-Jan-2027 08:00:01 GMT",
        ] {
            let set = format!("a=1; Path=/; Expires={date}");
            assert!(until(&set, 999), "{date}");
            assert!(!until(&set, 1_000), "{date}");
        }
        assert!(!until(
            "a=1; Path=/; Max-Age=0; Expires=Fri, 15 Jan 2027 09:00:00 GMT",
            0
        ));
        assert!(until("a=1; Path=/; Expires=some day", i64::MAX / 2));
    }

    #[test]
    fn a_jar_is_bounded_in_count_and_size() {
        let many: Vec<String> = (0..COOKIES_MAX + 5)
            .map(|n| format!("c{n}={n}; Path=/"))
            .collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let kept = sent(&jar(&many), "/x");
        assert_eq!(kept.split("; ").count(), COOKIES_MAX);
        assert!(
            kept.starts_with("c5=5; ") && kept.ends_with("c54=54"),
            "{kept}"
        );
        let large: Vec<String> = (0..9)
            .map(|n| format!("l{n}={}; Path=/", "x".repeat(4_000)))
            .collect();
        let large: Vec<&str> = large.iter().map(String::as_str).collect();
        let kept = sent(&jar(&large), "/x");
        assert!(
            kept.len() <= JAR_BYTES_MAX + 100 && kept.starts_with("l5="),
            "{}",
            kept.len()
        );
    }

    #[test]
    fn the_header_is_not_shown() {
        let header = jar(&["a=secret; Path=/"]).header("/", NOW).unwrap();
        assert!(!format!("{header:?}").contains("secret"));
    }
}
