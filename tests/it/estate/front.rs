//! The gateway in front of the stand-in: from the list to the page of a document, and out again.

use std::sync::Arc;
use std::time::Duration;

use accesspoint::clock::Clock;
use accesspoint::domain::time::Millis;
use reqwest::Method;
use serde_json::Value;
use tokio::task::JoinHandle;

use crate::gateway::{Answer, Client, Gateway};
use crate::stand_in::management::Wrong;
use crate::stand_in::web::{SERVER, SESSION_COOKIE, WebWrong};
use crate::stand_in::{NEVER, StandIn};

const ORDERS: &str = "Sales/Orders.qvw";
/// Headers of a web server that nobody outside sees.
const INSIDE: [&str; 8] = [
    "server",
    "x-powered-by",
    "x-inside-node",
    "content-location",
    "access-control-allow-origin",
    "keep-alive",
    "www-authenticate",
    "set-cookie",
];

/// An estate, and the gateway in front of it.
pub(super) struct Front {
    pub(super) estate: StandIn,
    pub(super) gateway: Gateway,
    _follows: Follows,
}

/// A task that ends with what it is for.
struct Follows(JoinHandle<()>);

impl Drop for Follows {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Front {
    /// With ann, who holds a named CAL, and more lines under `[qlikview]`.
    pub(super) async fn new(more: &str) -> Self {
        let clock = Clock::simulated("2026-11-24T12:00:00.000Z".parse().unwrap());
        Self::before(StandIn::at(&clock).await, &clock, more).await
    }

    pub(super) async fn before(estate: StandIn, clock: &Clock, more: &str) -> Self {
        estate.known().assigned = vec![("CUSTOM\\ANN".to_owned(), NEVER, NEVER)];
        let settings = estate.settings(more);
        let gateway = Gateway::with_clock(1, &settings, clock.clone(), |_| ()).await;
        gateway.add("ann", &[]).await;
        let followed = Arc::clone(gateway.app.estate().unwrap()).follow_sessions();
        Self {
            estate,
            gateway,
            _follows: Follows(tokio::spawn(followed)),
        }
    }

    /// What a page of the web server that came down must be, and nothing of the inside.
    pub(super) fn is_clean(&self, what: &str, answer: &Answer) {
        for (name, value) in &answer.headers {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            assert!(!INSIDE.contains(&name.as_str()), "{what}: {name}: {value}");
            assert!(!self.tells_inside(&value), "{what}: {name}: {value}");
        }
        for (name, value) in [
            ("strict-transport-security", "max-age=31536000"),
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "SAMEORIGIN"),
            ("referrer-policy", "no-referrer"),
        ] {
            let values = answer.headers.get_all(name).iter().collect::<Vec<_>>();
            assert_eq!(values, [value], "{what}: {name}");
        }
        let kind = answer.headers.get("content-type");
        let kind = kind.map_or("", |kind| kind.to_str().unwrap());
        if ["html", "xml", "javascript"]
            .iter()
            .any(|text| kind.contains(text))
        {
            let text = answer.text();
            assert!(!self.tells_inside(&text), "{what}: {text}");
        }
    }

    fn tells_inside(&self, text: &str) -> bool {
        let servers = self.estate.web_servers();
        let hosts = servers
            .iter()
            .map(|server| server.trim_start_matches("http://"));
        hosts.into_iter().any(|host| text.contains(host))
    }

    /// Goes where answers lead, all of them through the gateway, to one that leads nowhere.
    pub(super) async fn follow(&self, client: &Client, path: &str) -> Answer {
        let mut path = path.to_owned();
        for _ in 0..8 {
            let answer = client.get(&path).await;
            if !answer.status.is_redirection() {
                return answer;
            }
            path = answer.location();
            assert!(path.starts_with('/') && !path.starts_with("//"), "{path}");
            assert!(!self.tells_inside(&path), "{path}");
        }
        panic!("it leads on and on: {path}");
    }

