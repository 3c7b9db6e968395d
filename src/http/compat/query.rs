//! Queries of old clients: what cannot be read is as if it were not there.

use percent_encoding::percent_decode_str;

/// The parameters of a query, decoded, in their order. Names are compared without regard to case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    pub(super) fn read(query: &str) -> Self {
        let pairs = query.split('&').filter_map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Some((decoded(name)?, decoded(value)?))
        });
        Self(pairs.collect())
    }

    /// The value of a parameter that stands there once; readers differ in which of two they take.
    pub(super) fn only(&self, name: &str) -> Option<&str> {
        let mut values = self
            .0
            .iter()
            .filter(|(known, _)| known.eq_ignore_ascii_case(name));
        match (values.next(), values.next()) {
            (Some((_, value)), None) => Some(value),
            _ => None,
        }
    }

    /// Whether a parameter stands there at all.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0
            .iter()
            .any(|(known, _)| known.eq_ignore_ascii_case(name))
    }

    /// Every parameter.
    pub(super) fn pairs(&self) -> &[(String, String)] {
        &self.0
    }
}

fn decoded(text: &str) -> Option<String> {
    let spaced = text.replace('+', " ");
    let decoded = percent_decode_str(&spaced).decode_utf8().ok()?;
    (!decoded.contains(char::is_control)).then(|| decoded.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_read_as_far_as_they_can_be() {
        let query = Query::read("Type=html&try=%2Fa+b&x=%E4&y=%0d%0a&try2&z=1&Z=2");
        assert_eq!(query.only("type"), Some("html"));
        assert_eq!(query.only("TRY"), Some("/a b"));
        assert!(query.has("try2") && query.has("z"));
        for name in ["x", "y", "z", "missing"] {
            assert_eq!(query.only(name), None, "{name}");
        }
    }
}
