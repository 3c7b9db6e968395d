use std::collections::HashSet;

use super::*;
use crate::domain::mapping::Unmapped;
use crate::domain::refusal::{Refusal, RefusalCode, WayOut};
use crate::domain::time::{Millis, Timestamp};
use crate::domain::workstation::{Workstation, WorkstationUse};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn now() -> Timestamp {
    at("2026-11-24T12:00:00.000Z")
}

fn used(name: &str, last: &str, until: &str) -> WorkstationUse {
    WorkstationUse {
        workstation: Workstation {
            id: name.to_lowercase().into(),
            name: name.to_owned(),
        },
        last_leased_at: at(last),
        counts_until: at(until),
    }
}

fn workstation_limit() -> Refusal {
    Refusal::WorkstationLimit {
        others: vec![
            used(
                "LAPTOP-7",
                "2026-11-22T09:14:00.000Z",
                "2026-11-29T09:14:00.000Z",
            ),
            used(
                "DESK-12",
                "2026-11-23T17:40:00.000Z",
                "2026-11-30T17:40:00.000Z",
            ),
        ],
        window: Millis::days(7),
        retry_at: at("2026-11-29T09:14:00.000Z"),
    }
}

/// One refusal of every code, in the order of [`RefusalCode::ALL`].
fn refusals(retry_at: Option<Timestamp>) -> Vec<Refusal> {
    vec![
        Refusal::LicenseMissing,
        Refusal::LicenseTestEdition { retry_at },
        Refusal::LicenseEditionCannotLease {
            edition: "EXTRANET".to_owned(),
            retry_at,
        },
        Refusal::LicenseForbidsLease { retry_at },
        Refusal::LicenseLimitsDocuments {
            limit: "3".to_owned(),
            retry_at,
        },
        Refusal::LicenseExpired {
            ended_at: Some(at("2026-11-20T00:00:00.000Z")),
            retry_at,
        },
        Refusal::LicenseHasNoNamedCals { retry_at },
        Refusal::LeasingSwitchedOff,
        Refusal::DocumentNotFound,
        Refusal::NoCalAssigned,
        Refusal::NoFreeCal {
            held: 25,
            taken: 25,
            retry_at,
        },
        Refusal::CalQuarantined {
            since: at("2026-11-20T09:14:00.000Z"),
            until: at("2026-11-27T09:14:00.000Z"),
        },
        workstation_limit(),
        Refusal::UserDisabled,
    ]
}

fn to_user(language: Language, refusal: &Refusal, touches: Touches) -> String {
    (language.text().refusal.to_user)(refusal, touches, now()).to_string()
}

fn assert_well_said(said: &str) {
    assert!(said.ends_with('.'), "{said}");
    for fault in ["  ", "..", " .", ": .", "!", "please", "{", "}"] {
        assert!(!said.contains(fault), "{fault:?} in {said}");
    }
}

#[test]
fn every_refusal_has_sentences_of_its_own_in_both_languages() {
    let samples = refusals(None);
    let codes: Vec<_> = samples.iter().map(Refusal::code).collect();
    assert_eq!(codes, RefusalCode::ALL);
    let mut said = HashSet::new();
    for refusal in &samples {
        for language in Language::ALL {
            let text = &language.text().refusal;
            for touches in [Touches::Open, Touches::Lease] {
                let sentence = to_user(language, refusal, touches);
                assert_well_said(&sentence);
                assert!(said.insert(sentence.clone()), "said twice: {sentence}");
            }
            let sentence = (text.to_administrator)(refusal, now()).to_string();
            assert_well_said(&sentence);
            assert!(said.insert(sentence.clone()), "said twice: {sentence}");
        }
    }
}

#[test]
fn a_known_end_stands_in_the_sentence() {
    let retry_at = at("2026-12-01T08:00:00.000Z");
    for refusal in refusals(Some(retry_at)) {
        if refusal.retry_at() != Some(retry_at) {
            continue;
        }
        let user = to_user(Language::English, &refusal, Touches::Lease);
        assert!(user.contains("1 Dec, 08:00"), "{user}");
        let administrator = (Language::German.text().refusal.to_administrator)(&refusal, now());
        assert!(
            administrator.to_string().contains("1. Dez., 08:00"),
            "{administrator}"
        );
    }
}

