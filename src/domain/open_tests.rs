//! The rules of an open, one by one, at each boundary: R0 to R18, R20, R21 and R24.

use super::cal::NamedCal;
use super::change::{Change, EventKind};
use super::client::ClientKind;
use super::lease::{Lease, LeaseState};
use super::lef::Edition;
use super::open::{Access, CalStep, LeaseOutcome, Owner, Rule, Switches, examine, leave_to_server};
use super::person::AutomaticCal;
use super::refusal::{EndsBy, Refusal, RefusalCode};
use super::samples::*;
use super::time::{Millis, Timestamp};

const DAY: Millis = Millis::days(1);
const HOUR: Millis = Millis::hours(1);
const WEEK: Millis = Millis::days(7);
const LEASE_LENGTH: Millis = Millis::days(30);

fn used_now() -> Change {
    Change::CalUsed {
        person: ALICE.into(),
        at: NOW,
    }
}

fn revoked(lease_id: &str) -> Change {
    Change::LeaseEnded {
        id: lease_id.into(),
        state: LeaseState::Revoked,
        at: NOW,
    }
}

#[test]
fn the_instants_of_the_samples_are_what_they_say() {
    assert_eq!(NOW, at("2026-03-10T12:00:00.000Z"));
    assert_eq!(TODAY, at("2026-03-10T00:00:00.000Z"));
}

#[test]
fn a_sound_open_passes_every_rule_and_leases() {
    let case = Case::sound();
    let decision = case.open_with_desktop(NOW);
    assert_eq!(decision.answer.access, Access::Granted(CalStep::Held));
    assert_eq!(decision.answer.lease.word(), "granted");
    let findings = examine(&case.view(), ClientKind::Desktop, NOW);
    assert!(findings.iter().all(|f| f.passed), "{findings:#?}");
    let ids: Vec<_> = findings.iter().map(|f| f.rule.id()).collect();
    assert_eq!(
        ids.join(" "),
        "R0 R1 R2 R3 R4 R5 R6 R7 R8 R9 R11 R13",
        "explain lists R0 to R9, R11 and R13, in this order"
    );
}

#[test]
fn r0_without_a_license_every_open_is_refused_and_changes_nothing() {
    let case = Case::sound().without_license();
    for client in ClientKind::ALL {
        let decision = case.open(client, NOW);
        let refused = Access::Refused(Refusal::LicenseMissing);
        assert_eq!(decision.answer.access, refused, "R0 {client:?}");
        assert_eq!(decision.answer.lease, LeaseOutcome::NotApplicable);
        assert_eq!(decision.changes, [], "R0 {client:?}");
    }
    assert_eq!(Refusal::LicenseMissing.ends_by(), EndsBy::License);
}

/// What each of R1 to R4 refuses while a line with these dates counts.
const FORBIDDING_LINES: [(Rule, &str, RefusalCode); 5] = [
    (
        Rule::R1,
        "SPECIAL_EDITION;TEST",
        RefusalCode::LicenseTestEdition,
    ),
    (
        Rule::R2,
        "SPECIAL_EDITION;EXTRANET",
        RefusalCode::LicenseEditionCannotLease,
    ),
    (
        Rule::R2,
        "SPECIAL_EDITION;Information Access",
        RefusalCode::LicenseEditionCannotLease,
    ),
    (
        Rule::R3,
        "LICENSE_LEASE;NO",
        RefusalCode::LicenseForbidsLease,
    ),
    (
        Rule::R4,
        "NUMBER_OF_DOCUMENTS;3",
        RefusalCode::LicenseLimitsDocuments,
    ),
];

#[test]
fn r1_to_r4_a_line_refuses_the_lease_exactly_while_it_counts() {
    for (rule, line, code) in FORBIDDING_LINES {
        let dated = license_with(&format!("{line};2026-03-09;2026-03-10"));
        let case = Case::sound().license(dated);
        let begins = at("2026-03-09T00:00:00.000Z");
        let ends = at("2026-03-11T00:00:00.000Z");
        let table = [
            (begins - TICK, None),
            (begins, Some(code)),
            (begins + TICK, Some(code)),
            (ends - TICK, Some(code)),
            (ends, None),
            (ends + TICK, None),
        ];
        for (now, expected) in table {
            let id = rule.id();
            assert_eq!(case.lease_code(now), expected, "{id} {line} at {now}");
        }
        assert_eq!(case.assert_retry_is_exact(rule, NOW), ends, "{line}");
    }
}

#[test]
fn r1_to_r4_an_undated_line_refuses_until_there_is_another_license() {
    for (rule, line, code) in FORBIDDING_LINES {
        for columns in ["", ";", ";;"] {
            let case = Case::sound().license(license_with(&format!("{line}{columns}")));
            let refusal = case.lease_refusal(NOW).unwrap();
            assert_eq!(refusal.code(), code, "{}: {line}{columns}", rule.id());
            assert_eq!(refusal.retry_at(), None, "{}", rule.id());
            assert_eq!(refusal.ends_by(), EndsBy::License, "{}", rule.id());
        }
    }
}

#[test]
fn r1_r2_every_spelling_of_an_edition_is_understood() {
    use RefusalCode::{LicenseEditionCannotLease, LicenseTestEdition};
    let table = [
        ("ENTERPRISE", None),
        ("Enterprise", None),
        ("SMALL_BUSINESS", None),
        ("Small Business", None),
        ("smallbusiness", None),
        ("", None),
        ("TEST", Some(LicenseTestEdition)),
        (" Test ", Some(LicenseTestEdition)),
        ("T_E S_T", Some(LicenseTestEdition)),
        ("INFORMATION_ACCESS", Some(LicenseEditionCannotLease)),
        ("information access", Some(LicenseEditionCannotLease)),
        ("Extranet", Some(LicenseEditionCannotLease)),
        ("Small-Business", Some(LicenseEditionCannotLease)),
        ("Testing", Some(LicenseEditionCannotLease)),
        ("10", Some(LicenseEditionCannotLease)),
    ];
    for (edition, expected) in table {
        let lines = format!("special_Edition;{edition};;");
        let case = Case::sound().license(license_with(&lines));
        assert_eq!(case.lease_code(NOW), expected, "R1, R2: {edition:?}");
    }
    let without = license_with("");
    assert_eq!(without.edition(NOW), Edition::Enterprise, "R2: no line");
}

