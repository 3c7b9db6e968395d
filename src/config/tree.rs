//! The configuration before it has types: the file and the environment as one tree, in which every
//! value remembers its place.

use std::collections::BTreeMap;
use std::ops::{Range, RangeInclusive};
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::{Mistakes, Place};

/// What the names of our environment variables begin with; `__` also parts section and key.
pub(super) const VARIABLE_PREFIX: &str = "ACCESSPOINT__";

/// Keys with their values.
pub(super) type Table = BTreeMap<String, Node>;

/// A value and where it stands: its key, or the item itself in a list.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) place: Place,
    pub(super) value: Value,
}

/// A value as it was written.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Text(String),
    Integer(i64),
    Flag(bool),
    List(Vec<Node>),
    Table(Table),
    /// The text of an environment variable: the key that reads it decides what it is.
    Variable(String),
    /// Something that no key takes, such as a date.
    Other(&'static str),
}

/// Reads the text of a file. Syntax errors and duplicate keys are noted with line and column.
/// After a syntax error nothing is returned: what follows it would be blamed for it.
pub(super) fn parse_file(text: &str, file: &Arc<str>, mistakes: &Mistakes) -> Option<Table> {
    let (root, mut errors) = DeTable::parse_recoverable(text);
    let lines = Lines { text, file };
    errors.sort_by_key(|error| lines.span_of(error).start);
    let mut last_line = None;
    for error in &errors {
        let line = lines.line(lines.span_of(error).start);
        // A missing quote or bracket makes mistakes of the lines that follow it.
        let follows = last_line.is_some_and(|last| line <= last + 1);
        last_line = Some(line);
        if !follows || is_duplicate(error) {
            mistakes.add(&lines.exact_place(lines.span_of(error)), error.message());
        }
    }
    let only_duplicates = errors.iter().all(is_duplicate);
    only_duplicates.then(|| table_of(root.into_inner(), &|span| lines.place(&span)))
}

fn is_duplicate(error: &toml::de::Error) -> bool {
    error.message() == "duplicate key"
}

/// Lays the variables that begin with [`VARIABLE_PREFIX`] over the tree.
pub(super) fn overlay(
    root: &mut Table,
    variables: impl Iterator<Item = (String, String)>,
    mistakes: &Mistakes,
) {
    let ours: BTreeMap<String, String> = variables
        .filter(|(name, _)| name.starts_with(VARIABLE_PREFIX))
        .collect();
    for (name, text) in ours {
        let keys: Vec<&str> = name[VARIABLE_PREFIX.len()..].split("__").collect();
        let place = Place::Variable(name.clone());
        if text.contains(char::REPLACEMENT_CHARACTER) {
            mistakes.add(&place, "the value is not valid UTF-8");
            continue;
        }
        let node = Node {
            place: place.clone(),
            value: Value::Variable(text),
        };
        if !insert(root, &keys, node) {
            mistakes.add(&place, "what it leads into is no table");
        }
    }
}

impl Node {
    /// Text that is not empty.
    pub(super) fn into_text(self) -> Result<String, String> {
        let text = self.into_any_text()?;
        if text.trim().is_empty() {
            return Err("expected text, found none".to_owned());
        }
        Ok(text)
    }

    /// Text, which may be empty.
    pub(super) fn into_any_text(self) -> Result<String, String> {
        match self.value {
            Value::Text(text) | Value::Variable(text) => Ok(text),
            other => Err(format!("expected text, found {}", other.kind())),
        }
    }

    /// A whole number within a range.
    pub(super) fn into_integer(self, range: &RangeInclusive<i64>) -> Result<i64, String> {
        let (low, high) = (range.start(), range.end());
        let found = match self.value {
            Value::Integer(number) if range.contains(&number) => return Ok(number),
            Value::Integer(number) => number.to_string(),
            Value::Variable(text) => match text.trim().parse() {
                Ok(number) if range.contains(&number) => return Ok(number),
                _ => format!("{text:?}"),
            },
            other => other.kind().to_owned(),
        };
        Err(format!(
            "expected a whole number from {low} to {high}, found {found}"
        ))
    }

