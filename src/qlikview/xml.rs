//! A small tree of XML: what SOAP answers are read into and requests are written from.
//!
//! The tree keeps what it does not understand, in its order, so that a document that was read can be
//! saved again with one change in it. Names are compared by namespace and local name; prefixes are
//! the writer's own affair.

use std::fmt::Write;

use quick_xml::escape::{escape, partial_escape, resolve_xml_entity};
use quick_xml::events::{BytesRef, BytesStart, Event};
use quick_xml::name::{NamespaceResolver, ResolveResult};
use quick_xml::{NsReader, XmlVersion};

/// The namespace of `nil` and `type`.
pub(super) const XSI: &str = "http://www.w3.org/2001/XMLSchema-instance";

/// How deep elements may stand within each other.
const DEPTH_MAX: usize = 64;

/// An element.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Element {
    /// Its namespace; empty for none.
    pub(super) namespace: String,
    /// Its name without prefix.
    pub(super) name: String,
    /// Its attributes, but for declarations of namespaces.
    pub(super) attributes: Vec<Attribute>,
    /// Its text; empty where elements stand in it, because the documents of QMS never mix the two.
    pub(super) text: String,
    /// The elements in it.
    pub(super) children: Vec<Element>,
}

/// An attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Attribute {
    namespace: String,
    name: String,
    value: String,
    /// The namespace of the value's prefix, where the value is a name: that of `xsi:type`.
    value_namespace: Option<String>,
}

/// Why a text is no document that we read.
#[derive(Debug, thiserror::Error)]
pub enum XmlError {
    /// Not well-formed.
    #[error("it is no well-formed XML")]
    Syntax(#[from] quick_xml::Error),
    /// The encoding of a part is broken.
    #[error("it holds bytes that are no UTF-8")]
    Encoding,
    /// A document type, which no answer has.
    #[error("it holds a document type")]
    DocumentType,
    /// An entity that XML does not define.
    #[error("it holds an unknown entity")]
    Entity,
    /// A prefix that nothing declares.
    #[error("it uses a prefix that is not declared")]
    Prefix,
    /// Deeper than anything QMS sends.
    #[error("its elements stand deeper than {DEPTH_MAX} within each other")]
    Depth,
    /// It ends before its root element does, or has none.
    #[error("it ends too early")]
    Early,
    /// Text and elements in one element.
    #[error("it mixes text and elements")]
    Mixed,
}

impl Element {
    /// An element without content.
    pub(super) fn new(namespace: &str, name: &str) -> Self {
        Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            ..Self::default()
        }
    }

    /// With text in it.
    pub(super) fn with_text(mut self, text: impl Into<String>) -> Self {
        self.text = text.into();
        self
    }

    /// With elements in it.
    pub(super) fn with_children(mut self, children: Vec<Self>) -> Self {
        self.children = children;
        self
    }

    /// Reads a document.
    pub(super) fn parse(text: &str) -> Result<Self, XmlError> {
        let mut reader = NsReader::from_str(text);
        let mut open: Vec<Self> = Vec::new();
        loop {
            let (namespace, event) = reader.read_resolved_event()?;
            let done = match event {
                Event::Start(start) => {
                    let namespace = namespace_of(&namespace)?;
                    open.push(begun(&start, namespace, reader.resolver())?);
                    if open.len() > DEPTH_MAX {
                        return Err(XmlError::Depth);
                    }
                    None
                }
                Event::Empty(start) => {
                    let namespace = namespace_of(&namespace)?;
                    let element = begun(&start, namespace, reader.resolver())?;
                    finished(element, &mut open)?
                }
                Event::End(_) => {
                    let element = open.pop().ok_or(XmlError::Early)?;
                    finished(element, &mut open)?
                }
                Event::Text(text) => {
                    let text = text.decode().map_err(|_| XmlError::Encoding)?;
                    add_text(&mut open, &text);
                    None
                }
                Event::CData(text) => {
                    let text = text.decode().map_err(|_| XmlError::Encoding)?;
                    add_text(&mut open, &text);
                    None
                }
                Event::GeneralRef(reference) => {
                    add_text(&mut open, &resolved(&reference)?);
                    None
                }
                Event::DocType(_) => return Err(XmlError::DocumentType),
                Event::Eof => return Err(XmlError::Early),
                Event::Decl(_) | Event::PI(_) | Event::Comment(_) => None,
            };
            if let Some(root) = done {
                return Ok(root);
            }
        }
    }