#[test]
fn r1_r2_one_bad_line_among_good_ones_refuses() {
    let table = [
        ("SPECIAL_EDITION;ENTERPRISE\nSPECIAL_EDITION;TEST", Rule::R1),
        ("SPECIAL_EDITION;EXTRANET\nSPECIAL_EDITION;TEST", Rule::R1),
        (
            "SPECIAL_EDITION;ENTERPRISE\nSPECIAL_EDITION;EXTRANET",
            Rule::R2,
        ),
        (
            "SPECIAL_EDITION;EXTRANET\nSPECIAL_EDITION;TEST;;2026-03-09",
            Rule::R2,
        ),
    ];
    for (lines, first) in table {
        let case = Case::sound().license(license_with(lines));
        let expected = first.refusal(&case.view(), NOW);
        assert_eq!(
            case.lease_refusal(NOW),
            expected,
            "{}: {lines:?}",
            first.id()
        );
        assert!(expected.is_some(), "{}: {lines:?}", first.id());
    }
}

#[test]
fn r3_only_the_value_no_forbids() {
    let forbids = Some(RefusalCode::LicenseForbidsLease);
    for (line, expected) in [
        ("LICENSE_LEASE;NO;;", forbids),
        ("license_lease;no", forbids),
        (" License_Lease ; No ;;", forbids),
        ("LICENSE_LEASE;YES;;", None),
        ("LICENSE_LEASE;;;", None),
        ("LICENSE_LEASE_EXTRA;NO;;", None),
        ("LICENSE_LEASE NO", None),
    ] {
        let case = Case::sound().license(license_with(line));
        assert_eq!(case.lease_code(NOW), expected, "R3: {line:?}");
    }
}

#[test]
fn r4_any_limit_forbids_however_large_or_empty() {
    for limit in ["0", "1", "3", "99999", "4294967295", ""] {
        let line = format!("Number_Of_Documents;{limit};;");
        let case = Case::sound().license(license_with(&line));
        let refusal = case.lease_refusal(NOW).unwrap();
        let expected = Refusal::LicenseLimitsDocuments {
            limit: limit.to_owned(),
            retry_at: None,
        };
        assert_eq!(refusal, expected, "R4: {line}");
    }
}

#[test]
fn r5_every_term_must_count() {
    let expired = Some(RefusalCode::LicenseExpired);
    for attribute in ["TIMELIMIT;VALUE", "PRODUCTLEVEL;10", "timelimit;"] {
        let lines = format!("{attribute};2026-03-10;2026-03-11");
        let case = Case::sound().license(license_with(&lines));
        let begins = at("2026-03-10T00:00:00.000Z");
        let ends = at("2026-03-12T00:00:00.000Z");
        let table = [
            (begins - TICK, expired),
            (begins, None),
            (begins + TICK, None),
            (ends - TICK, None),
            (ends, expired),
            (ends + TICK, expired),
        ];
        for (now, code) in table {
            assert_eq!(case.lease_code(now), code, "R5: {lines} at {now}");
        }
        let early = case.assert_retry_is_exact(Rule::R5, begins - WEEK);
        assert_eq!(early, begins, "R5: retry_at of {lines} is its from");
        let late = case.lease_refusal(ends).unwrap();
        assert_eq!(late.retry_at(), None, "R5: what has ended stays ended");
        let ended_at = Some(ends);
        let retry_at = None;
        assert_eq!(late, Refusal::LicenseExpired { ended_at, retry_at });
    }
}

#[test]
fn r5_with_several_terms_the_latest_beginning_counts() {
    let case = |lines: &str| Case::sound().license(license_with(lines));
    let two = case("TIMELIMIT;;2026-03-20;\nPRODUCTLEVEL;10;2026-04-01;");
    let retry_at = two.assert_retry_is_exact(Rule::R5, NOW);
    assert_eq!(retry_at, at("2026-04-01T00:00:00.000Z"), "R5");
    // The first ends before the second begins: there is no instant at which both count.
    let gap = case("TIMELIMIT;;;2026-03-20\nTIMELIMIT;;2026-03-21;");
    assert_eq!(gap.lease_refusal(NOW).unwrap().retry_at(), None, "R5");
    let touching = case("TIMELIMIT;;;2026-03-21\nTIMELIMIT;;2026-03-21;");
    let retry_at = touching.assert_retry_is_exact(Rule::R5, NOW);
    assert_eq!(retry_at, at("2026-03-21T00:00:00.000Z"), "R5");
}

#[test]
fn r6_refuses_the_open_only_where_the_person_has_no_cal_at_all() {
    let none = || Case::sound().license(license("PRODUCTLEVEL;10;;"));
    let no_cals = Some(RefusalCode::LicenseHasNoNamedCals);
    let later = NOW + HOUR;
    let table = [
        ("no CAL", none().without_cal(), no_cals, None),
        (
            "a quarantine that has ended",
            none().cal(quarantined_cal(ALICE, NOW)),
            no_cals,
            None,
        ),
        (
            "an unused CAL",
            none().cal(unused_cal(ALICE)),
            None,
            no_cals,
        ),
        ("a used CAL", none(), None, no_cals),
        (
            "a quarantine that runs",
            none().cal(quarantined_cal(ALICE, NOW + TICK)),
            None,
            no_cals,
        ),
    ];
    for (what, case, access, lease) in table {
        assert_eq!(case.access_code(NOW), access, "R6 access, {what}");
        if access.is_none() {
            assert_eq!(case.lease_code(NOW), lease, "R6 lease, {what}");
        }
    }
    let resting = none().cal(quarantined_cal(ALICE, later));
    let resting = resting.without_dynamic_assignment();
    let code = resting.access_code(NOW);
    assert_eq!(code, Some(RefusalCode::CalQuarantined), "R6 before R9");
}

