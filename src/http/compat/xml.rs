//! XML as old clients write and read it: a body becomes a small tree, or a sentence that says what
//! is wrong with it.
//!
//! No document type, no entity but the five of XML, no more depth or elements than a body of ours
//! needs: nothing in a body makes another one of it. What is not well-formed is refused whole, also
//! where it could be guessed: a name that a client did not escape is another name.

use std::borrow::Cow;
use std::fmt::Write;
use std::sync::LazyLock;

use quick_xml::XmlVersion;
use quick_xml::escape::{escape, resolve_predefined_entity};
use quick_xml::events::{BytesRef, BytesStart, Event};
use quick_xml::name::ResolveResult;
use quick_xml::reader::NsReader;
use regex::Regex;

/// How deep elements may stand in each other.
const DEPTH_MAX: usize = 32;
/// Elements of one body; a management service with 10,000 CALs sends half as many.
const ELEMENTS_MAX: usize = 200_000;

/// The namespace of attributes such as `nil`.
const INSTANCE: &str = "http://www.w3.org/2001/XMLSchema-instance";

/// An element.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Element {
    /// Its namespace; empty where it has none.
    pub(super) namespace: String,
    /// Its name without a prefix.
    pub(super) name: String,
    /// Attributes by their names as they are written.
    pub(super) attributes: Vec<(String, String)>,
    /// Elements in it.
    pub(super) children: Vec<Element>,
    /// The text in it, without that of elements in it.
    pub(super) text: String,
    /// Whether it says of itself that it stands for nothing.
    pub(super) nil: bool,
}

/// Why a body is not understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadXml {
    /// Its bytes are no text.
    #[error("the body is not UTF-8")]
    NotUtf8,
    /// It is not well-formed.
    #[error("the body is not well-formed XML: {0}")]
    NotWellFormed(String),
    /// It declares a document type.
    #[error("the body declares a document type")]
    DocumentType,
    /// It names an entity that is none of XML.
    #[error("the body names the entity {0}, which is none of XML")]
    Entity(String),
    /// A prefix stands for nothing.
    #[error("the body uses the prefix of an unknown namespace")]
    Prefix,
    /// It is deeper or larger than any body that is asked for.
    #[error("the body is deeper than {DEPTH_MAX} or has more than {ELEMENTS_MAX} elements")]
    TooLarge,
    /// There is no element in it, or more than one.
    #[error("the body is not one element")]
    NotOneElement,
}

impl Element {
    /// The first child of this name.
    pub(super) fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.name == name)
    }

    /// The children of this name.
    pub(super) fn children_named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Self> {
        self.children.iter().filter(move |child| child.name == name)
    }

    /// The value of an attribute.
    pub(super) fn attribute(&self, name: &str) -> Option<&str> {
        let found = self.attributes.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// The declaration that may begin a body. Whatever encoding it tells, the bytes are UTF-8: programs
/// on Windows tell the encoding in which they held the text before.
static DECLARATION: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let declaration = r#"(?x)^<\?xml
        \s+ version \s* = \s* (?: "1\.[0-9]+" | '1\.[0-9]+' )
        (?: \s+ encoding \s* = \s* (?: "[A-Za-z][\w.-]*" | '[A-Za-z][\w.-]*' ) )?
        (?: \s+ standalone \s* = \s* (?: "(?:yes|no)" | '(?:yes|no)' ) )?
        \s* \?>"#;
    Regex::new(declaration).ok()
});

