//! What the body of a POST is, judged by its first bytes: the root element `Global` stands for calls
//! that give tickets and lists in anybody's name, and is never passed.
//!
//! The server reads the body with a parser of its own, so whatever that parser might read in another
//! way than this one is not guessed at: it cannot be judged.

use http::HeaderValue;
use percent_encoding::percent_decode;

/// How much of a body is judged, in bytes. What names no root element by then is not passed.
pub(super) const JUDGED_BYTES: usize = 4_096;

/// The element that is never passed, in any case and under any prefix.
const GLOBAL: &str = "global";

/// What a body is, as far as it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It may go up.
    Passes,
    /// Its root element is `Global`.
    IsGlobal,
    /// It could be read in several ways.
    Unjudged(&'static str),
    /// More of it must be seen.
    Open,
}

/// What the content type says of how a body is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reading {
    is_form: bool,
    charset: Charset,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Charset {
    /// None is named, or one in which ASCII is ASCII.
    LikeAscii,
    Utf16,
    Other,
}

impl Reading {
    /// Reads a content type; a body without one is read as it is.
    pub(super) fn of(content_type: Option<&HeaderValue>) -> Self {
        let Some(content_type) = content_type else {
            return Self::of_text("");
        };
        content_type.to_str().map_or(
            Self {
                is_form: true,
                charset: Charset::Other,
            },
            Self::of_text,
        )
    }

    fn of_text(content_type: &str) -> Self {
        let mut parts = content_type.split(';').map(str::trim);
        let media = parts.next().unwrap_or_default().to_ascii_lowercase();
        let charsets = parts.filter_map(|part| {
            let (name, value) = part.split_once('=')?;
            let named = name.trim().eq_ignore_ascii_case("charset");
            named.then(|| Charset::named(value))
        });
        let charset = charsets.reduce(|one, other| {
            // Two that differ are read in two ways.
            if one == other { one } else { Charset::Other }
        });
        Self {
            is_form: media == "application/x-www-form-urlencoded",
            charset: charset.unwrap_or(Charset::LikeAscii),
        }
    }
}

impl Charset {
    fn named(name: &str) -> Self {
        let name = name
            .trim()
            .trim_matches(['"', '\''])
            .trim()
            .to_ascii_lowercase();
        match name.as_str() {
            "" | "utf-8" | "utf8" | "us-ascii" | "ascii" => Self::LikeAscii,
            "utf-16" | "utf-16le" | "utf-16be" | "unicode" => Self::Utf16,
            _ if name.starts_with("iso-8859-") || name.starts_with("windows-125") => {
                Self::LikeAscii
            }
            _ => Self::Other,
        }
    }
}

/// Judges a body by its beginning; `is_whole` where nothing follows. Bytes beyond [`JUDGED_BYTES`]
/// are not looked at.
pub(super) fn judge(reading: Reading, head: &[u8], is_whole: bool) -> Verdict {
    let is_full = head.len() >= JUDGED_BYTES;
    let judged = &head[..head.len().min(JUDGED_BYTES)];
    let is_whole = is_whole && head.len() <= JUDGED_BYTES;
    if reading.charset == Charset::Other {
        return Verdict::Unjudged("its character set");
    }
    let verdict = if reading.is_form {
        if !is_whole && !is_full {
            return Verdict::Open;
        }
        judge_form(judged, reading.charset, is_whole)
    } else {
        judge_document(judged, reading.charset, is_whole)
    };
    match verdict {
        Verdict::Open if is_full => {
            Verdict::Unjudged("it names no root element in its first 4 KiB")
        }
        verdict => verdict,
    }
}

/// Clients send XML as a form too, encoded or not, as the whole body or as a value in it. Whichever
/// of these the server reads, it is judged.
fn judge_form(body: &[u8], charset: Charset, is_whole: bool) -> Verdict {
    let raw = judge_document(body, charset, is_whole);
    let decoded = judge_document(&form_decoded(body), charset, is_whole);
    let mut worst = worse(raw, decoded);
    let mut pairs = body.split(|&byte| byte == b'&').peekable();
    while let Some(pair) = pairs.next() {
        let ends = is_whole || pairs.peek().is_some();
        for part in pair.splitn(2, |&byte| byte == b'=') {
            worst = worse(worst, judge_document(&form_decoded(part), charset, ends));
        }
    }
    worst
}

fn worse(one: Verdict, other: Verdict) -> Verdict {
    let badness = |verdict| match verdict {
        Verdict::Passes => 0,
        Verdict::Open => 1,
        Verdict::Unjudged(_) => 2,
        Verdict::IsGlobal => 3,
    };
    if badness(other) > badness(one) {
        other
    } else {
        one
    }
}

fn form_decoded(part: &[u8]) -> Vec<u8> {
    let spaced: Vec<u8> = part
        .iter()
        .map(|&byte| if byte == b'+' { b' ' } else { byte })
        .collect();
    percent_decode(&spaced).collect()
}

fn judge_document(body: &[u8], charset: Charset, is_whole: bool) -> Verdict {
    if body.is_empty() && is_whole {
        return Verdict::Passes;
    }
    if body.len() < 4 && !is_whole {
        return Verdict::Open;
    }
    match decoded(body, charset) {
        Ok(text) => judge_text(&text, is_whole),
        Err(why) => Verdict::Unjudged(why),
    }
}

