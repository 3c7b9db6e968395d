//! Reads one table key by key. What is read is known; [`Section::finish`] reports the rest.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use super::error::{Mistakes, Place};
use super::network::Networks;
use super::pem::{is_private_key, read_certificates};
use super::secret::Secret;
use super::tree::{Node, Table, Value};

/// One table of the configuration. Readers return nothing where the key is absent or its value is
/// a mistake; the mistake is noted, so a caller may go on with a default.
#[derive(Debug)]
pub(super) struct Section<'a> {
    mistakes: &'a Mistakes,
    /// What relative paths are relative to.
    base: &'a Path,
    /// The dotted path of this table; empty for the whole file.
    path: String,
    place: Place,
    table: Table,
    /// The keys that were asked for, with the places of those that are set.
    known: BTreeMap<&'static str, Option<Place>>,
}

impl<'a> Section<'a> {
    /// The whole configuration.
    pub(super) fn root(table: Table, place: Place, base: &'a Path, mistakes: &'a Mistakes) -> Self {
        Self {
            mistakes,
            base,
            path: String::new(),
            place,
            table,
            known: BTreeMap::new(),
        }
    }

    /// The table under a key; an empty one where the key is absent.
    pub(super) fn section(&mut self, key: &'static str) -> Self {
        let place = self.place_of(key);
        let table = self.read(key, Node::into_table).unwrap_or_default();
        self.child(&self.path_of(key), place, table)
    }

    /// The table under a key, where there is one.
    pub(super) fn optional_section(&mut self, key: &'static str) -> Option<Self> {
        self.has(key).then(|| self.section(key))
    }

    /// The tables under a key by their names, as `corp` in `[oidc.corp]`.
    pub(super) fn named_sections(&mut self, key: &'static str) -> Vec<(String, Self)> {
        let path = self.path_of(key);
        let tables = self.read(key, Node::into_table).unwrap_or_default();
        tables
            .into_iter()
            .filter_map(|(name, node)| {
                let child = self.child_of_node(&format!("{path}.{name}"), node)?;
                Some((name, child))
            })
            .collect()
    }

    /// The tables of a list, as `[[documents.rule]]` makes it.
    pub(super) fn list_sections(&mut self, key: &'static str) -> Option<Vec<Self>> {
        let path = self.path_of(key);
        let items = self.read(key, Node::into_list)?;
        Some(
            items
                .into_iter()
                .filter_map(|item| self.child_of_node(&path, item))
                .collect(),
        )
    }

    /// Text that is not empty.
    pub(super) fn text(&mut self, key: &'static str) -> Option<String> {
        self.read(key, Node::into_text)
    }

    /// Text that a function understands; its error says what it expected.
    pub(super) fn parsed<T, E: Display>(
        &mut self,
        key: &'static str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Option<T> {
        self.read(key, |node| parse_node(node, &parse))
    }

    /// A list of texts that a function understands; one mistake for each that it does not.
    pub(super) fn list<T, E: Display>(
        &mut self,
        key: &'static str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Option<Vec<T>> {
        let items = self.read(key, Node::into_list)?;
        Some(self.parsed_items(key, items, parse))
    }

    /// The same, where a single text stands for a list of one.
    pub(super) fn one_or_list<T, E: Display>(
        &mut self,
        key: &'static str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Option<Vec<T>> {
        let items = self.read(key, Node::into_one_or_list)?;
        Some(self.parsed_items(key, items, parse))
    }

    /// A list of texts, none of them empty.
    pub(super) fn texts(&mut self, key: &'static str) -> Option<Vec<String>> {
        self.list(key, |text| {
            let filled = !text.trim().is_empty();
            filled.then(|| text.to_owned()).ok_or("expected text")
        })
    }

    /// A whole number within a range.
    pub(super) fn integer(
        &mut self,
        key: &'static str,
        range: &RangeInclusive<i64>,
    ) -> Option<i64> {
        self.read(key, |node| node.into_integer(range))
    }

    /// `true` or `false`.
    pub(super) fn flag(&mut self, key: &'static str) -> Option<bool> {
        self.read(key, Node::into_flag)
    }

    /// A path; relative ones are relative to the file.
    pub(super) fn path(&mut self, key: &'static str) -> Option<PathBuf> {
        self.text(key).map(|text| self.base.join(text))
    }

