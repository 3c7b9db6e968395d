//! The order of the house, checked by reading the sources: which layer may import which, what a
//! layer must not hold, and the subset of SQL that SQLite and PostgreSQL read alike.

// The lints of tests hold for helpers too, which have no `#[test]` of their own.
#![cfg(test)]

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use regex::Regex;

/// A layer, the modules of the crate that it may import, and words that it must not hold.
struct Layer {
    name: &'static str,
    imports: &'static [&'static str],
    without: &'static [&'static str],
}

/// What only the outer layers may hold.
const WEB: &[&str] = &["axum", "askama"];
/// What a pure layer must not hold: waiting, I/O, time, chance, logging.
const IMPURE: &[&str] = &[
    "async",
    "await",
    "tokio",
    "axum",
    "askama",
    "rusqlite",
    "sqlx",
    "tracing",
    "rand",
    "std::fs",
    "std::io",
    "std::env",
    "std::thread",
    "SystemTime",
    "Instant",
];

/// `domain <- text, store, documents, auth, qlikview <- app <- http, cli`.
const LAYERS: [Layer; 10] = [
    Layer {
        name: "domain",
        imports: &["domain"],
        without: IMPURE,
    },
    Layer {
        name: "text",
        imports: &["domain", "text"],
        without: IMPURE,
    },
    Layer {
        name: "config",
        imports: &["domain", "config"],
        without: WEB,
    },
    Layer {
        name: "store",
        // `auth::secret` is a pure function: how a secret is hashed at rest.
        imports: &[
            "domain",
            "clock",
            "fresh",
            "causes",
            "store",
            "auth::secret",
        ],
        without: WEB,
    },
    Layer {
        name: "documents",
        imports: &["domain", "documents"],
        without: &["axum", "askama", "rusqlite"],
    },
    Layer {
        name: "auth",
        // The settings of the sources are the configuration's.
        imports: &["domain", "config", "clock", "fresh", "causes", "auth"],
        without: &["axum", "askama", "rusqlite"],
    },
    Layer {
        name: "qlikview",
        // `auth::trust` says which certificates count, `auth::outgoing` how much of an answer is
        // read; neither stores anything.
        imports: &[
            "domain",
            "config",
            "clock",
            "fresh",
            "causes",
            "auth::trust",
            "auth::outgoing",
            "qlikview",
        ],
        without: &["axum", "askama", "rusqlite", "sqlx"],
    },
    Layer {
        name: "app",
        imports: &[
            "domain",
            "text",
            "config",
            "store",
            "documents",
            "auth",
            "qlikview",
            "clock",
            "fresh",
            "causes",
            "app",
        ],
        without: &["axum", "askama", "rusqlite"],
    },
    Layer {
        name: "http",
        imports: &[
            "domain",
            "text",
            "config",
            "store",
            "documents",
            "auth",
            "qlikview",
            "clock",
            "fresh",
            "causes",
            "app",
            "openapi",
            "http",
        ],
        without: &["rusqlite"],
    },
    Layer {
        name: "cli",
        // `serve` puts the program together, and `check` reads certificates as the door does.
        imports: &[
            "domain",
            "text",
            "config",
            "store",
            "documents",
            "auth",
            "qlikview",
            "clock",
            "fresh",
            "causes",
            "app",
            "openapi",
            "cli",
            "serve",
            "telemetry",
            "http::tls",
        ],
        without: &["rusqlite", "askama"],
    },
];

#[test]
fn layers_import_only_what_lies_below_them() {
    let import = Regex::new(r"\bcrate::([a-z_]+(?:::[a-z_]+)?)").unwrap();
    let mut wrong = Vec::new();
    for layer in &LAYERS {
        for source in sources(layer.name) {
            for (number, line) in source.code() {
                if line.contains("crate::{") {
                    wrong.push(source.at(number, "write one `use` for each module"));
                }
                for found in import.captures_iter(line) {
                    let path = &found[1];
                    let may =
                        |import: &&str| path == *import || path.starts_with(&format!("{import}::"));
                    if !layer.imports.iter().any(may) {
                        wrong.push(source.at(number, &format!("imports {path}")));
                    }
                }
            }
        }
    }
    assert_eq!(wrong, [""; 0]);
}

