//! Where to go after signing in: the few targets that a request may name.
//!
//! A target is recognised and then written anew; nothing of its own bytes but the values of an open
//! link, percent-encoded, comes out again. So no spelling of another site, however odd, can leave
//! this one: what is not recognised is the start page.

use crate::qlikview::open_link::OpenLink;

/// A target that may follow a sign-in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReturnTo {
    /// `/`, and whatever is not one of the others.
    Start,
    /// `/account`
    Account,
    /// `/desktop`
    Desktop,
    /// `/qlikview/`
    AccessPoint,
    /// A link that opens a document.
    Open(OpenLink),
}

impl ReturnTo {
    /// Recognises the target in a decoded form field or query parameter.
    #[must_use]
    pub fn parse(wanted: &str) -> Self {
        match wanted {
            "/account" => Self::Account,
            "/desktop" => Self::Desktop,
            _ if is_access_point(wanted) => Self::AccessPoint,
            _ => OpenLink::parse(wanted).map_or(Self::Start, Self::Open),
        }
    }

    /// Recognises the target of an old client, which does not always encode its query: then parts of
    /// an open link stand beside the target, as parameters of their own. CONFIRMED
    #[must_use]
    pub fn parse_with_strays(wanted: &str, strays: &[(String, String)]) -> Self {
        OpenLink::parse_with_strays(wanted, strays).map_or_else(|| Self::parse(wanted), Self::Open)
    }

    /// The path, with a query where there is one, for a `Location` header or a hidden field.
    #[must_use]
    pub fn location(&self) -> String {
        match self {
            Self::Start => "/".to_owned(),
            Self::Account => "/account".to_owned(),
            Self::Desktop => "/desktop".to_owned(),
            Self::AccessPoint => "/qlikview/".to_owned(),
            Self::Open(link) => link.location(),
        }
    }
}

/// `/qlikview` in any case, with or without the last `/`.
fn is_access_point(wanted: &str) -> bool {
    let path = wanted.strip_suffix('/').unwrap_or(wanted);
    path.eq_ignore_ascii_case("/qlikview")
}

#[cfg(test)]
#[path = "../../tests/it/other_sites.rs"]
mod other_sites;

#[cfg(test)]
mod tests {
    use super::other_sites::other_sites;
    use super::*;
    use crate::qlikview::open_link::LINK_BYTES_MAX;

    const START: &str = "/";

    fn location(wanted: &str) -> String {
        ReturnTo::parse(wanted).location()
    }

    #[test]
    fn the_pages_of_the_contract_are_kept() {
        for (wanted, expected) in [
            ("/", "/"),
            ("/account", "/account"),
            ("/desktop", "/desktop"),
            ("/qlikview", "/qlikview/"),
            ("/qlikview/", "/qlikview/"),
            ("/QlikView/", "/qlikview/"),
            ("/QLIKVIEW", "/qlikview/"),
        ] {
            assert_eq!(location(wanted), expected, "{wanted}");
        }
    }

    #[test]
    fn what_is_near_a_page_is_the_start_page() {
        for wanted in [
            "",
            "account",
            "/account/",
            "/Account",
            "/account?x=1",
            "/account#x",
            "/desktop/",
            "/qlikview//",
            "/qlikview/index.htm",
            "/qlikview/?x",
            "//qlikview/",
            "/qlikview\\",
            "/login",
            "/documents/1/open",
            "/?x=1",
            "/ account",
        ] {
            assert_eq!(location(wanted), START, "{wanted}");
        }
    }