#[test]
fn r6_cal_lines_add_up_while_they_count() {
    let lines = "NAMED_CALS;3;;2026-03-10\nnumber_of_named_cals;2;2026-03-10;2026-03-11\n\
                 NAMED_USER_CALS;4;2026-03-13;\nSESSION_CALS;9;;\nNAMED_CALS;;;";
    let license = license(lines);
    let table = [
        ("2026-03-09T23:59:59.999Z", 3),
        ("2026-03-10T00:00:00.000Z", 5),
        ("2026-03-10T23:59:59.999Z", 5),
        ("2026-03-11T00:00:00.000Z", 2),
        ("2026-03-11T23:59:59.999Z", 2),
        ("2026-03-12T00:00:00.000Z", 0),
        ("2026-03-12T23:59:59.999Z", 0),
        ("2026-03-13T00:00:00.000Z", 4),
    ];
    for (now, held) in table {
        assert_eq!(license.named_cals(at(now)), held, "R6 at {now}");
    }
    let case = Case::sound().without_cal().license(license);
    let lapsed = at("2026-03-12T00:00:00.000Z");
    assert_eq!(case.access_code(lapsed - TICK), None, "R6");
    let retry_at = case.assert_retry_is_exact(Rule::R6, lapsed);
    assert_eq!(retry_at, at("2026-03-13T00:00:00.000Z"), "R6");
}

#[test]
fn r7_switched_off_refuses_the_lease_alone() {
    let case = Case::sound().without_leasing();
    let refusal = case.lease_refusal(NOW).unwrap();
    assert_eq!(refusal, Refusal::LeasingSwitchedOff);
    assert_eq!(refusal.ends_by(), EndsBy::Administrator);
    let both_on = Switches {
        allow_license_lease: true,
        allow_dynamic_assignment: true,
    };
    assert_eq!(Switches::default(), both_on, "R7: both start switched on");
}

#[test]
fn r8_hidden_missing_and_disabled_answer_alike() {
    let table = [
        ("hidden or missing", Case::sound().document_hidden()),
        ("disabled", Case::sound().disabled()),
        ("both", Case::sound().disabled().document_hidden()),
        (
            "without a CAL",
            Case::sound().document_hidden().without_cal(),
        ),
        (
            "without CALs in the LEF",
            Case::sound()
                .document_hidden()
                .license(license("PRODUCTLEVEL;10"))
                .without_cal(),
        ),
    ];
    for (what, case) in table {
        for client in ClientKind::ALL {
            let decision = case.open(client, NOW);
            let refused = Access::Refused(Refusal::DocumentNotFound);
            assert_eq!(decision.answer.access, refused, "R8 {what}");
            assert_eq!(decision.answer.lease, LeaseOutcome::NotApplicable);
            assert_eq!(decision.changes, [], "R8 {what}");
        }
    }
    let without_license = Case::sound().document_hidden().without_license();
    let code = without_license.access_code(NOW);
    assert_eq!(code, Some(RefusalCode::LicenseMissing), "R0 before R8");
}

/// Where a person's CAL may be before an open.
#[derive(Clone, Copy, Debug)]
enum Own {
    None,
    Assigned,
    Resting,
    Rested,
}

impl Own {
    fn put(self, case: Case) -> Case {
        match self {
            Self::None => case.without_cal(),
            Self::Assigned => case,
            Self::Resting => case.cal(quarantined_cal(ALICE, NOW + TICK)),
            Self::Rested => Case {
                taken: 0,
                ..case.cal(quarantined_cal(ALICE, NOW))
            },
        }
    }
}

#[test]
fn r9_where_the_cal_of_an_open_comes_from() {
    use AutomaticCal::{Assign, Dynamic, Never};
    use CalStep::{Assigned, GivenBack, Held};
    use RefusalCode::{CalQuarantined, NoCalAssigned};
    let table = [
        (Own::Assigned, true, Dynamic, Ok(Held)),
        (Own::Assigned, false, Dynamic, Ok(Held)),
        (Own::Assigned, true, Never, Ok(Held)),
        (Own::Assigned, false, Never, Ok(Held)),
        (Own::None, true, Dynamic, Ok(Assigned)),
        (Own::None, true, Assign, Ok(Assigned)),
        (Own::None, true, Never, Err(NoCalAssigned)),
        (Own::None, false, Dynamic, Err(NoCalAssigned)),
        (Own::None, false, Assign, Err(NoCalAssigned)),
        (Own::Resting, true, Dynamic, Ok(GivenBack)),
        (Own::Resting, true, Assign, Ok(GivenBack)),
        (Own::Resting, true, Never, Err(CalQuarantined)),
        (Own::Resting, false, Dynamic, Err(CalQuarantined)),
        (Own::Resting, false, Assign, Err(CalQuarantined)),
        (Own::Rested, true, Dynamic, Ok(Assigned)),
        (Own::Rested, true, Never, Err(NoCalAssigned)),
        (Own::Rested, false, Dynamic, Err(NoCalAssigned)),
    ];
    for (own, dynamic, mapping, expected) in table {
        let mut case = own.put(Case::sound()).automatic_cal(mapping);
        case.switches.allow_dynamic_assignment = dynamic;
        let found = case.access(NOW).map_err(|refusal| refusal.code());
        let what = format!("R9: {own:?}, dynamic {dynamic}, mapping {mapping:?}");
        assert_eq!(found, expected, "{what}");
        let changes = case.open(ClientKind::Ajax, NOW).changes;
        let person = ALICE.into();
        match expected {
            Ok(Held) => assert_eq!(changes, [used_now()], "{what}"),
            Ok(Assigned) => {
                let assigned = Change::CalAssigned { person, at: NOW };
                assert_eq!(changes, [assigned, used_now()], "{what}");
            }
            Ok(GivenBack) => {
                let given_back = Change::CalGivenBack { person };
                assert_eq!(changes, [given_back, used_now()], "{what}");
            }
            Ok(CalStep::LeftToServer) | Err(_) => assert_eq!(changes, [], "{what}"),
        }
    }
}

