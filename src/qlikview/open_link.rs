//! Open links: the addresses by which clients of `QlikView` open a document.
//!
//! A link is recognised and then written anew; nothing of its own bytes but the values of its
//! parameters, percent-encoded, comes out again.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::domain::client::ClientKind;

/// The longest link that is looked at, in bytes. Old browsers cut addresses at half of it.
pub const LINK_BYTES_MAX: usize = 4_096;

/// What stays as it is in a value of a query that we write.
const QUERY_VALUE: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~')
    .remove(b',');

/// The words for a client in open links, as `QlikView` writes them.
const CLIENTS: [&str; 5] = [
    "Ajax",
    "AjaxOnSmallDevices",
    "Desktop",
    "Download",
    "Plugin",
];

/// The parameters of an open link.
const LINK_PARAMETERS: [&str; 7] = [
    "open", "id", "document", "host", "client", "bookmark", "select",
];

/// The page that an open link calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenPage {
    /// `/QvAJAXZfc/AccessPoint.aspx?open=&id=`
    AccessPoint,
    /// `/QvAJAXZfc/opendoc.htm?document=`
    OpenDoc,
    /// `/QvAJAXZfc/mobile/opendoc.htm?document=`, for small devices.
    Mobile,
    /// `/QvPlugin/opendoc.htm?document=`, which holds the plug-in. RECALLED
    Plugin,
}

impl OpenPage {
    /// Every page.
    pub const ALL: [Self; 4] = [Self::AccessPoint, Self::OpenDoc, Self::Mobile, Self::Plugin];

    /// The page at a path, in any case.
    #[must_use]
    pub fn of(path: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|page| path.eq_ignore_ascii_case(page.path()))
    }

    /// The path, in the spelling of `QlikView`'s documentation.
    #[must_use]
    pub const fn path(self) -> &'static str {
        match self {
            Self::AccessPoint => "/QvAJAXZfc/AccessPoint.aspx",
            Self::OpenDoc => "/QvAJAXZfc/opendoc.htm",
            Self::Mobile => "/QvAJAXZfc/mobile/opendoc.htm",
            Self::Plugin => "/QvPlugin/opendoc.htm",
        }
    }

    /// The parameter that names the document.
    const fn document_parameter(self) -> &'static str {
        match self {
            Self::AccessPoint => "id",
            Self::OpenDoc | Self::Mobile | Self::Plugin => "document",
        }
    }
}

/// A link that opens a document. Parameters other than these are left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenLink {
    /// The page.
    pub page: OpenPage,
    /// The document as the link names it: `HOST|PATH`, a path, or an id.
    pub document: String,
    /// The server, where the link names it apart.
    pub host: Option<String>,
    /// One of the words of `QlikView`, in its spelling.
    pub client: Option<&'static str>,
    /// A bookmark to apply.
    pub bookmark: Option<String>,
    /// Selections to make, in order.
    pub selects: Vec<String>,
}

impl OpenLink {
    /// Recognises an open link: the path in any case, the query percent-encoded once or, as old
    /// portals send it, twice.
    #[must_use]
    pub fn parse(path_and_query: &str) -> Option<Self> {
        if path_and_query.len() > LINK_BYTES_MAX || path_and_query.contains('#') {
            return None;
        }
        let (path, query) = path_and_query.split_once('?')?;
        let page = OpenPage::of(path)?;
        let parameters = Parameters::read(query)?;
        if page == OpenPage::AccessPoint {
            // Without `open` the page answers with pictures and lists, and opens nothing.
            parameters.single("open").ok()??;
        }
        let document = parameters.single(page.document_parameter()).ok()??;
        Some(Self {
            page,
            document: plain_name(&decoded_if_twice_encoded(document)?)?,
            host: match parameters.single("host").ok()? {
                Some(host) => Some(plain_name(host)?),
                None => None,
            },
            client: match parameters.single("client").ok()? {
                Some("") | None => None,
                Some(word) => Some(client_word(word)?),
            },
            bookmark: parameters.single("bookmark").ok()?.map(str::to_owned),
            selects: parameters.all("select").map(str::to_owned).collect(),
        })
    }

