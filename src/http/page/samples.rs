//! Pages with sample data, for the tests of this folder.

use super::*;
use crate::domain::client::ClientKind;
use crate::domain::mapping::Unmapped;
use crate::domain::refusal::Refusal;
use crate::domain::time::{Millis, Timestamp};
use crate::domain::workstation::{Workstation, WorkstationId, WorkstationUse};
use crate::store::FactorKind;
use crate::text::Problem;

/// Stands wherever people or files give a name.
pub(super) const HOSTILE: &str = r#"<script>alert("1")</script>' & Co"#;

pub(super) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub(super) fn frame(language: Language) -> Frame<'static> {
    Frame {
        product: "AccessPoint",
        language,
        now: at("2026-11-24T12:00:00.000Z"),
        path: "/",
        person: Some(Person {
            display_name: "Ann Archer",
            is_administrator: false,
        }),
        csrf_token: "k3Jv0pQm9sTtXwZ1aBcDeFgHiJkLmNoPqRsTuVwXyZ0",
        request_id: "01jdf3v8k2m4",
        version: "0.1.0",
        help: Some(Help {
            text: "Help desk",
            address: Some("mailto:help@corp.example"),
        }),
        in_desktop: false,
    }
}

pub(super) fn used() -> Vec<WorkstationUse> {
    let each = |name: &str, last: &str, until: &str| WorkstationUse {
        workstation: Workstation {
            id: name.into(),
            name: name.to_owned(),
        },
        last_leased_at: at(last),
        counts_until: at(until),
    };
    vec![
        each(
            "LAPTOP-7",
            "2026-11-22T09:14:00.000Z",
            "2026-11-29T09:14:00.000Z",
        ),
        each(
            "DESK-12",
            "2026-11-23T17:40:00.000Z",
            "2026-11-30T17:40:00.000Z",
        ),
    ]
}

pub(super) fn workstation_limit() -> Refusal {
    Refusal::WorkstationLimit {
        others: used(),
        window: Millis::days(7),
        retry_at: at("2026-11-29T09:14:00.000Z"),
    }
}

pub(super) fn license<'a>(
    used: &'a [WorkstationUse],
    this_workstation: &'a WorkstationId,
) -> MyLicense<'a> {
    MyLicense {
        cal: CalLine::Assigned {
            since: at("2026-03-03T08:00:00.000Z"),
        },
        lease: LeaseHere::Live {
            until: at("2026-12-24T12:00:00.000Z"),
        },
        used,
        this_workstation,
    }
}

/// Titles, categories and ids of usual length.
pub(super) struct Library {
    titles: Vec<(String, String)>,
}

pub(super) const CLIENTS: &[ClientKind] = &[
    ClientKind::Plugin,
    ClientKind::Desktop,
    ClientKind::Download,
];
const CATEGORIES: [&str; 4] = ["Finance", "Sales", "Human Resources", "Supply Chain"];
const NAMES: [&str; 5] = [
    "Monthly Profit and Loss",
    "Sales by Region",
    "Headcount and Absence",
    "Warehouse Turnover Details",
    "Customer Satisfaction",
];

impl Library {
    pub(super) fn new(count: usize) -> Self {
        let titles = (0..count).map(|number| {
            let title = format!("{} {}", NAMES[number % NAMES.len()], 2000 + number);
            (format!("d{number:0>21}"), title)
        });
        Self {
            titles: titles.collect(),
        }
    }

    pub(super) fn documents(&self) -> Vec<DocumentFacts<'_>> {
        let mut documents = Vec::new();
        let mut modified_at = at("2026-11-22T09:14:27.123Z");
        let mut size_bytes = 12_500_000;
        for (number, (id, title)) in self.titles.iter().enumerate() {
            documents.push(DocumentFacts {
                id,
                title,
                category: CATEGORIES[number % CATEGORIES.len()],
                size_bytes,
                modified_at,
            });
            modified_at = modified_at - Millis::hours(31);
            size_bytes += 777_777;
        }
        documents
    }
}

pub(super) fn tiles(documents: &[DocumentFacts<'_>], dates: Dates) -> Vec<String> {
    let tile = |document: &DocumentFacts<'_>| document.tile(dates).unwrap();
    documents.iter().map(tile).collect()
}

/// The first three are marked.
pub(super) fn by_mark(tiles: &[String]) -> (Vec<DocumentTile<'_>>, Vec<DocumentTile<'_>>) {
    let numbered = tiles.iter().enumerate();
    let mut marked: Vec<DocumentTile<'_>> = numbered
        .map(|(number, tile)| DocumentTile {
            tile,
            clients: (number == 4).then_some(&[ClientKind::Ajax][..]),
        })
        .collect();
    let unmarked = marked.split_off(marked.len().min(3));
    (marked, unmarked)
}

pub(super) fn categories() -> Vec<CategoryLink<'static>> {
    CATEGORIES
        .map(|name| CategoryLink { name, count: 12 })
        .to_vec()
}