#[test]
fn in_front_of_an_estate_another_kind_of_cal_may_give_access_and_never_a_lease() {
    let estate = |other_cals| Owner::Estate { other_cals };
    let without = |owner| Case {
        owner,
        ..Case::sound().without_cal().without_dynamic_assignment()
    };
    let code = |case: &Case| case.access(NOW).map_err(|refusal| refusal.code());
    assert_eq!(
        code(&without(estate(false))),
        Err(RefusalCode::NoCalAssigned)
    );
    assert_eq!(code(&without(estate(true))), Ok(CalStep::LeftToServer));
    let decision = without(estate(true)).open_with_desktop(NOW);
    let lease = LeaseOutcome::Refused(Refusal::NoCalAssigned);
    assert_eq!(
        (decision.answer.lease, decision.changes),
        (lease, Vec::new())
    );
    // R1 to R7 come before the missing CAL, and that before R13.
    let switched_off = without(estate(true)).without_leasing();
    let refused = switched_off.open_with_desktop(NOW).answer.lease;
    assert_eq!(refused, LeaseOutcome::Refused(Refusal::LeasingSwitchedOff));
    let limited = without(estate(true)).limit_reached();
    let refused = limited.open_with_desktop(NOW).answer.lease;
    assert_eq!(refused, LeaseOutcome::Refused(Refusal::NoCalAssigned));
    let held = Case {
        owner: estate(true),
        ..Case::sound()
    };
    let decision = held.open_with_desktop(NOW);
    assert!(matches!(decision.answer.lease, LeaseOutcome::Granted(_)));
    let event = decision.event.unwrap();
    assert!(format!("{event:?}").contains("predicted"), "{event:?}");
}

#[test]
fn what_is_left_to_the_server_asks_r8_alone() {
    let mut case = Case::sound().without_license().without_cal();
    case.owner = Owner::Estate { other_cals: false };
    let left = leave_to_server(&case.view(), ClientKind::Desktop, NOW);
    assert_eq!(left.answer.access, Access::Granted(CalStep::LeftToServer));
    assert_eq!(left.answer.lease, LeaseOutcome::NotApplicable);
    assert_eq!((left.changes, left.event.is_some()), (Vec::new(), true));
    case.person.active = false;
    let left = leave_to_server(&case.view(), ClientKind::Desktop, NOW);
    assert_eq!(
        left.answer.access,
        Access::Refused(Refusal::DocumentNotFound)
    );
}

#[test]
fn r9_a_quarantine_is_given_back_without_a_free_cal_and_before_one_is_taken() {
    let resting = Case::sound().cal(quarantined_cal(ALICE, NOW + HOUR));
    for taken in [1, 5, 9] {
        let case = resting.clone().taken(taken, &[NOW + HOUR]);
        assert_eq!(case.access(NOW), Ok(CalStep::GivenBack), "R9: {taken} of 5");
    }
}

#[test]
fn r9_a_quarantine_ends_at_its_end_and_not_before() {
    let end = NOW + HOUR;
    let case = Case::sound().cal(quarantined_cal(ALICE, end));
    let full = case.clone().taken(5, &[end]);
    assert_eq!(full.access(end - TICK), Ok(CalStep::GivenBack), "R10");
    let at_end = full.seen_at(end);
    assert_eq!(at_end.access(end), Ok(CalStep::Assigned), "R10");
    assert_eq!(at_end.access(end + TICK), Ok(CalStep::Assigned), "R10");
    let quarantined = case.without_dynamic_assignment();
    let refusal = quarantined.access(end - TICK).unwrap_err();
    let since = end - WEEK;
    assert_eq!(refusal, Refusal::CalQuarantined { since, until: end });
    assert_eq!(refusal.retry_at(), None, "R9: its end gives nobody a CAL");
    assert_eq!(refusal.ends_by(), EndsBy::Administrator, "R9");
    let code = quarantined.access_code(end);
    assert_eq!(code, Some(RefusalCode::NoCalAssigned), "R9");
}

#[test]
fn r9_the_last_free_cal_is_assigned_and_no_more() {
    let no_free = Some(RefusalCode::NoFreeCal);
    for (taken, expected) in [(0, None), (4, None), (5, no_free), (6, no_free)] {
        let case = Case::sound().without_cal().taken(taken, &[]);
        assert_eq!(case.access_code(NOW), expected, "R9, R17: {taken} of 5");
    }
    let refusal = Case::sound().without_cal().taken(5, &[]).access(NOW);
    let refusal = refusal.unwrap_err();
    assert_eq!(refusal.retry_at(), None, "R9: no quarantine runs");
    assert_eq!(refusal.ends_by(), EndsBy::Administrator, "R9");
}

#[test]
fn r9_no_free_cal_ends_when_enough_quarantines_have_ended() {
    let ends = [NOW + TICK, NOW + HOUR, NOW + HOUR, NOW + DAY];
    let case = |taken| Case::sound().without_cal().taken(taken, &ends);
    let table = [
        (5, Some(ends[0])),
        (6, Some(ends[1])),
        (7, Some(ends[2])),
        (8, Some(ends[3])),
        (9, None),
    ];
    for (taken, expected) in table {
        let refusal = case(taken).access(NOW).unwrap_err();
        let held = 5;
        let retry_at = expected;
        let no_free = Refusal::NoFreeCal {
            held,
            taken,
            retry_at,
        };
        assert_eq!(refusal, no_free, "R9: {taken} of 5");
        if let Some(retry_at) = expected {
            let exact = case(taken).assert_retry_is_exact(Rule::R9, NOW);
            assert_eq!(exact, retry_at, "R9: {taken} of 5");
        }
    }
}

#[test]
fn r9_no_free_cal_knows_the_lines_of_the_license_too() {
    let tomorrow = at("2026-03-11T00:00:00.000Z");
    let grows = license("NAMED_CALS;2;;\nNAMED_CALS;1;2026-03-11;");
    let growing = Case::sound().without_cal().license(grows);
    let growing = growing.taken(2, &[NOW + WEEK]);
    let retry_at = growing.assert_retry_is_exact(Rule::R9, NOW);
    assert_eq!(retry_at, tomorrow, "R9: a line begins first");
    // Where a line lapses first, one ended quarantine is no longer enough.
    let shrinks = license("NAMED_CALS;2;;\nNAMED_CALS;1;;2026-03-10");
    let shrinking = Case::sound().without_cal().license(shrinks);
    let ends = [tomorrow, tomorrow + DAY];
    let shrinking = shrinking.taken(3, &ends);
    let retry_at = shrinking.assert_retry_is_exact(Rule::R9, NOW);
    assert_eq!(retry_at, tomorrow + DAY, "R9");
}