/// Reads a body; white space and comments around its element do not matter.
pub(super) fn parse(bytes: &[u8]) -> Result<Element, BadXml> {
    let text = std::str::from_utf8(bytes).map_err(|_| BadXml::NotUtf8)?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if !text.chars().all(is_character) {
        return Err(not_well_formed("a character that XML does not have"));
    }
    let declaration = DECLARATION.as_ref().and_then(|form| form.find(text));
    let mut reader = NsReader::from_str(&text[declaration.map_or(0, |found| found.end())..]);
    reader.config_mut().check_comments = true;
    let mut tree = Tree::default();
    loop {
        match reader.read_event().map_err(not_well_formed)? {
            Event::Start(start) => {
                let element = element(&start, &reader)?;
                tree.open(element)?;
            }
            Event::Empty(start) => {
                let element = element(&start, &reader)?;
                tree.open(element)?;
                tree.close()?;
            }
            Event::End(_) => tree.close()?,
            Event::Text(text) if text.windows(3).any(|three| three == b"]]>") => {
                return Err(not_well_formed("]]> in a text"));
            }
            Event::Text(text) => tree.text(&text.xml10_content().map_err(not_well_formed)?)?,
            Event::CData(text) => tree.text(&text.xml10_content().map_err(not_well_formed)?)?,
            Event::GeneralRef(reference) => tree.text(&referred(&reference)?)?,
            Event::DocType(_) => return Err(BadXml::DocumentType),
            Event::Decl(_) | Event::PI(_) => {
                return Err(not_well_formed("an instruction"));
            }
            Event::Comment(_) => {}
            Event::Eof => return tree.whole(),
        }
    }
}

fn not_well_formed(error: impl std::fmt::Display) -> BadXml {
    BadXml::NotWellFormed(error.to_string())
}

/// Elements that are open, the outermost first, and the whole one.
#[derive(Default)]
struct Tree {
    open: Vec<Element>,
    whole: Option<Element>,
    count: usize,
}

impl Tree {
    fn open(&mut self, element: Element) -> Result<(), BadXml> {
        self.count += 1;
        if self.count > ELEMENTS_MAX || self.open.len() == DEPTH_MAX {
            return Err(BadXml::TooLarge);
        }
        if self.open.is_empty() && self.whole.is_some() {
            return Err(BadXml::NotOneElement);
        }
        self.open.push(element);
        Ok(())
    }

    fn close(&mut self) -> Result<(), BadXml> {
        let closed = self.open.pop().ok_or(BadXml::NotOneElement)?;
        match self.open.last_mut() {
            Some(parent) => parent.children.push(closed),
            None => self.whole = Some(closed),
        }
        Ok(())
    }

    fn text(&mut self, text: &str) -> Result<(), BadXml> {
        match self.open.last_mut() {
            Some(element) => element.text.push_str(text),
            None if text.trim().is_empty() => {}
            None => return Err(BadXml::NotOneElement),
        }
        Ok(())
    }

    fn whole(self) -> Result<Element, BadXml> {
        match self.whole {
            Some(element) if self.open.is_empty() => Ok(element),
            _ => Err(BadXml::NotOneElement),
        }
    }
}

fn element(start: &BytesStart<'_>, reader: &NsReader<&[u8]>) -> Result<Element, BadXml> {
    let (namespace, name) = reader.resolver().resolve_element(start.name());
    let mut element = Element {
        namespace: namespace_text(&namespace)?,
        name: String::from_utf8_lossy(name.as_ref()).into_owned(),
        ..Element::default()
    };
    if !is_name(start.name().as_ref()) || !are_parted(start.attributes_raw()) {
        return Err(not_well_formed("a tag that is none"));
    }
    for attribute in start.attributes() {
        let attribute = attribute.map_err(not_well_formed)?;
        if !is_name(attribute.key.as_ref()) {
            return Err(not_well_formed("an attribute that is none"));
        }
        let value = attribute
            .normalized_value(XmlVersion::Implicit1_0)
            .map_err(not_well_formed)?
            .into_owned();
        let (namespace, local) = reader.resolver().resolve(attribute.key, false);
        if local.as_ref() == b"nil" && namespace_text(&namespace)? == INSTANCE {
            element.nil = matches!(value.trim(), "true" | "1");
        }
        let name = String::from_utf8_lossy(attribute.key.as_ref()).into_owned();
        element.attributes.push((name, value));
    }
    Ok(element)
}

fn is_name(name: &[u8]) -> bool {
    let may_begin = |c: char| c.is_alphabetic() || c == '_';
    let may_follow = |c: char| may_begin(c) || c.is_numeric() || "-.:".contains(c);
    std::str::from_utf8(name)
        .is_ok_and(|name| name.starts_with(may_begin) && name.chars().all(may_follow))
}

