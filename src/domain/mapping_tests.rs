//! Tables of the mapping: every shape of a claim, every test of a rule, every way to be refused.

use serde_json::{Value, json};

use super::mapping::{
    ClaimPath, ClaimTest, Claims, Condition, Mapping, MappingRule, Template, TemplatePart,
    Unmapped, Walk, WholeRegex, map,
};
use super::name::BadUserName;
use super::person::{AutomaticCal, Role};

fn claims(value: Value) -> Claims {
    match value {
        Value::Object(claims) => claims,
        other => panic!("no object: {other}"),
    }
}

fn rule(when: Option<(&str, ClaimTest)>) -> MappingRule {
    MappingRule {
        when: when.map(|(claim, test)| Condition {
            claim: claim.parse().unwrap(),
            test,
        }),
        deny: false,
        roles: Vec::new(),
        groups: Vec::new(),
        named_cal: AutomaticCal::Dynamic,
    }
}

fn mapping(rules: Vec<MappingRule>) -> Mapping {
    Mapping {
        user_name: "{preferred_username}".parse().unwrap(),
        display_name: Some("{name}".parse().unwrap()),
        groups: Some("groups".parse().unwrap()),
        names: ".*".parse().unwrap(),
        rules,
    }
}

fn has(group: &str) -> ClaimTest {
    ClaimTest::Has(group.to_owned())
}

/// The way of `ann` with these groups through one rule.
fn walk(groups: &Value, test: ClaimTest) -> Walk {
    let mapping = mapping(vec![rule(Some(("groups", test)))]);
    let claims = claims(json!({ "preferred_username": "ann", "groups": groups }));
    map(&claims, &mapping, "")
}

#[test]
fn claims_become_a_person_and_every_step_is_told() {
    let mut second = rule(Some(("groups", has("analysts"))));
    second.roles = vec![Role::Auditor];
    second.groups = vec!["sales".to_owned(), "analysts".to_owned()];
    second.named_cal = AutomaticCal::Assign;
    let mapping = mapping(vec![
        rule(Some(("groups", has("bosses")))),
        second,
        rule(None),
    ]);
    let claims = claims(json!({
        "preferred_username": "custom\\Ann", "name": " Ann\tLee ", "groups": ["staff", "analysts", "staff"],
    }));
    let walk = map(&claims, &mapping, "CUSTOM\\");
    let mapped = walk.outcome.unwrap();
    assert_eq!(mapped.name.folded(), "ann");
    assert_eq!(mapped.display_name, "Ann Lee");
    assert_eq!(mapped.groups, ["staff", "analysts", "sales"]);
    assert_eq!(mapped.roles, [Role::Auditor]);
    assert_eq!(mapped.automatic_cal, AutomaticCal::Assign);
    let steps: Vec<(&str, bool)> = walk
        .steps
        .iter()
        .map(|step| (step.key.as_str(), step.passed))
        .collect();
    let expected = [
        ("user_name", true),
        ("display_name", true),
        ("groups", true),
        ("names", true),
        ("rule 1", false),
        ("rule 2", true),
    ];
    assert_eq!(steps, expected);
    assert_eq!(walk.steps[0].found, "custom\\Ann becomes ann");
    assert_eq!(walk.steps[2].found, "2 groups: staff, analysts");
    assert_eq!(
        walk.steps[4].setting,
        "groups has \"bosses\": named_cal dynamic"
    );
    let tail = "; roles auditor; groups sales, analysts";
    assert!(
        walk.steps[5].setting.ends_with(tail),
        "{}",
        walk.steps[5].setting
    );
}

#[test]
fn the_first_rule_that_matches_decides() {
    let mut deny = rule(Some(("groups", has("left"))));
    deny.deny = true;
    let judge = |rules: Vec<MappingRule>, groups: Value| {
        let claims = claims(json!({ "preferred_username": "ann", "groups": groups }));
        map(&claims, &mapping(rules), "").outcome
    };
    let both = || vec![deny.clone(), rule(None)];
    assert_eq!(
        judge(both(), json!(["left"])),
        Err(Unmapped::Denied { rule: 1 })
    );
    assert!(judge(both(), json!(["staff"])).is_ok());
    let reversed = vec![rule(None), deny.clone()];
    assert!(judge(reversed, json!(["left"])).is_ok());
    assert_eq!(
        judge(Vec::new(), json!(["staff"])),
        Err(Unmapped::NoRuleMatches)
    );
    assert_eq!(
        judge(vec![deny], json!(["staff"])),
        Err(Unmapped::NoRuleMatches)
    );
}