#[test]
fn r10_every_open_with_access_uses_the_cal() {
    for client in ClientKind::ALL {
        let changes = Case::sound().open(client, NOW).changes;
        assert_eq!(changes[0], used_now(), "R10: {client:?}");
    }
    // An open that the workstation limit refuses a lease has access all the same.
    let limited = Case::sound().limit_reached().open_with_desktop(NOW);
    assert_eq!(limited.changes, [used_now()], "R10");
}

#[test]
fn r11_only_desktop_and_plugin_lease() {
    let everything_forbids = license_with(
        "SPECIAL_EDITION;TEST\nSPECIAL_EDITION;EXTRANET\nLICENSE_LEASE;NO\n\
         NUMBER_OF_DOCUMENTS;1\nTIMELIMIT;;;2020-01-01",
    );
    let forbidden = Case::sound().limit_reached().license(everything_forbids);
    for (client, leases) in [
        (ClientKind::Desktop, true),
        (ClientKind::Plugin, true),
        (ClientKind::Ajax, false),
        (ClientKind::Download, false),
    ] {
        let sound = Case::sound().open(client, NOW).answer.lease;
        let refused = forbidden.open(client, NOW).answer.lease;
        let words = if leases {
            ("granted", "refused")
        } else {
            ("not_applicable", "not_applicable")
        };
        assert_eq!((sound.word(), refused.word()), words, "R11 {client:?}");
        let findings = examine(&Case::sound().view(), client, NOW);
        let r11 = findings.iter().find(|f| f.rule == Rule::R11).unwrap();
        assert_eq!((r11.passed, &r11.refusal), (leases, &None), "R11");
    }
}

#[test]
fn r11_a_client_that_does_not_lease_leaves_a_lease_alone() {
    let live = Case::sound().limit_reached().leased_on(HERE, NOW - DAY);
    for client in [ClientKind::Ajax, ClientKind::Download] {
        let changes = live.open(client, NOW).changes;
        assert_eq!(changes, [used_now()], "R11, R14 {client:?}");
    }
}

#[test]
fn r12_a_grant_lasts_thirty_days_to_the_millisecond() {
    let decision = Case::sound().open_with_desktop(NOW);
    let LeaseOutcome::Granted(lease) = decision.answer.lease else {
        panic!("R12: not granted");
    };
    assert_eq!(lease.expires_at, NOW + Millis(30 * 86_400_000), "R12");
    let times = (lease.granted_at, lease.renewed_at, lease.ended_at);
    assert_eq!(times, (NOW, NOW, None), "R12");
    assert_eq!(lease.workstation, workstation(HERE));
    assert_eq!(lease.id, FRESH.into());
    assert!(lease.is_live(lease.expires_at - TICK), "R12");
    assert!(!lease.is_live(lease.expires_at), "R12: an end is exclusive");
    let state = lease.state_at(lease.expires_at);
    assert_eq!(state, LeaseState::Expired, "R12");
    let granted = Change::LeaseGranted(lease);
    assert_eq!(decision.changes, [used_now(), granted], "R12");
}

#[test]
fn r12_r20_an_open_before_the_end_renews_and_one_at_the_end_grants() {
    let old = lease(ALICE, HERE, NOW);
    let case = Case::sound().lease(old.clone());
    let end = NOW + LEASE_LENGTH;
    for now in [NOW, NOW + TICK, NOW + DAY, NOW + WEEK, end - TICK] {
        let decision = case.open_with_desktop(now);
        let expected = Lease {
            renewed_at: now,
            expires_at: now + LEASE_LENGTH,
            ..old.clone()
        };
        let what = format!("R12, R20 at {now}");
        let renewed = LeaseOutcome::Renewed(expected);
        assert_eq!(decision.answer.lease, renewed, "{what}");
        let change = Change::LeaseRenewed {
            id: old.id.clone(),
            renewed_at: now,
            expires_at: now + LEASE_LENGTH,
        };
        assert_eq!(decision.changes[1..], [change], "{what}");
    }
    for now in [end, end + TICK] {
        let outcome = case.open_with_desktop(now).answer.lease;
        assert_eq!(outcome.word(), "granted", "R12 at {now}");
    }
}

#[test]
fn r12_a_renewal_shortens_nothing_even_where_the_clock_was_set_back() {
    let ahead = NOW + DAY;
    let case = Case::sound().leased_on(HERE, ahead);
    let LeaseOutcome::Renewed(lease) = case.open_with_desktop(NOW).answer.lease else {
        panic!("R12: not renewed");
    };
    assert_eq!(lease.expires_at, ahead + LEASE_LENGTH, "R12");
    assert_eq!(lease.renewed_at, ahead, "R13: its event stays as late");
}

#[test]
fn r13_refuses_while_two_others_count() {
    let limit = Some(RefusalCode::WorkstationLimit);
    for window in [Millis::hours(24), Millis::days(7)] {
        let case = Case::sound()
            .window(window)
            .leased_on("other-1", NOW)
            .leased_on("other-2", NOW + HOUR);
        let end = NOW + window;
        let table = [
            (NOW + HOUR, limit),
            (end - TICK, limit),
            (end, None),
            (end + TICK, None),
        ];
        for (now, expected) in table {
            let code = case.lease_code(now);
            assert_eq!(code, expected, "R13: W = {window:?} at {now}");
        }
        let retry_at = case.assert_retry_is_exact(Rule::R13, NOW + HOUR);
        assert_eq!(retry_at, end, "R13: W = {window:?}");
    }
}

#[test]
fn r13_one_other_workstation_does_not_refuse() {
    let none = Case::sound();
    let one = Case::sound().leased_on("other-1", NOW);
    let twice_on_one = one.clone().leased_on("other-1", NOW - HOUR);
    for case in [none, one, twice_on_one] {
        assert_eq!(case.lease_code(NOW), None, "R13: {:?}", case.leases);
    }
}