    /// The path of a file of certificates, which is there and can be read.
    pub(super) fn certificates(&mut self, key: &'static str) -> Option<PathBuf> {
        let base = self.base;
        self.read(key, |node| {
            let path = base.join(node.into_text()?);
            read_certificates(&path).map(|_| path)
        })
    }

    /// A private key, in the text or in a file.
    pub(super) fn private_key(
        &mut self,
        key: &'static str,
        file_key: &'static str,
    ) -> Option<Secret> {
        let secret = self.secret(key, file_key)?;
        if !is_private_key(secret.expose()) {
            let named = if self.is_set(key) { key } else { file_key };
            self.mistake(
                named,
                "expected a private key in PEM form: RSA, EC on P-256, or Ed25519",
            );
            return None;
        }
        Some(secret)
    }

    /// Addresses and networks; none where the key is absent.
    pub(super) fn networks(&mut self, key: &'static str) -> Networks {
        Networks(self.list(key, str::parse).unwrap_or_default())
    }

    /// What relative paths are relative to.
    pub(super) const fn base(&self) -> &'a Path {
        self.base
    }

    /// A scalar as it is: text, number, or `true` and `false`.
    pub(super) fn scalar(&mut self, key: &'static str) -> Option<serde_json::Value> {
        self.read(key, |node| match node.value {
            Value::Text(text) | Value::Variable(text) => Ok(text.into()),
            Value::Integer(number) => Ok(number.into()),
            Value::Flag(flag) => Ok(flag.into()),
            _ => Err("expected text, a whole number, true or false".to_owned()),
        })
    }

    /// A secret, inline or from the file that its twin names, not both.
    pub(super) fn secret(&mut self, key: &'static str, file_key: &'static str) -> Option<Secret> {
        let base = self.base;
        let inline = self.read(key, Node::into_text).map(Secret::new);
        let from_file = self.read(file_key, |node| read_secret(&base.join(node.into_text()?)));
        if self.is_set(key) && self.is_set(file_key) {
            self.mistake(file_key, format!("{key} is set too; keep one of the two"));
        }
        inline.or(from_file)
    }

    /// Notes a mistake where a key is absent. To be asked before the key is read.
    pub(super) fn demand(&self, key: &'static str) {
        self.demand_any(&[key]);
    }

    /// Notes a mistake where none of these keys is there. To be asked before they are read.
    pub(super) fn demand_any(&self, keys: &[&'static str]) {
        if !keys.iter().any(|key| self.has(key)) {
            let names: Vec<String> = keys.iter().map(|key| format!("{key:?}")).collect();
            let message = format!("missing key {}{}", names.join(" or "), self.in_section());
            self.mistakes.add(&self.place, message);
        }
    }

    /// Notes a mistake for each absent one of keys that only make sense together, where any of
    /// them is there. To be asked before they are read.
    pub(super) fn demand_together(&self, keys: &[&'static str]) {
        if keys.iter().any(|key| self.has(key)) {
            for key in keys {
                self.demand(key);
            }
        }
    }

    /// Whether a key that was not read yet is there.
    pub(super) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// Whether a key that was read was there, even with a mistake as its value.
    pub(super) fn is_set(&self, key: &str) -> bool {
        matches!(self.known.get(key), Some(Some(_)))
    }

    /// Notes a mistake at a key, or at the table where the key is absent.
    pub(super) fn mistake(&self, key: &str, message: impl Display) {
        let message = format!("{}: {message}", self.path_of(key));
        self.mistakes.add(&self.place_of(key), message);
    }

    /// Notes a mistake about the table as a whole.
    pub(super) fn mistake_here(&self, message: impl Display) {
        self.mistakes
            .add(&self.place, format!("{}: {message}", self.path));
    }

    /// Ends the reading: every key that nobody asked for is a mistake.
    pub(super) fn finish(self) {
        for (key, node) in &self.table {
            for place in places_in(node) {
                let hint = self.hint(key, &place);
                let message = format!("unknown key {key:?}{}{hint}", self.in_section());
                self.mistakes.add(&place, message);
            }
        }
    }

    fn read<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(Node) -> Result<T, String>,
    ) -> Option<T> {
        let node = self.table.remove(key);
        let place = node.as_ref().map(|node| node.place.clone());
        self.known.insert(key, place);
        read(node?)
            .map_err(|message| self.mistake(key, message))
            .ok()
    }

    fn parsed_items<T, E: Display>(
        &self,
        key: &'static str,
        items: Vec<Node>,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Vec<T> {
        items
            .into_iter()
            .filter_map(|item| {
                let place = item.place.clone();
                parse_node(item, &parse)
                    .map_err(|message| {
                        let message = format!("{}: {message}", self.path_of(key));
                        self.mistakes.add(&place, message);
                    })
                    .ok()
            })
            .collect()
    }

    fn child(&self, path: &str, place: Place, table: Table) -> Self {
        Self {
            path: path.to_owned(),
            ..Self::root(table, place, self.base, self.mistakes)
        }
    }

    fn child_of_node(&self, path: &str, node: Node) -> Option<Self> {
        let place = node.place.clone();
        node.into_table()
            .map_err(|message| self.mistakes.add(&place, format!("{path}: {message}")))
            .map(|table| self.child(path, place.clone(), table))
            .ok()
    }

    fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        }
    }

    /// Where a key stands, read or not; the place of the table where it is absent.
    fn place_of(&self, key: &str) -> Place {
        let unread = self.table.get(key).map(|node| &node.place);
        let read = self.known.get(key).and_then(Option::as_ref);
        unread.or(read).unwrap_or(&self.place).clone()
    }

    fn in_section(&self) -> String {
        if self.path.is_empty() {
            String::new()
        } else {
            format!(" in [{}]", self.path)
        }
    }

    /// The nearest known key; for a variable, the variable that would set it.
    fn hint(&self, key: &str, place: &Place) -> String {
        let distance = |known: &&&str| strsim::damerau_levenshtein(key, known);
        let Some(nearest) = self.known.keys().min_by_key(distance) else {
            return String::new();
        };
        let variable = match place {
            Place::Variable(name) => self.variable_like(name, nearest),
            _ => None,
        };
        variable.map_or_else(
            || format!("; did you mean {nearest:?}?"),
            |variable| format!("; did you mean {variable}?"),
        )
    }

    /// The variable's name with the part that names a key of this table exchanged.
    fn variable_like(&self, name: &str, key: &str) -> Option<String> {
        let depth = self.path.split('.').filter(|part| !part.is_empty()).count();
        let mut parts: Vec<&str> = name.split("__").collect();
        let upper = key.to_ascii_uppercase();
        *parts.get_mut(depth + 1)? = &upper;
        Some(parts.join("__"))
    }
}

