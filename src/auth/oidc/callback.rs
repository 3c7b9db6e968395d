//! The answer of a provider as the browser brings it.

use openidconnect::url::form_urlencoded;

use crate::domain::name::is_invisible;

/// Characters that are kept of what a provider says of an error.
const SAID_CHARACTERS_MAX: usize = 200;

/// The parameters of a callback.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Callback {
    /// Names the attempt.
    pub state: Option<String>,
    /// Is exchanged for tokens.
    pub code: Option<String>,
    /// The issuer (RFC 9207).
    pub iss: Option<String>,
    /// Why there is no code: a word of the standard.
    pub error: Option<String>,
    /// The provider's words for that, cut and without what cannot be seen; nothing to rely on.
    pub said: Option<String>,
    /// Whether one of them came twice: readers differ in which they take.
    pub twice: bool,
}

impl Callback {
    /// Reads a query; parameters that are not known are left out, and empty ones are none.
    #[must_use]
    pub fn parse(query: &str) -> Self {
        let mut callback = Self::default();
        let mut seen: Vec<&str> = Vec::new();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let (name, slot) = match name.as_ref() {
                "state" => ("state", &mut callback.state),
                "code" => ("code", &mut callback.code),
                "iss" => ("iss", &mut callback.iss),
                "error" => ("error", &mut callback.error),
                "error_description" => ("error_description", &mut callback.said),
                _ => continue,
            };
            callback.twice |= seen.contains(&name);
            seen.push(name);
            *slot = (!value.is_empty()).then(|| value.into_owned());
        }
        callback.said = callback.said.map(|said| shortened(&said));
        callback
    }
}

fn shortened(text: &str) -> String {
    let kept = text
        .chars()
        .filter(|c| !c.is_control() && !is_invisible(*c));
    kept.take(SAID_CHARACTERS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parameters_are_decoded() {
        let callback =
            Callback::parse("code=a%2Fb&state=s+t&iss=https%3A%2F%2Fidp&session_state=x");
        assert_eq!(callback.code.as_deref(), Some("a/b"));
        assert_eq!(callback.state.as_deref(), Some("s t"));
        assert_eq!(callback.iss.as_deref(), Some("https://idp"));
        assert!(!callback.twice);
        assert_eq!(Callback::parse("state=&code=").state, None);
    }

    #[test]
    fn a_parameter_twice_is_noted_however_it_is_spelt() {
        for query in [
            "state=a&state=a",
            "code=a&code=",
            "iss=a&%69ss=b",
            "error=a&error=b",
            "error_description=a&error_description=b",
        ] {
            assert!(Callback::parse(query).twice, "{query}");
        }
        assert!(!Callback::parse("x=1&x=2&state=a").twice);
    }

    #[test]
    fn what_a_provider_says_is_cut_and_has_nothing_that_cannot_be_seen() {
        let query = format!(
            "error=x&error_description=%0d%0a%1b[31m%E2%80%AE%E2%80%8B{}",
            "a".repeat(1000)
        );
        let said = Callback::parse(&query).said.unwrap();
        assert!(said.starts_with("[31maaa"), "{said}");
        assert_eq!(said.chars().count(), SAID_CHARACTERS_MAX);
    }
}