#[test]
fn r13_ones_own_workstation_never_counts_against_itself() {
    let case = Case::sound()
        .leased_on(HERE, NOW - HOUR)
        .leased_on("other-1", NOW - HOUR);
    let outcome = case.open_with_desktop(NOW).answer.lease;
    assert_eq!(outcome.word(), "renewed", "R13");
}

#[test]
fn r13_may_lease_once_at_most_one_other_counts() {
    // Instants of other workstations, and the one after whose silence this one leases.
    let hours = |ago: &[i64]| -> Vec<Timestamp> {
        ago.iter()
            .map(|hours| NOW - Millis::hours(*hours))
            .collect()
    };
    for (ago, decisive) in [
        (&[3, 1][..], 3),
        (&[1, 3], 3),
        (&[1, 1], 1),
        (&[4, 2, 1], 2),
        (&[1, 4, 2], 2),
        (&[5, 4, 3, 2], 3),
    ] {
        let mut case = Case::sound();
        for (index, leased_at) in hours(ago).into_iter().enumerate() {
            case = case.leased_on(&format!("other-{index}"), leased_at);
        }
        let expected = NOW - Millis::hours(decisive) + WEEK;
        let refusal = case.lease_refusal(NOW).unwrap();
        assert_eq!(refusal.retry_at(), Some(expected), "R13: {ago:?}");
        assert_eq!(refusal.ends_by(), EndsBy::Time, "R13");
        assert_eq!(refusal.workstations().len(), ago.len(), "R13: {ago:?}");
        case.assert_retry_is_exact(Rule::R13, NOW);
        assert_eq!(case.lease_code(expected - TICK), Some(refusal.code()));
        assert_eq!(case.lease_code(expected), None, "R13: {ago:?}");
    }
}

#[test]
fn r13_names_the_others_the_longest_silent_first() {
    let case = Case::sound()
        .leased_on("late", NOW - TICK)
        .leased_on("early", NOW - HOUR)
        .leased_on("late", NOW - DAY)
        .leased_on("silent", NOW - WEEK)
        .leased_on(HERE, NOW - HOUR);
    let refusal = case.lease_refusal(NOW).unwrap();
    let named: Vec<_> = refusal
        .workstations()
        .iter()
        .map(|used| {
            let id = used.workstation.id.as_str();
            (id, used.last_leased_at, used.counts_until)
        })
        .collect();
    let expected = [
        ("early", NOW - HOUR, NOW - HOUR + WEEK),
        ("late", NOW - TICK, NOW - TICK + WEEK),
    ];
    assert_eq!(named, expected, "R13");
}

#[test]
fn r13_a_renewal_counts_like_a_grant() {
    let renewed = Lease {
        renewed_at: NOW - TICK,
        expires_at: NOW - TICK + LEASE_LENGTH,
        ..lease(ALICE, "other-1", NOW - Millis::days(20))
    };
    let case = Case::sound().lease(renewed).leased_on("other-2", NOW);
    let retry_at = case.assert_retry_is_exact(Rule::R13, NOW);
    assert_eq!(retry_at, NOW - TICK + WEEK, "R13");
}

#[test]
fn r13_r19_ended_leases_count_and_lifted_ones_do_not() {
    let limit = Some(RefusalCode::WorkstationLimit);
    let other = || lease(ALICE, "other-1", NOW - HOUR);
    let expired = Lease {
        state: LeaseState::Expired,
        ..other()
    };
    for (what, first, expected) in [
        ("live", other(), limit),
        ("released", ended(other(), LeaseState::Released), limit),
        ("revoked", ended(other(), LeaseState::Revoked), limit),
        ("expired", expired, limit),
        ("lifted", lifted(other()), None),
    ] {
        let case = Case::sound().lease(first).leased_on("other-2", NOW);
        assert_eq!(case.lease_code(NOW), expected, "R13, R19: {what}");
    }
    // What was leased there after the lift counts again.
    let again = Case::sound()
        .lease(lifted(other()))
        .leased_on("other-1", NOW - TICK)
        .leased_on("other-2", NOW);
    assert_eq!(again.lease_code(NOW), limit, "R19");
}

#[test]
fn r13_a_released_workstation_may_lease_again_under_the_same_limit() {
    let released = ended(lease(ALICE, HERE, NOW - HOUR), LeaseState::Released);
    let one_other = Case::sound().lease(released).leased_on("other-1", NOW);
    let outcome = one_other.open_with_desktop(NOW).answer.lease;
    assert_eq!(outcome.word(), "granted", "R19: a new lease");
    let two_others = one_other.leased_on("other-2", NOW);
    let code = two_others.lease_code(NOW);
    assert_eq!(code, Some(RefusalCode::WorkstationLimit), "R13");
}

#[test]
fn r13_a_window_longer_than_a_lease_counts_beyond_its_end() {
    let window = Millis::days(60);
    let then = NOW - Millis::days(59);
    let case = Case::sound()
        .window(window)
        .leased_on("other-1", then)
        .leased_on("other-2", then);
    let retry_at = case.assert_retry_is_exact(Rule::R13, NOW);
    assert_eq!(retry_at, NOW + DAY, "R13");
}

#[test]
fn r14_the_workstation_limit_revokes_the_running_lease_of_this_workstation_alone() {
    let case = Case::sound().limit_reached().leased_on(HERE, NOW - DAY);
    let decision = case.open_with_desktop(NOW);
    let code = decision.answer.refusal().map(Refusal::code);
    assert_eq!(code, Some(RefusalCode::WorkstationLimit), "R14");
    let expected = [used_now(), revoked("alice@here")];
    assert_eq!(decision.changes, expected, "R14");
    let event = decision.event.unwrap();
    assert_eq!(event.code.as_deref(), Some("WORKSTATION_LIMIT"), "R14");
}

