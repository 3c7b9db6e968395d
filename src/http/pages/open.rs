//! Opening a document: the hand-over page, or why not.

use axum::extract::{Path, State};
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use serde::Deserialize;

use super::frame;
use crate::app::App;
use crate::app::open::{DocumentOpened, Wanted};
use crate::domain::client::ClientKind;
use crate::domain::open::{Access, Finding, LeaseOutcome as Outcome};
use crate::domain::refusal::Refusal;
use crate::domain::time::Millis;
use crate::http::extract::{CheckedForm, FromClient, Visitor};
use crate::http::failure::Failure;
use crate::http::page::{Frame, HandOverPage, LeaseOutcome, RefusedPage, RuleLine, respond};
use crate::http::told::{self, Reader};
use crate::qlikview::open_link::OpenLink;
use crate::store::Explanation;
use crate::text::Language;

/// After how long the page leads on where everything was granted.
const LEADS_ON_AFTER: Millis = Millis::seconds(2);
/// After how long where a lease was refused: the words can be read before.
const LEADS_ON_AFTER_REFUSAL: Millis = Millis::seconds(20);

#[derive(Deserialize)]
pub(super) struct OpenForm {
    #[serde(default)]
    client: String,
    /// The link of `QlikView` that asked for the open, where the page before was about one.
    #[serde(default)]
    link: String,
}

/// `POST /documents/{id}/open`.
pub(super) async fn open(
    State(app): State<App>,
    Path(id): Path<String>,
    FromClient(from): FromClient,
    form: CheckedForm<OpenForm>,
) -> Result<Response, Failure> {
    let client = ClientKind::from_word(&form.fields.client)
        .ok_or_else(|| Failure::body_invalid("client: one of desktop, plugin, ajax, download"))?;
    let link = OpenLink::parse(&form.fields.link);
    let wanted = Wanted {
        document: &id,
        client,
        link: link.as_ref(),
        address: from.address,
    };
    open_for(&app, form.visitor, wanted).await
}

/// Opens a document for a visitor, and tells what became of it.
pub(in crate::http) async fn open_for(
    app: &App,
    visitor: Visitor,
    wanted: Wanted<'_>,
) -> Result<Response, Failure> {
    let Visitor { asked, signed } = visitor;
    let opened = app.open_document(&signed.info, wanted).await?;
    let token = signed.csrf_token(app);
    // The page tells what was decided then; days are counted from there.
    let home = Frame {
        path: "/",
        now: opened.opened.at,
        ..frame(app, &asked, Some(&signed), &token)
    };
    let rules = if opened.opened.answer.refusal().is_some() {
        let info = &signed.info;
        let explained = app.explain(
            &info.person,
            &info.workstation,
            &opened.document,
            wanted.client,
        )?;
        rule_lines(&explained, &home)
    } else {
        Vec::new()
    };
    Ok(match &opened.opened.answer.access {
        Access::Refused(refusal) => refused(home, &opened, refusal, &rules),
        Access::Granted(_) => hand_over(home, &opened, &rules),
    })
}

fn refused(
    frame: Frame<'_>,
    opened: &DocumentOpened,
    refusal: &Refusal,
    rules: &[RuleLine],
) -> Response {
    let status = match refusal {
        Refusal::DocumentNotFound => StatusCode::NOT_FOUND,
        _ => StatusCode::FORBIDDEN,
    };
    let title = opened.title();
    respond(
        status,
        &RefusedPage {
            frame,
            document_title: title,
            refusal,
            rules,
        },
    )
}

fn hand_over(frame: Frame<'_>, opened: &DocumentOpened, rules: &[RuleLine]) -> Response {
    let launch_url = opened.launch_path().unwrap_or_default();
    let lease = lease_outcome(opened, frame.language);
    let leases = opened.prediction.is_some() && opened.client.leases();
    let leads_on_after = match lease {
        LeaseOutcome::Refused { .. } => LEADS_ON_AFTER_REFUSAL,
        _ => LEADS_ON_AFTER,
    };
    let page = HandOverPage {
        frame,
        document_title: opened.title().unwrap_or_default(),
        client: opened.client,
        lease,
        launch_url: &launch_url,
        leads_on_after,
        told_later: leases,
        direct_link: opened.direct_link.as_deref(),
        rules,
    };
    let mut response = respond(StatusCode::OK, &page);
    let refresh = format!("{}; url={launch_url}", leads_on_after.0 / 1000);
    if let Ok(refresh) = HeaderValue::from_str(&refresh) {
        response.headers_mut().insert("refresh", refresh);
    }
    response
}

fn lease_outcome(opened: &DocumentOpened, language: Language) -> LeaseOutcome<'_> {
    let unpredicted = opened.prediction.and_then(|found| found.unpredicted);
    if let Some(reason) = unpredicted.filter(|_| opened.client.leases()) {
        return LeaseOutcome::LeftToServer {
            why: told::unpredicted(reason, language),
        };
    }
    match &opened.opened.answer.lease {
        Outcome::Granted(lease) | Outcome::Renewed(lease) if opened.prediction.is_some() => {
            LeaseOutcome::Expected {
                until: lease.expires_at,
            }
        }
        Outcome::Granted(lease) => LeaseOutcome::Granted {
            until: lease.expires_at,
        },
        Outcome::Renewed(lease) => LeaseOutcome::Renewed {
            until: lease.expires_at,
        },
        Outcome::Refused(refusal) => LeaseOutcome::Refused {
            refusal,
            lease_ended: opened.opened.lease_ended && opened.prediction.is_none(),
        },
        Outcome::NotApplicable => LeaseOutcome::NotApplicable,
    }
}

/// Every rule with its mark, for the fold.
fn rule_lines(explained: &Explanation, frame: &Frame<'_>) -> Vec<RuleLine> {
    let reason = |finding: &Finding| {
        told::reason(
            finding,
            &explained.answer,
            Reader::User,
            frame.language,
            frame.now,
        )
    };
    let line = |finding: &Finding| RuleLine {
        rule: finding.rule.number(),
        passed: finding.passed,
        reason: reason(finding),
    };
    explained.standing.findings.iter().map(line).collect()
}