#[test]
fn sentences_have_the_shape_that_was_asked_for() {
    let english =
        |refusal: &Refusal, touches: Touches| to_user(Language::English, refusal, touches);
    assert_eq!(
        english(&workstation_limit(), Touches::Lease),
        "The document is open, but this workstation cannot lease a licence now. Two others of \
         yours have leased within the last 7 days: LAPTOP-7 (22 Nov, 09:14 UTC) and DESK-12 (23 \
         Nov, 17:40). If LAPTOP-7 stays unused, this one can lease from 29 Nov, 09:14. Until then \
         you can work online here. Your administrator can lift LAPTOP-7 now."
    );
    let full = Refusal::NoFreeCal {
        held: 25,
        taken: 25,
        retry_at: Some(at("2026-12-01T08:00:00.000Z")),
    };
    assert_eq!(
        english(&full, Touches::Open),
        "You cannot open this document: all 25 named CALs are taken. The next one may become free \
         on 1 Dec, 08:00 UTC. Ask your administrator for a CAL."
    );
    assert_eq!(
        english(
            &Refusal::LicenseTestEdition { retry_at: None },
            Touches::Lease
        ),
        "The document is open. Leasing is not possible from this server: its licence is a Test \
         edition. Lease from your production server."
    );
    assert_eq!(
        english(&Refusal::LeasingSwitchedOff, Touches::Lease),
        "The document is open. Leasing is switched off on this server. Your administrator can \
         allow it under Licenses > Client Access Licenses > General."
    );
    let resting = english(&refusals(None)[11], Touches::Open);
    assert!(resting.starts_with(
        "You cannot open this document: your named CAL was taken back on 20 Nov and rests until 27 \
         Nov"
    ));
    assert!(resting.ends_with("Your administrator can give it back at once."));
}

#[test]
fn german_says_the_same_with_its_own_dates() {
    assert_eq!(
        to_user(Language::German, &workstation_limit(), Touches::Lease),
        "Das Dokument ist offen, aber dieser Arbeitsplatz kann jetzt keine Lizenz ausleihen. Zwei \
         andere von Ihnen haben innerhalb der letzten 7 Tage ausgeliehen: LAPTOP-7 (22. Nov., \
         09:14 UTC) und DESK-12 (23. Nov., 17:40). Wenn LAPTOP-7 unbenutzt bleibt, kann dieser ab \
         29. Nov., 09:14 ausleihen. Bis dahin können Sie hier online arbeiten. Ihre Administration \
         kann LAPTOP-7 sofort freigeben."
    );
}

#[test]
fn counts_at_their_boundaries_read_right() {
    let no_free = |held, taken| {
        let refusal = Refusal::NoFreeCal {
            held,
            taken,
            retry_at: None,
        };
        to_user(Language::English, &refusal, Touches::Open)
    };
    assert!(no_free(0, 0).contains("holds no named CAL now"));
    assert!(no_free(1, 1).contains("the only named CAL is taken"));
    assert!(no_free(2, 2).contains("all 2 named CALs"));
    assert!(no_free(25, 27).contains("27 named CALs are taken, and the licence holds 25"));
    let count = Language::English.text().access_point.document_count;
    assert_eq!([count(0), count(1)], ["0 documents", "1 document"]);
    let count = Language::German.text().access_point.document_count;
    assert_eq!([count(1), count(2)], ["1 Dokument", "2 Dokumente"]);
}

#[test]
fn any_number_of_other_workstations_is_named() {
    let one = used("A", "2026-11-22T09:14:00.000Z", "2026-11-29T09:14:00.000Z");
    for count in 0..=4 {
        let refusal = Refusal::WorkstationLimit {
            others: vec![one.clone(); count],
            window: Millis::hours(24),
            retry_at: now(),
        };
        for language in Language::ALL {
            let said = to_user(language, &refusal, Touches::Lease);
            assert!(said.contains("24 "), "{said}");
            assert_eq!(said.matches("A (22").count(), count, "{said}");
        }
    }
}

