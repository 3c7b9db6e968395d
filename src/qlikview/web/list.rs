//! The documents of the `AccessPoint` page, over its XML `update` protocol (CONFIRMED).
//!
//! The answer differs between versions and settings, so whatever is not used here may be anything.
//! What is used is read strictly: a document that cannot be named is left out.

use quick_xml::XmlVersion;
use quick_xml::events::{BytesStart, Event};
use quick_xml::reader::Reader;
use time::PrimitiveDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

use crate::domain::client::ClientKind;
use crate::domain::time::{SECOND_MS, Timestamp};

/// Where the list is asked for, with what the page's own script adds.
pub(super) const ADDRESS: &str =
    "/QvAJAXZfc/AccessPoint.aspx?mark=&platform=browser.accesspoint&dpi=96";
/// What the page's own script calls its bodies.
pub(super) const MEDIA_TYPE: &str = "text/plain; charset=utf-8";

/// Asks for all documents: page size 0 is all, and a search of the person's own does not count.
pub(super) const ALL: &str = "<update mark=\"\" stamp=\"\" cookie=\"true\" scope=\"Document\" \
    ident=\"AccessPoint\" kind=\"AccessPoint\"><set name=\"AccessPoint.SearchFilter\" text=\"\"/>\
    <set name=\"AccessPoint.Pagesize\" value=\"0\"/><set name=\"AccessPoint.Pages.Current\" \
    value=\"1\"/><set name=\"AccessPoint.Update\" action=\"\"/></update>";

/// Ends the session.
pub(super) const SIGN_OUT: &str = "<update mark=\"\" stamp=\"\" cookie=\"true\" scope=\"Document\" \
    ident=\"AccessPoint\" kind=\"AccessPoint\"><set name=\"AccessPoint.Logout\" action=\"\"/></update>";

/// How deep elements may stand in each other.
const DEPTH_MAX: usize = 64;

const SECONDS: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day] [hour]:[minute]:[second]");

/// One document of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedDocument {
    /// The server that holds it, as the QMC names it: `QVS@name`; empty where there is one alone.
    pub host: String,
    /// Its path there, with `/`.
    pub path: String,
    /// What the list calls it.
    pub title: String,
    /// Its category, where it has one.
    pub category: Option<String>,
    /// Its size in bytes, as exact as the list tells it; 0 where it does not.
    pub size_bytes: u64,
    /// When it was changed last, where the list tells.
    pub modified_at: Option<Timestamp>,
    /// With what it may be opened; what opens with the plug-in opens with Desktop.
    pub clients: Vec<ClientKind>,
}

/// What an answer says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Told {
    Documents(Vec<ListedDocument>),
    /// Nobody is signed in there.
    SignedOut,
}

/// Why an answer is no list.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadList {
    #[error("it is no well-formed XML: {0}")]
    Syntax(String),
    #[error("its elements stand deeper than {DEPTH_MAX} within each other")]
    Depth,
    #[error("it holds no list of documents")]
    Missing,
    #[error("it says: {0}")]
    Error(String),
}

/// Reads the answer to [`ALL`].
pub(super) fn read(body: &[u8]) -> Result<Told, BadList> {
    let body = body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body);
    let mut reader = Reader::from_reader(body);
    let mut seen = Seen::default();
    let mut depth = 0;
    loop {
        match reader.read_event().map_err(syntax)? {
            Event::Start(start) => {
                seen.begin(&start, depth)?;
                depth += 1;
                if depth > DEPTH_MAX {
                    return Err(BadList::Depth);
                }
            }
            Event::Empty(start) => {
                seen.begin(&start, depth)?;
                seen.end(depth);
            }
            Event::End(_) => {
                depth = depth.saturating_sub(1);
                seen.end(depth);
            }
            Event::Eof if depth > 0 => return Err(BadList::Syntax("it ends too early".to_owned())),
            Event::Eof => return seen.told(),
            _ => {}
        }
    }
}