    /// Recognises the link of an old client, which does not always encode its query: then parts of the
    /// link stand beside it, as parameters of their own. CONFIRMED
    #[must_use]
    pub fn parse_with_strays(link: &str, strays: &[(String, String)]) -> Option<Self> {
        let (path, query) = link.split_once('?').unwrap_or((link, ""));
        OpenPage::of(path)?;
        let inside = Parameters::read(query).unwrap_or_default();
        let mut whole = format!("{path}?{query}");
        for (name, value) in strays {
            let known = LINK_PARAMETERS
                .iter()
                .find(|known| known.eq_ignore_ascii_case(name));
            if let Some(known) = known
                && inside.all(known).next().is_none()
            {
                whole.push('&');
                push_parameter(&mut whole, known, value);
            }
        }
        Self::parse(&whole)
    }

    /// The link by which a client of this kind opens a document of a server; Desktop and the plug-in
    /// open alike.
    #[must_use]
    pub fn to(host: &str, path: &str, client: ClientKind) -> Self {
        let of_access_point = |word| Self {
            page: OpenPage::AccessPoint,
            document: format!("{host}|{path}"),
            host: None,
            client: Some(word),
            bookmark: None,
            selects: Vec::new(),
        };
        match client {
            ClientKind::Plugin | ClientKind::Desktop => of_access_point("Plugin"),
            ClientKind::Download => of_access_point("Download"),
            ClientKind::Ajax => Self {
                page: OpenPage::OpenDoc,
                document: path.to_owned(),
                host: Some(host.to_owned()),
                client: None,
                bookmark: None,
                selects: Vec::new(),
            },
        }
    }

    /// The document with its server, where the link names one: `HOST|PATH`.
    #[must_use]
    pub fn named(&self) -> Cow<'_, str> {
        match &self.host {
            Some(host) if !self.document.contains('|') => {
                Cow::Owned(format!("{host}|{}", self.document))
            }
            _ => Cow::Borrowed(&self.document),
        }
    }

    /// What `QlikView`'s word for a client means; a page that says nothing is that of the browser, but
    /// for the one that holds the plug-in.
    #[must_use]
    pub fn client_kind(&self) -> ClientKind {
        match self.client {
            Some("Plugin") => ClientKind::Plugin,
            Some("Desktop") => ClientKind::Desktop,
            Some("Download") => ClientKind::Download,
            None if self.page == OpenPage::Plugin => ClientKind::Plugin,
            _ => ClientKind::Ajax,
        }
    }

    /// Whether a query names a document in whatever way, also in one that makes no link: such an
    /// address opens something, if not what its writer says.
    #[must_use]
    pub fn is_named_in(query: &str) -> bool {
        let names = query.split('&').map(|pair| pair.split('=').next());
        names.flatten().any(|name| {
            let name = percent_decode_str(name).decode_utf8_lossy();
            ["open", "id", "document"]
                .iter()
                .any(|known| known.eq_ignore_ascii_case(&name))
        })
    }

    /// The link, written anew.
    #[must_use]
    pub fn location(&self) -> String {
        let mut link = format!("{}?", self.page.path());
        if self.page == OpenPage::AccessPoint {
            link.push_str("open=&");
        }
        push_parameter(&mut link, self.page.document_parameter(), &self.document);
        let singles = [
            ("host", self.host.as_deref()),
            ("client", self.client),
            ("bookmark", self.bookmark.as_deref()),
        ];
        let selects = self
            .selects
            .iter()
            .map(|select| ("select", Some(select.as_str())));
        for (name, value) in singles.into_iter().chain(selects) {
            if let Some(value) = value {
                link.push('&');
                push_parameter(&mut link, name, value);
            }
        }
        link
    }
}