#[test]
fn spans_have_the_right_plural() {
    let span = Language::English.text().time.span;
    assert_eq!(span(Span::Days(1)), "1 day");
    assert_eq!(span(Span::Days(0)), "0 days");
    assert_eq!(span(Span::Hours(2)), "2 hours");
    let span = Language::German.text().time.span;
    assert_eq!(span(Span::Days(30)), "30 Tage");
    assert_eq!(span(Span::Minutes(1)), "1 Minute");
    let busy = Problem::Busy {
        wait: Millis::days(2),
    };
    let text = (Language::German.text().problem)(&busy);
    assert_eq!(text.next, "Versuchen Sie es in 2 Tagen noch einmal.");
}

#[test]
fn a_lease_is_said_with_the_days_that_are_left() {
    let dates = Dates::new(Language::English, now());
    let text = Language::English.text();
    let until = now() + Millis::days(30);
    let granted = (text.hand_over.granted)(dates, until).to_string();
    assert_eq!(granted, "Granted until 24 Dec, 12:00 UTC (30 days).");
    let earlier = (text.hand_over.renewed)(dates, until - Millis::hours(13)).to_string();
    assert_eq!(earlier, "Renewed until 23 Dec, 23:00 UTC (29 days).");
    let lease = (text.access_point.lease_live)(dates, until).to_string();
    assert_eq!(
        lease,
        "This workstation leases until 24 December (30 days)."
    );
}

#[test]
fn every_way_out_and_every_rule_has_its_words() {
    let ways = [
        WayOut::AskForCal,
        WayOut::AskToGiveBack,
        WayOut::AskToLift,
        WayOut::AskToSwitchLeasingOn,
        WayOut::AskForLicense,
        WayOut::AskToEnable,
        WayOut::AskForDocument,
        WayOut::LeaseFromProduction,
        WayOut::WorkOnline,
        WayOut::UseOtherWorkstation,
        WayOut::SignInAsSomeoneElse,
    ];
    let mut said = HashSet::new();
    for language in Language::ALL {
        let text = &language.text().refusal;
        for words in ways.map(text.way_out).into_iter().chain(text.rules) {
            assert!(!words.is_empty());
            assert!(said.insert(words), "said twice: {words}");
        }
    }
}

fn problems() -> Vec<Problem> {
    let name = || "Corporate sign-in".to_owned();
    let wait = Millis::seconds(40);
    vec![
        Problem::BadRequest,
        Problem::SignInRequired,
        Problem::SignInFailed,
        Problem::SignInOvertaken,
        Problem::SecondFactorRequired,
        Problem::SecondFactorFailed,
        Problem::ChallengeEnded,
        Problem::PasskeyRefused,
        Problem::SecondFactorMissing,
        Problem::SecondFactorNeeded,
        Problem::PasskeyTaken,
        Problem::CsrfTokenInvalid,
        Problem::NoCookies,
        Problem::Forbidden,
        Problem::NotAsked,
        Problem::PasswordElsewhere,
        Problem::SignInAgain,
        Problem::SignInRefused {
            source: name(),
            name: "ann@corp.example".to_owned(),
            groups: vec!["staff".to_owned()],
            why: Unmapped::NoRuleMatches,
        },
        Problem::UserNameTaken { name: name() },
        Problem::UserDisabled,
        Problem::TooManySessions { most: 20 },
        Problem::AttemptInvalid { source: name() },
        Problem::AttemptUnconfirmed { source: name() },
        Problem::ProviderTooWeak { source: name() },
        Problem::ClocksDiffer { source: name() },
        Problem::CookieMissing { source: name() },
        Problem::ProviderSaid {
            source: name(),
            said: name(),
        },
        Problem::ProviderIll {
            source: name(),
            said: name(),
        },
        Problem::AnswerPosted { source: name() },
        Problem::CookieTwice,
        Problem::PasswordEnded { name: name() },
        Problem::SourceSilent { name: name() },
        Problem::LaunchTicketInvalid,
        Problem::LaunchTicketUsed,
        Problem::NotFound,
        Problem::MethodNotAllowed,
        Problem::TooSlow,
        Problem::TooLarge,
        Problem::UnsupportedMediaType,
        Problem::WrongHost,
        Problem::BodyInvalid {
            detail: "`client` is missing".to_owned(),
        },
        Problem::TooManyAttempts { wait },
        Problem::TooManyGuesses { wait },
        Problem::Internal,
        Problem::UpstreamAnswer { name: name() },
        Problem::UpstreamSilent { name: name() },
        Problem::UpstreamChanging { name: name() },
        Problem::Busy { wait },
    ]
}