#[test]
fn o_72_groups_of_any_shape_are_read_or_refused_but_never_taken_for_all() {
    for groups in [json!("staff"), json!(["staff"]), json!(["x", "staff", ""])] {
        assert!(walk(&groups, has("staff")).outcome.is_ok(), "{groups}");
    }
    for groups in [
        json!([]),
        json!(""),
        json!(null),
        json!({}),
        json!("staff,admin"),
        json!(["Staff"]),
    ] {
        let refused = walk(&groups, has("staff")).outcome;
        assert_eq!(refused, Err(Unmapped::NoRuleMatches), "{groups}");
    }
    for groups in [
        json!(7),
        json!(true),
        json!({"staff": {}}),
        json!([["staff"]]),
        json!(["staff", 7]),
    ] {
        let refused = walk(&groups, has("staff")).outcome;
        assert!(
            matches!(refused, Err(Unmapped::ClaimUnusable { .. })),
            "{groups}: {refused:?}"
        );
    }
}

#[test]
fn o_72_ten_thousand_groups_are_all_read_and_endless_ones_refused() {
    let many = |count: usize| {
        let groups: Vec<String> = (0..count).map(|number| format!("group-{number}")).collect();
        json!(groups)
    };
    let walked = walk(&many(10_000), has("group-9999"));
    assert_eq!(walked.outcome.unwrap().groups.len(), 10_000);
    assert!(walked.steps.iter().all(|step| step.found.len() < 500));
    let refused = walk(&many(20_001), has("group-9999")).outcome;
    assert!(matches!(refused, Err(Unmapped::ClaimUnusable { .. })));
}

#[test]
fn o_72_groups_that_are_kept_elsewhere_refuse_even_where_a_rule_lets_all_in() {
    for elsewhere in [
        json!({"preferred_username": "ann", "_claim_names": {"groups": "src1"}, "_claim_sources": {"src1": {"endpoint": "https://graph.example/getMemberObjects"}}}),
        json!({"preferred_username": "ann", "hasgroups": true}),
        json!({"preferred_username": "ann", "hasgroups": "true"}),
        json!({"preferred_username": "ann", "groups": [], "_claim_names": {"groups": "src1"}}),
    ] {
        let outcome = map(&claims(elsewhere.clone()), &mapping(vec![rule(None)]), "").outcome;
        let claim = "groups".to_owned();
        assert_eq!(
            outcome,
            Err(Unmapped::ClaimElsewhere { claim }),
            "{elsewhere}"
        );
    }
    let other = json!({"preferred_username": "ann", "_claim_names": {"address": "src1"}});
    assert!(
        map(&claims(other), &mapping(vec![rule(None)]), "")
            .outcome
            .is_ok()
    );
}

#[test]
fn o_73_an_address_of_mail_must_be_plain_and_verified() {
    let mut by_mail = mapping(vec![rule(Some((
        "email",
        ClaimTest::Matches(".*@corp\\.example".parse().unwrap()),
    )))]);
    by_mail.user_name = "{email}".parse().unwrap();
    let outcome = |email: Value, verified: Value| {
        let claims = claims(json!({"email": email, "email_verified": verified}));
        map(&claims, &by_mail, "").outcome
    };
    for verified in [json!(true), json!("true")] {
        let mapped = outcome(json!("Ann@corp.example"), verified).unwrap();
        assert_eq!(mapped.name.folded(), "ann@corp.example");
    }
    // Names of people have apostrophes in them.
    let mapped = outcome(json!("o'brien@corp.example"), json!(true)).unwrap();
    assert_eq!(mapped.name.folded(), "o'brien@corp.example");
    for verified in [
        json!(false),
        json!("false"),
        json!(0),
        json!(null),
        json!("TRUE"),
    ] {
        let refused = outcome(json!("ann@corp.example"), verified.clone());
        assert!(
            matches!(refused, Err(Unmapped::ClaimUnusable { .. })),
            "{verified}"
        );
    }
    for email in [
        json!("ann@evil.example@corp.example"),
        json!("\"ann@evil.example\"@corp.example"),
        json!("ann@evil.example,x@corp.example"),
        json!("ann <ann@corp.example>"),
        json!("'ann'@corp.example"),
        json!("@corp.example"),
        json!("ann@"),
        json!("ann"),
        json!("ann@corp.exampl\u{435}"),
        json!(["ann@corp.example", "ben@corp.example"]),
    ] {
        let refused = outcome(email.clone(), json!(true));
        assert!(
            matches!(refused, Err(Unmapped::ClaimUnusable { .. })),
            "{email}: {refused:?}"
        );
    }
    // What only looks like the domain is another one.
    for email in ["ann@xn--corp-example", "ann@CORP.example.evil"] {
        assert_eq!(
            outcome(json!(email), json!(true)),
            Err(Unmapped::NoRuleMatches),
            "{email}"
        );
    }
}

