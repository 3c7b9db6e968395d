//! Paths of requests that are passed on to a Windows web server, in one spelling.
//!
//! Whoever decides by a path must read it as the server behind will. So a path is decoded once,
//! its dots are resolved, and whatever that server might read in another way (a second layer of
//! encoding, separators of Windows, streams, short names, look-alikes) is refused instead of
//! understood. What goes up is the path as it was judged, encoded anew.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use unicode_normalization::UnicodeNormalization;

/// The longest path that is looked at, in bytes; http.sys takes 16 KiB for a whole address.
const PATH_BYTES_MAX: usize = 4_096;

/// What stays as it is in a path that we write; `%` never does.
const PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'/')
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'!')
    .remove(b'$')
    .remove(b'&')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')')
    .remove(b'*')
    .remove(b'+')
    .remove(b',')
    .remove(b'=')
    .remove(b'@');

/// Names that Windows takes for devices, whatever follows a dot behind them.
const DEVICES: [&str; 4] = ["con", "prn", "aux", "nul"];

/// A path in its one spelling: absolute, decoded, without dot segments and empty segments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebPath {
    encoded: String,
    folded: String,
}

/// Why a path has no one spelling.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the path {0}")]
pub struct BadWebPath(&'static str);

impl WebPath {
    /// Reads a path as it stands in a request.
    ///
    /// # Errors
    ///
    /// The first thing in it that could be read in two ways.
    pub fn parse(raw: &str) -> Result<Self, BadWebPath> {
        if raw.len() > PATH_BYTES_MAX {
            return Err(BadWebPath("is too long"));
        }
        Self::from_decoded(&decoded(raw)?)
    }

    /// Reads a path that is not encoded, such as one in a configuration.
    ///
    /// # Errors
    ///
    /// As [`WebPath::parse`].
    pub fn from_decoded(decoded: &str) -> Result<Self, BadWebPath> {
        let rest = decoded
            .strip_prefix('/')
            .ok_or(BadWebPath("is not absolute"))?;
        decoded.chars().try_for_each(check_character)?;
        let mut segments: Vec<&str> = Vec::new();
        let mut pieces = rest.split('/').peekable();
        while let Some(piece) = pieces.next() {
            let is_last = pieces.peek().is_none();
            match piece {
                "" if is_last => segments.push(""),
                "" => return Err(BadWebPath("holds //")),
                "." | ".." => {
                    if piece == ".." && segments.pop().is_none() {
                        return Err(BadWebPath("leads above the root"));
                    }
                    // A dot segment at the end stands for a folder.
                    segments.extend(is_last.then_some(""));
                }
                name => {
                    check_name(name)?;
                    segments.push(name);
                }
            }
        }
        let whole = format!("/{}", segments.join("/"));
        Ok(Self {
            encoded: utf8_percent_encode(&whole, PATH).to_string(),
            folded: whole.to_lowercase(),
        })
    }

    /// The path as it goes up: the case as it came, everything unusual percent-encoded.
    #[must_use]
    pub fn encoded(&self) -> &str {
        &self.encoded
    }

    /// The path as it is compared: decoded, in lower case.
    #[must_use]
    pub fn folded(&self) -> &str {
        &self.folded
    }

    /// The names in it, as they are compared.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.folded.split('/').filter(|name| !name.is_empty())
    }

    /// Whether it is this folder or lies in it. Folders are folded and end in a slash.
    #[must_use]
    pub fn is_within(&self, folder: &str) -> bool {
        self.folded.starts_with(folder) || folder.strip_suffix('/') == Some(&self.folded)
    }
}

/// Decodes once, where every `%` begins an escape and none of them hides a separator.
fn decoded(raw: &str) -> Result<String, BadWebPath> {
    let escapes_are_whole = raw.split('%').skip(1).all(|after| {
        let digits = after.as_bytes().get(..2);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    });
    if !escapes_are_whole {
        return Err(BadWebPath("holds a % that begins no escape"));
    }
    if raw.to_ascii_lowercase().contains("%2f") {
        return Err(BadWebPath("holds an encoded slash"));
    }
    percent_decode_str(raw)
        .decode_utf8()
        .map(Into::into)
        .map_err(|_| BadWebPath("is not UTF-8"))
}

fn check_character(c: char) -> Result<(), BadWebPath> {
    match c {
        '%' => Err(BadWebPath("is encoded twice")),
        '\\' => Err(BadWebPath("holds a backslash")),
        ';' | ':' | '?' | '#' | '<' | '>' | '"' | '|' | '*' => {
            Err(BadWebPath("holds a character that names no file"))
        }
        _ if c.is_control() => Err(BadWebPath("holds a control character")),
        _ if is_invisible(c) => Err(BadWebPath("holds a character that cannot be seen")),
        _ if reads_as_ascii(c) => Err(BadWebPath("holds a letter that reads as another")),
        _ => Ok(()),
    }
}

/// Soft hyphens, joiners, marks of direction: names that differ in them alone look the same.
const fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{AD}' | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}'
    )
}

/// Full-width letters, the Kelvin sign and their like, which some part of Windows takes for ASCII.
fn reads_as_ascii(c: char) -> bool {
    let forms = || c.nfkc().chain(c.to_lowercase()).chain(c.to_uppercase());
    !c.is_ascii() && forms().any(|form| form.is_ascii())
}

