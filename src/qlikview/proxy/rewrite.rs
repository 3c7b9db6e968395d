//! Addresses of the inside in what comes down: the literal origin of every web server becomes the
//! gateway's own, in a stream, with constant memory, over the bounds of its pieces.

use hyper::body::Bytes;
use memchr::memmem;

/// What every origin holds once.
const MARK: &[u8] = b"://";
/// The schemes of web servers.
const SCHEMES: [&[u8]; 2] = [b"http", b"https"];

/// The origins of the inside, and what takes their place.
#[derive(Clone, Debug)]
pub(super) struct Addresses {
    /// In lower case, the longest first.
    inside: Vec<Vec<u8>>,
    outside: Vec<u8>,
}

/// Rewrites one body.
pub(super) struct Rewriter {
    addresses: Addresses,
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
    /// `inside` are origins without a slash at their ends.
    pub(super) fn new<'a>(inside: impl Iterator<Item = &'a str>, outside: &str) -> Self {
        let mut inside: Vec<Vec<u8>> = inside
            .map(|origin| origin.to_ascii_lowercase().into_bytes())
            .collect();
        inside.sort_by_key(|origin| std::cmp::Reverse(origin.len()));
        Self {
            inside,
            outside: outside.as_bytes().to_vec(),
        }
    }

    /// Rewrites a short text.
    pub(super) fn rewritten(&self, text: &[u8]) -> Vec<u8> {
        let mut rewriter = Rewriter::new(self.clone());
        let mut out = rewriter.push(Bytes::copy_from_slice(text)).to_vec();
        out.extend_from_slice(&rewriter.finish());
        out
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
        [] => is_last.then_some(true),
        [b'.' | b':'] => is_last.then_some(true),
        [b'.' | b':', next, ..] => Some(!goes_on(next)),
        [next, ..] => Some(!goes_on(next)),
    }
}

impl Rewriter {
    pub(super) const fn new(addresses: Addresses) -> Self {
        Self {
            addresses,
            held: Vec::new(),
        }
    }

    /// Takes the next piece in; gives out what is certain.
    pub(super) fn push(&mut self, piece: Bytes) -> Bytes {
        if self.held.is_empty() {
            return self.rewrite(piece, false);
        }
        let mut data = std::mem::take(&mut self.held);
        data.extend_from_slice(&piece);
        self.rewrite(data.into(), false)
    }

    /// Gives out the rest.
    pub(super) fn finish(&mut self) -> Bytes {
        let data = std::mem::take(&mut self.held);
        self.rewrite(data.into(), true)
    }

    fn rewrite(&mut self, data: Bytes, is_last: bool) -> Bytes {
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
    let ends_in = |scheme: &&&[u8]| {
        let start = before.len().checked_sub(scheme.len());
        start.is_some_and(|start| before[start..].eq_ignore_ascii_case(scheme))
    };
    let longest_first = SCHEMES.iter().rev();
    let scheme = longest_first.clone().find(ends_in)?;
    Some(before.len() - scheme.len())
}

/// How many of the last bytes may be the beginning of an origin whose mark has not come whole.
fn begun(data: &[u8]) -> usize {
    let beginnings = SCHEMES.iter().map(|scheme| [scheme, MARK].concat());
    let longest = |beginning: Vec<u8>| {
        let most = data.len().min(beginning.len() - 1);
        let fits = |&len: &usize| data[data.len() - len..].eq_ignore_ascii_case(&beginning[..len]);
        (1..=most).rev().find(fits).unwrap_or(0)
    };
    beginnings.map(longest).max().unwrap_or(0)
}
