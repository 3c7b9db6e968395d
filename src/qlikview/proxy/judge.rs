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

/// What the content types of forms hold, wherever a reader looks for it.
const FORM: &str = "x-www-form-urlencoded";

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
        let parts = content_type.split(';').skip(1);
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
            is_form: content_type.to_ascii_lowercase().contains(FORM),
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

/// Whether a value of a query is XML whose root element is never passed: some pages take commands there.
pub(super) fn is_global(value: &str) -> bool {
    let value = form_decoded(value.as_bytes());
    judge_document(&value, Charset::LikeAscii, true) == Verdict::IsGlobal
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
            worst = worse(worst, judge_part(&form_decoded(part), charset, ends));
        }
    }
    worst
}

/// A name or a value in a form. What is cut off and may be anything stands for what lies beyond.
fn judge_part(part: &[u8], charset: Charset, ends: bool) -> Verdict {
    match judge_document(part, charset, ends) {
        Verdict::Open if part.trim_ascii_start().starts_with(b"<") => {
            Verdict::Unjudged("XML in it is longer than what is judged")
        }
        Verdict::Open => Verdict::Passes,
        verdict => verdict,
    }
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
    match decoded(body, charset, is_whole) {
        Ok(text) => judge_text(&text, is_whole),
        Err(why) => Verdict::Unjudged(why),
    }
}

/// The text of a body, by its byte order mark or its first bytes, as parsers of XML find it out.
fn decoded(body: &[u8], charset: Charset, is_whole: bool) -> Result<String, &'static str> {
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
        [0, b'<', ..] => Ok(utf_16(body, u16::from_be_bytes)),
        [b'<', 0, ..] => Ok(utf_16(body, u16::from_le_bytes)),
        [0, ..] if charset == Charset::Utf16 => Ok(utf_16(body, u16::from_be_bytes)),
        [_, 0, ..] if charset == Charset::Utf16 => Ok(utf_16(body, u16::from_le_bytes)),
        _ if charset == Charset::Utf16 => Err("it is not in the character set that it names"),
        _ if is_whole => Ok(String::from_utf8_lossy(body).into_owned()),
        _ => Ok(String::from_utf8_lossy(without_cut_letter(body)).into_owned()),
    }
}