#[test]
fn r14_a_lease_that_has_ended_is_not_revoked() {
    let here = lease(ALICE, HERE, NOW - LEASE_LENGTH);
    let released = ended(lease(ALICE, HERE, NOW - DAY), LeaseState::Released);
    for over in [here, released] {
        let case = Case::sound().limit_reached().lease(over);
        let changes = case.open_with_desktop(NOW).changes;
        assert_eq!(changes, [used_now()], "R14");
    }
}

#[test]
fn r14_no_other_refusal_touches_a_running_lease() {
    let running = || Case::sound().limit_reached().leased_on(HERE, NOW - DAY);
    let mut cases = vec![
        running().without_leasing(),
        running().license(license("PRODUCTLEVEL;10")),
        running().license(license_with("TIMELIMIT;;;2026-01-01")),
        running().without_license(),
        running().disabled(),
        running().document_hidden(),
        running().without_cal().without_dynamic_assignment(),
        running().without_cal().taken(5, &[]),
        running()
            .cal(quarantined_cal(ALICE, NOW + DAY))
            .without_dynamic_assignment(),
    ];
    for (_, line, _) in FORBIDDING_LINES {
        cases.push(running().license(license_with(line)));
    }
    for case in cases {
        let decision = case.open_with_desktop(NOW);
        let refusal = decision.answer.refusal().unwrap();
        assert_ne!(refusal.code(), RefusalCode::WorkstationLimit);
        let touched = decision
            .changes
            .iter()
            .any(|change| matches!(change, Change::LeaseEnded { .. }));
        assert!(!touched, "R14: {:?}", refusal.code());
    }
}

#[test]
fn r15_without_a_cal_a_running_lease_is_neither_renewed_nor_touched() {
    let running = Case::sound().leased_on(HERE, NOW - DAY);
    let without = running.without_cal().without_dynamic_assignment();
    let decision = without.open_with_desktop(NOW);
    let refused = Access::Refused(Refusal::NoCalAssigned);
    assert_eq!(decision.answer.access, refused, "R15");
    assert_eq!(decision.changes, [], "R15");
}

#[test]
fn r16_the_first_failing_rule_refuses_the_lease() {
    use RefusalCode::{
        LeasingSwitchedOff, LicenseEditionCannotLease, LicenseExpired, LicenseForbidsLease,
        LicenseHasNoNamedCals, LicenseLimitsDocuments, LicenseTestEdition, WorkstationLimit,
    };
    // Each row fails one rule fewer than the row before.
    let lines = [
        ("SPECIAL_EDITION;TEST", LicenseTestEdition),
        ("SPECIAL_EDITION;EXTRANET", LicenseEditionCannotLease),
        ("LICENSE_LEASE;NO", LicenseForbidsLease),
        ("NUMBER_OF_DOCUMENTS;3", LicenseLimitsDocuments),
        ("TIMELIMIT;;;2020-01-01", LicenseExpired),
        ("", LicenseHasNoNamedCals),
    ];
    let spoilt = Case::sound().limit_reached().without_leasing();
    for (first, (_, code)) in lines.iter().enumerate() {
        // The last failing line stands first in the LEF: the order of lines does not matter.
        let failing: Vec<_> = lines[first..].iter().rev().map(|(line, _)| *line).collect();
        let lef = format!("PRODUCTLEVEL;10\n{}", failing.join("\n"));
        let case = spoilt.clone().license(license(&lef));
        assert_eq!(case.access(NOW), Ok(CalStep::Held), "R16: {code:?}");
        assert_eq!(case.lease_code(NOW), Some(*code), "R16");
    }
    assert_eq!(spoilt.lease_code(NOW), Some(LeasingSwitchedOff), "R16");
    let limited = Case::sound().limit_reached();
    assert_eq!(limited.lease_code(NOW), Some(WorkstationLimit), "R16");
}

#[test]
fn r16_the_first_failing_rule_refuses_the_open() {
    use RefusalCode::{
        CalQuarantined, DocumentNotFound, LicenseHasNoNamedCals, LicenseMissing, NoCalAssigned,
        NoFreeCal,
    };
    let no_cals = || license("PRODUCTLEVEL;10\nSPECIAL_EDITION;TEST");
    let poor = || {
        Case::sound()
            .license(no_cals())
            .limit_reached()
            .without_cal()
            .taken(5, &[])
    };
    let table = [
        (poor().without_license().document_hidden(), LicenseMissing),
        (poor().document_hidden(), DocumentNotFound),
        (poor(), LicenseHasNoNamedCals),
        (poor().without_dynamic_assignment(), LicenseHasNoNamedCals),
        (
            poor().automatic_cal(AutomaticCal::Never),
            LicenseHasNoNamedCals,
        ),
        (
            poor()
                .cal(quarantined_cal(ALICE, NOW + TICK))
                .without_dynamic_assignment(),
            CalQuarantined,
        ),
        (poor().license(license("NAMED_CALS;5")), NoFreeCal),
        (
            poor()
                .license(license("NAMED_CALS;5"))
                .without_dynamic_assignment(),
            NoCalAssigned,
        ),
    ];
    for (case, code) in table {
        assert_eq!(case.access_code(NOW), Some(code), "R16");
        let lease = case.open_with_desktop(NOW).answer.lease;
        assert_eq!(lease, LeaseOutcome::NotApplicable, "R16: {code:?}");
    }
}

#[test]
fn r17_an_overcommitted_site_serves_holders_and_nobody_new() {
    // Five people hold a CAL; the licence was forced to two, or a line of it lapsed.
    for lef in [
        "NAMED_CALS;2",
        "NAMED_CALS;2\nNAMED_CALS;3;;2026-03-09",
        "NAMED_CALS;5;;2026-03-09",
    ] {
        let small = |case: Case| case.license(license(lef));
        let ends = [NOW + HOUR];
        let holder = small(Case::sound()).taken(5, &ends);
        assert_eq!(holder.access(NOW), Ok(CalStep::Held), "R17: {lef}");
        let back = holder.clone().cal(quarantined_cal(ALICE, ends[0]));
        assert_eq!(back.access(NOW), Ok(CalStep::GivenBack), "R17: {lef}");
        let new = small(Case::sound().without_cal()).taken(5, &ends);
        assert!(new.access(NOW).is_err(), "R17: {lef}");
    }
    let leasing = Case::sound().license(license("NAMED_CALS;2")).taken(5, &[]);
    assert_eq!(leasing.lease_code(NOW), None, "R17: holders lease on");
}

