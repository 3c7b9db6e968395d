//! Addresses of the inside in what comes down: the literal origin of every web server becomes the
//! gateway's own, in a stream, with constant memory, over the bounds of its pieces.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::sync::Arc;

use hyper::body::Bytes;
use memchr::memmem;

/// What every origin holds once.
const MARK: &[u8] = b"://";
/// The schemes of web servers, with the ports that they stand for.
const SCHEMES: [(&str, &str); 2] = [("https", ":443"), ("http", ":80")];

/// The origins of the inside, and what takes their place.
#[derive(Debug)]
pub(super) struct Addresses {
    /// In lower case, the longest first.
    inside: Vec<Vec<u8>>,
    outside: Vec<u8>,
}

/// Rewrites one body.
pub(super) struct Rewriter {
    addresses: Arc<Addresses>,
    /// The end of what came, as far as it may be the beginning of an address.
    held: Vec<u8>,
}

/// What stands at a place where an address may begin.
enum Found {
    Address {
        len: usize,
    },
    Nothing,
    /// More must be seen.
    Open,
}

impl Addresses {
    /// `inside` are origins without a slash at their ends. With and without the port that their scheme
    /// stands for they are the same.
    pub(super) fn new<'a>(inside: impl Iterator<Item = &'a str>, outside: &str) -> Self {
        let mut spellings: Vec<Vec<u8>> = Vec::new();
        for origin in inside {
            let origin = origin.to_ascii_lowercase();
            for (scheme, port) in SCHEMES {
                if !origin.starts_with(&format!("{scheme}://")) {
                    continue;
                }
                let other = match origin.strip_suffix(port) {
                    Some(bare) => Some(bare.to_owned()),
                    None if has_port(&origin) => None,
                    None => Some(format!("{origin}{port}")),
                };
                spellings.extend(other.map(String::into_bytes));
            }
            spellings.push(origin.into_bytes());
        }
        spellings.sort_by_key(|origin| Reverse(origin.len()));
        Self {
            inside: spellings,
            outside: outside.as_bytes().to_vec(),
        }
    }

    /// Rewrites a short text.
    pub(super) fn rewritten<'a>(self: &Arc<Self>, text: &'a [u8]) -> Cow<'a, [u8]> {
        if memmem::find(text, MARK).is_none() {
            return text.into();
        }
        let mut rewriter = Rewriter::new(Arc::clone(self));
        let mut out = rewriter.push(&Bytes::copy_from_slice(text)).to_vec();
        out.extend_from_slice(&rewriter.finish());
        out.into()
    }

    /// Whether an address stands where `data` begins.
    fn at(&self, data: &[u8], is_last: bool) -> Found {
        let mut is_open = false;
        for origin in &self.inside {
            let common = data.len().min(origin.len());
            if !data[..common].eq_ignore_ascii_case(&origin[..common]) {
                continue;
            }
            if common < origin.len() {
                is_open |= !is_last;
                continue;
            }
            match ends(&data[common..], is_last) {
                Some(true) if !is_open => return Found::Address { len: common },
                Some(false) => {}
                _ => is_open = true,
            }
        }
        if is_open { Found::Open } else { Found::Nothing }
    }
}

/// Whether an origin ends before these bytes; nothing where more must be seen. A name that goes on
/// is another host, a number after `:` another port.
fn ends(after: &[u8], is_last: bool) -> Option<bool> {
    let goes_on = |byte: u8| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'~' | b'%' | b'@' | 0x80..)
    };
    match *after {
        [] | [b'.' | b':'] => is_last.then_some(true),
        [b'.' | b':', next, ..] | [next, ..] => Some(!goes_on(next)),
    }
}

impl Rewriter {
    pub(super) const fn new(addresses: Arc<Addresses>) -> Self {
        Self {
            addresses,
            held: Vec::new(),
        }
    }

    /// Takes the next piece in; gives out what is certain.
    pub(super) fn push(&mut self, piece: &Bytes) -> Bytes {
        if self.held.is_empty() {
            return self.rewrite(piece, false);
        }
        let mut data = std::mem::take(&mut self.held);
        data.extend_from_slice(piece);
        self.rewrite(&data.into(), false)
    }

    /// Gives out the rest.
    pub(super) fn finish(&mut self) -> Bytes {
        let data = std::mem::take(&mut self.held);
        self.rewrite(&data.into(), true)
    }