/// Windows drops dots and spaces at the end of a name, gives long names a short one with `~`, and
/// ASP.NET takes `(S(...))` out of a path, wherever it stands.
fn check_name(name: &str) -> Result<(), BadWebPath> {
    if name.ends_with(['.', ' ']) {
        return Err(BadWebPath("holds a name that ends in a dot or a space"));
    }
    let bytes = name.as_bytes();
    let short = |pair: &[u8]| pair[0] == b'~' && pair[1].is_ascii_digit();
    if bytes.windows(2).any(short) {
        return Err(BadWebPath("holds the short form of a name"));
    }
    let token = |three: &[u8]| three[0] == b'(' && three[2] == b'(';
    if bytes.windows(3).any(token) {
        return Err(BadWebPath("holds a token of ASP.NET"));
    }
    let stem = name.split('.').next().unwrap_or_default().to_lowercase();
    let numbered = ["com", "lpt"].iter().any(|port| {
        let rest = stem.strip_prefix(port);
        rest.is_some_and(|rest| rest.len() == 1 && rest.as_bytes()[0].is_ascii_digit())
    });
    if numbered || DEVICES.contains(&stem.as_str()) {
        return Err(BadWebPath("names a device"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(raw: &str) -> String {
        WebPath::parse(raw).unwrap().encoded().to_owned()
    }

    #[test]
    fn h_10_a_path_comes_to_one_spelling() {
        for (raw, expected, folded) in [
            ("/", "/", "/"),
            (
                "/QvAJAXZfc/opendoc.htm",
                "/QvAJAXZfc/opendoc.htm",
                "/qvajaxzfc/opendoc.htm",
            ),
            ("/QvAJAXZfc/", "/QvAJAXZfc/", "/qvajaxzfc/"),
            (
                "/%51v%41JAXZfc/%6Fpendoc.htm",
                "/QvAJAXZfc/opendoc.htm",
                "/qvajaxzfc/opendoc.htm",
            ),
            ("/qlikview/./a/../b", "/qlikview/b", "/qlikview/b"),
            ("/qlikview/%2e/a/%2E%2e/b", "/qlikview/b", "/qlikview/b"),
            ("/qlikview/a/..", "/qlikview/", "/qlikview/"),
            ("/qlikview/.", "/qlikview/", "/qlikview/"),
            ("/a/../admin", "/admin", "/admin"),
            ("/a%20b/c+d", "/a%20b/c+d", "/a b/c+d"),
            ("/%C3%84/x", "/%C3%84/x", "/ä/x"),
            ("/a!$&'()+,=@~-_b", "/a!$&'()+,=@~-_b", "/a!$&'()+,=@~-_b"),
        ] {
            let path = WebPath::parse(raw).unwrap();
            assert_eq!((path.encoded(), path.folded()), (expected, folded), "{raw}");
            assert_eq!(
                WebPath::parse(path.encoded()).unwrap(),
                path,
                "again: {raw}"
            );
        }
    }

    #[test]
    fn h_10_what_could_be_read_in_two_ways_is_refused() {
        for raw in [
            "",
            "x",
            "qlikview/",
            "*",
            "https://x/",
            "//admin",
            "/x//y",
            "/qlikview//",
            "/..",
            "/../x",
            "/a/../../x",
            "/%2e%2e/x",
            "/a/%2e%2e/%2e%2e/x",
            "/../",
            "/%252e%252e/admin",
            "/%25",
            "/%",
            "/%4",
            "/%zz",
            "/a%2",
            "/%u0041",
            "/x%2fadmin",
            "/x%2Fadmin",
            "/x/..%2f..%2fadmin",
            "/x%5cadmin",
            "/x\\admin",
            "/..\\admin",
            "/x/..;/admin",
            "/admin;x=1",
            "/a:b",
            "/a::$DATA",
            "/c:/x",
            "/admin%00",
            "/a%0d%0aLocation",
            "/a%09b",
            "/a%7f",
            "/a%C2%85b",
            "/a%1b",
            "/a%3fx",
            "/a%23x",
            "/a%3Cb%3E",
            "/a%22b",
            "/a%7Cb",
            "/a*",
            "/%ff",
            "/%c0%ae%c0%ae/x",
            "/%ed%a0%80",
            "/admin.",
            "/admin%20",
            "/admin.%20/x",
            "/a.../b",
            "/.../b",
            "/a /b",
            "/GETWEB~1.ASP",
            "/qvajax~1/x",
            "/(S(x))/a",
            "/a(s(x))b",
            "/a/b(F(1))c",
            "/con",
            "/NUL.aspx",
            "/aux.txt",
            "/com1",
            "/LPT9.x",
            "/%EF%BC%A7etWebTicket.aspx",
            "/%EF%BC%8E%EF%BC%8E/x",
            "/%E2%84%AAa",
            "/%C5%BFx",
            "/%C4%B1x",
            "/%C4%B0x",
            "/a%E2%80%8Bb",
            "/a%C2%ADb",
            "/a%EF%BB%BF",
        ] {
            assert!(WebPath::parse(raw).is_err(), "{raw}");
        }
        let long = format!("/{}", "a".repeat(PATH_BYTES_MAX));
        assert!(WebPath::parse(&long).is_err());
        assert_eq!(encoded(&long[..PATH_BYTES_MAX]).len(), PATH_BYTES_MAX);
    }

    #[test]
    fn a_folder_holds_itself_and_what_lies_in_it() {
        let within = |raw, folder| WebPath::parse(raw).unwrap().is_within(folder);
        assert!(within("/QlikView", "/qlikview/"));
        assert!(within("/QlikView/", "/qlikview/"));
        assert!(within("/QLIKVIEW/x/y", "/qlikview/"));
        assert!(!within("/QlikViewer/x", "/qlikview/"));
        assert!(!within("/x/qlikview/", "/qlikview/"));
        let names: Vec<String> = WebPath::parse("/A/b/")
            .unwrap()
            .names()
            .map(str::to_owned)
            .collect();
        assert_eq!(names, ["a", "b"]);
    }
}