/// What was read so far.
#[derive(Default)]
struct Seen {
    documents: Vec<ListedDocument>,
    /// How deep the `value` stands that holds the documents, while it is open.
    list_at: Option<usize>,
    has_list: bool,
    error: Option<String>,
    offers_sign_in: bool,
    offers_sign_out: bool,
    user: Option<String>,
}

impl Seen {
    fn begin(&mut self, start: &BytesStart<'_>, depth: usize) -> Result<(), BadList> {
        match (start.local_name().as_ref(), self.list_at) {
            (b"value", None) => self.value(start, depth),
            (b"element", Some(list_at)) if depth == list_at + 1 => {
                let document = document(start)?;
                if document.is_none() {
                    tracing::debug!("a document of the list that has no name was left out");
                }
                self.documents.extend(document);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn end(&mut self, depth: usize) {
        if self.list_at == Some(depth) {
            self.list_at = None;
        }
    }

    fn value(&mut self, start: &BytesStart<'_>, depth: usize) -> Result<(), BadList> {
        let name = attribute(start, "name")?.unwrap_or_default();
        let is_enabled = || {
            let mode = attribute(start, "mode")?;
            Ok(mode.is_some_and(|mode| mode == "enabled"))
        };
        match name.as_str() {
            "Documents" => {
                self.list_at = Some(depth);
                self.has_list = true;
            }
            "ErrorMessage" if is_enabled()? => self.error = attribute(start, "text")?,
            "Login" => self.offers_sign_in = is_enabled()?,
            "Logout" => self.offers_sign_out = is_enabled()?,
            "User" => self.user = attribute(start, "value")?,
            _ => {}
        }
        Ok(())
    }

    /// A server that lets anonymous people in answers them with a list too. It offers them to sign
    /// in, offers no signing out, and names nobody.
    fn told(self) -> Result<Told, BadList> {
        let is_nobody = self.user.is_none_or(|user| user.trim().is_empty());
        if self.offers_sign_in && !self.offers_sign_out && is_nobody {
            return Ok(Told::SignedOut);
        }
        if !self.has_list {
            return Err(BadList::Missing);
        }
        let error = self.error.filter(|text| !text.trim().is_empty());
        match error {
            Some(error) if self.documents.is_empty() => Err(BadList::Error(one_line(&error))),
            _ => Ok(Told::Documents(self.documents)),
        }
    }
}

fn document(start: &BytesStart<'_>) -> Result<Option<ListedDocument>, BadList> {
    let Some(value) = attribute(start, "value")? else {
        return Ok(None);
    };
    let server = attribute(start, "server")?.unwrap_or_default();
    let (host, path) = value.split_once('|').unwrap_or((&server, &value));
    let (host, path) = (host.trim(), path.trim());
    if path.is_empty() || value.contains(char::is_control) {
        return Ok(None);
    }
    let text = attribute(start, "text")?.filter(|text| !text.trim().is_empty());
    let category = attribute(start, "category")?;
    let size = attribute(start, "filesize")?;
    let modified = attribute(start, "lastModified")?;
    Ok(Some(ListedDocument {
        host: host.to_owned(),
        path: path.to_owned(),
        title: text.unwrap_or_else(|| title_of(path)),
        category: category.filter(|category| !category.trim().is_empty()),
        size_bytes: size.as_deref().and_then(bytes).unwrap_or(0),
        modified_at: modified.as_deref().and_then(instant),
        clients: clients(attribute(start, "clients")?.as_deref()),
    }))
}

/// The file's name without its ending.
fn title_of(path: &str) -> String {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.strip_suffix(".qvw").unwrap_or(name).to_owned()
}

/// The kinds that `QlikView`'s words stand for; where the list tells none at all, all that may be.
fn clients(words: Option<&str>) -> Vec<ClientKind> {
    let Some(words) = words else {
        return vec![ClientKind::Desktop, ClientKind::Plugin, ClientKind::Ajax];
    };
    let has = |word: &str| {
        let mut all = words.split(';').map(str::trim);
        all.any(|known| known.eq_ignore_ascii_case(word))
    };
    let offered = |kind: &ClientKind| match kind {
        ClientKind::Desktop | ClientKind::Plugin => has("Plugin"),
        ClientKind::Ajax => has("Ajax") || has("AjaxOnSmallDevices"),
        ClientKind::Download => has("Download"),
    };
    ClientKind::ALL.into_iter().filter(offered).collect()
}

/// `357 MB`, `12 KB`, `1,5 GB`, `1.234 KB` to bytes. Languages part thousands and fractions by point
/// or comma; three digits behind the only one of them are thousands.
fn bytes(text: &str) -> Option<u64> {
    let plain: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    let unit_at = plain.find(|c: char| c.is_ascii_alphabetic())?;
    let (number, unit) = plain.split_at(unit_at);
    let power = match unit.to_ascii_lowercase().as_str() {
        "b" | "byte" | "bytes" => 0,
        "kb" | "kib" | "k" => 1,
        "mb" | "mib" | "m" => 2,
        "gb" | "gib" | "g" => 3,
        "tb" | "tib" | "t" => 4,
        _ => return None,
    };
    let unit = 1_024_u64.pow(power);
    let (whole, fraction) = parted(number)?;
    let whole: u64 = whole.parse().ok()?;
    // Six digits are exact enough, and cannot run over.
    let fraction: String = fraction.chars().take(6).collect();
    let scale = 10_u64.pow(u32::try_from(fraction.len()).ok()?);
    let part: u64 = if fraction.is_empty() {
        0
    } else {
        fraction.parse().ok()?
    };
    let part = u128::from(part) * u128::from(unit) / u128::from(scale);
    whole
        .checked_mul(unit)?
        .checked_add(u64::try_from(part).ok()?)
}

/// The whole part of a number, without what parts thousands, and its fraction.
fn parted(number: &str) -> Option<(String, String)> {
    let is_mark = |c: char| matches!(c, '.' | ',' | '\'' | '\u{2019}');
    let digits = |text: &str| {
        text.chars()
            .filter(char::is_ascii_digit)
            .collect::<String>()
    };
    if !number.starts_with(|c: char| c.is_ascii_digit())
        || !number.chars().all(|c| c.is_ascii_digit() || is_mark(c))
    {
        return None;
    }
    let whole = || Some((digits(number), String::new()));
    let Some(at) = number.rfind(is_mark) else {
        return whole();
    };
    let mark = number[at..].chars().next()?;
    let fraction = &number[at + mark.len_utf8()..];
    let before = &number[..at];
    let repeated = before.contains(mark);
    let is_only = !before.contains(is_mark);
    if repeated || (is_only && fraction.len() == 3 && before != "0") {
        return whole();
    }
    Some((digits(before), fraction.to_owned()))
}

/// `YYYY-MM-DD HH:MM:SS`, UTC; the year 1 stands for never.
fn instant(text: &str) -> Option<Timestamp> {
    let at = PrimitiveDateTime::parse(text.trim(), SECONDS).ok()?;
    let seconds = at.assume_utc().unix_timestamp();
    (seconds > 0).then(|| Timestamp(seconds * SECOND_MS))
}

fn attribute(start: &BytesStart<'_>, name: &str) -> Result<Option<String>, BadList> {
    let found = start.try_get_attribute(name).map_err(syntax)?;
    found
        .map(|found| {
            let value = found.normalized_value(XmlVersion::Explicit1_0);
            value.map(std::borrow::Cow::into_owned).map_err(syntax)
        })
        .transpose()
}

fn syntax(error: impl std::fmt::Display) -> BadList {
    BadList::Syntax(one_line(&error.to_string()))
}

/// One short line of what a server says.
fn one_line(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let visible = line.chars().filter(|letter| !letter.is_control());
    visible.take(300).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(values: &str) -> String {
        format!(
            "<?xml version=\"1.0\" encoding=\"utf-8\"?><result mark=\"\" stamp=\"639000000000000000\" \
             session=\"{{0}}\"><object name=\"AccessPoint\">{values}</object></result>"
        )
    }

    fn listed(elements: &str) -> Vec<ListedDocument> {
        let text = answer(&format!(
            "<value name=\"DocCount\" mode=\"enabled\" text=\"2\"/>\
             <value name=\"Documents\" mode=\"enabled\" max_depth=\"1\">{elements}</value>"
        ));
        match read(text.as_bytes()).unwrap() {
            Told::Documents(documents) => documents,
            Told::SignedOut => panic!("{text}"),
        }
    }

    #[test]
    fn documents_are_read() {
        let documents = listed(
            "<element text=\"Sales &amp; more\" value=\"QVS@cluster|Sales/Demo.qvw\" depth=\"0\" \
             lastUpdate=\"2026-11-01 00:00:00\" lastModified=\"2026-11-24 12:34:56\" \
             clients=\"Ajax;Plugin;Download\" imgHash=\"00\" path=\"Sales\" server=\"QVS@cluster\" \
             category=\"Finance\" filesize=\"357 MB\" favorite=\"true\"><attribute key=\"a\" value=\"b\"/>\
             </element><element value=\"QVS@cluster|Plain.qvw\" clients=\"\" category=\"\"/>\
             <element value=\"Alone.qvw\" server=\"QVS@one\"/>",
        );
        assert_eq!(
            documents[0],
            ListedDocument {
                host: "QVS@cluster".to_owned(),
                path: "Sales/Demo.qvw".to_owned(),
                title: "Sales & more".to_owned(),
                category: Some("Finance".to_owned()),
                size_bytes: 357 * 1_024 * 1_024,
                modified_at: Some("2026-11-24T12:34:56.000Z".parse().unwrap()),
                clients: ClientKind::ALL.to_vec(),
            }
        );
        let plain = &documents[1];
        assert_eq!(
            (plain.title.as_str(), plain.category.as_ref()),
            ("Plain", None)
        );
        assert_eq!(
            (plain.size_bytes, plain.modified_at, plain.clients.len()),
            (0, None, 0)
        );
        let alone = &documents[2];
        assert_eq!(
            (alone.host.as_str(), alone.path.as_str()),
            ("QVS@one", "Alone.qvw")
        );
        assert!(alone.clients.contains(&ClientKind::Ajax));
    }

    #[test]
    fn what_cannot_be_named_is_left_out_and_what_is_unknown_does_not_matter() {
        let documents = listed(
            "<element text=\"no value\"/><element value=\"\"/><element value=\"QVS@a|\"/>\
             <element value=\"QVS@a|x&#10;y.qvw\"/><folder><element value=\"QVS@a|inner.qvw\"/></folder>\
             <element value=\"QVS@a|good.qvw\" filesize=\"many\" lastModified=\"yesterday\" new=\"1\"/>",
        );
        assert_eq!(documents.len(), 1);
        assert_eq!(documents[0].path, "good.qvw");
        let elsewhere = answer(
            "<value name=\"Category\"><choice><element value=\"x|y\" text=\"x\"/></choice></value>\
             <value name=\"Documents\"/>",
        );
        assert_eq!(
            read(elsewhere.as_bytes()).unwrap(),
            Told::Documents(Vec::new())
        );
    }

    #[test]
    fn what_is_no_list_is_an_error() {
        let deep = answer(&"<a>".repeat(DEPTH_MAX));
        for text in [
            "",
            "Invalid call",
            "<html><body>Sign in</body></html>",
            "<result><object name=\"AccessPoint\"/></result>",
            "<result><object><value name=\"Documents\">",
            "<result></wrong>",
            "<result><value name=\"Documents\"><element value='&unknown;'/></value></result>",
            deep.as_str(),
        ] {
            assert!(read(text.as_bytes()).is_err(), "{text}");
        }
        let told = answer(
            "<value name=\"ErrorMessage\" mode=\"enabled\" text=\"No\n server\"/><value name=\"Documents\"/>",
        );
        assert_eq!(
            read(told.as_bytes()),
            Err(BadList::Error("No server".to_owned()))
        );
    }

    #[test]
    fn a_list_for_nobody_means_signed_out() {
        let told = |login: &str, logout: &str, user: &str| {
            let values = format!(
                "<value name=\"User\" mode=\"enabled\" text=\"\" value=\"{user}\"/>\
                 <value name=\"Login\" mode=\"{login}\" value=\"/qlikview/login.htm\"/>\
                 <value name=\"Logout\" mode=\"{logout}\"/><value name=\"Documents\"/>"
            );
            read(answer(&values).as_bytes()).unwrap()
        };
        assert_eq!(told("enabled", "hidden", ""), Told::SignedOut);
        for (login, logout, user) in [
            ("hidden", "enabled", "CUSTOM\\alice"),
            ("enabled", "hidden", "CUSTOM\\alice"),
            ("enabled", "enabled", ""),
            ("hidden", "hidden", ""),
        ] {
            assert_eq!(told(login, logout, user), Told::Documents(Vec::new()));
        }
    }

    #[test]
    fn sizes_are_read_in_the_spellings_of_languages() {
        const KB: u64 = 1_024;
        for (text, expected) in [
            ("357 MB", Some(357 * KB * KB)),
            ("12 KB", Some(12 * KB)),
            ("1,5 GB", Some(3 * KB * KB * KB / 2)),
            ("1.5 GB", Some(3 * KB * KB * KB / 2)),
            ("1\u{A0}234 KB", Some(1_234 * KB)),
            ("1,234 KB", Some(1_234 * KB)),
            ("1.234.567 KB", Some(1_234_567 * KB)),
            ("1.234,5 KB", Some(1_234 * KB + KB / 2)),
            ("1,234.5 KB", Some(1_234 * KB + KB / 2)),
            ("1'234 KB", Some(1_234 * KB)),
            ("0,125 KB", Some(128)),
            ("0 bytes", Some(0)),
            ("17 B", Some(17)),
            ("2TB", Some(2 * KB * KB * KB * KB)),
            ("0,9999999999 KB", Some(1_023)),
            ("", None),
            ("357", None),
            ("MB", None),
            ("-1 MB", None),
            ("1 XB", None),
            ("1..5 MB", Some(15 * KB * KB)),
            (".5 MB", None),
            ("99999999999999999999 MB", None),
            ("99999999999999 TB", None),
        ] {
            assert_eq!(bytes(text), expected, "{text}");
        }
    }

    #[test]
    fn instants_are_utc_and_the_year_1_is_never() {
        assert_eq!(instant("1970-01-01 00:00:01"), Some(Timestamp(1_000)));
        for text in [
            "",
            "0001-01-01 00:00:00",
            "2026-13-01 00:00:00",
            "2026-11-24T12:00:00",
            "24.11.2026",
        ] {
            assert_eq!(instant(text), None, "{text}");
        }
    }

    #[test]
    fn clients_are_the_kinds_that_words_stand_for() {
        use ClientKind::{Ajax, Desktop, Download, Plugin};
        for (words, expected) in [
            (Some("Ajax"), vec![Ajax]),
            (Some("AjaxOnSmallDevices"), vec![Ajax]),
            (Some(" plugin ;AJAX"), vec![Desktop, Plugin, Ajax]),
            (Some("Download;Other"), vec![Download]),
            (Some(""), vec![]),
            (None, vec![Desktop, Plugin, Ajax]),
        ] {
            assert_eq!(clients(words), expected, "{words:?}");
        }
    }
}