    #[test]
    fn open_links_are_kept_and_written_anew() {
        let open = "/QvAJAXZfc/AccessPoint.aspx?open=&id=QVS%40cluster%7CSales%2FDemo.qvw";
        for (wanted, expected) in [
            (
                "/QvAJAXZfc/AccessPoint.aspx?open=&id=QVS@cluster|Sales/Demo.qvw&client=Ajax",
                format!("{open}&client=Ajax"),
            ),
            (
                "/qvajaxzfc/accesspoint.ASPX?OPEN=&ID=QVS%40cluster%7cSales%2fDemo.qvw&CLIENT=plugin",
                format!("{open}&client=Plugin"),
            ),
            (
                "/QvAJAXZfc/AccessPoint.aspx?open=&id=QVS%2540cluster%257CSales%252FDemo.qvw",
                open.to_owned(),
            ),
            (
                "/QvAJAXZfc/AccessPoint.aspx?client=&id=QVS@cluster|Sales/Demo.qvw&open&mark=1&x",
                open.to_owned(),
            ),
            (
                "/QvAJAXZfc/AccessPoint.aspx?open=&id=Test.qvw&select=LB01,A b,C&select=LB02,ü:1",
                "/QvAJAXZfc/AccessPoint.aspx?open=&id=Test.qvw&select=LB01,A%20b,C&select=LB02,%C3%BC%3A1"
                    .to_owned(),
            ),
            (
                "/QvAJAXZfc/opendoc.htm?document=Demos%5CA+B.qvw&host=QVS%40x&bookmark=Document\\BM01&ticket=00",
                "/QvAJAXZfc/opendoc.htm?document=Demos%5CA%20B.qvw&host=QVS%40x&bookmark=Document%5CBM01"
                    .to_owned(),
            ),
            (
                "/QVAJAXZFC/OPENDOC.HTM?document=100%25.qvw&client=AjaxOnSmallDevices",
                "/QvAJAXZfc/opendoc.htm?document=100%25.qvw&client=AjaxOnSmallDevices".to_owned(),
            ),
        ] {
            assert_eq!(location(wanted), expected, "{wanted}");
            assert_eq!(location(&expected), expected, "written again: {wanted}");
        }
    }

    #[test]
    fn what_only_resembles_an_open_link_is_the_start_page() {
        for wanted in [
            "/QvAJAXZfc/AccessPoint.aspx",
            "/QvAJAXZfc/AccessPoint.aspx?",
            "/QvAJAXZfc/AccessPoint.aspx?id=x.qvw",
            "/QvAJAXZfc/AccessPoint.aspx?open=",
            "/QvAJAXZfc/AccessPoint.aspx?open=&id=",
            "/QvAJAXZfc/AccessPoint.aspx?open=&id=%20",
            "/QvAJAXZfc/AccessPoint.aspx?open=&id=x&id=y",
            "/QvAJAXZfc/AccessPoint.aspx?open=&id=x&ID=y",
            "/QvAJAXZfc/AccessPoint.aspx?open=&id=x&client=Other",
            "/QvAJAXZfc/AccessPoint.aspx?open=&id=x%00",
            "/QvAJAXZfc/AccessPoint.aspx?open=&id=x%0d%0aLocation",
            "/QvAJAXZfc/AccessPoint.aspx?open=&id=QVS%257Cx%250d",
            "/QvAJAXZfc/AccessPoint.aspx?open=&id=x\u{7}",
            "/QvAJAXZfc/AccessPoint.aspx?open=&id=x%ff",
            "/QvAJAXZfc/AccessPoint.aspx?open=&id=x#y",
            "/QvAJAXZfc/AccessPoint.aspx?document=x",
            "/QvAJAXZfc/opendoc.htm?id=x&open=",
            "/QvAJAXZfc/opendoc.htm?document=x&host=//evil.example",
            "/QvAJAXZfc//opendoc.htm?document=x",
            "/QvAJAXZfc\\opendoc.htm?document=x",
            "/QvAJAXZfc%2fopendoc.htm?document=x",
            "/QvAJAXZfc/./opendoc.htm?document=x",
            "/QvAJAXZfc/%6fpendoc.htm?document=x",
            "/QvAJAXZfc/opendoc.htm/?document=x",
            "/QvAJAXZfc/GetWebTicket.aspx?document=x",
            "//QvAJAXZfc/opendoc.htm?document=x",
            "https://ap.example/QvAJAXZfc/opendoc.htm?document=x",
        ] {
            assert_eq!(location(wanted), START, "{wanted:?}");
        }
    }