    fn rewrite(&mut self, data: &Bytes, is_last: bool) -> Bytes {
        let mut out: Vec<u8> = Vec::new();
        // Up to here everything is in `out`; up to there everything was looked at.
        let (mut done, mut seen) = (0, 0);
        let mut end = data.len();
        while let Some(found) = memmem::find(&data[seen..], MARK) {
            let mark = seen + found;
            seen = mark + MARK.len();
            let Some(start) = scheme_start(&data[done..mark]).map(|start| done + start) else {
                continue;
            };
            match self.addresses.at(&data[start..], is_last) {
                Found::Address { len } => {
                    out.extend_from_slice(&data[done..start]);
                    out.extend_from_slice(&self.addresses.outside);
                    done = start + len;
                    seen = done;
                }
                Found::Open => {
                    end = start;
                    break;
                }
                Found::Nothing => {}
            }
        }
        if end == data.len() && !is_last {
            end -= begun(&data[done..]);
        }
        self.held.extend_from_slice(&data[end..]);
        if done == 0 {
            return data.slice(..end);
        }
        out.extend_from_slice(&data[done..end]);
        out.into()
    }
}

/// Where the scheme begins that ends where `before` does.
fn scheme_start(before: &[u8]) -> Option<usize> {
    SCHEMES.iter().find_map(|(scheme, _)| {
        let start = before.len().checked_sub(scheme.len())?;
        let fits = before[start..].eq_ignore_ascii_case(scheme.as_bytes());
        fits.then_some(start)
    })
}

/// How many of the last bytes may be the beginning of an origin whose mark has not come whole.
fn begun(data: &[u8]) -> usize {
    let longest = |(scheme, _): &(&str, &str)| {
        let beginning = [scheme.as_bytes(), MARK].concat();
        let most = data.len().min(beginning.len() - 1);
        let fits = |&len: &usize| data[data.len() - len..].eq_ignore_ascii_case(&beginning[..len]);
        (1..=most).rev().find(fits).unwrap_or(0)
    };
    SCHEMES.iter().map(longest).max().unwrap_or(0)
}