    /// `true` or `false`.
    pub(super) fn into_flag(self) -> Result<bool, String> {
        let found = match self.value {
            Value::Flag(flag) => return Ok(flag),
            Value::Variable(text) => match text.trim() {
                "true" => return Ok(true),
                "false" => return Ok(false),
                other => format!("{other:?}"),
            },
            other => other.kind().to_owned(),
        };
        Err(format!("expected true or false, found {found}"))
    }

    /// A list. A variable holds it as TOML, as JSON, or parted by commas.
    pub(super) fn into_list(self) -> Result<Vec<Self>, String> {
        match self.value {
            Value::List(items) => Ok(items),
            Value::Variable(text) => parse_list(text.trim(), &self.place),
            other => Err(format!("expected a list, found {}", other.kind())),
        }
    }

    /// A list, or a single value as a list of one.
    pub(super) fn into_one_or_list(self) -> Result<Vec<Self>, String> {
        match self.value {
            Value::Text(_) => Ok(vec![self]),
            _ => self.into_list(),
        }
    }

    /// A table.
    pub(super) fn into_table(self) -> Result<Table, String> {
        match self.value {
            Value::Table(table) => Ok(table),
            other => Err(format!("expected a table, found {}", other.kind())),
        }
    }
}

impl Value {
    /// The kind of value in words.
    fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) | Self::Variable(_) => "text",
            Self::Integer(_) => "a number",
            Self::Flag(_) => "true or false",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
            Self::Other(kind) => kind,
        }
    }
}

/// Puts a node at the end of a path of keys, through tables that it makes where they are missing.
/// False where something on the way is no table.
fn insert(table: &mut Table, keys: &[&str], node: Node) -> bool {
    let [first, rest @ ..] = keys else {
        return false;
    };
    let key = key_of_segment(table, first);
    if rest.is_empty() {
        table.insert(key, node);
        return true;
    }
    let child = table.entry(key).or_insert_with(|| Node {
        place: node.place.clone(),
        value: Value::Table(Table::new()),
    });
    match &mut child.value {
        Value::Table(inner) => insert(inner, rest, node),
        _ => false,
    }
}

/// The key that a part of a variable's name means: in lower case, or one of the file that differs
/// only in case and in `-`, which shells do not allow in names.
fn key_of_segment(table: &Table, segment: &str) -> String {
    let wanted = segment.to_ascii_lowercase();
    let same = |key: &&String| key.to_ascii_lowercase().replace('-', "_") == wanted;
    table.keys().find(same).cloned().unwrap_or(wanted)
}

fn parse_list(text: &str, place: &Place) -> Result<Vec<Node>, String> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    if !text.starts_with('[') {
        let item = |part: &str| Node {
            place: place.clone(),
            value: Value::Variable(part.trim().to_owned()),
        };
        return Ok(text.split(',').map(item).collect());
    }
    let value = match DeValue::parse(text) {
        Ok(value) => value_of(value.into_inner(), &|_| place.clone()),
        Err(_) => serde_json::from_str(text)
            .map(|json| value_of_json(json, place))
            .map_err(|_| "expected a list as TOML, as JSON or parted by commas")?,
    };
    Node {
        place: place.clone(),
        value,
    }
    .into_list()
}

fn table_of(table: DeTable<'_>, place: &dyn Fn(Range<usize>) -> Place) -> Table {
    table
        .into_iter()
        .map(|(key, value)| {
            let node = Node {
                place: place(key.span()),
                value: value_of(value.into_inner(), place),
            };
            (key.into_inner().into_owned(), node)
        })
        .collect()
}

fn value_of(value: DeValue<'_>, place: &dyn Fn(Range<usize>) -> Place) -> Value {
    let item = |item: Spanned<DeValue<'_>>| Node {
        place: place(item.span()),
        value: value_of(item.into_inner(), place),
    };
    match value {
        DeValue::String(text) => Value::Text(text.into_owned()),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map_or(Value::Other("a number that is too large"), Value::Integer),
        DeValue::Float(_) => Value::Other("a number with a point"),
        DeValue::Boolean(flag) => Value::Flag(flag),
        DeValue::Datetime(_) => Value::Other("a date or time"),
        DeValue::Array(items) => Value::List(items.into_iter().map(item).collect()),
        DeValue::Table(table) => Value::Table(table_of(table, place)),
    }
}