#[test]
fn every_problem_says_what_happened_what_changed_and_what_to_do() {
    let mut codes = HashSet::new();
    for problem in problems() {
        // The contract has one code for these.
        let shares_its_code = matches!(problem, Problem::NotAsked | Problem::PasswordElsewhere);
        assert!(
            codes.insert(problem.code()) || shares_its_code,
            "{}",
            problem.code()
        );
        let english = (Language::English.text().problem)(&problem);
        let german = (Language::German.text().problem)(&problem);
        for text in [&english, &german] {
            for words in [&text.happened, &text.next] {
                assert_well_said(words);
            }
            assert_well_said(text.changed);
            assert!(!text.title.is_empty() && !text.title.ends_with('.'));
        }
        assert_ne!(english.happened, german.happened);
        assert_ne!(english.next, german.next);
    }
}

#[test]
fn a_provider_that_let_in_is_named_with_what_it_lacks() {
    let claim = || "upn".to_owned();
    let table = [
        (
            Unmapped::NoRuleMatches,
            "Corporate sign-in let you in, but nothing there allows you to use this AccessPoint. You \
             were signed in as ann@corp.example, in the groups: staff. Ask for one of the groups that \
             your administrator has set.",
        ),
        (
            Unmapped::Denied { rule: 2 },
            "Corporate sign-in let you in, but the rules of this AccessPoint keep you out. You were \
             signed in as ann@corp.example, in the groups: staff. Your administrator can say why, and \
             change it.",
        ),
        (
            Unmapped::ClaimMissing { claim: claim() },
            "Corporate sign-in let you in, but did not say what is needed to know you here: \"upn\" is \
             missing or empty. Your administrator can add it there.",
        ),
        (
            Unmapped::ClaimElsewhere { claim: claim() },
            "Corporate sign-in let you in, but what it says of you in \"upn\" cannot be used here. Your \
             administrator can change it there; the audit says what is wrong with it.",
        ),
        (
            Unmapped::NameNotAllowed {
                name: "ann".to_owned(),
            },
            "Corporate sign-in let you in, but the user name that it gives you cannot be used here. It \
             knows you as ann@corp.example. Your administrator can give you another user name.",
        ),
    ];
    for (why, said) in table {
        let refused = Problem::SignInRefused {
            source: "Corporate sign-in".to_owned(),
            name: "ann@corp.example".to_owned(),
            groups: vec!["staff".to_owned()],
            why,
        };
        let english = (Language::English.text().problem)(&refused);
        assert_eq!(format!("{} {}", english.happened, english.next), said);
        let german = (Language::German.text().problem)(&refused);
        assert!(
            german
                .happened
                .starts_with("Corporate sign-in hat Sie eingelassen, aber ")
        );
    }
}

#[test]
fn the_language_is_the_best_that_is_accepted() {
    let table = [
        ("", Language::English),
        ("de", Language::German),
        ("de-AT,de;q=0.9,en;q=0.8", Language::German),
        ("en;q=0.8, de;q=0.9", Language::German),
        ("en, de", Language::English),
        ("fr, DE;q=0.2", Language::German),
        ("fr", Language::English),
        ("de;q=0", Language::English),
        ("de;q=0.000, *;q=0.1", Language::English),
        ("*, de;q=0.5", Language::English),
        ("de;q=1.5", Language::English),
        ("de;q=x, ;;,", Language::English),
        ("de;q=0.0001", Language::English),
    ];
    for (header, language) in table {
        assert_eq!(Language::from_accept_language(header), language, "{header}");
    }
}

#[test]
fn a_chosen_word_names_a_language() {
    assert_eq!(Language::from_word("de"), Some(Language::German));
    assert_eq!(Language::from_word("en"), Some(Language::English));
    assert_eq!(Language::from_word("DE"), None);
    assert_eq!(Language::from_word(""), None);
}