    /// The first child of this name, in whatever namespace: the types of QMS keep their names over
    /// all its contracts, which differ in the namespace alone.
    pub(super) fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.name == name)
    }

    /// The same, to be changed.
    pub(super) fn child_mut(&mut self, name: &str) -> Option<&mut Self> {
        self.children.iter_mut().find(|child| child.name == name)
    }

    /// Takes the first child of this name out.
    pub(super) fn take(&mut self, name: &str) -> Option<Self> {
        let at = self.children.iter().position(|child| child.name == name)?;
        Some(self.children.remove(at))
    }

    /// Whether the element says that there is nothing.
    pub(super) fn is_nil(&self) -> bool {
        let nil = |a: &Attribute| a.namespace == XSI && a.name == "nil" && a.value == "true";
        self.attributes.iter().any(nil)
    }

    /// The text of this element without white space around it; none where it is empty or nil.
    pub(super) fn text(&self) -> Option<&str> {
        Some(self.text.trim()).filter(|text| !text.is_empty())
    }

    /// The text of the child of this name.
    pub(super) fn child_text(&self, name: &str) -> Option<&str> {
        self.child(name)?.text()
    }

    /// Writes the element as a document of its own.
    pub(super) fn write(&self) -> String {
        let mut out = String::new();
        self.write_to(&mut out, "");
        out
    }

    /// A default namespace is declared wherever it changes, so no element needs a prefix.
    fn write_to(&self, out: &mut String, outer: &str) {
        out.push('<');
        out.push_str(&self.name);
        if self.namespace != outer {
            let _ = write!(out, " xmlns=\"{}\"", escape(&self.namespace));
        }
        for (number, attribute) in self.attributes.iter().enumerate() {
            attribute.write_to(out, number);
        }
        if self.text.is_empty() && self.children.is_empty() {
            out.push_str("/>");
            return;
        }
        out.push('>');
        out.push_str(&partial_escape(self.text.as_str()));
        for child in &self.children {
            child.write_to(out, &self.namespace);
        }
        let _ = write!(out, "</{}>", self.name);
    }
}

impl Attribute {
    fn write_to(&self, out: &mut String, number: usize) {
        let mut value = self.value.clone();
        if let Some(namespace) = &self.value_namespace {
            let _ = write!(out, " xmlns:v{number}=\"{}\"", escape(namespace));
            value = format!("v{number}:{value}");
        }
        let value = escape(&value);
        if self.namespace.is_empty() {
            let _ = write!(out, " {}=\"{value}\"", self.name);
        } else {
            let namespace = escape(&self.namespace);
            let name = &self.name;
            let _ = write!(
                out,
                " xmlns:a{number}=\"{namespace}\" a{number}:{name}=\"{value}\""
            );
        }
    }
}

/// The element of a start tag, without content yet.
fn begun(
    start: &BytesStart<'_>,
    namespace: String,
    resolver: &NamespaceResolver,
) -> Result<Element, XmlError> {
    let name = utf8(start.local_name().as_ref())?;
    let mut attributes = Vec::new();
    for attribute in start.attributes() {
        let attribute = attribute.map_err(quick_xml::Error::from)?;
        if attribute.key.as_namespace_binding().is_some() {
            continue;
        }
        let (bound, local) = resolver.resolve_attribute(attribute.key);
        let namespace = namespace_of(&bound)?;
        let name = utf8(local.as_ref())?;
        let value = attribute.normalized_value(XmlVersion::Explicit1_0);
        let value = value.map_err(|_| XmlError::Entity)?;
        attributes.push(read_attribute(namespace, name, &value, resolver)?);
    }
    Ok(Element {
        namespace,
        name,
        attributes,
        ..Element::default()
    })
}