#[test]
fn o_75_what_is_empty_never_matches() {
    for test in [
        has(""),
        ClaimTest::Equals(json!("")),
        ClaimTest::Matches("".parse().unwrap()),
        ClaimTest::Matches(".*".parse().unwrap()),
        ClaimTest::Exists,
    ] {
        for empty in [
            json!(""),
            json!([]),
            json!([""]),
            json!(null),
            json!([null, ""]),
            json!({}),
        ] {
            let outcome = walk(&empty, test.clone()).outcome;
            assert_eq!(outcome, Err(Unmapped::NoRuleMatches), "{empty} {test:?}");
        }
    }
    assert_eq!(
        walk(&json!(["a", ""]), has("")).outcome,
        Err(Unmapped::NoRuleMatches)
    );
}

#[test]
fn each_test_of_a_condition_holds_for_what_it_says() {
    let regex = |text: &str| ClaimTest::Matches(text.parse().unwrap());
    let table = [
        (json!("a"), has("a"), true),
        (json!("ab"), has("a"), false),
        (json!(["b", "a"]), has("a"), true),
        (json!(["b", "A"]), has("a"), false),
        (json!("a"), ClaimTest::Equals(json!("a")), true),
        (json!(["a"]), ClaimTest::Equals(json!("a")), true),
        (json!(["a", "b"]), ClaimTest::Equals(json!("a")), false),
        (json!(3), ClaimTest::Equals(json!(3)), true),
        (json!("3"), ClaimTest::Equals(json!(3)), true),
        (json!(3.0), ClaimTest::Equals(json!(3)), true),
        (json!("true"), ClaimTest::Equals(json!(true)), true),
        (json!(true), ClaimTest::Equals(json!(true)), true),
        (json!(false), ClaimTest::Equals(json!(true)), false),
        (json!("abc"), regex("a.c"), true),
        (json!("abcd"), regex("a.c"), false),
        (json!(["abc"]), regex("a.c"), true),
        (json!(["x", "abc"]), regex("a.c"), true),
        (json!(["x", "abcd"]), regex("a.c"), false),
        (json!(5), regex("5"), true),
        (json!([7, true]), has("7"), true),
        (json!([7, true]), has("true"), true),
        (json!(false), ClaimTest::Exists, true),
        (json!({"a": 1}), ClaimTest::Exists, true),
    ];
    for (value, test, holds) in table {
        let mapping = mapping(vec![rule(Some(("x", test.clone())))]);
        let claims = claims(json!({ "preferred_username": "ann", "x": value }));
        assert_eq!(
            map(&claims, &mapping, "").outcome.is_ok(),
            holds,
            "{value} {test:?}"
        );
    }
}

#[test]
fn a_path_walks_into_objects_and_knows_claims_with_dots_in_their_names() {
    let nested = claims(json!({
        "preferred_username": "ann",
        "realm": {"roles": ["staff"], "a.b": {"c": "deep"}},
        "https://corp.example/groups": ["far"],
    }));
    for (path, group) in [
        ("realm.roles", "staff"),
        ("realm.a.b.c", "deep"),
        ("https://corp.example/groups", "far"),
    ] {
        let mut mapping = mapping(vec![rule(Some((path, has(group))))]);
        mapping.groups = Some(path.parse().unwrap());
        let mapped = map(&nested, &mapping, "").outcome.unwrap();
        assert_eq!(mapped.groups, [group], "{path}");
    }
    let exists = |path| {
        let mapping = mapping(vec![rule(Some((path, ClaimTest::Exists)))]);
        map(&nested, &mapping, "").outcome
    };
    assert_eq!(exists("realm.nothing"), Err(Unmapped::NoRuleMatches));
    for path in ["realm.roles.x", "preferred_username.x"] {
        let unusable = Unmapped::ClaimUnusable {
            claim: path.to_owned(),
            why: "leads through a value that has no members",
        };
        assert_eq!(exists(path), Err(unusable));
    }
}

#[test]
fn what_a_rule_that_denies_cannot_read_lets_nobody_in() {
    for (value, test) in [
        (json!([{"name": "blocked"}]), has("blocked")),
        (json!({"blocked": {"org": "1"}}), has("blocked")),
        (json!([["blocked"]]), has("blocked")),
        (
            json!(["x", {"name": "blocked"}]),
            ClaimTest::Matches("b.*".parse().unwrap()),
        ),
        (json!({"a": 1}), ClaimTest::Equals(json!("blocked"))),
        (json!(["x", "blocked"]), ClaimTest::Equals(json!("blocked"))),
    ] {
        let mut keeps_out = rule(Some(("x", test.clone())));
        keeps_out.deny = true;
        let mapping = mapping(vec![keeps_out, rule(None)]);
        let claims = claims(json!({ "preferred_username": "ann", "x": value }));
        let outcome = map(&claims, &mapping, "").outcome;
        let unusable = matches!(outcome, Err(Unmapped::ClaimUnusable { .. }));
        assert!(unusable, "{value} {test:?}: {outcome:?}");
    }
}

