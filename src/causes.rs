//! Errors in one line, with their causes.

use std::error::Error;

/// An error and what caused it, the innermost last. Some errors speak for their cause, which need not
/// be heard twice.
#[must_use]
pub fn in_one_line(error: &(dyn Error + 'static)) -> String {
    let mut told = error.to_string();
    let mut last = told.clone();
    for cause in causes(error) {
        let text = cause.to_string();
        if !last.contains(&text) {
            told = format!("{told}: {text}");
            last = text;
        }
    }
    told
}

/// The innermost cause of an error: the one that names the place.
#[must_use]
pub fn innermost(error: &(dyn Error + 'static)) -> String {
    causes(error)
        .last()
        .map_or_else(|| error.to_string(), ToString::to_string)
}

fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    let mut next = error.source();
    std::iter::from_fn(move || {
        let cause = next?;
        next = cause.source();
        Some(cause)
    })
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{said}")]
    struct Outer {
        said: String,
        source: io::Error,
    }

    fn outer(said: &str, cause: &str) -> Outer {
        Outer {
            said: said.to_owned(),
            source: io::Error::other(cause.to_owned()),
        }
    }

    #[test]
    fn a_cause_that_was_spoken_for_is_not_heard_twice() {
        let table = [
            (
                outer("the ledger failed", "the disk is full"),
                "the ledger failed: the disk is full",
            ),
            (outer("I/O error: refused", "refused"), "I/O error: refused"),
            (outer("refused", "refused"), "refused"),
        ];
        for (error, told) in table {
            assert_eq!(in_one_line(&error), told);
            assert_eq!(innermost(&error), error.source.to_string());
        }
    }
}