/// `xsi:type` holds a name whose prefix counts where it stands; it is resolved here.
fn read_attribute(
    namespace: String,
    name: String,
    value: &str,
    resolver: &NamespaceResolver,
) -> Result<Attribute, XmlError> {
    let mut attribute = Attribute {
        namespace,
        name,
        value: value.to_owned(),
        value_namespace: None,
    };
    if attribute.namespace == XSI && attribute.name == "type" {
        let (bound, local) = resolver.resolve_element(quick_xml::name::QName(value.as_bytes()));
        attribute.value_namespace = Some(namespace_of(&bound)?);
        attribute.value = utf8(local.as_ref())?;
    }
    Ok(attribute)
}

/// Puts a whole element into the one around it; hands it out where it is the root.
fn finished(mut element: Element, open: &mut [Element]) -> Result<Option<Element>, XmlError> {
    if !element.children.is_empty() {
        if !element.text.trim().is_empty() {
            return Err(XmlError::Mixed);
        }
        element.text.clear();
    }
    match open.last_mut() {
        None => Ok(Some(element)),
        Some(parent) => {
            parent.children.push(element);
            Ok(None)
        }
    }
}

/// Text outside the root element is white space.
fn add_text(open: &mut [Element], more: &str) {
    if let Some(element) = open.last_mut() {
        element.text.push_str(more);
    }
}

fn resolved(reference: &BytesRef<'_>) -> Result<String, XmlError> {
    if let Some(letter) = reference.resolve_char_ref()? {
        return Ok(letter.to_string());
    }
    let name = reference.decode().map_err(|_| XmlError::Encoding)?;
    let text = resolve_xml_entity(&name).ok_or(XmlError::Entity)?;
    Ok(text.to_owned())
}

fn namespace_of(bound: &ResolveResult<'_>) -> Result<String, XmlError> {
    match bound {
        ResolveResult::Unbound => Ok(String::new()),
        ResolveResult::Bound(namespace) => utf8(namespace.0),
        ResolveResult::Unknown(_) => Err(XmlError::Prefix),
    }
}

fn utf8(bytes: &[u8]) -> Result<String, XmlError> {
    let text = std::str::from_utf8(bytes).map_err(|_| XmlError::Encoding)?;
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_read_whatever_its_prefixes() {
        let text = r#"<?xml version="1.0"?><s:a xmlns:s="urn:s" xmlns="urn:d">
            <b>x &amp; &#x79;<![CDATA[<z>]]></b><c/>
            <d xmlns="urn:e" xmlns:i="http://www.w3.org/2001/XMLSchema-instance" i:nil="true"/>
            </s:a>"#;
        let root = Element::parse(text).unwrap();
        assert_eq!(
            (root.namespace.as_str(), root.name.as_str()),
            ("urn:s", "a")
        );
        assert_eq!(root.child_text("b"), Some("x & y<z>"));
        assert_eq!(root.child("b").unwrap().namespace, "urn:d");
        assert_eq!(root.child_text("c"), None);
        let d = root.child("d").unwrap();
        assert_eq!(d.namespace, "urn:e");
        assert_eq!(d.attributes[0].namespace, XSI);
    }

    #[test]
    fn what_was_read_is_written_so_that_it_reads_the_same() {
        let text = r#"<a xmlns="urn:1" xmlns:i="http://www.w3.org/2001/XMLSchema-instance"
            xmlns:t="urn:t"><b xmlns="urn:2" i:type="t:Kind" plain="1 &quot;2&quot;">
            <c i:nil="true"/><c>O'Neil &lt;&amp;&gt; "x"</c></b><d xmlns=""/></a>"#;
        let root = Element::parse(text).unwrap();
        let written = root.write();
        assert_eq!(Element::parse(&written).unwrap(), root, "{written}");
        assert!(written.contains(r#"xmlns:v0="urn:t""#), "{written}");
    }

    #[test]
    fn what_is_no_document_is_refused() {
        let deep = "<a>".repeat(DEPTH_MAX + 1);
        for text in [
            "",
            "text",
            "<a>",
            "<a></b>",
            "<a><b/>text</a>",
            "<a>text<b/></a>",
            "<p:a/>",
            "<a>&unknown;</a>",
            "<!DOCTYPE a [<!ENTITY x 'y'>]><a>&x;</a>",
            deep.as_str(),
        ] {
            assert!(Element::parse(text).is_err(), "{text}");
        }
    }
}
