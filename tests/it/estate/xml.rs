//! XML as a strict server reads it: with namespaces, in order.

use quick_xml::NsReader;
use quick_xml::escape::resolve_xml_entity;
use quick_xml::events::Event;
use quick_xml::name::ResolveResult;

/// An element with its namespace, its text and its elements in order.
#[derive(Clone, Debug, Default)]
pub(super) struct Node {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) text: String,
    pub(super) children: Vec<Self>,
}

impl Node {
    pub(super) fn parse(text: &str) -> Self {
        let mut reader = NsReader::from_str(text);
        let mut open = vec![Self::default()];
        loop {
            let (bound, event) = reader.read_resolved_event().unwrap();
            let namespace = match bound {
                ResolveResult::Bound(namespace) => String::from_utf8(namespace.0.to_vec()).unwrap(),
                _ => String::new(),
            };
            match event {
                Event::Start(start) => {
                    open.push(Self::begun(namespace, start.local_name().as_ref()));
                }
                Event::Empty(start) => {
                    let node = Self::begun(namespace, start.local_name().as_ref());
                    open.last_mut().unwrap().children.push(node);
                }
                Event::End(_) => {
                    let node = open.pop().unwrap();
                    open.last_mut().unwrap().children.push(node);
                }
                Event::Text(more) => {
                    open.last_mut().unwrap().text += &more.decode().unwrap();
                }
                Event::GeneralRef(reference) => {
                    let text = match reference.resolve_char_ref().unwrap() {
                        Some(letter) => letter.to_string(),
                        None => resolve_xml_entity(&reference.decode().unwrap())
                            .unwrap()
                            .to_owned(),
                    };
                    open.last_mut().unwrap().text += &text;
                }
                Event::Eof => break,
                _ => {}
            }
        }
        assert_eq!(open.len(), 1, "{text}");
        open.remove(0).children.remove(0)
    }

    fn begun(namespace: String, name: &[u8]) -> Self {
        Self {
            namespace,
            name: String::from_utf8(name.to_vec()).unwrap(),
            ..Self::default()
        }
    }

    pub(super) fn child(&self, name: &str) -> &Self {
        self.children
            .iter()
            .find(|child| child.name == name)
            .unwrap_or_else(|| panic!("{name} is missing in {self:?}"))
    }

    pub(super) fn text_of(&self, name: &str) -> &str {
        &self.child(name).text
    }

    pub(super) fn names(&self) -> Vec<&str> {
        self.children
            .iter()
            .map(|child| child.name.as_str())
            .collect()
    }
}
