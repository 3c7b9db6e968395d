//! A gateway with sources of passwords, and the browser of somebody who wants a document.

#![cfg(test)]

use accesspoint::clock::Clock;
use accesspoint::store::{AuditFilter, AuditRow, PersonFilter};
use reqwest::Method;

use crate::gateway::{Answer, Client, Gateway};

/// What somebody wanted when they were asked to sign in.
pub(crate) const WANTED: &str = "/QvAJAXZfc/AccessPoint.aspx?open=&id=Sales%2FOrders.qvw";
/// The same as the form keeps it.
pub(crate) const WANTED_IN_FORM: &str =
    "name=\"return_to\" value=\"/QvAJAXZfc/AccessPoint.aspx?open=&#38;id=Sales%2FOrders.qvw\"";

/// The local accounts, before or after other sources.
pub(crate) const LOCAL: &str = "[[sign_in.source]]\nkind = 'local'\nname = 'local'\n";

/// Asserts that the alert of this page holds a sentence.
pub(crate) fn says_why(page: &str) {
    let alert = page.split("role=\"alert\" id=\"failure\">").nth(1);
    let alert = alert.unwrap_or_else(|| panic!("no alert: {page}"));
    let alert = alert.split("</p>").next().unwrap();
    // The picture before the words says nothing.
    is_sentence(alert.rsplit('>').next().unwrap());
}

/// Asserts that a page that stands in place of another tells what happened, whether something was
/// changed and what to do, and leads on.
pub(crate) fn explains(answer: &Answer) {
    let page = answer.text();
    let kind = answer.headers["content-type"].to_str().unwrap();
    assert!(kind.starts_with("text/html"), "{kind}");
    let told = page.split("<dd>").skip(1);
    let told: Vec<&str> = told
        .map(|rest| rest.split("</dd>").next().unwrap())
        .collect();
    let [happened, changed, next] = told[..] else {
        panic!("{page}");
    };
    is_sentence(happened);
    assert!(changed.ends_with('.'), "{page}");
    is_sentence(next);
    let leads_on = page.contains("class=\"button\" href=\"/");
    assert!(leads_on, "{page}");
}

fn is_sentence(text: &str) {
    let text = text.trim();
    assert!(text.len() > 20 && text.ends_with('.'), "{text:?}");
}

/// A gateway with a LEF of five CALs.
pub(crate) struct Door {
    pub(crate) gateway: Gateway,
    pub(crate) browser: Client,
}

impl Door {
    pub(crate) async fn with(settings: &str) -> Self {
        let clock = Clock::simulated("2026-11-24T12:00:00.000Z".parse().unwrap());
        Self::with_clock(settings, clock).await
    }

    pub(crate) async fn with_clock(settings: &str, clock: Clock) -> Self {
        let gateway = Gateway::with_clock(5, settings, clock, |_| ()).await;
        Self {
            browser: gateway.client(),
            gateway,
        }
    }

    /// The sign-in page.
    pub(crate) async fn page(&self) -> Answer {
        let wanted = WANTED.replace('%', "%25").replace('&', "%26");
        self.browser
            .get(&format!("/login?return_to={wanted}"))
            .await
    }

    /// Fills in the form of the sign-in page.
    pub(crate) async fn tries(&self, name: &str, password: &str) -> Answer {
        let page = self.page().await.text();
        let token = page.split("name=\"csrf_token\" value=\"").nth(1).unwrap();
        let token = token.split('"').next().unwrap();
        let fields = [
            ("csrf_token", token),
            ("return_to", WANTED),
            ("username", name),
            ("password", password),
        ];
        let body: Vec<String> = fields
            .iter()
            .map(|(name, value)| {
                let plain = percent_encoding::NON_ALPHANUMERIC;
                format!(
                    "{name}={}",
                    percent_encoding::utf8_percent_encode(value, plain)
                )
            })
            .collect();
        let request = self
            .browser
            .request(Method::POST, "/login")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body.join("&"));
        self.browser.send(request).await
    }

    /// A sign-in that must succeed and lead to what was wanted; the session as the API tells it.
    pub(crate) async fn lets_in(&self, name: &str, password: &str) -> serde_json::Value {
        let answer = self.tries(name, password).await;
        assert_eq!(answer.status, 303, "{name}: {}", answer.text());
        assert_eq!(answer.location(), WANTED);
        let session = self.browser.get("/api/v1/session").await;
        assert_eq!(session.status, 200);
        session.body
    }

    /// A sign-in that must be refused like every other one: no session, no CAL, no lease, one audit
    /// event with its reason, and a page with a sentence and the form, which keeps what was wanted.
    pub(crate) async fn refuses(&self, name: &str, password: &str, status: u16, code: &str) {
        let before = self.last_event().map_or(0, |event| event.seq);
        let answer = self.tries(name, password).await;
        let page = answer.text();
        assert_eq!(answer.status.as_u16(), status, "{name}: {page}");
        let event = self.last_event().unwrap();
        assert_eq!(event.event, "sign_in_refused");
        assert_eq!(event.code.as_deref(), Some(code), "{name}");
        assert_eq!(event.seq, before + 1, "{name}: not one event");
        assert_eq!(self.browser.cookie("__Host-session"), None);
        self.gateway.gave_nothing();
        says_why(&page);
        assert!(page.contains(WANTED_IN_FORM), "{page}");
    }

    pub(crate) fn last_event(&self) -> Option<AuditRow> {
        self.events(1).pop()
    }

    pub(crate) fn events(&self, limit: u32) -> Vec<AuditRow> {
        let filter = AuditFilter {
            limit,
            ..AuditFilter::default()
        };
        self.gateway.app.ledger().audit(&filter).unwrap()
    }

    /// The user names of all who are known.
    pub(crate) fn people(&self) -> Vec<String> {
        let filter = PersonFilter {
            limit: 100,
            ..PersonFilter::default()
        };
        let rows = self.gateway.app.ledger().people(&filter).unwrap();
        rows.into_iter().map(|row| row.person.name).collect()
    }
}