#[test]
fn layers_hold_nothing_that_is_not_theirs() {
    let mut wrong = Vec::new();
    for layer in &LAYERS {
        for source in sources(layer.name) {
            for (number, line) in source.code() {
                let held = layer.without.iter().filter(|word| holds(line, word));
                wrong.extend(held.map(|word| source.at(number, word)));
            }
        }
    }
    assert_eq!(wrong, [""; 0]);
}

#[test]
fn sql_stands_in_the_store_alone() {
    let sql = Regex::new(
        r"\b(SELECT [a-z(*]|INSERT INTO|DELETE FROM|UPDATE [a-z_]+ SET|CREATE (TABLE|INDEX)|PRAGMA )",
    )
    .unwrap();
    let mut wrong = Vec::new();
    for source in sources("") {
        if source.path.starts_with(root().join("src/store")) {
            continue;
        }
        let found = source.code().filter(|(_, line)| sql.is_match(line));
        wrong.extend(found.map(|(number, line)| source.at(number, line.trim())));
    }
    assert_eq!(wrong, [""; 0]);
}

#[test]
fn statements_number_their_values_in_order_of_first_use() {
    let value = Regex::new(r"\$([0-9]+)").unwrap();
    for statement in statements() {
        let mut known = 0;
        for found in value.captures_iter(&statement) {
            let number: u32 = found[1].parse().unwrap();
            assert!(number <= known + 1, "${number} too early: {statement}");
            known = known.max(number);
        }
        assert!(!statement.contains('?'), "{statement}");
    }
}

/// What the last column of an ORDER BY may be: unique among the rows that the statement finds.
const UNIQUE_ENDINGS: [&str; 16] = [
    "id",
    "lease.id",
    "session.id",
    "workstation.id",
    "person.name",
    "person_id",
    "document_id",
    "seq",
    // Of one person, or distinct, and nothing else is selected.
    "source",
    // Of one source, or after it.
    "subject",
    "identity.subject",
    "api_token.id",
    "estate_cal.id",
    "state_hash",
    "hash",
    // The column by which the rows are grouped.
    "code",
];

#[test]
fn every_order_ends_in_a_unique_key() {
    let order = Regex::new(r"ORDER BY (.+?)(?: LIMIT |\)|$)").unwrap();
    let mut found = 0;
    for statement in statements() {
        for order in order.captures_iter(&statement) {
            let last = order[1].rsplit(", ").next().unwrap();
            let column = last.trim_end_matches(" DESC");
            assert!(UNIQUE_ENDINGS.contains(&column), "{column}: {statement}");
            found += 1;
        }
        let limited = statement.contains(" LIMIT ");
        assert!(!limited || statement.contains("ORDER BY"), "{statement}");
    }
    assert!(found > 15, "only {found} were read");
}

#[test]
fn statements_use_what_both_databases_know() {
    let foreign = Regex::new(
        r"(?i)\b(now\(|lower\(|upper\(|ilike|offset |datetime|strftime|ifnull|autoincrement|rowid|greatest|returning \*|insert or |replace into|glob )",
    )
    .unwrap();
    let sum = Regex::new(r"(?i)(\bsum\()").unwrap();
    for statement in statements().into_iter().chain(migrations()) {
        let found = foreign.find(&statement).map(|found| found.as_str());
        assert_eq!(found, None, "{statement}");
        let sums = sum.find_iter(&statement).count();
        assert_eq!(sums, statement.matches("CAST(SUM(").count(), "{statement}");
    }
}

#[test]
fn columns_are_bigint_or_text() {
    let column = Regex::new(r"^\s+([a-z_]+) ([A-Z]+)").unwrap();
    let added = Regex::new(r"ADD COLUMN ([a-z_]+) ([A-Z]+)").unwrap();
    let mut columns = 0;
    for migration in migrations() {
        let in_tables = migration.split("CREATE TABLE").skip(1).flat_map(|table| {
            let end = table.find("\n);").unwrap_or(table.len());
            table[..end].lines()
        });
        for line in in_tables {
            let Some(found) = column.captures(line) else {
                continue;
            };
            assert!(["BIGINT", "TEXT"].contains(&&found[2]), "{line}");
            columns += 1;
        }
        for line in migration.lines().filter(|line| line.contains("ADD COLUMN")) {
            let found = added.captures(line).unwrap();
            assert!(["BIGINT", "TEXT"].contains(&&found[2]), "{line}");
            assert!(line.contains("DEFAULT"), "{line}");
        }
    }
    assert!(columns > 60, "only {columns} were read");
}