fn value_of_json(json: serde_json::Value, place: &Place) -> Value {
    let node = |json| Node {
        place: place.clone(),
        value: value_of_json(json, place),
    };
    match json {
        serde_json::Value::Null => Value::Other("null"),
        serde_json::Value::Bool(flag) => Value::Flag(flag),
        serde_json::Value::Number(number) => number
            .as_i64()
            .map_or(Value::Other("a number that is not whole"), Value::Integer),
        serde_json::Value::String(text) => Value::Text(text),
        serde_json::Value::Array(items) => Value::List(items.into_iter().map(node).collect()),
        serde_json::Value::Object(members) => Value::Table(
            members
                .into_iter()
                .map(|(key, value)| (key, node(value)))
                .collect(),
        ),
    }
}

/// Turns offsets into lines and columns.
struct Lines<'a> {
    text: &'a str,
    file: &'a Arc<str>,
}

impl Lines<'_> {
    fn place(&self, span: &Range<usize>) -> Place {
        Place::Line {
            file: Arc::clone(self.file),
            line: self.line(span.start),
            column: None,
        }
    }

    /// Counted from 1.
    fn line(&self, offset: usize) -> usize {
        let before = self.text.get(..offset).unwrap_or(self.text);
        1 + before.matches('\n').count()
    }

    /// The end of the text where a syntax error has no place of its own.
    fn span_of(&self, error: &toml::de::Error) -> Range<usize> {
        let end = self.text.len();
        error.span().unwrap_or(end..end)
    }

    /// With the column.
    fn exact_place(&self, span: Range<usize>) -> Place {
        let before = self.text.get(..span.start).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        match self.place(&span) {
            Place::Line { file, line, .. } => Place::Line {
                file,
                line,
                column: Some(1 + before[line_start..].chars().count()),
            },
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variable(text: &str) -> Node {
        Node {
            place: Place::Variable("ACCESSPOINT__X".to_owned()),
            value: Value::Variable(text.to_owned()),
        }
    }

    fn texts(text: &str) -> Result<Vec<String>, String> {
        variable(text)
            .into_list()?
            .into_iter()
            .map(Node::into_text)
            .collect()
    }

    #[test]
    fn a_variable_holds_a_list_in_three_spellings() {
        assert_eq!(texts("").unwrap(), [""; 0]);
        assert_eq!(texts("a").unwrap(), ["a"]);
        assert_eq!(texts(" a , b").unwrap(), ["a", "b"]);
        assert_eq!(texts("['a', \"b\"]").unwrap(), ["a", "b"]);
        assert_eq!(texts(r#"["a\/b", "c"]"#).unwrap(), ["a/b", "c"]);
        assert!(texts("['a'").is_err());
        assert!(texts("a,,b").is_err());
    }

    #[test]
    fn a_variable_holds_a_list_of_tables() {
        for text in [r#"[{"path": "a/**"}]"#, "[{path = 'a/**'}]"] {
            let items = variable(text).into_list().unwrap();
            let mut table = items.into_iter().next().unwrap().into_table().unwrap();
            assert_eq!(table.remove("path").unwrap().into_text().unwrap(), "a/**");
        }
    }

    #[test]
    fn numbers_and_flags_come_from_variables_too() {
        assert_eq!(variable("7").into_integer(&(1..=9)), Ok(7));
        assert!(variable("10").into_integer(&(1..=9)).is_err());
        assert!(variable("x").into_integer(&(1..=9)).is_err());
        assert_eq!(variable("true").into_flag(), Ok(true));
        assert!(variable("yes").into_flag().is_err());
    }

    #[test]
    fn a_variable_finds_a_key_that_differs_in_case_and_dashes() {
        let mistakes = Mistakes::default();
        let file: Arc<str> = "f".into();
        let mut root = parse_file("[oidc.My-Idp]\nissuer = 'a'", &file, &mistakes).unwrap();
        let name = "ACCESSPOINT__OIDC__MY_IDP__ISSUER".to_owned();
        overlay(&mut root, [(name, "b".to_owned())].into_iter(), &mistakes);
        let mut oidc = root.remove("oidc").unwrap().into_table().unwrap();
        let mut source = oidc.remove("My-Idp").unwrap().into_table().unwrap();
        let issuer = source.remove("issuer").unwrap();
        assert_eq!(issuer.into_text().unwrap(), "b");
        assert!(mistakes.into_errors().0.is_empty());
    }
}