/// The text of a body, by its byte order mark or its first bytes, as parsers of XML find it out.
fn decoded(body: &[u8], charset: Charset) -> Result<String, &'static str> {
    const UTF_32: [&[u8]; 4] = [
        &[0xFF, 0xFE, 0, 0],
        &[0, 0, 0xFE, 0xFF],
        &[b'<', 0, 0, 0],
        &[0, 0, 0, b'<'],
    ];
    const EBCDIC: &[u8] = &[0x4C, 0x6F, 0xA7, 0x94];
    const UTF_7: &[u8] = b"+/v";
    let begins = |mark: &[u8]| body.starts_with(mark);
    if UTF_32.into_iter().any(begins) || begins(EBCDIC) || begins(UTF_7) {
        return Err("its encoding");
    }
    match *body {
        [0xFE, 0xFF, ref rest @ ..] => Ok(utf_16(rest, u16::from_be_bytes)),
        [0xFF, 0xFE, ref rest @ ..] => Ok(utf_16(rest, u16::from_le_bytes)),
        [0, second, ..] if second != 0 => Ok(utf_16(body, u16::from_be_bytes)),
        [first, 0, ..] if first != 0 => Ok(utf_16(body, u16::from_le_bytes)),
        _ if charset == Charset::Utf16 => Err("it is not in the character set that it names"),
        _ => Ok(String::from_utf8_lossy(body).into_owned()),
    }
}

fn utf_16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> String {
    let units = bytes.chunks_exact(2).map(|pair| unit([pair[0], pair[1]]));
    char::decode_utf16(units)
        .map(|letter| letter.unwrap_or(char::REPLACEMENT_CHARACTER))
        .collect()
}

fn judge_text(text: &str, is_whole: bool) -> Verdict {
    const CUT: Verdict = Verdict::Unjudged("its XML ends too early");
    let open = if is_whole { CUT } else { Verdict::Open };
    let mut rest = text;
    let mut is_xml = false;
    loop {
        rest = rest.trim_start_matches(is_skipped);
        let Some(markup) = rest.strip_prefix('<') else {
            return match (rest.is_empty(), is_xml) {
                (true, false) if is_whole => Verdict::Passes,
                (true, _) => open,
                (false, false) => Verdict::Passes,
                (false, true) => Verdict::Unjudged("text stands before its root element"),
            };
        };
        is_xml = true;
        if let Some(instruction) = markup.strip_prefix('?') {
            let Some((inside, after)) = instruction.split_once("?>") else {
                return open;
            };
            if let Some(why) = bad_declaration(inside) {
                return Verdict::Unjudged(why);
            }
            rest = after;
        } else if let Some(comment) = markup.strip_prefix("!--") {
            let Some((_, after)) = comment.split_once("--") else {
                return open;
            };
            match after.strip_prefix('>') {
                Some(after) => rest = after,
                None if after.is_empty() => return open,
                None => return Verdict::Unjudged("a comment in it is not well-formed"),
            }
        } else if "!--".starts_with(markup) {
            return open;
        } else if markup.starts_with('!') {
            return Verdict::Unjudged("it declares a document type");
        } else {
            return judge_name(markup, is_whole);
        }
    }
}

/// A root element by its name; nothing but its local part counts.
fn judge_name(markup: &str, is_whole: bool) -> Verdict {
    let ends = |c: char| c.is_whitespace() || matches!(c, '/' | '>' | '<');
    let name = match markup.find(ends) {
        Some(end) => &markup[..end],
        None if is_whole => markup,
        None => return Verdict::Open,
    };
    let local = name.rsplit(':').next().unwrap_or(name);
    if local.eq_ignore_ascii_case(GLOBAL) {
        return Verdict::IsGlobal;
    }
    let begins_well = local.starts_with(|c: char| c.is_alphabetic() || c == '_');
    if !begins_well || name.contains(is_in_no_name) {
        return Verdict::Unjudged("its root element has no name");
    }
    Verdict::Passes
}

/// White space of any alphabet, and what cannot be seen: readers that trim take it away.
fn is_skipped(c: char) -> bool {
    c.is_whitespace()
        || c.is_control()
        || matches!(
            c,
            '\u{200B}'..='\u{200F}' | '\u{2060}' | '\u{FEFF}' | '\u{FFFE}'
        )
}

fn is_in_no_name(c: char) -> bool {
    is_skipped(c) || c == char::REPLACEMENT_CHARACTER || "&;\"'=%$#@!?()[]{}|\\^`~+*,".contains(c)
}

/// What is wrong with an instruction: the declaration of XML may name another encoding than the one
/// in which the body was read.
fn bad_declaration(inside: &str) -> Option<&'static str> {
    let target = inside
        .split(|c: char| c.is_whitespace())
        .next()
        .unwrap_or_default();
    if !target.eq_ignore_ascii_case("xml") {
        return None;
    }
    let (_, after) = inside.split_once("encoding")?;
    let value = after.trim_start().strip_prefix('=').map(str::trim_start);
    let quoted = value.and_then(|value| {
        let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''))?;
        value[1..].split(quote).next()
    });
    let fits = quoted.is_some_and(|name| Charset::named(name) != Charset::Other);
    (!fits).then_some("its encoding")
}
