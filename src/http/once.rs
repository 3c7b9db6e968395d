//! Parameters that a request may name once: readers differ in which of two they take.

use percent_encoding::percent_decode_str;

/// The value of a parameter that is there once.
pub(super) fn only(form: &str, name: &str) -> Option<String> {
    let mut values = form.split('&').filter_map(|pair| {
        let (found, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decoded(found).as_deref() == Some(name)).then(|| decoded(value))
    });
    match (values.next(), values.next()) {
        (Some(value), None) => value,
        _ => None,
    }
}

fn decoded(text: &str) -> Option<String> {
    let spaced = text.replace('+', " ");
    let decoded = percent_decode_str(&spaced).decode_utf8().ok()?;
    Some(decoded.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_counts_where_it_is_there_once() {
        assert_eq!(only("a=1&b=x%2Fy+z", "b").as_deref(), Some("x/y z"));
        assert_eq!(only("a=1", "b"), None);
        assert_eq!(only("b=1&b=1", "b"), None);
        assert_eq!(only("b=1&%62=2", "b"), None);
        assert_eq!(only("b", "b").as_deref(), Some(""));
        assert_eq!(only("b=%ff", "b"), None);
    }
}