    #[test]
    fn parts_of_a_link_that_stand_beside_it_belong_to_it() {
        let open = "/QvAJAXZfc/AccessPoint.aspx?open=&id=QVS%40x%7CA.qvw";
        let strays = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
            let pairs = pairs.iter();
            pairs
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect()
        };
        for (wanted, beside, expected) in [
            // The whole query of a link that was not encoded.
            (
                "/QvAJAXZfc/AccessPoint.aspx?open=",
                strays(&[("id", "QVS@x|A.qvw"), ("client", "Ajax"), ("type", "html")]),
                format!("{open}&client=Ajax"),
            ),
            // What some clients add outside of an encoded link.
            (
                "/QvAJAXZfc/AccessPoint.aspx?open=&id=QVS@x%7CA.qvw",
                strays(&[
                    ("select", "LB01,a b"),
                    ("select", "LB02,c&d"),
                    ("client", "Plugin"),
                ]),
                format!("{open}&client=Plugin&select=LB01,a%20b&select=LB02,c%26d"),
            ),
            // What the link says itself counts.
            (
                "/qvajaxzfc/accesspoint.aspx?open=&id=QVS@x|A.qvw&client=Ajax",
                strays(&[("client", "Plugin"), ("ID", "B.qvw"), ("webticket", "0")]),
                format!("{open}&client=Ajax"),
            ),
            (
                "/QvAJAXZfc/opendoc.htm",
                strays(&[("document", "A.qvw")]),
                "/QvAJAXZfc/opendoc.htm?document=A.qvw".to_owned(),
            ),
            (
                "/account",
                strays(&[("client", "Ajax")]),
                "/account".to_owned(),
            ),
            ("//evil.example", strays(&[("id", "x")]), START.to_owned()),
            (
                "/QvAJAXZfc/opendoc.htm",
                strays(&[("document", "https://evil.example")]),
                START.to_owned(),
            ),
        ] {
            let found = ReturnTo::parse_with_strays(wanted, &beside).location();
            assert_eq!(found, expected, "{wanted} {beside:?}");
        }
        for (id, wanted) in other_sites() {
            let found = ReturnTo::parse_with_strays(&wanted, &strays(&[("client", "Ajax")]));
            assert_eq!(found.location(), START, "{id}: {wanted:?}");
        }
    }

    #[test]
    fn a_link_has_a_longest_length() {
        let link = |length: usize| {
            let start = "/QvAJAXZfc/opendoc.htm?document=";
            format!("{start}{}", "a".repeat(length - start.len()))
        };
        let longest = link(LINK_BYTES_MAX);
        assert_eq!(location(&longest), longest);
        assert_eq!(location(&link(LINK_BYTES_MAX + 1)), START);
    }

    #[test]
    fn no_spelling_of_another_site_leaves_this_one() {
        for (id, wanted) in other_sites() {
            assert_eq!(location(&wanted), START, "{id}: {wanted:?}");
        }
    }

    #[test]
    fn every_case_has_its_spelling() {
        let ids: std::collections::BTreeSet<&str> =
            other_sites().into_iter().map(|(id, _)| id).collect();
        let missing: Vec<String> = (1..=55)
            .map(|number| format!("R-{number:02}"))
            .filter(|id| !ids.contains(id.as_str()))
            .collect();
        assert_eq!(missing, ["R-50"], "the one that has a test of its own");
    }

    #[test]
    fn r_50_a_location_never_holds_a_host() {
        // A forwarded host has no way in: the only input is the target, the only output a path.
        for wanted in ["/account", "/qlikview", "/QvAJAXZfc/opendoc.htm?document=x"] {
            let location = location(wanted);
            assert!(
                location.starts_with('/') && !location.contains("//"),
                "R-50: {location}"
            );
        }
    }
}
