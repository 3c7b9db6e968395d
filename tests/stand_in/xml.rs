//! XML as a strict server reads it: with namespaces, in order, and not at all where it is not
//! well-formed.

use quick_xml::NsReader;
use quick_xml::XmlVersion;
use quick_xml::escape::resolve_xml_entity;
use quick_xml::events::{BytesRef, BytesStart, Event};
use quick_xml::name::ResolveResult;

/// An element with its namespace, its attributes, its text and its elements in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Node {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) attributes: Vec<(String, String)>,
    pub(crate) text: String,
    pub(crate) children: Vec<Self>,
}

impl Node {
    /// The one element of a text; what is wrong with it where there is not one.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        let mut reader = NsReader::from_str(text);
        let mut open = vec![Self::default()];
        loop {
            let (bound, event) = reader.read_resolved_event().map_err(said)?;
            let namespace = match bound {
                ResolveResult::Bound(namespace) => {
                    String::from_utf8(namespace.0.to_vec()).map_err(said)?
                }
                _ => String::new(),
            };
            match event {
                Event::Start(start) => open.push(Self::begun(namespace, &start)?),
                Event::Empty(start) => {
                    open.push(Self::begun(namespace, &start)?);
                    close(&mut open)?;
                }
                Event::End(_) => close(&mut open)?,
                Event::Text(more) => push(&mut open, &more.decode().map_err(said)?),
                Event::GeneralRef(reference) => push(&mut open, &referred(&reference)?),
                Event::DocType(_) => return Err("a document type".to_owned()),
                Event::Eof => break,
                _ => {}
            }
        }
        let whole = open.pop().filter(|_| open.is_empty());
        let whole = whole.ok_or("elements that do not end")?;
        if !whole.text.trim().is_empty() {
            return Err("text beside the element".to_owned());
        }
        let [one] = <[Self; 1]>::try_from(whole.children).map_err(|_| "not one element")?;
        Ok(one)
    }

    fn begun(namespace: String, start: &BytesStart<'_>) -> Result<Self, String> {
        let mut node = Self {
            namespace,
            name: String::from_utf8(start.local_name().as_ref().to_vec()).map_err(said)?,
            ..Self::default()
        };
        for attribute in start.attributes() {
            let attribute = attribute.map_err(said)?;
            let name = String::from_utf8(attribute.key.as_ref().to_vec()).map_err(said)?;
            let value = attribute.normalized_value(XmlVersion::Implicit1_0);
            node.attributes
                .push((name, value.map_err(said)?.into_owned()));
        }
        Ok(node)
    }

    pub(crate) fn child(&self, name: &str) -> &Self {
        self.children
            .iter()
            .find(|child| child.name == name)
            .unwrap_or_else(|| panic!("{name} is missing in {self:?}"))
    }

    pub(crate) fn text_of(&self, name: &str) -> &str {
        &self.child(name).text
    }

    pub(crate) fn attribute(&self, name: &str) -> Option<&str> {
        let found = self.attributes.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    pub(crate) fn names(&self) -> Vec<&str> {
        self.children
            .iter()
            .map(|child| child.name.as_str())
            .collect()
    }
}

/// What `&amp;` or `&#228;` stands for.
fn referred(reference: &BytesRef<'_>) -> Result<String, String> {
    if let Some(letter) = reference.resolve_char_ref().map_err(said)? {
        return Ok(letter.to_string());
    }
    let name = reference.decode().map_err(said)?;
    let text = resolve_xml_entity(&name).ok_or_else(|| format!("&{name};"))?;
    Ok(text.to_owned())
}

fn said(error: impl std::fmt::Display) -> String {
    error.to_string()
}

fn push(open: &mut [Node], text: &str) {
    if let Some(node) = open.last_mut() {
        node.text.push_str(text);
    }
}

fn close(open: &mut Vec<Node>) -> Result<(), String> {
    let node = open.pop().ok_or("an end without a start")?;
    let parent = open.last_mut().ok_or("an end without a start")?;
    parent.children.push(node);
    Ok(())
}