pub(super) fn rules(refusal: &Refusal, language: Language) -> Vec<RuleLine> {
    let reason = (language.text().refusal.to_administrator)(refusal, frame(language).now);
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 13]
        .map(|rule| RuleLine {
            rule,
            passed: rule != 13,
            reason: (rule == 13).then(|| reason.clone()),
        })
        .to_vec()
}

/// Every page in one language, with `name` wherever a name is shown; each with what to call it.
pub(super) fn every_page(language: Language, name: &str) -> Vec<(&'static str, String)> {
    let mut pages = signed_out_pages(language, name);
    pages.extend(access_point_pages(language, name));
    pages.extend(open_pages(language, name));
    pages.push(("account", account_page(language, name)));
    let desktop = DesktopPage {
        frame: named_frame(language, name),
        address: "https://accesspoint.corp.example/",
    };
    pages.push(("desktop", desktop.render().unwrap()));
    pages.extend(second_factor_pages(language, name));
    pages.extend(asking_pages(language, name));
    pages
}

fn named_frame(language: Language, name: &str) -> Frame<'_> {
    Frame {
        person: Some(Person {
            display_name: name,
            is_administrator: true,
        }),
        ..frame(language)
    }
}

fn signed_out_pages(language: Language, name: &str) -> Vec<(&'static str, String)> {
    let text = language.text();
    let signed_out = Frame {
        person: None,
        path: "/login?return_to=%2Faccount",
        ..frame(language)
    };
    let failed = (text.problem)(&Problem::SignInFailed);
    let silent = name.to_owned();
    let first = SignInPage {
        frame: signed_out,
        ways: &[
            SignInWay::Password,
            SignInWay::Provider {
                label: name,
                url: "/oidc/corp/login?return_to=%2Faccount",
            },
        ],
        passwords_of: &[name, text.sign_in.this_gateway],
        silent: std::slice::from_ref(&silent),
        username: "",
        return_to: "/account",
        passkey: Some(PasskeyAlone {
            options: "{\"publicKey\":{} }",
            state: "c2VhbGVk",
        }),
        notice: Some(text.notice.signed_out),
        failure: None,
    };
    let second = SignInPage {
        username: name,
        notice: None,
        failure: Some(&failed.happened),
        passwords_of: &[],
        silent: &[],
        passkey: None,
        ..first
    };
    let step = SecondStepPage {
        frame: Frame {
            path: "/login/second-factor?step=c2VhbGVk",
            ..signed_out
        },
        step: "c2VhbGVk",
        totp: true,
        passkey: Some("{\"publicKey\":{} }"),
        failure: Some(&failed.happened),
        back: "/login?return_to=%2Faccount",
    };
    let shut = SignInPage {
        ways: &[],
        notice: None,
        ..first
    };
    let leaving = LeavingPage {
        frame: signed_out,
        source: name,
        url: "https://login.idp.example/logout?state=c2VhbGVk",
    };
    let error = ErrorPage {
        frame: frame(language),
        problem: (text.problem)(&Problem::SignInRefused {
            source: "Corporate sign-in".to_owned(),
            name: name.to_owned(),
            groups: vec![name.to_owned()],
            why: Unmapped::NoRuleMatches,
        }),
        start_again: Some("/oidc/corp/login?return_to=%2Faccount&again=1"),
        as_other: true,
        sign_in: "/login?return_to=%2Faccount",
    };
    vec![
        ("sign-in", first.render().unwrap()),
        ("sign-in-failed", second.render().unwrap()),
        ("sign-in-shut", shut.render().unwrap()),
        ("second-step", step.render().unwrap()),
        ("leaving", leaving.render().unwrap()),
        ("error", error.render().unwrap()),
    ]
}