/// Whether an origin names a port; colons of an IPv6 address stand in brackets.
fn has_port(origin: &str) -> bool {
    let authority = super::heads::authority_of(origin);
    let after_address = authority.rsplit(']').next();
    after_address.is_some_and(|end| end.contains(':'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fresh::Fresh;

    const OUTSIDE: &str = "https://ap.example";
    const INSIDE: [&str; 4] = [
        "https://qvws.internal",
        "http://qvws.internal:8080",
        "http://qvws.internal:80801",
        "http://[fd00::7]",
    ];

    fn addresses() -> Arc<Addresses> {
        Arc::new(Addresses::new(INSIDE.into_iter(), OUTSIDE))
    }

    fn rewritten(text: &str) -> String {
        let out = addresses().rewritten(text.as_bytes()).into_owned();
        String::from_utf8(out).unwrap()
    }

    /// Pieces of so many bytes, the last number for all that is left.
    fn in_pieces(text: &[u8], lengths: &[usize]) -> (Vec<u8>, usize) {
        let mut rewriter = Rewriter::new(addresses());
        let (mut out, mut held_most, mut rest) = (Vec::new(), 0, text);
        for length in lengths.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (piece, after) = rest.split_at((*length).clamp(1, rest.len()));
            out.extend_from_slice(&rewriter.push(&Bytes::copy_from_slice(piece)));
            held_most = held_most.max(rewriter.held.len());
            rest = after;
        }
        out.extend_from_slice(&rewriter.finish());
        (out, held_most)
    }

    /// The same in the plainest way: whole, byte after byte.
    fn naively(text: &[u8]) -> Vec<u8> {
        let all = addresses();
        let mut out = Vec::new();
        let mut at = 0;
        while at < text.len() {
            let begins = |origin: &&Vec<u8>| {
                let end = at + origin.len();
                let same = text
                    .get(at..end)
                    .is_some_and(|part| part.to_ascii_lowercase() == **origin);
                let name = |byte: u8| {
                    byte.is_ascii_alphanumeric() || b"-_~%@".contains(&byte) || byte >= 0x80
                };
                let after = text.get(end).copied().unwrap_or(b' ');
                let second = text.get(end + 1).copied().unwrap_or(b' ');
                let goes_on = name(after) || (b".:".contains(&after) && name(second));
                same && !goes_on
            };
            if let Some(origin) = all.inside.iter().find(begins) {
                out.extend_from_slice(OUTSIDE.as_bytes());
                at += origin.len();
            } else {
                out.push(text[at]);
                at += 1;
            }
        }
        out
    }

    #[test]
    fn addresses_of_the_inside_become_ours() {
        for (text, expected) in [
            ("https://qvws.internal/x", "https://ap.example/x"),
            ("HTTPS://QVWS.Internal", "https://ap.example"),
            ("a='https://qvws.internal'", "a='https://ap.example'"),
            (
                "\"https://qvws.internal\\/x\"",
                "\"https://ap.example\\/x\"",
            ),
            ("https://qvws.internal:443/x", "https://ap.example/x"),
            ("http://qvws.internal:8080/x", "https://ap.example/x"),
            ("http://[fd00::7]/x", "https://ap.example/x"),
            ("http://[fd00::7]:80/x", "https://ap.example/x"),
            ("see https://qvws.internal.", "see https://ap.example."),
            (
                "see https://qvws.internal: it",
                "see https://ap.example: it",
            ),
            (
                "https://qvws.internalhttps://qvws.internal",
                "https://qvws.internalhttps://ap.example",
            ),
            ("xhttps://qvws.internal?y", "xhttps://ap.example?y"),
            (
                "https://qvws.internal https://qvws.internal",
                "https://ap.example https://ap.example",
            ),
        ] {
            assert_eq!(rewritten(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_another_host_or_port_stays() {
        for text in [
            "https://qvws.internal.example/",
            "https://qvws.internals",
            "https://qvws.internal-2",
            "https://qvws.internal:8443/",
            "https://qvws.internal:pw@x/",
            "https://qvws.internal@x/",
            "https://qvws.internal%2ex/",
            "https://qvws.internal\u{e4}/",
            "http://qvws.internal/",
            "http://qvws.internal:808/",
            "http://[fd00::7]:81/",
            "//qvws.internal/",
            "qvws.internal",
            "ftp://qvws.internal",
            "://",
            "s://qvws.internal",
            "",
        ] {
            assert_eq!(rewritten(text), text);
        }
    }

    #[test]
    fn an_address_over_the_bounds_of_pieces_is_found() {
        let text = b"<a href=\"https://qvws.internal/x\"> http://qvws.internal:8080 http://qvws.internal:80801";
        let expected = b"<a href=\"https://ap.example/x\"> https://ap.example https://ap.example";
        for length in 1..text.len() {
            assert_eq!(in_pieces(text, &[length]).0, expected, "{length}");
        }
        // What is certain is not held back.
        let mut rewriter = Rewriter::new(addresses());
        assert_eq!(rewriter.push(&Bytes::from_static(b"abc htt")), "abc ");
        assert_eq!(rewriter.push(&Bytes::from_static(b"x")), "httx");
    }

    #[test]
    fn pieces_of_any_length_give_what_the_whole_does() {
        let fresh = Fresh::seeded(77);
        let parts = [
            "https://qvws.internal",
            "http://qvws.internal:8080",
            "http://qvws.internal:80801",
            "http://[fd00::7]",
            "HTTPS://QVWS.INTERNAL:443",
            "https://qvws.inter",
            "http",
            "https",
            "://",
            ":",
            "/",
            ".",
            "-",
            "0",
            "1",
            "x",
            " ",
            "\"",
            "\u{e4}",
            "@",
            "s",
        ];
        let longest = addresses().inside[0].len() + 2;
        for round in 0..5_000 {
            let drawn = fresh.bytes::<24>();
            let text: String = drawn
                .iter()
                .map(|&byte| parts[usize::from(byte) % parts.len()])
                .collect();
            let lengths: Vec<usize> = fresh
                .bytes::<16>()
                .iter()
                .map(|&byte| 1 + usize::from(byte) % 20)
                .collect();
            let expected = naively(text.as_bytes());
            let (found, held) = in_pieces(text.as_bytes(), &lengths);
            assert_eq!(found, expected, "round {round}: {text} in {lengths:?}");
            assert!(
                held <= longest,
                "round {round}: {held} bytes were held of {text}"
            );
        }
    }
}