/// Without the bytes at the end that begin a letter of UTF-8 whose rest has not come: a byte order
/// mark that came in two pieces would pass for another letter.
fn without_cut_letter(body: &[u8]) -> &[u8] {
    let tail = body.len().saturating_sub(3);
    let cut = body[tail..].iter().rposition(|&byte| byte >= 0xC0);
    let Some(start) = cut.map(|at| tail + at) else {
        return body;
    };
    match std::str::from_utf8(&body[start..]) {
        Err(error) if error.error_len().is_none() => &body[..start],
        _ => body,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fresh::Fresh;

    const XML: &str = "text/xml";
    const FORM_TYPE: &str = "application/x-www-form-urlencoded";

    fn verdict(content_type: &str, body: &[u8]) -> Verdict {
        let value = HeaderValue::try_from(content_type).unwrap();
        judge(Reading::of(Some(&value)), body, true)
    }

    fn utf_16(text: &str, to_bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(to_bytes).collect()
    }

    #[test]
    fn the_root_element_global_is_found_however_it_is_dressed() {
        for body in [
            "<Global/>",
            "<Global>",
            "<Global",
            "<Global method=\"GetWebTicket\"><UserId>x</UserId></Global>",
            "<global method='x'/>",
            "<GLOBAL\n/>",
            "<gLoBaL\t/>",
            "<q:Global xmlns:q='urn:x'/>",
            "<a:b:GLOBAL/>",
            " \r\n\t<Global/>",
            "\u{FEFF}<Global/>",
            "\u{FEFF}\u{FEFF} <Global/>",
            "\u{A0}\u{2003}\u{200B}<Global/>",
            "\u{1}\u{1F}<Global/>",
            "<?xml version=\"1.0\"?><Global/>",
            "<?xml version='1.0' encoding='utf-8'?>\n<!-- a --><Global/>",
            "<?xml version='1.0' encoding = \"ISO-8859-1\" standalone='yes' ?><Global/>",
            "<!-- <update> --><Global/>",
            "<!----><Global/>",
            "<!-- - --> <!-- b --><?pi <x> ?><Global/>",
            "<?xml-stylesheet encoding='ibm037'?><Global/>",
            "<Global\u{A0}method='x'/>",
            "<Global<x>",
        ] {
            assert_eq!(verdict(XML, body.as_bytes()), Verdict::IsGlobal, "{body:?}");
            assert_eq!(verdict("", body.as_bytes()), Verdict::IsGlobal, "{body:?}");
            for (name, to_bytes) in [
                ("LE", u16::to_le_bytes as fn(u16) -> [u8; 2]),
                ("BE", u16::to_be_bytes),
            ] {
                let marked = utf_16(&format!("\u{FEFF}{body}"), to_bytes);
                assert_eq!(verdict(XML, &marked), Verdict::IsGlobal, "{name}: {body:?}");
                let named = verdict("text/xml; charset=\"UTF-16\"", &marked);
                assert_eq!(named, Verdict::IsGlobal, "{name}: {body:?}");
                if body.starts_with('<') {
                    let bare = utf_16(body, to_bytes);
                    assert_eq!(verdict(XML, &bare), Verdict::IsGlobal, "{name}: {body:?}");
                }
            }
        }
    }

    #[test]
    fn zeros_in_front_hide_no_root_element() {
        for zeros in [1, 2, 4, 5, 100] {
            let body = [vec![0; zeros], b" <Global/>".to_vec()].concat();
            assert_ne!(verdict(XML, &body), Verdict::Passes, "{zeros}");
        }
    }

    #[test]
    fn the_root_element_global_is_found_in_a_form() {
        for body in [
            "<Global method=\"GetWebTicket\"/>",
            "%3CGlobal%20method%3D%22x%22/%3E",
            "%3cGlobal+method=x/>",
            "+%0d%0a%3CGlobal/%3E",
            "%EF%BB%BF%3CGlobal/%3E",
            "%3C?xml%20version='1.0'?%3E%3CGlobal/%3E",
            "%3C%47%6c%6F%62%61%6C/%3E",
            "x=1&y=%3CGlobal/%3E",
            "y=<Global/>&x=1",
            "y=%FF%FE%3C%00G%00l%00o%00b%00a%00l%00/%00%3E%00",
            // Decoded it is another element, and yet the server may read it as it is.
            "<!-- %2D%2D%3E <x/> --><Global/>",
        ] {
            assert_eq!(
                verdict(FORM_TYPE, body.as_bytes()),
                Verdict::IsGlobal,
                "{body}"
            );
            let with = format!("{FORM_TYPE}; charset=utf-8");
            assert_eq!(verdict(&with, body.as_bytes()), Verdict::IsGlobal, "{body}");
        }
        assert!(
            is_global("%3CGlobal%20method=%22GetTicketForMe%22/%3E") && is_global("<a:global/>")
        );
        assert!(!is_global("") && !is_global("Global") && !is_global("%3Cupdate/%3E"));
        let upper = FORM_TYPE.to_uppercase();
        assert_eq!(verdict(&upper, b"%3CGlobal/%3E"), Verdict::IsGlobal);
    }

    #[test]
    fn other_bodies_pass() {
        for (content_type, body) in [
            (XML, &b""[..]),
            (XML, b" \r\n"),
            (XML, b"<update mark=\"\"><Global/></update>"),
            (XML, b"<Globals/>"),
            (XML, b"<Global.x/>"),
            (XML, b"<Global:update/>"),
            (XML, b"<_x/>"),
            (XML, "<\u{e4}/>".as_bytes()),
            (XML, b"<?xml version='1.0'?><update/>"),
            ("text/plain", b"<update/>"),
            ("", b"<update/>"),
            ("application/json", b"{\"Global\": \"<Global/>\"}"),
            ("text/plain", b"Global"),
            ("text/plain", b"x <Global/>"),
            ("application/octet-stream", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"),
            ("application/octet-stream", b"\xff\xd8\xff\xe0\0\x10JFIF"),
            (
                "multipart/form-data; boundary=x",
                b"--x\r\nContent-Disposition: form-data\r\n\r\n<Global/>",
            ),
            (FORM_TYPE, b"username=alice&password=a%3Cb%26"),
            (FORM_TYPE, b"x=%253CGlobal/%253E"),
            (FORM_TYPE, b"x"),
            ("text/xml; charset=windows-1252", b"<update a='\xe4'/>"),
            ("text/xml; charset=utf-8; charset=UTF8", b"<update/>"),
        ] {
            assert_eq!(
                verdict(content_type, body),
                Verdict::Passes,
                "{content_type}: {}",
                body.escape_ascii()
            );
        }
        assert_eq!(
            judge(Reading::of(None), b"<update/>", true),
            Verdict::Passes
        );
    }

    #[test]
    fn what_could_be_read_in_two_ways_cannot_be_judged() {
        for (content_type, body) in [
            (XML, &b"<!DOCTYPE x [<!ENTITY e 'x'>]><Global/>"[..]),
            (XML, b"<?xml version='1.0'?><!DOCTYPE update><update/>"),
            (XML, b"<![CDATA[x]]><Global/>"),
            (XML, b"<!ELEMENT x>"),
            (XML, b"<"),
            (XML, b"<!"),
            (XML, b"<!-- never ends <Global/>"),
            (XML, b"<!-- a -- b --><Global/>"),
            (XML, b"<?pi never ends <Global/>"),
            (XML, b"<?xml version='1.0'?>"),
            (XML, b"<?xml version='1.0'?>text<Global/>"),
            (XML, b"<!-- a -->text"),
            (XML, b"</Global>"),
            (XML, b"< Global/>"),
            (XML, b"<1/>"),
            (XML, b"<G\0lobal/>"),
            (XML, b"<G&#108;obal/>"),
            (XML, b"<G\xfflobal/>"),
            (
                XML,
                b"<?xml version='1.0' encoding='utf-7'?>+ADw-Global/+AD4-",
            ),
            (XML, b"<?xml version='1.0' encoding='IBM037'?><update/>"),
            (XML, b"<?xml version='1.0' encoding=utf-8?><update/>"),
            (XML, b"\xff\xfe\0\0<\0\0\0"),
            (XML, b"\0\0\xfe\xff\0\0\0<"),
            (XML, b"<\0\0\0G\0\0\0"),
            (XML, b"\0\0\0<\0\0\0G"),
            (XML, b"\x4c\x6f\xa7\x94\x93"),
            (XML, b"+/v8-+ADw-Global/+AD4-"),
            ("text/xml; charset=utf-7", b"+ADw-Global/+AD4-"),
            (
                "text/xml; charset=ibm037",
                b"\x4c\xc7\x93\x96\x82\x81\x93\x61\x6e",
            ),
            ("text/xml; charset=iso-2022-jp", b"<update/>"),
            ("text/plain; charset=utf-32", b"x"),
            ("text/xml; charset=utf-16", b"<update/>"),
            ("text/xml; charset=utf-8; charset=utf-16", b"<update/>"),
            (
                "text/xml; charset=utf-8, text/xml; charset=utf-7",
                b"<update/>",
            ),
            (
                "text/xml, application/X-WWW-form-urlencoded",
                b"%3C!DOCTYPE%20x%3E",
            ),
            (FORM_TYPE, b"x=%3C!DOCTYPE%20x%3E%3CGlobal/%3E"),
        ] {
            let found = verdict(content_type, body);
            assert!(
                matches!(found, Verdict::Unjudged(_)),
                "{content_type}: {}: {found:?}",
                body.escape_ascii()
            );
        }
        let odd = HeaderValue::from_bytes(b"text/xml; charset=\xff").unwrap();
        let found = judge(Reading::of(Some(&odd)), b"<update/>", true);
        assert!(matches!(found, Verdict::Unjudged(_)));
    }

    #[test]
    fn a_body_is_judged_as_soon_as_it_can_be_and_within_4_kib() {
        let reading = Reading::of(None);
        for cut in [
            "", "<", "<!", "<!-", "<!--", "<!-- --", "<?", "<?xml ?>", "<Glob", "<Global", "  ",
            "abc",
        ] {
            assert_eq!(
                judge(reading, cut.as_bytes(), false),
                Verdict::Open,
                "{cut}"
            );
        }
        assert_eq!(judge(reading, b"<Global ", false), Verdict::IsGlobal);
        assert_eq!(judge(reading, b"<update ", false), Verdict::Passes);
        assert_eq!(judge(reading, b"plain", false), Verdict::Passes);
        for filler in [" ", "<!--x-->", "<?x?>"] {
            let long = filler.repeat(JUDGED_BYTES);
            for end in ["<Global/>", "<update/>"] {
                let body = format!(
                    "{}{end}",
                    &long[..JUDGED_BYTES - JUDGED_BYTES % filler.len()]
                );
                let found = judge(reading, body.as_bytes(), true);
                assert!(matches!(found, Verdict::Unjudged(_)), "{filler}: {found:?}");
            }
        }
        let before = format!("{}<Global>", " ".repeat(JUDGED_BYTES - 8));
        assert_eq!(judge(reading, before.as_bytes(), false), Verdict::IsGlobal);
        let long_name = format!("<{}", "a".repeat(JUDGED_BYTES));
        assert!(matches!(
            judge(reading, long_name.as_bytes(), false),
            Verdict::Unjudged(_)
        ));
        let large = format!("<update>{}</update>", "<x/>".repeat(JUDGED_BYTES));
        assert_eq!(judge(reading, large.as_bytes(), false), Verdict::Passes);
    }

    #[test]
    fn a_long_form_passes_by_what_is_seen_of_it() {
        let form = Reading::of(Some(&HeaderValue::from_static(FORM_TYPE)));
        assert_eq!(judge(form, b"a=1", false), Verdict::Open);
        for end in ["", "&", "&x", "&x=", "&x=1", "&x=12345"] {
            let body = format!("a={}{end}", "b".repeat(JUDGED_BYTES - 2 - end.len()));
            assert_eq!(
                judge(form, body.as_bytes(), false),
                Verdict::Passes,
                "{end}"
            );
        }
        let cut = format!("a={}&x=<Glob", "b".repeat(JUDGED_BYTES - 10));
        assert!(matches!(
            judge(form, cut.as_bytes(), false),
            Verdict::Unjudged(_)
        ));
    }

    #[test]
    fn no_bytes_make_it_panic_and_no_split_changes_a_verdict() {
        let fresh = Fresh::seeded(4_711);
        let alphabet = b"<>!-?/:&=%;\"' \n\0\xff\xfe\xef\xbb\xbfGlobalxml3CcedingutfDOCTYPE[]";
        for round in 0..20_000 {
            let bytes = fresh.bytes::<48>();
            let len = usize::from(bytes[0]) % 47;
            let drawn = bytes[1..=len].iter();
            let body: Vec<u8> = if round % 2 == 0 {
                drawn.copied().collect()
            } else {
                drawn
                    .map(|&byte| alphabet[usize::from(byte) % alphabet.len()])
                    .collect()
            };
            for reading in [
                Reading::of(None),
                Reading::of(Some(&HeaderValue::from_static(FORM_TYPE))),
            ] {
                let whole = judge(reading, &body, true);
                assert_ne!(whole, Verdict::Open, "{}", body.escape_ascii());
                // A verdict on a beginning is the verdict on the whole.
                for cut in 0..body.len() {
                    let early = judge(reading, &body[..cut], false);
                    let agrees = early == Verdict::Open || early == whole;
                    assert!(
                        agrees,
                        "{cut} of {}: {early:?}, {whole:?}",
                        body.escape_ascii()
                    );
                }
            }
        }
    }
}