fn access_point_pages(language: Language, name: &str) -> Vec<(&'static str, String)> {
    let library = Library::new(8);
    let mut documents = library.documents();
    documents[1].title = name;
    documents[1].category = name;
    let tiles = tiles(&documents, frame(language).dates());
    let (marked, unmarked) = by_mark(&tiles);
    let mut used = used();
    used.truncate(1);
    used[0].workstation.name = name.to_owned();
    let this_workstation = WorkstationId::from("LAPTOP-7");
    let mut categories = categories();
    categories[0].name = name;
    let full = AccessPointPage {
        frame: named_frame(language, name),
        license: license(&used, &this_workstation),
        search: "",
        category: None,
        categories: &categories,
        marked: &marked,
        unmarked: &unmarked,
        clients: CLIENTS,
        total: 8,
        notice: None,
    };
    let desktop = AccessPointPage {
        frame: Frame {
            in_desktop: true,
            ..full.frame
        },
        category: Some(name),
        license: MyLicense {
            cal: CalLine::Quarantined {
                since: at("2026-11-20T08:00:00.000Z"),
                until: at("2026-11-27T08:00:00.001Z"),
            },
            lease: LeaseHere::Waits {
                from: at("2026-11-29T09:14:00.000Z"),
            },
            ..full.license
        },
        ..full
    };
    let nothing_found = AccessPointPage {
        search: name,
        marked: &[],
        unmarked: &[],
        license: MyLicense {
            cal: CalLine::AssignedByOpening,
            lease: LeaseHere::ByOpening,
            used: &[],
            ..full.license
        },
        ..full
    };
    let not_leasing = AccessPointPage {
        license: MyLicense {
            lease: LeaseHere::NotPossible,
            ..full.license
        },
        ..full
    };
    let nothing_there = AccessPointPage {
        marked: &[],
        unmarked: &[],
        categories: &[],
        total: 0,
        license: MyLicense {
            cal: CalLine::Missing,
            lease: LeaseHere::NeedsCal,
            ..nothing_found.license
        },
        ..full
    };
    vec![
        ("access-point", full.render().unwrap()),
        ("access-point-desktop", desktop.render().unwrap()),
        ("nothing-found", nothing_found.render().unwrap()),
        ("not-leasing", not_leasing.render().unwrap()),
        ("nothing-there", nothing_there.render().unwrap()),
    ]
}

fn open_pages(language: Language, name: &str) -> Vec<(&'static str, String)> {
    let limit = workstation_limit();
    let full = Refusal::NoFreeCal {
        held: 25,
        taken: 25,
        retry_at: Some(at("2026-12-01T08:00:00.000Z")),
    };
    let rules = rules(&limit, language);
    let granted = HandOverPage {
        frame: named_frame(language, name),
        document_title: name,
        client: ClientKind::Desktop,
        lease: LeaseOutcome::Granted {
            until: at("2026-12-24T12:00:00.000Z"),
        },
        launch_url: "/documents/d0/content?launch=abc&x=1",
        leads_on_after: Millis::seconds(3),
        told_later: false,
        direct_link: None,
        rules: &[],
    };
    let limited = HandOverPage {
        client: ClientKind::Plugin,
        lease: LeaseOutcome::Refused {
            refusal: &limit,
            lease_ended: true,
        },
        leads_on_after: Millis::seconds(20),
        rules: &rules,
        ..granted
    };
    let not_leasing = HandOverPage {
        client: ClientKind::Download,
        lease: LeaseOutcome::NotApplicable,
        ..granted
    };
    let expected = HandOverPage {
        client: ClientKind::Desktop,
        lease: LeaseOutcome::Expected {
            until: at("2026-12-24T12:00:00.000Z"),
        },
        told_later: true,
        direct_link: Some("qvp://qvs.internal/Sales/Orders.qvw"),
        ..granted
    };
    let left_to_server = HandOverPage {
        lease: LeaseOutcome::LeftToServer {
            why: language.text().hand_over.signed_key,
        },
        ..expected
    };
    let leased = LeaseOutcomePage {
        frame: named_frame(language, name),
        seen: LeaseSeen::Leased {
            machine: name,
            until: at("2026-12-24T12:00:00.000Z"),
        },
        refusal: None,
    };
    let not_leased = LeaseOutcomePage {
        seen: LeaseSeen::NotLeased,
        refusal: Some(&limit),
        ..leased
    };
    let refused = RefusedPage {
        frame: named_frame(language, name),
        document_title: Some(name),
        refusal: &full,
        rules: &rules,
    };
    vec![
        ("hand-over-granted", granted.render().unwrap()),
        ("hand-over-expected", expected.render().unwrap()),
        ("hand-over-left", left_to_server.render().unwrap()),
        ("lease-outcome", leased.render().unwrap()),
        ("lease-outcome-none", not_leased.render().unwrap()),
        ("hand-over-limited", limited.render().unwrap()),
        ("hand-over-download", not_leasing.render().unwrap()),
        ("refused", refused.render().unwrap()),
    ]
}