/// Whether attributes are parted by white space, and no tag begins within a value.
fn are_parted(attributes: &[u8]) -> bool {
    let (mut quote, mut ended) = (None, false);
    attributes.iter().all(|byte| match quote {
        Some(end) if *byte == end => {
            (quote, ended) = (None, true);
            true
        }
        Some(_) => *byte != b'<',
        None => {
            let parted = !ended || byte.is_ascii_whitespace();
            ended = false;
            quote = Some(*byte).filter(|byte| b"\"'".contains(byte));
            parted
        }
    })
}

fn namespace_text(namespace: &ResolveResult<'_>) -> Result<String, BadXml> {
    match namespace {
        ResolveResult::Unbound => Ok(String::new()),
        ResolveResult::Bound(namespace) => {
            Ok(String::from_utf8_lossy(namespace.as_ref()).into_owned())
        }
        ResolveResult::Unknown(_) => Err(BadXml::Prefix),
    }
}

/// What `&amp;` or `&#228;` stands for.
fn referred(reference: &BytesRef<'_>) -> Result<Cow<'static, str>, BadXml> {
    if let Some(character) = reference.resolve_char_ref().map_err(not_well_formed)? {
        if !is_character(character) {
            return Err(not_well_formed("a character that XML does not have"));
        }
        return Ok(character.to_string().into());
    }
    let name = reference.decode().map_err(not_well_formed)?;
    resolve_predefined_entity(&name)
        .map(Cow::Borrowed)
        .ok_or_else(|| BadXml::Entity(name.into_owned()))
}

/// A body that is written.
#[derive(Debug, Default)]
pub(super) struct Writer {
    text: String,
}

impl Writer {
    /// `<name attributes>`; the values are escaped.
    pub(super) fn open(&mut self, name: &str, attributes: &[(&str, &str)]) -> &mut Self {
        self.start(name, attributes);
        self.text.push('>');
        self
    }

    /// `</name>`
    pub(super) fn close(&mut self, name: &str) -> &mut Self {
        // Writing to a text cannot fail.
        let _ = write!(self.text, "</{name}>");
        self
    }

    /// `<name attributes/>`
    pub(super) fn empty(&mut self, name: &str, attributes: &[(&str, &str)]) -> &mut Self {
        self.start(name, attributes);
        self.text.push_str("/>");
        self
    }

    /// `<name>text</name>`
    pub(super) fn text(&mut self, name: &str, text: &str) -> &mut Self {
        self.open(name, &[]).content(text).close(name)
    }

    /// Text between tags.
    pub(super) fn content(&mut self, text: &str) -> &mut Self {
        self.text.push_str(&escaped(text));
        self
    }

    /// The whole body.
    pub(super) fn finish(self) -> String {
        self.text
    }

    fn start(&mut self, name: &str, attributes: &[(&str, &str)]) {
        self.text.push('<');
        self.text.push_str(name);
        for (name, value) in attributes {
            let _ = write!(self.text, " {name}=\"{}\"", escaped(value));
        }
    }
}

/// Whether XML has a way to write this.
const fn is_character(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'..)
}

/// Text as it may stand between tags and in attributes. What XML has no way to write, such as a
/// control character in the name of a file, is shown as unknown.
fn escaped(text: &str) -> String {
    let writable = |c: char| if is_character(c) { c } else { '\u{fffd}' };
    let plain: String = text.chars().map(writable).collect();
    escape(plain.as_str()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bad(text: &str) -> BadXml {
        parse(text.as_bytes()).unwrap_err()
    }

    #[test]
    fn a_body_becomes_a_tree() {
        let tree = parse(
            b"\xef\xbb\xbf<?xml version=\"1.0\"?>\r\n<!-- c --><a:Global xmlns:a='urn:x' method=\"Get &amp; go\">\
              <UserId>O&apos;Neil &amp; S&#246;hne<!-- c --> <![CDATA[<b>]]></UserId><None/></a:Global>\r\n",
        )
        .unwrap();
        assert_eq!(
            (tree.namespace.as_str(), tree.name.as_str()),
            ("urn:x", "Global")
        );
        assert_eq!(tree.attribute("method"), Some("Get & go"));
        let user = tree.child("UserId").unwrap();
        assert_eq!(user.text, "O'Neil & Söhne <b>");
        assert_eq!(user.namespace, "");
        assert_eq!(
            tree.child("None"),
            Some(&Element {
                name: "None".to_owned(),
                ..Element::default()
            })
        );
    }

    #[test]
    fn what_a_declaration_tells_does_not_matter() {
        for declaration in [
            "<?xml version=\"1.0\"?>",
            "<?xml version='1.0' encoding='utf-16'?>\r\n",
            "<?xml version = '1.1' encoding=\"iso-8859-1\" standalone='yes' ?>",
        ] {
            let tree = parse(format!("{declaration}<a>ü</a>").as_bytes()).unwrap();
            assert_eq!(tree.text, "ü", "{declaration}");
        }
    }

    #[test]
    fn nil_is_known_by_its_namespace() {
        let tree = parse(
            b"<a xmlns:i='http://www.w3.org/2001/XMLSchema-instance'><b i:nil='true'/><c nil='true'/></a>",
        )
        .unwrap();
        assert!(tree.child("b").unwrap().nil);
        assert!(!tree.child("c").unwrap().nil);
    }

    #[test]
    fn what_is_not_one_plain_element_is_refused() {
        for (text, expected) in [
            ("", BadXml::NotOneElement),
            ("text", BadXml::NotOneElement),
            ("<a/><b/>", BadXml::NotOneElement),
            ("<a/>text", BadXml::NotOneElement),
            (
                "<!DOCTYPE a [<!ENTITY e 'x'>]><a>&e;</a>",
                BadXml::DocumentType,
            ),
            ("<a>&e;</a>", BadXml::Entity("e".to_owned())),
            ("<p:a/>", BadXml::Prefix),
        ] {
            assert_eq!(bad(text), expected, "{text}");
        }
        for text in [
            "<a>",
            "<a></b>",
            "<a b=c/>",
            "<a b='1' b='2'/>",
            "<a>A & B</a>",
            "<a>&#0;</a>",
            "<a>&#1;</a>",
            "<a>\u{1}</a>",
            "<a>\u{ffff}</a>",
            "<a>]]></a>",
            "<a>b<c</a>",
            "<a b='1'c='2'/>",
            "<a b='<'/>",
            "<a><<b/>!-- --></a>",
            "<1/>",
            "<a &b='1'/>",
            "\n<?xml version='1.0'?><a/>",
            "<?xml?><a/>",
            "<?xml version='1.0'encoding='utf-8'?><a/>",
            "<?xml version='1.0' encoding='a b'?><a/>",
            "<?xml version='2.0'?><a/>",
            "<a/><?xml version='1.0'?>",
            "<?go?><a/>",
        ] {
            let found = bad(text);
            assert!(
                matches!(found, BadXml::NotWellFormed(_) | BadXml::NotOneElement),
                "{text}: {found}"
            );
        }
        assert_eq!(parse(b"<a>\xff</a>").unwrap_err(), BadXml::NotUtf8);
    }

    #[test]
    fn depth_and_size_have_limits() {
        let deep = |depth| format!("{}{}", "<a>".repeat(depth), "</a>".repeat(depth));
        assert!(parse(deep(DEPTH_MAX).as_bytes()).is_ok());
        assert_eq!(bad(&deep(DEPTH_MAX + 1)), BadXml::TooLarge);
        let wide = |count| format!("<a>{}</a>", "<b/>".repeat(count - 1));
        assert!(parse(wide(ELEMENTS_MAX).as_bytes()).is_ok());
        assert_eq!(bad(&wide(ELEMENTS_MAX + 1)), BadXml::TooLarge);
    }

    #[test]
    fn what_is_written_is_read_again() {
        let odd = "<&>\"' \u{1F600} ü\nline";
        let mut writer = Writer::default();
        writer
            .open("a", &[("x", "1 < 2")])
            .text("b", odd)
            .empty("c", &[("y", "\"q\"")])
            .close("a");
        let tree = parse(writer.finish().as_bytes()).unwrap();
        assert_eq!(tree.attribute("x"), Some("1 < 2"));
        assert_eq!(tree.child("b").unwrap().text, odd);
        assert_eq!(tree.child("c").unwrap().attribute("y"), Some("\"q\""));
        let mut writer = Writer::default();
        writer.text("a", "bell \u{7}\u{0}");
        let text = writer.finish();
        assert_eq!(text, "<a>bell \u{fffd}\u{fffd}</a>");
    }
}