fn push_parameter(link: &mut String, name: &str, value: &str) {
    link.push_str(name);
    link.push('=');
    link.extend(utf8_percent_encode(value, QUERY_VALUE));
}

fn client_word(word: &str) -> Option<&'static str> {
    CLIENTS
        .into_iter()
        .find(|client| client.eq_ignore_ascii_case(word))
}

/// Host and document are parted by `|`. Where that still reads `%7C`, all was encoded twice.
fn decoded_if_twice_encoded(document: &str) -> Option<String> {
    if !document.to_ascii_lowercase().contains("%7c") {
        return Some(document.to_owned());
    }
    decode(document)
}

/// The name of a document or server. One that reads as an address of anything is refused.
fn plain_name(name: &str) -> Option<String> {
    let is_address = name.starts_with(['/', '\\'])
        || name.contains(':')
        || name.contains("//")
        || name.contains("\\\\");
    (!name.trim().is_empty() && !is_address).then(|| name.to_owned())
}

/// Percent-decodes once. Bytes that are not UTF-8 and control characters are refused.
fn decode(text: &str) -> Option<String> {
    let decoded = percent_decode_str(text).decode_utf8().ok()?;
    (!decoded.contains(char::is_control)).then(|| decoded.into_owned())
}

/// The parameters of a query, decoded, in their order.
#[derive(Default)]
struct Parameters(Vec<(String, String)>);

/// A parameter of which there may be one stands there twice; readers differ in which they take.
struct Ambiguous;

impl Parameters {
    fn read(query: &str) -> Option<Self> {
        query
            .split('&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| {
                let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                Some((decode(name)?, decode(&value.replace('+', " "))?))
            })
            .collect::<Option<_>>()
            .map(Self)
    }

    fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0
            .iter()
            .filter(move |(this, _)| this.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    fn single(&self, name: &str) -> Result<Option<&str>, Ambiguous> {
        let mut values = self.all(name);
        let first = values.next();
        match values.next() {
            Some(_) => Err(Ambiguous),
            None => Ok(first),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_client_is_led_to_its_page() {
        let led = |client| OpenLink::to("QVS@x", "Sales/A B.qvw", client).location();
        let plugin =
            "/QvAJAXZfc/AccessPoint.aspx?open=&id=QVS%40x%7CSales%2FA%20B.qvw&client=Plugin";
        assert_eq!(led(ClientKind::Plugin), plugin);
        assert_eq!(led(ClientKind::Desktop), plugin);
        assert_eq!(
            led(ClientKind::Ajax),
            "/QvAJAXZfc/opendoc.htm?document=Sales%2FA%20B.qvw&host=QVS%40x"
        );
        for client in ClientKind::ALL {
            let link = OpenLink::parse(&led(client)).unwrap();
            assert_eq!(link.named(), "QVS@x|Sales/A B.qvw");
            assert_eq!(link.client_kind().leases(), client.leases());
        }
    }

    #[test]
    fn a_query_that_names_a_document_is_known_however_it_is_written() {
        for query in ["open=&id=x", "OPEN", "a=b&%69d=x", "Document=x&Document=y"] {
            assert!(OpenLink::is_named_in(query), "{query}");
        }
        for query in [
            "",
            "datamode=binary&name=x",
            "mark=&platform=browser.chrome",
        ] {
            assert!(!OpenLink::is_named_in(query), "{query}");
        }
    }

    #[test]
    fn the_page_of_the_plug_in_opens_with_it() {
        let link = OpenLink::parse("/qvplugin/opendoc.htm?document=A.qvw&host=QVS@x").unwrap();
        assert_eq!(link.client_kind(), ClientKind::Plugin);
        assert_eq!(
            link.location(),
            "/QvPlugin/opendoc.htm?document=A.qvw&host=QVS%40x"
        );
    }
}