fn second_factor_pages(language: Language, name: &str) -> Vec<(&'static str, String)> {
    let text = &language.text().second_factor;
    let row = |id, kind, last_used_at| FactorRow {
        id,
        kind,
        name,
        enrolled_at: at("2026-11-22T09:14:00.000Z"),
        last_used_at,
    };
    let used_at = Some(at("2026-11-24T09:14:00.000Z"));
    let mine = [
        row("f1", FactorKind::Totp, used_at),
        row("f2", FactorKind::Passkey, None),
    ];
    let list = SecondFactorsPage {
        frame: named_frame(language, name),
        notice: Some(text.added),
        failure: None,
        factors: &mine,
        codes_left: 9,
        must_enrol: false,
        required: true,
        confirm: None,
        has_passkeys: true,
    };
    let old = SecondFactorsPage {
        frame: named_frame(language, name),
        notice: None,
        failure: Some(text.not_confirmed),
        confirm: Some(ConfirmWays {
            password: true,
            code: true,
            sign_in: "/login?return_to=%2Faccount",
        }),
        ..list
    };
    let first = SecondFactorsPage {
        frame: named_frame(language, name),
        notice: None,
        factors: &[],
        must_enrol: true,
        has_passkeys: false,
        ..list
    };
    let totp = TotpPage {
        frame: named_frame(language, name),
        failure: Some(text.code_wrong),
        name,
        key: "GEZD GNBV GY3T QOJQ",
        address: "otpauth://totp/ap.example:ann?secret=GEZDGNBVGY3TQOJQ&issuer=ap.example",
    };
    let passkey = PasskeyPage {
        frame: named_frame(language, name),
        failure: Some(text.passkey_failed),
        name,
        options: "{\"publicKey\":{} }",
    };
    let codes = RecoveryCodesPage {
        frame: named_frame(language, name),
        codes: &["abcd-efgh-2345-6789".to_owned()],
        to: "/account/second-factors",
    };
    vec![
        ("second-factors", list.render().unwrap()),
        ("second-factors-old", old.render().unwrap()),
        ("second-factors-first", first.render().unwrap()),
        ("totp", totp.render().unwrap()),
        ("passkey", passkey.render().unwrap()),
        ("recovery-codes", codes.render().unwrap()),
    ]
}

fn asking_pages(language: Language, name: &str) -> Vec<(&'static str, String)> {
    let text = &language.text().ask;
    let open = AskPage {
        frame: named_frame(language, name),
        title: text.open_title,
        sentence: &(text.open)(Some(name)),
        action: "/documents/d0/open",
        fields: &[("client", "plugin")],
        button: text.open_button,
    };
    let sign_in = AskPage {
        title: text.sign_in_title,
        sentence: &(text.sign_in)(name, name),
        action: "/web-ticket",
        fields: &[("webticket", name), ("wanted", "/account")],
        button: &(text.sign_in_button)(name),
        ..open
    };
    vec![
        ("ask-open", open.render().unwrap()),
        ("ask-sign-in", sign_in.render().unwrap()),
    ]
}

fn account_page(language: Language, name: &str) -> String {
    let lease = |id, state, renewed_at| LeaseRow {
        id,
        workstation_name: name,
        state,
        granted_at: at("2026-10-22T09:14:00.000Z"),
        renewed_at,
        expires_at: at("2026-12-22T09:14:00.000Z"),
    };
    let page = AccountPage {
        frame: named_frame(language, name),
        notice: Some(language.text().notice.lease_released),
        failure: Some(language.text().notice.passwords_differ),
        cal: CalLine::Assigned {
            since: at("2025-03-03T08:00:00.000Z"),
        },
        leases: &[
            lease("a", LeaseState::Live, Some(at("2026-11-22T09:14:00.000Z"))),
            lease("b", LeaseState::Revoked, None),
            lease("c", LeaseState::Expired, None),
            lease("d", LeaseState::Released, None),
        ],
        workstations: &[
            WorkstationRow {
                id: "w1",
                name,
                last_leased_at: Some(at("2026-11-22T09:14:00.000Z")),
                is_this: true,
            },
            WorkstationRow {
                id: "w2",
                name: "DESK-12",
                last_leased_at: None,
                is_this: false,
            },
        ],
        sessions: &[
            SessionRow {
                id: "s1",
                label: name,
                signed_in_at: at("2026-11-24T08:00:00.000Z"),
                last_seen_at: at("2026-11-24T11:59:00.000Z"),
                is_this: true,
            },
            SessionRow {
                id: "s2",
                label: "DESK-12 · 10.1.2.3",
                signed_in_at: at("2026-11-23T08:00:00.000Z"),
                last_seen_at: at("2026-11-23T17:40:00.000Z"),
                is_this: false,
            },
        ],
        can_release: true,
        second_factors: 1,
        can_change_password: true,
    };
    page.render().unwrap()
}