#[test]
fn r17_nobody_new_until_it_fits() {
    let case = |taken| {
        let two = license("NAMED_CALS;2");
        Case::sound().without_cal().license(two).taken(taken, &[])
    };
    let no_free = Some(RefusalCode::NoFreeCal);
    for (taken, code) in [(3, no_free), (2, no_free), (1, None)] {
        assert_eq!(case(taken).access_code(NOW), code, "R17: {taken} of 2");
    }
}

#[test]
fn r18_every_open_leaves_one_event_with_its_code() {
    let table = [
        (Case::sound(), None),
        (Case::sound().leased_on(HERE, NOW - DAY), None),
        (Case::sound().without_cal(), None),
        (Case::sound().cal(quarantined_cal(ALICE, NOW + DAY)), None),
        (
            Case::sound().without_leasing(),
            Some("LEASING_SWITCHED_OFF"),
        ),
        (Case::sound().limit_reached(), Some("WORKSTATION_LIMIT")),
        (Case::sound().without_license(), Some("LICENSE_MISSING")),
        (Case::sound().document_hidden(), Some("DOCUMENT_NOT_FOUND")),
        (Case::sound().disabled(), Some("DOCUMENT_NOT_FOUND")),
        (
            Case::sound().without_cal().taken(5, &[]),
            Some("NO_FREE_CAL"),
        ),
    ];
    for (case, code) in table {
        let event = case.open_with_desktop(NOW).event.unwrap();
        assert_eq!(event.kind, EventKind::DocumentOpened, "R18");
        assert_eq!(event.code.as_deref(), code, "R18");
        assert_eq!(event.user.as_deref(), Some(ALICE), "R18");
        let document = ("document", "sales".to_owned());
        assert!(event.detail.contains(&document), "R18: {event:?}");
    }
    let ajax = Case::sound().without_leasing().open(ClientKind::Ajax, NOW);
    assert_eq!(ajax.event.unwrap().code, None, "R18: nothing was refused");
}

#[test]
fn r20_another_document_renews_the_same_lease() {
    let mut case = Case::sound().leased_on(HERE, NOW - DAY);
    for document in ["sales", "stock", "sales"] {
        document.clone_into(&mut case.document.id);
        let decision = case.open_with_desktop(NOW);
        let LeaseOutcome::Renewed(lease) = decision.answer.lease else {
            panic!("R20: {document} should renew");
        };
        assert_eq!(lease.id.as_str(), "alice@here", "R20: {document}");
        assert_eq!(decision.changes.len(), 2, "R20: no second CAL or lease");
    }
}

#[test]
fn r21_a_disabled_person_keeps_cal_and_leases_and_renews_nothing() {
    let case = Case::sound().leased_on(HERE, NOW - DAY).disabled();
    let decision = case.open_with_desktop(NOW);
    let refused = Access::Refused(Refusal::DocumentNotFound);
    assert_eq!(decision.answer.access, refused, "R21");
    assert_eq!(decision.changes, [], "R21");
}

#[test]
fn r24_the_next_open_after_the_cal_was_taken_obeys_r9() {
    let taken_away: [(Option<NamedCal>, _); 2] = [
        (Some(quarantined_cal(ALICE, NOW + DAY)), CalStep::GivenBack),
        (None, CalStep::Assigned),
    ];
    for (cal, step) in taken_away {
        let case = Case {
            cal,
            ..Case::sound()
        };
        assert_eq!(case.access(NOW), Ok(step), "R24");
    }
}

#[test]
fn an_explanation_shows_every_rule_that_refuses_not_only_the_first() {
    let lef = license("PRODUCTLEVEL;10\nSPECIAL_EDITION;EXTRANET\nLICENSE_LEASE;NO");
    let case = Case::sound()
        .license(lef)
        .limit_reached()
        .without_cal()
        .without_dynamic_assignment()
        .document_hidden();
    let findings = examine(&case.view(), ClientKind::Ajax, NOW);
    let refused: Vec<_> = findings
        .iter()
        .filter(|finding| !finding.passed)
        .map(|finding| finding.rule.id())
        .collect();
    assert_eq!(refused.join(" "), "R2 R3 R6 R8 R9 R11 R13");
}

#[test]
fn every_refusal_says_what_ends_it_and_a_way_out() {
    let instant = Some(NOW);
    let refusals = [
        (Refusal::LicenseMissing, EndsBy::License),
        (
            Refusal::LicenseTestEdition { retry_at: None },
            EndsBy::License,
        ),
        (
            Refusal::LicenseTestEdition { retry_at: instant },
            EndsBy::Time,
        ),
        (Refusal::LeasingSwitchedOff, EndsBy::Administrator),
        (Refusal::DocumentNotFound, EndsBy::Administrator),
        (Refusal::NoCalAssigned, EndsBy::Administrator),
        (Refusal::UserDisabled, EndsBy::Administrator),
    ];
    for (refusal, ends_by) in refusals {
        assert_eq!(refusal.ends_by(), ends_by, "{refusal:?}");
        assert!(!refusal.ways_out().is_empty(), "{refusal:?}");
    }
    let names: std::collections::BTreeSet<_> =
        RefusalCode::ALL.iter().map(|code| code.as_str()).collect();
    assert_eq!(names.len(), RefusalCode::ALL.len(), "no code twice");
}

#[test]
fn a_lease_asks_to_be_renewed_within_its_twenty_sixth_day() {
    let day = |days| NOW + Millis::days(days);
    let mut seen = std::collections::BTreeSet::new();
    for number in 0..200 {
        let lease = Lease {
            id: format!("lease-{number}").into(),
            ..lease(ALICE, HERE, NOW)
        };
        let renew_after = lease.renew_after();
        assert!(day(25) <= renew_after && renew_after < day(26));
        assert_eq!(renew_after, lease.renew_after(), "fixed for each lease");
        seen.insert(renew_after);
    }
    assert!(seen.len() > 150, "a fleet does not come back together");
}