    /// The id of a document in somebody's list.
    pub(super) async fn document(&self, client: &Client, name: &str) -> String {
        let listed = client.get("/api/v1/documents").await;
        let items = listed.body["items"].as_array().unwrap();
        let found = items.iter().find(|item| item["name"] == name);
        found.unwrap_or_else(|| panic!("{items:?}"))["id"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    /// Opens a document; what was answered, which must be access.
    pub(super) async fn opens(&self, client: &Client, name: &str, with: &str) -> Value {
        let id = self.document(client, name).await;
        let opened = client.open(&id, with).await;
        assert_eq!(opened.status, 200, "{:?}", opened.body);
        assert_eq!(opened.body["access"], "granted");
        opened.body
    }

    /// Follows the launch of an open to the page that it leads to.
    pub(super) async fn launches(&self, client: &Client, opened: &Value) -> Answer {
        let url = opened["launch"]["url"].as_str().unwrap();
        let ours = self.gateway.url("");
        self.follow(client, url.strip_prefix(&ours).unwrap()).await
    }

    /// Waits for something that the estate does by itself.
    pub(super) async fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        for _ in 0..400 {
            if holds(self) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{what} does not come about");
    }

    pub(super) async fn posts(
        &self,
        client: &Client,
        path: &str,
        kind: &str,
        body: &str,
    ) -> Answer {
        let request = client
            .request(Method::POST, path)
            .header("content-type", kind);
        client.send(request.body(body.to_owned())).await
    }
}

/// The body of an update of the `AccessPoint` page.
fn update(sets: &str) -> String {
    format!(
        "<update mark=\"\" stamp=\"\" cookie=\"true\" scope=\"Document\" ident=\"AccessPoint\" \
         kind=\"AccessPoint\">{sets}</update>"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_by_ajax_leads_to_the_page_of_the_document() {
    let front = Front::new("").await;
    let ann = front.gateway.signed_in("ann").await;
    let listed = ann.get("/api/v1/documents").await;
    let names: Vec<&str> = listed.body["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["name"].as_str().unwrap())
        .collect();
    assert_eq!(names.len(), 3, "Finance is for others: {names:?}");
    let opened = front.opens(&ann, ORDERS, "ajax").await;
    assert_eq!(opened["lease"]["outcome"], "not_applicable");
    let page = front.launches(&ann, &opened).await;
    assert_eq!(page.status, 200);
    front.is_clean("the page", &page);
    assert!(
        page.text().contains("<h1>Sales/Orders.qvw</h1>"),
        "{}",
        page.text()
    );
    let outside = front.gateway.url("");
    assert!(
        page.text()
            .contains(&format!("{outside}/QvAJAXZfc/htc/document.js"))
    );
    let policy = page.headers["content-security-policy"].to_str().unwrap();
    assert_eq!(policy, "default-src 'self'; frame-ancestors 'self'");
    for path in [
        "/QvAJAXZfc/htc/document.js",
        "/qlikview/",
        "/qlikview/access_point.js",
        "/qlikview/style.css",
        "/QvAJAXZfc/dot.gif",
    ] {
        let part = ann.get(path).await;
        assert_eq!(part.status, 200, "{path}");
        front.is_clean(path, &part);
    }
    let client = "/QvAJAXZfc/QvsViewClient.aspx?mark=&view=Sales%2FOrders.qvw";
    let told = front.posts(&ann, client, "text/xml", "<update/>").await;
    front.is_clean(client, &told);
    assert!(
        told.text().contains("text=\"CUSTOM\\ann\""),
        "{}",
        told.text()
    );
    assert!(
        told.text()
            .contains(&format!("text=\"{outside}/qlikview/\""))
    );
    front.estate.was_asked_well();
    let cookie = format!("{SESSION_COOKIE}=");
    for asked in &front.estate.known().web.asked {
        let cookies = asked
            .headers
            .get("cookie")
            .map(|value| value.to_str().unwrap());
        let begun = asked.target.contains("Ticket") || asked.target.contains("webticket");
        assert_eq!(
            cookies.is_some_and(|cookies| cookies.contains(&cookie)),
            !begun
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_page_of_the_web_server_works_through_the_gateway() {
    let front = Front::new("").await;
    let ann = front.gateway.signed_in("ann").await;
    let page = "/QvAJAXZfc/AccessPoint.aspx?mark=&platform=browser.chrome&dpi=96";
    let search = update("<set name=\"AccessPoint.SearchFilter\" text=\"ord\"/>");
    let listed = front.posts(&ann, page, "text/plain", &search).await;
    assert_eq!(listed.status, 200);
    front.is_clean("the list", &listed);
    let value = format!("value=\"{SERVER}|{ORDERS}\"");
    assert!(listed.text().contains(&value), "{}", listed.text());
    let plugin = front.gateway.url("/QvPlugin/QvPluginSetup.exe");
    assert!(listed.text().contains(&plugin), "{}", listed.text());
    // Its picture passes, and signing out there signs out here.
    let picture = ann
        .get("/QvAJAXZfc/AccessPoint.aspx?datamode=binary&name=Sales%2FOrders.qvw&stamp=1&kind=AccessPoint")
        .await;
    assert_eq!(picture.headers["content-type"], "image/gif");
    front.is_clean("the picture", &picture);
    front.estate.was_asked_well();
    let out = update("<set name=\"AccessPoint.Logout\" action=\"\"/>");
    assert_eq!(
        front.posts(&ann, page, "text/plain", &out).await.status,
        200
    );
    ann.get("/api/v1/session")
        .await
        .problem(401, "SIGN_IN_REQUIRED");
    front
        .until("the end of the session there", |front| {
            front.estate.known().web.sessions() == 0
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_pass_byte_for_byte_and_in_parts() {
    let front = Front::new("").await;
    let ann = front.gateway.signed_in("ann").await;
    let path = "/QvPlugin/QvPluginSetup.exe?bytes=3000000";
    let whole = ann.get(path).await;
    front.is_clean("the file", &whole);
    assert_eq!(whole.headers["content-length"], "3000000");
    let begin = front.estate.web_server().as_bytes();
    assert_eq!(whole.bytes.len(), 3_000_000);
    assert!(
        whole.bytes.starts_with(begin),
        "what is no text is not touched"
    );
    let tail = &whole.bytes[begin.len()..];
    let kept = tail.iter().zip(begin.len()..);
    assert!(
        kept.into_iter()
            .all(|(byte, at)| usize::from(*byte) == at % 251)
    );
    let part = ann
        .request(Method::GET, path)
        .header("range", "bytes=70000-70009");
    let part = ann.send(part).await;
    assert_eq!(part.status, 206);
    assert_eq!(part.headers["content-range"], "bytes 70000-70009/3000000");
    assert_eq!(part.bytes, whole.bytes[70_000..70_010]);
    // A page is rewritten, so that a part of it has no place; it comes whole.
    let page = ann
        .request(Method::GET, "/qlikview/")
        .header("range", "bytes=0-9");
    let page = ann.send(page).await;
    assert_eq!(page.status, 200);
    assert!(page.text().ends_with("</html>\n"));
    front.estate.was_asked_well();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lease_of_an_open_for_the_plug_in_is_seen_and_told() {
    let front = Front::new("").await;
    let ann = front.gateway.signed_in("ann").await;
    let opened = front.opens(&ann, ORDERS, "plugin").await;
    let lease = &opened["lease"];
    assert_eq!(lease["outcome"], "granted");
    assert!(
        lease["expires_at"]
            .as_str()
            .unwrap()
            .starts_with("2026-12-24")
    );
    for nothing in ["id", "workstation", "token"] {
        assert!(lease[nothing].is_null(), "{nothing}: {lease}");
    }
    let page = front.launches(&ann, &opened).await;
    front.is_clean("the page", &page);
    let text = page.text();
    let ticket = text
        .split("?TICKET=")
        .nth(1)
        .unwrap_or_else(|| panic!("{text}"));
    let ticket = ticket.split('"').next().unwrap();
    assert_eq!(ticket.len(), 40, "{text}");
    let mut seen = Value::Null;
    for _ in 0..300 {
        seen = ann.get("/api/v1/leases").await.body["items"][0].clone();
        if !seen.is_null() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(seen["workstation"]["id"], "PC-STAND-IN", "{seen}");
    assert_eq!(
        (&seen["state"], &seen["token"]),
        (&"live".into(), &Value::Null)
    );
    let told = ann.get("/account/lease").await.text();
    assert!(told.contains("has leased to PC-STAND-IN until"), "{told}");
    front.estate.was_asked_well();
    front.estate.validate();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_that_the_server_does_not_give_is_told_too() {
    let front = Front::new("").await;
    front.estate.known().lease = Some(false);
    let ann = front.gateway.signed_in("ann").await;
    let opened = front.opens(&ann, ORDERS, "plugin").await;
    assert_eq!(opened["lease"]["refusal"]["code"], "LEASING_SWITCHED_OFF");
    assert_eq!(front.launches(&ann, &opened).await.status, 200);
    front.gateway.clock.advance(Millis::seconds(16));
    let mut told = String::new();
    for _ in 0..300 {
        let answer = ann.get("/account/lease").await;
        told = answer.text();
        if !answer.headers.contains_key("refresh") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    for part in ["leased to none of your machines", "Leasing is switched off"] {
        assert!(told.contains(part), "{part}: {told}");
    }
    assert_eq!(
        ann.get("/api/v1/leases").await.body["items"],
        serde_json::json!([])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_opens_once_and_its_launch_leads_back_to_it() {
    let front = Front::new("").await;
    let ann = front.gateway.signed_in("ann").await;
    let opens = || {
        let opened = front.gateway.audited("document_opened");
        opened.iter().filter(|(code, _)| code.is_none()).count()
    };
    let link =
        "/qvajaxzfc/AccessPoint.aspx?open=&id=QVS%40cluster%7CSales%2FOrders.qvw&client=Ajax";
    let page = ann.get(link).await;
    assert_eq!((page.status.as_u16(), opens()), (200, 1));
    let launch = page.text();
    let launch = launch.split("/content?launch=").nth(1).unwrap();
    let launch = launch.split(['"', '\'']).next().unwrap();
    let id = front.document(&ann, ORDERS).await;
    let led = format!("/documents/{id}/content?launch={launch}");
    let there = front.follow(&ann, &led).await;
    assert!(
        there.text().contains("<h1>Sales/Orders.qvw</h1>"),
        "{}",
        there.text()
    );
    // While the ticket lives the link is the launch's; then it is an open again.
    let again = front.follow(&ann, link).await;
    assert!(again.text().contains("<h1>Sales/Orders.qvw</h1>"));
    assert_eq!(opens(), 1);
    let other = link.replace("Ajax", "Plugin");
    assert!(ann.get(&other).await.text().contains("/content?launch="));
    assert_eq!(opens(), 2);
    let somebody = front.gateway.signed_in("ann").await;
    assert!(somebody.get(link).await.text().contains("/content?launch="));
    assert_eq!(opens(), 3);
    front.gateway.clock.advance(Millis::seconds(91));
    assert!(ann.get(link).await.text().contains("/content?launch="));
    assert_eq!(opens(), 4);
    let hidden = link.replace("Sales%2FOrders", "Finance%2FBudget");
    assert_eq!(ann.get(&hidden).await.status, 404);
    assert_eq!(opens(), 4);
    front.estate.was_asked_well();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_the_web_server_forgot_begins_anew() {
    let front = Front::new("").await;
    let ann = front.gateway.signed_in("ann").await;
    assert_eq!(ann.get("/qlikview/").await.status, 200);
    front.estate.known().web.forget_sessions();
    let page = ann.get("/qlikview/").await;
    assert_eq!(page.status, 200);
    front.is_clean("the page", &page);
    assert_eq!(front.estate.known().web.tickets_asked.len(), 2);
    front.estate.known().web.forget_sessions();
    front.gateway.clock.advance(Millis::minutes(1));
    assert_eq!(
        ann.get("/api/v1/documents").await.body["items"]
            .as_array()
            .unwrap()
            .len(),
        3
    );
    front.estate.was_asked_well();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_stays_at_its_server_and_moves_on_where_that_is_gone() {
    let clock = Clock::simulated("2026-11-24T12:00:00.000Z".parse().unwrap());
    let mut estate = StandIn::at(&clock).await;
    estate.add_web_server().await;
    let mut front = Front::before(estate, &clock, "").await;
    let ann = front.gateway.signed_in("ann").await;
    let servers = |front: &Front| -> Vec<usize> {
        let known = front.estate.known();
        let pages = known.web.asked.iter().filter(|asked| asked.user.is_some());
        pages.map(|asked| asked.server).collect()
    };
    for _ in 0..4 {
        front.is_clean("the page", &ann.get("/qlikview/").await);
    }
    assert_eq!(servers(&front), [0; 4]);
    front.estate.end_web_server(0);
    for _ in 0..3 {
        let page = ann.get("/qlikview/").await;
        assert_eq!(page.status, 200);
        front.is_clean("the page", &page);
    }
    assert_eq!(servers(&front)[4..], [1; 3]);
    front.estate.was_asked_well();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_web_server_is_said_and_where_one_stands_is_shown_all_the_same() {
    let clock = Clock::simulated("2026-11-24T12:00:00.000Z".parse().unwrap());
    let mut front = Front::before(StandIn::at(&clock).await, &clock, "").await;
    front.gateway.app.estate().unwrap().sync().await.unwrap();
    let ann = front.gateway.signed_in("ann").await;
    front.estate.end_web_server(0);
    let answer = ann.get("/qlikview/").await;
    assert_eq!(answer.status, 503);
    assert!(!front.tells_inside(&answer.text()), "{}", answer.text());
    ann.get("/api/v1/documents")
        .await
        .problem(503, "UPSTREAM_SILENT");
    let page = ann.get("/").await;
    assert_eq!(page.status, 200);
    for part in ["cannot list your documents now", "You hold a named CAL"] {
        assert!(page.text().contains(part), "{part}: {}", page.text());
    }
    let ready = front.gateway.client().get("/readyz").await;
    assert_eq!(ready.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn s_17_what_is_under_way_ends_with_the_session() {
    let front = Front::new("").await;
    let ann = front.gateway.signed_in("ann").await;
    let endless = ann.request(
        Method::GET,
        "/QvPlugin/QvPluginSetup.exe?bytes=1000000000000",
    );
    let mut endless = endless.send().await.unwrap();
    assert!(endless.chunk().await.unwrap().is_some());
    assert_eq!(ann.delete("/api/v1/session").await.status, 204);
    let rest = async { while endless.chunk().await.is_ok_and(|part| part.is_some()) {} };
    let ended = tokio::time::timeout(Duration::from_secs(30), rest).await;
    assert!(ended.is_ok(), "it goes on");
    assert_eq!(ann.get("/qlikview/").await.status, 303);
    front
        .until("the end of the session there", |front| {
            front.estate.known().web.sessions() == 0
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_estate_does_wrong_is_no_harm() {
    let front = Front::new("").await;
    let ann = front.gateway.signed_in("ann").await;
    assert_eq!(ann.get("/qlikview/").await.status, 200);
    for (wrong, status) in [
        (WebWrong::Drips, 200),
        (WebWrong::Status(500), 500),
        (WebWrong::Status(404), 404),
        (WebWrong::HangsUp, 503),
        (WebWrong::AsksFor("NTLM".to_owned()), 502),
        (WebWrong::AsksFor("Negotiate".to_owned()), 502),
        (WebWrong::AsksFor("Basic realm=\"inside\"".to_owned()), 502),
        (WebWrong::LeadsTo("https://evil.example/".to_owned()), 502),
        (
            WebWrong::Adds("www-authenticate".to_owned(), "NTLM".to_owned()),
            502,
        ),
        (
            WebWrong::Adds("content-encoding".to_owned(), "br".to_owned()),
            502,
        ),
    ] {
        front.estate.known().web.wrong.clear();
        front
            .estate
            .known()
            .web
            .does("/qlikview/access_point.js", wrong.clone());
        let answer = ann.get("/qlikview/access_point.js").await;
        assert_eq!(answer.status, status, "{wrong:?}");
        for name in ["www-authenticate", "location", "set-cookie"] {
            assert!(!answer.headers.contains_key(name), "{wrong:?}: {name}");
        }
        assert!(!front.tells_inside(&answer.text()), "{wrong:?}");
    }
    let inside = front.estate.web_server().to_owned();
    for (name, value) in [
        ("set-cookie", "session=of-theirs; Path=/; Secure".to_owned()),
        ("refresh", format!("0; url={inside}/")),
        ("link", format!("<{inside}/x>; rel=preload")),
        ("x-forwarded-host", inside.clone()),
        ("clear-site-data", "\"*\"".to_owned()),
        ("service-worker-allowed", "/".to_owned()),
        ("x-frame-options", "ALLOWALL".to_owned()),
        ("alt-svc", "h3=\":443\"".to_owned()),
        ("authorization", "x".to_owned()),
        (
            "content-security-policy-report-only",
            format!("default-src {inside}"),
        ),
    ] {
        front.estate.known().web.wrong.clear();
        let wrong = WebWrong::Adds(name.to_owned(), value);
        front.estate.known().web.does("/qlikview/", wrong);
        let answer = ann.get("/qlikview/").await;
        assert_eq!(answer.status, 200, "{name}");
        front.is_clean(name, &answer);
        let ours = name == "x-frame-options";
        assert_eq!(answer.headers.contains_key(name), ours, "{name}");
    }
    // The management service is silent: an open that needs it says so, a page passes.
    front.estate.known().web.wrong.clear();
    front.estate.does(Wrong::Status(503));
    let id = front.document(&ann, ORDERS).await;
    ann.open(&id, "plugin")
        .await
        .problem(503, "UPSTREAM_SILENT");
    assert_eq!(ann.get("/qlikview/").await.status, 200);
    front.estate.was_asked_well();
}