/// Reads one of a few words.
pub(super) fn one_of<T: Clone>(
    options: &[(&'static str, T)],
) -> impl Fn(&str) -> Result<T, String> {
    move |text| {
        let found = options.iter().find(|(word, _)| *word == text);
        found.map(|(_, value)| value.clone()).ok_or_else(|| {
            let words: Vec<String> = options
                .iter()
                .map(|(word, _)| format!("{word:?}"))
                .collect();
            format!("expected {}", words.join(" or "))
        })
    }
}

fn parse_node<T, E: Display>(
    node: Node,
    parse: &impl Fn(&str) -> Result<T, E>,
) -> Result<T, String> {
    let text = node.into_any_text()?;
    parse(&text).map_err(|expected| {
        if holds_credentials(&text) {
            return format!("{expected}, found a URL with credentials");
        }
        format!("{expected}, found {text:?}")
    })
}

/// Whether a text may be a URL with a user and a password, which no message repeats.
fn holds_credentials(text: &str) -> bool {
    let rest = text.split_once("://").map(|(_, rest)| rest);
    rest.is_some_and(|rest| rest.contains('@'))
}

/// Reads a secret from a file, without the line end that editors leave.
fn read_secret(path: &Path) -> Result<Secret, String> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    let secret = text.trim_end_matches(['\r', '\n']);
    if secret.is_empty() {
        return Err(format!("{} is empty", path.display()));
    }
    Ok(Secret::new(secret.to_owned()))
}

/// The place of a node, and every variable that put something into it.
fn places_in(node: &Node) -> BTreeSet<Place> {
    let mut places = BTreeSet::from([node.place.clone()]);
    if let Value::Table(table) = &node.value {
        let variables = table
            .values()
            .flat_map(places_in)
            .filter(|place| matches!(place, Place::Variable(_)));
        places.extend(variables);
    }
    places
}
