//! Mistakes in the configuration: all of them at once, each with its place.

use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;

/// Where a value or a mistake stands. Orders as a reader meets them: the file from top to bottom,
/// then the environment.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// The file as a whole.
    File(Arc<str>),
    /// A line of the file, and for syntax errors a column; both count from 1.
    Line {
        /// The file, as it was named to the program.
        file: Arc<str>,
        /// The line.
        line: usize,
        /// The column in characters.
        column: Option<usize>,
    },
    /// An environment variable.
    Variable(String),
    /// Neither file nor environment: a default.
    Defaults,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(file) => f.write_str(file),
            Self::Line {
                file,
                line,
                column: Some(column),
            } => write!(f, "{file}:{line}:{column}"),
            Self::Line {
                file,
                line,
                column: None,
            } => write!(f, "{file}:{line}"),
            Self::Variable(name) => f.write_str(name),
            Self::Defaults => f.write_str("configuration"),
        }
    }
}

/// One mistake. It never repeats a secret.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
#[error("{place}: {message}")]
pub struct ConfigError {
    /// Where it stands.
    pub place: Place,
    /// What is wrong, and what is expected.
    pub message: String,
}

/// Every mistake of a configuration, at least one, in the order of [`Place`]; one line each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigErrors(pub Vec<ConfigError>);

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(f, "{separator}{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

/// Collects mistakes while the readers of all sections go on.
#[derive(Debug, Default)]
pub(super) struct Mistakes(RefCell<Vec<ConfigError>>);

impl Mistakes {
    /// Notes one.
    pub(super) fn add(&self, place: &Place, message: impl Into<String>) {
        self.0.borrow_mut().push(ConfigError {
            place: place.clone(),
            message: message.into(),
        });
    }

    /// All of them, in order.
    pub(super) fn into_errors(self) -> ConfigErrors {
        let mut errors = self.0.into_inner();
        errors.sort();
        errors.dedup();
        ConfigErrors(errors)
    }

    /// The value, where nothing was noted.
    pub(super) fn into_result<T>(self, value: T) -> Result<T, ConfigErrors> {
        let errors = self.into_errors();
        if errors.0.is_empty() {
            Ok(value)
        } else {
            Err(errors)
        }
    }
}