#[test]
fn one_file_knows_which_database_it_is() {
    let mut wrong = Vec::new();
    for source in sources("store") {
        if source.path.ends_with("db.rs") {
            continue;
        }
        for (number, line) in source.code() {
            if holds(line, "rusqlite") || line.contains("PRAGMA") {
                wrong.push(source.at(number, line.trim()));
            }
        }
    }
    assert_eq!(wrong, [""; 0]);
}

#[test]
fn a_statement_is_read_as_the_compiler_reads_it() {
    let text = r#"
        // "SELECT in a comment"
        const SQL: &str = "SELECT id \
             FROM lease";
        let quote = '"'; let life: &'static str = "INSERT \"x\"";
    "#;
    assert_eq!(literals(text), ["SELECT id FROM lease", "INSERT \"x\""]);
}

/// A source file.
struct Source {
    path: PathBuf,
    text: String,
}

impl Source {
    /// Its lines with code, without comments; lines count from 1. Unit tests, which stand last,
    /// may do what they need.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text
            .lines()
            .enumerate()
            .take_while(|(_, line)| !line.starts_with("mod tests {"))
            .map(|(index, line)| (index + 1, line))
            .filter(|(_, line)| !line.trim_start().starts_with("//"))
    }

    fn at(&self, line: usize, what: &str) -> String {
        let path = self.path.strip_prefix(root()).unwrap();
        format!("{}:{line}: {what}", path.display())
    }
}

/// Whether a line holds a word by itself.
fn holds(line: &str, word: &str) -> bool {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        !before.is_some_and(is_name) && !after.is_some_and(is_name)
    })
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The sources of a layer; those that are tests as a whole are left out.
fn sources(layer: &str) -> Vec<Source> {
    let mut found = Vec::new();
    let folder = root().join("src").join(layer);
    assert!(folder.is_dir(), "{} is missing", folder.display());
    files(&folder, "rs", &mut found);
    let is_test = |path: &Path| {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        name == "tests"
            || name.ends_with("_tests")
            || name == "samples"
            || name.starts_with("test_")
    };
    found
        .into_iter()
        .filter(|path| !is_test(path))
        .map(|path| Source {
            text: std::fs::read_to_string(&path).unwrap(),
            path,
        })
        .collect()
}

fn files(folder: &Path, ending: &str, found: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            files(&path, ending, found);
        } else if path.extension().is_some_and(|e| e == ending) {
            found.push(path);
        }
    }
}

/// Every statement of the store: its text literals that begin as SQL does.
fn statements() -> Vec<String> {
    let begins = ["SELECT ", "INSERT ", "UPDATE ", "DELETE "];
    let found: Vec<String> = sources("store")
        .iter()
        .flat_map(|source| literals(&source.text))
        .filter(|text| begins.iter().any(|begin| text.starts_with(begin)))
        .collect();
    assert!(found.len() > 60, "only {} were read", found.len());
    found
}

fn migrations() -> Vec<String> {
    let mut found = Vec::new();
    files(&root().join("src/store/migrations"), "sql", &mut found);
    assert!(!found.is_empty());
    found
        .iter()
        .map(|path| std::fs::read_to_string(path).unwrap())
        .collect()
}

/// The plain text literals of a source, as the compiler reads them.
fn literals(text: &str) -> Vec<String> {
    static TOKEN: LazyLock<Regex> = LazyLock::new(|| {
        // A comment, a character, or a text; the first that begins is the one that counts.
        Regex::new(r#"(?s)//[^\n]*|'(?:\\.|[^'\\])'|"((?:\\.|[^"\\])*)""#).unwrap()
    });
    static JOIN: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\\\n\s*").unwrap());
    TOKEN
        .captures_iter(text)
        .filter_map(|token| token.get(1))
        .map(|literal| JOIN.replace_all(literal.as_str(), "").replace("\\\"", "\""))
        .collect()
}