#[test]
fn a_user_name_must_be_there_whole_and_allowed() {
    let mut strict = mapping(vec![rule(None)]);
    strict.names = "[a-z]+".parse().unwrap();
    let outcome = |value: Value| {
        let claims = claims(json!({ "preferred_username": value }));
        map(&claims, &strict, "CUSTOM\\").outcome
    };
    assert_eq!(outcome(json!("ANN")).unwrap().name.folded(), "ann");
    assert_eq!(outcome(json!(["ann"])).unwrap().name.folded(), "ann");
    let missing = Unmapped::ClaimMissing {
        claim: "preferred_username".to_owned(),
    };
    for value in [json!(null), json!(""), json!([])] {
        assert_eq!(outcome(value), Err(missing.clone()));
    }
    for value in [json!(["ann", "ben"]), json!({"a": 1}), json!(true)] {
        assert!(matches!(
            outcome(value),
            Err(Unmapped::ClaimUnusable { .. })
        ));
    }
    let invalid = |bad| Err(Unmapped::NameInvalid(bad));
    assert_eq!(outcome(json!("custom\\")), invalid(BadUserName::Empty));
    assert_eq!(outcome(json!("a/b")), invalid(BadUserName::Slash));
    let not_allowed = |name: &str| {
        Err(Unmapped::NameNotAllowed {
            name: name.to_owned(),
        })
    };
    assert_eq!(outcome(json!("ann7")), not_allowed("ann7"));
}

#[test]
fn a_refusal_keeps_the_name_and_the_groups_that_were_found() {
    let walk = walk(&json!(["staff"]), has("bosses"));
    assert_eq!(walk.name.unwrap().folded(), "ann");
    assert_eq!(walk.groups, ["staff"]);
}

#[test]
fn names_of_groups_that_would_not_fit_in_a_line_are_left_out_and_told() {
    let groups = json!(["staff", "a\nfinance", " ", "x".repeat(513)]);
    let walk = walk(&groups, has("staff"));
    assert_eq!(walk.groups, ["staff"]);
    let step = walk.steps.iter().find(|step| step.key == "groups").unwrap();
    assert_eq!(step.found, "staff; 3 that cannot be names were left out");
}

#[test]
fn a_display_name_that_cannot_be_made_is_the_user_name() {
    for name in [json!(null), json!("\t\n"), json!(["a", "b"])] {
        let claims = claims(json!({ "preferred_username": "Ann", "name": name }));
        let mapped = map(&claims, &mapping(vec![rule(None)]), "")
            .outcome
            .unwrap();
        assert_eq!(mapped.display_name, "Ann");
    }
    let claims = claims(json!({ "preferred_username": "Ann", "name": "x".repeat(500) }));
    let mapped = map(&claims, &mapping(vec![rule(None)]), "")
        .outcome
        .unwrap();
    assert_eq!(mapped.display_name.chars().count(), 128);
}

#[test]
fn a_regular_expression_matches_the_whole_value() {
    let regex: WholeRegex = "a|ab".parse().unwrap();
    assert!(regex.matches("a") && regex.matches("ab"));
    for text in ["abc", "xa", "a\n", "", "A"] {
        assert!(!regex.matches(text), "{text:?}");
    }
    assert!(".*".parse::<WholeRegex>().unwrap().matches("any name"));
}

#[test]
fn a_bad_regular_expression_is_refused_with_its_reason() {
    for text in ["(", "a)|(b", "[z-a]", r"(?=x)", r"(a)\1", "*"] {
        let error = text.parse::<WholeRegex>().unwrap_err();
        assert!(
            error.starts_with("expected a regular expression ("),
            "{error}"
        );
        assert!(!error.contains('\n'), "{error}");
    }
}

#[test]
fn a_template_is_taken_apart_and_written_as_it_was() {
    let template: Template = "{given}.{name.family}@x".parse().unwrap();
    let claim = |parts: &[&str]| {
        TemplatePart::Claim(ClaimPath(
            parts.iter().map(|&part| part.to_owned()).collect(),
        ))
    };
    let text = |text: &str| TemplatePart::Text(text.to_owned());
    let parts = [
        claim(&["given"]),
        text("."),
        claim(&["name", "family"]),
        text("@x"),
    ];
    assert_eq!(template.0, parts);
    assert_eq!(template.to_string(), "{given}.{name.family}@x");
    for text in [
        "", "fixed", "{", "{}", "{a", "a}", "{a}}", "{a..b}", "{{a}}", "{.a}",
    ] {
        assert!(text.parse::<Template>().is_err(), "{text}");
    }
}
